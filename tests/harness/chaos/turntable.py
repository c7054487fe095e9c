"""Clients of turntable: devices of users, who watch one another and talk in rooms."""
import json

from ..turntable import text_of
from .clients import Client
from .rooms import Stay
from .wire import WebSocketWire


class User:
    """One user with one or more devices; what others see of them together."""

    def __init__(self, run, name):
        self.name = name
        self.subject = run.views.subject("@" + name, self)
        self.devices = []

    def update(self, now):
        here = [device for device in self.devices if device.identified == "yes"]
        if here:
            for device in here:
                self.subject.present(now, device.front_end)
            self.subject.rest(now, min(device.identified_at for device in here))
            text = "busy" if any(device.is_busy() for device in here) else "online"
            if not self.subject.values or self.subject.values[-1].text != text:
                self.subject.want(text, now).acknowledged = now
        elif not any(device.wants_to_be_here for device in self.devices):
            self.subject.end(now, "left")
        else:
            self.subject.absent(now)


class Turntable(Client):
    """user: a User. watched: names of users, ids of others. Of `rooms` it wants to be in those that it joins."""

    kind = "web"
    protocol = "turntable"

    def __init__(self, run, index, via, user, watched=(), silent=False):
        super().__init__(run, index, via)
        self.user = user
        user.devices.append(self)
        self.watched = list(watched)
        self.silent = silent
        self.busy = False
        self.wanted_rooms = set()
        self.said = 0
        self.identified = "no"
        self.identified_at = None  # when it became "yes" last
        self.view = None
        self.asked_at = None
        self.rooms = {}

    def begin(self):
        self.identified = "no"
        self.asked_at = None
        self.sent_busy = False
        self.rooms = {}  # name -> "asked", or its Stay
        self.members = {}
        self.order = []
        self.lost_rooms = set()
        self.subscribed = set()
        self.open = False
        self.view = self.run.views.open(self, "presence") if self.watched else None

    def make_wire(self, address):
        return WebSocketWire(self.run.loop, self, address, self.host, "/turntable", ("turntable",))

    def on_open(self):
        self.note("connected", self.wire.local[1])
        self.open = True
        if self.watched:
            self.say("subscribe", self.watched)
        self.pursue(self.run.now())

    def say(self, command, data):
        if self.wire is not None:
            self.note("says", command, data)
            self.wire.say(text_of(command, data))

    # What it wants.

    def is_busy(self):
        """As far as the front-end has been sent it, or is about to have it."""
        return self.sent_busy or any(isinstance(stay, Stay) for stay in self.rooms.values())

    def change(self, now):
        if not self.silent:
            self.busy = not self.busy
            self.pursue_now(now)

    def join(self, now, room):
        if room not in self.wanted_rooms:
            self.wanted_rooms.add(room)
            self.pursue_now(now)

    def leave_room(self, now, room):
        self.wanted_rooms.discard(room)
        self.pursue_now(now)

    def pursue_now(self, now):
        if self.unserved_since is None:
            self.unserved_since = now
        if self.wire is not None:
            self.pursue(now)

    def talk(self, now, room):
        stay = self.rooms.get(room)
        if self.identified == "yes" and isinstance(stay, Stay):
            self.said += 1
            self.run.rooms.said(room, stay, (self.index, self.said), now)
            self.say("game", {"channel": room, "actions": [{"data": [self.index, self.said]}]})

    def waiting_since(self):
        if not self.open or self.identified == "no":
            return self.connected_at
        return self.asked_at

    def pursue(self, now):
        if not self.open:
            return
        if self.identified == "no":
            self.identified, self.asked_at = "asked", now
            self.say("idme", self.user.name)
            self.say("whothere", {"channel": "nobody is here"})
        elif self.identified == "yes":
            self._reconcile(now)

    def _reconcile(self, now):
        if self.sent_busy != self.busy:
            self.sent_busy = self.busy
            self.say("status", "busy" if self.busy else "online")
            self.user.update(now)
        for room in sorted(self.wanted_rooms | set(self.rooms)):
            if self.wire is None:
                return
            if room in self.wanted_rooms and room not in self.rooms:
                self.rooms[room] = "asked"
                self.order.append(room)
                self.asked_at = now
                self.say("joingame", {"channel": room, "self": self.user.name})
            elif room not in self.wanted_rooms and isinstance(self.rooms.get(room), Stay):
                self.rooms.pop(room).end(now, "left")
                self.members.pop(room, None)
                self.say("leavegame", {"channel": room})
                self.user.update(now)
        if set(self.rooms) == self.wanted_rooms and not self.order:
            self.served()

    # What it is sent.

    def on_text(self, payload):
        message = json.loads(payload)
        getattr(self, "_on_" + message["command"])(self.run.now(), message["data"])

    def _on_idyou(self, now, data):
        """It may identify itself."""

    def _on_packet(self, now, data):
        """Nobody sends any."""

    def _on_there(self, now, _data):
        if self.identified == "asked":
            self.identified, self.asked_at = "yes", None
            self.identified_at = self.run.now()
            self.user.update(now)
            if not self.wanted_rooms:
                self.served()
            self.pursue(now)

    def _on_userchange(self, now, data):
        for name, status in data.items():
            assert name in self.watched, (self.name, name)
            if self.view is not None:
                self.view.status(now, name, status)

    def _on_member(self, now, data):
        room, joined, left = data["channel"], set(data["joined"]), set(data["left"])
        if self.rooms.get(room) == "asked" and self.user.name in joined:
            self.order.remove(room)
            self.asked_at = now if self.order else None
            self.rooms[room] = self.run.rooms.stay(self, room, now)
            self.members[room] = set()
            self.user.update(now)
        elif room in self.lost_rooms:
            self.lost_rooms.discard(room)
            self.members[room] = set()
        self.note("member", room, data["joined"], data["left"])
        if room in self.members:
            self.members[room] = (self.members[room] | joined) - left

    def _on_game(self, now, data):
        stay = self.rooms.get(data["channel"])
        if isinstance(stay, Stay):
            stay.note_message(tuple(data["actions"][0]["data"]), now)

    def _on_error(self, now, data):
        self.note("error", data)
        assert data["code"] in ("unavailable", "lost"), (self.name, data)
        if data["code"] == "lost":
            room = data["channel"]
            if isinstance(self.rooms.get(room), Stay):
                self.rooms[room].end(now, "lost")
                self.rooms[room] = self.run.rooms.stay(self, room, now)
                self.lost_rooms.add(room)
        elif data["command"] == "idme":
            self.drop(now)
        elif data["command"] == "joingame" and self.order:
            room = self.order.pop(0)
            self.asked_at = now if self.order else None
            del self.rooms[room]
            if self.unserved_since is None:
                self.unserved_since = now
        elif data["command"] == "game":
            self.run.rooms.refused(self, now)

    # What happens to it.

    def on_lost(self, now):
        self.run.views.close(self.view)
        self.view = None
        for stay in self.rooms.values():
            if isinstance(stay, Stay):
                stay.end(now, "connection")
        self.rooms = {}
        if self.identified == "asked":
            self.user.subject.doubt = now
        self.identified = "no"
        self.user.update(now)

    def say_goodbye(self, now, how):
        if how == "close" and self.wire is not None:
            for room in sorted(self.rooms):
                self.say("leavegame", {"channel": room})
        super().say_goodbye(now, how)

    def on_left(self, now):
        self.on_lost(now)
