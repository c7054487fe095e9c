"""The scripts of load whose costs are counted. Each class is one: its settings, what is there before (prepare, all
runs freely), and one operation."""
import socket

from figures import LIMITS
from harness.q3master import GameServer, Player
from harness.sync import Sync, text_of as sync_text
from harness.tracker import Original2013, Versioned, packets
from harness.turntable import Turntable, text_of as turntable_text
from harness.waiting import scaled
from harness.websocket import TEXT, frame, handshake

# Redis's clock goes on while the front-end's is stopped: entries must not expire. A busy machine may be slow.
SETTINGS = {**LIMITS, "client.ttl": "1h", "redis.deadline": "10m", "redis.timeout": "10m",
            "redis.connect_timeout": "10m"}
WATCHERS = 10
MASK = b"\1\2\3\4"
KEY = "AAAAAAAAAAAAAAAAAAAAAA=="
ALL = {}


def text_frame(text):
    return frame(TEXT, text, mask=MASK)


class Script:
    """count: operations of a window."""
    LISTEN = ("tracker=127.0.0.1:0", "web=127.0.0.1:0")
    SETTINGS = SETTINGS
    COUNT = 30
    # What is kept after each operation is counted as well.
    KEEPS = False

    def __init_subclass__(cls):
        if cls.__doc__:
            ALL[cls.__name__] = cls

    def __init__(self, world):
        self.world, self.t, self.frontend = world, world.t, world.frontend

    def prepare(self):
        pass

    def operate(self):
        raise NotImplementedError


def take(one, least=1):
    """What a client has been sent: that much at least."""
    data = b""
    while len(data) < least:
        part = one.recv(1 << 18)
        assert part, "the front-end closed a connection"
        data += part
    return data


class update(Script):
    """an update over the Tracker protocol, to its answer"""

    def prepare(self):
        self.client = self.t.connect(self.frontend, Original2013)
        self.id = self.client.open(b"s" * 100)
        self.version = 0

    def operate(self):
        self.version += 1
        self.world.send(self.client.socket, packets.original.update(self.id, self.version, b"%0100d" % self.version))
        assert take(self.client.socket) == b"\1"


class delivery(update):
    """an update pushed to 10 watchers of the Tracker protocol, who acknowledge it"""
    COUNT = 10

    def prepare(self):
        super().prepare()
        self.watchers = [self.t.connect(self.frontend, Versioned) for _ in range(WATCHERS)]
        for watcher in self.watchers:
            watcher.open(b"w")
        for watcher in self.watchers:
            watcher.wait_for_map(lambda states: len(states) == WATCHERS + 1)

    def operate(self):
        super().operate()
        for watcher in self.watchers:
            push = take(watcher.socket)
            assert push[:3] == b"\x2a\1\2" and len(push) == push[3] + 4, push
            self.world.send(watcher.socket, b"\1")


class room_message(Script):
    """a turntable message to a room of 10, over WebSocket"""
    COUNT = 10

    def prepare(self):
        self.members = [self.t.connect(self.frontend, Turntable, "web", user=f"1:{1000 + number}")
                        for number in range(WATCHERS)]
        for member in self.members:
            member.join("arena")
        for member in self.members:
            member.wait_members("arena", [one.user for one in self.members])
            member.sync()
        self.text = turntable_text("game", {"channel": "arena", "actions": [{"data": "m" * 100}]})

    def operate(self):
        self.world.send(self.members[0].websocket.socket, text_frame(self.text))
        for member in self.members:
            messages = take(member.websocket.socket)
            assert b'"command":"game"' in messages and messages.endswith(b"}"), messages


class sync_change(Script):
    """a property changed in metadata sync, and the tick that sends it to 10 clients"""
    COUNT = 10
    TICK = 10
    SETTINGS = {**SETTINGS, "sync.tick": f"{TICK}ms"}
    DELTA = False

    def prepare(self):
        self.clients = [self.t.connect(self.frontend, Sync, "web", delta=self.DELTA) for _ in range(WATCHERS)]
        for client in self.clients:
            client.wait_map(lambda received: len(received) == WATCHERS)
        self.number = 0

    def operate(self):
        self.number += 1
        text = sync_text("server", {"type": "properties", "properties": {"place": "%0100d" % self.number}})
        self.world.send(self.clients[0].websocket.socket, text_frame(text))
        self.world.advance(self.TICK)
        for client in self.clients:
            messages = take(client.websocket.socket)
            assert b'"changes"' in messages, messages


class sync_delta_change(sync_change):
    """the same, of clients that are sent differences"""
    DELTA = True


class health(Script):
    """GET /healthz on a connection that is kept"""
    PATH = "/healthz"

    def prepare(self):
        self.connection = self.t.raw(self.frontend, kind="web").socket
        self.request = f"GET {self.PATH} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode()

    def operate(self):
        self.world.send(self.connection, self.request)
        answer = take(self.connection)
        assert answer.startswith(b"HTTP/1.1 200 "), answer


class client_list(health):
    """GET /api/v1/clients with 50 entries"""
    PATH = "/api/v1/clients?limit=50"

    def prepare(self):
        super().prepare()
        for _ in range(50):
            self.t.connect(self.frontend, Original2013).open(b"s" * 100)
        self.t.wait_until(lambda: self.frontend.http(self.PATH)[2].count(b'"id"') == 50)


class server_list(Script):
    """getservers with 20 servers, over UDP"""
    LISTEN = ("q3master=127.0.0.1:0", "web=127.0.0.1:0")
    SETTINGS = {**SETTINGS, "q3master.allow_loopback": "true", "q3master.max_per_address": "0",
                "q3master.query_rate": "0", "q3master.heartbeat_rate": "0", "q3master.max_output": "0"}
    QUESTION = "getservers Xonotic 3 empty full"

    def prepare(self):
        address = self.frontend.address("q3master")
        for _ in range(20):
            server = GameServer(address)
            self.t.stack.callback(server.close)
            server.register()
        self.player = Player(address)
        self.t.stack.callback(self.player.close)
        self.t.wait_until(lambda: len(self.player.servers(self.QUESTION) or ()) == 20)
        self.player.socket.connect(address)

    def operate(self):
        self.world.send(self.player.socket, b"\xff\xff\xff\xff" + self.QUESTION.encode())
        answer = take(self.player.socket)
        assert answer.count(b"\\") >= 20, answer


class tcp_connection(Script):
    """a connection of the Tracker protocol that is idle"""
    KEEPS = True
    KIND = "tracker"

    def operate(self):
        connection = socket.create_connection(self.frontend.address(self.KIND), timeout=scaled(10))
        self.t.stack.callback(connection.close)
        self.world.send(connection)
        self.begin(connection)

    def begin(self, connection):
        pass


class tcp_entry(tcp_connection):
    """the same, with an entry opened"""

    def begin(self, connection):
        self.world.send(connection, packets.original.open(b"s" * 16))
        assert len(take(connection, 7)) == 7


class websocket_connection(tcp_connection):
    """a WebSocket connection of turntable that is idle"""
    KIND = "web"

    def begin(self, connection):
        request, _ = handshake("localhost", "/turntable", ("turntable",), key=KEY)
        self.world.send(connection, request)
        answer = take(connection)
        assert answer.startswith(b"HTTP/1.1 101 "), answer


class websocket_user(websocket_connection):
    """the same, identified"""
    users = 0

    def begin(self, connection):
        super().begin(connection)
        self.users += 1
        before = self.world.requests()
        self.world.send(connection, text_frame(turntable_text("idme", f"1:{1000 + self.users}")))
        assert self.world.requests() > before, "the user is not identified in Redis"
