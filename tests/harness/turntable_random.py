"""A randomised run of turntable: users and rooms over three front-ends, and faults. At the end of each
third all statuses and members must be as the clients know them to be; then the order in which each received them.

The seed makes the schedule, as in harness.faults_random.
"""
import collections
import json
import random
import select
import sys
import time

from . import faults_random
from .faults import LISTEN, PREFIX
from .turntable import Turntable


ROOMS = ("one", "two", "three")
# Faults that lose no message of Redis: what it published to this test is what was published.
KIND_ONES = ("kill", "freeze", "links", "scripts", "pause", "drops")


class Schedule(faults_random.Schedule):
    """users: each has one or two clients, and watches ten others."""

    def __init__(self, seed, kinds=None, users=24, **options):
        self.users = users
        if kinds is not None:
            self.KINDS = kinds
        super().__init__(seed, clients=users + users // 3, **options)
        self.settings = {**self.settings, "presence.offline_delay": "1s", "ws.rate": 0}

    def _actions(self, numbers):
        found = []
        at = numbers.uniform(0, 2)
        while at < self.seconds:
            action = numbers.choices(("say", "status", "join", "leave", "drop", "close"), (60, 14, 9, 8, 4, 3))[0]
            found.append((at, action, numbers.choice(ROOMS)))
            at += numbers.expovariate(1.5)
        return found

    def _gather(self, numbers, at):
        """A tenth of the clients act at the moment of a fault, and are quiet then."""
        for index in numbers.sample(range(len(self.clients)), len(self.clients) // 10):
            moment = at + numbers.uniform(-0.01, 0.05)
            kept = [action for action in self.clients[index] if not moment - 0.5 < action[0] < moment + 6]
            action = numbers.choice(("status", "join", "leave", "say", "drop"))
            self.clients[index] = sorted(kept + [(moment, action, numbers.choice(ROOMS))])


class Stay:
    """What one client received of a room since it joined, or since a loss, until it left or lost again."""

    def __init__(self, name, room):
        self.name, self.room = name, room
        self.messages = []


class Player:
    """A client that wants a status and to be in rooms, and connects again when it is cut off."""

    def __init__(self, run, index, actions):
        self.run = run
        self.index = index
        self.user = "1:%d" % (index % run.schedule.users)
        self.numbers = random.Random(f"{run.schedule.seed}/{index}/where")
        self.actions = list(reversed(actions))
        users = ["1:%d" % number for number in range(run.schedule.users)]
        self.watched = self.numbers.sample(users, 10)
        self.busy = False
        self.wanted = set()
        self.said = 0
        self.socket = None  # a Turntable
        self.front_end = None
        self.try_at = 0
        self.stays = []
        self.received = []  # for each connection: id -> statuses
        self.connections = 0
        self.codes = collections.Counter()

    # The connection.

    def connect(self, now):
        number = self.numbers.randrange(self.run.schedule.front_ends)
        if number in self.run.unwell or not self.run.front_ends[number].listeners:
            self.try_at = now + 0.1
            return
        self.front_end = number
        self.socket = Turntable(self.run.front_ends[number].address("web"))
        self.connections += 1
        self.identified = "no"
        self.asked_at = now
        self.sent_busy = False
        self.rooms = {}  # name -> "asked", or its Stay
        self.order = []  # rooms asked for, oldest first
        self.read = 0
        self.received.append(self.socket.received)
        self.socket.say("subscribe", self.watched)
        self.run.poll.register(self.socket, select.POLLIN)
        self.run.by_descriptor[self.socket.fileno()] = self

    def lose(self, now, leaves=False):
        if self.socket is None:
            return
        self.run.by_descriptor.pop(self.socket.fileno(), None)
        self.run.poll.unregister(self.socket)
        if leaves:
            try:
                self.socket.websocket.send_frame(8, b"\x03\xe9")
            except OSError:
                pass
        self.socket.drop()
        self.socket = None
        self.try_at = now + 0.05 + self.numbers.random() * 0.3

    # What it does.

    def act(self, now, action, room):
        if action == "status":
            self.busy = not self.busy
        elif action == "join":
            self.wanted.add(room)
        elif action == "leave":
            self.wanted.discard(room)
        elif action in ("drop", "close"):
            self.lose(now, action == "close")
        elif self.socket is not None and self.identified == "yes" and isinstance(self.rooms.get(room), Stay):
            self.said += 1
            self.speak("game", {"channel": room, "actions": [{"data": [self.index, self.said]}]})

    def speak(self, command, data):
        try:
            self.socket.say(command, data)
        except OSError:
            self.lose(self.run.now())

    def turn(self, now):
        while self.actions and self.actions[-1][0] <= self.run.clock:
            self.act(now, *self.actions.pop()[1:])
        if now < self.try_at or (self.front_end in self.run.unwell and self.socket is not None):
            return
        if self.socket is None:
            self.connect(now)
        elif self.identified == "no":
            self.identified, self.asked_at = "asked", now
            self.speak("idme", self.user)
            self.speak("whothere", {"channel": "nobody is here"})
        elif self.identified == "yes":
            self.reconcile()

    def reconcile(self):
        if self.sent_busy != self.busy:
            self.sent_busy = self.busy
            self.speak("status", "busy" if self.busy else "online")
        for room in ROOMS:
            if self.socket is None:
                return
            if room in self.wanted and room not in self.rooms:
                self.rooms[room] = "asked"
                self.order.append(room)
                self.speak("joingame", {"channel": room, "self": self.user})
            elif room not in self.wanted and isinstance(self.rooms.get(room), Stay):
                del self.rooms[room]
                self.speak("leavegame", {"channel": room})

    def settled(self):
        is_due = self.actions and self.actions[-1][0] <= self.run.clock
        return (not is_due and self.socket is not None and self.identified == "yes" and self.sent_busy == self.busy
                and set(self.rooms) == self.wanted and not self.order)

    # What it receives.

    def readable(self, now):
        socket = self.socket
        try:
            socket.pump()
        except OSError:
            self.lose(now)
        while self.socket is socket and self.read < len(socket.messages):
            message = socket.messages[self.read][1]
            self.read += 1
            self.on_message(now, message["command"], message["data"])
        if self.socket is socket and socket.closed is not None:
            self.codes[socket.closed.code] += 1
            self.lose(now)

    def on_message(self, now, command, data):
        if command == "there" and self.identified == "asked":
            self.identified = "yes"
        elif command == "error":
            self.on_error(now, data)
        elif command == "member" and self.user in data["joined"] and self.rooms.get(data["channel"]) == "asked":
            self.order.remove(data["channel"])
            self.begin_stay(data["channel"])
        elif command == "game" and isinstance(self.rooms.get(data["channel"]), Stay):
            self.rooms[data["channel"]].messages.append(tuple(data["actions"][0]["data"]))

    def begin_stay(self, room):
        stay = Stay((self.index, self.connections), room)
        self.stays.append(stay)
        self.rooms[room] = stay

    def on_error(self, now, data):
        assert data["code"] in ("unavailable", "lost"), data
        if data["code"] == "lost":
            if isinstance(self.rooms.get(data["channel"]), Stay):
                self.begin_stay(data["channel"])
        elif data["command"] == "idme":
            # The whothere behind it is not for the next idme.
            self.lose(now)
        elif data["command"] == "joingame":
            room = self.order.pop(0)
            assert room in data["message"], data
            del self.rooms[room]


class Run(faults_random.Run):
    def __init__(self, t, schedule):
        self.t = t
        self.schedule = schedule
        self.settings = schedule.settings
        self.redis = t.redis(tcp=schedule.tcp, appendonly="yes", appendfsync="everysec")
        self.front_ends = t.frontends(schedule.front_ends, self.redis, listen=LISTEN, settings=self.settings)
        self.starting = {}
        self.unwell = set()
        self.poll = select.poll()
        self.by_descriptor = {}
        self.due = []
        self.sleepers = []
        self.oracle = self.listen()
        self.history = collections.defaultdict(list)  # channel -> what Redis published on it
        self.peers = [Player(self, index, actions) for index, actions in enumerate(schedule.clients)]
        self.faults = list(reversed(schedule.faults))
        self.began = time.monotonic()
        self.clock = 0

    def listen(self):
        partitions = self.settings["map.partitions"]
        names = [b"presence:1:%d" % number for number in range(self.schedule.users)]
        names += [b"room:" + room.encode() for room in ROOMS]
        channels = [PREFIX.replace(b"1/0", b"%d/%d" % (partitions, part)) + name
                    for part in range(partitions) for name in names]
        return self.redis.subscribe(*channels)

    def begin(self, kind, number, duration):
        if kind in ("kill", "freeze"):
            self.unwell.add(number)
        super().begin(kind, number, duration)
        if kind == "freeze":
            self.after(duration, lambda: self.unwell.discard(number))

    def look_for_ready(self):
        before = set(self.starting)
        super().look_for_ready()
        self.unwell -= before - set(self.starting)

    def turn(self):
        now = self.now()
        for entry in [entry for entry in self.due if entry[0] <= now]:
            self.due.remove(entry)
            entry[1]()
        self.look_for_ready()
        for player in self.peers:
            player.turn(now)
        for descriptor, _ in self.poll.poll(20):
            player = self.by_descriptor.get(descriptor)
            if player is not None and player.front_end not in self.unwell:
                player.readable(now)
        if self.oracle is not None and set(self.schedule.KINDS) <= set(KIND_ONES):
            for channel, message in self.oracle.messages():
                self.history[channel.split(b"}:", 1)[1].decode()].append(message)

    # What must be.

    def statuses(self):
        found = {}
        for player in self.peers:
            status = "busy" if player.busy or player.wanted else "online"
            if found.get(player.user) != "busy":
                found[player.user] = status
        return found

    def agree(self):
        statuses = self.statuses()
        members = {room: {player.user for player in self.peers if room in player.wanted} for room in ROOMS}

        def wrong():
            found = []
            for player in self.peers:
                if player.socket is None:
                    found.append((player.index, "is gone"))
                    continue
                received = player.socket.statuses
                found += [(player.index, id, received.get(id), statuses[id]) for id in player.watched
                          if received.get(id) != statuses[id]]
                found += [(player.index, player.front_end, room, player.socket.members[room] - members[room],
                           members[room] - player.socket.members[room]) for room in player.wanted
                          if player.socket.members[room] != members[room]]
            return found
        self.until(lambda: not wrong(), 40, lambda: f"these received something else: {wrong()[:20]}")

    def check_orders(self):
        """All receivers of a room got its messages in one order, each of them once."""
        for room in ROOMS:
            stays = [stay.messages for player in self.peers for stay in player.stays if stay.room == room]
            assert all(len(set(messages)) == len(messages) for messages in stays), "a message twice"
            check_one_order(stays)
        for player in self.peers:
            for received in player.received:
                for id, sequence in received.items():
                    assert all(a != b for a, b in zip(sequence, sequence[1:])), (player.index, id, sequence)

    def check_histories(self):
        """Where nothing was lost: each received just what Redis published since it joined, and of each id
        its statuses in their order."""
        for room in ROOMS:
            said = [tuple(json.loads(message.split(b"\n", 1)[1])["data"]["actions"][0]["data"])
                    for message in self.history["room:" + room] if message.split(b" ")[4] == b"say"]
            places = {message: place for place, message in enumerate(said)}
            for player in self.peers:
                for stay in player.stays:
                    if stay.room == room and stay.messages:
                        first = places[stay.messages[0]]
                        assert stay.messages == said[first:first + len(stay.messages)], stay.name
        for player in self.peers:
            for received in player.received:
                for id, sequence in received.items():
                    history = [message.rsplit(b" ", 1)[1].decode() for message in self.history["presence:" + id]]
                    # The first may be of before anything was published about it.
                    assert is_within(sequence, ["offline"] + history), (player.index, id, sequence, history)


def is_within(sequence, history):
    rest = iter(history)
    return all(status in rest for status in sequence)


def check_one_order(sequences):
    """There is an order that all sequences agree with."""
    after = collections.defaultdict(set)
    waits = collections.Counter()
    for sequence in sequences:
        for one, other in zip(sequence, sequence[1:]):
            if other not in after[one]:
                after[one].add(other)
                waits[other] += 1
    nodes = {message for sequence in sequences for message in sequence}
    free = [node for node in nodes if not waits[node]]
    count = 0
    while free:
        node = free.pop()
        count += 1
        for other in after[node]:
            waits[other] -= 1
            if not waits[other]:
                free.append(other)
    assert count == len(nodes), f"{len(nodes) - count} messages came in different orders"


def run(t, seed, **options):
    schedule = Schedule(seed, **options)
    print(schedule, file=sys.stderr)
    world = Run(t, schedule)
    for third in (1, 2, 3):
        world.play(schedule.seconds * third / 3)
        world.settle()
        world.agree()
        t.fsck(world.redis, 30)
    world.check_orders()
    if set(schedule.KINDS) <= set(KIND_ONES):
        world.check_histories()
    messages = sum(len(stay.messages) for player in world.peers for stay in player.stays)
    assert messages > 1000, messages
    for player in world.peers:
        player.lose(world.now())
    for sleeper in world.sleepers:
        sleeper.close()
    world.oracle.close()
    return world
