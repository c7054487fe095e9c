"""A client falls silent while its connection stays: it is closed after client.ttl, and everybody is told once. Who answers
TCP's probes, or says something, is heard."""
import time

from harness import Versioned, scaled
from harness.faults import SWEEP, TELL, Watcher, check_told_once, key, start, wait_know

TTL = 4
# On the first nobody is asked whether he is still there; on the second everybody is, each second.
LISTEN = ("tracker=127.0.0.1:0,keepalive=0", "tracker=127.0.0.1:0,keepalive=1s,keepalive_interval=1s", "web=127.0.0.1:0")
SETTINGS = {"client.ttl": f"{TTL}s", "client.grace": "1s"}


def watch(t, frontends):
    """Watchers that answer probes."""
    found = [t.connect(frontend, Watcher, index=1) for frontend in frontends]
    for watcher in found:
        watcher.open(b"watcher")
    return found


def pttl(redis, id):
    return redis("PTTL", key("client", id))


def test_it_is_closed_after_the_ttl(t):
    redis, (a, b) = start(t, 2, listen=LISTEN, settings=SETTINGS)
    found = watch(t, [a, b])
    events = t.events(redis)
    client = t.connect(a, Versioned)
    began = time.monotonic()
    id = client.open(b"here")
    wait_know(found, [id])
    # redis-cli shows how long it has left; nobody renews it.
    t.wait_until(lambda: 0 < pttl(redis, id) < 1500, what="its time runs out")
    told = [watcher.wait_closed([id], TTL + SWEEP + TELL + 2) for watcher in found]
    assert min(told) - began >= TTL - 0.1 and max(told) - began <= scaled(TTL + SWEEP + TELL + 1), (began, told)
    assert client.closed(2)
    assert a.metric("tracker_connections_closed_total", reason="silent") == 1
    check_told_once(found, [id], 2)
    assert [event.op for event in events.of(id)].count("close") == 1, events.of(id)
    t.fsck(redis)


def test_who_is_heard_stays(t):
    redis, (a, b) = start(t, 2, listen=LISTEN, settings=SETTINGS)
    found = watch(t, [b])
    quiet = t.connect(a, Versioned, index=1)
    talking = t.connect(a, Versioned)
    ids = [quiet.open(b"answers probes"), talking.open(b"0")]
    wait_know(found, ids)
    least = {id: TTL * 1000 for id in ids}
    end = time.monotonic() + 2.5 * TTL
    version = 0
    while time.monotonic() < end:
        version += 1
        assert talking.update(talking.id, version, b"%d" % version)
        for id in ids:
            least[id] = min(least[id], pttl(redis, id))
        time.sleep(0.2)
    assert min(least.values()) > 0, f"a TTL ran out: {least}"
    check_told_once(found, [], 0.5)
    t.fsck(redis)
