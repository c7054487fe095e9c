"""Who may write an entry: versions, owners, and what becomes of an entry without a connection."""
from harness import Original2013, Versioned


def key(id):
    return b"tracker:{main/1/0}:client:" + id


def test_stale_updates_are_refused(t):
    redis = t.redis()
    a, b = t.frontends(2, redis)
    client = t.connect(a, Versioned)
    id = client.open(b"zero")
    assert client.update(id, 5, b"five")
    assert not client.update(id, 4, b"four")
    assert client.update(id, 5, b"five"), "the same again is harmless"
    assert not client.update(id, 5, b"other five")
    assert redis("HGET", key(id), "state") == b"five"
    assert a.wait_for_metric("tracker_map_writes_total", 2, result="stale") == 2


def test_versions_wrap_around(t):
    """One byte, newer by 1 to 127: the 256th update is not stale."""
    redis = t.redis()
    client = t.connect(t.frontend(redis), Versioned)
    id = client.open(b"zero")
    for version in (127, 254, 255, 256, 300):
        assert client.update(id, version, b"%d" % version), version
    assert redis("HGET", key(id), "state") == b"300"
    assert int(redis("HGET", key(id), "version")) & 255 == 300 & 255
    # 44 + 128 is as far before as after, 44 - 1 is before.
    assert not client.update(id, 300 + 128, b"x")
    assert not client.update(id, 299, b"x")


def test_the_documents_table_of_versions(t):
    """What is stored, the byte of an Update, how far that is ahead, and what is stored then; None: it is stale."""
    redis = t.redis()
    client = t.connect(t.frontend(redis), Versioned)
    for before, byte, ahead, after in ((255, 0, 1, 256), (250, 5, 11, 261), (5, 4, 255, None), (0, 128, 128, None)):
        assert (byte - before) % 256 == ahead
        id = client.open(b"before") if before == 0 else b"of-%d" % before
        assert before == 0 or client.update(id, before, b"before")
        assert client.update(id, byte, b"after") == (after is not None), before
        assert int(redis("HGET", key(id), "version")) == (after or before)
    # The same again, from its owner: a retry is harmless.
    assert client.update(b"of-5", 5, b"before")
    for version in range(1, 301):
        assert client.update(b"counted", version & 255, b"x")
    assert int(redis("HGET", key(b"counted"), "version")) == 300 and 300 & 255 == 0x2C


def test_foreign_updates_and_closes_are_refused(t):
    redis = t.redis()
    a, b = t.frontends(2, redis)
    owner = t.connect(a, Versioned)
    id = owner.open(b"mine")
    for frontend in (a, b):
        thief = t.connect(frontend, Versioned)
        thief.open(b"thief")
        assert not thief.update(id, 1, b"stolen")
        assert not thief.close(id)
    original = t.connect(b, Original2013)
    assert not original.update(id, 1, b"stolen")
    assert not original.close(id)
    assert redis("HGET", key(id), "state") == b"mine"
    assert owner.update(id, 1, b"still mine")
    assert a.metric("tracker_map_writes_total", result="owned") == 2
    assert b.metric("tracker_map_writes_total", result="owned") == 4
    t.fsck(redis)


def test_an_update_creates_what_nobody_has(t):
    redis = t.redis()
    a, b = t.frontends(2, redis, settings={"map.recovery_grace": "0s"})
    client = t.connect(a, Versioned)
    assert client.update(b"brought", 1, b"by the client")
    watcher = t.connect(b, Versioned)
    watcher.open(b"w")
    watcher.wait_for_state(b"brought", b"by the client")
    client.drop()
    watcher.wait_for_state(b"brought", None)
    t.fsck(redis)


def test_ids_of_any_bytes(t):
    redis = t.redis()
    client = t.connect(t.frontend(redis), Versioned)
    watcher = t.connect(t.frontend(redis), Versioned)
    watcher.open(b"w")
    for id in (b"\x00", b"*", b"a b\r\n", b"\xff" * 100, b"{main/1/0}:node", bytes(range(128))):
        state = b"\x00\x01 any \xfe" + id[:50]
        assert client.update(id, 1, state), id
        watcher.wait_for_state(id, state)
        assert redis("HGET", key(id), "state") == state
        assert client.close(id)
        watcher.wait_for_state(id, None)
    t.fsck(redis)


def test_an_orphan_is_adopted_on_another_frontend(t):
    redis = t.redis()
    a, b = t.frontends(2, redis)
    watcher = t.connect(b, Versioned)
    watcher.open(b"w")
    first = t.connect(a, Versioned)
    id = first.open(b"zero")
    assert first.update(id, 1, b"one")
    watcher.wait_for_state(id, b"one")
    first.drop()
    t.wait_until(lambda: redis("ZSCORE", "tracker:{main/1/0}:deadlines", b"c:" + id), what="a deadline")
    second = t.connect(b, Versioned)
    assert not second.update(id, 1, b"stale, but of the old one")
    assert second.update(id, 2, b"two")
    watcher.wait_for_state(id, b"two")
    assert redis("ZSCORE", "tracker:{main/1/0}:deadlines", b"c:" + id) is None
    # It is the second one's now, and stays past the grace.
    third = t.connect(a, Versioned)
    assert not third.update(id, 3, b"three")
    # Nobody received that it had gone.
    seen = [push for push in watcher.pushes if push.kind == "all" and push is not watcher.pushes[0]]
    assert all(id in push.entries for push in seen), seen
    t.fsck(redis)


def test_a_frontends_end_leaves_its_entries_for_adoption(t):
    redis = t.redis()
    a, b = t.frontends(2, redis)
    client = t.connect(a, Versioned)
    id = client.open(b"zero")
    a.stop()
    again = t.connect(b, Versioned)
    assert again.update(id, 1, b"one")
    assert redis("HGET", key(id), "state") == b"one"
    t.fsck(redis)


def test_one_connection_may_own_several(t):
    redis = t.redis()
    client = t.connect(t.frontend(redis), Versioned)
    first, second = client.open(b"1"), client.open(b"2")
    assert first != second
    assert client.update(first, 1, b"1b") and client.update(second, 1, b"2b")
    assert client.close(first) and client.update(second, 2, b"2c")
    assert redis("EXISTS", key(first)) == 0 and redis("HGET", key(second), "state") == b"2c"
    t.fsck(redis)
