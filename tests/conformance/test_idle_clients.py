"""The page and the JavaScript client when they say nothing, and reads of what they have written."""
import time

from harness.live import Stream
from harness.node import run_script
from harness.waiting import scaled

LIMITS = {"access.connect_rate": "0", "tracker.rate": "0", "budget.rate": "0", "budget.address_rate": "0"}
TTL = 6  # pings as often within it as by default: every two thirds of it
IDLE = {**LIMITS, "client.ttl": f"{TTL}s", "ws.ping_interval": f"{TTL * 2 // 3}s"}
PREFIX = b"tracker:{main/1/0}:client:"


def web(frontend):
    host, port = frontend.address("web")
    return f"http://{host}:{port}"


def test_idle_clients_stay_what_they_are(t):
    """For several TTLs no event names them, none of their keys is missing, and they are there since the same time."""
    redis = t.redis()
    a, b = t.frontends(2, redis, settings=IDLE)

    def watch():
        stream = Stream(t, b)
        stream.until(t, lambda: stream.live and len(stream.entries) == 6, "six clients")
        since = {name: (entry["since"], entry["version"]) for name, entry in stream.entries.items()}
        first, end = len(stream.events), time.monotonic() + scaled(4 * TTL)
        while time.monotonic() < end:
            assert stream.read(0.05)
            for name in since:
                assert redis("EXISTS", PREFIX + name.encode()) == 1, name
        received = [event for event in stream.events[first:] if event[0] not in ("stats", "nodes")]
        assert not received, received
        assert {name: (entry["since"], entry["version"]) for name, entry in stream.entries.items()} == since
        for name, (when, _) in since.items():
            assert int(redis("HGET", PREFIX + name.encode(), "since")) == when, name
    run_script(t, "idle.mjs", "idle", web(a), actions={"watch": watch}, timeout=150)


def test_reads_include_what_was_acknowledged(t):
    """However late the events of Redis come: at both front-ends by a fifth of a second."""
    redis = t.redis()
    links = [t.links(redis, delay=0.2) for _ in range(2)]
    frontends = [t.frontend(link.url, settings=LIMITS) for link in links]
    run_script(t, "idle.mjs", "reads what it has written", *map(web, frontends), timeout=150)
