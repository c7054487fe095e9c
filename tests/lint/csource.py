"""C sources taken apart as far as the checks and `figures` need: tokens, and what stands at the top.

Preprocessor lines are left out, so what a macro expands to is not seen. Of `#if` only the first
branch counts when its braces do not balance (an `if (x) {` in each branch), and nothing of `#if 0`.
Functions in the style before C89 (types behind the parameter list) are not recognized.
"""
import re

TOKEN = re.compile(r"""
    (?P<space>\s+|/\*.*?\*/|//(?:\\\n|[^\n])*)
  | (?P<directive>(?<![^\n])[ \t]*\#(?:\\\r?\n|/\*.*?\*/|[^\n])*)
  | (?P<text>(?:L|u8?|U)?"(?:\\.|[^"\\\n])*"|(?:L|u|U)?'(?:\\.|[^'\\\n])*')
  | (?P<name>[A-Za-z_]\w*)
  | (?P<number>\.?\d(?:[eEpP][+-]|[\w.])*)
  | (?P<mark>\.\.\.|->|\S)
""", re.S | re.X)
LINE_START = re.compile(r"(?m)^[ \t]*#")
NOT_FUNCTIONS = {"if", "for", "while", "switch", "return", "sizeof", "defined", "_Alignas", "_Alignof",
                 "_Static_assert", "__attribute__", "__attribute", "__declspec", "__asm__", "asm",
                 "__extension__", "__typeof__", "typeof"}
TAGGED = ("struct", "union")


class Token:
    __slots__ = ("kind", "text", "start", "line")

    def __init__(self, kind, text, start, line):
        self.kind, self.text, self.start, self.line = kind, text, start, line

    def __repr__(self):
        return f"{self.text}@{self.line}"


class Function:
    """A definition, or a prototype (then `is_body` is false); lines count from 1."""

    def __init__(self, name, is_static, lines, is_body):
        """The name is a token."""
        self.name, self.start, self.line = name.text, name.start, name.line
        self.is_static, self.is_body = is_static, is_body
        self.first, self.last = lines

    @property
    def lines(self):
        return self.last - self.first + 1


def raw_tokens(text):
    """All tokens but blanks; a directive is one token."""
    at, line = 0, 1
    # A directive may stand behind blanks that the pattern for them would take with it.
    directives = {match.start() for match in LINE_START.finditer(text)}
    while at < len(text):
        match = None
        if at in directives:
            match = re.compile(r"[ \t]*\#(?:\\\r?\n|/\*.*?\*/|//[^\n]*|[^\n])*", re.S).match(text, at)
            kind = "directive"
        else:
            match = TOKEN.match(text, at)
            kind = match.lastgroup
            if kind == "space" and not text.startswith(("/*", "//"), at):
                # Up to the line's end only, so that the start of a directive is met.
                end = text.find("\n", at, match.end())
                if end >= 0:
                    match = re.compile(r"\s*?\n").match(text, at)
        if kind != "space":
            yield Token(kind, match[0], at, line)
        line += match[0].count("\n")
        at = match.end()


def brace_balance(branch):
    return sum((token.text == "{") - (token.text == "}") for token in branch)


def close_conditional(branches, is_zero):
    """The tokens of an `#if` group that count."""
    if is_zero:
        branches = branches[1:] or [[]]
    if brace_balance(branches[0]) != 0:
        return branches[0]
    return [token for branch in branches if brace_balance(branch) == 0 for token in branch]


def tokens(text):
    """The tokens of a source without its directives."""
    stack = [([[]], False)]
    for token in raw_tokens(text):
        if token.kind != "directive":
            stack[-1][0][-1].append(token)
            continue
        words = re.match(r"\s*#\s*(\w*)\s*(\w*)", token.text)
        if words[1] in ("if", "ifdef", "ifndef"):
            stack.append(([[]], words[1] == "if" and words[2] == "0"))
        elif words[1] in ("else", "elif") and len(stack) > 1:
            stack[-1][0].append([])
        elif words[1] == "endif" and len(stack) > 1:
            branches, is_zero = stack.pop()
            stack[-1][0][-1].extend(close_conditional(branches, is_zero))
    while len(stack) > 1:
        branches, is_zero = stack.pop()
        stack[-1][0][-1].extend(close_conditional(branches, is_zero))
    return stack[0][0][0]


def past_group(found, at):
    """The index behind the bracket that closes the one at `at`."""
    depth = 0
    while at < len(found):
        if found[at].text in ("(", "[", "{"):
            depth += 1
        elif found[at].text in (")", "]", "}"):
            depth -= 1
            if depth == 0:
                return at + 1
        at += 1
    return at


def declared_function(head):
    """Of a declaration's tokens up to `{` or `;`: the index of the function's name, or None."""
    candidates = []
    at = 0
    while at < len(head):
        token = head[at]
        if token.text == "=":
            return None
        if token.text != "(":
            at += 1
            continue
        before = head[at - 1] if at else None
        behind = [token.text for token in head[at + 1:at + 4]]
        if before is not None and behind[:1] == ["*"] and before.text not in NOT_FUNCTIONS:
            # A function that returns a pointer to a function or an array; or such a pointer.
            return at + 2 if behind[2:] == ["("] else None
        if before is not None and before.kind == "name" and before.text not in NOT_FUNCTIONS:
            candidates.append(at - 1)
        at = past_group(head, at)
    # Behind or before the name may be macros with arguments: MUST_CHECK int f(x) PRINTF_LIKE(1, 2).
    usual = [index for index in candidates if not head[index].text.isupper()]
    if usual:
        return usual[0] if len(usual) == 1 else pick_candidate(head, usual)
    return candidates[0] if candidates and candidates[0] > 0 else None


def pick_candidate(head, candidates):
    """The first candidate behind a type: of `f(x) attribute(y)` f, of `list_head(a) f(x)` f."""
    for index in candidates:
        if index and (head[index - 1].kind == "name" or head[index - 1].text in ("*", ")")):
            return index
    return candidates[0]


def start_of(head, index):
    """The index of a declaration's first token, going back from its name."""
    while index > 0 and (head[index - 1].kind == "name" or head[index - 1].text in ("*", "(")):
        index -= 1
    if index > 1 and head[index - 1].text == ")":
        opened = index - 1
        while opened > 0 and head[opened].text != "(":
            opened -= 1
        if head[opened - 1].text in NOT_FUNCTIONS:
            return start_of(head, opened - 1)
    return index


def describe_function(head, index, end, is_body):
    start = start_of(head, index)
    is_static = any(token.text == "static" for token in head[:index])
    return Function(head[index], is_static, (head[start].line, end.line), is_body)


def functions(found):
    """Every definition and prototype at the top of a source's tokens."""
    head = []
    at = 0
    while at < len(found):
        token = found[at]
        if token.text == "{":
            if len(head) >= 2 and head[-2].text == "extern" and head[-1].kind == "text":
                head = []
                at += 1
                continue
            end = past_group(found, at)
            is_type = head and (head[0].text == "typedef" or not any(t.text == "(" for t in head))
            index = None if is_type or not head else declared_function(head)
            if index is not None:
                yield describe_function(head, index, found[end - 1], True)
                head = []
            elif any(t.text == "=" for t in head) or is_type:
                head += [token, found[end - 1]]
            else:
                head = []
            at = end
            continue
        if token.text == ";":
            is_type = head and head[0].text == "typedef"
            index = None if is_type or not head else declared_function(head)
            if index is not None and index > 0:
                yield describe_function(head, index, token, False)
            head = []
        elif token.text == "}":
            head = []
        else:
            head.append(token)
        at += 1


def structs(found):
    """(name, line) of every struct and union with members, of a typedef without a tag its own name."""
    for at, token in enumerate(found[:-2]):
        if token.text not in TAGGED:
            continue
        if found[at + 1].kind == "name" and found[at + 2].text == "{":
            yield found[at + 1].text, token.line
        elif found[at + 1].text == "{" and at and found[at - 1].text == "typedef":
            end = past_group(found, at + 1)
            if end < len(found) and found[end].kind == "name":
                yield found[end].text, token.line


def member_of(found, at):
    """The member that the name at `at` initializes (`.member = name`), or None."""
    before = [token.text for token in found[max(0, at - 3):at]]
    behind = found[at + 1].text if at + 1 < len(found) else ""
    return before[1] if before[::2] == [".", "="] and behind in (",", "}") else None


def callback_members(found, declared):
    """For each static function of a source that is used as nothing but the value of one struct
    member (a callback that implements it): the member's name."""
    names = {function.name for function in declared if function.is_static and function.is_body}
    starts = {function.start for function in declared}
    uses = {}
    for at, token in enumerate(found):
        if token.text in names and token.start not in starts:
            if at and found[at - 1].text in (".", "->"):
                continue  # a member of the same name
            uses.setdefault(token.text, set()).add(member_of(found, at))
    return {name: next(iter(members)) for name, members in uses.items()
            if len(members) == 1 and None not in members}
