"""All front-ends are killed: the TTLs empty the map, and the next front-end clears the indexes."""
from harness import Versioned
from harness.faults import (LISTEN, check_notified_once, crowd, key, node_id, start, stored, wait_agreement, wait_know,
                            watchers)

SETTINGS = {"client.ttl": "4s", "client.grace": "1s", "map.recovery_grace": "2s"}


def test_the_map_empties(t):
    redis, frontends = start(t, 3, settings=SETTINGS)
    for frontend in frontends:
        crowd(t, frontend, 100)
    # One waits for its client at that moment.
    client = t.connect(frontends[0], Versioned)
    id = client.open(b"waits")
    client.drop()
    t.wait_until(lambda: redis("ZSCORE", key("deadlines"), b"c:" + id), what="a deadline")
    for frontend in frontends:
        frontend.kill()
    assert len(stored(redis)) == 301
    t.wait_until(lambda: not stored(redis), 4 + 2, lambda: f"{len(stored(redis))} client keys are left")
    assert redis("HLEN", key("node", node_id(frontends[0]))) == 100, "the indexes have no TTL"
    events = t.events(redis)
    later = t.frontend(redis, node="later", listen=LISTEN, settings=SETTINGS)
    # One of the killed front-ends returns before the indexes have been cleared: it is listed once.
    again = t.connect(later, Versioned)
    assert again.update(id, 1, b"back")
    events.wait(lambda found: sum(event.op == "close" for event in found) == 300, 10, "300 closings")
    t.wait_until(lambda: redis("ZCARD", key("nodes")) == 1, 5, "the killed front-ends are removed")
    left = redis.keys(key("node", b"*").replace(b"{", b"[{]"))
    assert left == [key("node", node_id(later))], left
    assert redis("HGET", key("head"), "entries") == b"1"
    assert redis("ZCARD", key("deadlines")) == 0
    events.check()
    wait_agreement(t, redis, [later], {id: b"back"})
    t.fsck(redis)


def test_the_next_front_end_reports_returned_and_lost_clients(t):
    """Started before the TTLs have ended: clients that return are not reported as gone, the others are."""
    settings = {"client.grace": "2s", "map.recovery_grace": "1s"}
    redis, (a,) = start(t, 1, settings=settings)
    clients = [t.connect(a, Versioned) for _ in range(10)]
    ids = [client.open(b"old") for client in clients]
    a.kill()
    b = t.frontend(redis, node="b", listen=LISTEN, settings=settings)
    watcher, = watchers(t, [b])
    wait_know([watcher], ids)
    returned = [t.connect(b, Versioned) for _ in range(5)]
    for client, id in zip(returned, ids):
        assert client.update(id, 1, b"back")
    watcher.wait_closed(ids[5:], 12)
    check_notified_once([watcher], ids[5:], 1)
    expected = {id: b"back" for id in ids[:5]}
    expected[watcher.id] = b"watcher0"
    wait_agreement(t, redis, [b], expected)
    t.fsck(redis)
