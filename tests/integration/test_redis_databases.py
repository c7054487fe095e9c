"""Two deployments with one prefix in two databases of one Redis: pub/sub has no databases, so channels carry their number."""
from harness import Versioned
from harness.sync import Sync
from harness.turntable import Turntable

LISTEN = ("tracker=127.0.0.1:0", "web=127.0.0.1:0", "sync=127.0.0.1:0")


def start(t):
    # Names that no random id or epoch, in hexadecimal digits, can contain.
    redis = t.redis(tcp=True)
    return redis, *(t.frontend(f"{redis.url}/{number}", node=f"front-end-{number}", listen=LISTEN) for number in (0, 1))


def player(t, frontend, user):
    return t.connect(frontend, Turntable, kind="web", user=user)


def test_packets_to_everybody_stay_in_their_database(t):
    _, zero, one = start(t)
    sender, near, far = (t.connect(frontend, Sync, kind="sync") for frontend in (one, one, zero))
    sender.send("*", {"type": "chat", "text": "for database 1"})
    assert near.wait_packet()["text"] == "for database 1"
    # What follows it in the other database comes first there.
    t.connect(zero, Sync, kind="sync").send("*", {"type": "chat", "text": "for database 0"})
    assert far.wait_packet()["text"] == "for database 0"


def test_presence_and_rooms_stay_in_their_database(t):
    _, zero, one = start(t)
    watcher = player(t, zero, "1:9")
    assert watcher.subscribe("1:1") == {"1:1": "offline"}
    # What comes of another database is of another epoch: it would not be believed, but read again.
    reads = zero.metric("tracker_presence_reads_total")
    there = player(t, one, "1:1")
    assert player(t, one, "1:8").subscribe("1:1") == {"1:1": "online"}
    assert zero.metric("tracker_presence_reads_total") == reads
    assert watcher.join("room") == ["1:9"] and there.join("room") == ["1:1"]
    messages = zero.metric("tracker_room_messages_total")
    there.play("room", {"text": "for database 1"})
    t.wait_until(lambda: there.pump(0.1) or there.rooms["room"], what="its own message")
    assert zero.metric("tracker_room_messages_total") == messages
    watcher.play("room", {"text": "for database 0"})
    t.wait_until(lambda: watcher.pump(0.1) or watcher.rooms["room"], what="its own message")
    watcher.sync()
    assert [b"database 0" in text for text in watcher.rooms["room"]] == [True], watcher.rooms
    assert watcher.members["room"] == {"1:9"} and watcher.received["1:1"] == ["offline"], (watcher.members, watcher.received)


def test_events_of_one_database_disturb_no_view_of_the_other(t):
    redis, zero, one = start(t)
    writers, readers = ([t.connect(frontend, Versioned) for frontend in (zero, one)] for _ in range(2))
    for writer, reader in zip(writers, readers):
        reader.open(b"reader")
        reader.wait_for_state(writer.open(b"first"), b"first")
    before = [frontend.metric("tracker_snapshots_total") for frontend in (zero, one)]
    channels = set(redis("PUBSUB", "CHANNELS", "tracker:*"))
    assert {b"tracker:{main/1/0}:events", b"tracker:{main/1/0}:db1:events"} <= channels, channels
    for number in range(20):
        for writer in writers:
            assert writer.update(writer.id, number + 1, b"%d" % number)
    for writer, reader in zip(writers, readers):
        reader.wait_for_state(writer.id, b"19")
        assert set(reader.states()) == {writer.id, reader.id}, reader.states()
    assert [frontend.metric("tracker_snapshots_total") for frontend in (zero, one)] == before
    assert [frontend.metric("tracker_gaps_total") for frontend in (zero, one)] == [0, 0]


def test_trackerctl_speaks_to_the_front_ends_of_its_database(t):
    redis, _, one = start(t)
    client = t.connect(one, Versioned)
    id = client.open(b"x").decode()
    for command in (["ping"], ["config", "front-end-1"], ["clients"], ["fsck"], ["kick", id]):
        done = t.run("trackerctl", "--redis", f"{redis.url}/1", *command)
        assert "front-end-0" not in done.stdout, done
    assert t.run("trackerctl", "--redis", redis.url, "config", "front-end-1", check=False).returncode != 0
