"""The commands of trackerctl that go on: events, and clients --watch."""
import base64
import json
import re
import signal
import subprocess
import threading

from harness import Versioned
from harness.process import environment_for


class Live:
    """A command that goes on, with the lines that it has printed."""

    def __init__(self, t, redis, *arguments):
        self.t = t
        self.lines = []
        self.errors = []
        command = [t.program("trackerctl"), "--redis", redis.url, *arguments]
        self.child = subprocess.Popen(command, text=True, env=environment_for(command), stdin=subprocess.DEVNULL,
                                      stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        for stream, lines in ((self.child.stdout, self.lines), (self.child.stderr, self.errors)):
            threading.Thread(target=self.collect, args=(stream, lines), daemon=True).start()
        t.stack.callback(self.end)

    @staticmethod
    def collect(stream, lines):
        for line in stream:
            lines.append(line.rstrip("\n"))

    def end(self):
        self.child.kill()
        self.child.wait()

    def objects(self):
        return [json.loads(line) for line in list(self.lines)]

    def wait_for(self, predicate, since=0):
        """The first object from there on that is like this, and what follows it."""
        def look():
            for number, one in enumerate(self.objects()):
                if number >= since and predicate(one):
                    return number, one
            return None
        return self.t.wait_until(look, 15, lambda: f"{self.lines}\n{self.errors}")

    def wait_for_event(self, event, id=None, since=0):
        return self.wait_for(lambda one: one["event"] == event and (id is None or one.get("id") == id), since)

    def states(self):
        """id -> state, as the lines say."""
        states = {}
        for one in self.objects():
            if one["event"] == "close":
                del states[one["id"]]
            elif "id" in one:
                states[one["id"]] = one["state"]
        return states

    def wait_for_error(self, pattern):
        self.t.wait_until(lambda: any(re.search(pattern, line) for line in list(self.errors)), 15,
                          lambda: f"{pattern}: {self.errors}")

    def interrupt(self, number=signal.SIGINT):
        self.child.send_signal(number)
        assert self.child.wait(20) == 0, self.errors


def test_events(t):
    redis = t.redis()
    a, b = t.frontends(2, redis)
    events = Live(t, redis, "--json", "events")
    events.wait_for_error("listening")
    client = t.connect(a, Versioned)
    id = client.open(b"one").decode()
    assert client.update(client.id, 1, b"\xff")
    client.drop()
    number, orphan = events.wait_for_event("orphan", id)
    back = t.connect(b, Versioned)
    assert back.update(id.encode(), 2, b"back")
    assert back.close(id.encode())
    last, closed = events.wait_for_event("close", id)
    received = events.objects()
    assert [one["event"] for one in received] == ["open", "update", "orphan", "adopt", "close"], received
    opened, updated, _, adopted, _ = received
    assert opened["state"] == "one" and opened["version"] == 0 and opened["protocol"] == "tracker"
    assert base64.b64decode(updated["state64"]) == b"\xff" and updated["version"] == 1
    assert "version" not in orphan and adopted["state"] == "back" and adopted["version"] == 2
    assert closed["reason"] == "closed" and last == number + 2
    revisions = [one["revision"] for one in received]
    assert revisions == list(range(revisions[0], revisions[0] + 5)), revisions
    assert len({one["epoch"] for one in received}) == 1 and received[0]["space"] == "main"
    assert not any("session" in one for one in received)
    events.interrupt()


def test_events_as_text(t):
    redis = t.redis()
    frontend = t.frontend(redis)
    events = Live(t, redis, "events")
    events.wait_for_error("listening")
    client = t.connect(frontend, Versioned)
    id = client.open(b"a\nb").decode()
    t.wait_until(lambda: events.lines, what="a line")
    assert re.match(rf"\d\d:\d\d:\d\d\.\d\d\d open   {id} 0 .*\bstate=a\\nb\b", events.lines[0]), events.lines
    events.interrupt(signal.SIGTERM)


def test_events_say_when_some_may_be_lost(t):
    redis = t.redis()
    frontend = t.frontend(redis)
    events = Live(t, redis, "--json", "events")
    events.wait_for_error("listening")
    t.connect(frontend, Versioned).open(b"one")
    number, _ = events.wait_for_event("open")
    for line in redis("CLIENT", "LIST", "TYPE", "PUBSUB").decode().splitlines():
        redis("CLIENT", "KILL", "ID", re.match(r"id=(\d+)", line)[1])
    events.wait_for_event("gap", since=number)
    t.connect(frontend, Versioned).open(b"two")
    events.wait_for(lambda one: one.get("state") == "two", number)
    redis("PUBLISH", "tracker:{main/1/0}:events", b"nonsense")
    events.wait_for_error("malformed")
    events.interrupt()


def test_a_pipe_that_nobody_reads_ends_it(t):
    redis = t.redis()
    frontend = t.frontend(redis)
    command = [t.program("trackerctl"), "--redis", redis.url, "events"]
    child = subprocess.Popen(command, env=environment_for(command), stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    try:
        while b"listening" not in child.stderr.readline():
            pass
        child.stdout.close()
        t.connect(frontend, Versioned).open(b"one")
        assert child.wait(20) == 0
    finally:
        child.kill()
        child.wait()
        child.stderr.close()


def test_watch(t):
    redis = t.redis()
    a, b = t.frontends(2, redis, settings={"map.recovery_grace": "500ms", "client.grace": "1s"})
    first = t.connect(a, Versioned)
    first_id = first.open(b"first").decode()
    watch = Live(t, redis, "--json", "clients", "--watch")
    live, received = watch.wait_for_event("live")
    assert received["entries"] == 1 and live == 1
    assert watch.objects()[0]["id"] == first_id and watch.objects()[0]["event"] == "entry"
    second = t.connect(b, Versioned)
    second_id = second.open(b"second").decode()
    watch.wait_for_event("open", second_id)
    assert first.update(first.id, 1, b"changed")
    _, update = watch.wait_for_event("update", first_id)
    assert update["state"] == "changed" and update["version"] == 1 and update["protocol"] == "tracker"
    second.drop()
    _, orphan = watch.wait_for_event("orphan", second_id)
    assert orphan["node"] == "" and orphan["state"] == "second"
    assert first.close()
    watch.wait_for_event("close", first_id)
    watch.wait_for_event("close", second_id)
    watch.interrupt()


def test_watch_reports_what_it_missed(t):
    redis = t.redis()
    frontend = t.frontend(redis)
    client, other = t.connect(frontend, Versioned), t.connect(frontend, Versioned)
    id, other_id = client.open(b"one").decode(), other.open(b"other").decode()
    watch = Live(t, redis, "--json", "clients", "--watch")
    number, _ = watch.wait_for_event("live")
    # An event that is not delivered: the next one's revision shows the gap.
    redis("HSET", f"tracker:{{main/1/0}}:client:{id}", "state", "changed", "version", 1)
    redis("HINCRBY", "tracker:{main/1/0}:head", "revision", 1)
    assert other.update(other.id, 1, b"missed")
    watch.wait_for_event("live", since=number + 1)
    received = watch.objects()[number + 1:]
    assert {(one["event"], one.get("id"), one.get("state")) for one in received} == {
        ("update", other_id, "missed"), ("update", id, "changed"), ("live", None, None)}, received
    assert len(received) == 3, "what was known is not printed again"


def test_watch_continues_after_redis_was_unreachable(t):
    redis = t.redis()
    frontend = t.frontend(redis)
    client = t.connect(frontend, Versioned)
    id = client.open(b"one").decode()
    watch = Live(t, redis, "--json", "clients", "--watch")
    number, _ = watch.wait_for_event("live")
    redis.save()
    redis.restart(rdb="dump.rdb")
    again, _ = watch.wait_for_event("live", since=number + 1)
    t.wait_until(lambda: client.update(id.encode(), 1, b"two"), 20, "the front-end is back")
    watch.wait_for(lambda one: one.get("id") == id and one.get("state") == "two", again)
    assert not [one for one in watch.objects() if one["event"] in ("close", "open")], watch.lines
    assert watch.child.poll() is None
    watch.interrupt()


def test_watch_reports_what_a_new_epoch_lacks(t):
    redis = t.redis()
    frontend = t.frontend(redis, settings={"client.grace": "25s"})
    client, orphan = t.connect(frontend, Versioned), t.connect(frontend, Versioned)
    id, orphan_id = client.open(b"one").decode(), orphan.open(b"two").decode()
    watch = Live(t, redis, "--json", "clients", "--watch")
    watch.wait_for_event("live")
    orphan.drop()
    number, _ = watch.wait_for_event("orphan", orphan_id)
    redis.kill()
    watch.wait_for_error("connection to Redis was lost")
    watch.wait_for_error("cannot reach Redis")
    assert watch.child.poll() is None
    redis.start()
    # The connection of the one restores it; nothing restores the other.
    watch.wait_for_event("close", orphan_id, since=number)
    watch.wait_for_event("live", since=number)
    t.wait_until(lambda: client.update(id.encode(), 1, b"three"), 20, "the front-end is back")
    t.wait_until(lambda: watch.states() == {id: "three"}, 15, watch.states)
    watch.interrupt()


def test_watch_prints_an_orphan_once(t):
    """A later snapshot, which shows the same, is no change."""
    redis = t.redis()
    frontend = t.frontend(redis, settings={"client.grace": "25s"})
    client, orphan = t.connect(frontend, Versioned), t.connect(frontend, Versioned)
    client.open(b"one")
    orphan_id = orphan.open(b"two").decode()
    watch = Live(t, redis, "--json", "clients", "--watch")
    watch.wait_for_event("live")
    orphan.drop()
    number, _ = watch.wait_for_event("orphan", orphan_id)
    redis("HINCRBY", "tracker:{main/1/0}:head", "revision", 1)
    assert client.update(client.id, 1, b"after the gap")
    watch.wait_for_event("live", since=number)
    assert [one["event"] for one in watch.objects()[number + 1:]] == ["update", "live"], watch.lines
    watch.interrupt()


def test_watch_ends_if_the_first_snapshot_cannot_be_read(t):
    redis = t.redis()
    redis.expect_refusals("someone: evalsha")
    t.frontend(redis)
    redis("ACL", "SETUSER", "someone", "reset", "on", ">word", "~*", "&*", "+@all", "-evalsha", "-script")
    url = redis.url.replace("unix:", "unix://someone:word@")
    done = t.run("trackerctl", "--redis", url, "clients", "--watch", check=False)
    assert done.returncode == 1 and "NOPERM" in done.stderr, done
    redis.freeze()
    done = t.run("trackerctl", "--redis", redis.url, "--timeout", "300ms", "clients", "--watch", check=False)
    redis.thaw()
    assert done.returncode in (3, 4), done


def test_watch_agrees_with_the_map_in_the_end(t):
    redis = t.redis()
    a, b = t.frontends(2, redis, settings={"map.partitions": "3"})
    watch = Live(t, redis, "--json", "clients", "--watch")
    clients = [t.connect((a, b)[number % 2], Versioned) for number in range(30)]
    for number, client in enumerate(clients):
        client.open(b"%d" % number)
    for round in range(1, 6):
        for number, client in enumerate(clients):
            assert client.update(client.id, round, b"%d/%d" % (number, round))
    for client in clients[::3]:
        assert client.close()
    wanted = {client["id"]: client["state"] for client in t.ctl_json(redis, "clients")["clients"]}
    assert len(wanted) == 20
    t.wait_until(lambda: watch.states() == wanted, 15, lambda: f"{watch.states()} is {wanted}")


def test_no_space(t):
    redis = t.redis()
    for command in (["events"], ["clients", "--watch"]):
        assert t.ctl(redis, *command, check=False).returncode == 1
        assert t.run("trackerctl", "--redis", "redis://127.0.0.1:1", *command, check=False).returncode == 3
