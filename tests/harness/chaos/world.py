"""The world of a run: hosts, two Redis servers of which one is the master, perhaps three Sentinels, three
front-ends, HAProxy before them, and what can be done to each. Nothing here knows of truth or oracle.
"""
import collections
import contextlib
import os
import shutil
import socket

from .. import haproxy
from ..clock import Clock
from ..process import logfmt
from ..redis import Redis
from ..sentinel import Sentinels
from .clients import HAPROXY

LETTERS = ("a", "b", "c")
SENTINELS = ("first", "second", "third")
PORTS = {"tracker": 6790, "get": 6791, "web": 8080, "sync": 8080}
# Those that HAProxy connects to, and its own: which client goes to which bind.
PROXIED = {"tracker": 6789, "web": 8080, "public": 8081, "sync": 13372}
BINDS = {"tracker": "TRACKER_BIND", "sync": "SYNC_BIND", "web": "WEB_BIND"}
REDIS_PORT = 6379

PROXY = """
global
    stats socket {socket} mode 600 level admin
    log stdout format raw local0
defaults
    mode tcp
    log global
    option tcplog
    timeout connect 2s
    timeout client 24h
    timeout server 24h
listen redis
    bind {address}:6379
    server one {one}:6379
    server two {two}:6379 disabled
"""


def listeners(address):
    # Only pings show that the silent clients of WebSockets are there.
    return (*haproxy.listeners_behind(address, **PROXIED, more=",keepalive=0"), f"tracker={address}:6790",
            f"tracker={address}:6791,original=2014,push=off")


class World:
    """by: how front-ends find the master, "proxy", "name" or "sentinel". settings: of the front-ends. clocks: whether clocks
    can be shifted. release: of the front-ends at the beginning."""

    def __init__(self, t, by, partitions, settings, clocks=True, release=None):
        self.t, self.by, self.partitions, self.settings = t, by, partitions, settings
        self.clocks = clocks
        self.letters = LETTERS
        self.releases = dict.fromkeys(LETTERS, release)
        self.network = t.network()
        # The clients have two hosts: those of one of them can vanish.
        names = ("one", "two", "proxy", *LETTERS, "haproxy", "clients", "vanishing",
                 *(SENTINELS if by == "sentinel" else ()))
        self.hosts = {name: self.network.host(name) for name in names}
        self.clients_host = self.hosts["clients"]
        self.directories = {}
        self.shifted = {}
        self.redises = {name: self._start_redis(name) for name in ("one", "two")}
        self.master = "one"
        self.replicate("two", "one")
        self.sentinels = None
        self._lead_to_master()
        self.frozen = set()  # names of the frozen
        self.split = False
        self.cuts = collections.Counter()
        self.frontends = {}
        self.ids = {}
        for letter in LETTERS:
            self.start_frontend(letter)
        for letter in LETTERS:
            self.frontends[letter].wait_ready(30)
        self._start_haproxy()
        self._end_hold()

    # Starting.

    def _start_redis(self, name):
        directory = self.t.directory("redis")
        self.network.disk(directory, 8 << 20)
        with self.hosts[name]:
            redis = Redis(directory, tcp=self.hosts[name].address, port=REDIS_PORT, environment=self._environment(name),
                          save="3600 1000000", repl_diskless_sync_delay=0, repl_timeout=5)
        self.t.end_redis(redis)
        return redis

    def _lead_to_master(self):
        """Starts what front-ends find it by."""
        if self.by == "name":
            self.network.resolve(redis=self.hosts["one"].address)
            self.url = f"redis://redis:{REDIS_PORT}"
        elif self.by == "sentinel":
            self._start_sentinels()
            self.url = self.sentinels.url
        else:
            self._start_proxy()
            self.url = f"redis://{self.hosts['proxy'].address}:{REDIS_PORT}"

    def _start_sentinels(self):
        self.t.wait_until(lambda: self.is_replicated("two"), 20, "the replica is in sync")
        started = []
        for name in SENTINELS:
            with self.hosts[name]:
                started.append(self.t.sentinel(self.redises["one"], 2, host=self.hosts[name].address))
        self.sentinels = Sentinels(self.t, list(self.redises.values()), started)

    def _start_proxy(self):
        directory = self.t.directory("proxy")
        self.control = os.path.join(directory, "control")
        config = os.path.join(directory, "haproxy.cfg")
        with open(config, "w", encoding="ascii") as file:
            file.write(PROXY.format(socket=self.control, address=self.hosts["proxy"].address,
                                    one=self.hosts["one"].address, two=self.hosts["two"].address))
        with self.hosts["proxy"]:
            self.proxy = self.t.start("redis proxy", ["haproxy", "-db", "-f", config])
        self.t.wait_until(lambda: os.path.exists(self.control), 10, "the proxy of Redis is there")

    def _environment(self, name):
        """Of what is started under that name. A front-end that is started again has the clock that it had."""
        if not self.clocks:
            return {}
        if name not in self.shifted:
            self.shifted[name] = Clock(self.t)
        return self.shifted[name].environment

    def start_frontend(self, letter):
        """Without waiting until it is ready."""
        address = self.hosts[letter].address
        with self.hosts[letter]:
            self.frontends[letter] = self.t.frontend(
                self.url, node=letter, listen=listeners(address), settings=self.settings, wait=False,
                release=self.releases[letter], environment=self._environment(letter))

    def _start_haproxy(self):
        environment = {}
        for name, letter in zip("ABC", LETTERS):
            environment.update(haproxy.node_environment(name, self.hosts[letter].address, **PROXIED))
        host = self.hosts["haproxy"]
        with host:
            self.haproxy = self.t.haproxy(self.t.path("docker/haproxy.cfg"), environment, haproxy.BINDS,
                                          host=host.address)

    def _end_hold(self):
        """The recovery grace that a new Redis begins with."""
        for part in range(self.partitions):
            self.redises["one"]("HSET", b"tracker:{main/%d/%d}:head" % (self.partitions, part), "hold_until", 0)

    def newest_program(self, name):
        """Of the newest release that any front-end has."""
        return self.t.program(name, "new" if "new" in self.releases.values() else None)

    # Where things are.

    def address(self, via, kind):
        if via == HAPROXY:
            return self.haproxy.address(BINDS[kind])
        return self.hosts[via].address, PORTS[kind]

    def redis(self):
        return self.redises[self.master]

    def readable_redis(self):
        """The master, while it answers and there is only one."""
        if self.split or self.frozen & {"one", "two"} or not self.redis().process.running():
            return None
        return self.redis()

    def formats(self):
        """In which the partitions are stored."""
        return {int(self.redis()("HGET", b"tracker:{main/%d/%d}:head" % (self.partitions, part), "format") or 0)
                for part in range(self.partitions)}

    def node_ids(self):
        """A front-end's id, as Redis has it, -> its letter; of all that ever were."""
        for letter, frontend in self.frontends.items():
            if frontend.pid not in self.ids:
                lines = frontend.log_lines(r"\bmsg=ready\b")
                if lines:
                    self.ids[frontend.pid] = (logfmt(lines[0])["id"].encode(), letter)
        return dict(self.ids.values())

    def is_ready(self, letter):
        frontend = self.frontends[letter]
        if not frontend.listeners:
            if not frontend.log_lines(r"\bmsg=ready\b"):
                return False
            frontend.wait_ready()
        try:
            return frontend.http("/readyz", timeout=2)[0] == 200
        except (OSError, ValueError):
            return False

    # Redis.

    def replicate(self, name, of):
        self.redises[name]("REPLICAOF", self.hosts[of].address, REDIS_PORT)

    def _replication(self, name):
        """{} when it does not answer, or a Sentinel has just made it close its connections."""
        try:
            return self.redises[name].info("replication")
        except OSError:
            return {}

    def is_replicated(self, name):
        info = self._replication(name)
        return info.get("role") == "slave" and info.get("master_link_status") == "up" and (
            info.get("master_sync_in_progress") == "0")

    def ask_proxy(self, *lines):
        with socket.socket(socket.AF_UNIX) as control:
            control.settimeout(10)
            control.connect(self.control)
            control.sendall((";".join(lines) + "\n").encode())
            answer = b""
            while True:
                data = control.recv(4096)
                if not data:
                    break
                answer += data
        assert not answer.strip(), answer

    def point_to(self, name):
        """New connections of front-ends go to that Redis; those that are there stay."""
        other = "two" if name == "one" else "one"
        if self.by == "name":
            self.network.resolve(redis=self.hosts[name].address)
        else:
            self.ask_proxy(f"set server redis/{other} state maint", f"set server redis/{name} state ready")

    def master_by_sentinels(self):
        """The name of the server that all of them name that are not separated, if it is a master by now; else None."""
        server = self.sentinels.master()
        for name, redis in self.redises.items():
            if redis is server and redis.process.running() and not redis.process.frozen and (
                    self._replication(name).get("role") == "master"):
                return name
        return None

    def separate_sentinels(self, name, on=True):
        """From that Redis: no packets."""
        for sentinel in SENTINELS:
            (self.network.drop if on else self.network.restore)(self.hosts[sentinel], self.hosts[name])

    def separate_sentinel(self, name, on=True):
        """From everything. What it knows does not count meanwhile."""
        self.sentinels.all[SENTINELS.index(name)].is_separated = on
        self.vanish(name, on)

    def separate_replica(self, on=True):
        (self.network.drop if on else self.network.restore)(self.hosts["one"], self.hosts["two"])

    def cut_sessions(self, name, kind=None):
        """Those of front-ends with that Redis; kind: "normal" or "pubsub" ones."""
        redis = self.redises[name]
        for one in (kind,) if kind else ("normal", "pubsub"):
            redis("CLIENT", "KILL", "TYPE", one, "SKIPME", "yes")

    def stop_redis(self, name):
        self.redises[name].kill()

    def has_saved(self, name, rdb):
        return os.path.exists(os.path.join(self.redises[name].directory, rdb))

    def restart_redis(self, name, rdb=None):
        """rdb: what it has then, as saved under that name; None: nothing."""
        with self.hosts[name]:
            self.redises[name].restart(rdb=rdb)

    def fill_disk(self, name):
        redis = self.redises[name]
        with contextlib.suppress(OSError), open(os.path.join(redis.directory, "full"), "wb", buffering=0) as file:
            while True:
                file.write(bytes(4096))
        with contextlib.suppress(Exception):
            redis("BGSAVE")

    def free_disk(self, name):
        redis = self.redises[name]
        os.unlink(os.path.join(redis.directory, "full"))
        redis("BGSAVE")

    def disk_free(self, name):
        return shutil.disk_usage(self.redises[name].directory).free

    # Clocks.

    def shift(self, seconds, *names):
        for name in names:
            self.shifted[name].shift(seconds)

    # The network.

    def redis_hosts(self):
        return [self.hosts[name] for name in (("proxy",) if self.by == "proxy" else ("one", "two"))]

    def cut_off(self, letter, on=True):
        """Packets between a front-end and Redis."""
        before = self.cuts[letter]
        self.cuts[letter] += 1 if on else -1
        # Two faults may cut the same at a time.
        if bool(before) != bool(self.cuts[letter]):
            for host in self.redis_hosts():
                (self.network.drop if on else self.network.restore)(self.hosts[letter], host)

    def vanish(self, name, on=True):
        before = self.cuts["vanish", name]
        self.cuts["vanish", name] += 1 if on else -1
        if bool(before) == bool(self.cuts["vanish", name]):
            return
        (self.network.drop if on else self.network.restore)(self.hosts[name])

    def limit(self, name, rate):
        self.network.limit(self.hosts[name], rate)
