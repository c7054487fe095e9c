"""The check of numbers in documents (tests/lint/numbers) itself: what it must refuse, and what it must not."""
import os

UNIT = """static void test_it(void **state)
{
    assert_int_equal(most(), 64 * 1024);
}

static void test_other(void **state)
{
    assert_int_equal(most(), 4711);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_it), cmocka_unit_test(test_other)};
}
"""
FILES = {
    "docs/examples/trackerd.ini": "[client]\n# Help.\n#grace = 5s\n",
    "tests/integration/test_a.py": "TIMES = (3000, 7)\nHALF, BYTE = 0.5, b'\\x42'\n\n\ndef test_it(t):\n    t.wait(2.5)\n\n\ndef test_other(t):\n"
                                   "    t.wait(99)\n\n\ndef test_page(t):\n    t.read('docs/a.md')\n",
    "tests/unit/base/test_b.c": UNIT,
    "tests/bench/measures.py": "def latency(bench, t):\n    pass\n",
    "cmd/tracker-bench/main.c": '{"fanout", run_fanout}\n',
}
# What nothing is to be said of.
GOOD = """It takes 2.5 s. And 7 more.
<!-- test: integration/test_a.test_it -->

It waits 3 s, or three seconds; in 50% or 66 cases. <!-- test: integration/test_a.test_it -->

| what | bound |
|---|---|
| a message | 64 KiB <!-- test: unit/base/test_b.test_it --> |
| another one | 99 <!-- test: integration/test_a.test_other --> |
| the grace period | `client.grace`, 5 s |

Five sentences about RFC 7519, IPv4 on port 8080, Redis 7.0 or UTF-8; since 1970, and in version 0.1.0 at 127.0.0.1:80.

```
12345 bytes
```

A comment is `<!-- test: integration/test_gone.test_it -->`.

It takes 123 µs. <!-- measured: tracker-bench fanout --rate 100 -->

## Measured in 77 ways

<!-- section measured: make bench ARGS='--only latency' -->

In 55 of 56 rounds.

### More

All 57.

## Read by a test

<!-- section test: integration/test_a.test_page -->

There are 4 of them.
"""
# A document, and a part of what must be said of it.
BAD = [
    ("It takes 4 s.", "no test is named for 4 s"),
    ("It takes five seconds.", "no test is named for five seconds"),
    ("It comes within a second.", "no test is named for a second"),
    ("At most `client.grace`.", "no test is named for client.grace"),
    ("After 6 s (`client.grace`).", "no test is named for 6 s"),
    ("It takes 4 s. <!-- test: integration/test_a.test_it -->", "do not contain 4 s"),
    ("It has 99. <!-- test: integration/test_a.test_it -->", "do not contain 99"),
    ("It has 64 MiB. <!-- test: unit/base/test_b.test_it -->", "do not contain 64 MiB"),
    ("It has 4711. <!-- test: unit/base/test_b.test_it -->", "do not contain 4711"),
    ("It has 7. <!-- test: integration/test_a.test_it --> And then 8.", "no test is named for 8"),
    ("| a | 7 <!-- test: integration/test_a.test_it --> |\n| b | 8 |", "a.md:2: no test is named for 8"),
    ("- one has 7\n- two have 8\n<!-- test: integration/test_a.test_it -->", "do not contain 8"),
    ("It has 7.\n\n<!-- test: integration/test_a.test_it -->", "no test is named for 7"),
    ("It has 7. <!-- test: integration/test_a.test_gone -->", "no such test: integration/test_a.test_gone"),
    ("It has 7. <!-- test: integration/test_gone.test_it -->", "no such test: integration/test_gone.test_it"),
    ("It has 7. <!-- test: unit/base/test_b.test_gone -->", "no such test: unit/base/test_b.test_gone"),
    ("It has 7. <!-- test: integration/test_a -->", "no such test: integration/test_a"),
    ("It takes 9 µs. <!-- measured: tracker-bench gone -->", "measures nothing that there is"),
    ("It takes 9 µs. <!-- measured: make bench ARGS='--only gone' -->", "measures nothing that there is"),
    ("It takes 9 µs. <!-- measured: by hand -->", "measures nothing that there is"),
    ("# A\n\n<!-- section test: integration/test_a.test_it -->", "does not read docs/a.md"),
    ("# A\n\n## B\n\n<!-- section measured: make bench -->\n\n## C\n\nThere are 6.", "no test is named for 6"),
]


def check(t, text, name="docs/a.md"):
    directory = t.directory("lint")
    for path, content in {**FILES, name: text}.items():
        path = os.path.join(directory, path)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w", encoding="utf-8") as file:
            file.write(content + "\n")
    return t.run("/bin/sh", "-c", 'cd "$0" && exec "$1" "$2"', directory, t.path("tests/lint/numbers"), name, check=False)


def test_what_is_good(t):
    result = check(t, GOOD)
    assert result.returncode == 0, result.stdout


def test_what_is_refused(t):
    for text, why in BAD:
        result = check(t, text)
        assert result.returncode == 1 and why in result.stdout, (text, result.stdout, result.stderr)


def test_manual_pages(t):
    page = ".TH a 1\n.SH NAME\n.B a\n(8), see\n.BR b (1).\n.PP\nIt takes\n.I 2.5\ns.\n%s.PP\n.nf\n77\n.fi\n"
    good = check(t, page % '.\\" test: integration/test_a.test_it\n', "docs/man/a.1")
    assert good.returncode == 0, good.stdout
    bad = check(t, page % "", "docs/man/a.1")
    assert bad.returncode == 1 and "docs/man/a.1:7: no test is named for 2.5 s" in " ".join(bad.stdout.split()), bad.stdout
