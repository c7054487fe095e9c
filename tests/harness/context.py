"""What a test gets: it starts servers and clients, and takes them down in reverse order."""
import contextlib
import functools
import json
import os
import shutil
import sys
import tempfile

from .bulk import BulkClients
from .events import EventLog
from .frontend import LOOPBACK, Frontend
from .haproxy import Haproxy
from .links import Links
from .namespaces import Network
from .process import Process, run
from .proxy import Proxy
from .redis import Redis
from .sentinel import Sentinel, Sentinels
from .tracker import Client, Versioned
from .waiting import wait_until

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


class Context:
    def __init__(self, build):
        self.root = ROOT
        self.build = build
        self.stack = contextlib.ExitStack()
        self.processes = []
        self.failed = False
        self._directory = None
        self._count = 0

    def __enter__(self):
        return self

    def __exit__(self, kind, error, trace):
        self.failed = self.failed or kind is not None
        try:
            self.stack.__exit__(kind, error, trace)
        except BaseException:
            self.failed = True
            raise
        finally:
            if self.failed:
                self._show_logs()
            if self._directory:
                shutil.rmtree(self._directory, ignore_errors=True)

    def _show_logs(self):
        for process in self.processes:
            lines = process.log.splitlines()
            print(f"--- {process.name}, pid {process.pid}, exit {process.child.poll()}: "
                  f"{' '.join(process.arguments)}", file=sys.stderr)
            if len(lines) > 300:
                print(f"... {len(lines) - 300} lines left out", file=sys.stderr)
            print("\n".join(lines[-300:]), file=sys.stderr)

    # Places.

    def path(self, *parts):
        """A file of the source tree."""
        return os.path.join(self.root, *parts)

    def program(self, name, release=None):
        """release: "old" or "new", see release(); None: of this build."""
        return os.path.join(self.release(release) if release else self.build, "bin", name)

    def release(self, which):
        """The build of a release of two adjacent ones: this one and a later one, which also understands a format 2; or,
        if TRACKER_OLD_BUILD is an earlier release's build, that one and this."""
        old = os.environ.get("TRACKER_OLD_BUILD")
        builds = {"old": old, "new": self.build} if old else {
            "old": self.build, "new": os.path.join(self.build, "test", "next")}
        return builds[which]

    @functools.cached_property
    def sanitized(self):
        """Whether the programs are built with the address sanitizer."""
        with open(self.program("trackerd"), "rb") as file:
            return b"__asan_init" in file.read()

    def allowed_memory(self, size):
        """What a process may grow by where size is meant: the sanitizer surrounds each allocation
        with space, and keeps what was freed for a while."""
        return size * 16 + (256 << 20) if self.sanitized else size

    def directory(self, name="dir"):
        """A fresh directory, gone after the test. Short, as unix sockets' paths must be."""
        if self._directory is None:
            self._directory = tempfile.mkdtemp(prefix="trk")
        self._count += 1
        path = os.path.join(self._directory, f"{name}{self._count}")
        os.mkdir(path)
        return path

    # Servers. Each is stopped at the end; a front-end must end cleanly then.

    def _stop_at_end(self, process, stop):
        self.processes.append(process)

        def at_end(kind, _error, _trace):
            if kind is not None or self.failed:
                process.kill()
                return
            try:
                stop()
            finally:
                process.kill()
        self.stack.push(at_end)

    def redis(self, **options):
        redis = Redis(self.directory("redis"), **options)
        self.end_redis(redis)
        return redis

    def sentinel(self, master, quorum, **options):
        """One that watches that Redis."""
        sentinel = Sentinel(self.directory("sentinel"), master, quorum, **options)
        self.stack.callback(lambda: sentinel.process.kill())  # it may be started again
        return sentinel

    def sentinels(self, replicas=1, count=3, **options):
        """A master, its replicas and so many Sentinels; see Sentinels."""
        servers = [self.redis(tcp=True) for _ in range(1 + replicas)]
        master = servers[0]
        for replica in servers[1:]:
            replica.replicate(master)
        return Sentinels(self, servers, [self.sentinel(master, count // 2 + 1, **options) for _ in range(count)])

    def end_redis(self, redis):
        """At the end of the test: it is killed, when its ACL LOG has been read."""
        def at_end(kind, *_):
            try:
                if kind is None:
                    redis.process.thaw()
                    redis.check_acl_log(ends=True)
            finally:
                redis.process.kill()
        self.stack.push(at_end)

    def frontend(self, redis=None, node=None, listen=LOOPBACK, release=None, program=None, **options):
        """See Frontend; release: as of program(), unless there is a program of the test's own."""
        frontend = Frontend(program or self.program("trackerd", release), self.directory("node"), redis, node, listen,
                            wait=False, **{k: v for k, v in options.items() if k not in ("wait", "timeout")})

        def stop():
            # One that the test has ended itself has been judged there.
            if frontend.running():
                frontend.stop()
        self._stop_at_end(frontend.process, stop)
        if options.get("wait", True):
            frontend.wait_ready(options.get("timeout", 20))
        return frontend

    def frontends(self, count, redis, **options):
        """Several on one Redis, named a, b, c…; started together."""
        options.setdefault("listen", LOOPBACK)
        started = [self.frontend(redis, node=chr(97 + index), wait=False, **options)
                   for index in range(count)]
        for frontend in started:
            frontend.wait_ready()
        return started

    def network(self):
        """Hosts of the test's own; see Network. To be called before anything else."""
        network = Network()
        self.stack.callback(network.close)
        return network

    def haproxy(self, config, environment, binds, **options):
        """See Haproxy."""
        haproxy = Haproxy(self.directory("haproxy"), config, environment, binds, **options)
        self._stop_at_end(haproxy.process, haproxy.stop)
        return haproxy

    def links(self, redis, **options):
        """Between a front-end and that Redis; see Links."""
        links = Links(redis.socket, **options)
        self.stack.callback(links.close)
        return links

    def proxy(self, target):
        """See Proxy. In tests with a network, made `with` the host that it is on."""
        proxy = Proxy(target)
        self.stack.callback(proxy.stop)
        return proxy

    def start(self, name, arguments, environment=None, cwd=None):
        """Any other program; killed at the end."""
        log = os.path.join(self.directory("run"), "log")
        process = Process(name, arguments, log, environment, cwd)
        self._stop_at_end(process, process.kill)
        return process

    # Clients.

    def connect(self, server, dialect=Versioned, kind="tracker", index=0, **options):
        """A client of that dialect, connected to a front-end or to an address."""
        address = server.address(kind, index) if isinstance(server, Frontend) else server
        client = dialect(address, **options)
        self.stack.callback(client.drop)
        return client

    def raw(self, server, **options):
        """A connection without a dialect."""
        return self.connect(server, Client, **options)

    def bulk(self, server, count, **options):
        address = server.address() if isinstance(server, Frontend) else server
        clients = BulkClients(address, count, **options)
        self.stack.callback(clients.drop)
        return clients

    def events(self, redis, **options):
        """Listens to the map's events from now on; see EventLog."""
        log = EventLog(redis, **options)
        self.stack.callback(log.close)
        return log

    # Programs and oracles.

    def run(self, *arguments, **options):
        """A program of build/bin (by its name) or of the system to its end; see process.run."""
        program = self.program(arguments[0])
        if os.path.exists(program):
            arguments = (program, *arguments[1:])
        return run(list(arguments), **options)

    def ctl(self, redis, *arguments, **options):
        """trackerctl on that Redis."""
        return self.run("trackerctl", "--redis", redis.url, *arguments, **options)

    def ctl_json(self, redis, *arguments, **options):
        return json.loads(self.ctl(redis, "--json", *arguments, **options).stdout)

    def fsck(self, redis, timeout=15):
        """The invariants hold, at once or within the time of some sweeps."""
        last = []

        def clean():
            last[:] = [self.ctl(redis, "fsck", check=False)]
            return last[0].returncode == 0
        wait_until(clean, timeout, lambda: f"fsck is clean: {last[0].stdout}{last[0].stderr}", 0.3)

    wait_until = staticmethod(wait_until)
