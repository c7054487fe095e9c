"""HAProxy with a configuration file."""
import os
import socket

from .process import Process, run
from .redis import free_port
from .waiting import wait_until


class Haproxy:
    """config: the file's path. environment: for its "${NAME}"s. binds: those of them that say
    where to listen; each gets a free port of host."""

    def __init__(self, directory, config, environment, binds, host="127.0.0.1"):
        for _ in range(10):
            self.binds = {name: (host, free_port(host)) for name in binds}
            values = {**environment, **{name: f"{host}:{port}" for name, (host, port) in self.binds.items()}}
            self.process = Process("haproxy", ["haproxy", "-db", "-f", config],
                                   os.path.join(directory, "haproxy.log"), values)
            wait_until(lambda: self._accepts() or not self.process.running(), 10, "haproxy listens")
            if self.process.running():
                return
            assert "cannot bind" in self.process.log, self.process.log
        raise AssertionError("no ports for haproxy")

    def _accepts(self):
        try:
            for address in self.binds.values():
                socket.create_connection(address, timeout=5).close()
            return True
        except OSError:
            return False

    def address(self, bind):
        return self.binds[bind]

    @staticmethod
    def check(config, environment):
        """haproxy -c: the complaint, or an empty text."""
        done = run(["haproxy", "-c", "-q", "-f", config], environment=environment, check=False)
        return "" if done.returncode == 0 else done.stdout + done.stderr or "refused"

    def stop(self):
        self.process.kill()
