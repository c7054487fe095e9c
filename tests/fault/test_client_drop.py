"""A client's connection ends without a word: its entry waits for it, then everybody is told once."""
import time

from harness import Original2013, Versioned, scaled, stolen
from harness.faults import GRACE, SWEEP, TELL, check_told_once, key, start, wait_know, watchers


def test_is_told_once_after_the_grace(t):
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
    told = [watcher.wait_closed([id, other_id], GRACE + SWEEP + TELL + 2) for watcher in found]
    assert min(told) - began >= GRACE - 0.1, told
    assert max(told) - began <= scaled(GRACE + SWEEP + TELL + 1) + stolen(began), (began, told)
    assert redis("EXISTS", key("client", id)) == 0
    check_told_once(found, [id, other_id], 2)
    for gone in (id, other_id):
        assert [event.op for event in events.of(gone)][1:] == ["orphan", "close"], events.of(gone)
        assert events.of(gone)[-1].fields[b"reason"] == b"expired"
    events.check()
    t.fsck(redis)


def test_a_return_within_the_grace_is_not_told(t):
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
    check_told_once(found, [], 2 + SWEEP + TELL)
    assert second.update(id, 2, b"two")
    t.fsck(redis)


def test_a_close_is_told_at_once(t):
    redis, frontends = start(t, 2)
    found = watchers(t, frontends)
    client = t.connect(frontends[0], Versioned)
    id = client.open(b"here")
    wait_know(found, [id])
    time.sleep(scaled(TELL))  # the maps that watchers were told are old enough for the next
    began = time.monotonic()
    assert client.close()
    told = max(watcher.wait_closed([id], 5) for watcher in found)
    assert told - began < scaled(0.5) + stolen(began), told - began
    check_told_once(found, [id], 1)
    t.fsck(redis)
