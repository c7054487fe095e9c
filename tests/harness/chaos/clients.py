"""What clients of all protocols have in common: one connection at a time, by HAProxy or straight to a
front-end; a client whose connection is gone comes back, by itself and at once, unless it means to be away.
"""
import collections
import random
import socket
import traceback

from ..waiting import scaled

# Seconds without an answer, and a client tries another connection.
GIVE_UP = 6
HAPROXY = "haproxy"


class Client:
    """via: HAPROXY, or the letter of a front-end. kind: a listener of world.LISTENERS."""

    kind = None
    protocol = None

    def __init__(self, run, index, via):
        self.run = run
        self.index = index
        self.via = via
        self.name = f"{self.protocol}{index}"
        self.numbers = random.Random(f"{run.schedule.seed}/{self.name}")
        self.host = run.world.clients_host
        self.wire = None
        self.wants_to_be_here = True
        self.try_at = 0.0
        self.lost_at = None  # since when it has no connection that was of use
        self.unserved_since = 0.0  # since when it wants something and has not got it; None: it wants nothing
        self.front_end = None  # of a connection made straight to it
        self.history = collections.deque(maxlen=200)
        self.connections = 0

    def note(self, *words):
        self.history.append((round(self.run.now(), 3), *words))

    # The connection.

    def connect(self, now):
        self.front_end = None if self.via == HAPROXY else self.via
        address = self.run.world.address(self.via, self.kind)
        self.connections += 1
        self.note("connects", self.via)
        self.begin()
        self.wire = self.make_wire(address)
        if self.wire.ended:
            self.wire = None
            self.try_at = now + 0.2
            return
        for option, value in ((socket.TCP_KEEPIDLE, 1), (socket.TCP_KEEPINTVL, 1), (socket.TCP_KEEPCNT, 3),
                              (socket.TCP_USER_TIMEOUT, 4000)):
            self.wire.socket.setsockopt(socket.IPPROTO_TCP, option, value)
        self.wire.socket.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        self.connected_at = now

    def make_wire(self, address):
        raise NotImplementedError

    def begin(self):
        """Before a connection is made."""

    def on_end(self, why):
        self.note("ended", why)
        self.lose(self.run.now())

    def on_nonsense(self, error):
        """It was sent what its protocol's document does not allow."""
        place = traceback.extract_tb(error.__traceback__)[-1]
        self.run.oracle.violate("protocol", self.name, f"{self.name} received a malformed message: {error!r} in "
                                f"{place.name}, line {place.lineno}")
        self.lose(self.run.now())

    def drop(self, now, delay=None):
        """Its own doing: it ends the connection, and comes back after that."""
        if self.wire is not None:
            self.note("drops")
            self.wire.drop()
            self.lose(now, delay)

    def lose(self, now, delay=None):
        if self.wire is None:
            return
        self.wire.drop()
        self.wire = None
        if self.lost_at is None:
            self.lost_at = now
        if self.unserved_since is None:
            self.unserved_since = now
        if self.via != HAPROXY and delay is None:
            # As one that has a list of addresses.
            self.via = self.numbers.choice([one for one in self.run.world.letters if one != self.via])
        self.try_at = now + (self.numbers.uniform(0.05, 0.3) if delay is None else delay)
        if delay:
            self.unserved_since = self.try_at
        self.on_lost(now)

    def on_lost(self, now):
        """What follows for the subjects."""

    def move(self, now, via):
        """It comes back at once, there."""
        if self.wants_to_be_here:
            self.via = via
            self.drop(now, 0.01)

    def turn(self, now):
        if self.wire is None:
            if self.wants_to_be_here and now >= self.try_at:
                self.connect(now)
            return
        if self.waiting_since() is not None and now - self.waiting_since() > scaled(GIVE_UP):
            self.note("gives up")
            self.lose(now)
            return
        self.pursue(now)

    def waiting_since(self):
        """Since when an answer is outstanding; None: none is."""
        return None

    def pursue(self, now):
        """Does what is to be done next."""

    def served(self):
        self.lost_at = None
        self.unserved_since = None

    def leave(self, now, how):
        """For good. how: "close" with its protocol's word, else "drop"."""
        self.wants_to_be_here = False
        self.unserved_since = None
        self.note("leaves", how)
        self.say_goodbye(now, how)

    def say_goodbye(self, now, how):
        if self.wire is not None:
            self.wire.drop()
            self.wire = None
        self.on_left(now)

    def on_left(self, now):
        raise NotImplementedError

    def settled(self):
        """It has all that it wants."""
        return self.unserved_since is None

    def subjects(self):
        return []
