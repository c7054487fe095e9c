"""tests/bench/check, the comparison of counts with stored ones: what fails, what does not, and what is stored. The
counting itself is what make bench-check runs."""
import json
import os

from harness.process import run

COUNTS = {"system calls": 100, "allocations": 0, "instructions": 1000}
COMPILER = "a-compiler"


def script(t, *options, compiler=COMPILER, **counts):
    """The check on its own, with these counts in place of measured ones. Returns the finished process."""
    program = os.path.join(t.directory(), "compare")
    found = {"update": {**{key: [value] * 5 for key, value in {**COUNTS, **counts}.items()},
                        "by name": [{"read": 1}]}}
    with open(program, "w", encoding="utf-8") as file:
        file.write(f"""
import argparse, importlib.machinery, importlib.util, json, sys
loader = importlib.machinery.SourceFileLoader("check", {t.path("tests/bench/check")!r})
check = importlib.util.module_from_spec(importlib.util.spec_from_loader("check", loader))
loader.exec_module(check)
found = json.loads({json.dumps(found)!r})
arguments = argparse.Namespace(update="--update" in sys.argv, by_name=False)
sys.exit(check.compare(found, check.KINDS, {os.path.join(stored(t), compiler + ".json")!r}, arguments))
""")
    return run(["python3", program, *options], check=False)


def stored(t):
    if not hasattr(t, "stored_counts"):
        t.stored_counts = t.directory("stored")
    return t.stored_counts


def test_what_is_too_much(t):
    """Above the stored value by more than 3%, instructions by more than 10%; nothing becomes something."""
    assert script(t, "--update").returncode == 0
    for counts, fails in (({}, False), ({"system calls": 103}, False), ({"system calls": 103.1}, True),
                          ({"system calls": 50}, False), ({"allocations": 1}, True),
                          ({"instructions": 1100}, False), ({"instructions": 1101}, True)):
        done = script(t, **counts)
        assert done.returncode == fails, (counts, done.stdout)
        assert ("too high" in done.stdout and "none too high" not in done.stdout) == fails, done.stdout
    assert "lower" in script(t, **{"system calls": 50}).stdout
    tolerances = run(["python3", "-c", "import sys; exec(open(sys.argv[1]).read().partition('def count')[0]"
                      ".replace('__file__', 'sys.argv[1]')); print(USUAL_TOLERANCE, TOLERANCE)",
                      t.path("tests/bench/check")]).stdout
    assert tolerances == "0.03 {'instructions': 0.1}\n", tolerances


def test_a_count_that_is_not_stored_fails(t):
    assert script(t, "--update").returncode == 0
    path = os.path.join(stored(t), COMPILER + ".json")
    with open(path, encoding="utf-8") as file:
        values = json.load(file)
    del values["update"]["allocations"]
    with open(path, "w", encoding="utf-8") as file:
        json.dump(values, file)
    done = script(t)
    assert done.returncode == 1 and "not stored" in done.stdout, done.stdout


def test_another_compiler_is_measured_and_does_not_fail(t):
    assert script(t, "--update").returncode == 0
    done = script(t, compiler="another", **{"system calls": 1000})
    assert done.returncode == 0 and "1,000.00" in done.stdout and "not compared" in done.stdout, done.stdout


def test_an_update_stores_what_is_measured(t):
    assert script(t, "--update").returncode == 0
    done = script(t, "--update", **{"system calls": 1000})
    assert done.returncode == 0 and "commit it, and say why" in done.stdout, done.stdout
    assert script(t, **{"system calls": 1000}).returncode == 0
    with open(os.path.join(stored(t), COMPILER + ".json"), encoding="utf-8") as file:
        assert json.load(file) == {"update": {**COUNTS, "system calls": 1000}}


def test_every_script_is_stored(t):
    """For each compiler that has stored values."""
    names = [line.split()[0] for line in run([t.path("tests/bench/check"), "--list"]).stdout.splitlines()]
    folder = t.path("tests/bench/baseline")
    for name in os.listdir(folder):
        with open(os.path.join(folder, name), encoding="utf-8") as file:
            assert list(json.load(file)) == names, name
