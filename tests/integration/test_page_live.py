"""/api/v1/live: the map as a stream of events, for readers that keep up and for such that do not."""
import json
import random
import socket
import time

from harness import Original2013, Versioned, packets
from harness.live import Stream
from harness.waiting import scaled, stolen


UNLIMITED = {"client.max_ids": "10000", "tracker.rate": "0"}


def test_the_map_and_what_changes(t):
    a, b = t.frontends(2, t.redis())
    first = t.connect(b, Versioned).open(b"before").decode()
    stream = Stream(t, a)
    stream.until_live(t)
    assert "\r\nContent-Type: text/event-stream\r\n" in stream.head and "\r\nCache-Control: no-store" in stream.head
    names = [name for name, _ in stream.events]
    assert names[0] == "hello" and names.index("begin") < names.index("entries") < names.index("live")
    hello = stream.events[0][1]
    assert hello["name"] == "a" and hello["space"] == "main" and hello["spaces"] == ["main"]
    assert stream.states() == {first: "before"}
    writer = t.connect(b, Versioned)
    second = writer.open(b"one").decode()
    stream.until(t, lambda: stream.states().get(second) == "one")
    writer.update(second.encode(), 1, b"two")
    stream.until(t, lambda: stream.states()[second] == "two")
    writer.close(second.encode())
    stream.until(t, lambda: second not in stream.entries)
    assert ("closed", [second]) in stream.events


def test_a_client_that_has_moved_to_another_front_end(t):
    """Its state is the same; where it is connected is not."""
    redis = t.redis()
    a, b, c = t.frontends(3, redis, settings={"map.recovery_grace": "0s"})
    stream = Stream(t, c)
    stream.until_live(t)
    t.connect(a, Versioned).update(b"moves", 5, b"the same")
    stream.until(t, lambda: "moves" in stream.entries)
    before = stream.entries["moves"]
    a.kill()
    again = t.connect(b, Versioned)
    assert again.update(b"moves", 6, b"the same")
    stream.until(t, lambda: stream.entries["moves"]["node"] != before["node"], "moved")
    nodes = {node["name"]: node["node"] for node in json.loads(c.http("/api/v1/nodes")[2])["nodes"]}
    assert stream.entries["moves"] == {**before, "node": nodes["b"], "version": "6"}
    assert json.loads(c.http("/api/v1/clients/moves")[2])["node_name"] == "b"
    assert not [data for name, data in stream.events if name == "closed"]


def test_what_is_no_change_of_the_clients_own(t):
    """Who owns an entry and where, with the same version: sent here, and not to clients."""
    redis = t.redis()
    a, b = t.frontends(2, redis)
    watcher = t.connect(b, Versioned)
    watcher.open(b"w")
    client = t.connect(a, Versioned)
    id = client.open(b"x")
    watcher.wait_for_state(id, b"x")
    stream = Stream(t, b)
    stream.until_live(t)
    received = len(watcher.pushes)
    # As in a snapshot that is read again after an event was lost.
    redis("HSET", b"tracker:{main/1/0}:client:" + id, "since", "1700000000000")
    redis("HINCRBY", "tracker:{main/1/0}:head", "revision", "1")
    stream.until(t, lambda: stream.entries[id.decode()]["since"] == 1700000000000)
    assert client.update(id, 1, b"y")
    watcher.wait_for_state(id, b"y")
    assert [(push.kind, push.id) for push in watcher.pushes[received:]] == [("one", id)]


def test_numbers_each_second_and_the_front_ends(t):
    a, _ = t.frontends(2, t.redis())
    stream = Stream(t, a)
    stream.until(t, lambda: sum(name == "stats" for name, _ in stream.events) >= 3)
    stats = [data for name, data in stream.events if name == "stats"]
    assert stats[-1]["name"] == "a" and stats[-1]["watchers"] == 1 and stats[-1]["clients"] == 0
    assert 0 < stats[-1]["time"] - stats[0]["time"] < 10000
    stream.until(t, lambda: [data for name, data in stream.events if name == "nodes"])
    stream.until(t, lambda: {node["name"] for node in [data for name, data in stream.events if name == "nodes"][-1]}
                 == {"a", "b"})


def test_ids_that_are_not_utf8(t):
    frontend = t.frontend(t.redis())
    client = t.connect(frontend, Original2013)
    client.update(b"\xff", 1, b"\x00")
    stream = Stream(t, frontend)
    stream.until(t, lambda: "64:/w==" in stream.entries)
    assert stream.entries["64:/w=="]["state64"] == "AA=="
    client.close(b"\xff")
    stream.until(t, lambda: ("closed", [{"id64": "/w=="}]) in stream.events)


def fill(t, frontend, count, state=b"x" * 200):
    client = t.connect(frontend, Original2013)
    write(client, [update(number, 1, state) for number in range(count)])
    return client


def write(client, messages):
    """All at once, then all replies."""
    client.send(b"".join(messages))
    assert set(client.take(len(messages))) <= {0, 1}


def update(number, version, state):
    return packets.original.update(b"id%d" % number, version, state)


def test_a_large_map_comes_in_chunks_while_it_changes(t):
    frontend = t.frontend(t.redis(), settings={**UNLIMITED, "web.chunk": "16KiB"})
    client = fill(t, frontend, 1000)
    streams = [Stream(t, frontend) for _ in range(3)]
    write(client, [update(number, 2, b"changed") for number in range(0, 1000, 7)])
    write(client, [packets.original.close(b"id%d" % number) for number in range(1, 1000, 7)])
    wanted = {f"id{number}": "changed" if number % 7 == 0 else "x" * 200 for number in range(1000) if number % 7 != 1}
    for stream in streams:
        stream.until(t, lambda: stream.live and stream.states() == wanted, "all")
        assert max(len(data) for name, data in stream.events if name == "entries") < 300


def test_a_reader_that_does_not_keep_up(t):
    """It misses states, never an entry's last one, and neither opens nor closes; the front-end keeps
    nothing for it that grows with the number of changes."""
    frontend = t.frontend(t.redis(), settings={**UNLIMITED, "net.send_buffer": "8KiB", "web.chunk": "8KiB"})
    client = fill(t, frontend, 400)
    slow, quick = Stream(t, frontend, buffer=4096), Stream(t, frontend)
    quick.until_live(t)
    version = 1
    random.seed(7)
    for step in range(120):
        version += 1
        numbers = random.sample(range(420), 50)
        write(client, [packets.original.close(b"id%d" % number) if random.random() < 0.1
                       else update(number, version, b"step %d " % step + b"y" * 100) for number in numbers])
        quick.read(0)
    client.update(b"last", 1, b"of all")
    quick.until(t, lambda: "last" in quick.entries)
    assert frontend.metric("tracker_output_queued_bytes") < 1 << 20
    slow.until(t, lambda: slow.live and slow.states() == quick.states(), "caught up", 30)
    changes = [sum(len(data) for name, data in stream.events if name == "entries") for stream in (slow, quick)]
    assert changes[0] < changes[1], changes


def test_a_reader_whose_place_is_lost_reads_anew(t):
    """More clients closed while it did not read than are remembered."""
    frontend = t.frontend(t.redis(), settings={**UNLIMITED, "net.send_buffer": "8KiB", "web.chunk": "8KiB"})
    client = fill(t, frontend, 300)
    slow, quick = Stream(t, frontend, buffer=4096), Stream(t, frontend)
    quick.until_live(t)
    name = "a rather long id, so that not many of them fit into what is kept for a reader, %d"
    for first in range(0, 4000, 500):
        ids = [(name % number).encode() for number in range(first, first + 500)]
        write(client, [packets.original.update(one, 1, b"") for one in ids])
        quick.until(t, lambda: len(quick.entries) == 800)
        write(client, [packets.original.close(one) for one in ids])
        quick.until(t, lambda: len(quick.entries) == 300)
    client.update(b"last", 1, b"x")
    quick.until(t, lambda: "last" in quick.entries and len(quick.entries) == 301)
    slow.until(t, lambda: slow.live and slow.states() == quick.states(), "anew", 30)
    assert sum(name == "begin" for name, _ in slow.events) >= 2
    assert sum(name == "begin" for name, _ in quick.events) == 1


def test_redis_is_cut_and_comes_back(t):
    redis = t.redis()
    frontend = t.frontend(redis)
    writer = t.connect(frontend, Versioned)
    one = writer.open(b"x").decode()
    stream = Stream(t, frontend)
    stream.until_live(t)
    redis.kill()
    stream.until(t, lambda: [data for name, data in stream.events if name == "stats"][-1]["ready"] is False)
    assert one in stream.entries
    redis.start()
    stream.until(t, lambda: [data for name, data in stream.events if name == "stats"][-1]["ready"] is True)
    writer.update(one.encode(), 1, b"after")
    stream.until(t, lambda: stream.states().get(one) == "after")
    assert not [data for name, data in stream.events if name == "closed"]


def test_a_stream_that_begins_while_redis_is_unreachable(t):
    redis = t.redis()
    frontend = t.frontend(redis)
    one = t.connect(frontend, Original2013).open(b"x").decode()  # which does not receive the map
    redis.freeze()
    stream = Stream(t, frontend)
    stream.until(t, lambda: sum(name == "stats" for name, _ in stream.events) >= 2)
    assert not stream.live and "clients" not in stream.events[-1][1]
    redis.thaw()
    stream.until(t, lambda: stream.live and one in stream.entries)


def test_a_space_that_is_too_large(t):
    frontend = t.frontend(t.redis(), settings={"client.max_ids": "100", "view.max_entries": "10"})
    client = fill(t, frontend, 10)
    stream = Stream(t, frontend)
    stream.until_live(t)
    client.update(b"one more", 1, b"")
    stream.until(t, lambda: [data for name, data in stream.events if name == "refused"])
    status, _, body = frontend.http("/api/v1/clients")
    assert status == 503 and b"view.max_entries" in body
    client.close(b"one more")
    client.close(b"id1")
    stream.until(t, lambda: stream.live and len(stream.entries) == 9)


def test_limits_and_ends(t):
    frontend = t.frontend(t.redis(), settings={"web.max_watchers": "2"})
    streams = [Stream(t, frontend) for _ in range(2)]
    for stream in streams:
        stream.until_live(t)
    status, _, body = frontend.http("/api/v1/live")
    assert status == 503 and b"web.max_watchers" in body
    streams[0].socket.close()
    t.wait_until(lambda: json.loads(frontend.http("/api/v1/stats")[2])["watchers"] == 1)
    third = Stream(t, frontend)
    third.until_live(t)
    status, headers, body = frontend.http("/api/v1/live", method="HEAD")
    assert status == 200 and headers["Content-Type"] == "text/event-stream" and body == b""
    assert frontend.http("/api/v1/live", method="POST")[0] == 405
    # What a reader sends is not read as a request, and its end is noticed.
    third.socket.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
    third.socket.shutdown(socket.SHUT_WR)
    third.until(t, lambda: third.ended)
    # A drain keeps sending until the end.
    frontend.drain()
    streams[1].until(t, lambda: streams[1].ended)


def test_the_token_goes_for_the_stream_too(t):
    token = "0123456789abcdef"
    frontend = t.frontend(t.redis(), settings={"web.page": "token", "web.token": token})
    assert frontend.http("/api/v1/live")[0] == 401
    assert frontend.http("/api/v1/clients")[0] == 200
    stream = Stream(t, frontend, f"?token={token}")
    stream.until_live(t)


def test_many_readers_cost_one_encoding(t):
    """What goes to a hundred readers is encoded once: no more CPU each than a write."""
    frontend = t.frontend(t.redis(), settings={**UNLIMITED, "access.connect_rate": "0"})
    client = fill(t, frontend, 500)
    streams = [Stream(t, frontend) for _ in range(100)]
    for stream in streams:
        stream.until_live(t)
    began = time.monotonic()
    write(client, [update(number, 2, b"again") for number in range(500)])
    for stream in streams:
        stream.until(t, lambda: all(state == "again" for state in stream.states().values()))
    assert time.monotonic() - began < scaled(60) + stolen(began)


def returns(entries, state):
    """Events in which each of the entries (id -> fields) closes and opens again with that state."""
    events = b""
    for id, fields in entries.items():
        fields = {**fields, b"state": state}
        version = fields.pop(b"version", b"0")
        body = b"".join(b"%d %d\n%s%s" % (len(name), len(value), name, value) for name, value in fields.items())
        events += b"close %d 0 0\n%s" % (len(id), id)
        events += b"open %d %d %d\n%s%s%s" % (len(id), len(version), len(body), id, version, body)
    return events


def test_what_closes_and_is_back_while_it_is_followed(t):
    """While a reader follows in small chunks, everything closes and opens again in one message."""
    redis = t.redis()
    a, b = t.frontends(2, redis, listen=("tracker=127.0.0.1:0,push=off", "web=127.0.0.1:0"),
                       settings={**UNLIMITED, "web.chunk": "1KiB"})
    ids = t.bulk(b.address(), 1000).ids
    entries, count = {id: redis.hash(b"tracker:{main/1/0}:client:" + id) for id in ids}, 2 * len(ids)
    epoch = redis("HGET", b"tracker:{main/1/0}:head", "epoch")
    for number in range(20):
        state = f"round {number}"
        events = returns(entries, state.encode())
        stream = Stream(t, a)
        stream.until(t, lambda: stream.entries)
        last = redis("HINCRBY", b"tracker:{main/1/0}:head", "revision", count)
        redis("PUBLISH", b"tracker:{main/1/0}:events", b"1 %s %d %d\n%s" % (epoch, last - count + 1, count, events))
        stream.until_live(t)
        # All are back; they were there before the message came, too.
        stream.until(t, lambda: list(stream.states().values()) == [state] * len(ids), "all are back")
        stream.read(0.1)
        assert len(stream.entries) == len(ids)
        stream.socket.close()


def test_an_answer_begins_with_its_head_also_without_redis(t):
    """What is known of other front-ends, which is nothing then, is no part of the head."""
    redis = t.redis()
    frontend = t.frontend(redis)
    redis.kill()
    t.wait_until(lambda: not frontend.ready())
    client = t.raw(frontend, kind="web")
    client.send(b"GET /api/v1/live HTTP/1.1\r\nHost: localhost\r\n\r\n")
    t.wait_until(lambda: b"event: stats" in (client.silent(0.01), client.input)[1])
    assert client.input.startswith(b"HTTP/1.1 200 OK\r\n"), client.input
    stats = json.loads(client.input.partition(b"event: stats\ndata: ")[2].partition(b"\n")[0])
    assert not stats["redis"] and 0 <= stats["time"] - stats["stale_since"] < 60000, stats
    since = stats["stale_since"]
    stats = json.loads(frontend.http("/api/v1/stats")[2])
    assert abs(stats["stale_since"] - since) < 1000, "it is since then, however long it takes"
    redis.start()
    t.wait_until(frontend.ready, 15)
    assert "stale_since" not in json.loads(frontend.http("/api/v1/stats")[2])
