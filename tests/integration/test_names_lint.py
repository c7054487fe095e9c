"""The check of names (tests/lint/names), and the figures of a tree (tests/lint/figures): what they see in C, and what they must not."""
import os

# What is easily taken for something else: each file defines what its last line lists, and nothing more.
TRICKY = [
    ("int first(int a)\n{\n    return second(a);\n}\n", "first"),
    ("int declared(int a);\nextern int (*pointer)(int);\ntypedef int callback(int a);\nint used = sizeof(int);\n", ""),
    ("#define MAKE(name) static void name##_x(void) { run(); }\nMAKE(a)\n#define LONG(a) \\\n    void not_this(void) \\\n    {}\n", ""),
    ("/* void comment(void) { */ static const char *text = \"void f(void) {\";\nvoid real(void) {}\n", "real"),
    ("static struct bytes (*pairs_of(int count))[2]\n{\n    return 0;\n}\n", "pairs_of"),
    ("__attribute__((format(printf, 1, 2))) static void warn(const char *f, ...) { }\n", "warn"),
    ("static void late(void) __attribute__((cold));\nstatic void late(void)\n{\n}\n", "late"),
    ("MUST_CHECK(1) int checked(int a) NONNULL(1)\n{\n    return a;\n}\n", "checked"),
    ("#ifdef X\nvoid either(int a)\n{\n    if (a) {\n#else\nvoid either(long a)\n{\n    if (!a) {\n#endif\n    }\n}\nvoid behind(void) {}\n",
     "behind either"),
    ("#if 0\nvoid gone(void) {}\n#else\nvoid there(void) {}\n#endif\n", "there"),
    ("#ifdef __cplusplus\nextern \"C\" {\n#endif\nint in_c(void) { return 0; }\n#ifdef __cplusplus\n}\n#endif\n", "in_c"),
    ("struct table rows[] = {{\"a\", run(1)}, {\"b\", {2}}};\nenum kind { A, B };\nchar c = '{';\nvoid last(void) {}\n", "last"),
]
CALLBACK = "static void on_closed(void *arg)\n{\n}\nconst struct handler %s = {.closed = on_closed};\n"


def run_lint(t, script, files, *arguments):
    directory = t.directory("names")
    for path, content in files.items():
        path = os.path.join(directory, path)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w", encoding="utf-8") as file:
            file.write(content)
    return t.run("/bin/sh", "-c", 'cd "$0" && exec "$@"', directory, t.path("tests/lint/" + script), *arguments, check=False)


def twice(first, second=None):
    return {"pkg/one/a.c": first, "pkg/two/b.c": second or first}


def test_what_is_a_function(t):
    for text, names in TRICKY:
        result = run_lint(t, "figures", {"one/a.c": text, "two/a.c": text}, "one", "two", "--list")
        found = sorted(line.split()[0] for line in result.stdout.partition("\nnames of functions")[2].splitlines()[1:]
                       if line.startswith("  ") and "one/a.c two/a.c" in line)
        assert result.returncode == 0 and found == names.split(), (text, found, result.stderr)


def test_names_that_are_not_unique(t):
    for files, why in [
            (twice("static void find(void)\n{\n}\n"), "function find is defined 2 times: pkg/one/a.c:1, pkg/two/b.c:1"),
            (twice("struct entry {\n    int a;\n};\n"), "struct entry is defined 2 times"),
            (twice("void f(void)\n{\n    union part { int a; } x;\n}\n", "union part { int a; };\n"), "struct part is defined 2 times"),
            (twice(CALLBACK % "a", "static void on_closed(void *arg) {}\nstruct handler b = {.ended = on_closed};\n"), "function on_closed"),
            (twice(CALLBACK % "a", "static void on_closed(void *arg) {}\nvoid g(void) { start(on_closed); }\n"), "function on_closed"),
            (twice(CALLBACK % "a", "void on_closed(void *arg) {}\nstruct handler b = {.closed = on_closed};\n"), "function on_closed")]:
        result = run_lint(t, "names", files)
        assert result.returncode == 1 and why in result.stdout, (files, result.stdout, result.stderr)


def test_names_that_may_be_shared(t):
    for files in [twice(CALLBACK % "a", CALLBACK % "b"),
                  twice("static void one(void) { struct entry *entry; }\n", "struct entry;\nstruct entry *two(void);\n"),
                  {"cmd/one/main.c": "int main(void) { return 0; }\n", "cmd/two/main.c": "int main(void) { return 0; }\n"},
                  {"pkg/one/a.c": "void find(void) {}\n", "tests/unit/test_a.c": "void find(void) {}\n"}]:
        result = run_lint(t, "names", files)
        assert result.returncode == 0, (files, result.stdout, result.stderr)


def in_scripts(ending, first, second=None):
    return {f"pkg/one/a{ending}": first, f"pkg/two/b{ending}": second or first}


def test_names_of_scripts_that_are_not_unique(t):
    for files, name in [
            (in_scripts(".lua", "local function find(key)\n    return key\nend\n"), "find"),
            (in_scripts(".lua", "function judge.open(op) end\n"), "judge.open"),
            (in_scripts(".js", "function draw() {}\n", "export async function draw() {}\n"), "draw"),
            (in_scripts(".js", "export class Table extends EventTarget {}\n", "class Table {}\n"), "Table"),
            (in_scripts(".js", "export const fold = (text) => text;\n", "const fold = async one => one;\n"), "fold")]:
        result = run_lint(t, "names", files)
        assert result.returncode == 1 and f"function {name} is defined 2 times" in result.stdout, (files, result.stdout, result.stderr)


def test_names_of_scripts_that_may_be_shared(t):
    for files in [in_scripts(".lua", "function judge.open(op) end\n", "function write.open(op) end\n"),
                  in_scripts(".lua", "-- function find(key)\nlocal text = 1\n"),
                  in_scripts(".js", "class A {\n  draw() {}\n}\n", "class B {\n  draw() {}\n}\n"),
                  in_scripts(".js", "const count = words.map((one) => one.length);\n"),
                  {"pkg/a.lua": "function find() end\n", "pkg/b.js": "function find() {}\n", "pkg/c.c": "void find(void) {}\n"}]:
        result = run_lint(t, "names", files)
        assert result.returncode == 0, (files, result.stdout, result.stderr)


def test_figures(t):
    header = "#ifndef A_H\n#define A_H\nint shared(int a);\nint other(void);\n#endif\n"
    result = run_lint(t, "figures", {
        "src/a/a.h": header, "src/a/a_private.h": "void hidden(void);\n", "src/b/b.h": '#include "a/a.h"\n',
        "src/a/a.c": '#include "b/b.h"\nint shared(int a)\n{\n    return a;\n}\n' + "\n" * 500,
        "src/b/b.c": "static int shared(int a)\n{\n    int b = a;\n    return b;\n}\nstatic int later(void);\n",
        "src/c/c.c": "int shared(void) { return 0; }\nint alone(void)\n{\n    return 1;\n}\nstruct s { int a; };\n",
        "src/c/d.c": 'struct s { int b; };\n#include "../b/b.h"\n'}, "src")
    figures = dict((line[:40].strip(), line[40:].strip()) for line in result.stdout.splitlines())
    assert figures == {
        "files; lines": "7; 526", "functions": "4", "function length: median, p90, p99, max": "4, 5, 5, 5",
        "function names in more than one file": "1", "function names in more than two files": "1",
        "the same without callbacks": "1; 1", "structs that share a name": "1", "files over 500 lines": "1",
        "packages; edges": "3; 3", "cycles; packages in cycles": "1; 2", "prototypes: public, private, in .c": "2, 1, 1"}, figures
