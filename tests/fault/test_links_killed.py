"""Connections between front-ends and Redis are killed while changes go on."""
from harness import Versioned
from harness.faults import SWEEP, NOTIFY, check_notified_once, key, start, states_of, wait_agreement, wait_know, watchers


def make_changes_while(t, kind, rounds):
    redis, (a, b) = start(t, 2)
    found = watchers(t, [a, b], 2)
    clients = [t.connect(frontend, Versioned) for frontend in (a, b) for _ in range(10)]
    ids = [client.open(b"0") for client in clients]
    wait_know(found, ids)
    acknowledged = {id: b"0" for id in ids}
    for version in range(1, rounds + 1):
        if version % 3 == 0:
            redis("CLIENT", "KILL", "TYPE", kind, "SKIPME", "yes")
        for client, id in zip(clients, ids):
            assert client.update(id, version, b"%d" % version)
            acknowledged[id] = b"%d" % version
    # Some close while nobody listens.
    redis("CLIENT", "KILL", "TYPE", kind, "SKIPME", "yes")
    closing = ids[::4]
    for client in clients[::4]:
        assert client.close()
    for id in closing:
        del acknowledged[id]
    for watcher in found:
        watcher.wait_closed(closing, 5 + NOTIFY)
    acknowledged.update(states_of(found))
    wait_agreement(t, redis, [a, b], acknowledged)
    check_notified_once(found, closing, 1)
    t.fsck(redis)
    return a, b


def test_the_subscribers(t):
    for frontend in make_changes_while(t, "pubsub", 60):
        assert frontend.metric("tracker_snapshots_total") > 1, frontend.name


def test_the_command_links(t):
    """Some updates are under way then: they are sent again, in order, and each once."""
    make_changes_while(t, "normal", 30)


def test_an_event_that_never_came(t):
    """A revision that nobody was sent is noticed by the next event, and by a sweep when there is
    none; what was delivered is not delivered again."""
    redis, (a, b) = start(t, 2)
    found = watchers(t, [a, b])
    client = t.connect(a, Versioned)
    id = client.open(b"zero")
    wait_know(found, [id])
    redis("HINCRBY", key("head"), "revision", 1)
    assert client.update(id, 1, b"one")
    for watcher in found:
        watcher.wait_for_state(id, b"one", 3)
    for frontend in (a, b):
        frontend.wait_for_metric("tracker_gaps_total", 1, 5)
        before = frontend.metric("tracker_snapshots_total")
        redis("HINCRBY", key("head"), "revision", 1)
        frontend.wait_for_metric("tracker_snapshots_total", before + 1, 2 * SWEEP + 2)
    # A change that was sent to nobody is found by reading.
    redis("HSET", key("client", id), "state", "two", "version", "2")
    redis("HINCRBY", key("head"), "revision", 1)
    for watcher in found:
        watcher.wait_for_state(id, b"two", 2 * SWEEP + 2)
    check_notified_once(found, [], 1)
    for watcher in found:
        assert len([push for push in watcher.pushes if push.kind == "one" and push.id == id]) <= 3, watcher.pushes
    t.fsck(redis)
