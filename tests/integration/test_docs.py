"""The documents agree with the program: what is written of each setting, the sample file, the
commands, the metrics."""
import glob
import os
import re


def read(t, *parts):
    with open(t.path(*parts), encoding="utf-8") as file:
        return file.read()


def settings_of_help(t):
    """key -> (default, whether it is reloadable, whether it is a listener option), as --help says."""
    text = t.run("trackerd", "--help").stdout
    found = {}
    for match in re.finditer(r"^  ([a-z0-9_.]+)=(\S.*?)(?:  \((.*)\))?\n      (.*)$", text, re.M):
        found[match[1]] = (match[3] or "", " Reloadable." in match[4], match[4].endswith(" Listener option."))
    assert len(found) > 20, text
    return found


def settings_of_document(t):
    """key -> the text under its heading."""
    parts = re.split(r"^### `?([a-z0-9_.]+)`?\s*$", read(t, "docs/configuration.md"), flags=re.M)
    assert len(parts[1::2]) == len(set(parts[1::2])), "a heading twice"
    return {key: re.split(r"^#", text, flags=re.M)[0] for key, text in zip(parts[1::2], parts[2::2])}


def test_every_setting_has_its_heading_and_no_other(t):
    program, document = set(settings_of_help(t)), set(settings_of_document(t))
    assert program == document, f"not documented: {program - document}; unknown: {document - program}"


def test_defaults_and_reloadability_are_as_documented(t):
    document = settings_of_document(t)
    wrong = []
    for key, (standard, reloadable, option) in settings_of_help(t).items():
        first = document[key].strip().split("\n\n")[0].replace("\n", " ")
        if option != ("Listener option." in first):
            wrong.append(f"{key}: is a listener option: {option}")
        if standard and f"`{standard}`" not in first:
            wrong.append(f"{key}: the default is `{standard}`")
        if reloadable != bool(re.search(r"\b[Rr]eloadable\b", first)):
            wrong.append(f"{key}: reloadable is {reloadable}")
    assert not wrong, "\n".join(wrong)


UNITS = {"ms": 1, "s": 1000, "m": 60_000, "min": 60_000, "h": 3_600_000, "days": 86_400_000,
         "": 1, "B": 1, "byte": 1, "bytes": 1, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30, "TiB": 1 << 40}
QUANTITY = re.compile(r"(?<![\d.])([\d,]+) ?(ms|s|min|m|h|days|bytes?|[KMGT]iB|B)?(?![\w.])")
# "0, or 64 KiB to 1 TiB": 0 stands for something else, and the rest is not the table's to judge.
DOCUMENTED = re.compile(r"(?:^|[.,] )(0, or |)([\d,]+ ?\w* to|[Uu]p to|At least|At most) ([\d,]+(?: [A-Za-z]+)?)")
OUTSIDE = {"NUMBER": "-1", "DURATION": "99999999h", "SIZE": "2048GiB"}


def quantities(text):
    """The numbers of a text, times in ms and sizes in bytes."""
    return [int(number.replace(",", "")) * UNITS[unit] for number, unit in QUANTITY.findall(text)]


def documented_range(text):
    """(least, most) of a setting's first paragraph; None where it says nothing of one."""
    match = DOCUMENTED.search(text)
    if not match:
        return None, None
    end, = quantities(match[3])
    if match[2] == "At least":
        return end, None
    return (0 if match[1] else (quantities(match[2]) or [None])[0]), end


def test_ranges_are_as_documented(t):
    """The range that the program names when it refuses a value is that of the setting's first paragraph."""
    wrong, judged = [], 0
    kinds = re.findall(r"^  ([a-z0-9_.]+)=([A-Z]+)", t.run("trackerd", "--help").stdout, re.M)
    document = settings_of_document(t)
    for key, kind in kinds:
        if kind not in OUTSIDE:
            continue
        refused = t.run("trackerd", "--check", "--set", f"{key}={OUTSIDE[kind]}", check=False).stderr
        program = quantities(re.search(r"must be (?:from \S+ to|at least) \S+$", refused, re.M)[0]) + [None]
        least, most = documented_range(document[key].strip().split("\n\n")[0].replace("\n", " "))
        judged += 1
        if (least, most) == (None, None) or least not in (None, program[0]) or most not in (None, program[1]):
            wrong.append(f"{key}: {least} to {most}; it is {program}")
    assert judged > 100, judged
    assert not wrong, "\n".join(wrong)


def test_the_sample_file_is_the_programs(t):
    assert read(t, "docs/examples/trackerd.ini") == t.run("trackerd", "--sample").stdout


def test_the_sample_file_is_accepted_also_without_its_comment_signs(t):
    """Every setting at its default; secrets and the empty ones stay out."""
    text = re.sub(r"^#([a-z0-9_]+ = .)", r"\1", read(t, "docs/examples/trackerd.ini"), flags=re.M)
    frontend = t.frontend(t.redis(), config=text)
    assert frontend.ready()


def test_documents_link_to_what_exists(t):
    wrong = []
    for path in ["README.md"] + [os.path.relpath(p, t.root) for p in glob.glob(t.path("docs/**/*.md"), recursive=True)]:
        text = re.sub(r"```.*?```", "", read(t, path), flags=re.S)
        for target, anchor in re.findall(r"\]\(([^)#\s]*)(#[^)\s]*)?\)", text):
            if target.startswith(("http://", "https://")):
                continue
            file = os.path.normpath(os.path.join(os.path.dirname(path), target)) if target else path
            if not os.path.exists(t.path(file)):
                wrong.append(f"{path}: {target}")
            elif anchor and anchor[1:] not in anchors(read(t, file)):
                wrong.append(f"{path}: {target}{anchor}")
    assert not wrong, wrong


def anchors(text):
    """The names that a Markdown file's headings get."""
    headings = re.findall(r"^#+ +(.*)$", text, re.M)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_documents_name_only_metrics_that_exist(t):
    frontend = t.frontend(workers=1)  # which has those of a front-end without a supervisor, and more
    names = {re.split(r"[{ ]", line)[0] for line in frontend.http("/metrics")[2].decode().splitlines()
             if not line.startswith("#")}
    names |= {re.sub(r"_(bucket|sum|count)$", "", name) for name in names}
    named = set()
    for path in glob.glob(t.path("docs/*.md")):
        with open(path, encoding="utf-8") as file:
            named |= set(re.findall(r"`(tracker_(?!client)[a-z0-9_]+)", file.read()))  # not the C library's names
    assert named <= names, named - names


def test_documents_name_only_make_targets_that_exist(t):
    makefile = read(t, "Makefile")
    targets = set(re.search(r"^\.PHONY: (.*)$", makefile, re.M)[1].split())
    for path in ["README.md"] + [os.path.relpath(p, t.root) for p in glob.glob(t.path("docs/*.md"))]:
        named = set(re.findall(r"`make ([a-z]+)", read(t, path))) | set(re.findall(r"^ *make ([a-z]+)", read(t, path), re.M))
        assert named <= targets, (path, named - targets)


def test_the_manual_pages_are_named_and_headed_alike(t):
    pages = glob.glob(t.path("docs/man/*.[1-9]"))
    assert {os.path.basename(page)[:-2] for page in pages} >= {"trackerd", "trackerctl", "tracker-bench"}, pages
    for page in pages:
        name, section = os.path.basename(page).rsplit(".", 1)
        with open(page, encoding="utf-8") as file:
            assert re.search(rf'^\.(TH|Dt) "?{name}"? "?{section}"?', file.read(), re.M | re.I), page
