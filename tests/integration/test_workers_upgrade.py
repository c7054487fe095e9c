"""SIGUSR2: the workers of a supervisor are replaced one by one, by the program that is there then."""
import os
import shutil
import signal
import socket
import time

from harness import Versioned

COUNT = 30


class Member:
    """A client that comes back at once whenever it is disconnected, and claims its entry again."""

    def __init__(self, t, address):
        self.t, self.address = t, address
        self.version = self.returns = 0
        self.longest = 0.0
        self.client = t.connect(address, Versioned)
        self.id = self.client.open(b"0")

    def update(self):
        began = time.monotonic()
        while not self._update():
            self.client.drop()
            self.client = self.t.connect(self.address, Versioned)
            self.returns += 1
            assert time.monotonic() - began < 20, "not served"
        self.longest = max(self.longest, time.monotonic() - began)

    def _update(self):
        self.version += 1
        try:
            return self.client.update(self.id, self.version, b"%d" % self.version)
        except (ConnectionError, TypeError, IndexError):
            return False


def install(t, path):
    """This build's program as a new file there."""
    shutil.copy(t.program("trackerd"), path + ".new")
    os.rename(path + ".new", path)
    return os.stat(path).st_ino


def programs(frontend):
    """The file that each worker executes."""
    return {index: os.stat(f"/proc/{pid}/exe").st_ino for index, pid in frontend.worker_pids().items()}


def start(t, redis, **options):
    path = os.path.join(t.directory("bin"), "trackerd")
    first = install(t, path)
    frontend = t.frontend(redis, program=path, workers=2, **options)
    assert set(programs(frontend).values()) == {first}
    return frontend, path


def upgrade(frontend):
    since = frontend.process.log_position()
    frontend.process.signal(signal.SIGUSR2)
    return since


def test_a_rolling_upgrade_under_load(t):
    """Nobody is reported gone, every connection is accepted, every update is taken."""
    redis = t.redis()
    frontend, path = start(t, redis, settings={"drain.time": "500ms", "client.grace": "20s"})
    watcher = t.frontend(redis)
    events = t.events(redis)
    members = [Member(t, frontend.address()) for _ in range(COUNT)]
    reader = t.connect(watcher, Versioned)
    reader.open(b"reader")
    second = install(t, path)
    former = frontend.worker_pids()
    since = upgrade(frontend)
    while not frontend.log_lines(r"\bmsg=upgraded\b", since):
        assert frontend.running()
        for member in members:
            member.update()
        status, _, text = frontend.http("/readyz")
        # A machine that stalls for seconds delays the messages by which a front-end checks Redis.
        assert status == 200 or b"events of Redis do not arrive in time" in text, text
    for member in members:
        member.update()
    assert set(programs(frontend).values()) == {second}
    assert not set(former.values()) & set(frontend.worker_pids().values())
    assert sum(member.returns for member in members) >= COUNT, "each was at a worker that was replaced"
    print(f"{sum(member.returns for member in members)} returns, the longest in "
          f"{max(member.longest for member in members):.3f} s")
    events.check()
    ids = {member.id for member in members}
    assert not [event for event in events.read() if event.op == "close" and event.id in ids]
    assert len(frontend.log_lines(r"\bmsg=ready\b")) == 1
    t.fsck(redis)


def test_one_that_cannot_start_ends_the_upgrade(t):
    redis = t.redis()
    frontend, path = start(t, redis, config="[map]\nspaces = main\n")
    client = t.connect(frontend, Versioned)
    client.open(b"x")
    before = programs(frontend)
    with open(path + ".new", "w", encoding="ascii") as file:
        file.write("#!/bin/sh\nexit 3\n")
    os.chmod(path + ".new", 0o755)
    os.rename(path + ".new", path)
    since = upgrade(frontend)
    frontend.wait_for_log(r"\bmsg=upgrade_failed\b.*\bworker=1\b", since=since)
    assert client.update(client.id, 1, b"still here")
    frontend.write_config("[map]\nspaces =\n")
    since = upgrade(frontend)
    frontend.wait_for_log(r"\bmsg=upgrade_failed\b.*map.spaces", since=since)
    os.unlink(path)
    since = upgrade(frontend)
    frontend.wait_for_log(r"\bmsg=upgrade_failed\b.*No such file", since=since)
    assert client.update(client.id, 2, b"still here")
    frontend.write_config("[map]\nspaces = main\n")
    os.kill(frontend.worker_pids()[2], signal.SIGKILL)
    frontend.wait_for_log(r"\bmsg=worker_ready\b", since=since)
    assert os.stat(f"/proc/{frontend.worker_pids()[2]}/exe").st_ino == before[2], "the program in force, not what is at its path"


def test_listeners_are_added_and_removed(t):
    redis = t.redis()
    frontend, _ = start(t, redis, listen=(), config="listen = tracker=127.0.0.1:0 web=127.0.0.1:0\n")
    tracker, web = frontend.address(), frontend.address("web")
    frontend.write_config("listen = web=127.0.0.1:0 sync=127.0.0.1:0 q3master=127.0.0.1:0\n")
    since = upgrade(frontend)
    line = frontend.wait_for_log(r"\bmsg=upgraded\b", 20, since=since)
    frontend.take_listeners(line)
    assert frontend.address("web") == web, "it keeps its port"
    for _ in range(10):
        assert frontend.accepts("web") and frontend.accepts("sync")
        with socket.socket() as client:
            assert client.connect_ex(tracker) != 0, "nobody listens there any more"
    assert frontend.address("q3master")[1] > 0


def test_settings_that_need_a_restart_are_applied(t):
    frontend, _ = start(t, t.redis(), config="[map]\nspaces = main\n")
    frontend.write_config("[map]\nspaces = main other\n")
    since = upgrade(frontend)
    frontend.wait_for_log(r"\bmsg=upgraded\b", 20, since=since)
    assert all(frontend.http("/api/v1/shard?id=x&space=other")[0] == 200 for _ in range(6))


def test_signals_during_an_upgrade(t):
    """A second SIGUSR2 is refused; SIGHUP reaches the new processes, too; SIGTERM ends all of them."""
    frontend, _ = start(t, t.redis(), settings={"drain.time": "10m"}, config="[log]\nlevel = info\n")
    clients = [t.connect(frontend, Versioned) for _ in range(20)]
    for client in clients:
        client.open(b"x")
    since = upgrade(frontend)
    frontend.wait_for_log(r"\bmsg=draining\b", since=since)
    upgrade(frontend)
    frontend.wait_for_log(r"\bmsg=upgrade_refused\b", since=since)
    frontend.write_config("[log]\nlevel = debug\n")
    frontend.reload()
    t.wait_until(lambda: len(frontend.log_lines(r"\bmsg=reloaded\b", since)) == 2, 10, "both have reloaded")
    frontend.drain()
    t.wait_until(lambda: len(frontend.log_lines(r"\bmsg=draining\b", since)) == 3, 10, "all three drain")
    frontend.drain()
    assert frontend.process.wait() == 1
    assert all(client.closed() for client in clients)
