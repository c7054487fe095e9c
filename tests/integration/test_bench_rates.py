"""tracker-bench --rate: in every mode the operations follow the schedule, and a bad rate is refused. The bounds hold on
a machine that stalls: what a schedule allows at most until now, and what comes at last."""
import json
import re
import time

from harness.frontend import LOOPBACK
from harness.q3master import MASTER_SETTINGS

TIMEOUT = 240
LISTEN = (*LOOPBACK, "q3master=127.0.0.1:0")
# Beside these no limit of the front-end is met.
SETTINGS = {**MASTER_SETTINGS, "q3master.query_rate": "0", "q3master.heartbeat_rate": "0"}
SHORT = ("--seconds", 1, "--warmup", 0)


class Load:
    """A run of tracker-bench beside the test."""

    def __init__(self, t, *arguments):
        self.began = time.monotonic()
        self.process = t.start("tracker-bench", [t.program("tracker-bench"), *map(str, arguments), "--json"])

    def result(self):
        code = self.process.wait(60)
        assert code == 0, self.process.log
        return json.loads(self.process.log.splitlines()[-1])

    def check_pace(self, t, read, rate, count, what):
        """read() grows to count and is never ahead of the schedule."""
        def reached():
            value = read()
            most = 1 + rate * (time.monotonic() - self.began)
            assert value <= most, f"{value} {what} where the schedule has {most:.1f}"
            return value >= count
        t.wait_until(reached, 30, lambda: f"{count} {what}, not {read()}")


def front_end(t):
    return t.frontend(t.redis(tcp=True), listen=LISTEN, settings=SETTINGS)


def messages(node, kind, protocol="tracker"):
    return node.metric("tracker_messages_total", protocol=protocol, kind=kind)


def reaches(node, kind, count, protocol="tracker"):
    """Whether the messages become so many, and no more."""
    return node.wait_for_metric("tracker_messages_total", count, protocol=protocol, kind=kind) == count


def connections_accepted(node):
    """Reads their number without those of the reads."""
    before, reads = node.metric("tracker_connections_accepted_total"), 0

    def read():
        nonlocal reads
        reads += 1
        return node.metric("tracker_connections_accepted_total") - before - reads
    return read


def test_every_mode_has_a_rate(t):
    """What each counts of its operations in a second is the rate."""
    node = front_end(t)
    tracker, web = ("--target", node.where()), ("--target", node.where("web"))
    master = ("--target", "%s:%d" % node.address("q3master"))
    redis = ("--target", f"127.0.0.1:{node.redis.port}")
    few = ("--connections", 3, "--watchers", 2)
    counted = {
        "updates": ("updates_sent", *tracker, "--connections", 3, "--entries", 6),
        "fanout": ("updates_sent", *tracker, *few, "--entries", 6),
        "latency": ("updates_sent", *tracker),
        "floor": ("updates_sent", *few),
        "pubsub": ("published", *redis),
        "snapshot": ("updates_sent", *tracker, "--connections", 5, "--entries", 100),
        "ws-fanout": ("messages_sent", *web, "--service", "tracker", *few),
        "friends": ("messages_sent", *web, "--connections", 5, "--each", 2),
        "tick": ("messages_sent", *web, *few, "--each", 2),
        "getservers": ("questions", *master)}
    for mode, (figure, *arguments) in counted.items():
        found = Load(t, mode, *arguments, "--rate", 40, *SHORT).result()
        assert found[figure] == 40, (mode, found)
    # Of these the rate limits what there is a number of.
    paced = {
        "idle": (("connected_in", "opened_in"), *tracker, "--connections", 20),
        "ws-idle": (("connected_in",), *web, "--service", "tracker", "--connections", 20),
        "servers": (("registered_in",), *master, "--connections", 20)}
    for mode, (figures, *arguments) in paced.items():
        found = Load(t, mode, *arguments, "--rate", 40, "--seconds", 0.1).result()
        assert all(found[figure] >= 1000 * 19 / 40 for figure in figures), (mode, found)
    found = Load(t, "flood", *master, "--rate", 40, "--sources", 4, "--seconds", 1).result()
    assert found["sent"] <= 40 and found["not_sent"] == 0, found
    modes = re.findall(r"^  ([a-z-]+) ", t.run("tracker-bench", "--help").stdout.split("\n\n")[1], re.M)
    assert sorted(modes) == sorted([*counted, *paced, "flood"]), modes
    with open(t.path("docs/man/tracker-bench.1"), encoding="utf-8") as page:
        described = re.findall(r"^\.TP\n\.B ([a-z\\-]+)$", page.read().split(".SH SERVICES")[0], re.M)
    assert sorted(modes) == sorted(name.replace("\\", "") for name in described), described


def test_a_rate_replaces_the_default_window(t):
    """Updates, and questions of a player: as many as the schedule has, in the warm-up too."""
    node = front_end(t)
    found = Load(t, "updates", "--target", node.where(), "--connections", 3, "--entries", 6, "--rate", 50,
                 "--seconds", 1, "--warmup", 0.5).result()
    assert found["updates_sent"] == 50 and found["updates_refused"] == 0, found
    assert reaches(node, "update", 6 + 75)
    found = Load(t, "getservers", "--target", "%s:%d" % node.address("q3master"), "--rate", 50, "--seconds", 1,
                 "--warmup", 0.5).result()
    assert found["questions"] == 50 and found["lost"] == 0, found
    assert reaches(node, "getservers", 75, "q3master")
    assert node.metric("tracker_q3master_replies_total") == 75
    # A window replaces the default rate.
    found = Load(t, "fanout", "--target", node.where(), "--connections", 1, "--entries", 1, "--watchers", 1,
                 "--window", 1, *SHORT).result()
    assert found["updates_accepted"] > 0 and found["updates_refused"] == 0, found


def test_fractions_of_a_rate(t):
    """Two seconds at 1.5: at 0, 0.67 and 1.33 s, and a second at 3 is three; in several processes too."""
    node = front_end(t)
    for rate, seconds, connections, processes, expected in ((1.5, 2, 1, 1, 3), (3, 1, 1, 1, 3), ("4e0", 1, 4, 2, 4)):
        before = messages(node, "update")
        expected += before + connections
        Load(t, "updates", "--target", node.where(), "--connections", connections, "--entries", connections,
             "--processes", processes, "--rate", rate, "--seconds", seconds, "--warmup", 0).result()
        assert reaches(node, "update", expected), rate


def test_connections_are_begun_by_the_rate(t):
    """First all connections, then all opens, each with a schedule of its own."""
    node = front_end(t)
    accepted = connections_accepted(node)
    load = Load(t, "idle", "--target", node.where(), "--connections", 40, "--rate", 20, "--seconds", 0.1)
    load.check_pace(t, accepted, 20, 40, "connections")
    load.check_pace(t, lambda: messages(node, "open"), 20, 40, "opens")
    found = load.result()
    assert found["connections"] == 40 and found["connections_lost"] == 0, found
    assert found["connected_in"] >= 1000 * 39 / 20 and found["opened_in"] >= 1000 * 39 / 20, found
    load = Load(t, "ws-idle", "--service", "tracker", "--target", node.where("web"), "--connections", 40,
                "--rate", 20, "--seconds", 0.1)
    load.check_pace(t, lambda: node.metric("tracker_websocket_upgrades_total"), 20, 40, "handshakes")
    found = load.result()
    assert found["connections_lost"] == 0 and found["connected_in"] >= 1000 * 39 / 20, found


def test_heartbeats_follow_the_rate(t):
    """One after the other until all game servers are registered, and then on and on."""
    node = front_end(t)
    arguments = ("servers", "--target", "%s:%d" % node.address("q3master"), "--connections", 30, "--rate", 20)
    load = Load(t, *arguments, "--seconds", 3600)
    load.check_pace(t, lambda: messages(node, "heartbeat", "q3master"), 20, 75, "heartbeats")
    node.wait_for_metric("tracker_q3master_servers", 30)
    load.process.kill()
    found = Load(t, *arguments, "--seconds", 0.1).result()
    assert found["registered_in"] >= 1000 * 29 / 20 and found["heartbeats"] >= 30, found


def test_a_flood_is_no_faster_than_its_rate(t):
    """And a rate is needed: without one nothing was sent, and nothing said."""
    node = front_end(t)
    target = ("--target", "%s:%d" % node.address("q3master"))
    load = Load(t, "flood", *target, "--rate", 20, "--sources", 5, "--seconds", 3600)
    load.check_pace(t, lambda: messages(node, "heartbeat", "q3master"), 20, 40, "heartbeats")
    load.process.kill()
    assert Load(t, "flood", *target, "--rate", 20, "--sources", 5, "--seconds", 1).result()["sent"] <= 20
    for mode, need in (("flood", "--rate: must be more than 0"), ("pubsub", "--rate: must be more than 0"),
                       ("friends", "--rate: must be more than 0"), ("tick", "--rate: must be more than 0"),
                       ("ws-fanout", "--rate: must be more than 0"),
                       ("fanout", "--rate or --window: must be more than 0")):
        done = t.run("tracker-bench", mode, *target, "--rate", "0", check=False)
        assert done.returncode == 2 and need in done.stderr, (mode, done)


def test_malformed_rates_are_refused(t):
    for rate in (" 5", "+5", "0x10", "", "x", "5x", "5 ", "\t5", "-1", "-0", "5,5", "1..2", "1e", "e5", ".", "nan", "inf",
                 "infinity", "1e999", "1e-999", "10000001"):
        done = t.run("tracker-bench", "updates", "--target", "127.0.0.1:1", "--rate", rate, check=False)
        assert done.returncode == 2 and "--rate: not a number from 0 to 10000000" in done.stderr, (rate, done)
    done = t.run("tracker-bench", "updates", "--rate", check=False)
    assert done.returncode == 2 and "rate" in done.stderr, done


def test_a_rate_and_a_window_exclude_each_other(t):
    for mode in ("updates", "fanout", "snapshot", "getservers"):
        done = t.run("tracker-bench", mode, "--target", "127.0.0.1:1", "--rate", "5", "--window", "5", check=False)
        assert done.returncode == 2 and "only one of them" in done.stderr, (mode, done)
    for mode in ("pubsub", "idle", "ws-fanout", "ws-idle", "friends", "tick", "servers", "flood"):
        done = t.run("tracker-bench", mode, "--target", "127.0.0.1:1", "--window", "5", check=False)
        assert done.returncode == 2 and "--window: not supported in this mode" in done.stderr, (mode, done)
