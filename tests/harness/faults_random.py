"""A randomised run: a seed makes a schedule of what clients do and of faults, several front-ends and
a Redis suffer it, and at the end of each third everything must agree with what the clients know. The
schedule's clock is stopped meanwhile.

The schedule depends on the seed alone. What comes of it depends on the machine too, as it does for
any concurrent program; a client that has lost its connection decides by the schedule's numbers where
to go.
"""
import errno
import random
import select
import socket
import sys
import time

from .faults import LISTEN, counted, difference, stored, wait_agreement
from .frontend import Frontend
from .resp import RedisError
from .tracker import packets
from .waiting import scaled, wait_until

SETTINGS = {"map.recovery_grace": "3s", "client.grace": "2s"}
PARTITIONS = (1, 1, 3)
PUSHED, SILENT = 0, 2  # listeners of LISTEN
GIVE_UP = 9  # seconds without an answer, and a client goes elsewhere
AGAIN = 0.4  # seconds until a refused request is tried again
QUIET = 15  # seconds without an action after one at the moment of a fault


class Schedule:
    """faults: (second, kind, front-end, duration), clients: for each a list of (second, action)."""

    KINDS = ("kill", "freeze", "links", "subscribers", "scripts", "pause", "redis", "flush", "drops")

    def __init__(self, seed, clients=210, faults=24, seconds=60, front_ends=3):
        self.seed = seed
        self.seconds = seconds
        self.front_ends = front_ends
        numbers = random.Random(seed)
        self.faults = self._faults(numbers, faults)
        self.settings = {**SETTINGS, "map.partitions": numbers.choice(PARTITIONS)}
        self.tcp = numbers.random() < 0.3
        self.clients = [self._actions(random.Random(f"{seed}/{index}")) for index in range(clients)]
        for fault in self.faults:
            self._gather(random.Random(f"{seed}/{fault}"), fault[0])

    def _faults(self, numbers, count):
        found = []
        free = dict.fromkeys(["redis", *range(self.front_ends)], 0)
        # Each kind at least twice, where there are enough.
        kinds = [kind for kind in self.KINDS * 2][:count]
        kinds += [numbers.choice(self.KINDS) for _ in range(count - len(kinds))]
        numbers.shuffle(kinds)
        step = (self.seconds - 8) / count
        for number, kind in enumerate(kinds):
            at = 2 + step * (number + numbers.random() * 0.8)
            front_end = numbers.randrange(self.front_ends)
            duration = {"kill": numbers.uniform(0.2, 4), "freeze": numbers.choice((0.8, 2.5, 5, 9)),
                        "pause": numbers.choice((0.3, 1.5, 3.2, 4.5)), "redis": numbers.uniform(0.1, 2)}
            busy = duration.get(kind, 0)
            what = front_end if kind in ("kill", "freeze") else "redis"
            if kind != "drops":
                at = max(at, free[what])
                free[what] = at + busy + 0.5
            found.append((round(at, 3), kind, front_end, round(busy, 3)))
        return sorted(found)

    def _actions(self, numbers):
        found = []
        at = numbers.uniform(0, 2)
        while at < self.seconds:
            action = numbers.choices(("update", "drop", "close", "leave"), (90, 6, 3, 0.3))[0]
            found.append((at, action))
            if action == "leave":
                break
            at += numbers.expovariate(0.5)
        return found

    def _gather(self, numbers, at):
        """A tenth of the clients act at the moment of a fault, and are quiet then: what that moment
        loses is not put right by what they do next."""
        for index in numbers.sample(range(len(self.clients)), len(self.clients) // 10):
            actions = self.clients[index]
            if actions[-1][1] == "leave" and actions[-1][0] < at + QUIET:
                continue
            moment = at + numbers.uniform(-0.01, 0.05)
            kept = [action for action in actions if not moment - 0.5 < action[0] < moment + QUIET]
            kept.append((moment, numbers.choices(("update", "close", "drop", "leave"), (60, 30, 8, 2))[0]))
            self.clients[index] = sorted(kept)

    def __str__(self):
        return "\n".join([f"seed {self.seed}: {len(self.clients)} clients, {len(self.faults)} faults, "
                          f"{self.settings}{' over TCP' if self.tcp else ''}"] +
                         [f"  {at:6.2f} {kind} {'abc'[front_end] if kind in ('kill', 'freeze') else ''} {duration}"
                          for at, kind, front_end, duration in self.faults])


class Peer:
    """A client: one connection at a time, one request at a time. It wants one entry with its newest
    state, and tries until that is acknowledged."""

    def __init__(self, run, index, actions):
        self.run = run
        self.index = index
        self.pushed = index % 16 == 0
        self.numbers = random.Random(f"{run.schedule.seed}/{index}/where")
        self.actions = list(reversed(actions))
        self.front_end = self.numbers.randrange(run.schedule.front_ends)
        self.socket = None
        self.input = b""
        self.id = None
        self.version = 0
        self.acknowledged = None  # the state, on this connection
        self.wanted = b"0"
        self.closing = False
        self.left = False
        self.asked = None  # what is outstanding: (kind, state, when)
        self.try_at = 0
        self.map = {}
        self.map_version = None
        self.dead = []  # ids that it has closed
        self.history = []

    def note(self, *words):
        self.history.append((round(self.run.now(), 3), "abc"[self.front_end], *words))

    # The connection.

    def connect(self, now):
        address = self.run.address(self.front_end, PUSHED if self.pushed else SILENT)
        if address is None:
            self.go_elsewhere(now)
            return
        self.socket = socket.socket()
        self.socket.bind((f"127.78.{self.index // 200}.{self.index % 200 + 1}", 0))
        self.socket.setblocking(False)
        result = self.socket.connect_ex(address)
        if result not in (0, errno.EINPROGRESS):
            self.lose(now)
            return
        self.note("connects")
        self.run.poll.register(self.socket, select.EPOLLIN)
        self.run.by_descriptor[self.socket.fileno()] = self
        self.input = b""
        self.asked = None
        self.acknowledged = None
        self.map, self.map_version = {}, None

    def lose(self, now):
        """The connection is gone, or given up."""
        if self.socket is not None:
            self.note("is gone")
            self.run.by_descriptor.pop(self.socket.fileno(), None)
            self.socket.close()
            self.socket = None
        self.asked = None
        self.acknowledged = None
        # Whether its close happened may not be known: another connection closes it again.
        self.go_elsewhere(now)

    def go_elsewhere(self, now):
        self.front_end = self.numbers.randrange(self.run.schedule.front_ends)
        self.try_at = now + 0.05 + self.numbers.random() * 0.3

    # What it does.

    def act(self, now, action):
        if action == "update":
            self.wanted = b"%d" % (int(self.wanted) + 1)
        elif action == "drop" and self.socket is not None:
            self.lose(now)
        elif action == "close" and self.id is not None:
            self.closing = True
        elif action == "leave":
            self.actions = []
            self.left = True
            if self.socket is not None:
                self.lose(now)

    def settled(self):
        if self.left:
            return True
        is_due = self.actions and self.actions[-1][0] <= self.run.clock
        return (not is_due and self.socket is not None and self.asked is None and not self.closing and self.id is not None
                and self.acknowledged == self.wanted)

    def turn(self, now):
        while self.actions and self.actions[-1][0] <= self.run.clock:
            self.act(now, self.actions.pop()[1])
        if self.left or now < self.try_at:
            return
        if self.socket is None:
            self.connect(now)
        elif self.asked is None:
            self.ask(now)
        elif now - self.asked[2] > scaled(GIVE_UP):
            self.lose(now)

    def ask(self, now):
        if self.closing and self.id is not None:
            data, kind = packets.versioned.close(self.id), "close"
        elif self.id is None:
            data, kind = packets.versioned.open(self.wanted), "open"
        elif self.acknowledged != self.wanted:
            self.version += 1
            data, kind = packets.versioned.update(self.id, self.version, self.wanted), "update"
        else:
            return
        self.asked = (kind, self.wanted, now)
        self.note(kind, self.id, self.version, self.wanted)
        try:
            sent = self.socket.send(data)
            assert sent == len(data)
        except BlockingIOError:
            self.asked = None  # not connected yet
        except OSError:
            self.lose(now)

    def answered(self, now, accepted, id=b""):
        kind, state, _ = self.asked
        self.asked = None
        self.note(kind, id or self.id, accepted)
        if not accepted:
            self.try_at = now + AGAIN
        elif kind == "open":
            self.id, self.version, self.acknowledged = id, 0, state
        elif kind == "update":
            self.acknowledged = state
        else:
            self.dead.append(self.id)
            self.id, self.closing, self.acknowledged = None, False, None

    # What it receives.

    def readable(self, now):
        try:
            data = self.socket.recv(1 << 16)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self.lose(now)
            return
        self.input += data
        while self.input and self.take(now):
            pass

    def take(self, now):
        data = self.input
        if data[0] == 0x2A and len(data) == 1:
            return False
        # An id that we are given has 7 characters, so a reply never begins as a push does.
        if data[0] == 0x2A:
            if len(data) < 4 or len(data) < 4 + data[3]:
                return False
            self.on_push(data[2], data[4:4 + data[3]])
            self.input = data[4 + data[3]:]
            return True
        assert self.asked, f"client {self.index} is answered what it has not asked: {data!r}"
        if self.asked[0] == "open" and data[0]:
            if len(data) < 1 + data[0]:
                return False
            self.input = data[1 + data[0]:]
            self.answered(now, True, data[1:1 + data[0]])
        else:
            assert data[0] in (0, 1), data
            self.input = data[1:]
            self.answered(now, data[0] == 1)
        return True

    def on_push(self, kind, content):
        if kind == 3:
            if content[0] != self.map_version:
                self.map = {}
            self.map_version = content[0]
            content = content[1:]
        while content:
            n = content[1]
            m = content[2 + n]
            self.map[content[2:2 + n]] = content[3 + n:3 + n + m]
            content = content[3 + n + m:]


class Run:
    def __init__(self, t, schedule):
        self.t = t
        self.schedule = schedule
        self.settings = schedule.settings
        self.redis = t.redis(tcp=schedule.tcp, appendonly="yes", appendfsync="everysec")
        self.front_ends = t.frontends(schedule.front_ends, self.redis, listen=LISTEN, settings=self.settings)
        self.starting = {}
        self.poll = select.epoll()
        t.stack.callback(self.poll.close)
        self.by_descriptor = {}
        self.peers = [Peer(self, index, actions) for index, actions in enumerate(schedule.clients)]
        self.faults = list(reversed(schedule.faults))
        self.due = []  # (second, function): the ends of faults
        self.sleepers = []
        self.began = time.monotonic()
        self.clock = 0  # the schedule's

    def now(self):
        return (time.monotonic() - self.began) / scaled(1)

    def address(self, number, listener):
        """Where to connect; None while it is not there."""
        front_end = self.front_ends[number]
        return front_end.address("tracker", listener) if front_end.listeners else None

    # Faults.

    def begin(self, kind, number, duration):
        print(f"{self.now():.3f} {kind} {'abc'[number]} {duration}", file=sys.stderr)
        front_end = self.front_ends[number]
        if kind == "kill":
            front_end.thaw()
            front_end.kill()
            front_end.listeners = []
            self.after(duration, lambda: self.restart(number))
        elif kind == "freeze":
            front_end.freeze()
            self.after(duration, front_end.thaw)
        elif kind == "redis":
            self.redis.kill()
            self.after(duration, self.redis.start)
        elif kind == "pause":
            sleeper = self.redis.connect()
            sleeper.send("DEBUG", "SLEEP", duration)
            self.sleepers.append(sleeper)
        elif kind == "drops":
            for peer in self.peers[number::10]:
                if peer.socket is not None:
                    peer.lose(self.now())
        else:
            self.command(kind)

    def command(self, kind):
        words = {"links": ("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes"),
                 "subscribers": ("CLIENT", "KILL", "TYPE", "pubsub"),
                 "scripts": ("SCRIPT", "FLUSH"), "flush": ("FLUSHALL",)}[kind]
        connection = self.redis.connect()
        # Sent only: it may be stalled or loading, and carries the command out afterwards.
        connection.send(*words)
        self.sleepers.append(connection)

    def after(self, duration, function):
        self.due.append((self.now() + duration, function))

    def restart(self, number):
        old = self.front_ends[number]
        new = self.t.frontend(self.redis, node=old.node, listen=LISTEN, settings=self.settings, wait=False)
        self.front_ends[number] = new
        self.starting[number] = new

    def look_for_ready(self):
        for number, front_end in list(self.starting.items()):
            if front_end.log_lines(r"\bmsg=ready\b"):
                Frontend.wait_ready(front_end)
                del self.starting[number]

    # The run.

    def turn(self):
        now = self.now()
        for entry in [entry for entry in self.due if entry[0] <= now]:
            self.due.remove(entry)
            entry[1]()
        self.look_for_ready()
        for peer in self.peers:
            peer.turn(now)
        for descriptor, _ in self.poll.poll(0.02):
            peer = self.by_descriptor.get(descriptor)
            if peer is not None:
                peer.readable(now)

    def play(self, until):
        """Goes on with the schedule up to that second."""
        shift = self.now() - self.clock
        while self.clock < until:
            self.clock = min(until, self.now() - shift)
            while self.faults and self.faults[-1][0] <= self.clock:
                _, kind, number, duration = self.faults.pop()
                self.begin(kind, number, duration)
            self.turn()

    def expected(self):
        return {peer.id: peer.acknowledged for peer in self.peers if not peer.left}

    def until(self, predicate, timeout, what):
        end = time.monotonic() + scaled(timeout)
        while not predicate():
            assert time.monotonic() < end, what()
            self.turn()

    def settle(self):
        """All faults end, and every client gets what it wants."""
        def all_is_well():
            return not self.due and not self.starting and all(peer.settled() for peer in self.peers)

        def unsettled():
            return [(peer.index, peer.front_end, peer.id, peer.wanted, peer.acknowledged, peer.asked)
                    for peer in self.peers if not peer.settled()][:10]
        self.until(all_is_well, 40, lambda: f"not settled: {self.due}, {self.starting}, {unsettled()}")

    def agree(self):
        """Redis, all views, and what the clients know."""
        # What was orphaned at the end has to wait for the recovery grace, and for its own grace.
        def is_stored():
            try:
                return stored(self.redis) == self.expected()
            except (OSError, RedisError):
                return False
        def what():
            found = stored(self.redis)
            expected = self.expected()
            wrong = [peer for peer in self.peers if found.get(peer.id) != expected.get(peer.id)]
            received = [(peer.index, peer.history[-12:]) for peer in wrong[:5]]
            return f"Redis agrees: {difference(expected, found)}; these clients know: {received}"
        self.until(is_stored, 30, what)
        expected = self.expected()
        wait_agreement(self.t, self.redis, self.front_ends, expected)
        watching = [peer for peer in self.peers if peer.pushed and not peer.left]
        assert watching

        def wrong():
            found = []
            for peer in watching:
                # It does not receive its own changes, only the whole map.
                mine = {peer.id: peer.map.get(peer.id)}
                if {**expected, **mine} != {**peer.map, **mine}:
                    found.append((peer.index, difference({**expected, **mine}, peer.map)))
            return found
        self.until(lambda: not wrong(), 5, lambda: f"these received something else: {wrong()}")
        for peer in self.peers:
            assert not expected.keys() & set(peer.dead), "an id that was closed"
        wait_until(lambda: counted(self.redis) == len(expected), 5, lambda: f"the count: {counted(self.redis)}")


def run(t, seed, **options):
    """The whole of it; returns the Run."""
    schedule = Schedule(seed, **options)
    print(schedule, file=sys.stderr)
    world = Run(t, schedule)
    for third in (1, 2, 3):
        world.play(schedule.seconds * third / 3)
        world.settle()
        world.agree()
        t.fsck(world.redis)
    for peer in world.peers:
        if peer.socket is not None:
            peer.socket.close()
    for sleeper in world.sleepers:
        sleeper.close()
    return world
