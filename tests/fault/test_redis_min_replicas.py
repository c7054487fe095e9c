"""redis.min_replicas: a write is acknowledged when replicas have it, and unavailable otherwise, though it has happened."""
import itertools

from harness import Plain, Versioned
from harness.tracker import packets
from test_redis_failover import pair

SETTINGS = {"redis.timeout": "1500ms", "redis.min_replicas": "1"}


def states(t, frontend):
    return t.connect(frontend, Plain).get()


def unreplicated(frontend):
    return frontend.metric("tracker_redis_unreplicated_total")


def test_writes_are_acknowledged_with_a_replica_in_sync_alone(t):
    master, replica = pair(t)
    frontend = t.frontend(master, settings=SETTINGS)
    other = t.frontend(master)
    client, free = t.connect(frontend, Versioned), t.connect(other, Versioned)
    id, free_id = client.open(b"0"), free.open(b"0")
    assert client.update(id, 1, b"1") and unreplicated(frontend) == 0
    replica.freeze()
    assert not client.update(id, 2, b"2"), "it was acknowledged without a replica"
    # It has happened: everybody sees it, and it is not made twice.
    t.wait_until(lambda: states(t, other)[id] == b"2", 10, "the write is published")
    assert unreplicated(frontend) >= 1 and frontend.log_lines("msg=redis_replicas_lacking .*acknowledged=0 wanted=1")
    # Who does not ask for it is served as ever.
    assert free.update(free_id, 1, b"1") and unreplicated(other) == 0
    # Many are all answered, in less than one time-out each, and the connection is kept.
    crowd = [t.connect(frontend, Versioned) for _ in range(10)]
    for one in crowd:
        one.send(packets.versioned.open(b"x"))
    ids = [one.read_id() for one in crowd]
    assert not any(ids), ids
    assert frontend.metric("tracker_redis_timeouts_total") == 0, "its connection to Redis was reset"
    replica.thaw()
    versions = itertools.count(3)
    t.wait_until(lambda: client.update(id, next(versions), b"3"), 20, "writes are acknowledged again")
    assert frontend.log_lines("msg=redis_replicas_acknowledge "), frontend.log
    t.fsck(master)


def test_a_client_that_leaves_while_its_write_waits(t):
    """Its entries are closed, once, and nothing of it remains."""
    master, replica = pair(t)
    frontend = t.frontend(master, settings=SETTINGS)
    leaver, witness = t.connect(frontend, Versioned), t.connect(frontend, Versioned)
    id = leaver.open(b"0")
    replica.freeze()
    leaver.send(packets.versioned.update(id, 1, b"1"))
    leaver.drop()
    t.wait_until(lambda: id not in states(t, frontend), 20, "it is closed")
    replica.thaw()
    t.wait_until(lambda: witness.open(b"w"), 20, "others are served")
    t.wait_until(lambda: frontend.metric("tracker_pending_operations") == 0, 20, "nothing waits any more")
    t.fsck(master)
