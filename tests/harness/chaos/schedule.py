"""What happens when. A schedule depends on its seed alone; what comes of it depends on the machine, too."""
import random

from .clients import HAPROXY

# Standard settings of a run, in seconds: small, so that everything ends within it.
SHORT = {"lease": 1.5, "sweep": 0.3, "hold": 3, "grace": 1.5, "presence": 1, "ttl": 6, "push_all": 0.3, "tick": 0.1}
# A front-end's own, for measuring what operations.md promises: then everything takes as many times longer.
DEFAULTS = {"lease": 3, "sweep": 1, "hold": 10, "grace": 5, "presence": 5, "ttl": 30, "push_all": 1, "tick": 0.5}
STRETCH = 3.3
ROOMS = ("red", "green")
ACTIONS = (("change", 46), ("talk", 26), ("drop", 9), ("move", 6), ("away", 3), ("close", 3), ("join", 3),
           ("leave_room", 3), ("leave", 1.5))


def settings_of(short, scale=1.0):
    """For --set."""
    if short == DEFAULTS and scale == 1:
        return {}
    def text(seconds):
        return f"{round(seconds * scale * 1000)}ms"
    return {"map.lease": text(short["lease"]), "map.sweep": text(short["sweep"]), "map.recovery_grace": text(short["hold"]),
            "client.grace": text(short["grace"]), "presence.offline_delay": text(short["presence"]),
            "client.ttl": text(short["ttl"]), "tracker.push_all_interval": text(short["push_all"]),
            "net.keepalive": f"{max(1, round(scale))}s", "net.keepalive_interval": f"{max(1, round(scale))}s",
            # As the defaults are to client.ttl.
            "ws.ping_interval": text(short["ttl"] * 2 / 3), "ws.timeout": text(short["ttl"]),
            "net.keepalive_probes": 1 if short["ttl"] < 5 else 3, "sync.tick": text(short["tick"]),
            "redis.timeout": text(1.5), "redis.connect_timeout": text(1.5), "redis.deadline": text(2),
            "redis.backoff_max": text(0.5)}


class Schedule:
    """faults: (second, kind, arguments). actions: (second, client, action, detail). crowd: how many clients of each
    kind, see run.py."""

    def __init__(self, name, seconds=16, seed=0):
        self.name = name
        self.seed = seed
        self.seconds = seconds
        self.short = dict(SHORT)
        self.settings = {}
        self.by = "proxy"
        self.partitions = 1
        self.clocks = False
        self.release = None  # of all front-ends at the beginning, see Context.release
        self.faults = []
        self.actions = []
        self.crowd = {"tracker": 16, "watchers": 3, "silent": 4, "sync": 6, "delta": 6, "turntable": 9, "devices": 2,
                      "vanishing": 3}
        self.balanced = 0.5  # of them so many by HAProxy
        self.calm = ()  # clients that do nothing by themselves

    def fault(self, at, kind, **arguments):
        self.faults.append((at, kind, arguments))
        return self

    def act(self, at, client, action, detail=None):
        self.actions.append((at, client, action, detail))
        return self

    def bustle(self, rate=0.5, begin=0.5, end=None, seed=None, actions=ACTIONS):
        """Every client does something now and then, `rate` times a second."""
        numbers = random.Random(f"{self.seed if seed is None else seed}/{self.name}")
        kinds, weights = zip(*actions)
        for client in range(self.count()):
            at = begin + numbers.expovariate(rate)
            while at < (self.seconds if end is None else end):
                action = numbers.choices(kinds, weights)[0]
                self.act(round(at, 3), client, action, numbers.random())
                at += numbers.expovariate(rate)
        return self

    def with_defaults(self):
        """The same with a front-end's own settings."""
        self.name += " (defaults)"
        self.short, self.settings = dict(DEFAULTS), {}
        self.seconds *= STRETCH
        self.faults = [(at * STRETCH, kind, {name: value * STRETCH if name in ("seconds", "lag", "events_first") else value
                                             for name, value in arguments.items()})
                       for at, kind, arguments in self.faults]
        self.actions = [(at * STRETCH, *rest) for at, *rest in self.actions]
        return self

    def count(self):
        return sum(self.crowd.values())

    def __str__(self):
        lines = [f"{self.name}: {self.count()} clients, {len(self.actions)} actions, {self.seconds} s, Redis by {self.by}, "
                 f"{self.partitions} partitions, {self.short}"]
        lines += [f"  {at:6.2f} {kind} {arguments or ''}" for at, kind, arguments in sorted(self.faults, key=first)]
        return "\n".join(lines)


def first(entry):
    return entry[0]


class RandomSchedule(Schedule):
    """Of a seed."""

    def __init__(self, seed):
        super().__init__(f"seed {seed}", seconds=17, seed=seed)
        numbers = random.Random(seed)
        self.by = numbers.choice(("proxy", "proxy", "name"))
        self.partitions = numbers.choice((1, 1, 3))
        self.clocks = numbers.random() < 0.4
        self.short["ttl"] = numbers.choice((4, 6, 8))
        self.balanced = numbers.choice((0.3, 0.5, 0.8))
        self._faults(numbers)
        self.bustle(numbers.choice((0.2, 0.5, 0.8)))
        for at, _, _ in list(self.faults):
            self._gather(numbers, at)

    def _faults(self, numbers):
        at = 1.5
        free = {"redis": 0.0, "a": 0.0, "b": 0.0, "c": 0.0}
        while at < self.seconds - 4:
            kind = numbers.choices(*zip(*KINDS))[0]
            if not self.clocks and kind in ("clock", "redis_clock"):
                continue
            what, needs, seconds = self._one(kind, numbers)
            needed = numbers.choice("abc") if needs == "front-end" else needs
            begin = max(at, free[needed])
            if begin + seconds > self.seconds - 1:
                at += 1
                continue
            if needs == "front-end":
                what["letter"] = needed
            if kind == "redis_kill" and what["data"] == "old.rdb":
                self.fault(max(0.8, round(begin - numbers.uniform(1, 8), 2)), "save")
            self.fault(round(begin, 2), kind, **what)
            # Two faults of different things may overlap.
            free[needed] = begin + seconds + 1
            at = begin + numbers.choice((0.3, seconds / 2, seconds + 1, seconds + 3))

    @staticmethod
    def _one(kind, numbers):
        """(arguments, what it needs for itself, how long)."""
        seconds = round(numbers.choice((numbers.uniform(0.3, 1.2), numbers.uniform(1.5, 3), numbers.uniform(3, 6))), 2)
        if kind in ("kill", "drain"):
            return {"seconds": min(seconds, 3)}, "front-end", min(seconds, 3) + 1
        if kind in ("freeze", "cut_off"):
            return {"seconds": seconds}, "front-end", seconds
        if kind == "vanish":
            return {"seconds": seconds, "dies": numbers.random() < 0.5}, "front-end", seconds + 1
        if kind == "redis_kill":
            data = numbers.choice(("same", "old.rdb", "old.rdb", "empty"))
            return {"seconds": min(seconds, 3), "data": data}, "redis", min(seconds, 3) + 1
        if kind in ("partition", "redis_freeze", "full_disk", "out_of_memory"):
            return {"seconds": seconds}, "redis", seconds
        if kind == "promote":
            form = numbers.choice(({"cut": True}, {"cut": False}, {"lag": round(numbers.uniform(1, 5), 2)},
                                   {"cut": False, "lag": round(numbers.uniform(1, 3), 2)}, {"events_first": 3}))
            return dict(form), "redis", form.get("lag", 0) + form.get("events_first", 0) + 3
        if kind == "links":
            return {"sessions": numbers.choice((None, "normal", "pubsub"))}, "redis", 0.1
        if kind == "clock":
            return {"shift": numbers.choice((-3600, -5, 5, 86400))}, "front-end", 0.1
        if kind == "redis_clock":
            return {"shift": numbers.choice((-60, -2, 2, 5, 600))}, "redis", 0.5
        if kind == "slow":
            return {"seconds": seconds, "name": numbers.choice(("a", "b", "c"))}, "redis", seconds
        return {}, "redis", 0.1

    def _gather(self, numbers, at):
        """Some clients act at the moment of a fault, and are quiet then: what that moment loses is not put right
        by what they do next."""
        for client in numbers.sample(range(self.count()), self.count() // 8):
            moment = round(at + numbers.uniform(-0.05, 0.1), 3)
            self.actions = [one for one in self.actions if one[1] != client or not moment - 0.5 < one[0] < moment + 6]
            self.act(moment, client, numbers.choice(("change", "change", "drop", "move", "close", "talk", "away")),
                     numbers.random())


KINDS = (("kill", 3), ("freeze", 3), ("vanish", 2), ("cut_off", 2), ("drain", 1.5), ("partition", 1.5),
         ("redis_freeze", 1.5), ("redis_kill", 4), ("promote", 4), ("full_disk", 1), ("out_of_memory", 1),
         ("flush", 0.7), ("scripts", 0.5), ("links", 1), ("clock", 1), ("redis_clock", 2), ("slow", 0.7))

__all__ = ["HAPROXY", "ROOMS", "RandomSchedule", "SHORT", "Schedule", "settings_of"]
