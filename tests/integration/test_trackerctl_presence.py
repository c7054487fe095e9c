"""trackerctl's commands on users and rooms: presence, rooms, room; and send."""
import json
import re
import signal
import subprocess
import threading

from harness import Versioned
from harness.process import environment_for
from harness.sync import Sync
from harness.turntable import Turntable

KEYS = "tracker:{main/1/0}:"
NODE = "aaaaaaaaaaaa"


def by_hand(t):
    """A Redis with users and rooms written by hand."""
    redis = t.redis()
    redis("HSET", "tracker:spaces", "main", 1)
    redis("HSET", KEYS + "head", "epoch", "00000000000000e1", "revision", 10, "P", 1, "entries", 0)
    redis("ZADD", KEYS + "nodes", 9999999999999, NODE)
    redis("HSET", "tracker:node:" + NODE, "name", "a")
    user(redis, "1:ann", "busy", Device1="online", Device2="busy")
    redis("HSET", KEYS + "client:sensor", "node", NODE, "state", "x")
    redis("HSET", KEYS + "client:Device1", "node", NODE, "user", "1:ann")
    redis("HSET", KEYS + "room:chess", ".born", 7, ".seq", 41, ".members", 3, "u:1:ann", 2, "u:1:bob", 1,
          "m:Device2", f"{NODE} 5 1:ann", "m:Device1", f"{NODE} 0 1:ann", "m:Other", "bbbbbbbbbbbb 2 1:bob")
    redis("HSET", KEYS + "room:a\nroom", ".born", 9, ".seq", 1, ".members", 1, "u:1:bob", 1,
          "m:Other", "bbbbbbbbbbbb 0 1:bob")
    return redis


def user(redis, name, status, **devices):
    redis("DEL", KEYS + "user:" + name)
    if status != "offline":
        words = [word for pair in devices.items() for word in pair]
        redis("HSET", KEYS + "user:" + name, ".status", status, ".seq", 3, *words)
    seq = redis("HINCRBY", KEYS + "head", "seq", 1)
    redis("PUBLISH", KEYS + "presence:" + name, f"1 00000000000000e1 {seq} {status}")


def test_presence(t):
    redis = by_hand(t)
    document = t.ctl_json(redis, "presence", "1:ann", "1:nobody", "sensor", "Device1", "1:ann")
    assert document["space"] == "main"
    ann, nobody, sensor, device = document["users"]
    assert ann["user"] == "1:ann" and ann["status"] == "busy" and ann["partition"] == 0
    assert sorted(ann["devices"], key=lambda one: one["id"]) == [
        {"id": "Device1", "status": "online"}, {"id": "Device2", "status": "busy"}]
    assert nobody["status"] == "offline" and nobody["devices"] == []
    assert sensor["status"] == "online", "an entry is present by itself"
    assert device["status"] == "offline", "unless it is a user's device"
    lines = t.ctl(redis, "presence", "1:ann", "1:nobody").stdout.splitlines()
    assert lines[0].split() == ["USER", "STATUS", "DEVICES"]
    assert re.match(r"1:ann +busy +Device\d=\w+ Device\d=\w+$", lines[1]), lines
    assert re.match(r"1:nobody +offline +-$", lines[2]), lines


def test_presence_usage(t):
    redis = by_hand(t)
    assert t.ctl(redis, "presence", check=False).returncode == 2
    assert t.ctl(redis, "presence", "", check=False).returncode == 2
    assert t.ctl(redis, "rooms", "x", check=False).returncode == 2
    assert t.ctl(redis, "room", check=False).returncode == 2
    assert t.ctl(redis, "rooms", "--watch", check=False).returncode == 2
    assert t.ctl(redis, "--space", "none", "rooms", check=False).returncode == 1


class Watch:
    """presence --watch, with the lines that it has printed."""

    def __init__(self, t, redis, *arguments):
        self.t, self.lines = t, []
        command = [t.program("trackerctl"), "--redis", redis.url, *arguments]
        self.child = subprocess.Popen(command, text=True, env=environment_for(command), stdin=subprocess.DEVNULL,
                                      stdout=subprocess.PIPE)
        threading.Thread(target=self.collect, daemon=True).start()
        t.stack.callback(self.end)

    def collect(self):
        for line in self.child.stdout:
            self.lines.append(line.rstrip("\n"))

    def end(self):
        self.child.kill()
        self.child.wait()
        self.child.stdout.close()

    def wait_for(self, count):
        self.t.wait_until(lambda: len(self.lines) >= count, 15, lambda: self.lines)
        assert len(self.lines) == count, self.lines
        return self.lines


def test_presence_is_watched(t):
    redis = by_hand(t)
    watch = Watch(t, redis, "--json", "presence", "1:ann", "1:bob", "--watch")
    watch.wait_for(2)
    user(redis, "1:ann", "busy", Device2="busy")  # no change of the status
    user(redis, "1:bob", "online", Other="online")
    watch.wait_for(3)
    user(redis, "1:ann", "offline")
    received = [json.loads(line) for line in watch.wait_for(4)]
    assert [(one["user"], one["status"]) for one in received] == [
        ("1:ann", "busy"), ("1:bob", "offline"), ("1:bob", "online"), ("1:ann", "offline")]
    assert all(one["time"] > 1600000000000 for one in received)
    # Nothing is missed over a lost connection, whichever of the two it is.
    for kind in ("pubsub", "normal"):
        redis("CLIENT", "KILL", "TYPE", kind, "SKIPME", "yes")
        user(redis, "1:ann", "online" if kind == "pubsub" else "busy", Device1="online")
        watch.wait_for(5 if kind == "pubsub" else 6)
    received = [json.loads(line) for line in watch.lines]
    assert [one["status"] for one in received[4:]] == ["online", "busy"]
    watch.child.send_signal(signal.SIGINT)
    assert watch.child.wait(20) == 0


def test_presence_is_watched_as_text(t):
    redis = by_hand(t)
    watch = Watch(t, redis, "presence", "--watch", "1:ann")
    assert re.match(r"\d\d:\d\d:\d\d\.\d\d\d 1:ann busy$", watch.wait_for(1)[0]), watch.lines
    watch.child.send_signal(signal.SIGTERM)
    assert watch.child.wait(20) == 0


def test_rooms(t):
    redis = by_hand(t)
    document = t.ctl_json(redis, "rooms")
    assert document == {"space": "main", "rooms": [
        {"room": "a\nroom", "partition": 0, "members": 1, "seq": 1},
        {"room": "chess", "partition": 0, "members": 3, "seq": 41}]}
    lines = t.ctl(redis, "rooms").stdout.splitlines()
    assert lines[0].split() == ["ROOM", "MEMBERS", "MESSAGES"]
    assert re.match(r"a\\nroom +1 +1$", lines[1]) and re.match(r"chess +3 +41$", lines[2]), lines
    redis("HSET", "tracker:spaces", "empty", 3)
    assert t.ctl_json(redis, "--space", "empty", "rooms") == {"space": "empty", "rooms": []}


def test_room(t):
    redis = by_hand(t)
    room = t.ctl_json(redis, "room", "chess")
    assert room == {"room": "chess", "space": "main", "partition": 0, "born": 7, "seq": 41, "members": [
        {"user": "1:ann", "id": "Device1", "node": NODE, "said": 0},
        {"user": "1:ann", "id": "Device2", "node": NODE, "said": 5},
        {"user": "1:bob", "id": "Other", "node": "bbbbbbbbbbbb", "said": 2}]}
    lines = t.ctl(redis, "room", "chess").stdout.splitlines()
    assert lines[0].split() == ["USER", "ID", "NODE", "SAID"]
    assert re.match(r"1:ann +Device1 +a +0$", lines[1]), lines
    assert re.match(r"1:bob +Other +b{12} +2$", lines[3]), lines
    missing = t.ctl(redis, "room", "nowhere", check=False)
    assert missing.returncode == 1 and "no such room" in missing.stderr and not missing.stdout


def test_send_finds_no_receiver(t):
    redis = t.redis()
    frontend = t.frontend(redis)
    client = t.connect(frontend, Versioned)
    id = client.open(b"x").decode()
    refused = t.ctl(redis, "send", id, '{"type": "hello"}', check=False)
    assert refused.returncode == 1 and "does not accept packets" in refused.stderr, refused
    nobody = t.ctl(redis, "send", "nobody", "{}", check=False)
    assert nobody.returncode == 1 and "no such entry" in nobody.stderr
    client.drop()
    away = t.wait_until(lambda: re.search("no connection", t.ctl(redis, "send", id, "{}", check=False).stderr))
    assert away
    for bad in ("{", "", "{} x"):
        wrong = t.ctl(redis, "send", id, bad, check=False)
        assert wrong.returncode == 2 and "not valid JSON" in wrong.stderr, wrong
    assert t.ctl(redis, "send", "an id", "{}", check=False).returncode == 2


def test_send_reaches_a_client(t):
    redis = t.redis()
    a, b = t.frontends(2, redis, listen=("web=127.0.0.1:0", "sync=127.0.0.1:0"))
    clients = [t.connect(node, Sync, kind="sync") for node in (a, b)]
    for number, client in enumerate(clients):
        received = t.ctl_json(redis, "send", client.token, '{"from": "", "type": "news", "news": [%d]}' % number)
        assert received["answer"] == "sent" and received["name"] == "ab"[number], received
        client.wait_packet(1)
        assert client.packet_texts[-1] == '{"from": "", "type": "news", "news": [%d]}' % number


def test_users_and_rooms_of_clients(t):
    redis = t.redis()
    a, b = t.frontends(2, redis, listen=("web=127.0.0.1:0",), settings={"presence.offline_delay": "0"})
    ann = t.connect(a, Turntable, kind="web", user="1:1")
    bob = t.connect(b, Turntable, kind="web", user="1:2")
    watch = Watch(t, redis, "--json", "presence", "1:1", "--watch")
    assert json.loads(watch.wait_for(1)[0])["status"] == "online"
    ann.join("a room")
    bob.join("a room")
    assert json.loads(watch.wait_for(2)[1])["status"] == "busy"
    room, = t.ctl_json(redis, "rooms")["rooms"]
    assert room["room"] == "a room" and room["members"] == 2
    members = t.ctl_json(redis, "room", "a room")["members"]
    assert [one["user"] for one in members] == ["1:1", "1:2"]
    names = [line.split()[2] for line in t.ctl(redis, "room", "a room").stdout.splitlines()[1:]]
    assert names == ["a", "b"], names
    ann.leave()
    assert json.loads(watch.wait_for(3)[2])["status"] == "offline"
    t.wait_until(lambda: [one["user"] for one in t.ctl_json(redis, "room", "a room")["members"]] == ["1:2"])
