"""Waiting for conditions. Every time-out of the tests goes through scaled(), so that a slower
build (sanitizers) only has to set TRACKER_TEST_SCALE.
"""
import contextlib
import os
import select
import threading
import time

SCALE = float(os.environ.get("TRACKER_TEST_SCALE", "1"))


def scaled(seconds):
    return seconds * SCALE


class _Stalls:
    """A thread that only sleeps, and notes for how long it did not wake: this process was stopped then, or the
    machine ran others."""
    NAP, LEAST = 0.02, 0.1

    def __init__(self):
        self.found = []  # (begin, end) of each
        self.woke = time.monotonic()
        self.lock = threading.Lock()
        self.start()

    def start(self):
        self.stopping = threading.Event()
        self.thread = threading.Thread(target=self._watch, daemon=True)
        self.thread.start()

    def stop(self):
        self.stopping.set()
        self.thread.join()
        # The kernel counts it for a moment longer than that.
        while len(os.listdir("/proc/self/task")) > threading.active_count():
            time.sleep(0.001)

    def _watch(self):
        while not self.stopping.wait(self.NAP):
            self.look()

    def look(self):
        """The one that asks may be the first that runs again."""
        with self.lock:
            now = time.monotonic()
            if now - self.woke >= self.LEAST:
                self.found.append((self.woke + self.NAP, now))
            self.woke = now


_stalls = None


def watch_stalls():
    """From now on; once, in the process of a test."""
    global _stalls
    _stalls = _Stalls()


@contextlib.contextmanager
def stalls_unwatched():
    """For what a process can do only while it has no other thread."""
    if _stalls is None:
        yield
        return
    _stalls.stop()
    try:
        yield
    finally:
        _stalls.start()


def stolen(since):
    """The seconds since that time of time.monotonic() in which this process was stopped, or waited for a processor.
    What a test's own process measured too late is no lateness of what it tests: an upper bound allows that much
    more, and still fails where nothing was stolen."""
    if _stalls is None:
        return 0
    _stalls.look()
    return sum(end - max(begin, since) for begin, end in _stalls.found if end > since)


def wait_until(predicate, timeout=10, what=None, interval=0.01):
    """Calls predicate until what it returns is true, and returns that. what: text, or a function
    that describes the state when the time is over."""
    began = time.monotonic()
    while True:
        result = predicate()
        if result:
            return result
        if time.monotonic() - began >= scaled(timeout) + stolen(began):
            text = what() if callable(what) else what
            raise AssertionError(f"not within {scaled(timeout):g} s: {text or predicate}")
        time.sleep(interval)


def check_in_time(attempt, attempts=3):
    """attempt() returns times by name, each with its bounds: (found, least, most). Any process may be stopped for a
    while, so that one attempt says nothing; what is slow, or hasty, is so each time."""
    seen = []
    for _ in range(attempts):
        seen.append(attempt())
        if all(least <= found <= most for found, least, most in seen[-1].values()):
            print(seen)
            return
    raise AssertionError(f"never in time: {seen}")


def readable(socket, seconds):
    """Whether the socket has something to read within that time; for any descriptor's number."""
    poll = select.poll()
    poll.register(socket, select.POLLIN)
    return bool(poll.poll(max(0, seconds) * 1000))
