"""Runs one test in a process of its own: one.py BUILD FILE FUNCTION SECONDS.

It adopts what its children leave behind, and what is still there after the test is a failure: a
server that did not end with its parent, or a test that started what it does not stop.
"""
import ctypes
import importlib.util
import os
import resource
import signal
import sys
import time
import traceback

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

from harness.context import Context  # noqa: E402
from harness.waiting import scaled, watch_stalls  # noqa: E402

_PR_SET_CHILD_SUBREAPER = 36


def load(path):
    name = os.path.splitext(os.path.basename(path))[0]
    spec = importlib.util.spec_from_file_location(name, path)
    module = importlib.util.module_from_spec(spec)
    sys.path.insert(0, os.path.dirname(path))
    spec.loader.exec_module(module)
    return module


def _children():
    """pid -> name of the processes that are our children now, the exited ones reaped."""
    while True:
        try:
            if os.waitpid(-1, os.WNOHANG)[0] == 0:
                break
        except ChildProcessError:
            return {}
    found = {}
    for task in os.listdir("/proc/self/task"):
        with open(f"/proc/self/task/{task}/children", encoding="ascii") as file:
            for pid in file.read().split():
                try:
                    with open(f"/proc/{pid}/comm", encoding="utf-8") as comm:
                        found[int(pid)] = comm.read().strip()
                except OSError:
                    pass
    return found


def left_behind():
    """What children remain after a moment; they are killed."""
    end = time.monotonic() + scaled(3)
    while _children() and time.monotonic() < end:
        time.sleep(0.02)
    remaining = _children()
    for pid in remaining:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
    return remaining


def _too_late(*_):
    raise TimeoutError("the test takes too long")


def main():
    build, path, function, seconds = sys.argv[1:]
    ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    # Tests with thousands of clients need as many descriptors.
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 65536) if hard > 0 else 65536, hard))
    watch_stalls()
    signal.signal(signal.SIGALRM, _too_late)
    signal.setitimer(signal.ITIMER_REAL, float(seconds))
    failed = False
    try:
        with Context(build) as context:
            getattr(load(path), function)(context)
    except BaseException:
        traceback.print_exc()
        failed = True
    signal.setitimer(signal.ITIMER_REAL, 0)
    remaining = left_behind()
    if remaining:
        print(f"left running after the test: {remaining}", file=sys.stderr)
        failed = True
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
