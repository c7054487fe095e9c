"""Clients of metadata sync: whole maps or deltas, with or without coming back."""
import json

from ..sync import Sync as SyncMessages
from ..sync import text_of
from .clients import Client
from .views import canonical
from .wire import WebSocketWire


class Received(SyncMessages):
    """What one connection was sent, by the rules of the document; without a socket."""

    def __init__(self, delta):  # pylint: disable=super-init-not-called
        # Its own token may be missing for a moment after its front-end was frozen.
        self._begin(delta, True, False)

    def take(self, payload):
        """"metadata", "changes" or None."""
        packet = json.loads(payload)
        before = self.metadata, len(self.ticks)
        self._note(packet, payload)
        self.ticks = self.ticks[-1:] if len(self.ticks) > 100 else self.ticks
        return "metadata" if self.metadata != before[0] else "changes" if len(self.ticks) != before[1] else None


class Sync(Client):
    """delta: of its mode. resumes: it comes back to its entry. silent: it never says anything."""

    kind = "sync"
    protocol = "sync"

    def __init__(self, run, index, via, delta=False, resumes=False, silent=False):
        super().__init__(run, index, via)
        self.delta, self.resumes, self.silent = delta, resumes, silent
        self.secret = None
        self.subject = None
        self.properties = {}
        self.counter = 0
        self.view = None
        self.resume_lost = None  # when the connection was lost whose entry is asked for

    def begin(self):
        self.received = Received(self.delta)
        self.ready = False
        self.sent = None
        self.view = self.run.views.open(self, "delta" if self.delta else "whole")

    def make_wire(self, address):
        query = ["mode=delta"] if self.delta else []
        if self.resumes:
            query.append("resume" if self.secret is None else f"resume={self.secret}")
        path = "/sync" + ("?" + "&".join(query) if query else "")
        return WebSocketWire(self.run.loop, self, address, self.host, path)

    def on_open(self):
        self.note("connected", self.wire.local[1])

    def waiting_since(self):
        return None if self.ready else self.connected_at

    # What it wants to be seen as.

    def change(self, now):
        if self.silent:
            return
        self.counter += 1
        name = ("n", "m", "o")[self.counter % 3]
        if self.counter % 7 == 0:
            self.properties.pop(name, None)
        else:
            self.properties[name] = self.counter
        if self.ready:
            self._set(now)

    def _set(self, now):
        sent = self.sent or {}
        difference = {name: value for name, value in self.properties.items() if sent.get(name) != value}
        difference.update({name: None for name in sent if name not in self.properties})
        self.sent = dict(self.properties)
        value = self.subject.want(canonical(json.dumps(self.properties)), now)
        value.acknowledged = now
        if difference:
            self.wire.say(text_of("server", {"type": "properties", "properties": difference}))

    # What it is sent.

    def on_text(self, payload):
        now = self.run.now()
        kind = self.received.take(payload)
        if kind == "metadata" and not self.ready:
            self._begins(now)
        if kind == "metadata":
            self.view.whole(now, {token: json.dumps(value) for token, value in self.received.map.items()}, as_json=True)
        elif kind == "changes" and self.delta:
            self._changes(now, self.received.ticks[-1])
        if self.received.errors:
            self.note("errors", self.received.errors)
            self.received.errors.clear()

    def _changes(self, now, value):
        for token in set(value["opened"]) | set(value["values"]):
            self.view.put(now, token, json.dumps(self.received.map[token]), as_json=True)
        for token in value["closed"]:
            if token not in value["opened"]:
                self.view.gone(now, token)

    def _begins(self, now):
        """The first metadata: who it is."""
        token = self.received.token
        if self.subject is not None and self.subject.name != token:
            if self.resumes:
                self.run.oracle.not_resumed(self, now)
            self.subject.end(self.resume_lost if self.resume_lost is not None else now, "not resumed")
            self.subject = None
        resumed = self.subject is not None
        if not resumed:
            self.subject = self.run.views.subject(token, self)
            if self.properties:
                self.counter += 1
            self.subject.want("{}", now).acknowledged = now
        self.note("token", token[:6], "resumed" if resumed else "new")
        self.secret = self.received.secret
        self.ready = True
        self.resume_lost = None
        self.subject.present(now, self.front_end)
        self.sent = dict(self.received.map.get(token, {}))
        self._set(now)
        self.served()

    def on_lost(self, now):
        self.run.views.close(self.view)
        self.view = None
        if self.subject is not None and not self.ready:
            self.subject.doubt = now
        elif self.subject is not None:
            self.subject.absent(now)
            self.resume_lost = now
            if not self.resumes:
                self.subject.end(now, "connection ended")
                self.subject = None
        self.ready = False

    def say_goodbye(self, now, how):
        if how == "close" and self.wire is not None and self.ready:
            self.wire.say(text_of("server", {"type": "ping"}))
        super().say_goodbye(now, how)

    def on_left(self, now):
        self.on_lost(now)
        if self.subject is not None:
            self.subject.end(now, "left")

    def subjects(self):
        return [self.subject] if self.subject is not None else []
