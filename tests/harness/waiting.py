"""Waiting for conditions. Every time-out of the tests goes through scaled(), so that a slower
build (sanitizers) only has to set TRACKER_TEST_SCALE.
"""
import os
import select
import time

SCALE = float(os.environ.get("TRACKER_TEST_SCALE", "1"))


def scaled(seconds):
    return seconds * SCALE


def wait_until(predicate, timeout=10, what=None, interval=0.01):
    """Calls predicate until what it returns is true, and returns that. what: text, or a function
    that tells the state of things when the time is over."""
    end = time.monotonic() + scaled(timeout)
    while True:
        result = predicate()
        if result:
            return result
        if time.monotonic() >= end:
            text = what() if callable(what) else what
            raise AssertionError(f"not within {scaled(timeout):g} s: {text or predicate}")
        time.sleep(interval)


def readable(socket, seconds):
    """Whether the socket has something to read within that time; for any descriptor's number."""
    poll = select.poll()
    poll.register(socket, select.POLLIN)
    return bool(poll.poll(max(0, seconds) * 1000))
