"""Each dialect against the others, in one map."""
import re
import struct

from harness import Original2013, Original2014, Plain, Versioned, Wide, packets

LISTEN = ("tracker=127.0.0.1:0", "tracker=127.0.0.1:0,original=2014", "web=127.0.0.1:0")


def watcher_of(t, frontend):
    watcher = t.connect(frontend, Versioned)
    watcher.open(b"watcher")
    return watcher


def test_plain(t):
    frontend = t.frontend()
    watcher = watcher_of(t, frontend)
    client = t.connect(frontend, Plain)
    client.open(b"abc")
    watcher.wait_for_map(lambda states: b"abc" in states.values())
    client.update(b"def")
    watcher.wait_for_map(lambda states: b"def" in states.values())
    assert sorted(client.get().values()) == [b"def", b"watcher"]
    assert client.close()
    watcher.wait_for_map(lambda states: b"def" not in states.values())


def test_plain_update_without_open(t):
    frontend = t.frontend()
    client = t.connect(frontend, Plain)
    client.update(b"first")
    assert list(client.get().values()) == [b"first"]


def test_plain_get_without_open(t):
    client = t.connect(t.frontend(), Plain)
    assert client.get_text() == b"{}"


def test_plain_update_in_its_other_form(t):
    frontend = t.frontend()
    client = t.connect(frontend, Plain)
    client.open(b"abc")
    client.send(packets.plain.update_without_outer(b"xyz"))
    assert list(client.get().values()) == [b"xyz"]


def test_plain_close_first_closes_nothing(t):
    """2A 01 and the end of the stream: answered, and nothing closed."""
    redis = t.redis()
    frontend = t.frontend(redis)
    watcher = watcher_of(t, frontend)
    client = t.raw(frontend)
    client.send(packets.plain.close)
    client.socket.shutdown(1)
    assert client.take(1) == b"\x01"
    assert client.closed()
    assert watcher.update(watcher.id, 1, b"still there")


def test_plain_map_too_large_for_its_reply(t):
    frontend = t.frontend()
    owner = t.connect(frontend, Versioned)
    for number in range(3):
        assert owner.update(b"id%d" % number, 1, b"x" * 100)
    client = t.connect(frontend, Plain)
    client.open(b"a")
    client.send(packets.plain.get)
    assert client.take(1) == b"\x00"


def test_plain_close_first_and_more(t):
    """The magic number of the next message shows that 2A 01 was a Close, in any split."""
    frontend = t.frontend()
    for behind in (packets.plain.get, packets.plain.close + packets.plain.get):
        for cut in range(1, 2 + len(behind)):
            stream = packets.plain.close + behind
            client = t.raw(frontend)
            client.send(stream[:cut])
            client.send(stream[cut:])
            expected = b"\x01" * (len(stream) // 2 - 1) + b"\x02{}"
            assert client.take(len(expected)) == expected
            client.drop()


def test_wide(t):
    """One connection in the plain dialect, one with eight-byte lengths: the same replies, the same map."""
    frontend = t.frontend(listen=("tracker=127.0.0.1:0", "tracker=127.0.0.1:0,form=wide", "web=127.0.0.1:0"))
    watcher = watcher_of(t, frontend)
    for dialect, index in ((Plain, 0), (Wide, 1)):
        client = t.connect(frontend, dialect, index=index)
        client.open(b"abc")
        client.update(b"def")
        assert sorted(client.get().values()) == [b"def", b"watcher"]
        watcher.wait_for_map(lambda states: b"def" in states.values())
        client.open(b"ghi")
        assert sorted(client.get().values()) == [b"ghi", b"watcher"]
        assert client.close() and client.close(), "a Close of nothing is answered 01, too"
        assert list(client.get().values()) == [b"watcher"]
        watcher.wait_for_map(lambda states: b"ghi" not in states.values())
    client = t.connect(frontend, Wide, index=1)
    client.open(b"x" * 300)
    client.update(b"y" * 70)
    client.open(b"z" * 300)
    assert sorted(client.get().values()) == [b"watcher", b"z" * 300], "a map of any size"


def test_wide_updates_without_an_outer_length(t):
    frontend = t.frontend(listen=("tracker=127.0.0.1:0,form=wide", "tracker=127.0.0.1:0,form=wide,update_form=plain"))
    framed = struct.pack(">q", 2) + b"gh"
    for index, looks_framed in ((0, b"gh"), (1, framed)):
        client = t.connect(frontend, Wide, index=index)
        for state in (b"first", b"of eight", b""):
            client.send(packets.wide.update_without_outer(state))
            assert state in client.get().values()
        client.send(packets.wide.update_without_outer(framed))
        assert looks_framed in client.get().values()
        client.drop()


def test_wide_in_any_split(t):
    frontend = t.frontend(listen=("tracker=127.0.0.1:0,form=wide",))
    stream = (packets.wide.close + packets.wide.open(b"abc") + packets.wide.update(b"abcd") + packets.wide.get
              + packets.wide.update_without_outer(b"eight by") + packets.wide.get + packets.wide.close)
    for piece in (1, 3, 7, 8, 11, len(stream)):
        client = t.raw(frontend)
        for at in range(0, len(stream), piece):
            client.send(stream[at:at + piece])
        assert client.take(2) == b"\x01\x01"
        assert client.take(8 + 9 + 5)[-6:] == b"=abcd}"
        assert client.take(8 + 9 + 9)[-10:] == b"=eight by}"
        assert client.take(1) == b"\x01"
        client.drop()


def test_2013(t):
    redis = t.redis()
    frontend = t.frontend(redis)
    watcher = watcher_of(t, frontend)
    client = t.connect(frontend, Original2013)
    id = client.open(b"a state of more than 255 bytes " * 20)
    assert len(id) == 7 and id.isalnum()
    assert redis("HGET", b"tracker:{main/1/0}:client:" + id, "state") == b"a state of more than 255 bytes " * 20
    assert client.update(id, 1, b"short")
    watcher.wait_for_state(id, b"short")
    assert client.update(id, 1, b"stale"), "a stale version is answered 01 here"
    assert client.type_3()
    assert redis("HGET", b"tracker:{main/1/0}:client:" + id, "state") == b"short"
    assert client.update(id, 10**15, b"a large version")
    assert client.close()
    watcher.wait_for_state(id, None)
    assert client.close(b"unknown"), "also when unknown"


def test_ids_that_are_uuids(t):
    """Whoever reads a length before an id is given UUIDs; the dialect of 2013 reads seven bytes."""
    redis = t.redis()
    a, b = t.frontends(2, redis, listen=("tracker=127.0.0.1:0,id_form=uuid", "tracker=127.0.0.1:0"))
    client = t.connect(a, Versioned)
    id = client.open(b"versioned")
    assert re.fullmatch(rb"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}", id), id
    assert client.update(id, 1, b"one")
    plain = t.connect(a, Plain)
    plain.open(b"plain")
    plain.update(b"again")
    assert {len(id) for id, state in plain.get().items() if state in (b"one", b"again")} == {36}
    assert plain.close()
    assert len(t.connect(a, Original2013).open(b"2013")) == 7
    assert len(t.connect(a, Versioned, index=1).open(b"short")) == 7
    # Its client comes back with it, to any front-end.
    client.drop()
    back = t.connect(b, Versioned)
    t.wait_until(lambda: back.update(id, 2, b"two"), what="the entry is adopted")
    t.fsck(redis)


def test_updates_faster_than_the_rate(t):
    """What is seen is never older than a moment, however long it goes on; each Update counts in the version."""
    redis = t.redis()
    frontend = t.frontend(redis, settings={"tracker.rate": "20", "tracker.burst": "1"})
    client = t.connect(frontend, Plain)
    client.open(b"0")
    sent = 0
    for _ in range(10):
        for _ in range(100):
            sent += 1
            client.update(b"%d" % sent)
        [(id, state)] = client.get().items()
        assert int(state) == sent
    assert redis("HGET", b"tracker:{main/1/0}:client:" + id, "version") == b"%d" % sent
    assert frontend.metric("tracker_map_writes_total", result="superseded") >= 900
    # With replies none is skipped.
    acknowledged = t.connect(frontend, Versioned)
    acknowledged.send(b"".join(packets.versioned.update(b"id", version, b"%d" % version) for version in range(1, 21)))
    assert all(acknowledged.read_acknowledgement() for _ in range(20))


def test_2014(t):
    frontend = t.frontend(listen=LISTEN)
    watcher = watcher_of(t, frontend)
    client = t.connect(frontend, Original2014, index=1)
    client.open(b"long " * 100)
    assert client.get() == {watcher.id: b"watcher", **{i: s for i, s in client.get().items() if s == b"long " * 100}}
    client.update(b"short")
    watcher.wait_for_map(lambda states: b"short" in states.values())
    assert sorted(client.get().values()) == [b"short", b"watcher"]
    assert client.close()
    watcher.wait_for_map(lambda states: b"short" not in states.values())


def test_all_in_one_map(t):
    redis = t.redis()
    a, b = t.frontends(2, redis, listen=LISTEN)
    versioned = watcher_of(t, a)
    t.connect(b, Plain).open(b"plain")
    t.connect(a, Original2013).open(b"2013")
    fourteen = t.connect(b, Original2014, index=1)
    fourteen.open(b"2014")
    wanted = [b"2013", b"2014", b"plain", b"watcher"]
    versioned.wait_for_map(lambda states: sorted(set(states.values()) | {b"watcher"}) == wanted)
    t.wait_until(lambda: sorted(fourteen.get().values()) == wanted, what=lambda: fourteen.get_text())
    t.fsck(redis)


def test_get_lists_ids_in_byte_order(t):
    frontend = t.frontend(listen=LISTEN)
    owner = t.connect(frontend, Versioned)
    ids = [b"b", b"a", b"aa", b"Z", b"~", b"0"]
    for id in ids:
        assert owner.update(id, 1, b"s")
    client = t.connect(frontend, Original2014, index=1)
    client.open(b"s")
    t.wait_until(lambda: len(client.get()) == len(ids) + 1, what=lambda: client.get_text())
    listed = list(client.get())
    assert listed == sorted(listed), listed


def test_messages_in_any_split(t):
    """Byte by byte, and all in one write."""
    frontend = t.frontend()
    dribble = t.connect(frontend, Versioned)
    for byte in packets.versioned.open(b"dribbled"):
        dribble.send(bytes([byte]))
    id = dribble.read_id()
    stream = b"".join(packets.versioned.update(id, version, b"v%d" % version) for version in range(1, 101))
    dribble.send(stream)
    assert all(dribble.read_acknowledgement() for _ in range(100))
    original = t.connect(frontend, Original2013)
    for byte in packets.original.open(b"dribbled too"):
        original.send(bytes([byte]))
    assert len(original.take(7)) == 7


def test_acknowledgements_of_pushes_are_not_needed(t):
    """A client may answer each push with a 01, or none."""
    frontend = t.frontend()
    polite = t.connect(frontend, Versioned, acknowledge=True)
    terse = t.connect(frontend, Versioned, acknowledge=False)
    other = t.connect(frontend, Versioned)
    for client in (polite, terse):
        client.open(b"x")
    id = other.open(b"0")
    for version in range(1, 20):
        assert other.update(id, version, b"%d" % version)
    for client in (polite, terse):
        client.wait_for_state(id, b"19")
        assert client.update(client.id, 1, b"y")


def test_entries_too_large_for_a_push_are_left_out(t):
    redis = t.redis()
    frontend = t.frontend(redis)
    watcher = watcher_of(t, frontend)
    big = t.connect(frontend, Original2013)
    big.open(b"x" * 300)
    small = t.connect(frontend, Original2013)
    id = small.open(b"small")
    watcher.wait_for_state(id, b"small")
    assert big.id not in watcher.map
    frontend.wait_for_metric("tracker_pushes_omitted_total", 1)
    # It returns when it fits again.
    assert big.update(big.id, 1, b"fits")
    watcher.wait_for_state(big.id, b"fits")


def test_a_connection_keeps_its_framing(t):
    frontend = t.frontend()
    client = t.connect(frontend, Versioned)
    client.open(b"x")
    client.send(b"\x42\x01\x00" + struct.pack(">q", 1) + b"y")
    assert client.closed()
    frontend.wait_for_metric("tracker_malformed_total", 1, reason="magic")


def test_the_longest_that_one_byte_lengths_can_say(t):
    redis = t.redis()
    frontend = t.frontend(redis)

    def stored(id):
        return len(redis("HGET", b"tracker:{main/1/0}:client:" + id, "state"))

    client = t.connect(frontend, Versioned)
    assert stored(client.open(b"x" * 254)) == 254
    client.send(b"\x2a\x01\x00" + bytes([255, 253]) + b"x" * 253)  # L = n + 2
    assert stored(client.read_id()) == 253
    client.send(packets.versioned.close(b"i" * 254))
    assert client.read_acknowledgement()
    assert client.update(b"someId1", 1, b"x" * (252 - 7)) and stored(b"someId1") == 252 - 7
    watcher = watcher_of(t, frontend)
    assert client.update(b"someId1", 2, b"y" * (251 - 7))
    watcher.wait_for_state(b"someId1", b"y" * (251 - 7))  # the longest that fits a push
    plain = t.connect(frontend, Plain)
    plain.open(b"x" * 255)
    id = next(key for key in redis("KEYS", "tracker:{main/1/0}:client:*")
              if redis("HGET", key, "state") == b"x" * 255).rpartition(b":")[2]
    plain.update(b"x" * 254)
    t.wait_until(lambda: stored(id) == 254)
    plain.send(packets.plain.update_without_outer(b"x" * 255))
    t.wait_until(lambda: stored(id) == 255)


def test_the_longest_id(t):
    client = t.connect(t.frontend(), Original2013)
    assert client.update(b"i" * 255, 1, b"x")
