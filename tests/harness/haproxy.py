"""HAProxy with a configuration file."""
import contextlib
import os
import socket

from .process import Process, run
from .redis import free_port
from .waiting import wait_until


class Haproxy:
    """config: the file's path. environment: for its "${NAME}"s. binds: those of them that say
    where to listen; each gets a free port of host. wrapper: words before the command."""

    def __init__(self, directory, config, environment, binds, host="127.0.0.1", wrapper=()):
        for _ in range(10):
            self.binds = {name: (host, free_port(host)) for name in binds}
            values = {**environment, **{name: f"{host}:{port}" for name, (host, port) in self.binds.items()}}
            # -dR: it refuses a port that another test has been given meanwhile, or that it has itself.
            self.process = Process("haproxy", [*wrapper, "haproxy", "-db", "-dR", "-f", config],
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
                with socket.create_connection(address, timeout=5) as connection:
                    # Where nothing listens yet it may have reached itself, and haproxy cannot listen there.
                    if connection.getsockname() == connection.getpeername():
                        return False
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


BINDS = ("TRACKER_BIND", "WEB_BIND", "INTERNAL_BIND", "SYNC_BIND")


def listeners_behind(address, tracker=0, web=0, public=0, sync=0, more=""):
    """A front-end's listeners as docker/docker-compose.yml has them, on those ports; more: options of those
    for WebSockets, as ",keepalive=0"."""
    return (f"tracker={address}:{tracker},proxy=true", f"web={address}:{web}{more}",
            f"web={address}:{public},proxy=true,admin=off{more}", f"sync={address}:{sync},proxy=true{more}")


def node_environment(name, host, tracker, web, public, sync):
    """What docker/haproxy.cfg reads of the front-end NAME."""
    return {f"NODE_{name}_HOST": host, f"NODE_{name}_PORT": str(tracker), f"NODE_{name}_WEB_PORT": str(web),
            f"NODE_{name}_PUBLIC_PORT": str(public), f"NODE_{name}_SYNC_PORT": str(sync)}


def ports_behind(frontend):
    """The ports that a front-end with such listeners has."""
    places = {"tracker": ("tracker", 0), "web": ("web", 0), "public": ("web", 1), "sync": ("sync", 0)}
    return {name: frontend.address(*place)[1] for name, place in places.items()}


def without(t, *lines):
    """A copy of docker/haproxy.cfg without lines: to see what they do."""
    with open(t.path("docker/haproxy.cfg"), encoding="utf-8") as file:
        text = file.read()
    for line in lines:
        assert f"    {line}\n" in text, line
        text = text.replace(f"    {line}\n", "")
    path = os.path.join(t.directory("config"), "haproxy.cfg")
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)
    return path


def behind_haproxy(t, redis, hosts=None, proxy_host=None, config=None, changed=None, **options):
    """docker/haproxy.cfg, the very file, before three front-ends: ([front-ends], Haproxy). On loopback, or
    the front-ends on these three hosts and HAProxy on that one; see Network. config: another file. changed: what
    a function of the front-ends says of the environment that HAProxy gets."""
    hosts = hosts or [None] * 3
    frontends, environment = [], {}
    for name, host in zip("abc", hosts):
        with host or contextlib.nullcontext():
            listen = listeners_behind(host.address if host else "127.0.0.1")
            frontends.append(t.frontend(redis, node=name, listen=listen, wait=False, **options))
    for name, frontend in zip("ABC", frontends):
        frontend.wait_ready()
        environment.update(node_environment(name, frontend.address()[0], **ports_behind(frontend)))
    environment.update(changed(frontends) if changed else {})
    with proxy_host or contextlib.nullcontext():
        where = {"host": proxy_host.address} if proxy_host else {}
        proxy = t.haproxy(config or t.path("docker/haproxy.cfg"), environment, BINDS, **where)
    return frontends, proxy


def restart_behind(t, frontend, host=None, wait=True, **options):
    """Another front-end in the place of one of behind_haproxy() that has ended."""
    with host or contextlib.nullcontext():
        listen = listeners_behind(frontend.address()[0], **ports_behind(frontend))
        return t.frontend(frontend.redis, node=frontend.node, listen=listen, wait=wait, **options)
