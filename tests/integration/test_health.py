"""/healthz, /readyz and /metrics of the web listener."""
import contextlib
import re
import socket
import threading
import time

from harness import Versioned


def test_healthy_and_ready(t):
    frontend = t.frontend(t.redis())
    assert frontend.http("/healthz")[0] == 200
    assert frontend.http("/readyz")[0] == 200
    assert frontend.metric("tracker_ready") == 1


def test_not_ready_without_redis(t):
    """The loop turns, so it is healthy; it says why it is not ready; it becomes so again."""
    redis = t.redis()
    frontend = t.frontend(redis)
    t.wait_until(frontend.ready)
    redis.kill()
    t.wait_until(lambda: not frontend.ready(), 10, "not ready")
    status, _, body = frontend.http("/readyz")
    assert status == 503 and b"redis" in body.lower(), (status, body)
    # A balancer is to keep the clients that are there. Unknown keys change nothing, malformed ones are refused.
    for query in ("?x=%zz&balancer&y", "?%"):
        assert frontend.http("/readyz" + query)[0] == 400, query
    for query in ("?balancer", "?balancer=1", "?x=%25zz&balancer&y", "?&balancer=&="):
        assert frontend.http("/readyz" + query)[::2] == (404, body), query
    for query in ("?", "?x", "?balance", "?x=balancer", "?=balancer", "?%25"):
        assert frontend.http("/readyz" + query)[::2] == (503, body), query
    assert frontend.http("/healthz")[0] == 200
    assert frontend.metric("tracker_ready") == 0
    redis.start()
    t.wait_until(frontend.ready, 15, "ready again")
    assert frontend.http("/readyz?balancer")[0] == 200


def test_not_ready_when_published_messages_do_not_arrive(t):
    """End to end: a Redis that stalls is noticed though its connections are open."""
    redis = t.redis()
    frontend = t.frontend(redis)
    t.wait_until(frontend.ready)
    redis.freeze()
    t.wait_until(lambda: not frontend.ready(), 10, "not ready")
    assert frontend.http("/healthz")[0] == 200
    redis.thaw()
    t.wait_until(frontend.ready, 15, "ready again")


def test_a_loss_that_all_share_is_not_local(t):
    """An orchestrator that has no other one to send clients to leaves it among those that serve."""
    redis = t.redis()
    frontends = t.frontends(2, redis)
    assert [frontend.http("/readyz?local")[0] for frontend in frontends] == [200, 200]
    redis.kill()
    for frontend in frontends:
        t.wait_until(lambda: not frontend.ready(), 10, "not ready")
        assert frontend.http("/readyz?local")[::2] == (
            200, b"as ready as any other front-end: no connection to Redis\n")


class Forwarder:
    """Between a front-end and Redis. While `deaf`, what Redis publishes does not pass."""

    def __init__(self, t, redis):
        self.redis = redis
        self.deaf = False
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.url = "redis://127.0.0.1:%d" % self.socket.getsockname()[1]
        t.stack.callback(self.socket.close)
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        with contextlib.suppress(OSError):
            while True:
                client, _ = self.socket.accept()
                server = socket.socket(socket.AF_UNIX)
                server.connect(self.redis.socket)
                for source, target in ((client, server), (server, client)):
                    threading.Thread(target=self.forward, args=(source, target), daemon=True).start()

    def forward(self, source, target):
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                if not (self.deaf and b"$7\r\nmessage\r\n" in data):
                    target.sendall(data)
            target.shutdown(socket.SHUT_WR)


def test_events_that_do_not_arrive(t):
    """Connections that are well, but for what is published: noticed by the nonce, and made anew."""
    redis = t.redis()
    forwarder = Forwarder(t, redis)
    frontend = t.frontend(forwarder.url)
    t.wait_until(frontend.ready)
    watcher = t.connect(frontend, Versioned)
    watcher.open(b"watcher")
    writer = t.connect(t.frontend(redis), Versioned)
    id = writer.open(b"0")
    watcher.wait_for_state(id, b"0")
    connects = frontend.metric("tracker_redis_connects_total")
    forwarder.deaf = True
    t.wait_until(lambda: frontend.http("/readyz")[2] == b"not ready: events of Redis do not arrive in time\n", 10, "it is noticed")
    assert frontend.metric("tracker_ready") == 0 and frontend.metric("tracker_redis_up") == 1
    frontend.wait_for_log("level=warn msg=pubsub_stalled")
    frontend.wait_for_metric("tracker_redis_connects_total", connects + 1)
    assert writer.update(id, 1, b"1")
    forwarder.deaf = False
    t.wait_until(frontend.ready, 10, "ready again")
    watcher.wait_for_state(id, b"1")
    assert writer.update(id, 2, b"2")
    watcher.wait_for_state(id, b"2")


def test_events_that_never_arrive(t):
    redis = t.redis()
    forwarder = Forwarder(t, redis)
    forwarder.deaf = True
    frontend = t.frontend(forwarder.url)
    frontend.wait_for_log("level=warn msg=pubsub_stalled")
    assert frontend.http("/readyz")[:1] == (503,)
    forwarder.deaf = False
    t.wait_until(frontend.ready, 10, "ready")


def test_what_one_frontend_alone_has_lost_is_local(t):
    """The events of Redis reach the other one: known from what that publishes of itself."""
    redis = t.redis()
    forwarder = Forwarder(t, redis)
    frontend, other = t.frontend(forwarder.url), t.frontend(redis)
    t.wait_until(lambda: frontend.ready() and other.ready())
    forwarder.deaf = True
    t.wait_until(lambda: not frontend.ready(), 10, "not ready")
    assert frontend.http("/readyz?local")[0] == 200, "nothing is known of the other one yet"
    t.wait_until(lambda: frontend.http("/readyz?local")[0] == 503, 60, "it is local")
    assert frontend.http("/readyz?local&balancer")[0] == 404
    assert other.http("/readyz?local")[2] == b"ready\n"
    # Alone with the loss, it is as ready as any.
    other.stop()
    t.wait_until(lambda: frontend.http("/readyz?local")[0] == 200, 15, "there is no better one")
    forwarder.deaf = False
    t.wait_until(frontend.ready, 10, "ready again")


def test_a_return_of_redis_is_no_doubt(t):
    """What could not come is not missed."""
    redis = t.redis()
    frontend = t.frontend(redis)
    t.wait_until(frontend.ready)
    redis.kill()
    t.wait_until(lambda: frontend.http("/readyz")[0] == 503)
    time.sleep(4)
    redis.start()
    t.wait_until(frontend.ready, 15, "ready again")
    assert not frontend.log_lines("pubsub_stalled")


def test_metrics_are_prometheus_text(t):
    frontend = t.frontend(t.redis())
    client = t.connect(frontend, Versioned)
    id = client.open(b"x")
    assert client.update(id, 1, b"y") and client.update(id, 2, b"z") and client.close()
    status, headers, body = frontend.http("/metrics")
    assert status == 200 and headers["Content-Type"].startswith("text/plain; version=0.0.4"), headers
    typed = {}
    for line in body.decode().splitlines():
        if line.startswith("# TYPE "):
            _, _, name, kind = line.split()
            assert name not in typed, f"{name} twice"
            typed[name] = kind
        elif not line.startswith("#"):
            assert re.fullmatch(r'(tracker|process)_[a-z0-9_]+(\{([a-z_]+="[^"]*",?)+\})? [-+.e0-9]+', line), line
            name = re.sub(r"_(bucket|sum|count)$", "", re.split(r"[{ ]", line)[0])
            assert name in typed or re.split(r"[{ ]", line)[0] in typed, line
    assert set(typed.values()) <= {"counter", "gauge", "histogram"}
    messages = {kind: frontend.metric("tracker_messages_total", protocol="tracker", kind=kind)
                for kind in ("open", "update", "close")}
    assert messages == {"open": 1, "update": 2, "close": 1}, messages
    assert frontend.metric("tracker_redis_round_trip_seconds_count") > 0


def test_counts_follow_the_clients(t):
    frontend = t.frontend(t.redis())
    clients = [t.connect(frontend, Versioned) for _ in range(5)]
    for client in clients:
        client.open(b"x")
    before = frontend.metric("tracker_connections")
    assert frontend.metric("tracker_owned_entries") == 5
    for client in clients[:3]:
        assert client.close()
    assert frontend.metric("tracker_owned_entries") == 2
    for client in clients:
        client.drop()
    frontend.wait_for_metric("tracker_connections", lambda value: value <= before - 5)


def test_http_errors(t):
    frontend = t.frontend()
    assert frontend.http("/nothing")[0] == 404
    status, headers, _ = frontend.http("/healthz", "POST", body=b"x")
    assert status == 405 and "GET" in headers["Allow"], headers
    assert frontend.http("/healthz", headers={"X-Long": "x" * 20000})[0] == 431
    status, _, body = frontend.http("/healthz", "HEAD")
    assert status == 200 and body == b""


def test_bad_http_is_answered_and_closed(t):
    frontend = t.frontend()
    for data in (b"\x00\x01\x02\r\n\r\n", b"GET\r\n\r\n", b"GET / HTTP/9.9\r\n\r\n",
                 b"GET /healthz HTTP/1.1\r\nContent-Length: x\r\n\r\n"):
        client = t.raw(frontend, kind="web")
        client.send(data)
        assert client.closed(), data
        assert client.input.startswith(b"HTTP/1.1 4") or client.input.startswith(b"HTTP/1.1 505"), client.input


def test_pipelined_requests_are_answered_in_order(t):
    frontend = t.frontend()
    client = t.raw(frontend, kind="web")
    client.send(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\nGET /nothing HTTP/1.1\r\nHost: x\r\n\r\n"
                b"GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    assert client.closed()
    assert re.findall(rb"HTTP/1.1 (\d+)", client.input) == [b"200", b"404", b"200"], client.input
