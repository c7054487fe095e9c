"""A WebSocket client of frames, written after RFC 6455 and not from the server's code, and streams of
bytes over it for the clients of harness.tracker.
"""
import base64
import collections
import hashlib
import os
import socket
import struct
import time

from .waiting import readable, scaled

CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0, 1, 2, 8, 9, 10
FIN = 0x80

Frame = collections.namedtuple("Frame", "fin rsv opcode payload")


def frame(opcode, payload=b"", fin=True, rsv=0, mask=None, form=None, masked=True, length=None):
    """A client's frame. form: 7, 16 or 64 bits of length (None: the shortest); length: what is
    announced instead of the payload's."""
    announced = len(payload) if length is None else length
    form = form or (7 if announced < 126 else 16 if announced < 65536 else 64)
    bit = 0x80 if masked else 0
    head = bytes([(FIN if fin else 0) | rsv << 4 | opcode])
    if form == 7:
        head += bytes([bit | announced])
    elif form == 16:
        head += bytes([bit | 126]) + struct.pack(">H", announced)
    else:
        head += bytes([bit | 127]) + struct.pack(">Q", announced)
    if not masked:
        return head + payload
    mask = mask or os.urandom(4)
    keys = mask * (len(payload) // 4 + 1)
    return head + mask + bytes(a ^ b for a, b in zip(payload, keys))


def close_payload(code, reason=b""):
    return struct.pack(">H", code) + reason


def handshake(host, path, protocols=(), key=None, headers=()):
    """The request's bytes, and the Sec-WebSocket-Accept that answers it."""
    key = key or base64.b64encode(os.urandom(16)).decode()
    lines = [f"GET {path} HTTP/1.1", f"Host: {host}", "Upgrade: websocket", "Connection: Upgrade",
             f"Sec-WebSocket-Key: {key}", "Sec-WebSocket-Version: 13", *headers]
    if protocols:
        lines.append("Sec-WebSocket-Protocol: " + ", ".join(protocols))
    digest = hashlib.sha1((key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11").encode()).digest()
    return ("\r\n".join(lines) + "\r\n\r\n").encode(), base64.b64encode(digest).decode()


class Refused(Exception):
    """The handshake was answered with something else than 101."""

    def __init__(self, status, headers, body):
        super().__init__(f"{status} {body!r}")
        self.status, self.headers, self.body = status, headers, body


class WebSocket:
    """Takes over a connected socket, or connects to (host, port) or a unix socket's path. Reads no
    more than it is asked for; the frames' meaning is the test's."""

    def __init__(self, address, path="/tracker", protocols=(), headers=(), tls=None, timeout=10):
        self.timeout = scaled(timeout)
        self.input = b""
        self.socket = self._connect(address, tls) if not isinstance(address, socket.socket) else address
        self.socket.settimeout(self.timeout)
        request, accept = handshake("localhost", path, protocols, headers=headers)
        self.socket.sendall(request)
        self.status, self.headers = self._read_head()
        if self.status != 101:
            raise Refused(self.status, self.headers, self._read_body())
        assert self.headers.get("sec-websocket-accept") == accept, self.headers
        assert self.headers.get("upgrade", "").lower() == "websocket", self.headers
        assert self.headers.get("connection", "").lower() == "upgrade", self.headers
        self.protocol = self.headers.get("sec-websocket-protocol")

    @staticmethod
    def _connect(address, tls):
        if isinstance(address, str):
            connection = socket.socket(socket.AF_UNIX)
            connection.connect(address)
        else:
            connection = socket.create_connection(address)
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return tls.wrap_socket(connection, server_hostname="localhost") if tls else connection

    def _fill(self):
        data = self.socket.recv(1 << 16)
        if not data:
            raise ConnectionError("the front-end closed the connection")
        self.input += data

    def _take(self, count):
        while len(self.input) < count:
            self._fill()
        data, self.input = self.input[:count], self.input[count:]
        return data

    def _read_head(self):
        while b"\r\n\r\n" not in self.input:
            self._fill()
        head, self.input = self.input.split(b"\r\n\r\n", 1)
        lines = head.decode("latin-1").split("\r\n")
        headers = {name.lower(): value.strip() for name, value in (line.split(":", 1) for line in lines[1:])}
        return int(lines[0].split()[1]), headers

    def _read_body(self):
        body = self._take(int(self.headers.get("content-length", 0)))
        self.drop()
        return body

    def fileno(self):
        return self.socket.fileno()

    def drop(self):
        self.socket.close()

    def send(self, data):
        """Bytes as they are."""
        self.socket.sendall(data)

    def send_frame(self, opcode, payload=b"", **options):
        self.send(frame(opcode, payload, **options))

    def read_frame(self):
        """The next frame; it must be unmasked and have its length in the shortest form."""
        first, second = self._take(2)
        assert not second & 0x80, "the server masked a frame"
        length = second
        if second == 126:
            length = struct.unpack(">H", self._take(2))[0]
            assert length >= 126, length
        elif second == 127:
            length = struct.unpack(">Q", self._take(8))[0]
            assert length >= 65536, length
        return Frame(bool(first & FIN), first >> 4 & 7, first & 15, self._take(length))

    def read_end(self):
        """The connection ends here, without a reset and without another byte."""
        assert not self.input, self.input
        data = self.socket.recv(1)
        assert data == b"", data

    def read_close(self):
        """The next frame is a Close, and the connection ends behind it: (code or None, reason)."""
        answer = self.read_frame()
        assert answer.opcode == CLOSE and answer.fin and len(answer.payload) != 1, answer
        self.read_end()
        if not answer.payload:
            return None, b""
        return struct.unpack(">H", answer.payload[:2])[0], answer.payload[2:]

    def close(self, code=1000, reason=b""):
        """The closing handshake from our side; what comes before the server's Close is dropped."""
        self.send_frame(CLOSE, close_payload(code, reason))
        while self.read_frame().opcode != CLOSE:
            pass
        self.read_end()
        self.drop()


class Stream:
    """What a client of harness.tracker needs of a socket, in binary messages. parts: each sendall
    becomes messages of at most so many bytes; pongs: whether pings are answered."""

    def __init__(self, websocket, parts=None, pongs=True):
        self.websocket = websocket
        self.parts = parts
        self.pongs = pongs

    def __getattr__(self, name):
        return getattr(self.websocket.socket, name)

    def fileno(self):
        return self.websocket.fileno()

    def close(self):
        self.websocket.drop()

    def sendall(self, data):
        step = self.parts or max(1, len(data))
        for at in range(0, len(data), step):
            self.websocket.send_frame(BINARY, data[at:at + step])

    def recv(self, _size):
        """The payloads of what is there, of one message at least; b"" at the end."""
        data = b""
        pending = getattr(self.websocket.socket, "pending", lambda: 0)
        try:
            while not data or self.websocket.input or pending() or readable(self.websocket, 0):
                data += self._read_message()
        except ConnectionError:
            if not data:
                return b""
        return data

    def _read_message(self):
        got = self.websocket.read_frame()
        if got.opcode == PING and self.pongs:
            self.websocket.send_frame(PONG, got.payload)
        if got.opcode == CLOSE:
            raise ConnectionError(f"closed: {got.payload!r}")
        assert got.opcode in (BINARY, PING, PONG) and got.fin and not got.rsv, got
        return got.payload if got.opcode == BINARY else b""


def over_websocket(dialect, path="/tracker", protocols=("tracker",), parts=None, pongs=True):
    """The dialect's class, its connections being streams over WebSocket: for Context.connect with
    kind="web"."""
    class OverWebSocket(dialect):
        def __init__(self, *arguments, **options):
            super().__init__(*arguments, **options)
            self.socket = Stream(WebSocket(self.socket, path, protocols), parts, pongs)

    OverWebSocket.__name__ = f"{dialect.__name__}OverWebSocket"
    return OverWebSocket


def wait_for_frame(websocket, opcode, timeout=10):
    """Reads until a frame of that opcode has come, and returns it."""
    end = time.monotonic() + scaled(timeout)
    while time.monotonic() < end:
        got = websocket.read_frame()
        if got.opcode == opcode:
            return got
    raise AssertionError(f"no frame with opcode {opcode} in time")
