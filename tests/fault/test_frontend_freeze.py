"""A front-end is frozen (SIGSTOP) and continued (SIGCONT): meanwhile its clients are taken for gone;
awake, it must not write what is no longer its own, and brings back what is."""
import time

from harness import Versioned, scaled, stolen
from harness.faults import (GRACE, LEASE, SWEEP, NOTIFY, check_notified_once, crowd, start, stored, wait_agreement,
                            wait_know, wait_ready, watchers)


def is_closed(client):
    try:
        assert not client.read_acknowledgement(), "its old writes are refused"
    except ConnectionError:
        return True
    return False


def test_long_and_awake_again(t):
    """With the standard settings."""
    redis, (a, b, c) = start(t, 3)
    found = watchers(t, [b, c])
    names = ("lives", "taken", "returned", "drops")
    clients = {name: t.connect(a, Versioned) for name in names}
    ids = {name: client.open(name.encode()) for name, client in clients.items()}
    assert clients["lives"].update(ids["lives"], 3, b"three")
    wait_know(found, ids.values())
    events = t.events(redis)
    began = time.monotonic()
    a.freeze()
    # One of its clients gives up and goes to another front-end.
    clients["returned"].drop()
    returned = t.connect(b, Versioned)
    assert returned.update(ids["returned"], 1, b"elsewhere")
    gone = [ids["lives"], ids["taken"], ids["drops"]]
    received = [watcher.wait_closed(gone, LEASE + GRACE + SWEEP + NOTIFY + 2) for watcher in found]
    assert max(received) - began <= scaled(LEASE + GRACE + SWEEP + NOTIFY + 1) + stolen(began), received
    check_notified_once(found, gone)
    # Another one gets an id that has become free; one goes; one writes what cannot be read yet.
    taker = t.connect(c, Versioned)
    assert taker.update(ids["taken"], 1, b"of another")
    clients["drops"].drop()
    clients["taken"].send(b"\x2a\x01\x02" + bytes([len(ids["taken"]) + 6, 9, len(ids["taken"])]) + ids["taken"] +
                          b"\x03old")
    a.thaw()
    awake = time.monotonic()
    t.wait_until(lambda: is_closed(clients["taken"]), 5, "a connection whose id another one has is closed")
    for watcher in found:
        watcher.wait_for_state(ids["lives"], b"three", SWEEP + 4)
    assert time.monotonic() - awake <= scaled(SWEEP + 3) + stolen(awake)
    # The client that dropped is not reported as back; the one that is still connected is.
    assert clients["lives"].update(ids["lives"], 4, b"four")
    wait_ready([a])
    expected = {ids["lives"]: b"four", ids["taken"]: b"of another", ids["returned"]: b"elsewhere",
                found[0].id: b"watcher0", found[1].id: b"watcher1"}
    wait_agreement(t, redis, [a, b, c], expected)
    assert returned.update(ids["returned"], 2, b"its own")
    for watcher in found:
        watcher.wait_for_state(ids["returned"], b"its own")
        assert watcher.returns == {ids["lives"]: 1, ids["taken"]: 1}, watcher.returns
    assert all(len(events.of(id, "close")) == 1 for id in gone)
    assert len(events.of(ids["drops"], "open")) == 0
    events.check()
    t.fsck(redis)


def test_shorter_than_the_lease(t):
    """Nobody notices. The lease is so long that a busy machine does not stop it for the rest."""
    redis, (a, b) = start(t, 2, settings={"map.lease": "8s"})
    found = watchers(t, [b])
    client = t.connect(a, Versioned)
    id = client.open(b"here")
    wait_know(found, [id])
    events = t.events(redis)
    a.freeze()
    time.sleep(3)
    a.thaw()
    assert client.update(id, 1, b"still")
    found[0].wait_for_state(id, b"still")
    check_notified_once(found, [], SWEEP + 1)
    assert [event.op for event in events.of(id)] == ["update"]
    t.fsck(redis)


def test_longer_than_the_grace_but_reads_its_sockets_first(t):
    """Three thousand of its clients go while it is frozen: it must not bring them back."""
    redis, (a, b) = start(t, 2, settings={"client.grace": "1s"})
    found = watchers(t, [b])
    going, staying = crowd(t, a, 3000), crowd(t, a, 100)
    ids = set(going.ids) | set(staying.ids)
    wait_know(found, ids, 30)
    events = t.events(redis)
    a.freeze()
    found[0].wait_closed(ids, LEASE + 1 + SWEEP + NOTIFY + 20)
    going.drop()
    a.thaw()
    wait_know(found, staying.ids, 30)
    assert staying.update_all(1) == 100
    check_notified_once([], [])
    t.wait_until(lambda: len(stored(redis)) == 101, 10, lambda: f"{len(stored(redis))} entries")
    events.read()
    back = {event.id for event in events.events if event.op == "open"} & set(going.ids)
    assert not back, f"{len(back)} of 3,000 that had gone were reported as back"
    events.check()
    t.fsck(redis)
