"""Clients of the Tracker protocol: one that has an entry and may receive the map, and one that reads maps."""
import struct

from ..tracker import packets, parse_map_text
from .clients import Client
from .truth import Subject, Value
from .wire import Wire

AGAIN = 0.3
# The end of a map that is sent in several packets is not said: nothing more of it has come for so long.
MAP_PAUSE = 0.3


class Tracker(Client):
    """The versioned dialect. watches: what it is pushed is judged."""

    kind = "tracker"
    protocol = "tracker"

    def __init__(self, run, index, via, watches=False):
        super().__init__(run, index, via)
        self.watches = watches
        self.id = None
        self.version = 0
        self.counter = 0
        self.subject = None
        self.wanted = self._state()
        self.value = None  # of `wanted`, once it has been sent
        self.closing = False
        self.view = None

    def _state(self):
        return f"{self.name} {self.counter}"

    def make_wire(self, address):
        return Wire(self.run.loop, self, address, self.host)

    def begin(self):
        self.input = b""
        self.asked = None
        self.mine = False  # this connection owns the entry
        self.ask_at = 0.0
        self.map, self.map_version, self.map_at = {}, None, None
        self.view = self.run.views.open(self, "push") if self.watches else None

    def on_open(self):
        self.note("connected", self.wire.local[1])
        self.pursue(self.run.now())

    # Wanting.

    def change(self, _now):
        self.counter += 1
        self.wanted = self._state()
        if self.unserved_since is None:
            self.unserved_since = self.run.now()

    def close_and_open(self, _now):
        if self.subject is not None:
            self.closing = True
            if self.unserved_since is None:
                self.unserved_since = self.run.now()

    def waiting_since(self):
        if self.wire is not None and not self.wire.opened:
            return self.connected_at
        return self.asked[2] if self.asked else None

    def pursue(self, now):
        self._end_map(now)
        if self.asked or not self.wire.opened or now < self.ask_at:
            return
        if self.closing:
            self._ask("close", packets.versioned.close(self.id), now)
            self.subject.absent(now)
        elif self.id is None:
            self.value = Value(self.wanted, now)
            self._ask("open", packets.versioned.open(self.wanted.encode()), now)
        elif not self.mine or self.value is None or self.value.text != self.wanted or self.value.acknowledged is None:
            self.version += 1
            if self.value is None or self.value.text != self.wanted:
                self.value = self.subject.want(self.wanted, now)
            self._ask("update", packets.versioned.update(self.id, self.version, self.wanted.encode()), now)

    def _ask(self, kind, data, now):
        self.asked = (kind, self.value, now)
        self.note(kind, self.id, self.version, self.wanted)
        self.wire.send(data)

    def _answered(self, now, accepted, id=b""):
        kind, value, _ = self.asked
        self.asked = None
        self.note(kind, "accepted" if accepted else "refused", id)
        if not accepted:
            self.ask_at = now + AGAIN
            if kind == "close":
                self.closing_refused(now)
            return
        if kind == "close":
            self.subject.end(now, "closed")
            self.id, self.subject, self.value, self.closing, self.mine = None, None, None, False, False
            return
        if kind == "open":
            self.id, self.version = id, 0
            self.subject = self.run.views.subject(id.decode("latin-1"), self)
            self.subject.values.append(value)
        self.mine = True
        value.acknowledged = now
        self.subject.present(now, self.front_end)
        if self.wanted == value.text and not self.closing:
            self.served()

    def closing_refused(self, now):
        """Whether it was closed is not known: it is asked again."""

    # What happens to it.

    def on_lost(self, now):
        self.run.views.close(self.view)
        self.view = None
        if self.subject is not None:
            self.subject.absent(now)
            if self.asked is not None:
                self.subject.doubt = now

    def say_goodbye(self, now, how):
        if how == "close" and self.wire is not None and self.mine and not self.asked:
            self.wire.send(packets.versioned.close(self.id))
        super().say_goodbye(now, how)

    def on_left(self, now):
        self.on_lost(now)
        if self.subject is not None:
            self.subject.end(now, "left")

    def subjects(self):
        return [self.subject] if self.subject is not None else []

    # What it is sent.

    def on_bytes(self, data):
        self.input += data
        now = self.run.now()
        while self.input and self.wire is not None and self._take(now):
            pass

    def _take(self, now):
        data = self.input
        if data[0] == 0x2A:
            if len(data) < 4 or len(data) < 4 + data[3]:
                return False
            self.input = data[4 + data[3]:]
            self._pushed(now, data[2], data[4:4 + data[3]])
            return True
        assert self.asked, f"{self.name} is answered what it has not asked: {data!r}"
        if self.asked[0] == "open" and data[0]:
            if len(data) < 1 + data[0]:
                return False
            self.input = data[1 + data[0]:]
            self._answered(now, True, data[1:1 + data[0]])
        else:
            assert data[0] in (0, 1), data
            self.input = data[1:]
            self._answered(now, data[0] == 1)
        return True

    def _pushed(self, now, kind, content):
        if self.view is None:
            return
        if kind == 3:
            version, content = content[0], content[1:]
            if version != self.map_version:
                self._end_map(now, True)
                self.map = {}
            self.map_version = version
            for id, state in entries_of(content):
                self.map[id] = state
            self.map_at = now
        else:
            for id, state in entries_of(content):
                if self.map_at is not None:
                    self.map[id] = state
                self.view.put(now, id, state)

    def _held_up_until(self, now):
        """What its front-end has sent may come as late as that. Lost packets are sent again after times that double,
        so it may take as long again as the trouble lasted."""
        scopes = {self.view.front_end()} if self.view is not None else set()
        return max((one.end + (one.end - one.begin) for one in self.run.disturbances.concerning(scopes)
                    if one.begin <= now and (one.scope or one.what == "machine stalls")), default=0)

    def _end_map(self, now, at_once=False):
        """A whole map has come, as far as can be known."""
        if self.map_at is not None and (at_once or now - max(self.map_at, self._held_up_until(now)) > MAP_PAUSE):
            at, self.map_at = self.map_at, None
            # Its own entry is believed as it wrote it.
            if self.view is not None:
                self.view.whole(at, self.map, ignored=self.id and self.id.decode("latin-1"))


def entries_of(content):
    """{ version n id[n] m state[m] }* as (id, state)s of text."""
    while content:
        n = content[1]
        m = content[2 + n]
        yield content[2:2 + n].decode("latin-1"), content[3 + n:3 + n + m].decode("utf-8", "replace")
        content = content[3 + n + m:]


class Getter(Client):
    """The original program of 2014 without an entry: it reads the whole map again and again."""

    kind = "get"
    protocol = "get"

    def begin(self):
        self.input = b""
        self.asked_at = None
        self.next_at = 0.0
        self.view = self.run.views.open(self, "get")

    def make_wire(self, address):
        return Wire(self.run.loop, self, address, self.host)

    def lose(self, now, delay=None):
        # It stays with its front-end.
        super().lose(now, 0.2 if delay is None else delay)

    def on_open(self):
        self.pursue(self.run.now())

    def pursue(self, now):
        if self.asked_at is None and self.wire.opened and now >= self.next_at:
            self.asked_at = now
            self.wire.send(packets.original.get)

    def waiting_since(self):
        return self.connected_at if not self.wire.opened else self.asked_at

    def on_lost(self, now):
        self.run.views.close(self.view)

    def on_left(self, now):
        self.run.views.close(self.view)

    def on_bytes(self, data):
        self.input += data
        if len(self.input) < 8 or len(self.input) < 8 + struct.unpack(">q", self.input[:8])[0]:
            return
        text, self.input = self.input[8:], b""
        now = self.run.now()
        self.asked_at = None
        self.next_at = now + 0.25
        if text:
            self.served()
            found = {id.decode("latin-1"): state.decode("utf-8", "replace")
                     for id, state in parse_map_text(text).items()}
            self.view.whole(now, found)
