"""The settings that all front-ends of one Redis share: stored by the first, adopted by all, changed by trackerctl."""
import json
import re

from harness import Versioned

KEY = "tracker:shared"


def config(t, redis, node):
    """What it answers; it may have to subscribe again before it can."""
    found = []

    def answers():
        done = t.run("trackerctl", "--redis", redis.url, "--json", "config", node, check=False)
        found[:] = json.loads(done.stdout)["nodes"]
        return found
    t.wait_until(answers, 20, f"{node} answers")
    return found[0]["config"]


def in_force(t, redis, node, key):
    return config(t, redis, node)[key]["value"]


def stored(redis, key):
    value = redis("HGET", KEY, key)
    return value and value.decode()


def change(t, redis, *assignments, **options):
    return t.run("trackerctl", "--redis", redis.url, "shared", "set", *assignments, **options)


def test_later_front_ends_run_with_the_settings_of_the_first(t):
    redis = t.redis()
    t.frontend(redis, node="a", settings={"map.lease": "4s", "client.grace": "2s"})
    assert [stored(redis, key) for key in ("map.lease", "client.grace", "client.ttl")] == ["4s", "2s", "30s"]
    b = t.frontend(redis, node="b", settings={"map.lease": "6s", "client.grace": "2s", "client.ttl": "1m"})
    c = t.frontend(redis, node="c")
    # What differs is said with both values, and counted: only what a file or flag gives.
    line, = b.log_lines("shared_setting_differs.*setting=map.lease")
    assert "here=6s" in line and "shared=4s" in line and "in_force=4s" in line, line
    assert len(b.log_lines("shared_setting_differs")) == 2 == b.metric("tracker_shared_differences_total"), b.log
    assert not c.log_lines("shared_setting_differs") and c.metric("tracker_shared_differences_total") == 0, c.log
    for node in "bc":
        received = config(t, redis, node)
        assert received["map.lease"]["value"] == "4s" and received["map.lease"]["source"] == "shared", received["map.lease"]
        assert received["client.ttl"]["value"] == "30s", received["client.ttl"]
    assert config(t, redis, "b")["map.lease"]["configured"] == "6s"
    assert config(t, redis, "c")["map.lease"]["configured"] == "3s"
    assert "configured" not in config(t, redis, "b")["client.grace"]
    # The lease is what it says: the score in Redis is that far ahead.
    for node in redis("ZRANGE", "tracker:{main/1/0}:nodes", 0, -1):
        seconds, micros = map(int, redis("TIME"))
        left = float(redis("ZSCORE", "tracker:{main/1/0}:nodes", node)) - (seconds * 1000 + micros / 1000)
        assert 1000 < left <= 4000, left
    t.fsck(redis)


def test_a_change_is_adopted_by_all_within_a_sweep(t):
    redis = t.redis()
    fronts = [t.frontend(redis, node=node) for node in "abc"]
    client = t.connect(fronts[0], Versioned)
    id = client.open(b"x")
    done = change(t, redis, "map.lease=10s", "map.sweep=2s", "client.grace=30s", "client.ttl=2m")
    assert "map.lease" in done.stdout and "10s" in done.stdout, done
    for front in fronts:
        front.wait_for_log(r"shared_setting_adopted.*setting=map\.lease from=3s to=10s", 2)
        front.wait_for_log(r"shared_setting_adopted.*setting=client\.ttl from=30s to=2m", 2)
    assert all(in_force(t, redis, node, "client.grace") == "30s" for node in "abc")
    # And they mean it: the entry of a dropped client waits that long.
    client.drop()
    t.wait_until(lambda: redis("ZSCORE", "tracker:{main/1/0}:deadlines", b"c:" + id), what="its deadline")
    seconds = int(redis("TIME")[0])
    assert float(redis("ZSCORE", "tracker:{main/1/0}:deadlines", b"c:" + id)) / 1000 - seconds > 20
    # One that starts later, too.
    t.frontend(redis, node="d")
    assert in_force(t, redis, "d", "map.sweep") == "2s"
    t.fsck(redis)


def test_nobody_loses_a_lease_when_it_is_shortened_or_lengthened(t):
    redis = t.redis()
    fronts = [t.frontend(redis, node=node, settings={"map.recovery_grace": "0s", "client.grace": "0s"}) for node in "ab"]
    clients = [t.connect(front, Versioned) for front in fronts]
    ids = [client.open(b"x") for client in clients]
    received = t.events(redis)

    def leases_left():
        seconds, micros = map(int, redis("TIME"))
        scores = redis("ZRANGE", "tracker:{main/1/0}:nodes", 0, -1, "WITHSCORES")[1::2]
        return [float(score) / 1000 - seconds - micros / 1e6 for score in scores]

    # Each goes on with a lease of the new length at once, however seldom it sweeps from now on.
    for lease, sweep in ((2, "200ms"), (60, "20s"), (3, "100ms"), (40, "20s"), (3, "1s")):
        change(t, redis, f"map.lease={lease}s", f"map.sweep={sweep}")
        for node in "ab":
            t.wait_until(lambda: in_force(t, redis, node, "map.sweep") == sweep, what=f"{node} adopts {sweep}")
        t.wait_until(lambda: len(leases_left()) == 2 and all(lease / 3 < left <= lease for left in leases_left()), 5,
                     lambda: f"leases of {lease} s: {leases_left()}")
    for client, id in zip(clients, ids):
        assert client.update(id, 1, b"still here")
    assert received.count("orphan") == received.count("close") == 0, received.events
    assert [front.metric("tracker_orphaned_entries_total") for front in fronts] == [0, 0]


def test_an_emptied_redis_takes_the_values_in_memory(t):
    redis = t.redis()
    a, b = t.frontend(redis, node="a", settings={"map.lease": "4s"}), t.frontend(redis, node="b", settings={"map.lease": "6s"})
    change(t, redis, "client.grace=7s")
    for front in (a, b):
        front.wait_for_log(r"shared_setting_adopted.*setting=client\.grace from=5s to=7s")
    redis("FLUSHALL")
    # What a and b were started with is not what they ran with.
    t.wait_until(lambda: (stored(redis, "map.lease"), stored(redis, "client.grace")) == ("4s", "7s"), what="they are put back")
    redis.kill()
    redis.start()
    t.wait_until(lambda: (stored(redis, "map.lease"), stored(redis, "client.grace")) == ("4s", "7s"), what="they are put back")
    t.wait_until(lambda: a.ready() and b.ready(), 20, what="both are ready")
    assert [in_force(t, redis, node, "map.lease") for node in "ab"] == ["4s", "4s"]


def test_a_newcomer_on_an_emptied_redis_does_not_change_the_others(t):
    redis = t.redis()
    a = t.frontend(redis, node="a", settings={"map.lease": "4s"})
    # As one that was first on the emptied Redis has stored it.
    redis("HSET", KEY, "map.lease", "9s", ".revision", "1")
    for line in redis("CLIENT", "LIST", "TYPE", "NORMAL").decode().splitlines():
        if "name=" in line and "commands" in line:
            redis("CLIENT", "KILL", "ID", line.split()[0][3:])
    t.wait_until(lambda: stored(redis, "map.lease") == "4s", what="what a ran with is put back")
    t.wait_until(a.ready, what="a is ready")
    assert in_force(t, redis, "a", "map.lease") == "4s"


def test_limits_are_compared_and_a_reload_changes_them(t):
    redis = t.redis()
    t.frontend(redis, node="a", settings={"client.max_ids": "20"})
    b = t.frontend(redis, node="b", config="[client]\nmax_ids = 2\n")
    line, = b.log_lines("shared_setting_differs")
    assert "setting=client.max_ids" in line and "here=2" in line and "shared=20" in line and "in_force=2" in line, line
    b.write_config("[client]\nmax_ids = 1\n")
    t.run("trackerctl", "--redis", redis.url, "reload", "b")
    assert in_force(t, redis, "b", "client.max_ids") == "1"
    client = t.connect(b, Versioned)
    assert client.open(b"first")
    assert not client.update(b"second", 1, b"one too many")
    change(t, redis, "client.max_ids=1")
    t.wait_until(lambda: stored(redis, "client.max_ids") == "1", what="it is stored")
    assert in_force(t, redis, "a", "client.max_ids") == "20"


def test_what_cannot_be_is_refused_before_it_is_stored(t):
    redis = t.redis()
    assert t.run("trackerctl", "--redis", redis.url, "shared", check=False).returncode == 1
    t.frontend(redis)
    before = redis("HGETALL", KEY)
    for assignment, word in (("map.lease=banana", "duration"), ("map.lease=1s", "map.sweep"), ("client.grace=1h", "client.ttl"),
                             ("presence.offline_delay=31s", "presence.offline_delay = 31s, client.ttl = 30s"), ("client.ttl=4s", "client.grace = 5s, client.ttl = 4s"),
                             ("map.lease=100ms", "map.lease"), ("map.partitions=4", "cannot be changed"),
                             ("map.reap=3", "not a shared setting"), ("map.leese=3s", "not a shared setting"), ("map.lease", "KEY=VALUE")):
        done = change(t, redis, assignment, check=False)
        assert done.returncode == 2 and word in done.stderr, done
    assert redis("HGETALL", KEY) == before


def test_it_is_shown_as_a_table_and_as_json(t):
    redis = t.redis()
    t.frontend(redis, settings={"map.lease": "4s", "map.partitions": "2"})
    table = t.run("trackerctl", "--redis", redis.url, "shared").stdout
    assert ["map.lease", "4s", "adopted"] in [line.split() for line in table.splitlines()], table
    assert ["client.max_ids", "16", "compared"] in [line.split() for line in table.splitlines()], table
    received = json.loads(t.run("trackerctl", "--redis", redis.url, "--json", "shared").stdout)
    assert received["revision"] == 1 and received["partitions"] == {"main": "2"}, received
    assert received["settings"]["map.lease"] == {"value": "4s", "adopted": True}, received
    assert received["settings"]["room.max_members"] == {"value": "10000", "adopted": False}, received


def test_malformed_values_disturb_no_front_end(t):
    redis = t.redis()
    a = t.frontend(redis, node="a", settings={"map.lease": "4s"})
    redis("HSET", KEY, "map.lease", "banana", ".revision", "7")
    a.wait_for_log("shared_settings_unusable")
    b = t.frontend(redis, node="b", settings={"map.lease": "6s"})
    assert in_force(t, redis, "a", "map.lease") == "4s" and in_force(t, redis, "b", "map.lease") == "6s"
    redis("HSET", KEY, "map.lease", "5s", ".revision", "8")
    for node in "ab":
        t.wait_until(lambda: in_force(t, redis, node, "map.lease") == "5s", what=f"{node} adopts it")
    t.fsck(redis)


def test_a_deleted_hash_is_filled_again_even_when_heads_know_a_later_one(t):
    redis = t.redis()
    a = t.frontend(redis, node="a")
    change(t, redis, "map.recovery_grace=1s")
    a.wait_for_log(r"shared_setting_adopted.*setting=map\.recovery_grace")
    t.wait_until(lambda: redis("HGET", "tracker:{main/1/0}:head", "shared") == b"2", what="the head knows it")
    a.stop()
    redis("DEL", KEY)
    b = t.frontend(redis, node="b", settings={"map.recovery_grace": "2s"})
    t.wait_until(b.ready, what="b is ready")
    assert in_force(t, redis, "b", "map.recovery_grace") == "2s" == stored(redis, "map.hold")


def test_repairs_give_the_times_of_the_front_ends(t):
    redis = t.redis()
    front = t.frontend(redis, settings={"client.ttl": "1h", "client.grace": "30m"})
    client = t.connect(front, Versioned)
    id = client.open(b"x")
    client.drop()
    t.wait_until(lambda: redis("ZREM", "tracker:{main/1/0}:deadlines", b"c:" + id), what="it waits")
    done = t.run("trackerctl", "--redis", redis.url, "fsck", "--repair", check=False)
    assert "no-deadline" in done.stdout, done
    left = float(redis("ZSCORE", "tracker:{main/1/0}:deadlines", b"c:" + id)) / 1000 - int(redis("TIME")[0])
    assert 1700 < left <= 1801, left


def test_the_documents_mark_what_is_shared(t):
    redis = t.redis()
    t.frontend(redis)
    there = {key: "Shared." if one["adopted"] else "Compared." for key, one in
             json.loads(t.run("trackerctl", "--redis", redis.url, "--json", "shared").stdout)["settings"].items()}
    with open(t.path("docs/configuration.md"), encoding="utf-8") as file:
        headings = re.findall(r"^### (\S+)\n\n(.*)$", file.read(), re.M)
    documented = {key: mark for key, first in headings for mark in ("Shared.", "Compared.") if mark in first}
    assert documented == there, set(documented.items()) ^ set(there.items())
