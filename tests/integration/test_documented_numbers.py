"""Numbers of the documents that no other test comes by: of files that are shipped, of the JavaScript client, of what
is in Redis, of what Redis itself brings."""
import gzip
import json
import os
import re

from harness import Versioned
from harness.sync import Sync
from harness.turntable import Turntable

HEX = "[0-9a-f]"


def read(t, path):
    with open(t.path(path), encoding="utf-8") as file:
        return file.read()


def constants(text):
    """The numbers that a script gives names."""
    return {name: int(number) for name, number in re.findall(r"\b([A-Z][A-Z_]+) = (\d+)\b", text)}


def served(frontend, path):
    _, headers, body = frontend.http(path)
    return (gzip.decompress(body) if headers.get("Content-Encoding") == "gzip" else body).decode()


def test_the_times_of_the_javascript_client(t):
    frontend = t.frontend()
    script = served(frontend, "/tracker.js")
    assert re.search(r"\{ backoff: 500, backoffMax: 15000, timeout: 10000, ", script)
    expected = {"RETRY_MAX_MS": 5000, "ADOPT_FOR_MS": 40000, "DUPLICATE_FOR_MS": 40000,
                "LATE_MS": 2500, "LATE_FOR_MS": 20000}
    found = constants(script)
    assert {name: found[name] for name in expected} == expected, found


def test_the_times_of_the_page(t):
    """Nobody looks for a minute; two minutes of numbers, one a second."""
    frontend = t.frontend()
    assert constants(served(frontend, "/live.js"))["HIDDEN_MAX"] == 60000
    assert 120 in constants(served(frontend, "/charts.js")).values()


def test_the_times_of_haproxys_configuration(t):
    """A client that vanished is found after 60 s and three probes at 10 s; a front-end's host that was started again
    at 3 s, where the kernel's own time is two hours; one that does not answer within 1 s, 500 ms and two time-outs."""
    text = read(t, "docker/haproxy.cfg")
    number = lambda key: int(re.search(rf"^ *{key} (\d+)", text, re.M)[1])
    assert number("clitcpka-idle") + number("clitcpka-cnt") * number("clitcpka-intvl") == 90
    assert (number("srvtcpka-idle"), number("srvtcpka-intvl"), number("srvtcpka-cnt")) == (3, 1, 3)
    assert "inter 1s fastinter 500ms fall 2 rise 1" in text
    assert set(re.findall(r"^frontend tracker\n(?:    .*\n)*?    timeout client (\S+)", text, re.M)) == {"24h"}
    with open("/proc/sys/net/ipv4/tcp_keepalive_time", encoding="ascii") as file:
        assert int(file.read()) == 2 * 3600


def test_the_times_to_stop(t):
    """Longer than drain.time (5 s) and redis.deadline (3 s) together."""
    unit = read(t, "docker/systemd/trackerd@.service")
    assert int(re.search(r"^TimeoutStopSec=(\d+)$", unit, re.M)[1]) == 30
    assert int(re.search(r"^LimitNOFILE=(\d+)$", unit, re.M)[1]) == 131072
    compose = read(t, "docker/docker-compose.yml")
    assert set(re.findall(r"stop_grace_period: (\S+)", compose)) == {"20s"}
    assert "--maxmemory 512mb" in compose.replace('", "', " ")  # 512 MiB
    ports = set(re.findall(r"\b(\d{4,5}):\d{4,5}\b", compose))
    assert {"6789", "8080", "13372", "8081"} <= ports, ports


def test_when_a_vanished_client_is_noticed(t):
    """25 s: the silence until TCP probes it, and three probes that are not answered."""
    settings = dict(re.findall(r"^#(\w+) = (\d+)", read(t, "docs/examples/trackerd.ini").partition("\n[net]\n")[2], re.M))
    number = lambda key: int(settings[key])
    assert number("keepalive") + number("keepalive_probes") * number("keepalive_interval") == 25


def test_the_longest_values_of_settings(t):
    """What the documents allow is taken, and one more is not."""
    directory = t.directory()
    files = {}
    for size in (64 * 1024, 64 * 1024 + 1):
        files[size] = os.path.join(directory, str(size))
        with open(files[size], "w", encoding="ascii") as file:
            file.write("10.0.0.1 ".ljust(size))
    for good, bad in (
            ("access.deny_file=" + files[64 * 1024], "access.deny_file=" + files[64 * 1024 + 1]),
            ("redis.prefix=" + "p" * 64, "redis.prefix=" + "p" * 65),
            ("map.spaces=" + "s" * 32, "map.spaces=" + "s" * 33),
            ("web.token=" + "t" * 16, "web.token=" + "t" * 15),
            ("redis.url=unix:/" + "r" * (107 - 1), "redis.url=unix:/" + "r" * 107)):
        for setting, code in ((good, 0), (bad, 2)):
            checked = t.run("trackerd", "--check", "--set", setting, check=False)
            assert checked.returncode == code, (setting[:40], checked.stderr[:300])


def test_times_that_are_no_settings(t):
    for path, expected in (
            ("pkg/map/node.c", {"NONCE_INTERVAL_MS": 1000, "NONCE_FRESH_MS": 3000}),
            ("pkg/map/renewal.c", {"WAIT_LATE_MS": 250}),
            ("pkg/map/needs.c", {"RETRY_MS": 1000, "INTERVAL_MS": 5000}),
            ("pkg/redis/store.c", {"EVENTS_AGAIN_MS": 30000}),
            ("pkg/server/server.c", {"WAITING_MS": 5000}),
            ("pkg/server/workers.c", {"READINESS_MS": 250}),
            ("pkg/server/alone.c", {"SILENT_MS": 3000, "FRESH_MS": 5000, "SETTLED_MS": 18000}),
            ("pkg/server/cut_off.c", {"REFRESH_MS": 5000, "TICK_MAX_MS": 250, "TIMEOUT_PART": 6}),
            ("pkg/server/peers.c", {"ASKED_MAX": 8}),
            ("pkg/inspect/fsck.h", {"FSCK_CONFIRM_MS": 1500}),
            ("cmd/trackerctl/front.c", {"SMALL": 250}),
            ("cmd/trackerctl/servers_model.c", {"READ_AGAIN_MS": 2000}),
            ("cmd/tracker-bench/peer.c", {"BACKOFF_MS": 100, "BACKOFF_MAX_MS": 5000, "ATTEMPT_MS": 10000}),
            ("cmd/tracker-bench/masters.c", {"DRAIN_MS": 5000}),
            ("cmd/tracker-bench/service.c", {"DIGITS": 32 // 2}),
            ("cmd/tracker-bench/modes.c", {"LOAD_CONNECTIONS": 16}),
            ("cmd/tracker-bench/bench.h", {"BENCH_STAMPS": 2 * 8, "BENCH_MAX_DESCRIPTORS": 20000}),
            ("cmd/tracker-bench/options.h", {"OPTIONS_MAX_PROCS": 8})):
        found = {name: int(number) for name, number in re.findall(r"^#define +(\w+) +(\d+)", read(t, path), re.M)}
        assert {name: found.get(name) for name in expected} == expected, path
    assert "how long to wait for an answer (5s)" in t.run("trackerctl", "--help").stdout
    # `make run` gives up at the third line of waiting_for_redis, after 15 s.
    assert int(re.search(r"^WAITS = (\d+)$", read(t, "docker/run-local"), re.M)[1]) * 5 == 15


def test_when_a_front_end_that_is_cut_off_acts(t):
    """In seconds, from map.lease, map.sweep and client.grace."""
    sample = read(t, "docs/examples/trackerd.ini")
    lease, sweep, grace = (int(re.search(rf"^#{key} = (\d+)s$", sample, re.M)[1]) for key in ("lease", "sweep", "grace"))
    assert (lease / 6, sweep + lease / 4, sweep + lease / 4 + lease / 6 + 0.25) == (0.5, 1.75, 2.5)
    assert (lease + grace, lease + grace - grace / 4, grace / 4) == (8, 6.75, 1.25)


def test_redis_limits_pubsub_as_documented(t):
    """32 MiB at once, or 8 MiB for 60 s."""
    limits = t.redis()("CONFIG", "GET", "client-output-buffer-limit")[1].decode()
    assert limits.endswith(f"pubsub {32 << 20} {8 << 20} 60"), limits


def test_the_forms_of_what_is_in_redis(t):
    redis = t.redis()
    frontend = t.frontend(redis, listen=("tracker=127.0.0.1:0", "web=127.0.0.1:0", "q3master=127.0.0.1:0"))
    client = t.connect(frontend, Versioned)
    client.open(b"x")
    assert re.fullmatch("[A-Za-z0-9]{7}", client.id.decode()), client.id
    entry = hash_of(redis, b"tracker:{main/1/0}:client:" + client.id)
    assert re.fullmatch(HEX + "{32}", entry["session"])  # 128 bits
    assert re.fullmatch(HEX + "{12}", entry["node"]), "new with each process"
    assert 0 <= int(entry["version"]) <= 9223372036854775807  # 63 bits
    assert re.fullmatch(HEX + "{16}", hash_of(redis, "tracker:{main/1/0}:head")["epoch"])
    assert re.fullmatch(HEX + "{64}", redis("GET", "tracker:secret:q3master").decode())
    key = "tracker:node:" + entry["node"]
    # Written every three seconds, with a time to live of 15 s.
    assert 0 < int(redis("PTTL", key)) <= 15 * 1000
    redis("DEL", key)
    t.wait_until(lambda: redis("EXISTS", key) and int(redis("PTTL", key)) > (15 - 3) * 1000, 15)


def test_the_forms_of_names_that_are_given(t):
    """A token of metadata sync, the id of a turntable connection, an invitation that waits."""
    redis = t.redis()
    frontend = t.frontend(redis)
    assert re.fullmatch(HEX + "{32}", t.connect(frontend, Sync, kind="web").token)  # 128 bits
    player = t.connect(frontend, Turntable, kind="web", user="1:42")
    ids = {key.decode().rpartition(":")[2] for key in redis("KEYS", "tracker:{main/1/0}:client:*")}
    assert any(re.fullmatch("[A-Za-z0-9]{7}", id) for id in ids), ids
    player.say("joingame", {"channel": "arena", "self": "1:42", "invite": ["1:43"]})
    waiting = t.wait_until(lambda: redis("LRANGE", "tracker:{main/1/0}:invites:1:43", "0", "-1"))
    mark, _, invitation = waiting[0].partition(b" ")
    assert re.fullmatch("[0-9]{13}[.]" + HEX + "{2}", mark.decode()), waiting
    assert json.loads(invitation)


def hash_of(redis, key):
    values = [value.decode() for value in redis("HGETALL", key)]
    return dict(zip(values[::2], values[1::2]))
