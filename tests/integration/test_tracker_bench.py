"""tracker-bench: each mode counts what really happens, and says what went wrong."""
import json

from harness import certificates


def bench(t, *arguments):
    return json.loads(t.run("tracker-bench", *map(str, arguments), "--json", timeout=60).stdout)


def pair(t):
    redis = t.redis()
    return redis, *t.frontends(2, redis)


def test_updates(t):
    redis, node, _ = pair(t)
    found = bench(t, "updates", "--target", node.where(), "--connections", 4, "--entries", 8, "--rate", 100,
                  "--window", 0, "--seconds", 1, "--warmup", 0.1, "--pid", f"frontend={node.pid}",
                  "--pid", f"redis={redis.process.pid}")
    assert found["updates_sent"] == 100, found
    assert found["updates_refused"] == found["updates_unanswered"] == found["writers_lost"] == 0, found
    assert 0 < found["answer_p50"] <= found["answer_p99"] <= found["answer_max"], found
    assert found["redis_cpu_percent"] >= 0, found
    # 8 entries made, then the load with its warm-up.
    assert node.metric("tracker_messages_total", kind="update") == 8 + 110


def test_closed_loop(t):
    _, node, _ = pair(t)
    found = bench(t, "updates", "--target", node.where(), "--connections", 2, "--entries", 8, "--window", 4, "--seconds", 0.3,
                  "--warmup", 0, "--dialect", "versioned")
    assert found["updates_accepted"] > 0 and found["updates_refused"] == 0, found


def test_fanout(t):
    _, writing, watching = pair(t)
    found = bench(t, "fanout", "--target", writing.where(), "--watch", watching.where(), "--connections", 2,
                  "--entries", 30, "--watchers", 20, "--rate", 50, "--seconds", 1, "--warmup", 0)
    # What is delivered after the window does not count.
    assert found["updates_sent"] == 50 and 0 < found["deliveries"] <= 20 * 50, found
    assert found["delivery_p50"] > 0 and found["watchers_lost"] == 0, found


def test_references(t):
    redis = t.redis(tcp=True)
    floor = bench(t, "floor", "--watchers", 10, "--rate", 50, "--seconds", 1, "--warmup", 0)
    assert floor["updates_sent"] == 50 and 0 < floor["deliveries"] <= 10 * 50 and floor["delivery_p50"] > 0, floor
    plain = bench(t, "pubsub", "--target", f"127.0.0.1:{redis.port}", "--rate", 50, "--seconds", 1, "--warmup", 0)
    assert plain["published"] == 50 and 0 < plain["deliveries"] <= 50 and plain["delivery_p50"] > 0, plain
    plain = bench(t, "pubsub", "--target", f"unix:{redis.socket}", "--rate", 50, "--seconds", 0.2, "--warmup", 0)
    assert plain["delivery_p50"] > 0, plain


def test_idle(t):
    _, node, _ = pair(t)
    found = bench(t, "idle", "--target", node.where(), "--connections", 300, "--sources", 3,
                  "--pid", f"frontend={node.pid}")
    assert found["connections"] == 300 and found["connections_lost"] == 0, found
    assert found["frontend_opened_bytes"] >= 0, found
    assert node.metric("tracker_messages_total", kind="open") == 300


def test_snapshot(t):
    _, filling, reading = pair(t)
    found = bench(t, "snapshot", "--target", filling.where(), "--watch", reading.where(), "--connections", 20,
                  "--entries", 200, "--rate", 20, "--seconds", 2, "--warmup", 0)
    # The reader's own entry may be among them.
    assert found["entries_read"] in (200, 201) and found["whole_map"] > 0, found


def test_websocket_floor(t):
    found = bench(t, "ws-fanout", "--service", "floor", "--connections", 2, "--watchers", 20, "--rate", 50, "--seconds", 1,
                  "--warmup", 0)
    assert found["messages_sent"] == 50 and 0 < found["deliveries"] <= 20 * 50, found
    assert found["frames"] == found["deliveries"] and found["delivery_p50"] > 0, found
    assert found["listeners_lost"] == found["speakers_lost"] == 0, found


def test_websocket_fanout(t):
    """Beside the window's updates each speaker's entries and the listeners' own are delivered."""
    _, speaking, listening = pair(t)
    found = bench(t, "ws-fanout", "--service", "tracker", "--target", speaking.where("web"), "--watch", listening.where("web"),
                  "--connections", 2, "--entries", 30, "--watchers", 20, "--rate", 50, "--seconds", 1, "--warmup", 0,
                  "--pid", f"server={listening.pid}")
    assert found["messages_sent"] == 50 and 0 < found["deliveries"] <= 20 * 50, found
    assert found["listeners_lost"] == found["speakers_lost"] == 0 and found["delivery_p50"] > 0, found
    assert found["server_cpu_percent"] >= 0, found
    assert speaking.metric("tracker_websocket_upgrades_total") == 2
    assert listening.metric("tracker_websocket_upgrades_total") == 20


def test_websocket_idle(t):
    certificate, key = certificates.make(t.directory())
    node = t.frontend(t.redis(), listen=("web=127.0.0.1:0",
                                         f"web=127.0.0.1:0,tls=true,tls_certificate={certificate},tls_key={key}"))
    for index, options in ((0, ()), (1, ("--tls",))):
        found = bench(t, "ws-idle", "--service", "tracker", "--target", node.where("web", index), "--connections", 40,
                      "--sources", 2, "--processes", 2, "--pid", f"server={node.pid}", *options)
        assert found["connections"] == 40 and found["connections_lost"] == 0, found
        assert "server_idle_bytes" in found, found
    assert node.metric("tracker_websocket_upgrades_total") == 80


def test_rooms_and_metadata_sync(t):
    """A speaker receives its own messages, too."""
    for service in ("room", "sync-relay", "sync-delta"):
        _, speaking, listening = pair(t)
        found = bench(t, "ws-fanout", "--service", service, "--target", speaking.where("web"), "--watch", listening.where("web"),
                      "--connections", 5, "--watchers", 20, "--rate", 5, "--seconds", 2, "--warmup", 0.2)
        assert found["messages_sent"] == 5 and 0 < found["deliveries"] <= 25 * 15, (service, found)
        assert found["listeners_lost"] == found["speakers_lost"] == 0 and found["delivery_p50"] > 0, (service, found)


def test_a_large_room(t):
    """Its list of members is longer than what the generator keeps of a message."""
    _, node, _ = pair(t)
    found = bench(t, "ws-idle", "--service", "room", "--target", node.where("web"), "--connections", 1200, "--sources", 30,
                  "--pid", f"server={node.pid}")
    assert found["connections_lost"] == 0, found


def test_friends(t):
    _, node, _ = pair(t)
    found = bench(t, "friends", "--target", node.where("web"), "--connections", 30, "--each", 4, "--rate", 20, "--seconds", 1,
                  "--warmup", 0)
    assert found["messages_sent"] == 20 and 0 < found["deliveries"] <= 20 * 4, found
    assert found["delivery_p50"] > 0 and found["listeners_lost"] == 0, found


def test_tick(t):
    _, node, _ = pair(t)
    for service, frames in (("sync", 2), ("sync-delta", 1)):
        found = bench(t, "tick", "--service", service, "--target", node.where("web"), "--connections", 2, "--watchers", 8,
                      "--each", 3, "--rate", 20, "--seconds", 2, "--warmup", 1)
        assert found["messages_sent"] == 20 and found["listeners_lost"] == 0, found
        # Every tick has changes; the window may begin in the midst of one.
        assert 0 < found["frames_per_client_and_tick"] <= frames * 1.5, found


def test_several_processes(t):
    _, node, _ = pair(t)
    found = bench(t, "updates", "--target", node.where(), "--connections", 5, "--entries", 10, "--processes", 3,
                  "--rate", 90, "--window", 0, "--seconds", 1, "--warmup", 0)
    assert found["updates_sent"] == 90 and found["updates_refused"] == 0, found


def test_what_goes_wrong(t):
    for arguments, code, said in (((), 0, "snapshot"), (("--help",), 0, "--target"),
                                  (("nothing",), 2, "no such mode"), (("updates",), 1, "--target is needed"),
                                  (("updates", "--rate", "x"), 2, "rate"),
                                  (("updates", "--target", "nowhere"), 1, "neither"),
                                  (("updates", "--target", "127.0.0.1:1"), 1, "cannot connect"),
                                  (("updates", "--state-size", "3"), 2, "16 bytes"),
                                  (("updates", "--pid", "x"), 2, "pid"),
                                  (("ws-fanout",), 1, "--service is needed"),
                                  (("ws-fanout", "--service", "nothing"), 1, "no such service"),
                                  (("ws-fanout", "--service", "floor", "--state-size", "20"), 1, "33 bytes"),
                                  (("ws-idle", "--service", "tracker"), 1, "--target is needed"),
                                  (("friends", "--connections", "5", "--target", "127.0.0.1:1"), 1, "more users"),
                                  (("updates", "--target", "127.0.0.1:1", "--pid", "gone=2147483600"), 1, "gone")):
        done = t.run("tracker-bench", *arguments, check=False)
        assert done.returncode == code and said in done.stdout + done.stderr, (arguments, done)


def test_a_refused_handshake(t):
    node = t.frontend(t.redis())
    done = t.run("tracker-bench", "ws-idle", "--service", "nchan", "--target", node.where("web"), "--connections", "1",
                 check=False)
    assert done.returncode == 1 and "refuses the handshake: HTTP/1.1 404" in done.stderr, done


def test_refused_entries(t):
    redis = t.redis()
    node = t.frontend(redis, settings={"client.max_ids": "1"})
    done = t.run("tracker-bench", "updates", "--target", node.where(), "--connections", "1", "--entries", "5",
                 check=False)
    assert done.returncode == 1 and "client.max_ids" in done.stderr, done
