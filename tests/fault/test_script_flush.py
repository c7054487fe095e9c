"""Redis forgets the scripts: they are loaded again, and nothing is lost or overtaken."""
import time

from harness import Versioned, packets, scaled, stolen
from harness.faults import check_notified_once, start, states_of, wait_agreement, wait_know, watchers


def test_between_an_open_and_its_close(t):
    redis, (a, b) = start(t, 2)
    found = watchers(t, [a, b])
    client = t.connect(a, Versioned)
    id = client.open(b"here")
    wait_know(found, [id])
    redis("SCRIPT", "FLUSH")
    began = time.monotonic()
    assert client.close()
    for watcher in found:
        watcher.wait_closed([id], 5)
    assert time.monotonic() - began < scaled(2) + stolen(began)
    check_notified_once(found, [id], 1)
    assert a.metric("tracker_redis_refused_total", kind="noscript") >= 1
    t.fsck(redis)


def test_while_writes_are_under_way(t):
    """Updates of one entry keep their order: none is refused as stale."""
    redis, (a, b) = start(t, 2)
    found = watchers(t, [a, b])
    events = t.events(redis)
    clients = [t.connect(frontend, Versioned) for frontend in (a, b) for _ in range(10)]
    ids = [client.open(b"0") for client in clients]
    version = 0
    for number in range(60):
        for _ in range(4):
            version += 1
            for client, id in zip(clients, ids):
                client.send(packets.versioned.update(id, version, b"%d" % version))
        redis("SCRIPT", "FLUSH", "ASYNC" if number % 2 else "SYNC")
        for _ in range(4):
            assert all(client.read_acknowledgement() for client in clients), number
    expected = {id: b"%d" % version for id in ids}
    expected.update(states_of(found))
    wait_agreement(t, redis, [a, b], expected)
    check_notified_once(found, [], 0.5)
    # Each update has happened once.
    events.check()
    assert all(len(events.of(id, "update")) == version for id in ids)
    t.fsck(redis)
