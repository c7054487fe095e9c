"""Redis comes back with an older state: closes and newer states since then are put there again."""
from harness import Versioned
from harness.faults import (SWEEP, TELL, start, states_of, wait_agreement, wait_hold_over, wait_know, wait_ready,
                            watchers)


def test_a_restart_from_an_older_file(t):
    redis, (a, b) = start(t, 2, settings={"map.hold": "3s", "client.grace": "2s"})
    found = watchers(t, [a, b])
    names = ("stays", "updated", "closed", "closed elsewhere", "moved", "dropped", "claimed")
    clients = {name: t.connect(a, Versioned) for name in names}
    ids = {name: client.open(b"old") for name, client in clients.items()}
    wait_know(found, ids.values())
    redis.save("older.rdb")
    # What the file does not know.
    assert clients["updated"].update(ids["updated"], 100, b"new")
    assert clients["closed"].close()
    clients["closed elsewhere"].drop()
    other = t.connect(b, Versioned)
    assert not other.update(ids["moved"], 1, b"not yet")
    t.wait_until(lambda: other.close(ids["closed elsewhere"]), 5, "the orphan is adopted and closed")
    clients["moved"].drop()
    t.wait_until(lambda: other.update(ids["moved"], 2, b"moved"), 5, "the orphan is adopted")
    late = t.connect(b, Versioned)
    late_id = late.open(b"late")
    clients["dropped"].drop()
    gone = [ids["closed"], ids["closed elsewhere"], ids["dropped"]]
    for watcher in found:
        watcher.wait_closed(gone, 2 + SWEEP + TELL + 2)
    redis.restart(rdb="older.rdb")
    wait_ready([a, b])
    expected = {ids["stays"]: b"old", ids["updated"]: b"new", ids["moved"]: b"moved", ids["claimed"]: b"old",
                late_id: b"late"}
    expected.update(states_of(found))
    wait_hold_over(redis)
    wait_agreement(t, redis, [a, b], expected, 2 + 2 * SWEEP + TELL + 4)
    for watcher in found:
        watcher.wait_for_map(lambda states: states == expected, 5)
        # What lives was never told as gone; what was gone may have been seen again, for a while.
        assert not watcher.closings.keys() & expected.keys(), watcher.closings
    assert clients["updated"].update(ids["updated"], 101, b"newer")
    assert other.update(ids["moved"], 3, b"moved on")
    t.fsck(redis)


def test_closes_are_repeated_at_once(t):
    """Not only after the hold, as what nobody owns is cleared up."""
    redis, (a, b) = start(t, 2)
    found = watchers(t, [a, b])
    clients = [t.connect(frontend, Versioned) for frontend in (a, b) for _ in range(10)]
    ids = [client.open(b"old") for client in clients]
    wait_know(found, ids)
    redis.save("older.rdb")
    for client in clients:
        assert client.close()
    # A front-end that a close was not told to before the end waits for the hold: then it cannot know.
    for watcher in found:
        watcher.wait_closed(ids, TELL + 2)
    redis.restart(rdb="older.rdb")
    wait_ready([a, b])
    wait_agreement(t, redis, [a, b], states_of(found), 4)
    t.fsck(redis)
