"""A front-end whose time of day is shifted: its log shows it, and nothing else."""
import calendar
import time

from harness.clock import Clock
from harness.faults import wait_swept
from harness.process import logfmt

DAY = 86400


def test_timers_do_not_depend_on_the_time_of_day(t):
    clock = Clock(t)
    redis = t.redis()
    # More than the machine has been up, so that a monotonic time taken for one of day would be negative.
    uptime = time.clock_gettime(time.CLOCK_MONOTONIC)
    shift = DAY * (2 + uptime // DAY)
    clock.shift(shift)
    frontend = t.frontend(redis, settings={"map.sweep": "200ms"}, environment=clock.environment)
    at = calendar.timegm(time.strptime(logfmt(frontend.log_lines(r"msg=ready")[0])["ts"][:19], "%Y-%m-%dT%H:%M:%S"))
    assert abs(at - time.time() - shift) < DAY / 2, at
    for seconds in (shift, 0, -5, 5, -shift):
        clock.shift(seconds)
        # Nothing but its own timers wakes it.
        wait_swept(redis, 20)
        wait_swept(redis, 20)
    assert frontend.http("/readyz")[0] == 200
    assert not frontend.log_lines("level=error"), frontend.log
