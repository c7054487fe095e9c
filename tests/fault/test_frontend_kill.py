"""A front-end is killed: the others report the end of its clients, once each, and of none that came back."""
import time

from harness import Versioned, scaled, stolen
from harness.faults import (GRACE, LEASE, SWEEP, NOTIFY, check_notified_once, crowd, key, node_id, start, stored, wait_know,
                            watchers)


def test_the_end_of_a_thousand_clients_is_reported_once_within_ten_seconds(t):
    """With the standard settings."""
    redis, (a, b, c) = start(t, 3)
    found = watchers(t, [b, c], 2)
    clients = crowd(t, a, 1000)
    wait_know(found, clients.ids)
    events = t.events(redis)
    began = time.monotonic()
    a.kill()
    clients.drop()
    ids = set(clients.ids)
    received = [watcher.wait_closed(ids, LEASE + GRACE + SWEEP + NOTIFY + 2) for watcher in found]
    assert max(received) - began <= scaled(10) + stolen(began), [at - began for at in received]
    assert min(received) - began >= GRACE, [at - began for at in received]
    check_notified_once(found, ids, 2)
    closed = [event.id for event in events.read() if event.op == "close"]
    assert sorted(closed) == sorted(ids), len(closed)
    assert events.count("orphan") == 1000
    events.check()
    assert stored(redis).keys() == {watcher.id for watcher in found}
    t.fsck(redis)
    t.wait_until(lambda: redis("ZCARD", key("nodes")) == 2, 5, "its lease is forgotten")
    assert redis("EXISTS", key("node", node_id(a))) == 0


def test_who_returns_in_time_gets_its_entry_back(t):
    """Its request waits until the lease has decided; the others are reported as gone."""
    redis, (a, b, c) = start(t, 3)
    found = watchers(t, [b, c])
    first = [t.connect(a, Versioned) for _ in range(6)]
    ids = [client.open(b"of a") for client in first]
    wait_know(found, ids)
    assert first[0].update(ids[0], 7, b"seven")
    a.kill()
    began = time.monotonic()
    # Two at once, on either; two when the lease has ended.
    early = [t.connect(frontend, Versioned) for frontend in (b, c)]
    assert early[0].update(ids[0], 8, b"eight")
    assert early[1].update(ids[1], 1, b"one")
    assert time.monotonic() - began <= scaled(LEASE + SWEEP + 1) + stolen(began)
    t.wait_until(lambda: redis("ZSCORE", key("deadlines"), b"c:" + ids[2]), LEASE + SWEEP + 1, "orphans")
    late = [t.connect(frontend, Versioned) for frontend in (b, c)]
    assert late[0].update(ids[2], 1, b"one")
    assert late[1].close(ids[3])
    gone = [ids[3], ids[4], ids[5]]
    for watcher in found:
        watcher.wait_closed(gone, LEASE + GRACE + SWEEP + NOTIFY + 2)
    check_notified_once(found, gone, 2)
    left = stored(redis)
    assert (left[ids[0]], left[ids[1]], left[ids[2]]) == (b"eight", b"one", b"one"), left
    # They are owned by the clients that returned, and by nobody else.
    assert not late[0].update(ids[0], 100, b"stolen")
    assert early[0].update(ids[0], 9, b"nine")
    t.fsck(redis)


def test_a_restarted_front_end_is_another_one(t):
    """Started at the same place at once, it is not taken for the killed one."""
    redis, (a, b) = start(t, 2, settings={"client.grace": "1s"})
    found = watchers(t, [b])
    client = t.connect(a, Versioned)
    id = client.open(b"here")
    wait_know(found, [id])
    a.kill()
    again = t.frontend(redis, node="a", settings={"client.grace": "1s"})
    assert node_id(again) != node_id(a)
    found[0].wait_closed([id], LEASE + 1 + SWEEP + NOTIFY + 2)
    check_notified_once(found, [id], 1)
    t.fsck(redis)
