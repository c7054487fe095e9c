"""What the check `numbers` needs to know of documents: their blocks and comments, and the numbers in their text.
docs/architecture.md (Numbers in these documents) has the rule."""
import re

COMMENT = re.compile(r"<!--\s*(?:(?P<scope>section|defaults) )?(?P<kind>test|measured):\s*(?P<what>.*?)\s*-->", re.S)
QUOTED = re.compile(r"`[^`\n]*<!--[^`\n]*`")
MAN_ENDS = (".PP", ".TP", ".IP", ".SH", ".SS", ".RS", ".RE", ".TH")
MAN_FONTS = (".B", ".I", ".BR", ".BI", ".IR", ".RB", ".RI", ".IB")
FENCE = re.compile(r"^\s*```")
HEADING = re.compile(r"^(#+) ")
SENTENCE = re.compile(r"(?<=[.!?:;])(?:\s+|$)(?=[A-Z`*\[(“<‘]|$)")
CODE = re.compile(r"(`+)(.+?)\1", re.S)

TIME = {"ns": 1e-9, "µs": 1e-6, "ms": 1e-3, "s": 1, "second": 1, "m": 60, "min": 60, "minute": 60, "h": 3600, "hour": 3600,
        "day": 86400}
SIZE = {"byte": 1, "kB": 1000, "KiB": 1 << 10, "MiB": 1 << 20, "MB": 10**6, "GiB": 1 << 30, "GB": 10**9, "TiB": 1 << 40}
UNIT = "|".join(sorted((re.escape(unit) for unit in (*TIME, *SIZE)), key=len, reverse=True))
WORDS = {word: number for number, word in enumerate(
    "one two three four five six seven eight nine ten eleven twelve".split(), 1)}
WORDS |= {"a": 1, "half a": 0.5, "a quarter of a": 0.25, "fifteen": 15, "twenty": 20, "thirty": 30, "sixty": 60}

# What does not count as a number: names, versions, standards, ports, years, prefix lengths, powers, list marks, the
# bytes of examples.
NAMES = re.compile(
    r"""\d+(?:\.\d+){2,}(?::\d+)?                  # 0.1.0, 127.0.0.1:8080
    | (?:[A-Za-z]+[-_/])*[A-Za-z]+[-_/]?\d[\w.-]*  # UTF-8, SHA-256, IPv4, C11, HTTP/1.1
    | \b(?:Redis|Node|Python|Linux|Debian|RFC|ISO|TLS|version|dpmaster|Ubuntu|minor\ releases?|libevent|hiredis
        |[Pp]orts?|Quake|formats?|reader|database|databases|from\ version)\s+\(?\d[\w.-]*(?:,\ \d[\w.]*)*
    | (?<![\w.])(?:19|20)\d\d(?!\w|[,.]\d|\ (?:bit|byte))   # a year; 2013 is a dialect
    | /\d+ | \s\(\d\) | \d+\^\d+ | :\d+ | 0–9
    | (?<![\w.,])[0-9A-F]{2}(?:\ [0-9A-F]{2})+(?![\w.])  # FF FF
    | (?<![\w.,])0\d+\b                                  # 03
    """, re.X | re.M)
NUMBER = re.compile(rf"(?<![\w.,])(\d[\d,]*(?:\.\d+)?)(?:\s?({UNIT}|%|million|bit)(?:s\b|\b|(?<=%)))?(?!\w)")
SPELLED = re.compile(rf"\b({'|'.join(sorted(WORDS, key=len, reverse=True))})\s+({UNIT})s?\b")
WITHIN = re.compile(r"(?:within|up to|at most)\s+$")
BOUND = re.compile(r"\b(?:at most|at least|(?:no|not|never|are|is|has|gets?|hold) (?:more|less|longer) than|up to|within|beyond|below|above|over)"
                   r"\s+(?:[a-z]+\s+){0,2}`([a-z0-9]+\.[a-z0-9_]+)`", re.I)
SETTING = re.compile(r"`([a-z0-9]+\.[a-z0-9_]+)(?:\s*=[^`]*)?`")


class Number:
    """A number of a sentence: as it is written, and the values that say the same."""

    def __init__(self, text, value, unit):
        self.text = text
        self.values = values_of(value, unit)

    def __repr__(self):
        return self.text


def values_of(value, unit):
    """The numbers that say the same: of a time seconds, ms, µs and ns, and its number alone; of a size bytes; of a
    share a fraction, too."""
    if unit in TIME:
        seconds = value * TIME[unit]
        return {value} | {round(seconds * scale, 9) for scale in (1, 1e3, 1e6, 1e9)}
    if unit in SIZE:
        return {value * SIZE[unit]}
    return {value} | {"%": {value / 100}, "million": {value * 10**6}}.get(unit, set())


def numbers_of(text):
    """The numbers of a piece of text without code; 0 and 1 alone are switches, not bounds."""
    text = NAMES.sub(lambda match: " " * len(match[0]), text)
    for match in NUMBER.finditer(text):
        value = float(match[1].rstrip(",").replace(",", ""))
        if match[2] or value not in (0, 1):
            yield Number(match[0].rstrip(", "), value, match[2])
    for match in SPELLED.finditer(text):
        # "20 a second" is a rate, "within a second" a bound.
        if match[1] != "a" or WITHIN.search(text[:match.start()]):
            yield Number(" ".join(match[0].split()), WORDS[match[1]], match[2])


class Block:
    """Lines without a blank one between them, from a line number on: a paragraph, a list or a table."""

    def __init__(self, path, line, text, section):
        self.path, self.line, self.text, self.section = path, line, text, section

    def parts(self):
        """(text, line number, the comments right behind it, which cover it)."""
        at, comments = 0, list(COMMENT.finditer(self.text))
        while comments:
            text, line, own = self.text[at:comments[0].start()], self.line_at(at), []
            while comments and (not own or not self.text[at:comments[0].start()].strip()):
                own.append(comments.pop(0))
                at = own[-1].end()
            yield text, line, own
        if self.text[at:].strip(" |\n"):
            yield self.text[at:], self.line_at(at), []

    def line_at(self, position):
        return self.line + self.text.count("\n", 0, position)


class Section:
    """A heading, and the comments that cover what is below it down to the next heading of its level."""

    def __init__(self, level, parent):
        self.level, self.parent, self.comments = level, parent, []

    def inside(self, level):
        """The section that a heading of that level is in."""
        section = self
        while section.level >= level:
            section = section.parent
        return section

    def covers(self, text):
        """Whether a comment of this section or one around it covers a paragraph: one of `defaults` just those that
        begin with a setting's."""
        is_default = text.startswith("Default")
        return (any(comment["scope"] == "section" or is_default for comment in self.comments)
                or (self.parent is not None and self.parent.covers(text)))


def blocks(path, text):
    """The document's blocks, without code and headings, each with its section."""
    section, found, lines, start, is_code = Section(0, None), [], [], 1, False

    def end():
        if lines:
            text = QUOTED.sub(lambda match: "`" * len(match[0]), "\n".join(lines))
            found.append(Block(path, start, text, section))
            lines.clear()

    for number, line in enumerate(text.split("\n"), 1):
        heading = HEADING.match(line)
        if FENCE.match(line) or is_code:
            end()
            is_code ^= bool(FENCE.match(line))
        elif not line.strip() or heading or (line.startswith("    ") and not lines):
            end()
            if heading:
                section = Section(len(heading[1]), section.inside(len(heading[1])))
        else:
            start = start if lines else number
            lines.append(line)
    end()
    for block in found:
        block.section.comments += [comment for comment in COMMENT.finditer(block.text) if comment["scope"]]
    return found


def man_blocks(path, text):
    """The paragraphs of a manual page, as text: comments are lines .\\" test: …, examples are left out."""
    section, found, lines, start, is_code = Section(0, None), [], [], 1, False
    for number, line in enumerate(text.split("\n") + [".PP"], 1):
        macro, _, words = line.partition(" ") if line.startswith(".") else ("", "", line)
        is_code = macro in (".nf", ".EX") or is_code and macro not in (".fi", ".EE")
        if macro in MAN_ENDS:
            found += [Block(path, start, "\n".join(lines), section)] if lines else []
            lines, words, start = [], "", number + 1
        elif macro == '.\\"':
            words = f"<!-- {words} -->"
        elif is_code or macro and macro not in MAN_FONTS:
            words = ""
        lines.append(re.sub(r'\\f.|\\&|"', "", words).replace("\\-", "-"))
    return found


def sentences(text):
    """The sentences of a paragraph or list item, the rows of a table."""
    for row in re.split(r"\n(?=\||\s*[-*] |\d+\. )", text):
        yield from [row] if row.startswith("|") else SENTENCE.split(re.sub(r"^\d+\. ", "", row))


def prose(text):
    """Without code, the targets of links, and comments."""
    text = re.sub(r"\]\([^)]*\)|<https?:[^>]*>|<!--.*?-->", "", text, flags=re.S)
    return CODE.sub("C", text)
