"""Spaces and partitions: isolated maps, and one map in several parts."""
import struct

from harness import Plain, Versioned


def test_spaces_are_isolated(t):
    redis = t.redis()
    frontend = t.frontend(redis, settings={"map.spaces": "main games"},
                          listen=("tracker=127.0.0.1:0", "tracker=127.0.0.1:0,space=games", "web=127.0.0.1:0"))
    main, games = t.connect(frontend, Versioned), t.connect(frontend, Versioned, index=1)
    assert main.update(b"same", 1, b"in main")
    assert games.update(b"same", 1, b"in games")
    assert t.connect(frontend, Plain).get() == {b"same": b"in main"}
    assert t.connect(frontend, Plain, index=1).get() == {b"same": b"in games"}
    assert redis("HGET", "tracker:{main/1/0}:client:same", "state") == b"in main"
    assert redis("HGET", "tracker:{games/1/0}:client:same", "state") == b"in games"
    assert games.close(b"same")
    assert redis("EXISTS", "tracker:{main/1/0}:client:same") == 1
    t.fsck(redis)


def test_a_space_that_is_not_configured_is_an_error_at_start(t):
    frontend = t.frontend(t.redis(), listen=("tracker=127.0.0.1:0,space=nowhere",), wait=False)
    assert frontend.process.wait() in (1, 2)
    assert frontend.log_lines("nowhere"), frontend.log


def test_several_partitions_are_one_map(t):
    redis = t.redis()
    a, b = t.frontends(2, redis, settings={"map.partitions": "4"})
    ids = {}
    for number in range(60):
        client = t.connect(a if number % 2 else b, Versioned)
        ids[client.open(b"%d" % number)] = b"%d" % number
    used = {key.split(b"}")[0] for key in redis.keys("tracker:{main/4/*}:client:*")}
    assert used == {b"tracker:{main/4/%d" % part for part in range(4)}, used
    for frontend in (a, b):
        watcher = t.connect(frontend, Versioned)
        own = watcher.open(b"watcher")
        watcher.wait_for_map(lambda states: ids.items() <= states.items())
        assert watcher.close(own)
    t.fsck(redis)


def test_another_number_of_partitions_is_refused_with_both_numbers(t):
    redis = t.redis()
    t.frontend(redis)
    other = t.frontend(redis, settings={"map.partitions": "3"}, wait=False)
    assert other.process.wait() not in (0, -6, -11)
    assert [line for line in other.log_lines("level=error") if "1" in line and "3" in line], other.log


def test_prefixes_are_isolated(t):
    redis = t.redis(prefixes=("second",))
    one = t.frontend(redis)
    two = t.frontend(redis, settings={"redis.prefix": "second"})
    assert t.connect(one, Versioned).update(b"id", 1, b"one")
    assert t.connect(two, Versioned).update(b"id", 1, b"two")
    assert t.connect(one, Plain).get() == {b"id": b"one"}
    assert redis("HGET", "second:{main/1/0}:client:id", "state") == b"two"


def test_a_map_larger_than_any_reply_can_be_read(t):
    """Chunks are counted in bytes, too: view.chunk entries of the largest states are more than redis.max_reply."""
    redis = t.redis()
    settings = {"redis.max_reply": "1MiB", "tracker.max_state": "400KiB", "net.max_input": "1MiB"}
    writer = t.frontend(redis, node="a", settings=settings)
    client = t.raw(writer)
    states = {b"id%d" % index: bytes([97 + index]) * (390 << 10) for index in range(9)}
    for id, state in states.items():
        body = struct.pack(">qq", 1, len(id)) + id + struct.pack(">q", len(state)) + state
        client.send(b"\x42\x01\x02" + struct.pack(">q", len(body)) + body)
        assert client.take(1) == b"\x01"
    reader = t.frontend(redis, node="b", settings=settings)
    t.wait_until(lambda: reader.http("/api/v1/clients?limit=1")[0] == 200, 20, "the map is read")
    t.wait_until(lambda: reader.metric("tracker_view_entries") == 9, 20, "all of it")
    for id, state in states.items():
        assert redis("HGET", b"tracker:{main/1/0}:client:" + id, "state") == state
    assert not reader.log_lines("redis_connection_lost"), reader.log


def test_entries_that_no_reply_holds_are_refused(t):
    done = t.run("trackerd", "--redis", "unix:/nowhere", "--set", "redis.max_reply=1MiB", "--set",
                 "tracker.max_state=1MiB", check=False)
    assert done.returncode == 2 and "redis.max_reply" in done.stderr and "tracker.max_state" in done.stderr, done
