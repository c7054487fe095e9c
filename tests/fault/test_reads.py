"""Reads include what was acknowledged before them at the same front-end, whichever connection and
protocol wrote it, however late the events of Redis come; and, when asked to, what was acknowledged at
other front-ends. What they may lack past the deadline they say."""
import json
import time

from harness import Original2013, Original2014, scaled, stolen
from harness.faults import end_hold
from harness.sync import Sync
from harness.tracker import parse_map_text
from harness.turntable import Turntable

LISTEN = ("tracker=127.0.0.1:0,push=off", "tracker=127.0.0.1:0,original=2014", "web=127.0.0.1:0")
CONSISTENT = (*LISTEN, "tracker=127.0.0.1:0,original=2014,consistent_get=true")
PLAIN, GETS, CONSISTENT_GETS = range(3)
SLOW = 0.2


def behind(t, redis, delay, settings=None, node="b", listen=LISTEN):
    """A front-end whose events come late, and its links."""
    links = t.links(redis, delay=delay)
    return t.frontend(links.url, node=node, listen=listen, settings=settings), links


def states(reader):
    return parse_map_text(reader.get_text())


def client_of(frontend, id, query=""):
    status, headers, body = frontend.http(f"/api/v1/clients/{id.decode()}{query}")
    return status, headers, json.loads(body)


def update_and_get(t, frontend, rounds, partitions=1):
    writer = t.connect(frontend, Original2013, index=PLAIN)
    reader = t.connect(frontend, Original2014, index=GETS)
    for version in range(1, rounds + 1):
        id, state = b"sensor-%d" % (version % (3 * partitions)), b"%d" % version
        assert writer.update(id, version, state)
        found = states(reader).get(id)
        assert found == state, f"round {version}: {found} instead of {state}"
        if version % 10 == 0:
            assert writer.close(id)
            assert id not in states(reader), f"round {version}: closed, and there"


def test_a_get_after_another_connections_update(t):
    frontend, _ = behind(t, t.redis(), SLOW)
    update_and_get(t, frontend, 20)


def test_thousands_of_them(t):
    frontend, _ = behind(t, t.redis(), 0.001)
    update_and_get(t, frontend, 2000)
    assert frontend.metric("tracker_stale_reads_total") == 0


def test_in_several_partitions(t):
    frontend, _ = behind(t, t.redis(), SLOW, settings={"map.partitions": 8, "client.max_ids": 1000})
    update_and_get(t, frontend, 20, partitions=8)
    assert frontend.metric("tracker_stale_reads_total") == 0


def test_whothere_and_the_api_across_protocols(t):
    frontend, _ = behind(t, t.redis(), SLOW)
    asking = t.connect(frontend, Turntable, kind="web", user="1:1")
    reader = t.connect(frontend, Original2014, index=GETS)
    writer = t.connect(frontend, Original2013, index=PLAIN)
    for version in range(1, 6):
        id, user = b"sensor-%d" % version, f"1:1{version}"
        assert writer.update(id, version, b"here")
        asking.say("whothere", {})
        assert id.decode() in asking.wait("there")
        assert writer.update(id, version + 1, b"there")
        assert client_of(frontend, id)[2]["state"] == "there"
        came = t.connect(frontend, Turntable, kind="web", user=user)
        asking.say("whothere", {})
        assert user in asking.wait("there")
        assert any(user in text.decode() for text in states(reader).values())
        assert came.closed is None
        token = t.connect(frontend, Sync, kind="web").token
        assert token.encode() in states(reader)
        assert client_of(frontend, token.encode())[2]["protocol"] == "sync"
        assert writer.close(id)
        assert client_of(frontend, id)[0] == 404
        asking.say("whothere", {})
        assert id.decode() not in asking.wait("there")


def test_whothere_of_a_room(t):
    """Asked by members and by others, when joining has been answered."""
    frontend, _ = behind(t, t.redis(), SLOW)
    member = t.connect(frontend, Turntable, kind="web", user="1:1")
    other = t.connect(frontend, Turntable, kind="web", user="1:2")
    member.join("arena")
    for number in range(3, 8):
        user = f"1:{number}"
        came = t.connect(frontend, Turntable, kind="web", user=user)
        assert user in came.join("arena")
        for asking in (member, other):
            asking.say("whothere", {"channel": "arena"})
            assert user in asking.wait("there")


def test_consistent_reads_of_what_another_front_end_acknowledged(t):
    redis = t.redis()
    a = t.frontend(redis, node="a", listen=LISTEN)
    b, _ = behind(t, redis, SLOW, listen=CONSISTENT)
    writer = t.connect(a, Original2013, index=PLAIN)
    reader = t.connect(b, Original2014, index=CONSISTENT_GETS)
    for version in range(1, 16):
        state = b"%d" % version
        assert writer.update(b"sensor", version, state)
        assert states(reader)[b"sensor"] == state
        assert writer.update(b"sensor", version + 100 * version, b"again")
        status, headers, client = client_of(b, b"sensor", "?consistent=1")
        assert status == 200 and client["state"] == "again", client
        assert "stale" not in client and "Tracker-Stale" not in headers
        writer.close(b"sensor")
        status, _, body = b.http("/api/v1/clients?consistent=true")
        assert status == 200 and json.loads(body)["count"] == 0, body
    assert b.metric("tracker_consistent_reads_total") == 45
    assert b.metric("tracker_stale_reads_total") == 0
    assert b.http("/api/v1/clients?consistent=perhaps")[0] == 400
    assert b.http("/api/v1/clients?consistent=0")[0] == 200
    assert b.metric("tracker_consistent_reads_total") == 45


def test_consistent_reads_over_several_partitions(t):
    settings = {"map.partitions": 5, "client.max_ids": 1000}
    redis = t.redis()
    a = t.frontend(redis, node="a", listen=LISTEN, settings=settings)
    b, _ = behind(t, redis, SLOW, settings=settings, listen=CONSISTENT)
    writer = t.connect(a, Original2013, index=PLAIN)
    readers = [t.connect(b, Original2014, index=CONSISTENT_GETS) for _ in range(5)]
    ids = [b"sensor-%d" % number for number in range(20)]
    for version in range(1, 6):
        for id in ids:
            assert writer.update(id, version, b"%d" % version)
        # They come together, and share what is asked of Redis.
        for reader in readers:
            reader.send(b"\x42\x01\x03")
        for reader in readers:
            length = int.from_bytes(reader.take(8), "big")
            assert parse_map_text(reader.take(length)) == {id: b"%d" % version for id in ids}


def check_stale(frontend, path, counted):
    """The request's answer came in time, and says that it may lack something."""
    began = time.monotonic()
    status, headers, body = frontend.http(path)
    took = time.monotonic() - began
    assert 0.9 <= took <= scaled(1) + 1 + stolen(began), f"{path}: {took} s"
    assert headers.get("Tracker-Stale") == "true", (path, headers, body)
    assert json.loads(body)["stale"] is True, (path, body)
    assert frontend.metric("tracker_stale_reads_total") == counted, path
    return status, headers, json.loads(body)


def fresh(ask):
    """Its answer, with headers in the middle; None to be asked again: the links are threads of this process, and
    where that was stopped, what is read may be stale."""
    began = time.monotonic()
    answer = ask()
    return None if "Tracker-Stale" in answer[1] and stolen(began) else answer


def test_past_the_deadline(t):
    """The events of Redis are cut off, while writes are acknowledged."""
    listen = (*LISTEN, "lobby-clients=127.0.0.1:0")
    frontend, links = behind(t, t.redis(), 0, settings={"redis.deadline": "1s"}, listen=listen)
    writer = t.connect(frontend, Original2013, index=PLAIN)
    reader = t.connect(frontend, Original2014, index=GETS)
    asking = t.connect(frontend, Turntable, kind="web", user="1:1")
    assert writer.update(b"sensor", 1, b"before")
    assert states(reader)[b"sensor"] == b"before"
    _, headers, _ = frontend.http("/api/v1/servers")
    tag = headers["ETag"]
    assert frontend.metric("tracker_stale_reads_total") == 0
    links.cut()
    assert writer.update(b"sensor", 2, b"after")
    assert writer.update(b"other", 1, b"new")
    began = time.monotonic()
    assert states(reader)[b"sensor"] == b"before"
    assert 0.9 <= time.monotonic() - began <= scaled(1) + 1 + stolen(began)
    asking.say("whothere", {})
    assert asking.wait("there") == ["1:1", "sensor"]
    status, _, body = check_stale(frontend, "/api/v1/clients/sensor", 3)
    assert status == 200 and body["state"] == "before"
    status, _, body = check_stale(frontend, "/api/v1/clients/other", 4)
    assert status == 404 and "error" in body
    status, _, body = check_stale(frontend, "/api/v1/clients?consistent=1", 5)
    assert status == 200 and body["count"] == 2
    # A client that knows the list from before is not sent "unchanged".
    status, headers, body = check_stale(frontend, "/api/v1/servers", 6)
    assert status == 200 and body["servers"] == [] and headers["ETag"] != tag
    links.restore()
    restored = time.monotonic()
    t.wait_until(frontend.ready, 15)
    status, headers, body = t.wait_until(lambda: fresh(lambda: client_of(frontend, b"other")))
    assert status == 200 and body["state"] == "new" and "stale" not in body and "Tracker-Stale" not in headers
    assert states(reader)[b"sensor"] == b"after"
    _, headers, body = t.wait_until(lambda: fresh(lambda: frontend.http("/api/v1/servers")))
    assert headers["ETag"] == tag and "Tracker-Stale" not in headers
    counted = frontend.metric("tracker_stale_reads_total")
    assert counted == 6 or counted > 6 and stolen(restored), counted


def test_a_redis_that_does_not_answer(t):
    """Its connections stay, as do those who ask: neither the revisions nor the names of the front-ends are
    waited for beyond the deadline."""
    redis = t.redis()
    frontend = t.frontend(redis, listen=CONSISTENT, settings={"redis.deadline": "1s", "redis.timeout": "1m"})
    writer = t.connect(frontend, Original2013, index=PLAIN)
    reader = t.connect(frontend, Original2014, index=CONSISTENT_GETS)
    assert writer.update(b"sensor", 1, b"known")
    assert states(reader)[b"sensor"] == b"known"
    redis.freeze()
    began = time.monotonic()
    status, headers, client = client_of(frontend, b"sensor")
    assert status == 200 and client["state"] == "known" and "stale" not in client, client
    assert time.monotonic() - began < scaled(1) + 1 + stolen(began)
    check_stale(frontend, "/api/v1/clients?consistent=1", 1)
    began = time.monotonic()
    assert states(reader)[b"sensor"] == b"known"
    assert 0.9 <= time.monotonic() - began <= scaled(1) + 1 + stolen(began)
    assert frontend.http("/api/v1/nodes")[0] == 200
    assert time.monotonic() - began < scaled(2) + 1 + stolen(began)
    assert frontend.metric("tracker_stale_reads_total") == 2
    redis.thaw()
    t.wait_until(frontend.ready, 15)
    assert "stale" not in client_of(frontend, b"sensor", "?consistent=1")[2]


def test_without_redis_what_is_known_at_once(t):
    """Where all that was acknowledged is in the view, nobody waits for a Redis that is not there."""
    redis = t.redis()
    frontend = t.frontend(redis, listen=LISTEN)
    writer = t.connect(frontend, Original2013, index=PLAIN)
    reader = t.connect(frontend, Original2014, index=GETS)
    assert writer.update(b"sensor", 1, b"known")
    assert states(reader)[b"sensor"] == b"known"
    redis.kill()
    frontend.wait_for_log("redis_connection_lost")
    began = time.monotonic()
    assert states(reader)[b"sensor"] == b"known"
    status, headers, client = client_of(frontend, b"sensor")
    assert status == 200 and client["state"] == "known" and client["stale"] is True, client
    assert headers["Tracker-Stale"] == "true"
    assert time.monotonic() - began < scaled(2) + stolen(began)
    assert frontend.metric("tracker_stale_reads_total") == 2


def test_when_redis_comes_back_older(t):
    """What was acknowledged before is read all the time, also while it is put back."""
    redis = t.redis()
    frontend = t.frontend(redis, listen=LISTEN, settings={"client.max_ids": 1000, "tracker.burst": 1000})
    end_hold(redis)
    writer = t.connect(frontend, Original2013, index=PLAIN)
    reader = t.connect(frontend, Original2014, index=GETS)
    ids = [b"sensor-%d" % number for number in range(200)]
    for id in ids:
        assert writer.update(id, 1, b"old")
    assert writer.update(b"closed", 1, b"old")
    redis.save("older")
    for id in ids:
        assert writer.update(id, 2, b"new")
    assert writer.close(b"closed")
    expected = {id: b"new" for id in ids}
    assert states(reader) == expected
    redis.restart(rdb="older")
    epochs = frontend.metric("tracker_epochs_total")
    reads = 0

    def is_back():
        nonlocal reads
        reads += 1
        found = states(reader)
        wrong = {id: found.get(id) for id in found.keys() | expected.keys() if found.get(id) != expected.get(id)}
        assert not wrong, f"read {reads}: {dict(list(wrong.items())[:5])}"
        return frontend.metric("tracker_restored_entries_total") >= len(ids) and frontend.ready()
    t.wait_until(is_back, 15, "all is put back", 0.005)
    for _ in range(20):
        is_back()
    assert frontend.metric("tracker_epochs_total") > epochs or epochs > 1
    t.fsck(redis)
