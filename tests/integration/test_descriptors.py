"""The limit of descriptors: accepting pauses there and goes on, and the front-end keeps enough of them for itself."""
import socket

from harness import Versioned
from harness.process import logfmt

LIMIT = 60


def start(t, redis):
    """A front-end with few descriptors; returns it and the address of its tracker listener."""
    frontend = t.start("trackerd", ["sh", "-c", f'ulimit -n {LIMIT}; exec "$0" "$@"', t.program("trackerd"),
                                    "--redis", redis.url, "--listen", "tracker=127.0.0.1:0", "--set", "drain.time=0s",
                                    "--set", "net.accept_pause=10ms"])
    ready = logfmt(frontend.wait_for_log(r"\bmsg=ready\b"))
    host, port = ready["listen"].split("=")[1].rsplit(":", 1)
    return frontend, (host, int(port))


def fill(t, frontend, address):
    """As many clients as it takes, and more that wait in the kernel; returns the one that came first."""
    first = t.connect(address, Versioned)
    first.open(b"first")
    for _ in range(2 * LIMIT):
        waiting = socket.create_connection(address)
        t.stack.callback(waiting.close)
    frontend.wait_for_log("msg=accepting_paused")
    return first


def test_who_waits_is_served_when_others_go(t):
    frontend, address = start(t, t.redis())
    t.connect(address, Versioned).open(b"x")
    clients = []
    for _ in range(2 * LIMIT):
        client = t.connect(address, Versioned)
        client.send(b"\x2a\x01\x00\x02\x01x")
        clients.append(client)
    frontend.wait_for_log("msg=accepting_paused")
    # Everybody in the order of coming, as soon as those before have gone.
    for client in clients:
        assert len(client.take(8)) == 8
        client.drop()


def test_redis_is_found_again_while_clients_have_all_descriptors(t):
    redis = t.redis()
    frontend, address = start(t, redis)
    first = fill(t, frontend, address)
    since = frontend.log_position()
    redis.kill()
    frontend.wait_for_log("msg=redis_connect_failed.*link=commands", since=since)
    redis.start()
    frontend.wait_for_log("msg=redis_connected.*link=commands", since=since)
    frontend.wait_for_log("msg=redis_connected.*link=events", since=since)
    assert first.update(first.id, 1, b"still here")
