"""Redis comes back with an older state: closes and newer states since then are put there again."""
import time

from harness import Versioned, scaled, stolen
from harness.faults import (GRACE, HOLD, LEASE, SWEEP, NOTIFY, end_hold, key, start, states_of, wait_agreement, wait_hold_over,
                            wait_know, wait_ready, watchers)


def test_a_restart_from_an_older_file(t):
    redis, (a, b) = start(t, 2, settings={"map.recovery_grace": "3s", "client.grace": "2s"})
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
        watcher.wait_closed(gone, 2 + SWEEP + NOTIFY + 2)
    redis.restart(rdb="older.rdb")
    wait_ready([a, b])
    expected = {ids["stays"]: b"old", ids["updated"]: b"new", ids["moved"]: b"moved", ids["claimed"]: b"old",
                late_id: b"late"}
    expected.update(states_of(found))
    wait_hold_over(redis)
    wait_agreement(t, redis, [a, b], expected, 2 + 2 * SWEEP + NOTIFY + 4)
    for watcher in found:
        watcher.wait_for_map(lambda states: states == expected, 5)
        # A live client was never reported as gone; what was gone may have been seen again, for a while.
        assert not watcher.closings.keys() & expected.keys(), watcher.closings
    assert clients["updated"].update(ids["updated"], 101, b"newer")
    assert other.update(ids["moved"], 3, b"moved on")
    t.fsck(redis)


def test_closes_are_repeated_at_once(t):
    """Not only after the recovery grace, as what nobody owns is cleared up."""
    redis, (a, b) = start(t, 2)
    found = watchers(t, [a, b])
    clients = [t.connect(frontend, Versioned) for frontend in (a, b) for _ in range(10)]
    ids = [client.open(b"old") for client in clients]
    wait_know(found, ids)
    redis.save("older.rdb")
    for client in clients:
        assert client.close()
    # A front-end that was not sent a close before the end waits for the recovery grace: it cannot know.
    for watcher in found:
        watcher.wait_closed(ids, NOTIFY + 2)
    redis.restart(rdb="older.rdb")
    wait_ready([a, b])
    wait_agreement(t, redis, [a, b], states_of(found), 4)
    t.fsck(redis)


def test_ends_that_nobody_said_are_repeated_too(t):
    """Entries that were reaped, as their clients had gone or their front-end had been killed: reported as gone
    once, they are not reported as back."""
    redis, (a, b, c) = start(t, 3, settings={"client.grace": "2s"})
    found = watchers(t, [a, b])
    dropped = [t.connect(frontend, Versioned) for frontend in (a, b) for _ in range(10)]
    killed = [t.connect(c, Versioned) for _ in range(10)]
    stays = t.connect(b, Versioned)
    ids = [client.open(b"old") for client in dropped + killed]
    stays_id = stays.open(b"stays")
    wait_know(found, [*ids, stays_id])
    redis.save("older.rdb")
    for client in dropped:
        client.drop()
    c.kill()
    for watcher in found:
        watcher.wait_closed(ids, LEASE + GRACE + SWEEP + NOTIFY + 5)
    # One of them has come back under its id meanwhile, and that is what it stays.
    back = t.connect(a, Versioned)
    assert back.update(ids[0], 1, b"back")
    for watcher in found:
        watcher.wait_for_state(ids[0], b"back")
    before = [dict(watcher.returns) for watcher in found]
    closings = [dict(watcher.count()) for watcher in found]
    redis.restart(rdb="older.rdb")
    wait_ready([a, b])
    expected = {ids[0]: b"back", stays_id: b"stays", **states_of(found)}
    wait_agreement(t, redis, [a, b], expected, 4)
    end = time.monotonic() + scaled(2)
    for watcher, returns, gone in zip(found, before, closings):
        while watcher.read_push(0) or time.monotonic() < end:
            watcher.read_push(0.1)
        assert watcher.returns == returns, "reported as back"
        assert watcher.count() == gone, "reported as gone again"
    wait_hold_over(redis)
    wait_agreement(t, redis, [a, b], expected, 2 + 2 * SWEEP + NOTIFY + 4)
    assert back.update(ids[0], 2, b"still")
    t.fsck(redis)


def test_an_end_that_nobody_remembers_is_made_again_after_the_recovery_grace(t):
    """An entry of a living front-end that another one ended, which has died since: shown again, and given up as soon
    as the recovery grace is over: with the standard settings 10 s after the connection, and a moment."""
    redis, (a, b, c) = start(t, 3)
    (watcher,) = watchers(t, [b])
    clients = [t.connect(a, Versioned) for _ in range(10)]
    ids = [client.open(b"old") for client in clients]
    wait_know([watcher], ids)
    redis.save("older.rdb")
    for client in clients:
        client.drop()
    other = t.connect(c, Versioned)
    for id in ids:
        t.wait_until(lambda: other.close(id), 5, "the orphan is adopted and closed")
    watcher.wait_closed(ids, NOTIFY + 2)
    c.kill()
    redis.restart(rdb="older.rdb")
    wait_ready([a, b])
    began = time.monotonic()
    t.wait_until(lambda: redis("EXISTS", *[key("client", id) for id in ids]) == len(ids), 5, "they are there again")
    t.wait_until(lambda: redis("EXISTS", *[key("client", id) for id in ids]) == 0, HOLD + 5, "they are given up")
    assert time.monotonic() - began <= scaled(HOLD + 0.5) + stolen(began)
    wait_agreement(t, redis, [a, b], states_of([watcher]), NOTIFY + 2)


def test_only_the_newest_ends_are_remembered(t):
    """More than map.close_memory_max: the last ones, which were closed by their client, kicked and reaped, are ended again
    at once when Redis comes back older; those before them stay until the recovery grace is over."""
    redis, (a,) = start(t, 1, settings={"map.close_memory_max": 3, "map.recovery_grace": "30s", "client.grace": "2s"})
    (watcher,) = watchers(t, [a])
    clients = [t.connect(a, Versioned) for _ in range(10)]
    ids = [client.open(b"old") for client in clients]
    wait_know([watcher], ids)
    redis.save("older.rdb")
    for client, id in zip(clients, ids):  # one after the other, so that their order is known
        if id == ids[-2]:
            t.ctl(redis, "kick", id)
        elif id == ids[-1]:
            client.drop()
        else:
            client.close()
        watcher.wait_closed([id], GRACE + SWEEP + NOTIFY + 2)
    redis.restart(rdb="older.rdb")
    wait_ready([a])
    back = {id: b"old" for id in ids[:-3]}
    t.wait_until(lambda: {id for id in ids if redis("EXISTS", key("client", id))} == set(back), 10,
                 "the last three are ended again, and no others")
    end_hold(redis)
    wait_agreement(t, redis, [a], states_of([watcher]), GRACE + 2 * SWEEP + NOTIFY + 4)
    t.fsck(redis)
