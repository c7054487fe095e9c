"""Game servers and players of the lobby, written from its document and not from the server's code."""
import json
import socket
import struct
import time

from .tracker import Client
from .waiting import scaled

PASSWORD = "letmein1"
LISTEN = ("lobby-servers=127.0.0.1:0", "lobby-clients=127.0.0.1:0", "lobby=127.0.0.1:0", "web=127.0.0.1:0")
INFOS = {"speed": "fast", "size": "big", "erase": True, "description": "A server", "version": "0.70", "players": 3}


def settings(**more):
    """For a front-end; keys of lobby.*, "_" for the dots of others."""
    found = {"lobby.password": PASSWORD, "map.recovery_grace": "0s", "lobby.max_per_ip": "0"}
    found.update({f"lobby.{key}" if "." not in key else key: value for key, value in more.items()})
    return found


class Lines(Client):
    """A connection that speaks lines of JSON."""

    def say(self, **message):
        self.send(json.dumps(message).encode() + b"\n")

    def line(self):
        """The next line, without its end."""
        self.need(1)
        while b"\n" not in self.input:
            self.need(len(self.input) + 1)
        line, _, self.input = self.input.partition(b"\n")
        assert len(line) <= 4096, len(line)
        return line

    def receive(self, *types):
        """The next message; of one of the types, when there are any, and pings are passed over
        where they are not asked for."""
        while True:
            message = json.loads(self.line(), object_pairs_hook=no_key_twice)
            if message["type"] != "ping" or "ping" in types:
                assert not types or message["type"] in types, message
                return message

    def refused(self, code, closes=True):
        """The next message is that error; then the end, unless the connection goes on."""
        message = self.receive("error")
        assert message["code"] == code and message["message"], message
        if closes:
            assert self.closed(), code


def no_key_twice(pairs):
    keys = [key for key, _ in pairs]
    assert len(keys) == len(set(keys)), keys
    return dict(pairs)


class Game(Lines):
    """A game server: its connection, and its game's port. host: where it comes from."""

    def __init__(self, address, source="127.0.0.1", port=0, **options):
        super().__init__(address, source=source, **options)
        self.udp = socket.socket(socket.AF_INET6 if ":" in source else socket.AF_INET, socket.SOCK_DGRAM)
        self.udp.settimeout(self.timeout)
        self.udp.bind((source, port))
        self.port = self.udp.getsockname()[1]
        self.id = f"[{source}]:{self.port}" if ":" in source else f"{source}:{self.port}"

    def drop(self):
        super().drop()
        self.udp.close()

    def login(self, password=PASSWORD, **more):
        self.say(type="login", passwd=password, port=self.port, **more)
        return self.receive("welcome")

    def number(self):
        """That of the next datagram."""
        datagram, self.sender = self.udp.recvfrom(2048)
        assert datagram.startswith(b"\xff\xff\xff\xfftracker verify ") and datagram.endswith(b"\n"), datagram
        text = datagram[19:-1]
        assert text.isdigit() and 4 <= len(text) <= 15, datagram
        return int(text)

    def verify(self):
        self.say(type="verify", number=self.number())

    def infos(self, **changes):
        self.say(type="infos", **{**INFOS, **changes})

    def be_listed(self, password=PASSWORD, name=None, **infos):
        """The whole way; whether it is listed shows at a player."""
        welcome = self.login(password, **({"name": name} if name else {}))
        assert welcome["id"] == self.id, welcome
        if welcome["verify"] == "udp":
            self.verify()
        self.infos(**infos)
        return self

    def answer_pings(self, seconds):
        """Answers what comes for that long; whether the connection is still there."""
        end = time.monotonic() + scaled(seconds)
        try:
            while time.monotonic() < end:
                if not self._fill(max(0, end - time.monotonic())):
                    continue
                while b"\n" in self.input:
                    message = self.receive("ping", "error")
                    assert message["type"] == "ping", message
                    self.say(type="pong", n=message["n"])
        except ConnectionError:
            return False
        return True


class Player(Lines):
    """A player; `servers` is the list it received: id -> server."""

    def login(self):
        self.say(type="login")
        self.servers = {}
        return self.read_list()

    def read_list(self):
        self.servers = {}
        while True:
            message = self.receive("servers")
            for server in message["servers"]:
                assert server["id"] not in self.servers
                self.servers[server["id"]] = server
            if not message.get("more"):
                return self.servers

    def change(self, *types):
        """The next change, judged by what is known."""
        message = self.receive(*(types or ("up", "changed", "down")))
        kind, server = message["type"], message["server"]
        assert (server["id"] in self.servers) == (kind != "up"), message
        if kind == "down":
            del self.servers[server["id"]]
        else:
            self.servers[server["id"]] = server
        return kind, server

    def wait_for(self, predicate, timeout=15):
        """Takes changes until predicate(servers) holds; the list may come again too."""
        end = time.monotonic() + scaled(timeout)
        while not predicate(self.servers):
            assert time.monotonic() < end, self.servers
            message = self.receive("up", "changed", "down", "servers")
            self.take(message) if message["type"] != "servers" else self.take_list(message)

    def take(self, message_or_count):
        if isinstance(message_or_count, int):
            return super().take(message_or_count)
        server = message_or_count["server"]
        if message_or_count["type"] == "down":
            self.servers.pop(server["id"])
        else:
            self.servers[server["id"]] = server
        return None

    def take_list(self, message):
        self.servers = {}
        while True:
            self.servers.update({server["id"]: server for server in message["servers"]})
            if not message.get("more"):
                return
            message = self.receive("servers")


SPEEDS = ("boring", "normal", "fast", "crazy")
SIZES = ("tiny", "medium", "big", "vast", "extreme")


class Original(Client):
    """The original's packets, 76 bytes each: a game server or a client."""

    def packet(self, text):
        self.send(text + bytes(76 - len(text)))

    def login_server(self, password=PASSWORD):
        self.packet(struct.pack(">HHH9s", 0, 0, 0, password.encode()))

    def login_client(self):
        self.packet(struct.pack(">HHH", 0, 0, 1))

    def infos(self, port, speed=2, size=2, erase=1, description=b"An original", version=b"0.70", host=b"\x09\x09\x09\x09",
              players=3):
        self.packet(struct.pack(">HHHHH32s9s4sHH", 1, 0, speed, size, erase, description, version, host, port, players))

    def receive(self):
        """One TINFOS: (which, its fields)."""
        data = self.take(76)
        kind, which, speed, size, erase, description, version, host, port, players = struct.unpack(">HHHHH32s9s4sHH", data[:59])
        assert kind == 1 and data[59:] == bytes(17), data
        return which, {"speed": speed, "size": size, "erase": erase, "description": description.rstrip(b"\0"),
                       "version": version.rstrip(b"\0"), "host": socket.inet_ntoa(host[::-1]), "port": port, "players": players}
