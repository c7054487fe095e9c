"""Redis answers, and refuses to write: it is a replica, it has no memory left, it cannot save. Each is
named in the log once and in a metric, writes fail, reads go on, nobody is reported as gone."""
import os

from harness import Versioned
from harness.faults import (LEASE, LISTEN, Reader, check_notified_once, start, states_of, wait_agreement, wait_hold_over,
                            wait_know, wait_ready, watchers)

SETTINGS = {"map.recovery_grace": "2s", "redis.deadline": "500ms", "client.grace": "1s"}


def refuse(t, kind, begin, end, refusals=2, **options):
    redis, (a, b) = start(t, 2, settings=SETTINGS, **options)
    found = watchers(t, [a, b])
    clients = [t.connect(frontend, Versioned) for frontend in (a, b) for _ in range(3)]
    ids = [client.open(b"before") for client in clients]
    wait_know(found, ids)
    expected = {id: b"before" for id in ids}
    expected.update(states_of(found))
    readers = [Reader(t, frontend) for frontend in (a, b)]
    for reader in readers:
        t.wait_until(lambda: reader.read() == expected)
    begin(redis)
    for client, id in zip(clients, ids):
        assert not client.update(id, 1, b"kept")
    leaver_id = ids.pop()
    clients.pop().drop()
    for reader, frontend in zip(readers, (a, b)):
        assert reader.read() == expected
        frontend.wait_for_metric("tracker_redis_refused_total", refusals, 5, kind=kind)
        assert len(frontend.log_lines(f'redis_refusing_commands .*link=commands kind={kind}')) == 1, frontend.log
        status, _, body = frontend.http("/readyz")
        assert status == 503 and kind.encode() in body, (status, body)
    # All leases have ended by then.
    check_notified_once(found, [], LEASE + 1)
    end(redis)
    wait_ready([a, b])
    expected.update({id: b"kept" for id in ids})
    del expected[leaver_id]
    wait_hold_over(redis)
    for watcher in found:
        watcher.wait_closed([leaver_id], 8)
    check_notified_once(found, [leaver_id], 2)
    wait_agreement(t, redis, [a, b], expected)
    for client, id in zip(clients, ids):
        assert client.update(id, 2, b"after")
    t.fsck(redis)


def test_a_replica_is_read_only(t):
    # At the first answer that says so the connections are left.
    refuse(t, "readonly", lambda redis: redis("REPLICAOF", "127.0.0.1", "1"),
           lambda redis: redis("REPLICAOF", "NO", "ONE"), 1)


def test_out_of_memory(t):
    refuse(t, "oom", lambda redis: redis("CONFIG", "SET", "maxmemory", "100kb"),
           lambda redis: redis("CONFIG", "SET", "maxmemory", "0"))


def test_back_empty_and_out_of_memory(t):
    """It has nothing, and takes nothing: that passes too."""
    redis, frontends = start(t, 2, settings=SETTINGS)
    found = watchers(t, frontends)
    clients = [t.connect(frontend, Versioned) for frontend in frontends for _ in range(3)]
    ids = [client.open(b"before") for client in clients]
    wait_know(found, ids)
    redis.restart(maxmemory="100kb")
    for frontend in frontends:
        frontend.wait_for_metric("tracker_redis_refused_total", 2, 10, kind="oom")
    for client, id in zip(clients, ids):
        assert not client.update(id, 1, b"kept")
    # One that is started now waits.
    late = t.frontend(redis, node="late", listen=LISTEN, settings=SETTINGS, wait=False)
    late.wait_for_log("redis_refusing_commands.*oom")
    assert all(frontend.running() for frontend in (*frontends, late))
    redis("CONFIG", "SET", "maxmemory", "0")
    late.wait_ready()
    wait_ready(frontends)
    expected = {id: b"kept" for id in ids}
    expected.update(states_of(found))
    wait_agreement(t, redis, [*frontends, late], expected)
    wait_hold_over(redis)
    check_notified_once(found, [], 2)
    t.fsck(redis)


def test_it_cannot_save(t):
    """After a snapshot that failed, Redis takes no more writes."""
    def begin(redis):
        redis("CONFIG", "SET", "save", "3600 1")
        redis("SET", "something", "to save")
        gone = t.directory("gone")
        redis("CONFIG", "SET", "dir", gone)
        os.rmdir(gone)
        redis("BGSAVE")
        t.wait_until(lambda: redis.info("persistence")["rdb_last_bgsave_status"] == "err", 10, "a failed save")

    def end(redis):
        redis("CONFIG", "SET", "stop-writes-on-bgsave-error", "no")
    refuse(t, "misconf", begin, end, enable_protected_configs="local")
