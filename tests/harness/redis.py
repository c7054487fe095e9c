"""A private redis-server."""
import os
import shutil
import socket
import threading

from . import acl
from .process import Process
from .resp import Connection, RedisError, Subscriber
from .waiting import wait_until


def free_port(host="127.0.0.1"):
    """A TCP port of that address that was free a moment ago: for programs that cannot choose one
    themselves. Who uses it must be ready to try another."""
    with socket.socket() as probe:
        probe.bind((host, 0))
        return probe.getsockname()[1]


class Redis:
    """directory: its own. tcp: on a free port of 127.0.0.1 too, or of the address that it is; port: on that
    one. environment: more of it. prefixes: values of redis.prefix beside the usual one, which the documented
    users may use. options: of redis.conf, by name.

    Call it with a command's words for a reply: redis("GET", key).
    """

    def __init__(self, directory, tcp=False, port=0, environment=None, prefixes=(), **options):
        self.directory = directory
        self.socket = os.path.join(directory, "redis.sock")
        self.tcp = tcp
        self.host = tcp if isinstance(tcp, str) else "127.0.0.1"
        self.port = port
        self.environment = environment
        self.prefixes = prefixes
        self.expected_refusals = set()
        self.watches_refusals = acl.ENABLED
        self.refusals = set()
        self.options = {"save": "", "appendonly": "no", "maxmemory-policy": "noeviction",
                        "enable-debug-command": "local", "busy-reply-threshold": "5000",
                        "dbfilename": "dump.rdb"}
        if self.host != "127.0.0.1":
            self.options["protected-mode"] = "no"
        self.options.update({key.replace("_", "-"): value for key, value in options.items()})
        self.process = None
        self._connection = None
        self.start()

    @property
    def url(self):
        return f"redis://{self.host}:{self.port}" if self.tcp else f"unix:{self.socket}"

    def start(self, **options):
        """Starts it (again), with further options from now on. Returns when it answers, even when
        the answer is that it is loading."""
        self.options.update({key.replace("_", "-"): value for key, value in options.items()})
        for _ in range(10):
            if self.tcp and not self.port:
                self.port = free_port(self.host)
            conf = [acl.write_conf(self.directory, self.prefixes)] if acl.ENABLED else []
            acl.forget_sent(*self._addresses())
            arguments = ["redis-server", *conf, "--port", str(self.port), "--bind", self.host,
                         "--unixsocket", self.socket, "--dir", self.directory]
            for key, value in self.options.items():
                arguments += ["--" + key, *([value] if value == "" else str(value).split(" "))]
            self.process = Process("redis", arguments, os.path.join(self.directory, "redis.log"),
                                   self.environment)
            if wait_until(lambda: self._answers() or not self.process.running(), 20,
                          lambda: f"redis-server answers:\n{self.process.log}") and self.process.running():
                return
            assert "Address already in use" in self.process.log, self.process.log
            self.port = 0
        raise AssertionError("no port for redis-server")

    def _answers(self):
        try:
            connection = Connection(self.socket)
            try:
                connection("PING")
            except RedisError:
                pass
            connection.close()
            return True
        except OSError:
            return False

    def connect(self):
        """A new connection."""
        return Connection(self.socket)

    def answer_requests(self, node, text):
        """Is a front-end of that id which answers each request with this text, until the connection ends."""
        listener, speaker = self.subscribe("tracker:node:" + node), self.connect()

        def answer():
            try:
                while True:
                    for _, message in listener.messages(60):
                        _, channel, number, *_ = message.split(b" ")
                        speaker("PUBLISH", channel, number + b" " + text)
            except (OSError, ValueError):
                pass
        threading.Thread(target=answer, daemon=True).start()

    def subscribe(self, *channels):
        return Subscriber(self.socket, *channels)

    def __call__(self, *words):
        if self._connection is None:
            self._connection = self.connect()
        try:
            return self._connection(*words)
        except OSError:
            self._drop()
            raise

    def _connected(self):
        """The connection, whatever it has to say: it may refuse PING and answer others. A new one when Redis has
        closed it, as a Sentinel makes it do."""
        for is_last in (False, True):
            try:
                self("PING")
            except RedisError:
                pass
            except OSError:
                if is_last:
                    raise
                continue
            return self._connection
        return None

    def hash(self, key):
        return self._connected().hash(key)

    def keys(self, pattern="*"):
        return self._connected().keys(pattern)

    def info(self, section="everything"):
        return self._connected().info(section)

    def wait_synced(self):
        """As a replica: it has all that its master has."""
        wait_until(lambda: self.info("replication")["master_link_status"] == "up", 20, "the replica is in sync")

    def replicate(self, master):
        """Is its replica from now on; returns when it is in sync."""
        self("REPLICAOF", master.host, master.port)
        self.wait_synced()

    def _addresses(self):
        return self.socket, (self.host, self.port)

    def expect_refusals(self, *entries):
        """"user: command, key or channel" that the test makes Redis refuse: each must be in the ACL LOG at the
        end, and nothing else may be; so even without TRACKER_TEST_ACL."""
        if not self.watches_refusals:
            connection = self.connect()
            if "requirepass" in self.options:
                connection("AUTH", self.options["requirepass"])
            connection("ACL", "SETUSER", *acl.READER_RULES)
            connection.close()
            self.watches_refusals = True
        self.expected_refusals.update(entries)

    def check_acl_log(self, ends=False):
        """What was refused was announced; ends: and all of that was refused."""
        if not self.watches_refusals:
            return
        if self.process.running() and not self.process.frozen:
            self._read_acl_log()
        assert self.refusals <= self.expected_refusals, f"ACL LOG: {self.refusals - self.expected_refusals}"
        if ends:
            assert self.refusals == self.expected_refusals, f"not refused: {self.expected_refusals - self.refusals}"

    def _read_acl_log(self):
        connection = self.connect()
        connection("AUTH", *acl.READER)
        self.refusals |= acl.refusals(connection("ACL", "LOG", "128"))
        if acl.USED:
            used = acl.used(connection.info("commandstats"), *self._addresses())
            with open(acl.USED, "a", encoding="ascii") as file:
                file.write(" ".join(sorted(used)) + "\n")
        connection.close()

    def _drop(self):
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def kill(self):
        """kill -9: what was not on disk is lost."""
        self.check_acl_log()
        self._drop()
        self.process.kill()

    def stop(self):
        self.check_acl_log()
        self._drop()
        if self.process.running():
            self.process.thaw()
            self.process.child.terminate()
            self.process.wait()

    def save(self, name="dump.rdb"):
        """Writes the data to disk now, and under a name of its own for restart(rdb=name)."""
        self("SAVE")
        if name != "dump.rdb":
            shutil.copy(os.path.join(self.directory, "dump.rdb"), os.path.join(self.directory, name))

    def restart(self, rdb=None, **options):
        """Kills it if it runs and starts it again: empty, or with what save() wrote under rdb."""
        self.kill()
        dump = os.path.join(self.directory, "dump.rdb")
        if rdb is None:
            if os.path.exists(dump):
                os.unlink(dump)
        elif rdb != "dump.rdb":
            shutil.copy(os.path.join(self.directory, rdb), dump)
        self.start(**options)

    def freeze(self):
        self.process.freeze()

    def thaw(self):
        self.process.thaw()
