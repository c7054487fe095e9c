"""The comparison of assertions (tests/lint/assertions): what it counts, follows, and must not miss."""
import os

GIT = ("git", "-c", "user.name=a", "-c", "user.email=a@localhost")
C = """#include <cmocka.h>
static void expect_size(int size)
{
    assert_int_equal(size, 1);
}
static void test_one(void **state)
{
    /* assert_true(0); */
    expect_size(1);
    expect_size(2);
    fail_msg("assert_true(%d)", 1);
}
static void test_two(void **state)
{
    assert_true(1);
    puts("two");
}
"""
PYTHON = """from harness import wait_until
def check_it(x):
    if not x:
        raise AssertionError("no")
def quiet(x):
    return x
def test_it(t):
    assert t, "assert that"
    check_it(1)
    quiet(2)
    wait_until(t)
"""
HARNESS = "def wait_until(predicate):\n    assert predicate()\n"
FILES = {"tests/unit/a/test_a.c": C, "tests/integration/test_b.py": PYTHON, "tests/harness/waiting.py": HARNESS}


class Tree:
    def __init__(self, t):
        self.t, self.directory = t, t.directory("assertions")
        self.do(*GIT, "init", "-q")
        self.write(FILES)
        self.commit()

    def do(self, *command, check=True):
        return self.t.run("/bin/sh", "-c", 'cd "$0" && exec "$@"', self.directory, *command, check=check)

    def write(self, files):
        for path, text in files.items():
            full = os.path.join(self.directory, path)
            os.makedirs(os.path.dirname(full), exist_ok=True)
            with open(full, "w", encoding="utf-8") as file:
                file.write(text)

    def commit(self):
        self.do("git", "add", "-A")
        self.do(*GIT, "commit", "-q", "-m", "tests: change")

    def compare(self, *arguments):
        """(exit code, its lines) of the first commit against the work tree."""
        first = self.do("git", "rev-list", "--max-parents=0", "HEAD").stdout.strip()
        done = self.do(self.t.path("tests/lint/assertions"), *arguments, first, check=False)
        assert not done.stderr, done.stderr
        return done.returncode, [" ".join(line.split()) for line in done.stdout.splitlines()]


def test_what_counts_as_an_assertion(t):
    code, lines = Tree(t).compare("--list")
    assert code == 0, lines
    # The helper's own, two calls of it, fail_msg, and one in the second test; in Python each kind once.
    assert "file: 5 -> 5 tests/unit/a/test_a.c" in lines, lines
    assert "file: 4 -> 4 tests/integration/test_b.py" in lines, lines
    assert lines[-1] == "total 10 -> 10 0 files have fewer, 0 folders", lines


def test_a_lost_assertion_is_found(t):
    for path, text, count in (("tests/unit/a/test_a.c", C.replace("    expect_size(2);\n", ""), "5 -> 4"),
                              ("tests/integration/test_b.py", PYTHON.replace("check_it(1)", "quiet(1)"), "4 -> 3"),
                              ("tests/harness/waiting.py", HARNESS.replace("assert", "return"), "1 -> 0")):
        tree = Tree(t)
        tree.write({path: text})
        code, lines = tree.compare()
        assert code == 1 and f"fewer: {count} {path}" in lines, lines
        assert f"LESS {count} {os.path.dirname(path)}" in lines, lines


def test_renamed_helpers_and_files_are_followed(t):
    tree = Tree(t)
    tree.do("mkdir", "-p", "tests/unit/b")
    tree.do("git", "mv", "tests/unit/a/test_a.c", "tests/unit/b/test_c.c")
    tree.write({"tests/unit/b/test_c.c": C.replace("expect_size", "size_must_be")})
    tree.commit()
    code, lines = tree.compare("--list")
    assert code == 0 and "file: 5 -> 5 tests/unit/a/test_a.c -> tests/unit/b/test_c.c" in lines, lines
    assert "total 5 -> 5 tests/unit/a tests/unit/b" in lines, lines


def test_assertions_may_move_within_a_folder(t):
    tree = Tree(t)
    head, _, two = C.partition("static void test_two")
    tree.write({"tests/unit/a/test_a.c": head, "tests/unit/a/test_new.c": "static void test_two" + two})
    tree.commit()
    code, lines = tree.compare()
    assert code == 0, lines
    assert "total 5 -> 5 tests/unit/a" in lines, lines
