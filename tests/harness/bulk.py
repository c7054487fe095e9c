"""Many clients of the versioned dialect in one process, over one epoll: they open, may update,
count what they receive, and can be inspected together."""
import errno
import select
import socket
import time

from .tracker import packets
from .waiting import scaled

PER_SOURCE = 200


class _Client:
    __slots__ = ("socket", "input", "output", "id", "acknowledged", "refused", "pushes", "closed")

    def __init__(self):
        self.input = b""
        self.output = b""
        self.id = None
        self.acknowledged = 0
        self.refused = 0
        self.pushes = 0
        self.closed = False


class BulkClients:
    """count clients of one front-end, from as many source addresses of 127/8 as a cap per address
    asks for. state(index) gives each one's first state; None opens none."""

    def __init__(self, address, count, state=lambda index: b"state%d" % index, per_source=PER_SOURCE):
        self.poll = select.epoll()
        self.clients = []
        self.by_descriptor = {}
        for index in range(count):
            self._connect(address, index, per_source)
            if state is not None:
                self._send(self.clients[-1], packets.versioned.open(state(index)))
            if index % 200 == 199:
                self.turn(0)
        if state is not None:
            self.wait(lambda: all(client.id or client.closed for client in self.clients), 60, "ids")

    def _connect(self, address, index, per_source):
        client = _Client()
        client.socket = socket.socket()
        source = index // per_source + 1
        client.socket.bind((f"127.77.{source // 250}.{source % 250 + 1}", 0))
        client.socket.settimeout(scaled(20))
        client.socket.connect(address)
        client.socket.setblocking(False)
        self.clients.append(client)
        self.by_descriptor[client.socket.fileno()] = client
        self.poll.register(client.socket, select.EPOLLIN)

    @property
    def ids(self):
        return [client.id for client in self.clients]

    def alive(self):
        return sum(not client.closed for client in self.clients)

    def _send(self, client, data):
        client.output += data
        self._flush(client)

    def _flush(self, client):
        try:
            sent = client.socket.send(client.output)
            client.output = client.output[sent:]
        except BlockingIOError:
            pass
        except OSError:
            self._end(client)
            return
        self.poll.modify(client.socket, select.EPOLLIN | (select.EPOLLOUT if client.output else 0))

    def _end(self, client):
        if not client.closed:
            client.closed = True
            self.by_descriptor.pop(client.socket.fileno(), None)
            client.socket.close()

    def update_all(self, version, state=lambda index: b"updated%d" % index):
        """Each client updates its own entry; returns when all are answered: how many were
        accepted."""
        before = [(client.acknowledged, client.refused) for client in self.clients]
        for index, client in enumerate(self.clients):
            if not client.closed:
                self._send(client, packets.versioned.update(client.id, version, state(index)))

        def answered():
            return all(client.closed or client.acknowledged + client.refused > sum(old)
                       for client, old in zip(self.clients, before))
        self.wait(answered, 60, "answers to updates")
        return sum(client.acknowledged - old[0] for client, old in zip(self.clients, before))

    def turn(self, timeout=0.05):
        """Reads and writes what can be."""
        for descriptor, events in self.poll.poll(timeout):
            client = self.by_descriptor.get(descriptor)
            if client is None:
                continue
            if events & select.EPOLLOUT:
                self._flush(client)
            if not client.closed and events & (select.EPOLLIN | select.EPOLLHUP | select.EPOLLERR):
                self._read(client)

    def _read(self, client):
        try:
            data = client.socket.recv(1 << 16)
        except BlockingIOError:
            return
        except OSError as error:
            assert error.errno in (errno.ECONNRESET, errno.EPIPE, errno.ETIMEDOUT), error
            data = b""
        if not data:
            self._end(client)
            return
        client.input += data
        while self._take(client):
            pass

    @staticmethod
    def _take(client):
        """One reply or push from the client's buffer; whether there was one."""
        data = client.input
        if not data:
            return False
        if data[0] == 0x2A:
            if len(data) < 4 or len(data) < 4 + data[3]:
                return False
            client.pushes += 1
            client.input = data[4 + data[3]:]
        elif client.id is None:
            if len(data) < 1 + data[0]:
                return False
            client.id = data[1:1 + data[0]]
            client.input = data[1 + data[0]:]
        else:
            client.acknowledged += data[0] == 1
            client.refused += data[0] == 0
            client.input = data[1:]
        return True

    def wait(self, predicate, timeout=10, what="condition"):
        end = time.monotonic() + scaled(timeout)
        while not predicate():
            assert time.monotonic() < end, f"{len(self.clients)} clients: no {what} in time"
            self.turn()

    def drop(self):
        """Ends all connections."""
        for client in self.clients:
            self._end(client)
        self.poll.close()
