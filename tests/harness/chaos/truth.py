"""What really happened: which client was there when, what it wanted to be seen as, and when something was
wrong with what. All times are seconds of the run's monotonic clock.
"""
import collections

INFINITE = float("inf")

# scope: the name of a front-end, or "" for all. what: the fault's name.
Disturbance = collections.namedtuple("Disturbance", "begin end scope what")


class Disturbances:
    """Times at which something was wrong. `shift` is what the harness itself was late."""

    def __init__(self, clock):
        self.clock = clock
        self.all = []

    def begin(self, what, scope=""):
        """A handle for end."""
        self.all.append(Disturbance(self.clock(), INFINITE, scope, what))
        return len(self.all) - 1

    def end(self, handle, after=0.0):
        self.all[handle] = self.all[handle]._replace(end=self.clock() + after)

    def end_all(self):
        """Ends those that go on; returns them."""
        found = [number for number, one in enumerate(self.all) if one.end == INFINITE]
        for number in found:
            self.end(number)
        return [self.all[number] for number in found]

    def note(self, begin, end, what, scope=""):
        self.all.append(Disturbance(begin, end, scope, what))

    def concerning(self, scopes):
        """Those of everything, and those of these front-ends; None among them: of any."""
        return [one for one in self.all if not one.scope or one.scope in scopes or None in scopes]

    def last_end(self, begin, until, scopes):
        """Until when something went on between begin and `until`; `begin` itself where nothing did."""
        latest = begin
        for one in self.concerning(scopes):
            if one.begin <= until and one.end > latest:
                latest = one.end
        return latest

    def overlaps(self, begin, end, scopes, after=0.0, only=None):
        """Those that concern the time from begin to end, each counted as `after` longer than it was."""
        return [one for one in self.concerning(scopes) if one.begin <= end and one.end + after >= begin
                and (only is None or one.what in only)]


class Value:
    """What a client wanted to be seen as from a time on."""

    __slots__ = ("text", "sent", "acknowledged")

    def __init__(self, text, sent):
        self.text, self.sent, self.acknowledged = text, sent, None


class Subject:
    """What others see of one client under one name: an entry, or a user. Times of its presence are a list of
    [begin, end], the last end None while it is there."""

    def __init__(self, name, client):
        self.name = name
        self.client = client
        self.times = []
        self.values = []
        self.ended = None  # it has gone for good, or its name has
        self.why = ""
        self.doubt = None  # when a request was left behind of which nobody knows what became
        self.homes = []  # (time, front-end) as Redis had it, when it changed
        self.rests = []  # of a user: (time, since when the oldest of its devices of that time is there)

    # Being there.

    def present(self, now, home=None):
        """It is known to be there: an answer said so. home: the front-end, where that is known."""
        self.at_home(now, home)
        if not self.times or self.times[-1][1] is not None:
            self.times.append([now, None])
        self.ended = None

    def absent(self, now):
        """Its connection is gone; it may come back."""
        if self.times and self.times[-1][1] is None:
            self.times[-1][1] = now

    def end(self, now, why):
        self.absent(now)
        if self.ended is None:
            self.ended, self.why = now, why

    def is_present(self):
        return bool(self.times) and self.times[-1][1] is None

    def stretches(self, grace):
        """Times in which it was to be seen without a break: an absence shorter than the grace is none."""
        found = []
        for begin, end in self.times:
            if found and begin - found[-1][1] <= grace:
                found[-1][1] = INFINITE if end is None else end
            else:
                found.append([begin, INFINITE if end is None else end])
        return found

    def rest(self, now, since):
        if not self.rests or self.rests[-1][1] != since:
            self.rests.append((now, since))

    def rests_on(self, now):
        """Since when what it was seen by at that time was there; 0 where that has not changed."""
        return next((since for at, since in reversed(self.rests) if at <= now), 0)

    # Where it is.

    def at_home(self, now, home):
        if home is not None and (not self.homes or self.homes[-1][1] != home):
            self.homes.append((now, home))

    def homes_within(self, begin, end):
        """The front-ends that had it in that time; None among them where that is not known."""
        found, before = set(), None
        for at, home in self.homes:
            if at <= begin:
                before = home
            elif at <= end:
                found.add(home)
        return found | {before} if before is not None or not found else found

    # What it is seen as.

    def want(self, text, now):
        value = Value(text, now)
        self.values.append(value)
        return value

    def acceptable(self, now, bound):
        """The texts that may be seen now: the newest that should have come by now, and all after it."""
        first = 0
        for number, value in enumerate(self.values):
            if value.acknowledged is not None and value.acknowledged + bound <= now:
                first = number
        return [value.text for value in self.values[first:]]

    def settled_since(self):
        """When its newest value was known to be taken; INFINITE while it is not."""
        if not self.values:
            return INFINITE
        acknowledged = self.values[-1].acknowledged
        return INFINITE if acknowledged is None else acknowledged
