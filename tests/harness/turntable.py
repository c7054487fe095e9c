"""A client of turntable, written after its document and not from the server's code."""
import collections
import json
import time

from .waiting import readable, scaled
from .websocket import CLOSE, PING, PONG, TEXT, WebSocket

Closed = collections.namedtuple("Closed", "code reason")


def text_of(command, data=None, **more):
    """A message's bytes, as JavaScript's JSON.stringify writes them."""
    message = {"command": command, **({} if data is None else {"data": data}), **more}
    return json.dumps(message, separators=(",", ":"), ensure_ascii=False).encode()


class Turntable:
    """For Context.connect with kind="web" (or "turntable"). user: is identified at once.

    Messages are read when they are asked for. All that arrived is in `messages`, as (text, message);
    `statuses` has the newest of each id, `received` all of them by id, `rooms` what game messages
    each room brought, `members` the users in it as far as was received.
    """

    def __init__(self, address, user=None, path="/turntable", protocols=("turntable",), token=None, **options):
        self.websocket = WebSocket(address, path, protocols, **options)
        self.user = user
        self.messages = []
        self.unread = collections.deque()
        self.statuses = {}
        self.received = collections.defaultdict(list)
        self.rooms = collections.defaultdict(list)
        self.members = collections.defaultdict(set)
        # Rooms whose full member list is expected.
        self.coming, self.lost = set(), set()
        self.closed = None
        self.syncs = 0
        if user is not None:
            self.expect("idyou")
            self.say("idme", user, **({"token": token} if token else {}))
            self.sync()

    def drop(self):
        """Ends the connection without a Close."""
        self.websocket.drop()

    def leave(self):
        """Closes it as a browser does that leaves a page."""
        self.websocket.close(1001)

    def fileno(self):
        return self.websocket.fileno()

    # Speaking.

    def say(self, command, data=None, **more):
        if command == "joingame":
            self.coming.add(data["channel"])
        elif command == "idme" and self.user is None:
            self.user = data
        self.say_text(text_of(command, data, **more))

    def say_text(self, text, opcode=TEXT):
        self.websocket.send_frame(opcode, text.encode() if isinstance(text, str) else text)

    # Hearing.

    def _take(self):
        """One frame; what it says goes to `unread`."""
        try:
            got = self.websocket.read_frame()
        except ConnectionError:
            self.closed = self.closed or Closed(1006, "")
            return
        if got.opcode == PING:
            self._answer(got.payload)
        elif got.opcode == CLOSE:
            self.closed = Closed(int.from_bytes(got.payload[:2], "big"), got.payload[2:].decode())
        else:
            assert got.opcode == TEXT and got.fin and not got.rsv, got
            self._note(got.payload, json.loads(got.payload))

    def _answer(self, ping):
        try:
            self.websocket.send_frame(PONG, ping)
        except OSError:
            pass  # the end is read behind it

    def _note(self, text, message):
        self.messages.append((text, message))
        self.unread.append(message)
        data = message["data"]
        if message["command"] == "userchange":
            self.statuses.update(data)
            for id, status in data.items():
                self.received[id].append(status)
        elif message["command"] == "game":
            self.rooms[data["channel"]].append(text)
        elif message["command"] == "member":
            self._note_members(data["channel"], set(data["joined"]), set(data["left"]))
        elif message["command"] == "error" and data["code"] == "lost":
            self.lost.add(data["channel"])

    def _note_members(self, room, joined, left):
        """The one that answers a joingame, and the first after a loss, has all."""
        known = self.members[room]
        if room in self.lost or (self.user in joined and room in self.coming):
            known = set()
            self.lost.discard(room)
            self.coming.discard(room)
        self.members[room] = (known | joined) - left

    def pump(self, timeout=0):
        """Takes what is there, waiting at most that long for the first; whether there was any."""
        end = time.monotonic() + timeout
        found = False
        while self.closed is None:
            left = 0 if found else max(0, end - time.monotonic())
            if not self.websocket.input and not readable(self.websocket, left):
                return found
            self._take()
            found = True
        return found

    def next(self, timeout=10):
        """The next message; it must come."""
        end = time.monotonic() + scaled(timeout)
        while not self.unread:
            assert self.closed is None, f"{self.user}: closed: {self.closed}"
            assert time.monotonic() < end, f"{self.user}: nothing came; so far {self.messages[-5:]}"
            self.pump(max(0, end - time.monotonic()))
        return self.unread.popleft()

    def expect(self, command, timeout=10):
        """The data of the next message, which must be of that command."""
        message = self.next(timeout)
        assert message["command"] == command, f"{self.user}: {message} instead of {command}"
        return message["data"]

    def wait(self, command, predicate=lambda data: True, timeout=10):
        """The data of the first message of that command for which predicate holds; what comes
        before it is passed over."""
        end = time.monotonic() + scaled(timeout)
        while True:
            message = self.next(max(0, end - time.monotonic()) / scaled(1))
            if message["command"] == command and predicate(message["data"]):
                return message["data"]


    def wait_statuses(self, wanted, timeout=10):
        """Until what was received agrees with wanted: {id: status}."""
        end = time.monotonic() + scaled(timeout)
        while any(self.statuses.get(id) != status for id, status in wanted.items()):
            assert self.closed is None, f"{self.user}: closed: {self.closed}"
            assert time.monotonic() < end, f"{self.user}: {self.statuses} instead of {wanted}"
            self.pump(max(0, end - time.monotonic()))
        self.unread.clear()

    def wait_members(self, room, users, timeout=10):
        end = time.monotonic() + scaled(timeout)
        while self.members[room] != set(users):
            assert self.closed is None, f"{self.user}: closed: {self.closed}"
            assert time.monotonic() < end, f"{self.user}: {room}: {self.members[room]} instead of {users}"
            self.pump(max(0, end - time.monotonic()))
        self.unread.clear()

    def sync(self, timeout=10):
        """What was sent before has been processed, and what was published before has arrived: the messages that
        were not asked for until now."""
        self.syncs += 1
        self.say("whothere", {"channel": f"~{self.syncs}"})
        found = []
        while True:
            message = self.next(timeout)
            if message == {"command": "there", "data": []}:
                return found
            found.append(message)

    def read_end(self, timeout=10):
        """The connection must be closed: its code and reason. It is answered."""
        end = time.monotonic() + scaled(timeout)
        while self.closed is None:
            assert time.monotonic() < end, f"{self.user}: not closed"
            self.pump(max(0, end - time.monotonic()))
        return self.closed

    # What clients do.

    def subscribe(self, *ids):
        """Returns the answer, of one message."""
        self.say("subscribe", list(ids))
        return self.wait("userchange", lambda data: set(ids) <= set(data))

    def join(self, room, invite=None, timeout=10):
        """Returns the members."""
        self.say("joingame", {"channel": room, "self": self.user,
                              **({} if invite is None else {"invite": invite})})
        data = self.wait("member", lambda data: data["channel"] == room and self.user in data["joined"], timeout)
        return data["joined"]

    def play(self, room, data, **action):
        self.say("game", {"channel": room, "actions": [{"data": data, **action}]})

    def refused(self, code, command, timeout=10):
        """The next message is an error of that code; its text."""
        data = self.expect("error", timeout)
        assert data["code"] == code and data["command"] == command, data
        return data["message"]
