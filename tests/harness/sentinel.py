"""Redis under Sentinels: one master, its replicas, and the redis-server processes that watch them."""
import os

from .process import Process
from .redis import free_port
from .resp import Connection
from .waiting import wait_until

NAME = "main"


class Sentinel:
    """directory: its own. master: that Redis. quorum: how many must agree. host: its address. password: of the
    Sentinel itself. tls: a certificate and its key, with which it speaks to all."""

    def __init__(self, directory, master, quorum, down_after=1000, host="127.0.0.1", password=None, tls=None):
        self.host, self.port = host, free_port(host)
        self.password = password
        self.directory = directory
        self.socket = os.path.join(directory, "sentinel.sock")
        lines = [f"bind {self.host}", f"dir {directory}", f"unixsocket {self.socket}", "protected-mode no",
                 *self._ports(tls),
                 f"sentinel monitor {NAME} {master.host} {master.port} {quorum}",
                 f"sentinel down-after-milliseconds {NAME} {down_after}",
                 f"sentinel failover-timeout {NAME} 6000"]
        if password:
            lines.append(f"requirepass {password}")
        self.conf = os.path.join(directory, "sentinel.conf")
        with open(self.conf, "w", encoding="utf-8") as file:
            file.write("\n".join(lines) + "\n")
        self.process = None
        self.is_separated = False  # a test has separated it from the others
        self.start()

    def _ports(self, tls):
        if not tls:
            return [f"port {self.port}"]
        return ["port 0", f"tls-port {self.port}", "tls-replication yes", "tls-auth-clients no",
                f"tls-cert-file {tls[0]}", f"tls-key-file {tls[1]}", f"tls-ca-cert-file {tls[0]}"]

    def start(self):
        self.process = Process("sentinel", ["redis-server", self.conf, "--sentinel"],
                               os.path.join(self.directory, "sentinel.log"))
        wait_until(self._answers, 20, lambda: f"the Sentinel answers:\n{self.process.log}")

    def _answers(self):
        try:
            self("PING")
            return True
        except OSError:
            return False

    def connect(self):
        connection = Connection(self.socket)
        if self.password:
            connection("AUTH", self.password)
        return connection

    def __call__(self, *words):
        connection = self.connect()
        try:
            return connection(*words)
        finally:
            connection.close()

    def master(self):
        """(host, port) of the master that it names."""
        host, port = self("SENTINEL", "GET-MASTER-ADDR-BY-NAME", NAME)
        return host.decode(), int(port)

    def fields(self):
        """Of SENTINEL MASTER, as text."""
        words = [word.decode() for word in self("SENTINEL", "MASTER", NAME)]
        return dict(zip(words[::2], words[1::2]))


class Sentinels:
    """t: the Context. servers: the first is the master, the others are its replicas, in sync. all: the Sentinels."""

    def __init__(self, t, servers, sentinels):
        self.t, self.servers, self.all = t, servers, sentinels
        for sentinel in self.all:
            t.wait_until(lambda sentinel=sentinel: self._knows_all(sentinel), 20,
                         lambda sentinel=sentinel: f"it knows the others: {sentinel.fields()}")

    def _knows_all(self, sentinel):
        fields = sentinel.fields()
        return (int(fields["num-slaves"]), int(fields["num-other-sentinels"])) == \
            (len(self.servers) - 1, len(self.all) - 1) and fields["flags"] == "master"

    @property
    def url(self):
        hosts = ",".join(f"{sentinel.host}:{sentinel.port}" for sentinel in self.all)
        return f"redis-sentinel://{hosts}/{NAME}"

    def server_at(self, address):
        return next(server for server in self.servers if (server.host, server.port) == address)

    def master(self):
        """The server that all running Sentinels name, but for separated ones; None while they differ."""
        named = {sentinel.master() for sentinel in self.all if sentinel.process.running() and
                 not sentinel.process.frozen and not sentinel.is_separated}
        return self.server_at(named.pop()) if len(named) == 1 else None

    def wait_for_another(self, old, timeout=30):
        """Until all running Sentinels name another master, which it returns."""
        self.t.wait_until(lambda: self.master() not in (None, old), timeout, "the Sentinels have switched")
        return self.master()

    def fail_over(self):
        """By command; returns the new master once all name it."""
        old = self.master()
        self.all[0]("SENTINEL", "FAILOVER", NAME)
        return self.wait_for_another(old)

