"""HAProxy with a configuration file."""
import contextlib
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

    def wait_for_state(self, server, state, timeout=15):
        """Until its log says that the server ("backend/name") is "UP", "DOWN" or "stopping"."""
        self.process.wait_for_log(rf"Server {server} is {state}\b", timeout)

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


def behind_haproxy(t, redis, hosts=None, proxy_host=None, **options):
    """docker/haproxy.cfg, the very file, before three front-ends: ([front-ends], Haproxy). On loopback, or
    the front-ends on these three hosts and HAProxy on that one; see Network."""
    hosts = hosts or [None] * 3
    frontends, environment = [], {}
    for name, host in zip("abc", hosts):
        with host or contextlib.nullcontext():
            address = host.address if host else "127.0.0.1"
            listen = (f"tracker={address}:0,proxy=true", f"web={address}:0", f"sync={address}:0,proxy=true")
            frontends.append(t.frontend(redis, node=name, listen=listen, wait=False, **options))
    for name, frontend in zip("ABC", frontends):
        frontend.wait_ready()
        environment[f"NODE_{name}_HOST"], port = frontend.address("tracker")
        environment[f"NODE_{name}_PORT"] = str(port)
        environment[f"NODE_{name}_WEB_PORT"] = str(frontend.address("web")[1])
        environment[f"NODE_{name}_SYNC_PORT"] = str(frontend.address("sync")[1])
    with proxy_host or contextlib.nullcontext():
        where = {"host": proxy_host.address} if proxy_host else {}
        proxy = t.haproxy(t.path("docker/haproxy.cfg"), environment, ("TRACKER_BIND", "WEB_BIND", "SYNC_BIND"), **where)
    return frontends, proxy
