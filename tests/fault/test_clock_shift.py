"""A front-end whose time of day is shifted: its log shows it, and nothing else."""
import calendar
import time

from harness.clock import Clock
from harness.faults import wait_swept
from harness.jwt import Issuer
from harness.process import logfmt
from harness.tracker import packets
from harness.websocket import BINARY, CLOSE, WebSocket, wait_for_frame

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


def test_tokens_are_judged_by_redis_time(t):
    """One that is valid by the clock that all front-ends share is, whatever that of a host says; and the reverse."""
    redis, issuer = t.redis(), Issuer()
    for shift in (-DAY, DAY):
        clock = Clock(t)
        clock.shift(shift)
        frontend = t.frontend(redis, settings=issuer.settings(), environment=clock.environment)
        now = int(time.time())
        for path in ("/tracker", "/sync", "/turntable"):
            for claims, is_valid in (({"exp": now + 3600}, True), ({"exp": now + 3600, "nbf": now - 60}, True),
                                     ({"exp": now - 3600}, False), ({"exp": now + DAY + 60, "nbf": now + 3600}, False)):
                websocket = WebSocket(frontend.address("web"), f"{path}?token={issuer.token(**claims)}")
                t.stack.callback(websocket.drop)
                if not is_valid:
                    assert websocket.read_frame().opcode == CLOSE, (shift, path, claims)
                elif path == "/tracker":
                    websocket.send_frame(BINARY, packets.plain.get)
                    assert wait_for_frame(websocket, BINARY).payload[-1:] == b"}"
                else:
                    websocket.socket.settimeout(0.2)
                    try:
                        assert websocket.read_frame().opcode != CLOSE, (shift, path, claims)
                    except OSError:
                        pass  # it is open, and nothing has been sent
        frontend.stop()
