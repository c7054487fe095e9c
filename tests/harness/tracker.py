"""Clients of the Tracker protocol, written from its documents and not from the server's code: one
class per dialect. `packets` has the bytes, the classes speak them over a socket.
"""
import collections
import socket
import ssl
import struct
import time

from .waiting import readable, scaled

Push = collections.namedtuple("Push", "kind version id state entries")


class packets:
    """The bytes of every message that a client sends."""

    class versioned:
        @staticmethod
        def open(state):
            return b"\x2a\x01\x00" + bytes([len(state) + 1, len(state)]) + state

        @staticmethod
        def close(id):
            return b"\x2a\x01\x01" + bytes([len(id) + 1, len(id)]) + id

        @staticmethod
        def update(id, version, state):
            content = bytes([version & 255, len(id)]) + id + bytes([len(state)]) + state
            return b"\x2a\x01\x02" + bytes([len(content)]) + content

    class plain:
        @staticmethod
        def open(state):
            return b"\x2a\x00" + bytes([len(state)]) + state

        close = b"\x2a\x01"
        get = b"\x2a\x03"

        @staticmethod
        def update(state):
            return b"\x2a\x02" + bytes([len(state) + 1, len(state)]) + state

        @staticmethod
        def update_without_outer(state):
            return b"\x2a\x02" + bytes([len(state)]) + state

    class wide:
        """The plain document as its text reads: eight bytes for each length."""

        @staticmethod
        def open(state):
            return b"\x2a\x00" + struct.pack(">q", len(state)) + state

        close = b"\x2a\x01"
        get = b"\x2a\x03"

        @staticmethod
        def update(state):
            return b"\x2a\x02" + struct.pack(">qq", 8 + len(state), len(state)) + state

        @staticmethod
        def update_without_outer(state):
            return b"\x2a\x02" + struct.pack(">q", len(state)) + state

    class original:
        """Both original programs; the 2014 one's Update and Close carry no id."""

        @staticmethod
        def open(state):
            return b"\x42\x01\x00" + struct.pack(">q", len(state)) + state

        @staticmethod
        def close(id):
            return b"\x42\x01\x01" + struct.pack(">q", len(id)) + id

        @staticmethod
        def update(id, version, state):
            return (b"\x42\x01\x02" + struct.pack(">qqq", 24 + len(id) + len(state), version, len(id))
                    + id + struct.pack(">q", len(state)) + state)

        get = b"\x42\x01\x03"
        close_2014 = b"\x42\x01\x01"

        @staticmethod
        def update_2014(state):
            return b"\x42\x01\x02" + struct.pack(">q", len(state)) + state


class Client:
    """A connection with a buffer. address: (host, port) or the path of a unix socket. before: bytes
    to send first (a PROXY header); tls: an ssl.SSLContext; source: the address to come from."""

    def __init__(self, address, before=b"", tls=None, source=None, timeout=10):
        self.timeout = scaled(timeout)
        if isinstance(address, str):
            self.socket = socket.socket(socket.AF_UNIX)
        else:
            self.socket = socket.socket(socket.AF_INET6 if ":" in address[0] else socket.AF_INET)
            if source:
                self.socket.bind((source, 0))
        self.socket.settimeout(self.timeout)
        self.socket.connect(address)
        if not isinstance(address, str):
            self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.input = b""
        if before:
            self.socket.sendall(before)
        if tls:
            self.socket = tls.wrap_socket(self.socket, server_hostname="localhost")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.drop()

    def drop(self):
        """Ends the connection without a word."""
        self.socket.close()

    def reset(self):
        """Ends it with a reset."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.socket.close()

    def send(self, data):
        self.socket.sendall(data)

    def _fill(self, wait):
        """Reads what there is, waiting up to `wait`; whether anything came. ConnectionError at
        the end of the stream."""
        pending = isinstance(self.socket, ssl.SSLSocket) and self.socket.pending()
        if not pending and not readable(self.socket, wait):
            return False
        data = self.socket.recv(1 << 16)
        if not data:
            raise ConnectionError("the front-end closed the connection")
        self.input += data
        return True

    def need(self, count):
        """Waits until the buffer holds that many bytes."""
        end = time.monotonic() + self.timeout
        while len(self.input) < count:
            if not self._fill(end - time.monotonic()) and time.monotonic() >= end:
                raise AssertionError(f"no answer within {self.timeout:g} s; there is {self.input!r}")

    def take(self, count):
        """Exactly that many bytes."""
        self.need(count)
        data, self.input = self.input[:count], self.input[count:]
        return data

    def closed(self, timeout=10):
        """Whether the front-end closes the connection in time, whatever it sends before; 0: has closed it."""
        end = time.monotonic() + scaled(timeout)
        try:
            while self._fill(max(0, end - time.monotonic())) or time.monotonic() < end:
                if time.monotonic() > end + self.timeout:  # it sends all the time
                    break
        except OSError:
            return True
        return False

    def silent(self, seconds):
        """Whether nothing arrives for that long."""
        return not self.input and not self._fill(scaled(seconds))


def parse_map_text(text):
    """{id1=state1, id2=state2} as a dict; for states without separators."""
    assert text[:1] == b"{" and text[-1:] == b"}", text
    return dict(pair.split(b"=", 1) for pair in text[1:-1].split(b", ") if pair)


class Versioned(Client):
    """The versioned dialect of the document (magic 2A, version 01), with its pushes. `map` is what
    the pushes brought: id -> (version byte, state)."""

    def __init__(self, *arguments, acknowledge=True, **options):
        super().__init__(*arguments, **options)
        self.acknowledge = acknowledge
        self.id = None
        self.map = {}
        self.map_version = None
        self.pushes = []

    def open(self, state):
        self.send(packets.versioned.open(state))
        self.id = self.read_id()
        return self.id

    def read_id(self):
        self._pushes_before_reply()
        return self.take(self.take(1)[0])

    def read_acknowledgement(self):
        self._pushes_before_reply()
        answer = self.take(1)
        assert answer in (b"\x00", b"\x01"), answer
        return answer == b"\x01"

    def update(self, id, version, state):
        self.send(packets.versioned.update(id, version, state))
        return self.read_acknowledgement()

    def close(self, id=None):
        self.send(packets.versioned.close(id or self.id))
        return self.read_acknowledgement()

    def _pushes_before_reply(self):
        self.need(1)
        while self.input[0] == 0x2A:
            self._push()
            self.need(1)

    def _push(self):
        """Takes one push from the stream."""
        header = self.take(4)
        assert header[:2] == b"\x2a\x01" and header[2] in (2, 3), header
        content = self.take(header[3])
        if self.acknowledge:
            self.send(b"\x01")
        push = self._read_one(content) if header[2] == 2 else self._read_all(content)
        self.pushes.append(push)
        return push

    def _read_one(self, content):
        version, id, state, rest = _entry(content)
        assert not rest, content
        self.map[id] = (version, state)
        return Push("one", version, id, state, None)

    def _read_all(self, content):
        version, rest, entries = content[0], content[1:], {}
        while rest:
            entry_version, id, state, rest = _entry(rest)
            entries[id] = (entry_version, state)
        if version != self.map_version:
            self.map.clear()
        self.map_version = version
        self.map.update(entries)
        return Push("all", version, None, None, entries)

    def read_push(self, timeout=10):
        """The next push; None when none comes in time."""
        end = time.monotonic() + scaled(timeout)
        while not self.input:
            if not self._fill(end - time.monotonic()) and time.monotonic() >= end:
                return None
        return self._push()

    def drain(self):
        """Takes the pushes that are there."""
        while self.input or self._fill(0):
            self._push()

    def states(self):
        """What the pushes brought, without versions."""
        return {id: state for id, (_, state) in self.map.items()}

    def wait_for_map(self, predicate, timeout=10):
        """Reads pushes until predicate(states()) holds; returns the states."""
        end = time.monotonic() + scaled(timeout)
        while not predicate(self.states()):
            if self.read_push(max(0, end - time.monotonic())) is None and time.monotonic() >= end:
                raise AssertionError(f"the map does not arrive in time; it is {self.states()}")
        return self.states()

    def wait_for_state(self, id, state, timeout=10):
        """Reads pushes until the entry has this state (None: is gone)."""
        return self.wait_for_map(lambda states: states.get(id) == state, timeout)


def _entry(content):
    """version n id[n] m state[m] -> (version, id, state, rest)."""
    n = content[1]
    m = content[2 + n]
    assert len(content) >= 3 + n + m, content
    return content[0], content[2:2 + n], content[3 + n:3 + n + m], content[3 + n + m:]


class Plain(Client):
    """The plain dialect of the document (magic 2A, no version, no ids)."""

    def open(self, state):
        self.send(packets.plain.open(state))
        answer = self.take(1)
        assert answer == b"\x01", answer

    def update(self, state):
        self.send(packets.plain.update(state))

    def close(self):
        self.send(packets.plain.close)
        return self.take(1) == b"\x01"

    def get_text(self):
        """The map's text; None when it does not fit this dialect."""
        self.send(packets.plain.get)
        length = self.take(1)[0]
        return self.take(length) if length else None

    def get(self):
        return parse_map_text(self.get_text())


class Wide(Client):
    """The plain dialect with lengths of eight bytes (tracker.form = wide)."""

    def open(self, state):
        self.send(packets.wide.open(state))
        answer = self.take(1)
        assert answer == b"\x01", answer

    def update(self, state):
        self.send(packets.wide.update(state))

    def close(self):
        self.send(packets.wide.close)
        return self.take(1) == b"\x01"

    def get_text(self):
        self.send(packets.wide.get)
        return self.take(struct.unpack(">q", self.take(8))[0])

    def get(self):
        return parse_map_text(self.get_text())


class Original2013(Client):
    """The original program of 2013 (magic 42, lengths of eight bytes)."""

    def __init__(self, *arguments, **options):
        super().__init__(*arguments, **options)
        self.id = None

    def open(self, state):
        self.send(packets.original.open(state))
        self.id = self.take(7)
        return self.id

    def update(self, id, version, state):
        self.send(packets.original.update(id, version, state))
        return self.take(1) == b"\x01"

    def close(self, id=None):
        self.send(packets.original.close(id or self.id))
        return self.take(1) == b"\x01"

    def type_3(self):
        self.send(packets.original.get)
        return self.take(1) == b"\x01"


class Original2014(Client):
    """The original program of 2014: as 2013 but without ids, and with Get."""

    def open(self, state):
        self.send(packets.original.open(state))
        answer = self.take(1)
        assert answer == b"\x01", answer

    def update(self, state):
        self.send(packets.original.update_2014(state))

    def close(self):
        self.send(packets.original.close_2014)
        return self.take(1) == b"\x01"

    def get_text(self):
        self.send(packets.original.get)
        length = struct.unpack(">q", self.take(8))[0]
        return self.take(length)

    def get(self):
        return parse_map_text(self.get_text())
