"""Peers that begin a message and never complete it, byte by byte, on every protocol: each is closed at its deadline,
with a reason where the protocol has one. Peers that are idle, or that are not read from, stay."""
import json
import select
import socket
import struct
import time

from harness import Versioned, scaled
from harness.abuse import ATTACKER, Watch
from harness.certificates import make
from harness.lobby import LISTEN, Game, Original, Player, settings
from harness.websocket import BINARY, CONTINUATION, PING, PONG, TEXT, WebSocket, frame, wait_for_frame

TIMEOUT = 60
DEADLINE = 2    # seconds, of each time-out
STEP = 0.1      # seconds between two bytes
MESSAGE = "message_timeout"
OPEN = b"\x2a\x01\x00\x03\x02hi"
BEGUN = b"\x2a\x01\x00\xc8\xc7"  # an Open of 199 bytes, which follow
HTTP = b"POST /api/v1/nodes HTTP/1.1\r\nHost: localhost\r\n"


class Sender:
    """Sends what comes first at once, then pieces one by one; `received` is what it was sent, `ended` when."""

    def __init__(self, name, connection, first, pieces):
        self.name = name
        self.is_websocket = isinstance(connection, WebSocket)
        self.socket = connection.socket if self.is_websocket else connection
        self.pieces = iter(pieces)
        self.received = b""
        self.began = time.monotonic()
        self.ended = None
        self.socket.sendall(first)
        self.socket.setblocking(False)

    def step(self):
        try:
            self.socket.send(next(self.pieces))
        except StopIteration:
            pass
        except (BlockingIOError, ConnectionError):
            pass
        self.read()

    def read(self):
        try:
            while self.ended is None:
                data = self.socket.recv(65536)
                self.received += data
                if not data:
                    self.ended = time.monotonic() - self.began
        except BlockingIOError:
            pass
        except ConnectionError:
            self.ended = time.monotonic() - self.began


def connect(frontend, kind):
    connection = socket.create_connection(frontend.address(kind), source_address=(ATTACKER, 0))
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return connection


def upgraded(frontend, path):
    return WebSocket(connect(frontend, "web"), path, ("tracker",) if path == "/tracker" else ())


def logged_in(client):
    client.login()
    return client.socket


def endless(piece=b"x"):
    while True:
        yield piece


def with_pings():
    """Fragments of one message, with control frames between them."""
    while True:
        yield frame(PING, b"still here")
        yield frame(CONTINUATION, b"x", fin=False)


def senders(t, frontend):
    part = frame(BINARY, b"x" * 1000)[:-900]
    player = t.connect(frontend, Player, kind="lobby", source=ATTACKER)
    game = t.connect(frontend, Game, kind="lobby", source=ATTACKER)
    original = t.connect(frontend, Original, kind="lobby", source=ATTACKER)
    original.login_client()
    return [
        Sender("tracker", connect(frontend, "tracker"), OPEN + BEGUN, endless()),
        Sender("tracker over websocket", upgraded(frontend, "/tracker"), frame(BINARY, OPEN + BEGUN),
               (frame(BINARY, b"x") for _ in endless())),
        Sender("a frame, tracker", upgraded(frontend, "/tracker"), part, endless()),
        Sender("a frame's header", upgraded(frontend, "/tracker"), b"\x82", ()),
        Sender("a frame, turntable", upgraded(frontend, "/turntable"), part, endless()),
        Sender("a frame, sync", upgraded(frontend, "/sync"), part, endless()),
        Sender("fragments", upgraded(frontend, "/sync"), frame(TEXT, b"[", fin=False), with_pings()),
        Sender("lobby lines", logged_in(player), b'{"type"', endless(b" ")),
        Sender("lobby lines of a server", logged_in(game), b'{"type"', endless(b" ")),
        Sender("lobby packets", original.socket, bytes(2), endless(b"\0")),
    ]


def http_senders(frontend):
    return [
        Sender("head", connect(frontend, "web"), HTTP, endless()),
        Sender("second head", connect(frontend, "web"), b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n" + HTTP,
               endless()),
        Sender("body", connect(frontend, "web"), HTTP + b"Content-Length: 1000\r\n\r\n", endless()),
        Sender("chunks", connect(frontend, "web"), HTTP + b"Transfer-Encoding: chunked\r\n\r\n", endless(b"1\r\nx\r\n")),
        Sender("upgrade", connect(frontend, "web"), b"GET /tracker HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\n",
               endless()),
    ]


def run(attackers, others=()):
    """Until all of them have ended, none before the deadline."""
    end = time.monotonic() + scaled(DEADLINE + 8)
    while any(sender.ended is None for sender in attackers):
        assert time.monotonic() < end, [sender.name for sender in attackers if sender.ended is None]
        for sender in (*attackers, *others):
            if sender.ended is None:
                sender.step()
        select.select([], [], [], STEP)
    early = [(sender.name, sender.ended) for sender in attackers if sender.ended < DEADLINE - 0.1]
    assert not early, early


def test_messages(t):
    frontend = t.frontend(t.redis(), listen=(*LISTEN, "tracker=127.0.0.1:0"),
                          settings=settings(**{"net.message_timeout": f"{DEADLINE}s", "verify": "off",
                                               "ping": "60s"}))
    watch = Watch(t, frontend)
    idle = t.connect(frontend, Versioned)
    idle.open(b"idle")
    slow = Sender("slow", connect(frontend, "tracker"), OPEN + OPEN[:5], [OPEN[5:6], OPEN[6:]])
    attackers = senders(t, frontend)
    run(attackers, [slow])
    assert slow.ended is None, "a message that is complete in time"
    frontend.wait_for_metric("tracker_connections_closed_total", len(attackers), reason=MESSAGE)
    for sender in attackers:
        if sender.is_websocket:
            assert sender.received.endswith(struct.pack(">H", 1008) + MESSAGE.encode()), (sender.name, sender.received)
        elif "lines" in sender.name:
            assert json.loads(sender.received.splitlines()[-1])["code"] == "timeout", (sender.name, sender.received)
    assert idle.update(idle.id, 1, b"still there")
    assert frontend.log_lines(f"connection_closed .*peer={ATTACKER}.*reason={MESSAGE}")
    watch.stop().check()


def test_messages_that_are_not_read(t):
    """While the front-end does not read, because of the rate, the time does not run."""
    frontend = t.frontend(t.redis(), settings={"net.message_timeout": "1s", "ws.rate": "10", "ws.burst": "1"})
    websocket = WebSocket(frontend.address("web"), "/sync")
    websocket.send_frame(TEXT, b"[", fin=False)
    for _ in range(30):
        websocket.send_frame(PING, b"x")
    websocket.send_frame(CONTINUATION, b"]")
    for _ in range(30):
        assert wait_for_frame(websocket, PONG).payload == b"x"
    websocket.send_frame(PING, b"behind the message")
    assert wait_for_frame(websocket, PONG).payload == b"behind the message"
    assert frontend.metric("tracker_connections_closed_total", reason=MESSAGE) == 0


def test_requests(t):
    """Of HTTP: by http.timeout, with an answer, whatever net.message_timeout is."""
    frontend = t.frontend(t.redis(), settings={"http.timeout": f"{DEADLINE}s", "net.message_timeout": "100ms"})
    watch = Watch(t, frontend)
    attackers = http_senders(frontend)
    run(attackers)
    for sender in attackers:
        assert b"HTTP/1.1 408 " in sender.received, (sender.name, sender.received)
    watch.stop().check()


def test_what_comes_before_the_protocol(t):
    """The PROXY header and the TLS handshake: by net.handshake_timeout, from the first moment on."""
    certificate, key = make(t.directory())
    frontend = t.frontend(t.redis(), listen=("tracker=127.0.0.1:0,proxy=true", "web=127.0.0.1:0",
                                             f"sync=127.0.0.1:0,tls=true,tls_certificate={certificate},tls_key={key}"),
                          settings={"net.handshake_timeout": f"{DEADLINE}s"})
    run([Sender("PROXY 1", connect(frontend, "tracker"), b"PROXY TCP4 1", endless(b"2")),
         Sender("PROXY 2", connect(frontend, "tracker"), b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\xc8", endless(b"\0")),
         Sender("hello of TLS", connect(frontend, "sync"), b"\x16\x03\x01\x02\0\x01\0\x01\xfc\x03\x03", endless(b"\0"))])
    assert frontend.metric("tracker_connections_refused_total", reason="proxy_header") == 2
    assert frontend.metric("tracker_connections_refused_total", reason="tls") == 1
