"""Peers that fill memory: with messages that they never complete, and with answers and pushes that they never read. The
totals hold, whoever holds most goes first, with a reason where that can be sent, and the well-behaved notice nothing."""
import socket
import struct
import time

from harness import Versioned, scaled
from harness.abuse import ATTACKER, Watch
from harness.websocket import BINARY, CLOSE, WebSocket, frame

TIMEOUT = 90
MIB = 1 << 20
MEMORY = "memory"
PART = frame(BINARY, bytes(MIB))[:-1]


def attacker(frontend, kind, receive_buffer=None, source=ATTACKER):
    connection = socket.socket()
    if receive_buffer:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
    connection.bind((source, 0))
    connection.settimeout(scaled(20))
    connection.connect(frontend.address(kind))
    return connection


def send_parts(t, frontend, count, path="/sync", sources=(ATTACKER,)):
    """That many unfinished messages of 1 MiB; those that are closed meanwhile stay in the list."""
    peers = []
    for i in range(count):
        peers.append(WebSocket(attacker(frontend, "web", source=sources[i % len(sources)]), path))
        t.stack.callback(peers[-1].drop)
        try:
            peers[-1].send(PART)
        except OSError:
            pass
    return peers


def close_code(peer):
    """The code and reason of its Close; None: it is open."""
    peer.socket.settimeout(0.05)
    try:
        while True:
            got = peer.read_frame()
            if got.opcode == CLOSE:
                return struct.unpack(">H", got.payload[:2])[0], got.payload[2:]
    except TimeoutError:
        return None
    except OSError:
        return 0, b""


def unfinished(t, settings, limit, sources=(ATTACKER,)):
    redis = t.redis()
    frontend = t.frontend(redis, settings={"net.message_timeout": "60s", **settings})
    behaved = t.connect(frontend, Versioned)
    behaved.open(b"x")
    own = WebSocket(frontend.address("web"), "/sync")
    own.send(PART)
    watch = Watch(t, frontend, redis)
    peers = send_parts(t, frontend, 200, sources=sources)
    t.wait_until(lambda: frontend.metric("tracker_input_memory_bytes") <= limit, 10, "the rest is closed")
    closed = [code for code in map(close_code, peers) if code is not None]
    assert len(closed) >= 200 - limit // MIB and len(closed) < 200, len(closed)
    assert (1013, MEMORY.encode()) in closed, closed
    t.wait_until(lambda: frontend.metric("tracker_connections_closed_total", reason=MEMORY) == len(closed), 10, "counted")
    # A well-behaved peer's message, which takes as long, becomes complete.
    own.send(b"\0")
    assert (close_code(own) or (0, b""))[1] != MEMORY.encode()
    assert behaved.update(behaved.id, 1, b"y")
    watch.stop().check()
    assert watch.grown() <= t.allowed_memory(limit * 2 + 48 * MIB), watch.grown() / MIB
    assert frontend.log_lines(r"memory_limit_reached .*kind=input")


def test_unfinished_messages_of_an_address(t):
    """200 connections with an unfinished message of 1 MiB each: by the share of an address, which is a setting.
    The well-behaved one has a MiB, too."""
    unfinished(t, {"net.max_input_per_address": "16MiB"}, 17 * MIB)


def test_unfinished_messages_in_total(t):
    """The same from many addresses: by the total. The largest of the largest address go first, not the newest."""
    unfinished(t, {"net.max_input_total": "32MiB"}, 33 * MIB, sources=[f"127.0.0.{i}" for i in range(66, 76)])


def test_limits_follow_the_memory(t):
    """Without a setting: an eighth and a quarter of what the process may use."""
    frontend = t.frontend(t.redis())
    [line] = frontend.log_lines("msg=memory_limits")
    fields = dict(field.split("=") for field in line.split() if "=" in field)
    memory = int(fields["memory"])
    assert int(fields["input"]) == memory // 8 and int(fields["output"]) == memory // 4, line
    assert frontend.metric("tracker_input_memory_limit_bytes") == memory // 8
    assert frontend.metric("tracker_output_memory_limit_bytes") == memory // 4


def test_answers_that_are_not_read(t):
    """Requests for a large list whose answers nobody reads."""
    redis = t.redis()
    frontend = t.frontend(redis, settings={"net.max_output_total": "16MiB", "net.send_buffer": "8KiB"})
    writer = t.connect(frontend, Versioned)
    for _ in range(1000):
        writer.open(b"s" * 200)
    behaved = t.connect(frontend, Versioned)
    behaved.open(b"x")
    watch = Watch(t, frontend, redis)
    peers = [attacker(frontend, "web", 4096) for _ in range(120)]
    for peer in peers:
        t.stack.callback(peer.close)
        peer.sendall(b"GET /api/v1/clients?limit=1000 HTTP/1.1\r\nHost: localhost\r\n\r\n")
    end = time.monotonic() + scaled(3)
    while time.monotonic() < end:
        assert frontend.metric("tracker_output_memory_bytes") <= 24 * MIB
        time.sleep(0.1)
    assert behaved.update(behaved.id, 1, b"y")
    assert frontend.metric("tracker_output_memory_bytes") <= 17 * MIB
    watch.stop().check()
