"""Redis comes back with what it knew before clients moved from one front-end to another: each front-end
finds entries of its clients listed for another one, which does not have them any more."""
import time

from harness import Versioned, scaled, stolen
from harness.faults import (SWEEP, NOTIFY, key, node_id, start, states_of, wait_agreement, wait_hold_over, wait_know, wait_ready,
                            wait_swept, watchers)

EACH = 20


def move(t, clients, ids, target, version):
    """Each client drops, and a connection to the target takes its entry over."""
    moved = []
    for client in clients:
        client.drop()
    for id in ids:
        other = t.connect(target, Versioned)
        t.wait_until(lambda: other.update(id, version, b"moved"), 5, "the orphan is adopted")
        moved.append(other)
    return moved


def moved_both_ways(t, settings):
    """Redis, its front-ends, watchers, the connections that have the entries now, and their ids; Redis has just
    been started again with the states of before."""
    redis, (a, b) = start(t, 2, settings=settings)
    found = watchers(t, [a, b])
    on_a = [t.connect(a, Versioned) for _ in range(EACH)]
    on_b = [t.connect(b, Versioned) for _ in range(EACH)]
    ids_a, ids_b = [client.open(b"old") for client in on_a], [client.open(b"old") for client in on_b]
    ids = ids_a + ids_b
    wait_know(found, ids)
    redis.save("older.rdb")
    clients = move(t, on_a, ids_a, b, 1) + move(t, on_b, ids_b, a, 1)
    for watcher in found:
        watcher.wait_for_map(lambda states: all(states.get(id) == b"moved" for id in ids), 5)
    redis.restart(rdb="older.rdb")
    wait_ready([a, b])
    return redis, (a, b), found, clients, ids


def check_kept(t, redis, frontends, found, clients, ids):
    """Their connections are there, and so are they, with what they wrote last."""
    expected = {id: b"moved" for id in ids}
    expected.update(states_of(found))
    wait_agreement(t, redis, frontends, expected, 4 + SWEEP + NOTIFY)
    wait_hold_over(redis, 20)
    for _ in range(2):
        wait_swept(redis)
    wait_agreement(t, redis, frontends, expected)
    for watcher in found:
        watcher.wait_for_map(lambda states: states == expected, 5)
        assert not watcher.closings.keys() & expected.keys(), watcher.closings
    for client, id in zip(clients, ids):
        assert client.update(id, 2, b"moved"), "the connection still has its entry"
    t.fsck(redis)


def test_how_long_it_takes(t):
    """With the standard settings: 2 s after the last front-end's connection all is as it was."""
    redis, frontends, found, clients, ids = moved_both_ways(t, {})
    began = time.monotonic()
    expected = {id: b"moved" for id in ids}
    expected.update(states_of(found))
    wait_agreement(t, redis, frontends, expected, 10)
    assert time.monotonic() - began <= scaled(2) + stolen(began)


def test_both_ways(t):
    """With the standard settings: nobody waits for the end of the recovery grace."""
    check_kept(t, *moved_both_ways(t, {}))


def test_both_ways_with_a_short_hold(t):
    check_kept(t, *moved_both_ways(t, {"map.recovery_grace": "1s", "client.grace": "1s"}))


def test_both_ways_without_a_hold(t):
    check_kept(t, *moved_both_ways(t, {"map.recovery_grace": "0s"}))


def test_their_ttl_ends_during_the_recovery_grace(t):
    """What Redis lists for one front-end has no hash any more, and is another one's."""
    redis, frontends, found, clients, ids = moved_both_ways(t, {"map.recovery_grace": "4s", "client.grace": "2s"})
    for id in ids[::2]:
        redis("DEL", key("client", id))
    check_kept(t, redis, frontends, found, clients, ids)
    nodes = [name for name in redis.keys("tracker:[{]main/*}:node:*")]
    listed = [id for name in nodes for id in redis("HKEYS", name)]
    assert len(listed) == len(set(listed)), "an id is in the index of two front-ends"


def test_a_ttl_ends_and_somebody_else_writes(t):
    """The entry's connection is there, and silent: the entry is its client's, and in no second index."""
    redis, (a, b) = start(t, 2, settings={"client.ttl": "4s", "client.grace": "1s", "presence.offline_delay": "1s"})
    one, other = t.connect(a, Versioned), t.connect(b, Versioned)
    id = one.open(b"first")
    wait_agreement(t, redis, [a, b], {id: b"first"})
    redis("DEL", key("client", id))
    assert not other.update(id, 5, b"second")
    wait_agreement(t, redis, [a, b], {id: b"first"}, 4 + SWEEP)
    assert not redis("HEXISTS", key("node", node_id(b)), id) and redis("HEXISTS", key("node", node_id(a)), id)
    assert one.update(id, 6, b"third")
    t.fsck(redis)
