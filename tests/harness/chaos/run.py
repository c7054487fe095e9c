"""The run of one schedule: world, clients, faults and oracle in one loop."""
import sys
import time

from ..waiting import SCALE, scaled
from .clients import HAPROXY
from .faults import Faults
from .oracle import Bounds, Oracle
from .redis_watch import RedisWatch
from .rooms import Rooms
from .schedule import DEFAULTS, ROOMS, first, settings_of
from .sync import Sync
from .tracker import Getter, Tracker
from .truth import Disturbances
from .turntable import Turntable, User
from .views import Views
from .wire import Loop
from .world import LETTERS, World

# Seconds between two looks of the oracle; what the loop may be late before that explains something.
LOOK = 0.25
LATE = 0.4
# After the last fault has begun: it has ended, and a front-end that was started is ready.
FAULT_ENDS = 30


class Run:
    def __init__(self, t, schedule):
        self.t, self.schedule = t, schedule
        self.bounds_of = {name: scaled(value) for name, value in schedule.short.items()}
        self.bounds = Bounds(self.bounds_of, scaled(1.5), schedule.short == DEFAULTS)
        self.began = time.monotonic()
        self.events = []
        self.disturbances = Disturbances(self.now)
        self.oracle = Oracle(self, self.bounds)
        self.views = Views(self, self.oracle, self.bounds)
        self.rooms = Rooms(self)
        self.loop = Loop()
        t.stack.callback(self.loop.close)
        self.world = World(t, schedule.by, schedule.partitions,
                           {**settings_of(schedule.short, SCALE), "map.partitions": schedule.partitions,
                            **schedule.settings}, schedule.clocks, schedule.release)
        self.watch = RedisWatch(self, schedule.partitions)
        self.faults = Faults(self)
        self.due = []
        self.clients, self.users = [], []
        self._make_clients()
        self.getters = [Getter(self, number, letter) for number, letter in enumerate(LETTERS)]
        self.began = time.monotonic()
        self.wall_clock = time.strftime("%H:%M:%S", time.gmtime()) + f"{time.time() % 1:.3f}"[1:]
        self.last_round = self.now()
        self.next_look = 0.0
        self.slept = 0.0

    def now(self):
        return time.monotonic() - self.began

    def note(self, *words):
        self.events.append((round(self.now(), 3), *words))

    # Clients.

    def _make_clients(self):
        crowd = self.schedule.crowd

        def where(index):
            return HAPROXY if index * self.schedule.balanced % 1 + self.schedule.balanced >= 1 else LETTERS[index % 3]
        for kind in ("tracker", "watchers", "silent", "sync", "delta", "turntable", "devices", "vanishing"):
            for number in range(crowd[kind]):
                index = len(self.clients)
                self.clients.append(self._make(kind, index, number, where(index)))
        users = [user.name for user in self.users]
        for client in self.clients:
            if isinstance(client, Turntable):
                client.watched = users

    def _make(self, kind, index, number, via):
        if kind in ("tracker", "watchers"):
            return Tracker(self, index, via, watches=kind == "watchers")
        if kind == "silent":
            return Sync(self, index, via, silent=True, delta=number % 2 == 1, resumes=number % 4 == 3)
        if kind in ("sync", "delta"):
            return Sync(self, index, via, delta=kind == "delta", resumes=number % 2 == 0)
        if kind == "turntable":
            self.users.append(User(self, f"1:{number}"))
            return Turntable(self, index, via, self.users[-1], silent=number % 4 == 3)
        if kind == "devices":
            return Turntable(self, index, via, self.users[number])
        client = Tracker(self, index, LETTERS[number % 3])
        client.host = self.world.hosts["vanishing"]
        return client

    def _act(self, client, action, detail):
        now = self.now()
        if not client.wants_to_be_here:
            return
        if action == "drop":
            client.drop(now, 0.02 + (detail or 0) * 0.3)
        elif action == "away":
            # Half of them for longer than the grace.
            client.drop(now, self.bounds_of["grace"] * (0.3 + 2 * (detail or 0)))
        elif action == "move":
            via = detail if isinstance(detail, str) else LETTERS[int((detail or 0) * 2.999)]
            client.move(now, via)
        elif action == "leave":
            client.leave(now, "close" if (detail or 0) < 0.5 else "drop")
        elif action == "close" and isinstance(client, Tracker):
            client.close_and_open(now)
        elif action == "change":
            client.change(now)
        elif isinstance(client, Turntable) and not client.silent:
            room = ROOMS[int((detail or 0) * 1.999)]
            if action == "talk" and client.rooms:
                room = sorted(client.rooms)[int((detail or 0) * 10) % len(client.rooms)]
                client.talk(now, room)
            elif action in ("join", "talk"):
                client.join(now, room)
            elif action == "leave_room":
                client.leave_room(now, room)

    # The loop.

    def after(self, seconds, function):
        self.due.append((self.now() + seconds, function))

    def notice_stall(self):
        now = self.now()
        if now - self.last_round > LATE:
            self.disturbances.note(self.last_round, now, "machine stalls")
            self.slept = max(self.slept, now - self.last_round)
            self.note("the machine stalled", round(now - self.last_round, 2))
        self.last_round = now

    def turn(self):
        self.notice_stall()
        now = self.now()
        for entry in [entry for entry in self.due if entry[0] <= now]:
            self.due.remove(entry)
            entry[1]()
            # Starting a program is not the machine's fault.
            self.last_round = self.now()
        for client in self.clients:
            client.turn(self.now())
        for getter in self.getters:
            getter.turn(self.now())
        self.loop.turn(0.02)
        if self.now() >= self.next_look:
            self.look()
            self.next_look = self.now() + LOOK

    def look(self):
        now = self.now()
        self.watch.look(now)
        self.views.look(now)
        self.views.judge(now)
        self.oracle.look(now)

    def play(self):
        """The schedule."""
        todo = [(at, lambda kind=kind, arguments=arguments: self.faults.begin(kind, arguments))
                for at, kind, arguments in self.schedule.faults]
        todo += [(at, lambda client=client, action=action, detail=detail:
                  self._act(self.clients[client], action, detail))
                 for at, client, action, detail in self.schedule.actions]
        todo.sort(key=first, reverse=True)
        while self.now() < scaled(self.schedule.seconds) or todo:
            # Before something that is due says that the machine has just run.
            self.notice_stall()
            while todo and scaled(todo[-1][0]) <= self.now():
                todo.pop()[1]()
                self.last_round = self.now()
            self.turn()

    def until(self, wrong, seconds, kind, scope=None):
        """Turns until wrong() is empty: else a violation. seconds: after the last disturbance."""
        begin = self.now()
        while True:
            found = wrong()
            if not found:
                return True
            if self.now() > self.disturbances.last_end(begin, self.now(), {None}) + seconds:
                for text in found[:8]:
                    self.oracle.violate(kind, text, text)
                return False
            for _ in range(4):
                self.turn()

    # The end.

    def end_faults(self):
        """Turns until all faults have ended. What has not ended long after it should have is a violation, and excuses
        nothing any more."""
        begin = self.now()
        while self.faults.busy:
            if self.now() > begin + scaled(FAULT_ENDS):
                for one in self.disturbances.end_all():
                    text = " ".join(filter(None, (one.what, one.scope)))
                    self.oracle.violate("fault", text, f"{text} since {one.begin:.2f} does not end")
                return
            self.turn()

    def settle(self):
        """All faults have ended; now everything must come to agree."""
        self.end_faults()
        calm = self.disturbances.begin("converging")
        self.disturbances.end(calm)
        self.until(lambda: [f"{letter} is not ready: {self._why(letter)}" for letter in LETTERS
                            if not self.world.is_ready(letter)], self.bounds.serve, "not ready")
        self.until(lambda: [f"{client.name} does not get what it wants: {list(client.history)[-8:]}"
                            for client in self.clients if client.wants_to_be_here and not client.settled()],
                   self.bounds.serve + self.bounds.after, "unserved")
        self.until(lambda: self.watch.differences(self.world.redis()), self.bounds.after, "redis differs")
        self.until(self._views_differ, self.bounds.after, "views differ")
        self._talk()
        self._fsck()

    def _why(self, letter):
        try:
            return self.world.frontends[letter].http("/readyz", timeout=2)[2].decode().strip()
        except OSError as error:
            return str(error)

    def _views_differ(self):
        """What observers show otherwise than it is; and pictures of deltas otherwise than whole ones."""
        found = []
        present = {name: one for name, one in self.views.subjects.items() if one.is_present()}
        for view in self.views.open_views:
            if view.known_at is None:
                found.append(f"{view} has no map")
                continue
            expected = {name for name, one in present.items() if view.concerns(one)}
            seen = set(view.names)
            if view.client.subjects() and view.kind == "push":
                # It need not receive its own changes.
                expected -= {one.name for one in view.client.subjects()} - seen
            if expected != seen:
                found.append(f"{view} does not show {sorted(expected - seen)[:5]}, shows {sorted(seen - expected)[:5]} "
                             f"{[view.entries[id] for name in sorted(seen - expected)[:3] for id in view.names[name]]}")
            for name in expected & seen:
                text = view.text_of(present[name])
                values = present[name].values
                if text is not None and values and text != values[-1].text and not (
                        view.kind == "push" and present[name] in view.client.subjects()):
                    found.append(f"{view} shows {name} ({present[name].client.name}) as {text!r} instead of "
                                 f"{values[-1].text!r}")
        return found

    def _talk(self):
        """Every member says something; all members are sent it."""
        for room in ROOMS:
            members = [one for one in self.clients if isinstance(one, Turntable) and one.wire is not None
                       and room in one.rooms]
            for one in members:
                one.talk(self.now(), room)
            names = {one.user.name for one in members}

            def wrong(room=room, members=members, names=names):
                said = [stay.said[-1][0] for one in members for stay in [one.rooms.get(room)] if
                        getattr(stay, "said", None)]
                late = [f"{one.name} in {room} is not sent {sorted(set(said) - set(one.rooms[room].places))[:4]}"
                        for one in members if getattr(one.rooms.get(room), "places", None) is not None
                        and set(said) - set(one.rooms[room].places)]
                return late + [f"{one.name} knows of {sorted(one.members.get(room, ()))} in {room}; there are "
                               f"{sorted(names)}" for one in members if one.members.get(room) != names]
            self.until(wrong, self.bounds.room + 1, "room")
        self.rooms.judge(self.now(), self.bounds.room)

    def _fsck(self):
        redis = self.world.redis()
        settings = settings_of(self.schedule.short, SCALE)
        arguments = [word for name in ("client.ttl", "client.grace", "presence.offline_delay", "map.lease", "map.sweep", "map.recovery_grace")
                     if name in settings for word in ("--set", f"{name}={settings[name]}")]

        def wrong():
            done = self.t.run(self.world.newest_program("trackerctl"), "--redis", f"unix:{redis.socket}", *arguments, "fsck", check=False)
            self.last_round = self.now()
            return [] if done.returncode == 0 else [f"{done.stdout}{done.stderr}"]
        self.until(wrong, self.bounds.after, "fsck")

    def empty(self):
        """All clients leave; nothing is left of them."""
        for client in self.clients:
            if client.wants_to_be_here:
                client.leave(self.now(), "close" if client.index % 2 else "drop")
        self.until(lambda: self.watch.remains(self.world.redis()), self.bounds.ghost + self.bounds.own, "keys remain")
        self.until(lambda: [f"{view} still shows {[(id, view.entries[id], self.watch.events[id][-6:]) for id in sorted(view.entries)[:4]]}"
                            for view in self.views.open_views if view.names], self.bounds.appear, "ghost")
        for getter in self.getters:
            getter.leave(self.now(), "drop")

    def all(self):
        print(self.schedule, file=sys.stderr)
        for getter in self.getters:
            getter.turn(0)
        self.play()
        self.settle()
        self.empty()
        self.views.judge(self.now(), True)
        return self


def run(t, schedule):
    """Runs it; returns the Run, whose oracle has what was found."""
    return Run(t, schedule).all()
