"""trackerctl and running front-ends: what it asks of them, and what it does as their client."""
import base64
import json
import re
import signal
import subprocess

from harness import Versioned, acl


def ids_and_states(t, redis):
    return {client["id"]: client["state"] for client in t.ctl_json(redis, "clients")["clients"]}


def connect(frontend):
    return "--connect", "{}:{}".format(*frontend.address())


def test_nodes_and_ping(t):
    redis = t.redis()
    t.frontends(2, redis)
    nodes = t.ctl_json(redis, "nodes")["nodes"]
    assert [node["name"] for node in nodes] == ["a", "b"]
    for node in nodes:
        assert node["alive"] and 0 < node["lease_ms"] <= 3000 and node["entries"] == 0, node
        assert re.fullmatch("[0-9a-f]{12}", node["node"])
        assert int(node["info"]["pid"]) > 0 and "tracker=127.0.0.1:" in node["info"]["listeners"], node
    ping = t.ctl_json(redis, "ping")
    assert ping["redis"]["ms"] > 0
    assert [(node["name"], node["result"]) for node in ping["nodes"]] == [("a", "ok"), ("b", "ok")]
    lines = t.ctl(redis, "ping").stdout.splitlines()
    assert len(lines) == 4 and all(line.endswith(" ms") for line in lines[1:]), lines


def test_a_frozen_front_end_is_distinguished(t):
    redis = t.redis()
    a, _ = t.frontends(2, redis)
    a.freeze()
    ping = t.ctl(redis, "--json", "--timeout", "500ms", "ping", check=False)
    a.thaw()
    assert ping.returncode == 4
    assert {node["name"]: node["result"] for node in json.loads(ping.stdout)["nodes"]} == {
        "a": "no answer", "b": "ok"}


def test_a_killed_front_end_is_distinguished(t):
    redis = t.redis()
    a, _ = t.frontends(2, redis)
    a.kill()
    ping = t.ctl(redis, "ping", check=False)
    assert ping.returncode == 3 and re.search(r"a +not there", ping.stdout), ping


def test_config(t):
    redis = t.redis()
    redis("ACL", "SETUSER", "front", "on", ">geheim", *acl.documented()["tracker"])
    t.frontend(redis, node="a", settings={"client.ttl": "20s", "map.reap": "300", "redis.user": "front",
                                          "redis.password": "geheim"})
    t.frontend(redis, node="b", environment={"TRACKER_CLIENT_GRACE": "4s", "TRACKER_CLIENT_MAX_IDS": "9"})
    both = t.ctl_json(redis, "config")["nodes"]
    assert [node["name"] for node in both] == ["a", "b"]
    ttl, grace = both[0]["config"]["client.ttl"], both[1]["config"]["client.grace"]
    assert (ttl["value"], ttl["default"], ttl["source"], ttl["reloadable"]) == ("20s", "30s", "shared", False)
    assert (grace["value"], grace["source"], grace["configured"]) == ("5s", "shared", "4s")
    reap, ids = both[0]["config"]["map.reap"], both[1]["config"]["client.max_ids"]
    assert (reap["value"], reap["source"]) == ("300", "flag") and (ids["value"], ids["source"]) == ("9", "environment")
    for secret in (redis.socket, "geheim"):
        assert secret not in json.dumps(both[0]["config"]), "a URL may hold a password"
    text = t.ctl(redis, "config", "b").stdout
    assert text.startswith("front-end b (")
    assert re.search(r"^client\.max_ids +9 +environment +16 +true$", text, re.M), text
    assert t.ctl_json(redis, "config", both[0]["node"])["nodes"] == both[:1]


def test_get_and_clients_of_a_client(t):
    redis = t.redis()
    a, b = t.frontends(2, redis)
    clients = [t.connect(a, Versioned), t.connect(b, Versioned)]
    for client, state in zip(clients, (b"hello", b"\xff\x00")):
        client.open(state)
    listed = {client["id"]: client for client in t.ctl_json(redis, "clients")["clients"]}
    assert listed[clients[0].id.decode()]["state"] == "hello"
    assert base64.b64decode(listed[clients[1].id.decode()]["state64"]) == b"\xff\x00"
    one = t.ctl_json(redis, "get", clients[0].id.decode())
    assert one["protocol"] == "tracker" and one["version"] == 0
    assert one["address"] == "127.0.0.1:%d" % clients[0].socket.getsockname()[1]
    assert one["node"] == t.ctl_json(redis, "nodes")["nodes"][0]["node"]
    clients[0].drop()
    t.wait_until(lambda: t.ctl_json(redis, "get", clients[0].id.decode())["node"] == "", what="an orphan")
    assert t.ctl_json(redis, "get", clients[0].id.decode())["deadline"] > 0


def start_open(t, frontend, *arguments, stdin=subprocess.PIPE):
    """trackerctl open, with a pipe to its input; killed at the end."""
    child = subprocess.Popen([t.program("trackerctl"), *connect(frontend), "open", *arguments], text=True,
                             stdin=stdin, stdout=subprocess.PIPE, stderr=subprocess.PIPE)

    def end():
        child.kill()
        child.communicate()
    t.stack.callback(end)
    return child


def test_open_holds_its_entry_until_the_end_of_its_input(t):
    redis = t.redis()
    frontend = t.frontend(redis)
    child = start_open(t, frontend, "hello")
    id = child.stdout.readline().strip()
    assert re.fullmatch("[A-Za-z0-9]{7}", id)
    assert ids_and_states(t, redis) == {id: "hello"}
    child.stdin.close()
    child.stdin = None
    output, error = child.communicate(timeout=20)
    assert child.returncode == 0 and output == "", (output, error)
    assert "via front-end 127.0.0.1:" in error
    assert ids_and_states(t, redis) == {}, "closed before it ended"


def test_open_opens_also_when_its_input_has_ended_before(t):
    redis = t.redis()
    frontend = t.frontend(redis)
    events = t.events(redis)
    done = t.run("trackerctl", "--connect", "%s:%d" % frontend.address(), "open", "hello", input="")
    assert re.fullmatch("[A-Za-z0-9]{7}\n", done.stdout), done
    assert ids_and_states(t, redis) == {}
    id = done.stdout.strip().encode()
    events.wait(lambda all: [one.op for one in all if one.id == id] == ["open", "close"], what="an entry that was there")


def test_open_ends_on_signals(t):
    redis = t.redis()
    frontend = t.frontend(redis)
    for number in (signal.SIGINT, signal.SIGTERM):
        child = start_open(t, frontend, "x", stdin=subprocess.DEVNULL)
        id = child.stdout.readline().strip()
        assert id in ids_and_states(t, redis), "/dev/null has no end that matters"
        child.send_signal(number)
        assert child.wait(20) == 0
        assert ids_and_states(t, redis) == {}
    child = start_open(t, frontend, "x")
    id = child.stdout.readline().strip()
    child.kill()
    t.wait_until(lambda: t.ctl_json(redis, "get", id)["node"] == "", what="it is left to wait")


def test_open_takes_its_entry_up_again(t):
    redis = t.redis()
    frontend = t.frontend(redis)
    child = start_open(t, frontend, "mine", "--json")
    received = json.loads(child.stdout.readline())
    assert received["event"] == "opened", received
    t.ctl(redis, "kick", received["id"])
    again = json.loads(child.stdout.readline())
    assert again["event"] == "again", again
    t.wait_until(lambda: ids_and_states(t, redis) == {again["id"]: "mine"}, what="the entry is back")


def test_open_a_long_state(t):
    redis = t.redis()
    frontend = t.frontend(redis)
    child = start_open(t, frontend, "x" * 5000)
    id = child.stdout.readline().strip()
    assert ids_and_states(t, redis) == {id: "x" * 5000}


def test_update_and_close(t):
    redis = t.redis()
    frontend = t.frontend(redis)
    at = connect(frontend)
    t.run("trackerctl", *at, "update", "mine", "1", "first")
    one = t.ctl_json(redis, "get", "mine")
    assert (one["state"], one["version"]) == ("first", 1)
    t.run("trackerctl", *at, "update", "mine", "2", "second")
    stale = t.run("trackerctl", *at, "update", "mine", "2", "third", check=False)
    assert stale.returncode == 1 and "refuses the update" in stale.stderr
    t.run("trackerctl", *at, "update", "mine", "5000000000000000000", "x" * 1000)
    one = t.ctl_json(redis, "get", "mine")
    assert (one["state"], one["version"]) == ("x" * 1000, 5000000000000000000)
    t.run("trackerctl", *at, "close", "mine")
    assert t.ctl(redis, "get", "mine", check=False).returncode == 1
    binary = base64.b64encode(b"\x00\xff").decode()
    t.run("trackerctl", *at, "--base64", "update", binary, "1", binary)
    assert redis("HGET", b"tracker:{main/1/0}:client:\x00\xff", "state") == b"\x00\xff"


def test_a_foreign_entry_is_refused(t):
    frontend = t.frontend(t.redis())
    owner = t.connect(frontend, Versioned)
    id = owner.open(b"mine").decode()
    for command in (["update", id, "9", "x"], ["update", id, "900", "x"], ["close", id]):
        refused = t.run("trackerctl", *connect(frontend), *command, check=False)
        assert refused.returncode == 1 and "refuses" in refused.stderr, (command, refused)
    assert owner.update(owner.id, 1, b"still mine")


def test_a_front_end_that_does_not_answer(t):
    frontend = t.frontend(t.redis())
    frontend.freeze()
    for command in (["open", "x"], ["update", "a", "1", "x"], ["close", "a"]):
        late = t.run("trackerctl", "--timeout", "300ms", *connect(frontend), *command, check=False)
        assert late.returncode == 4 and "does not answer" in late.stderr, (command, late)
    frontend.thaw()


def test_kick(t):
    redis = t.redis()
    a, _ = t.frontends(2, redis)
    client = t.connect(a, Versioned)
    id = client.open(b"x").decode()
    received = t.ctl_json(redis, "kick", id)
    assert received["name"] == "a", received
    assert client.closed()
    t.wait_until(lambda: ids_and_states(t, redis) == {}, what="its entry is closed")
    assert t.ctl(redis, "kick", id, check=False).returncode == 1


def test_drain(t):
    redis = t.redis()
    a, b = t.frontends(2, redis)
    client = t.connect(a, Versioned)
    client.open(b"x")
    assert "drain" in t.ctl(redis, "drain", "a").stdout
    assert client.closed()
    assert a.process.wait() == 0
    t.wait_until(lambda: [node["name"] for node in t.ctl_json(redis, "nodes")["nodes"]] == ["b"],
                 what="a is gone")
    assert b.running()
    assert t.ctl(redis, "drain", "a", check=False).returncode in (1, 3)


def test_reload_reports_a_mistake(t):
    redis = t.redis()
    frontend = t.frontend(redis, node="a", config="[net]\nmax_per_address = 7\n")
    assert "reloaded" in t.ctl(redis, "reload", "a").stdout
    frontend.write_config("[net]\nmax_per_address = many\n")
    wrong = t.ctl(redis, "reload", "a", check=False)
    assert wrong.returncode == 1 and "max_per_address" in wrong.stderr, wrong


def test_spaces_and_partitions(t):
    redis = t.redis()
    frontend = t.frontend(redis, settings={"map.spaces": "main other", "map.partitions": "7"},
                          listen=("tracker=127.0.0.1:0", "tracker=127.0.0.1:0,space=other", "web=127.0.0.1:0"))
    inside = [t.connect(frontend, Versioned, index=0).open(b"%d" % number).decode() for number in range(20)]
    other = t.connect(frontend, Versioned, index=1).open(b"other").decode()
    main = {client["id"]: client for client in t.ctl_json(redis, "clients")["clients"]}
    assert set(main) == set(inside)
    for id, client in main.items():
        assert t.ctl_json(redis, "shard", id)["shard"] == client["partition"]
    assert len({client["partition"] for client in main.values()}) > 1
    assert [client["id"] for client in t.ctl_json(redis, "--space", "other", "clients")["clients"]] == [other]
    assert t.ctl_json(redis, "--space", "other", "get", other)["state"] == "other"
    checked = t.ctl_json(redis, "fsck")
    assert {space["space"]: space["entries"] for space in checked["spaces"]} == {"main": 20, "other": 1}
    assert t.ctl_json(redis, "nodes")["nodes"][0]["entries"] == 21
