"""Redis takes no more connections: the front-ends say so, go on trying, and lose nothing."""
from harness import Versioned
from harness.faults import (Reader, check_notified_once, key, start, states_of, wait_agreement, wait_hold_over, wait_know,
                            wait_ready, watchers)


def test_for_longer_than_a_lease(t):
    redis, (a, b) = start(t, 2, settings={"map.recovery_grace": "2s", "redis.deadline": "500ms"})
    found = watchers(t, [a, b])
    clients = [t.connect(frontend, Versioned) for frontend in (a, b)]
    ids = [client.open(b"before") for client in clients]
    wait_know(found, ids)
    expected = {id: b"before" for id in ids}
    expected.update(states_of(found))
    reader = Reader(t, a)
    t.wait_until(lambda: reader.read() == expected)
    redis("CONFIG", "SET", "maxclients", "1")
    redis("CLIENT", "KILL", "TYPE", "pubsub")
    redis("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
    for frontend in (a, b):
        frontend.wait_for_metric("tracker_redis_refused_total", 2, 10, kind="maxclients")
        assert frontend.log_lines("redis_refusing_commands.*maxclients")
        assert not frontend.ready()
    for client, id in zip(clients, ids):
        assert not client.update(id, 1, b"kept")
    assert reader.read() == expected

    def leases_ended():
        seconds = int(redis("TIME")[0])
        return redis("ZCOUNT", key("nodes"), seconds * 1000, "+inf") == 0
    t.wait_until(leases_ended, 6, "both leases have ended")
    redis("CONFIG", "SET", "maxclients", "1000")
    wait_ready([a, b])
    expected.update({id: b"kept" for id in ids})
    wait_agreement(t, redis, [a, b], expected)
    wait_hold_over(redis)
    check_notified_once(found, [], 3)
    for client, id in zip(clients, ids):
        assert client.update(id, 2, b"after")
    t.fsck(redis)
