"""Redis stalls for longer than leases, and answers again: nobody is reported as gone."""
import time

from harness import Versioned
from harness.faults import (GRACE, LEASE, SWEEP, NOTIFY, check_notified_once, key, start, states_of, wait_agreement,
                            wait_hold_over, wait_know, wait_ready, watchers)


def stall_redis(t, tcp):
    """With the standard settings."""
    redis, (a, b, c) = start(t, 3, tcp=tcp)
    found = watchers(t, [a, b, c])
    clients = [t.connect(frontend, Versioned) for frontend in (a, b, c) for _ in range(5)]
    ids = [client.open(b"before") for client in clients]
    wait_know(found, ids)
    sleeper = redis.connect()
    sleeper.send("DEBUG", "SLEEP", LEASE + 2)
    began = time.monotonic()
    # Meanwhile one goes, one writes, and one tries to take what is another's.
    clients[0].drop()
    clients[1].send(b"\x2a\x01\x02" + bytes([len(ids[1]) + 7, 1, len(ids[1])]) + ids[1] + b"\x04kept")
    thief = t.connect(c, Versioned)
    thief.send(b"\x2a\x01\x02" + bytes([len(ids[2]) + 7, 1, len(ids[2])]) + ids[2] + b"\x04mine")
    sleeper.reply()
    assert time.monotonic() - began >= LEASE + 2
    assert not thief.read_acknowledgement()
    clients[1].read_acknowledgement()
    wait_ready([a, b, c])
    expected = {id: b"before" for id in ids[2:]}
    expected[ids[1]] = b"kept"
    expected.update(states_of(found))

    def is_there():
        left = {id: redis("HGET", key("client", id), "state") for id in expected}
        return left == expected
    t.wait_until(is_there, 5, "all is as it was")
    check_notified_once(found, [], 1)
    assert int(redis("HGET", key("head"), "hold_until")) > int(redis("TIME")[0]) * 1000, "there is a recovery grace"
    wait_hold_over(redis)
    for watcher in found:
        watcher.wait_closed([ids[0]], GRACE + SWEEP + NOTIFY + 2)
    check_notified_once(found, [ids[0]], 2)
    wait_agreement(t, redis, [a, b, c], expected)
    t.fsck(redis)


def test_longer_than_a_lease(t):
    stall_redis(t, False)


def test_longer_than_a_lease_over_tcp(t):
    """There what was sent before the connection was given up is not executed any more."""
    stall_redis(t, True)


def test_again_and_again(t):
    redis, frontends = start(t, 3, settings={"map.recovery_grace": "2s", "client.grace": "1s"})
    found = watchers(t, frontends)
    clients = [t.connect(frontend, Versioned) for frontend in frontends for _ in range(5)]
    ids = [client.open(b"0") for client in clients]
    wait_know(found, ids)
    sleeper = redis.connect()
    for version in range(1, 9):
        sleeper("DEBUG", "SLEEP", (0.3, 3.1, 0.9, 2.4)[version % 4])
        for client, id in zip(clients, ids):
            client.update(id, version, b"%d" % version)
    for client, id in zip(clients, ids):
        assert client.update(id, 9, b"9")
    expected = {id: b"9" for id in ids}
    expected.update(states_of(found))
    wait_agreement(t, redis, frontends, expected)
    check_notified_once(found, [], SWEEP + NOTIFY + 1)
    t.fsck(redis)
