"""How soon clients are served again when Redis has gone or changed, beside a loop of redis-cli that finds the master
and writes. All write all the time: served again is the end of the longest time without an acknowledged write that
began before the switch, or shortly after it."""
import contextlib
import subprocess
import threading
import time

from figures import Finding, figure
from harness import Versioned
from harness.sentinel import NAME

CLIENTS = 20
# More than redis-cli needs, that a front-end or a client may take.
MOST = 1.0
# How long after a switch its effects begin: what stalls later is the machine.
EFFECTS = 0.5
LISTEN = ("tracker=127.0.0.1:0", "web=127.0.0.1:0")


class Moments:
    """When something was all right."""

    def __init__(self):
        self.times = []

    def note(self):
        self.times.append(time.monotonic())

    def again(self, began, switched):
        """Seconds from the first to the end of the longest absence."""
        gaps = [(after - before, after) for before, after in zip(self.times, self.times[1:])
                if after > began and before < switched + EFFECTS]
        assert gaps, "it was never served again"
        return max(gaps)[1] - began


def during(work, ended):
    """A thread that calls work() until then. A host's name space is entered by the thread that is in it."""
    def loop():
        while not ended.is_set():
            work()
            time.sleep(0.005)
    thread = threading.Thread(target=loop)
    thread.start()
    return thread


def update_of(client, moments):
    """One update; what is sent while Redis is unreachable is answered after redis.deadline at the latest."""
    id = client.open(b"0")
    versions = iter(range(1, 1 << 30))

    def update():
        if client.update(id, next(versions), b"1"):
            moments.note()
    return update


def ready_of(frontend, moments):
    def look():
        with contextlib.suppress(OSError, ValueError):
            if frontend.http("/readyz", timeout=1)[0] == 200:
                moments.note()
    return look


def cli(*words):
    """The lines that redis-cli prints, which gives up soon."""
    done = subprocess.run(["timeout", "1", "redis-cli", *words], stdin=subprocess.DEVNULL, capture_output=True,
                          text=True, check=False)
    return done.stdout.split()


class OneRedis:
    """It is killed, and started again with what it has saved."""

    what = "Redis is killed and started again"

    def __init__(self, t, _):
        self.redis = t.redis(tcp=True)
        self.target = self.redis

    def strike(self):
        self.redis.save("dump.rdb")
        began = time.monotonic()
        self.redis.restart(rdb="dump.rdb")
        return began

    def write(self):
        return cli("-p", str(self.redis.port), "SET", "probe", "1") == ["OK"]


class BySentinels:
    def __init__(self, t, _):
        self.sentinels = t.sentinels()
        self.target = self.sentinels.url
        self.turn = 0

    def write(self):
        """Asks one Sentinel after the other, and writes to what it names."""
        self.turn += 1
        sentinel = self.sentinels.all[self.turn % len(self.sentinels.all)]
        found = cli("-p", str(sentinel.port), "SENTINEL", "GET-MASTER-ADDR-BY-NAME", NAME)
        return len(found) == 2 and cli("-h", found[0], "-p", found[1], "SET", "probe", "1") == ["OK"]


class ByCommand(BySentinels):
    what = "`SENTINEL FAILOVER`"

    def strike(self):
        old, began = self.sentinels.master(), time.monotonic()
        self.sentinels.all[0]("SENTINEL", "FAILOVER", NAME)
        self.sentinels.wait_for_another(old)
        return began


class ByDeath(BySentinels):
    what = "the master is killed, `down-after-milliseconds` 1 s"

    def strike(self):
        old, began = self.sentinels.master(), time.monotonic()
        old.kill()
        self.sentinels.wait_for_another(old)
        return began


class ByName:
    """As a managed service does it: the replica is promoted, the name follows, and the old master stays as a replica."""

    what = "a name leads to the promoted replica"

    def __init__(self, t, network):
        self.network = network
        self.hosts = [network.host(f"redis-{len(network.hosts) + number}") for number in (1, 2)]
        self.redises = []
        for host in self.hosts:
            with host:
                self.redises.append(t.redis(tcp=host.address, port=6379))
        self.redises[1]("REPLICAOF", self.hosts[0].address, 6379)
        t.wait_until(lambda: self.redises[1].info("replication").get("master_link_status") == "up", 20, "it is in sync")
        self.network.resolve(redis=self.hosts[0].address)
        self.target = "redis://redis:6379"

    def strike(self):
        began = time.monotonic()
        self.redises[1]("REPLICAOF", "NO", "ONE")
        self.network.resolve(redis=self.hosts[1].address)
        self.redises[0]("REPLICAOF", self.hosts[1].address, 6379)
        return began

    def write(self):
        return cli("-h", "redis", "-p", "6379", "SET", "probe", "1") == ["OK"]


def one_run(t, case):
    """Seconds until redis-cli writes again, until the front-ends are ready, and until the last client is served."""
    frontends = t.frontends(2, case.target, listen=LISTEN, settings={"map.recovery_grace": "2s"})
    ended = threading.Event()
    probe, ready, served = Moments(), [Moments() for _ in frontends], [Moments() for _ in range(CLIENTS)]
    clients = [t.connect(frontends[number % 2], Versioned) for number in range(CLIENTS)]
    work = [update_of(client, moments) for client, moments in zip(clients, served)]
    work += [ready_of(frontend, moments) for frontend, moments in zip(frontends, ready)]
    work.append(lambda: case.write() and probe.note())
    threads = [during(one, ended) for one in work]
    try:
        time.sleep(1)
        began = case.strike()
        switched = time.monotonic()
        # Beyond what anything here may take after Redis itself.
        time.sleep(5)
    finally:
        ended.set()
        for thread in threads:
            thread.join()
    for frontend in frontends:
        frontend.stop()
    return [max(one.again(began, switched) for one in those) for those in ([probe], ready, served)]


def failover(bench, t):
    """from a failure or a switch of Redis to ready, and to the last client served again, beside redis-cli"""
    findings = []
    network = t.network()  # which this process stays in: no other measure follows
    for kind in (OneRedis, ByCommand, ByDeath, ByName):
        runs = [one_run(t, kind(t, network)) for _ in range(bench.rounds)]
        bench.note("tests/bench/failover.py", {kind.__name__: runs})
        for name, index in (("ready", 1), ("the last client is served", 2)):
            more = [run[index] - run[0] for run in runs]
            findings.append(Finding(f"{kind.what}: until {name}", figure([run[index] for run in runs], "s", 2),
                                    f"redis-cli: {figure([run[0] for run in runs], 's', 2)}",
                                    f"{figure(more, 's', 2)} more", f"≤ {MOST:g} s more",
                                    sorted(more)[len(more) // 2] <= MOST, bench.commands))
    return findings


ALL = {"failover": failover}
