"""Redis loses everything: it comes back empty, or is flushed. The front-ends fill it again from what
their live clients last said, and no connected client is reported as gone."""
import time

from harness import Versioned, scaled, stolen
from harness.faults import (GRACE, HOLD, LISTEN, SWEEP, NOTIFY, check_notified_once, crowd, end_hold, key,
                            start, stored, wait_agreement, wait_hold_over, wait_know, wait_swept, watchers)
from harness.sync import Sync


def lose_by_restart(redis):
    redis.restart()


def lose_by_flush(redis):
    redis("FLUSHALL")


def lose_everything(t, lose):
    """With the standard settings: what is lost is there again; a client that goes at that moment is
    reported as gone once, but after the recovery grace."""
    redis, frontends = start(t, 3)
    a, b, c = frontends
    found = watchers(t, frontends)
    clients = [t.connect(frontend, Versioned) for frontend in frontends for _ in range(20)]
    ids = [client.open(b"zero") for client in clients]
    for client, id in zip(clients, ids):
        assert client.update(id, 200, b"two hundred") is False and client.update(id, 100, b"hundred")
        assert client.update(id, 200, b"two hundred")
    wait_know(found, ids)
    wait_swept(redis)
    epochs_before = [frontend.metric("tracker_epochs_total") for frontend in frontends]
    lose(redis)
    lost = time.monotonic()
    clients[0].drop()
    # Writes go on at once; versions count on from what was lost.
    assert clients[1].update(ids[1], 201, b"more")
    expected = {id: b"two hundred" for id in ids[2:]}
    expected[ids[1]] = b"more"
    expected.update({watcher.id: b"watcher%d" % number for number, watcher in enumerate(found)})

    def is_there():
        left = stored(redis)
        left.pop(ids[0], None)
        return left == expected
    t.wait_until(is_there, 5, "all is in Redis again")
    assert redis("HGET", key("client", ids[2]), "version") == b"200"
    assert time.monotonic() - lost <= scaled(5) + stolen(lost)
    check_notified_once(found, [], 1)
    wait_hold_over(redis, HOLD + 3)
    for watcher in found:
        watcher.wait_closed([ids[0]], GRACE + 2 * SWEEP + NOTIFY + 2)
    check_notified_once(found, [ids[0]], 2)
    wait_agreement(t, redis, frontends, expected)
    for frontend, before in zip(frontends, epochs_before):
        assert frontend.metric("tracker_epochs_total") == before + 1
    t.fsck(redis)


def test_back_empty(t):
    lose_everything(t, lose_by_restart)


def test_flushed(t):
    lose_everything(t, lose_by_flush)


def test_flushed_again_and_again(t):
    redis, frontends = start(t, 3, settings={"map.recovery_grace": "2s"})
    found = watchers(t, frontends)
    clients = [t.connect(frontend, Versioned) for frontend in frontends for _ in range(20)]
    ids = [client.open(b"0") for client in clients]
    wait_know(found, ids)
    version = 0
    for _ in range(8):
        redis("FLUSHALL")
        version += 1
        for client, id in zip(clients, ids):
            assert client.update(id, version, b"%d" % version)
    expected = {id: b"%d" % version for id in ids}
    expected.update({watcher.id: b"watcher%d" % number for number, watcher in enumerate(found)})
    wait_agreement(t, redis, frontends, expected)
    wait_hold_over(redis)
    check_notified_once(found, [], SWEEP + NOTIFY + 1)
    t.fsck(redis)


def test_a_front_end_that_dies_at_the_same_time(t):
    """Nobody can bring its entries back: they are reported as gone once, when the recovery grace is over."""
    redis, (a, b, c) = start(t, 3, settings={"map.recovery_grace": "4s"})
    found = watchers(t, [b, c])
    dying, staying = crowd(t, a, 100), crowd(t, b, 100)
    wait_know(found, dying.ids + staying.ids)
    a.kill()
    redis.restart()
    back = time.monotonic()
    received = [watcher.wait_closed(dying.ids, 4 + 2 + SWEEP + NOTIFY + 2) for watcher in found]
    assert min(received) - back >= 3.5, [at - back for at in received]
    check_notified_once(found, dying.ids, 2)
    assert staying.update_all(1) == 100
    t.fsck(redis)


def test_ten_thousand_are_there_again_within_five_seconds(t):
    redis, (a, b) = start(t, 2)
    clients = [crowd(t, frontend, 5000) for frontend in (a, b)]
    redis.restart()
    began = time.monotonic()

    def count():
        try:
            return int(redis("HGET", key("head"), "entries") or 0)
        except OSError:
            return 0
    t.wait_until(lambda: count() == 10000, 10, lambda: f"{count()} of 10000")
    assert time.monotonic() - began <= scaled(5) + stolen(began), time.monotonic() - began
    assert sum(bulk.update_all(1) for bulk in clients) == 10000
    end_hold(redis)
    t.fsck(redis, 30)


def test_what_is_there_again_is_not_shown_as_gone_where_events_are_late(t):
    """The recovery grace ends for a front-end before it has the events of what the others, and itself, put back."""
    redis = t.redis()
    a, = t.frontends(1, redis, listen=LISTEN, settings={"map.recovery_grace": "60s"})
    links = t.links(redis)
    late = t.frontend(links.url, node="late", listen=LISTEN, settings={"map.recovery_grace": "60s"})
    end_hold(redis)
    observer = t.connect(late, Sync, kind="web", delta=True)
    clients = [t.connect(a, Versioned) for _ in range(5)]
    ids = {client.open(b"here") for client in clients}
    observer.wait(lambda: {id.decode() for id in ids} <= observer.map.keys())
    snapshots = late.metric("tracker_snapshots_total")
    a.freeze()
    redis("FLUSHALL")
    t.wait_until(lambda: late.metric("tracker_snapshots_total") > snapshots, 10, "it has read the empty map")
    links.delay = 1.5  # shorter than what resets a link
    # Nor does it see in a sweep that there are events, before it sees the end of the recovery grace.
    late.freeze()
    a.thaw()
    t.wait_until(lambda: ids <= stored(redis).keys(), 10, "all are in Redis again")
    end_hold(redis)
    late.thaw()
    for _ in range(3):
        wait_swept(redis)
        observer.pump()
    assert not [tick["closed"] for tick in observer.ticks if tick["closed"]]
    assert {id.decode() for id in ids} | {observer.token} == observer.map.keys()
    t.fsck(redis)
