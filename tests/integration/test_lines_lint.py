"""The check of the documents' lines (tests/lint/lines) itself: what it must refuse, and what it must not."""
import re

LONGEST = "word " * 19 + "words"   # 100 characters
TOO_LONG = "word " * 19 + "longer"
WORD = "x" * 101

DOCUMENT = f"""# A document

{LONGEST}
{TOO_LONG}

- {LONGEST[2:]}
- {TOO_LONG}
  {TOO_LONG}

| {TOO_LONG} |
|---|

```
{TOO_LONG}
```

    {TOO_LONG}
    {TOO_LONG}

- <https://example.org/{WORD}>
  `{TOO_LONG}`
{WORD}
two {WORD}
<!-- test: {WORD} -->
"""


def test_which_lines_are_too_long(t):
    """A line of 100 characters is not; nor are code, rows of tables, and what is one word."""
    assert len(LONGEST) == 100
    document = t.directory("lines") + "/document.md"
    with open(document, "w", encoding="utf-8") as file:
        file.write(DOCUMENT)
    ran = t.run(t.path("tests/lint/lines"), document, check=False)
    assert ran.returncode == 1, ran
    refused = [int(number) for number in re.findall(r"^.*?:(\d+): \d+ characters", ran.stdout, re.M)]
    assert refused == [4, 7, 8, 23], ran.stdout
