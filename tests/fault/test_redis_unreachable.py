"""Redis is unreachable: connections stay, maps are answered from what is known, writes get an error after
their deadline; when it is back, what clients wanted last is there."""
import time

from harness import Versioned, scaled, stolen
from harness.faults import (LISTEN, Reader, check_notified_once, start, states_of, wait_agreement, wait_know, wait_ready,
                            watchers)

DEADLINE = 3


def test_writes_and_reads_meanwhile(t):
    """With the standard settings."""
    redis, (a, b) = start(t, 2, appendonly="yes", appendfsync="always")
    found = watchers(t, [a, b])
    clients = [t.connect(frontend, Versioned) for frontend in (a, b)]
    ids = [client.open(b"before") for client in clients]
    wait_know(found, ids)
    expected = {id: b"before" for id in ids}
    expected.update(states_of(found))
    readers = [Reader(t, frontend) for frontend in (a, b)]
    for reader in readers:
        t.wait_until(lambda: reader.read() == expected)
    connections = [frontend.metric("tracker_connections") for frontend in (a, b)]
    redis.kill()
    began = time.monotonic()
    newcomer = t.connect(a, Versioned)
    newcomer.send(b"\x2a\x01\x00\x04\x03new")
    for client, id in zip(clients, ids):
        client.send(b"\x2a\x01\x02" + bytes([len(id) + 7, 1, len(id)]) + id + b"\x04kept")
    for reader in readers:
        at = time.monotonic()
        assert reader.read() == expected
        assert time.monotonic() - at < scaled(1) + stolen(at)
    for client in clients:
        assert not client.read_acknowledgement()
        assert DEADLINE - 0.1 <= time.monotonic() - began <= scaled(DEADLINE + 1) + stolen(began), time.monotonic() - began
    assert newcomer.read_id() == b"", "an Open that failed has no id"
    for frontend, before in zip((a, b), connections):
        assert frontend.metric("tracker_connections") >= before
        assert frontend.metric("tracker_stale_reads_total") >= 1
        assert frontend.metric("tracker_map_writes_total", result="deadline") >= 1
        assert frontend.metric("tracker_pending_operations") <= 1
        assert frontend.http("/healthz")[0] == 200
        status, _, body = frontend.http("/readyz")
        assert status == 503 and b"Redis" in body, (status, body)
        assert frontend.log_lines("redis_connection_lost")
    redis.start()
    wait_ready([a, b])
    expected.update({id: b"kept" for id in ids})
    wait_agreement(t, redis, [a, b], expected)
    check_notified_once(found, [], 1)
    # The same connections go on, and their versions.
    for client, id in zip(clients, ids):
        assert client.update(id, 2, b"after")
    assert newcomer.open(b"new")
    t.fsck(redis)


def test_the_newest_of_many_writes_is_kept(t):
    """Not a list of commands: what waits is as large as the number of entries."""
    redis, (a,) = start(t, 1, settings={"redis.deadline": "500ms"}, appendonly="yes", appendfsync="always")
    client = t.connect(a, Versioned)
    id = client.open(b"0")
    redis.kill()
    for version in range(1, 7):
        assert not client.update(id, version, b"%d" % version)
    assert a.metric("tracker_pending_operations") == 0
    redis.start()
    t.wait_until(a.ready, 15)
    wait_agreement(t, redis, [a], {id: b"6"})
    assert not client.update(id, 6, b"another six")
    assert client.update(id, 7, b"7")
    t.fsck(redis)


def test_an_end_meanwhile(t):
    """SIGTERM: what its clients leave cannot be put there, and is not waited for any longer than
    the deadline."""
    redis, (a,) = start(t, 1)
    client = t.connect(a, Versioned)
    client.open(b"here")
    redis.kill()
    began = time.monotonic()
    a.stop()
    assert time.monotonic() - began <= scaled(DEADLINE + 2) + stolen(began)
    assert client.closed()


def test_a_start_meanwhile(t):
    redis, (a,) = start(t, 1, appendonly="yes", appendfsync="always")
    client = t.connect(a, Versioned)
    id = client.open(b"here")
    redis.kill()
    b = t.frontend(redis, node="b", listen=LISTEN, wait=False)
    b.wait_for_log("waiting_for_redis|redis_connect_failed")
    assert not b.log_lines(r"\bmsg=ready\b")
    redis.start()
    b.wait_ready()
    wait_agreement(t, redis, [a, b], {id: b"here"})
    t.fsck(redis)


def test_a_close_meanwhile_happens_when_it_is_back(t):
    redis, (a, b) = start(t, 2, settings={"redis.deadline": "500ms", "map.recovery_grace": "1s"}, appendonly="yes",
                          appendfsync="always")
    found = watchers(t, [a, b])
    client = t.connect(a, Versioned)
    id = client.open(b"here")
    wait_know(found, [id])
    redis.kill()
    assert not client.close(), "nobody knows yet what becomes of it"
    redis.start()
    for watcher in found:
        watcher.wait_closed([id], 10)
    check_notified_once(found, [id], 1)
    wait_agreement(t, redis, [a, b], states_of(found))
    t.fsck(redis)
