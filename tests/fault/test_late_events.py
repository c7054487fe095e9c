"""Front-ends that the events of Redis reach late, over a slow link: ready with any lag of less than 3 s, and with
a longer one their connections to Redis are made anew."""
import time

from harness import Versioned

# What takes so long to come back is not ended by the time-outs of the connections themselves.
PATIENT = {"redis.timeout": "1m", "redis.connect_timeout": "1m"}
NOT_IN_TIME = b"not ready: events of Redis do not arrive in time\n"


def behind(t, delay=0.0):
    links = t.links(t.redis(), delay=delay)
    frontend = t.frontend(links.url, settings=PATIENT)
    return frontend, links


def stays_ready(t, frontend, seconds=5):
    """All the time, and no connection is made anew. Where something was stopped meanwhile that begins again."""
    def is_steady():
        began, resets = time.monotonic(), len(frontend.log_lines("pubsub_stalled"))
        while time.monotonic() - began < seconds:
            if not frontend.ready():
                return False
            time.sleep(0.1)
        return len(frontend.log_lines("pubsub_stalled")) == resets
    t.wait_until(is_steady, 30, "it stays ready")


def check_lag(t, delay):
    """From the start, and of one that was ready before."""
    frontend, links = behind(t, delay)
    stays_ready(t, frontend)
    links.delay = 0.0
    watcher = t.connect(frontend, Versioned)
    watcher.open(b"watcher")
    links.delay = delay
    stays_ready(t, frontend)
    id = t.connect(frontend, Versioned).open(b"late")
    watcher.wait_for_state(id, b"late")


def test_half_a_second(t):
    check_lag(t, 0.5)


def test_more_than_the_interval_at_which_they_are_expected(t):
    check_lag(t, 1.5)


def test_almost_as_late_as_is_accepted(t):
    check_lag(t, 2.5)


def check_too_late(t, delay):
    frontend, links = behind(t)
    connects = frontend.metric("tracker_redis_connects_total")
    links.delay = delay
    frontend.wait_for_log("level=warn msg=pubsub_stalled", 20)
    t.wait_until(lambda: frontend.http("/readyz")[2] == NOT_IN_TIME, 10, "it is not ready")
    # At first the link for events alone; the next time is within 30 s.
    frontend.wait_for_metric("tracker_redis_connects_total", connects + 1, 20)
    frontend.wait_for_log("msg=redis_connections_reset", 40)
    assert len(frontend.log_lines("pubsub_stalled")) >= 2
    assert b"not ready" in frontend.http("/readyz")[2]
    links.delay = 1.5
    stays_ready(t, frontend)


def test_a_little_too_late(t):
    """It comes between two looks for what is missing, and is noticed by its coming."""
    check_too_late(t, 3.3)


def test_much_too_late(t):
    check_too_late(t, 6)
