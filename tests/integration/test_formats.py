"""What a newer release stores and sends: refused with what can read it, or counted, reported and passed over."""
from harness import Versioned
from harness.sync import Sync
from harness.turntable import Turntable

HEAD = "tracker:{main/1/0}:head"
LISTEN = ("tracker=127.0.0.1:0", "web=127.0.0.1:0", "sync=127.0.0.1:0")


def test_a_map_for_newer_readers_is_refused_with_the_release_that_can(t):
    redis = t.redis()
    redis("HSET", HEAD, "format", "3", "reader", "2", "release", "0.3.0")
    frontend = t.frontend(redis, wait=False)
    assert frontend.process.wait() == 1
    line, = frontend.log_lines("msg=fatal")
    for text in ("format 3", "readers of format 2", "trackerd 0.3.0 or later", "understands formats 1 to 1"):
        assert text in line, line


def test_trackerctl_repairs_no_map_for_newer_readers(t):
    redis = t.redis()
    frontend = t.frontend(redis)
    t.connect(frontend, Versioned).open(b"x")
    frontend.kill()
    redis("HSET", HEAD, "format", "3", "reader", "2", "release", "0.3.0", "entries", "7")
    done = t.run("trackerctl", "--redis", redis.url, "fsck", "--repair", check=False)
    assert done.returncode == 1 and "trackerd 0.3.0 or later" in done.stderr, done
    assert redis("HGET", HEAD, "entries") == b"7"


def test_a_map_raised_under_a_running_front_end_is_not_served(t):
    redis = t.redis()
    frontend = t.frontend(redis)
    client = t.connect(frontend, Versioned)
    id = client.open(b"before")
    t.wait_until(frontend.ready, what="it is ready")
    redis("HSET", HEAD, "format", "2", "reader", "2", "release", "0.3.0")
    t.wait_until(lambda: b"the format of the map" in frontend.http("/readyz")[2], what="not ready, with the reason")
    frontend.wait_for_log(r"unreadable_format.*trackerd 0\.3\.0 or later")
    assert frontend.http("/healthz")[0] == 200
    redis("HSET", HEAD, "reader", "1")
    t.wait_until(frontend.ready, what="it is ready again")
    assert client.update(id, 1, b"after")
    assert redis("HGET", HEAD, "format") == b"2", "what a newer front-end stores is not called older"
    t.fsck(redis)


def test_messages_of_unknown_formats_are_counted_reported_and_passed_over(t):
    redis = t.redis()
    frontend = t.frontend(redis, listen=LISTEN)
    browser = t.connect(frontend, Sync, kind="sync")
    player, watcher = (t.connect(frontend, Turntable, kind="web", user=user) for user in ("1:1", "1:2"))
    assert watcher.subscribe("1:1") == {"1:1": "online"}
    player.join("room")
    watcher.wait_statuses({"1:1": "busy"})
    browser.barrier()
    snapshots, reads = (frontend.metric(f"tracker_{name}_total") for name in ("snapshots", "presence_reads"))
    epoch = redis("HGET", HEAD, "epoch").decode()
    node, = (key.decode().rsplit(":", 1)[1] for key in redis.keys("tracker:node:*"))
    for format in (2, 3):
        for channel, rest in (("{main/1/0}:events", f"{epoch} 99 1\nwhatever"), ("{main/1/0}:presence:1:1", f"{epoch} 99 away"),
                              ("{main/1/0}:room:room", f"{epoch} 1 99 whatever"), (f"node:{node}", "relay in another way"),
                              ("relay:main", "in another way")):
            assert redis("PUBLISH", f"tracker:{channel}", f"{format} {rest}") == 1, channel
    for channel, count in (("events", 2), ("presence", 2), ("room", 2), ("relay", 4)):
        frontend.wait_for_metric("tracker_unknown_formats_total", lambda value, count=count: value == count, channel=channel)
        frontend.wait_for_log(rf"unknown_format.* channel={channel} ") if channel != "relay" else None
    player.play("room", {"x": 1})
    t.wait_until(lambda: player.pump(0.1) or player.rooms["room"], what="its own message")
    browser.barrier()
    assert frontend.metric("tracker_snapshots_total") == snapshots
    assert frontend.metric("tracker_presence_reads_total") == reads
    assert frontend.metric("tracker_malformed_from_redis_total") == frontend.metric("tracker_room_losses_total") == 0
    watcher.sync()
    assert watcher.received["1:1"] == ["online", "busy"], watcher.received
