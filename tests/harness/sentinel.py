"""Redis under Sentinels: one master, its replicas, and the redis-server processes that watch them."""
import os

from .process import Process
from .redis import free_port
from .resp import Connection
from .waiting import wait_until

NAME = "main"


class Sentinel:
    """directory: its own. quorum: how many must agree. password: of the Sentinel itself. tls: a certificate
    and its key, with which it speaks to all; it is then not asked by the tests."""

    def __init__(self, directory, master, quorum, down_after=1000, password=None, tls=None):
        self.host, self.port = "127.0.0.1", free_port()
        self.password = password
        self.directory = directory
        lines = [f"bind {self.host}", f"dir {directory}",
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
        self.tls = tls
        self.start()

    def _ports(self, tls):
        if not tls:
            return [f"port {self.port}"]
        return ["port 0", f"tls-port {self.port}", "tls-replication yes", "tls-auth-clients no",
                f"tls-cert-file {tls[0]}", f"tls-key-file {tls[1]}", f"tls-ca-cert-file {tls[0]}"]

    def start(self):
        self.process = Process("sentinel", ["redis-server", self.conf, "--sentinel"],
                               os.path.join(self.directory, "sentinel.log"))
        if self.tls:
            return
        wait_until(self._answers, 20, lambda: f"the Sentinel answers:\n{self.process.log}")

    def _answers(self):
        try:
            self("PING")
            return True
        except OSError:
            return False

    def connect(self):
        connection = Connection((self.host, self.port))
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
    """t: the Context. servers: the first is the master; all are in sync, and known to all Sentinels."""

    def __init__(self, t, replicas=1, count=3, **options):
        self.t = t
        self.servers = [t.redis(tcp=True) for _ in range(1 + replicas)]
        master = self.servers[0]
        for replica in self.servers[1:]:
            replica("REPLICAOF", master.host, master.port)
            t.wait_until(lambda replica=replica: replica.info("replication")["master_link_status"] == "up", 20,
                         "the replica is in sync")
        self.all = [t.sentinel(master, count // 2 + 1, **options) for _ in range(count)]
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
        """The server that most Sentinels name."""
        named = [sentinel.master() for sentinel in self.all if sentinel.process.running() and
                 not sentinel.process.frozen]
        return self.server_at(max(set(named), key=named.count))

    def wait_for_another(self, old, timeout=30):
        """Until all running Sentinels name another master, which it returns."""
        def agreed():
            named = {sentinel.master() for sentinel in self.all if sentinel.process.running() and
                     not sentinel.process.frozen}
            return len(named) == 1 and named != {(old.host, old.port)}
        self.t.wait_until(agreed, timeout, "the Sentinels have switched")
        return self.master()

    def fail_over(self):
        """By command; returns the new master once all name it."""
        old = self.master()
        self.all[0]("SENTINEL", "FAILOVER", NAME)
        return self.wait_for_another(old)

