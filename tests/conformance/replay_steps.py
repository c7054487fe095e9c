"""The front-ends, connections and steps of a session that replay plays: see replay_session.py for what it says.

Each step is sent, and handled to its end in both front-ends and in Redis, before the next one. So the order of
everything is the same each time.
"""
import os
import socket

import lockstep
from replay_record import Content, Names, Published, Transcript

from harness.clock import Clock
from harness.lobby import PASSWORD
from harness.q3master import HEADER
from harness.sync import text_of as sync_text
from harness.turntable import text_of as turntable_text
from harness.waiting import readable, scaled
from harness.websocket import CLOSE, TEXT, close_payload, frame, handshake

LISTEN = ("tracker=127.0.0.1:0", "tracker=127.0.0.1:0,original=2014", "web=127.0.0.1:0", "turntable=127.0.0.1:0",
          "sync=127.0.0.1:0", "lobby-servers=127.0.0.1:0", "lobby-clients=127.0.0.1:0", "lobby=127.0.0.1:0",
          "q3master=127.0.0.1:0")
WIDE = "tracker=127.0.0.1:0,form=wide"
BEGIN = 1600000000  # Redis's time; not one of today, by which times of the front-ends are known
GRACE = 1
LEASE = 10
SETTINGS = {"net.max_per_address": "0", "net.handshake_timeout": "1h", "access.connect_rate": "0", "tracker.rate": "0",
            "budget.rate": "0", "budget.address_rate": "0", "ws.rate": "0", "client.ttl": "1h", "client.grace": f"{GRACE}s",
            "map.lease": f"{LEASE}s", "redis.deadline": "10m", "redis.timeout": "10m", "redis.connect_timeout": "10m",
            "turntable.validate": "off", "turntable.max_errors": "1000", "sync.max_errors": "1000",
            "lobby.password": PASSWORD, "lobby.max_per_ip": "0", "lobby.host_byte_order": "network",
            "lobby.max_errors": "1000", "q3master.allow_loopback": "true", "q3master.max_per_address": "0",
            "q3master.query_rate": "0", "q3master.heartbeat_rate": "0", "web.addresses": "true"}
STRICT = {"turntable.validate": "form", "turntable.id_form": "strict"}
# Settings that have had another name.
FORMER = {"map.recovery_grace": "map.hold", "presence.offline_delay": "presence.hold"}
RENAMED = {"map.recovery_grace": "0s", "presence.offline_delay": "0s"}
MASK = b"\1\2\3\4"
KEY = "AAAAAAAAAAAAAAAAAAAAAA=="
GETINFO = HEADER + b"getinfo "


class Front(lockstep.World):
    """One of the front-ends; it is not alone with Redis."""

    def __init__(self, session, name, **options):
        super().__init__(session.t, "plain", node=name, **options)
        self.session = session

    def settle(self):
        self.session.settle()

    def _keep_leases(self):
        """They are long enough, and renew() moves them."""


class Peer:
    """A connection to a front-end."""

    def __init__(self, session, name, world, kind, transcript, index=0):
        self.session, self.world = session, world
        self.transcript = session.transcript(name, transcript)
        self.address = world.frontend.address(kind, index)
        self.socket = self.open()
        session.learn_port(self.socket)
        session.peers.append(self)
        self.begin()

    def begin(self):
        """The front-end accepts it."""
        self.world.send(self.socket)
        self.session.collect()

    def open(self):
        one = self.session.bound(socket.SOCK_STREAM)
        one.settimeout(scaled(5))
        one.connect(self.address)
        return one

    def send(self, data, answers=True, shown=None):
        """One step; returns what the front-end has sent on this connection. answers: it must send something. shown:
        what the transcript has instead of the bytes."""
        if self.socket is None:
            self.transcript.add("-", b"not sent, as it is closed")
            return b""
        self.transcript.add(">", data if shown is None else shown)
        before = len(self.transcript.parts)
        self.world.send(self.socket, data)
        if answers and not readable(self.socket, scaled(5)):
            raise AssertionError(f"{self.transcript.name}: no answer to {data!r}")
        self.session.collect()
        return b"".join(part for direction, part in self.transcript.parts[before:] if direction == "<")

    def post(self, data):
        self.send(data, answers=False)

    def collect(self):
        while self.socket is not None and readable(self.socket, 0):
            try:
                data = self.socket.recv(1 << 18)
            except ConnectionResetError:
                data = b""
            if not data:
                self.transcript.add("-", b"closed by the front-end")
                self.socket.close()
                self.socket = None
                return
            self.transcript.add("<", data)

    def drop(self):
        """Ends it without a word."""
        if self.socket is not None:
            self.transcript.add("-", b"closed by the client")
            self.socket.close()
            self.socket = None
            self.world.command(b"i")
            self.session.settle()
            self.session.collect()


class WebSocketPeer(Peer):
    def __init__(self, session, name, world, path, protocols=(), kind="web"):
        super().__init__(session, name, world, kind, "websocket")
        self.received = self.send(handshake("localhost", path, protocols, key=KEY)[0])

    def say(self, text, answers=True, opcode=TEXT):
        return self.send(frame(opcode, text, mask=MASK), answers, b"frame %02x " % opcode + text)

    def note(self, text):
        return self.say(text, answers=False)

    def turntable(self, command, data=None, answers=True, **more):
        return self.say(turntable_text(command, data, **more), answers)

    def sync(self, to, packet, answers=False):
        return self.say(sync_text(to, packet), answers)

    def close(self):
        self.send(frame(CLOSE, close_payload(1000), mask=MASK))


class Datagrams(Peer):
    """A game's UDP socket; it sends to the master, and receives from anybody."""

    def __init__(self, session, name, world, given):
        self.given = given
        super().__init__(session, name, world, "q3master", "datagrams")

    def open(self):
        return self.given

    def begin(self):
        """There is nothing to accept."""

    def send(self, data, answers=True):
        self.transcript.add(">", data)
        before = len(self.transcript.parts)
        self.socket.sendto(HEADER + data, self.address)
        self.world.command(b"i")
        self.session.settle()
        if answers and not readable(self.socket, scaled(5)):
            raise AssertionError(f"{self.transcript.name}: no answer to {data!r}")
        self.session.collect()
        return b"".join(part for direction, part in self.transcript.parts[before:] if direction == "<")

    def collect(self):
        while readable(self.socket, 0):
            data = self.socket.recvfrom(1 << 16)[0]
            self.transcript.add("<", data)
            if data.startswith(GETINFO):
                self.session.names.learn("challenge", data[len(GETINFO):].strip(b"\n\0"))


class Session:
    """known: the names of settings that both builds have."""

    def __init__(self, t, known, tools):
        self.t, self.known = t, known
        self.names = Names()
        self.peers, self.transcripts, self.contents, self.chosen = [], [], [], {b"someId1", b"tracked"}
        self.ports = set()
        # Redis's time passes only in advance().
        self.clock = Clock(t, stopped_at=BEGIN)
        self.redis = t.redis(environment={**self.clock.environment, "LD_PRELOAD": os.path.join(tools, "clock_shift.so")})
        self.published = Published(self.redis)
        settings = {key: value for key, value in SETTINGS.items() if key in known}
        if "turntable.id_form" not in known:
            # 0.1.0 has no other form of ids.
            settings.update({key: value for key, value in STRICT.items() if key in known.own})
        settings.update({key if key in known.own else FORMER[key]: value for key, value in RENAMED.items()})
        listen = LISTEN + ((WIDE,) if "tracker.form" in known else ())
        self.worlds = []
        for name in "ab":
            self.worlds.append(Front(self, name, tools=tools, listen=listen, settings=settings, redis=self.redis))
        self.a, self.b = self.worlds
        for world in self.worlds:
            for _, where in world.frontend.listeners:
                self.ports.add(int(where.rpartition(":")[2]))
                self.names.learn_port(int(where.rpartition(":")[2]))
        # In the order of their ports, as that is the order of their entries.
        self.sockets = sorted((self.bound(socket.SOCK_DGRAM) for _ in range(8)), key=lambda one: one.getsockname()[1])
        for world in self.worlds:
            world.lock()

    def bound(self, kind):
        """A socket on a port that nothing in this session has had: a number stands for one thing."""
        while True:
            one = socket.socket(socket.AF_INET, kind)
            one.bind(("127.0.0.1", 0))
            self.t.stack.callback(one.close)
            if one.getsockname()[1] not in self.ports:
                self.ports.add(one.getsockname()[1])
                return one

    def transcript(self, name, kind):
        self.transcripts.append(Transcript(name, kind))
        return self.transcripts[-1]

    def learn_port(self, one):
        self.names.learn_port(one.getsockname()[1])

    # Steps.

    def settle(self):
        """Until no front-end has anything to say to Redis."""
        while [link for world in self.worlds for link in world.links.links if link.forward()]:
            for world in self.worlds:
                world.deliver_replies()
        self.published.read()

    def collect(self):
        for peer in self.peers:
            peer.collect()

    def advance(self, milliseconds):
        self.clock.shift(milliseconds / 1000)
        for world in self.worlds:
            world.advance(milliseconds)
        self.collect()

    def later(self, seconds):
        for _ in range(seconds):
            self.advance(1000)

    def renew(self):
        """Until both have renewed their leases: what another one owns is decided then."""
        self.later(LEASE)

    def keep(self, when):
        self.contents.append(Content(self.redis, when))

    def tcp(self, name, world, kind="tracker", index=0):
        return Peer(self, name, world, kind, "bytes", index)

    def http(self, name, world, text):
        peer = Peer(self, name, world, "web", "http")
        peer.send(text.replace("\n", "\r\n").encode())
        return peer

    def lines(self):
        self.published.learn(self.names, self.chosen)
        parts = [one.lines(self.names) for one in (*self.transcripts, self.published, *self.contents)]
        return [line for part in parts for line in part]

    def play(self, parts):
        """Each a function of the session."""
        for part in parts:
            part(self)
            self.keep(f"after {part.__name__}")
        for world in self.worlds:
            world.end()
