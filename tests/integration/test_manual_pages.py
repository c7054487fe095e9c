"""The manual pages of trackerctl and trackerd name what there is, and all of it."""
import re


def page(t, name):
    """The text of a page, without its markup."""
    with open(t.path("docs/man", name), encoding="utf-8") as file:
        text = file.read()
    return re.sub(r"\\f[A-Z]", "", text).replace("\\-", "-")


def long_options(text):
    return set(re.findall(r"(?<![\w-])--[a-z][a-z0-9]+", text))


def test_options(t):
    for name, program in (("trackerctl.1", "trackerctl"), ("trackerd.8", "trackerd")):
        there = long_options(t.run(program, "--help").stdout)
        assert there == long_options(page(t, name)), (name, there ^ long_options(page(t, name)))


def test_the_commands_of_trackerctl(t):
    usage = t.run("trackerctl", "--help").stdout.partition("\nOptions")[0]
    there = re.findall(r"^  ([a-z]+) ", usage, re.M)
    section = re.search(r"^\.SH COMMANDS\n(.*?)^\.SH", page(t, "trackerctl.1"), re.S | re.M)[1]
    documented = re.findall(r'^\.TP\n\.BI? "?([a-z]+)', section, re.M)
    documented += re.findall(r'^\.TP\n\.BR "?([a-z]+)', section, re.M)
    assert sorted(there) == sorted(documented), set(there) ^ set(documented)


def test_the_rules_of_fsck(t):
    with open(t.path("pkg/inspect/fsck.c"), encoding="utf-8") as file:
        there = re.findall(r'\[FSCK_\w+\] = \{"([a-z-]+)"', file.read())
    section = re.search(r"^\.SH RULES\n(.*?)^\.SH", page(t, "trackerctl.1"), re.S | re.M)[1]
    assert len(there) == 29 and re.findall(r"^\.B ([a-z-]+)$", section, re.M) == there


def test_settings_exist(t):
    there = set(re.findall(r"^  ([a-z_.]+)=", t.run("trackerd", "--help").stdout, re.M))
    for name in ("trackerctl.1", "trackerd.8"):
        named = set()
        for line in re.findall(r"^\.IR? (.*)$", page(t, name), re.M):
            named |= set(re.findall(r"\b(?:redis|map|client|net|access|log|drain|tracker|view)\.[a-z_]+\b", line))
        assert named and named <= there, (name, named - there)
