"""trackerctl on a Redis without front-ends: what it reads, how it prints it, how it fails."""
import base64
import fcntl
import json
import os
import pty
import re
import struct
import termios

from harness import Versioned, acl
from harness.process import environment_for

FENCE = "0123456789abcdef" * 2
KEYS = "tracker:{main/1/0}:"
NODE = "aaaaaaaaaaaa"


def by_hand(t, **options):
    """A Redis with a small map written by hand: two entries, and one whose client is disconnected."""
    redis = t.redis(**options)
    redis("HSET", "tracker:spaces", "main", 1)
    redis("HSET", KEYS + "head", "epoch", "00000000000000e1", "revision", 10, "P", 1, "entries", 3)
    redis("ZADD", KEYS + "nodes", 9999999999999, NODE)
    redis("HSET", "tracker:node:" + NODE, "name", "a", "host", "example", "pid", 7, "connections", 2)
    entry(redis, b"one", b"hello", version=3, address="127.0.0.1:5", since=1700000000000)
    entry(redis, b"\xff\x00id", b"\xfe\xfd", version=9223372036854775807)
    entry(redis, b"two", "naïve\n\t\\ \u0085".encode(), node="", user="1:2", status="busy",
          **{"p:name": "x", "p:bytes": b"\x80"})
    redis("ZADD", KEYS + "deadlines", 9999999999999, "c:two")
    return redis


def entry(redis, id, state, node=NODE, **fields):
    key = KEYS.encode() + b"client:" + id
    words = [word for pair in fields.items() for word in pair]
    redis("HSET", key, "node", node, "session", FENCE, "version", fields.pop("version", 0),
          "protocol", "tracker", "state", state, *words)
    redis("PEXPIRE", key, 30000)
    if node:
        redis("HSET", KEYS + "node:" + node, id, "")


def test_clients_as_json(t):
    document = t.ctl_json(by_hand(t), "clients")
    assert document["space"] == "main" and document["partitions"] == 1
    clients = document["clients"]
    assert [client.get("id") for client in clients] == ["one", "two", None], "in the order of bytes"
    one, two, binary = clients
    assert 0 < one.pop("ttl_ms") <= 30000
    assert one == {"id": "one", "partition": 0, "node": NODE, "version": 3, "protocol": "tracker",
                   "state": "hello", "address": "127.0.0.1:5", "since": 1700000000000}
    assert two["state"] == "naïve\n\t\\ \u0085" and two["node"] == "" and two["user"] == "1:2"
    assert two["properties"] == {"name": "x", "bytes64": base64.b64encode(b"\x80").decode()}
    assert base64.b64decode(binary["id64"]) == b"\xff\x00id"
    assert base64.b64decode(binary["state64"]) == b"\xfe\xfd"
    assert binary["version"] == 9223372036854775807
    assert not any("session" in client for client in clients), "who may write is no one's business"


def test_clients_as_a_table(t):
    lines = t.ctl(by_hand(t), "clients").stdout.splitlines()
    assert lines[0].split() == ["ID", "VERSION", "PROTOCOL", "NODE", "ADDRESS", "USER", "STATUS", "TTL", "STATE"]
    assert len(lines) == 4
    assert re.match(r"one +3 +tracker +a +127\.0\.0\.1:5 +- +- +\S+ +hello$", lines[1]), lines[1]
    assert re.match(r"two +0 +tracker +- +- +1:2 +busy +\S+ +naïve\\n\\t\\\\ \\xc2\\x85$", lines[2]), lines[2]
    assert re.match(r"\\xff\\x00id +9223372036854775807 +.* \\xfe\\xfd$", lines[3]), lines[3]
    starts = {line.index(" tracker") for line in lines[1:]}
    assert len(starts) == 1, "columns stand under one another"


def test_get(t):
    redis = by_hand(t)
    one = t.ctl_json(redis, "get", "one")
    assert one["state"] == "hello" and one["version"] == 3 and "deadline" not in one
    two = t.ctl_json(redis, "get", "two")
    assert two["deadline"] == 9999999999999
    text = t.ctl(redis, "get", "two").stdout
    assert re.search(r"^state +naïve\\n", text, re.M) and re.search(r"^closes in +\d+h$", text, re.M), text
    assert FENCE not in text
    id = base64.b64encode(b"\xff\x00id").decode()
    assert t.ctl_json(redis, "--base64", "get", id)["state64"] == base64.b64encode(b"\xfe\xfd").decode()
    missing = t.ctl(redis, "get", "nobody", check=False)
    assert missing.returncode == 1 and not missing.stdout and 'no entry "nobody" in space main' in missing.stderr


def test_shard(t):
    redis = by_hand(t)
    assert t.ctl(redis, "shard", "1:12345").stdout == "0 of 1\n"
    redis("HSET", "tracker:spaces", "five", 5, "seven", 7)
    assert t.ctl_json(redis, "--space", "five", "shard", "1:789") == {
        "id": "1:789", "space": "five", "partitions": 5, "shard": 1}
    assert t.ctl(redis, "--space", "seven", "shard", "1:789").stdout == "5 of 7\n"


def test_nodes(t):
    redis = by_hand(t)
    redis("ZADD", KEYS + "nodes", 1000, "bbbbbbbbbbbb")
    named, unnamed = t.ctl_json(redis, "nodes")["nodes"]
    assert named["node"] == NODE and named["name"] == "a" and named["alive"] and named["lease_ms"] > 0
    assert named["entries"] == 2 and named["info"]["host"] == "example"
    assert unnamed["name"] == "bbbbbbbbbbbb" and not unnamed["alive"] and unnamed["lease_ms"] < 0
    lines = t.ctl(redis, "nodes").stdout.splitlines()
    assert lines[0].split()[:4] == ["NAME", "NODE", "LEASE", "ENTRIES"]
    assert re.match(rf"a +{NODE} +\d+h +2 +2 ", lines[1]), lines[1]
    assert re.match(r"b{12} +b{12} +ended \d+h ago +0 ", lines[2]), lines[2]


def test_a_front_end_that_is_not_there(t):
    redis = by_hand(t)
    ping = t.ctl(redis, "--json", "ping", check=False)
    assert ping.returncode == 3
    assert [node["result"] for node in json.loads(ping.stdout)["nodes"]] == ["not there"]
    for command in (["config", "a"], ["reload", "a"], ["drain", NODE], ["kick", "one"]):
        gone = t.ctl(redis, *command, check=False)
        assert gone.returncode == 3 and "a is not running" in gone.stderr, (command, gone)
    nobody = t.ctl(redis, "reload", "c", check=False)
    assert nobody.returncode == 1 and 'no front-end "c"' in nobody.stderr
    away = t.ctl(redis, "kick", "two", check=False)
    assert away.returncode == 1 and "no connection" in away.stderr
    assert t.ctl(redis, "kick", "nobody", check=False).returncode == 1


def test_a_front_end_that_does_not_answer(t):
    redis = by_hand(t)
    listener = redis.subscribe("tracker:node:" + NODE)
    late = t.ctl(redis, "--timeout", "200ms", "reload", "a", check=False)
    assert late.returncode == 4 and "does not answer" in late.stderr
    [(_, request)] = listener.messages(5)
    assert re.fullmatch(rb"request tracker:reply:[0-9a-f]{16} 1 reload", request), request
    listener.close()


def test_answers_of_any_kind(t):
    redis = by_hand(t)
    good = b'{"a.b": {"value": "x\\n\\u00e9\\"", "source": "file", "x": true,'
    good += b' "more": [1, {"y": null}], "and": 1}, "c":{}}'
    redis.answer_requests(NODE, b"ok " + good)
    lines = t.ctl(redis, "config").stdout.splitlines()
    assert [line.split() for line in lines[2:]] == [["a.b", 'x\\né"', "file", "?", "?"], ["c"] + ["?"] * 4]
    assert t.ctl_json(redis, "config")["nodes"][0]["config"] == {
        "a.b": {"value": 'x\né"', "source": "file", "x": True}, "c": {}}


def test_malformed_answers(t):
    for text in (b"", b"{", b'{"a"', b'{"a":', b'{"a":}', b'{"a":{"value":"x}}', b'{"a":{"value":"\\u00"}}', b"[1]",
                 b'{"a":[[[[}', b'{"a":1', b'{,', b'{"a":{}', b"\xff\x00", b'{"\xff":{}}', b"{" * 5000):
        redis = by_hand(t)
        redis.answer_requests(NODE, b"ok " + text)
        done = t.ctl(redis, "config", check=False)
        assert done.returncode == 1 and done.stdout.startswith("front-end a "), (text, done)
        [node] = t.ctl_json(redis, "config")["nodes"]
        assert "config" not in node and ("answer" in node or "answer64" in node), (text, node)
    redis = by_hand(t)
    for text in (b"nonsense", b"", b"ok", b"error"):
        redis.answer_requests(NODE, text)
        late = t.ctl(redis, "--timeout", "200ms", "reload", "a", check=False)
        assert late.returncode == 4, (text, late)
        redis("CLIENT", "KILL", "TYPE", "pubsub")


def test_a_refusal_is_shown(t):
    redis = by_hand(t)
    redis.answer_requests(NODE, b"error no\n\x1b[31m")
    refused = t.ctl(redis, "reload", "a", check=False)
    assert refused.returncode == 1 and "a refuses: no\\n\\x1b[31m" in refused.stderr, refused


def test_two_of_one_name(t):
    redis = by_hand(t)
    redis("HSET", "tracker:node:bbbbbbbbbbbb", "name", "a")
    redis("ZADD", KEYS + "nodes", 1000, "bbbbbbbbbbbb")
    alive = t.ctl(redis, "reload", "a", check=False)
    assert alive.returncode == 3, "the one with a lease is meant"
    redis("ZADD", KEYS + "nodes", 9999999999999, "bbbbbbbbbbbb")
    both = t.ctl(redis, "reload", "a", check=False)
    assert both.returncode == 1 and "2 front-ends" in both.stderr


def test_says_what_it_talks_to(t):
    redis = by_hand(t)
    path = redis.socket
    received = t.ctl(redis, "nodes").stderr
    assert received == f"trackerctl: via redis unix:{path}\n", received
    assert t.ctl(redis, "--quiet", "nodes").stderr == ""
    front = t.run("trackerctl", "--connect", f"unix:{path}.none", "close", "x", check=False)
    assert f"trackerctl: via front-end unix:{path}.none" in front.stderr
    environment = {"TRACKER_REDIS_URL": redis.url, "TRACKER_NET_MAX_CONNECTIONS": "not ours"}
    assert f"via redis unix:{path}" in t.run("trackerctl", "nodes", environment=environment).stderr


def test_no_redis(t):
    for url in ("redis://127.0.0.1:1", f"unix:{t.directory()}/none"):
        gone = t.run("trackerctl", "--redis", url, "clients", check=False)
        assert gone.returncode == 3 and "cannot reach Redis" in gone.stderr, gone
        assert not gone.stdout


def test_a_redis_that_stalls(t):
    redis = by_hand(t)
    redis.freeze()
    late = t.ctl(redis, "--timeout", "300ms", "nodes", check=False)
    redis.thaw()
    assert late.returncode == 3 and "300 ms" in late.stderr, late


def test_no_front_end(t):
    """Nor is a Redis looked for: front-ends may run several, of which none is meant."""
    for _ in range(2):
        t.frontend()
    assert t.run("trackerctl", "password", "alice", input="secret\n").stdout.startswith("alice:")
    for command in (["open", "x"], ["update", "a", "1", "x"], ["close", "a"]):
        gone = t.run("trackerctl", "--connect", "127.0.0.1:1", *command, check=False)
        assert gone.returncode == 3 and "refused" in gone.stderr and not gone.stdout, gone


def test_authentication(t):
    redis = t.redis(tcp=True, requirepass="secret/word")
    redis.expect_refusals()
    redis("AUTH", "secret/word")
    redis("ACL", "SETUSER", "default", "resetkeys", *acl.documented()["trackerctl"])
    refused = t.run("trackerctl", "--redis", redis.url, "fsck", environment={"TRACKER_REDIS_USER": ""}, check=False)
    assert refused.returncode == 3 and "NOAUTH" in refused.stderr.upper(), refused
    environment = {"TRACKER_REDIS_PASSWORD": "secret/word"}
    received = t.run("trackerctl", "--redis", redis.url, "fsck", environment=environment)
    assert received.stdout == "clean\n" and "secret" not in received.stderr
    url = redis.url.replace("redis://", "redis://:secret%2Fword@")
    received = t.run("trackerctl", "--redis", url, "fsck")
    assert received.stdout == "clean\n" and "secret" not in received.stderr


def test_usage(t):
    for arguments in ([], ["nonsense"], ["get"], ["get", "a", "b"], ["--nonsense"], ["--json=x", "nodes"],
                      ["--timeout", "soon", "nodes"], ["--timeout", "0s", "nodes"],
                      ["--timeout", "25h", "nodes"],
                      ["--space", "No", "nodes"], ["--prefix", "{", "nodes"], ["--set", "x=y", "nodes"],
                      ["--redis", "nonsense://", "nodes"], ["nodes", "--watch"], ["clients", "--repair"],
                      ["--connect", "nonsense", "close", "x"], ["--base64", "get", "=:="],
                      ["get", ""], ["shard", ""], ["kick", ""], ["close", ""], ["update", "", "1", "x"],
                      ["update", "a", "-1", "x"], ["update", "a", "1x", "x"], ["update", "a", "", "x"],
                      ["update", "a", "9223372036854775808", "x"]):
        wrong = t.run("trackerctl", *arguments, check=False)
        assert wrong.returncode == 2 and not wrong.stdout and wrong.stderr, (arguments, wrong)
    text = t.run("trackerctl", "--help").stdout
    for command in ("nodes", "clients", "get", "open", "update", "close", "shard", "fsck", "config",
                    "events", "ping", "kick", "drain", "reload"):
        assert re.search(rf"^  {command} ", text, re.M), command
    assert re.fullmatch(r"trackerctl \S+\n", t.run("trackerctl", "--version").stdout)


def test_spaces(t):
    redis = by_hand(t, prefixes=("other",))
    wrong = t.ctl(redis, "--space", "other", "clients", check=False)
    assert wrong.returncode == 1 and "there are: main" in wrong.stderr
    unused = t.ctl(redis, "--prefix", "other", "clients", check=False)
    assert unused.returncode == 1 and "other" in unused.stderr
    assert t.ctl(redis, "--space", "other", "fsck", check=False).returncode == 1
    assert t.ctl(t.redis(), "fsck").stdout == "clean\n"


def test_a_prefix_with_characters_of_patterns(t):
    redis = t.redis(prefixes=("a*",))
    for prefix in ("a*", "ab"):
        redis("HSET", prefix + ":spaces", "main", 1)
        redis("HSET", prefix + ":{main/1/0}:client:" + prefix, "state", "x", "version", 1)
    assert [client["id"] for client in t.ctl_json(redis, "--prefix", "a*", "clients")["clients"]] == ["a*"]


def test_a_terminal_is_not_overflowed(t):
    redis = by_hand(t)
    entry(redis, b"long", "ä".encode() * 500)
    command = ["trackerctl", "--quiet", "--redis", redis.url, "clients"]
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
    pid = os.fork()
    if pid == 0:
        os.dup2(theirs, 1)
        os.close(ours)
        os.execve(t.program("trackerctl"), command, environment_for(command))
    os.close(theirs)
    text = b""
    while True:
        try:
            text += os.read(ours, 65536)
        except OSError:
            break
    assert os.waitpid(pid, 0)[1] == 0
    lines = text.decode().splitlines()
    assert len(lines) == 5 and max(map(len, lines)) <= 80, lines
    assert lines[0].split()[-1] == "STATE"
    [cut] = [line for line in lines if line.startswith("long")]
    assert cut.endswith("ä…"), lines
    assert "ä" * 500 in t.ctl(redis, "clients").stdout, "a pipe gets all of it"


# What hides, turns the direction of writing or acts on a terminal, in texts that others choose.
HOSTILE = "n\x1b[2J\nfake  row\u202ex\u200b"


def shows_nothing_hostile(result):
    text = result.stdout + result.stderr
    wrong = {hex(ord(c)) for c in text if (ord(c) < 32 and c != "\n") or 127 <= ord(c) < 160}
    wrong |= {hex(ord(c)) for c in text if c in "\u202e\u200b"}
    assert not wrong, (wrong, text)
    assert not any(line.startswith("fake") for line in text.splitlines()), text


def test_hostile_texts_do_not_act_on_the_terminal(t):
    redis = t.redis()
    frontend = t.frontend(redis, node=HOSTILE)
    client = t.connect(frontend, Versioned)
    client.update(HOSTILE.encode(), 1, HOSTILE.encode())
    for words in (("clients",), ("nodes",), ("get", HOSTILE), ("config",), ("ping",), ("config", HOSTILE), ("stats",),
                  ("get", HOSTILE + "?"), ("kick", HOSTILE + "?"), ("fsck",), ("shard", HOSTILE)):
        shows_nothing_hostile(t.ctl(redis, *words, check=False))
