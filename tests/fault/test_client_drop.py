"""A client's connection ends without a Close: its entry waits for the client, then everybody is
notified once."""
import time

from harness import Original2013, Versioned, scaled, stolen
from harness.faults import GRACE, SWEEP, NOTIFY, check_notified_once, key, start, wait_know, watchers


def test_the_end_is_notified_once_after_the_grace(t):
    """With the standard settings: not before the grace has passed, and soon after it."""
    redis, frontends = start(t, 3)
    found = watchers(t, frontends, 2)
    events = t.events(redis)
    client = t.connect(frontends[0], Versioned)
    id = client.open(b"here")
    other = t.connect(frontends[1], Original2013)
    other_id = other.open(b"here too")
    wait_know(found, [id, other_id])
    began = time.monotonic()
    client.drop()
    other.reset()
    received = [watcher.wait_closed([id, other_id], GRACE + SWEEP + NOTIFY + 2) for watcher in found]
    assert min(received) - began >= GRACE - 0.1, received
    assert max(received) - began <= scaled(GRACE + SWEEP + NOTIFY + 1) + stolen(began), (began, received)
    assert redis("EXISTS", key("client", id)) == 0
    check_notified_once(found, [id, other_id], 2)
    for gone in (id, other_id):
        assert [event.op for event in events.of(gone)][1:] == ["orphan", "close"], events.of(gone)
        assert events.of(gone)[-1].fields[b"reason"] == b"expired"
    events.check()
    t.fsck(redis)


def test_a_return_within_the_grace_is_not_notified(t):
    redis, (a, b) = start(t, 2, settings={"client.grace": "2s"})
    found = watchers(t, [a, b])
    first = t.connect(a, Versioned)
    id = first.open(b"zero")
    wait_know(found, [id])
    first.drop()
    t.wait_until(lambda: redis("ZSCORE", key("deadlines"), b"c:" + id), what="a deadline")
    second = t.connect(b, Versioned)
    assert second.update(id, 1, b"one")
    for watcher in found:
        watcher.wait_for_state(id, b"one")
    check_notified_once(found, [], 2 + SWEEP + NOTIFY)
    assert second.update(id, 2, b"two")
    t.fsck(redis)


def test_a_close_is_notified_at_once(t):
    redis, frontends = start(t, 2)
    found = watchers(t, frontends)
    client = t.connect(frontends[0], Versioned)
    id = client.open(b"here")
    wait_know(found, [id])
    time.sleep(scaled(NOTIFY))  # the maps that watchers received are old enough for the next
    began = time.monotonic()
    assert client.close()
    received = max(watcher.wait_closed([id], 5) for watcher in found)
    assert received - began < scaled(0.5) + stolen(began), received - began
    check_notified_once(found, [id], 1)
    t.fsck(redis)
