"""A small Redis client (RESP2) for the tests: plain sockets, bytes in and out."""
import socket

from . import acl
from .waiting import readable, scaled


class RedisError(Exception):
    """An error reply."""


def _encode(value):
    if isinstance(value, bytes):
        return value
    return str(value).encode()


class Connection:
    """address: (host, port), or the path of a unix socket. Call it with a command's words."""

    def __init__(self, address, timeout=10):
        self.address = address
        family = socket.AF_UNIX if isinstance(address, str) else socket.AF_INET
        self.socket = socket.socket(family, socket.SOCK_STREAM)
        self.socket.settimeout(scaled(timeout))
        self.socket.connect(address)
        self.input = b""

    def close(self):
        self.socket.close()

    def send(self, *words):
        if acl.USED:
            acl.note_sent(self.address, words)
        parts = [b"*%d\r\n" % len(words)]
        for word in map(_encode, words):
            parts.append(b"$%d\r\n%s\r\n" % (len(word), word))
        self.socket.sendall(b"".join(parts))

    def _fill(self):
        data = self.socket.recv(1 << 16)
        if not data:
            raise ConnectionError("Redis closed the connection")
        self.input += data

    def _line(self):
        while b"\r\n" not in self.input:
            self._fill()
        line, _, self.input = self.input.partition(b"\r\n")
        return line

    def reply(self):
        """bytes, int, None, list; RedisError is raised at the top, an element within a list."""
        value = self._value()
        if isinstance(value, RedisError):
            raise value
        return value

    def _value(self):
        line = self._line()
        kind, rest = line[:1], line[1:]
        if kind == b"+":
            return rest
        if kind == b"-":
            return RedisError(rest.decode(errors="replace"))
        if kind == b":":
            return int(rest)
        if kind == b"$":
            length = int(rest)
            if length < 0:
                return None
            while len(self.input) < length + 2:
                self._fill()
            value, self.input = self.input[:length], self.input[length + 2:]
            return value
        if kind == b"*":
            return None if int(rest) < 0 else [self._value() for _ in range(int(rest))]
        raise AssertionError(f"not RESP: {line!r}")

    def __call__(self, *words):
        self.send(*words)
        return self.reply()

    def hash(self, key):
        """HGETALL as a dict."""
        flat = self("HGETALL", key)
        return dict(zip(flat[::2], flat[1::2]))

    def keys(self, pattern="*"):
        """All keys of a pattern, sorted."""
        found, cursor = set(), b"0"
        while True:
            cursor, page = self("SCAN", cursor, "MATCH", pattern, "COUNT", 1000)
            found.update(page)
            if cursor == b"0":
                return sorted(found)

    def info(self, section="everything"):
        text = self("INFO", section).decode()
        return dict(line.split(":", 1) for line in text.splitlines() if ":" in line)


class Subscriber:
    """A connection that listens to channels."""

    def __init__(self, address, *channels):
        self.connection = Connection(address)
        # In one command: messages of one channel may come before another command's confirmation.
        if channels:
            self.connection.send("SUBSCRIBE", *channels)
        for _ in channels:
            confirmation = self.connection.reply()
            assert confirmation[0] == b"subscribe", confirmation

    def close(self):
        self.connection.close()

    def messages(self, timeout=0):
        """The (channel, message) pairs that are there; waits up to timeout for the first."""
        found = []
        wait = scaled(timeout)
        while self.connection.input or readable(self.connection.socket, wait):
            message = self.connection.reply()
            if message[0] == b"message":
                found.append((message[1], message[2]))
            wait = 0
        return found
