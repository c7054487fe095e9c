"""Redis is killed and comes back with its data, from its append-only file."""
import time

from harness import Versioned, scaled, stolen
from harness.faults import (SWEEP, NOTIFY, Reader, check_notified_once, crowd, key, start, wait_agreement, wait_hold_over,
                            wait_know, watchers)

AOF = {"appendonly": "yes", "appendfsync": "always"}


def test_nobody_is_reported_as_gone(t):
    """With the standard settings."""
    redis, frontends = start(t, 2, **AOF)
    a, b = frontends
    found = watchers(t, frontends)
    clients = [t.connect(frontend, Versioned) for frontend in frontends for _ in range(5)]
    ids = [client.open(b"before") for client in clients]
    wait_know(found, ids)
    epoch = redis("HGET", key("head"), "epoch")
    redis.kill()
    t.wait_until(lambda: not a.ready() and not b.ready(), what="not ready")
    leaves = clients.pop()
    leaves_id = ids.pop()
    leaves.drop()
    redis.start()
    back = time.monotonic()
    for client, id in zip(clients, ids):
        assert client.update(id, 1, b"after")
    # What each front-end's clients wrote is seen by the others.
    for watcher in found:
        watcher.wait_for_map(lambda states: all(states.get(id) == b"after" for id in ids))
    assert time.monotonic() - back <= scaled(4) + stolen(back), "two seconds of backoff, and two after the link"
    assert redis("HGET", key("head"), "epoch") != epoch
    check_notified_once(found, [], 1)
    # The client that left meanwhile is reported when the recovery grace is over, and only it.
    wait_hold_over(redis)
    for watcher in found:
        watcher.wait_closed([leaves_id], SWEEP + NOTIFY + 3)
    check_notified_once(found, [leaves_id], 1)
    expected = {id: b"after" for id in ids}
    expected.update({found[0].id: b"watcher0", found[1].id: b"watcher1"})
    wait_agreement(t, redis, frontends, expected)
    t.fsck(redis)


def test_views_live_on_when_nothing_changes(t):
    """No client writes after the restart: views must not need an event to be complete again."""
    redis, frontends = start(t, 3, settings={"map.recovery_grace": "1s"}, **AOF)
    found = watchers(t, frontends)
    readers = [Reader(t, frontend) for frontend in frontends]
    expected = {watcher.id: b"watcher%d" % number for number, watcher in enumerate(found)}
    for reader in readers:
        t.wait_until(lambda: reader.read() == expected)
    redis.kill()
    redis.start()
    for frontend in frontends:
        t.wait_until(frontend.ready, 15)
    stale = [frontend.metric("tracker_stale_reads_total") for frontend in frontends]
    for reader, frontend, before in zip(readers, frontends, stale):
        began = time.monotonic()
        assert reader.read() == expected
        assert time.monotonic() - began < scaled(2) + stolen(began)
        assert frontend.metric("tracker_stale_reads_total") == before, frontend.name
    check_notified_once(found, [], 1)
    t.fsck(redis)


def test_a_front_end_that_dies_with_it(t):
    """Its entries are in the data: they are reported as gone, once, after the recovery grace."""
    redis, (a, b) = start(t, 2, settings={"map.recovery_grace": "3s", "client.grace": "1s"}, **AOF)
    found = watchers(t, [b])
    clients = crowd(t, a, 50)
    wait_know(found, clients.ids)
    redis.kill()
    a.kill()
    clients.drop()
    redis.start()
    t.wait_until(b.ready, 15)
    found[0].wait_closed(clients.ids, 3 + 3 + 1 + 2 * SWEEP + NOTIFY + 2)
    check_notified_once(found, clients.ids, 1)
    t.fsck(redis)


def test_killed_again_and_again_while_clients_write(t):
    redis, frontends = start(t, 2, settings={"map.recovery_grace": "1s"}, **AOF)
    found = watchers(t, frontends)
    clients = [t.connect(frontend, Versioned) for frontend in frontends for _ in range(10)]
    ids = [client.open(b"0") for client in clients]
    acknowledged = {id: b"0" for id in ids}
    version = 0
    for _ in range(5):
        redis.kill()
        redis.start()
        for _ in range(3):
            version += 1
            for client, id in zip(clients, ids):
                if client.update(id, version, b"%d" % version):
                    acknowledged[id] = b"%d" % version
    expected = dict(acknowledged)
    expected.update({found[0].id: b"watcher0", found[1].id: b"watcher1"})
    wait_agreement(t, redis, frontends, expected)
    check_notified_once(found, [], 2)
    t.fsck(redis)
