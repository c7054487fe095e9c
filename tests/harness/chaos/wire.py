"""Connections that never block: bytes, and WebSocket messages over them. A loop calls them when they are
readable or writable; what came is handed to their owner.
"""
import errno
import select
import socket
import struct

from ..websocket import CLOSE, PING, PONG, FIN, frame, handshake


class Loop:
    """One epoll for all connections of a run."""

    def __init__(self):
        self.poll = select.epoll()
        self.by_descriptor = {}

    def close(self):
        self.poll.close()

    def add(self, wire):
        self.by_descriptor[wire.descriptor] = wire
        self.poll.register(wire.descriptor, select.EPOLLIN | select.EPOLLOUT)

    def want(self, wire, output):
        self.poll.modify(wire.descriptor, select.EPOLLIN | (select.EPOLLOUT if output else 0))

    def remove(self, wire):
        self.by_descriptor.pop(wire.descriptor, None)
        try:
            self.poll.unregister(wire.descriptor)
        except (OSError, ValueError):
            pass

    def turn(self, seconds):
        for descriptor, events in self.poll.poll(seconds):
            wire = self.by_descriptor.get(descriptor)
            if wire is None:
                continue
            try:
                wire.ready(events)
            except (AssertionError, KeyError, ValueError) as error:
                wire.owner.on_nonsense(error)


class Wire:
    """A connection to (host, port). owner: on_open(), on_bytes(data), on_end(why); called from the loop, except
    for an end that is known at once. host: where it is made."""

    def __init__(self, loop, owner, address, host):
        self.loop, self.owner, self.address = loop, owner, address
        self.output = b""
        self.opened = False
        self.ended = False
        with host:
            self.socket = socket.socket()
        self.socket.setblocking(False)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.descriptor = self.socket.fileno()
        result = self.socket.connect_ex(address)
        self.local = None
        loop.add(self)
        if result not in (0, errno.EINPROGRESS):
            self.end(errno.errorcode.get(result, str(result)))

    def ready(self, events):
        if not self.opened:
            error = self.socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
            if error:
                self.end(errno.errorcode.get(error, str(error)))
                return
            self.opened = True
            self.local = self.socket.getsockname()
            self.loop.want(self, bool(self.output))
            self.on_open()
        if events & select.EPOLLOUT and not self.ended:
            self._flush()
        if events & (select.EPOLLIN | select.EPOLLHUP | select.EPOLLERR) and not self.ended:
            self._read()

    def _read(self):
        for _ in range(8):
            try:
                data = self.socket.recv(1 << 16)
            except BlockingIOError:
                return
            except OSError as error:
                self.end(errno.errorcode.get(error.errno, str(error)))
                return
            if not data:
                self.end("closed")
                return
            self.on_data(data)
            if self.ended:
                return

    def on_open(self):
        self.owner.on_open()

    def on_data(self, data):
        self.owner.on_bytes(data)

    def send(self, data):
        if self.ended:
            return
        self.output += data
        if self.opened:
            self._flush()

    def _flush(self):
        try:
            while self.output:
                self.output = self.output[self.socket.send(self.output):]
        except BlockingIOError:
            pass
        except OSError as error:
            self.end(errno.errorcode.get(error.errno, str(error)))
            return
        self.loop.want(self, bool(self.output))

    def drop(self):
        """Ends it from our side, without a word; the owner is not called."""
        if not self.ended:
            self.ended = True
            self.loop.remove(self)
            self.socket.close()

    def vanish(self):
        """Ends it so that the other side does not learn of it: its answers to probes are missing, too. Only where
        the packets of its host are dropped already."""
        self.drop()

    def end(self, why):
        if not self.ended:
            self.drop()
            self.owner.on_end(why)


class WebSocketWire(Wire):
    """owner: on_open() after the handshake, on_text(payload), on_end(why): "closed", an error's name, a status of
    HTTP, or (code, reason) of a Close."""

    def __init__(self, loop, owner, address, host, path, protocols=()):
        self.input = b""
        self.upgraded = False
        self.request, self.accept = handshake("chaos", path, protocols)
        super().__init__(loop, owner, address, host)

    def on_open(self):
        super().send(self.request)

    def on_data(self, data):
        self.input += data
        if not self.upgraded and not self._read_head():
            return
        while not self.ended:
            got = self._take()
            if got is None:
                return
            self._handle(*got)

    def _read_head(self):
        if b"\r\n\r\n" not in self.input:
            return False
        head, self.input = self.input.split(b"\r\n\r\n", 1)
        lines = head.decode("latin-1").split("\r\n")
        status = int(lines[0].split()[1])
        if status != 101:
            self.end(f"HTTP {status}")
            return False
        headers = {name.lower(): value.strip() for name, value in (line.split(":", 1) for line in lines[1:])}
        assert headers.get("sec-websocket-accept") == self.accept, headers
        self.upgraded = True
        self.owner.on_open()
        return True

    def _take(self):
        """(opcode, payload) of the next frame; None while it is not whole."""
        data = self.input
        if len(data) < 2:
            return None
        assert data[0] & FIN and not data[1] & 0x80, data[:2]
        length, at = data[1], 2
        if length == 126:
            if len(data) < 4:
                return None
            length, at = struct.unpack(">H", data[2:4])[0], 4
        elif length == 127:
            if len(data) < 10:
                return None
            length, at = struct.unpack(">Q", data[2:10])[0], 10
        if len(data) < at + length:
            return None
        self.input = data[at + length:]
        return data[0] & 15, data[at:at + length]

    def _handle(self, opcode, payload):
        if opcode == PING:
            super().send(frame(PONG, payload))
        elif opcode == CLOSE:
            super().send(frame(CLOSE, payload))
            self.end((struct.unpack(">H", payload[:2])[0], payload[2:].decode()) if len(payload) > 1 else "closed")
        elif opcode != PONG:
            self.owner.on_text(payload)

    def say(self, text):
        super().send(frame(1, text))
