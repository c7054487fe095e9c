"""SIGTERM: not ready, nothing new, the sessions over a while, their entries left for adoption."""
import os
import time

from harness import Versioned, logfmt


def test_drain(t):
    redis = t.redis()
    frontend, other = t.frontends(2, redis, settings={"drain.time": "2s"})
    clients = [t.connect(frontend, Versioned) for _ in range(20)]
    ids = [client.open(b"%d" % index) for index, client in enumerate(clients)]
    kept = t.raw(frontend, kind="web")
    started = time.monotonic()
    frontend.drain()
    t.wait_until(lambda: not frontend.accepts(), 5, "it stops accepting")
    kept.send(b"GET /readyz HTTP/1.1\r\nHost: x\r\n\r\n")
    assert kept.take(12) == b"HTTP/1.1 503", "not ready while it drains"
    open_at = []
    while not all(client is None for client in clients):
        for index, client in enumerate(clients):
            if client and client.closed(0.001):
                clients[index] = None
                open_at.append(time.monotonic() - started)
    frontend.stop()
    assert open_at[-1] - open_at[0] > 0.5, f"all at once: {open_at}"
    for index, id in enumerate(ids):
        assert redis("HGET", b"tracker:{main/1/0}:client:" + id, "state") == b"%d" % index
        assert redis("ZSCORE", "tracker:{main/1/0}:deadlines", b"c:" + id) is not None
    heir = t.connect(other, Versioned)
    assert heir.update(ids[0], 1, b"adopted")
    t.fsck(redis)


def test_a_second_signal_ends_at_once(t):
    frontend = t.frontend(t.redis(), settings={"drain.time": "10m"})
    client = t.connect(frontend, Versioned)
    client.open(b"x")
    frontend.drain()
    t.wait_until(lambda: not frontend.accepts(), 5, "it stops accepting")
    assert frontend.running()
    frontend.drain()
    assert frontend.process.wait() == 1, "it is no drain"
    assert client.closed()


def test_an_idle_frontend_ends_without_waiting(t):
    frontend = t.frontend(t.redis(), settings={"drain.time": "10m"})
    frontend.stop()


def test_it_leaves_nothing_behind(t):
    """The embedded Redis ends with it, and its directory is gone."""
    frontend = t.frontend()
    line = frontend.wait_for_log("msg=redis_started")
    socket_path = logfmt(line)["redis_cli"].split()[-1]
    assert os.path.exists(socket_path)
    frontend.stop()
    assert not os.path.exists(socket_path) and not os.path.exists(os.path.dirname(socket_path))
