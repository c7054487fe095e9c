"""One map behind two front-ends."""
import time

from harness import Plain, Versioned


def pair(t, **settings):
    redis = t.redis()
    return redis, *t.frontends(2, redis, settings=settings)


def test_open_on_one_is_read_on_the_other(t):
    redis, a, b = pair(t)
    one = t.connect(a, Versioned)
    id = one.open(b"hello")
    reader = t.connect(b, Plain)
    t.wait_until(lambda: reader.get() == {id: b"hello"}, what=lambda: reader.get_text())
    assert redis("HGET", b"tracker:{main/1/0}:client:" + id, "state") == b"hello"
    assert 0 < redis("PTTL", b"tracker:{main/1/0}:client:" + id) <= 30000
    t.fsck(redis)


def test_changes_are_sent_on_the_other(t):
    redis, a, b = pair(t)
    watcher = t.connect(b, Versioned)
    watcher.open(b"watcher")
    one = t.connect(a, Versioned)
    id = one.open(b"first")
    watcher.wait_for_state(id, b"first")
    assert one.update(id, 1, b"second")
    watcher.wait_for_state(id, b"second")
    assert watcher.map[id] == (1, b"second")
    assert one.close()
    watcher.wait_for_state(id, None)
    t.fsck(redis)


def test_a_client_is_not_sent_its_own_changes(t):
    redis, a, b = pair(t)
    watcher = t.connect(a, Versioned)
    own = watcher.open(b"mine")
    assert watcher.update(own, 1, b"still mine")
    other = t.connect(b, Versioned)
    id = other.open(b"other")
    watcher.wait_for_state(id, b"other")
    assert not [push for push in watcher.pushes if push.kind == "one" and push.id == own]


def test_an_open_client_gets_the_whole_map_once(t):
    redis, a, b = pair(t)
    first = t.connect(a, Versioned)
    ids = {first.open(b"0"): b"0"}
    for number in range(1, 40):
        state = b"state-%d" % number * 3
        ids[t.connect(a, Versioned).open(state)] = state
    late = t.connect(b, Versioned)
    late.open(b"late")
    late.wait_for_map(lambda states: ids.items() <= states.items())
    assert {push.kind for push in late.pushes} == {"all"}, late.pushes
    assert len(late.pushes) > 1 and len({push.version for push in late.pushes}) == 1, late.pushes


def test_a_dropped_connection_is_reported_after_the_grace(t):
    """Without the recovery grace, in which a Redis that has just been found empty keeps everything."""
    redis, a, b = pair(t, **{"map.recovery_grace": "0s"})
    events = t.events(redis)
    watcher = t.connect(b, Versioned)
    watcher.open(b"watcher")
    one = t.connect(a, Versioned)
    id = one.open(b"here")
    watcher.wait_for_state(id, b"here")
    one.drop()
    t.wait_until(lambda: redis("ZSCORE", "tracker:{main/1/0}:deadlines", b"c:" + id), what="a deadline")
    dropped = time.monotonic()
    watcher.wait_for_state(id, None, 8)
    assert time.monotonic() - dropped > 4, "the grace is 5 s"
    events.wait(lambda _: events.of(id, "close"))
    assert redis("EXISTS", b"tracker:{main/1/0}:client:" + id) == 0
    t.fsck(redis)
    assert len(events.of(id, "close")) == 1


def test_every_write_is_read_by_who_wrote_it(t):
    """A Get waits for the client's own write."""
    redis, a, b = pair(t)
    client = t.connect(b, Plain)
    client.open(b"0")
    for number in range(1, 100):
        state = b"%d" % number
        client.update(state)
        assert list(client.get().values()) == [state]
