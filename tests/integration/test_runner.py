"""The test runner itself: what fails must be seen to fail."""
import importlib.machinery
import importlib.util
import os
import sys

from harness.process import run

HARNESS = "import os, subprocess, sys, time\n"


def tests_of(t, **files):
    """A directory of tests with these integration tests, and one that passes of every other kind."""
    directory = t.directory("tests")
    for kind in ("integration", "conformance", "fault"):
        os.mkdir(os.path.join(directory, kind))
    for name, text in {"conformance/test_fine": "def test_it(t):\n    pass\n",
                       "fault/test_fine": "def test_it(t):\n    pass\n",
                       **{f"integration/test_{name}": text for name, text in files.items()}}.items():
        with open(os.path.join(directory, name + ".py"), "w", encoding="utf-8") as file:
            file.write(HARNESS + text)
    return directory


def run_tests(t, directory, build=None, *arguments):
    done = run([sys.executable, t.path("tests/run"), "--tests", directory, "--build", build or t.directory(),
                "--filter", "integration|fine|unit/", *arguments], timeout=60, check=False)
    return done.returncode, done.stdout


def test_passing_and_failing(t):
    code, output = run_tests(t, tests_of(t, a="def test_good(t):\n    pass\ndef test_bad(t):\n    assert 1 == 2, 'see me'\n"))
    assert code == 1 and "AssertionError: see me" in output, output
    assert output.endswith("\n3 passed, 1 failed\n"), output


def test_only_passing(t):
    code, output = run_tests(t, tests_of(t, a="def test_good(t):\n    pass\n"))
    assert code == 0 and output.endswith("\n3 passed, 0 failed\n"), output


def test_nothing_to_run_is_a_failure(t):
    code, output = run_tests(t, tests_of(t, a="def test_good(t):\n    pass\n"), None, "--filter", "no such test")
    assert code == 1 and output.endswith("0 passed, 0 failed\n"), output


def test_an_empty_kind_is_a_failure(t):
    code, output = run_tests(t, tests_of(t))
    assert code == 1 and "tests/integration has no test_*.py" in output, output


def test_a_file_without_tests_and_one_that_does_not_parse_are_failures(t):
    code, output = run_tests(t, tests_of(t, a="x = 1\n", b="def test_x(t:\n"))
    assert code == 1 and "has no function test_*" in output and output.endswith("2 passed, 2 failed\n"), output


def test_a_time_out_is_a_failure(t):
    code, output = run_tests(t, tests_of(t, a="TIMEOUT = 0.5\ndef test_slow(t):\n    time.sleep(100)\n"))
    assert code == 1 and "the test takes too long" in output and output.endswith("2 passed, 1 failed\n"), output


def test_what_a_test_leaves_running_is_a_failure_and_is_ended(t):
    pid_file = os.path.join(t.directory(), "pid")
    text = ("def test_child(t):\n"
            "    child = subprocess.Popen(['sleep', '1000'], start_new_session=True)\n"
            f"    open({pid_file!r}, 'w').write(str(child.pid))\n")
    code, output = run_tests(t, tests_of(t, a=text))
    assert code == 1 and "left running" in output, output
    with open(pid_file, encoding="ascii") as file:
        assert not os.path.exists(f"/proc/{file.read()}")


def test_a_test_that_kills_its_process_is_a_failure(t):
    code, output = run_tests(t, tests_of(t, a="def test_crash(t):\n    os.kill(os.getpid(), 9)\n"))
    assert code == 1 and output.endswith("2 passed, 1 failed\n"), output


def unit_program(t, script):
    """A directory of tests and a build with one unit program that is this shell script."""
    tests, build = tests_of(t, a="def test_good(t):\n    pass\n"), t.directory("build")
    for root, name, text in ((tests, "test_it.c", ""), (build, "test_it", "#!/bin/sh\n" + script)):
        os.makedirs(os.path.join(root, "unit", "pkg"))
        path = os.path.join(root, "unit", "pkg", name)
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
        os.chmod(path, 0o755)
    return tests, build


def test_unit_programs(t):
    """Each line counts; a skip, a crash, a missing line and a sanitizer's exit are failures."""
    for script, summary in (
            ("echo 1..2; echo ok 1 - a; echo ok 2 - b", "5 passed, 0 failed"),
            ("echo 1..2; echo ok 1 - a; echo not ok 2 - b; exit 1", "4 passed, 1 failed"),
            ("echo 1..2; echo ok 1 - a; echo 'not ok 2 # SKIP b'", "4 passed, 1 failed"),
            ("echo 1..2; echo ok 1 - a; echo 'ok 2 # SKIP b'", "4 passed, 1 failed"),
            ("echo 1..2; echo ok 1 - a; kill -SEGV $$", "4 passed, 1 failed"),
            ("echo 1..2; echo ok 1 - a", "4 passed, 1 failed"),
            ("echo 1..1; echo ok 1 - a; exit 99", "4 passed, 1 failed"),
            ("exit 0", "3 passed, 1 failed")):
        code, output = run_tests(t, *unit_program(t, script))
        assert output.endswith(f"\n{summary}\n"), (script, output)
        assert code == (0 if summary.endswith(" 0 failed") else 1), script


def test_a_unit_test_that_is_not_built_is_a_failure(t):
    tests, build = unit_program(t, "")
    os.unlink(os.path.join(build, "unit", "pkg", "test_it"))
    code, output = run_tests(t, tests, build)
    assert code == 1 and "is not built" in output, output


def test_more_run_at_once_while_processors_are_idle(t):
    loader = importlib.machinery.SourceFileLoader("tests_run", t.path("tests/run"))
    runner = importlib.util.module_from_spec(importlib.util.spec_from_loader("tests_run", loader))
    loader.exec_module(runner)
    limit = runner.Limit(0, processors=2)
    assert limit.now == 4
    limit.change(0.9, running=3)
    assert limit.now == 4, "there is room already"
    for _ in range(20):
        limit.change(0.5, running=limit.now)
    assert limit.now == limit.most == 12
    limit.change(0.2, running=12)
    assert limit.now == 12, "neither idle nor busy"
    limit.change(0.0, running=9)
    assert limit.now == 8, "what runs is too much"
    for _ in range(20):
        limit.change(0.05, running=limit.now)
    assert limit.now == 4 and limit.highest == 12
    fixed = runner.Limit(3)
    for idle in (0.9, 0.0):
        fixed.change(idle, running=3)
        assert fixed.now == 3
