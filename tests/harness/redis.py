"""A private redis-server."""
import os
import shutil
import socket

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
    one. environment: more of it. options: of redis.conf, by name.

    Call it with a command's words for a reply: redis("GET", key).
    """

    def __init__(self, directory, tcp=False, port=0, environment=None, **options):
        self.directory = directory
        self.socket = os.path.join(directory, "redis.sock")
        self.tcp = tcp
        self.host = tcp if isinstance(tcp, str) else "127.0.0.1"
        self.port = port
        self.environment = environment
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
            conf = [acl.write_conf(self.directory)] if acl.ENABLED else []
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
        """The connection, whatever it has to say: it may refuse PING and answer others."""
        try:
            self("PING")
        except RedisError:
            pass
        return self._connection

    def hash(self, key):
        return self._connected().hash(key)

    def keys(self, pattern="*"):
        return self._connected().keys(pattern)

    def info(self, section="everything"):
        return self._connected().info(section)

    def check_acl_log(self):
        """Under TRACKER_TEST_ACL: nobody was refused what it needs."""
        if acl.ENABLED and self.process.running() and not self.process.frozen:
            connection = self.connect()
            refused = acl.denied(connection("ACL", "LOG", "128"))
            connection.close()
            assert not refused, f"ACL LOG: {refused}"

    def _drop(self):
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def kill(self):
        """kill -9: what was not on disk is lost."""
        self._drop()
        self.process.kill()

    def stop(self):
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
        self.check_acl_log()
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
