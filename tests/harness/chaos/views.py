"""What observers were sent of others, held against the truth. A view is what one connection of one observer
was sent; it knows for each name whether it is there, and as what.
"""
import collections
import functools
import json

from .oracle import CRASHES
from .truth import INFINITE, Subject


@functools.lru_cache(maxsize=20000)
def canonical(text):
    """JSON with its keys in order; other text as it is."""
    if not text.startswith("{"):
        return text
    return json.dumps(json.loads(text), sort_keys=True, separators=(",", ":"))


@functools.lru_cache(maxsize=20000)
def _parse(text, as_json):
    """(user or None, text) of an entry as the others are sent it."""
    if not text.startswith("{"):
        return None, text
    value = json.loads(text)
    if set(value) == {"user", "status"}:
        return value["user"], value["status"]
    if as_json and set(value) == {"state"}:
        return None, value["state"]
    return None, canonical(text)


class View:
    """One connection's. kind: "push", "get", "whole", "delta", or "presence", which is of names, not of a map."""

    def __init__(self, views, client, kind, now):
        self.views, self.client, self.kind = views, client, kind
        self.opened, self.closed = now, INFINITE
        self.connected_to = client.front_end
        self.own = None
        self.known_at = None  # when it had a whole map first
        self.entries = {}  # id -> (name, text)
        self.names = {}  # name -> ids
        self.removed = {}  # name -> when
        self.absences = {}  # name -> since when it is missing
        self.appeared_at = {}  # names of nobody -> since when
        self.details = {}  # of absences: what Redis had then
        self.returned = {}  # names of the gone that are shown again -> since when
        self.reported = set()
        self.ended = False
        self.history = collections.defaultdict(list)  # name -> when it appeared and disappeared

    def __repr__(self):
        return f"{self.client.name} ({self.kind}, {self.front_end() or 'somewhere'})"

    def story(self, name):
        """What it was sent of a name, and when."""
        known = "never" if self.known_at is None else f"{self.known_at:.2f}"
        seen = " ".join(f"{what} {at:.2f}" for at, what in self.history[name][-8:])
        return f"(a view of {self.opened:.2f}, which had a map at {known}: {seen or 'nothing'})"

    def front_end(self):
        """Which this connection is made to, wherever its client is by now; None where that is not known."""
        if self.connected_to is not None:
            return self.connected_to
        homes = [home for at, home in self.own.homes if at <= self.closed] if self.own else []
        return homes[-1] if homes else None

    def _note_own(self):
        """What this connection's client is itself seen as: the front-end that has it is the connection's."""
        subjects = self.client.subjects()
        if not subjects and getattr(self.client, "user", None) and len(self.client.user.devices) == 1:
            subjects = [self.client.user.subject]
        if subjects:
            self.own = subjects[0]

    # What comes.

    def put(self, now, id, text, as_json=False):
        self._note_own()
        user, text = _parse(text, as_json)
        name = id if user is None else "@" + user
        before = self.entries.get(id)
        self.entries[id] = (name, text)
        if before is not None and before[0] == name:
            return
        ids = self.names.setdefault(name, set())
        ids.add(id)
        if len(ids) == 1:
            self._appeared(now, name)
        if before is not None:
            self._remove(now, id, before[0])

    def gone(self, now, id):
        before = self.entries.pop(id, None)
        if before is not None:
            self._remove(now, id, before[0])

    def whole(self, now, entries, as_json=False, ignored=None):
        """ignored: an id of which this says nothing. What came is put in before the rest is removed: a name that has
        another id now was never gone."""
        for id, text in entries.items():
            self.put(now, id, text, as_json)
        for id in [id for id in self.entries if id not in entries and id != ignored]:
            self.gone(now, id)
        if self.known_at is None:
            self.known_at = now

    def status(self, now, name, status):
        """Of a view of presence; name: a user's, or an id."""
        self._note_own()
        if self.known_at is None:
            self.known_at = now
        name = "@" + name if ":" in name else name
        if status == "offline":
            self.gone(now, name)
            return
        self.entries[name] = (name, status)
        if name not in self.names:
            self.names[name] = {name}
            self._appeared(now, name)

    def _remove(self, now, id, name):
        ids = self.names[name]
        ids.discard(id)
        if not ids:
            del self.names[name]
            self._disappeared(now, name)

    def _appeared(self, now, name):
        self.history[name].append((now, "shown"))
        since = self.absences.pop(name, None)
        if since is not None:
            self.views.absent(self, name, since, now)
        subject = self.views.subjects.get(name)
        if subject is None:
            self.appeared_at[name] = now
        elif name in self.removed and subject.ended is not None and subject.ended <= self.removed[name]:
            if not self.views.oracle.returned(self, subject, self.removed[name], now):
                self.returned[name] = now

    def _disappeared(self, now, name):
        self.history[name].append((now, "gone"))
        self.removed[name] = now
        self.appeared_at.pop(name, None)
        self.returned.pop(name, None)
        subject = self.views.subjects.get(name)
        if subject is None:
            return
        if subject.ended is None:
            self.absences[name] = now
        else:
            self.views.ghost_ended(self, subject, now)

    def close(self, now):
        self.ended, self.closed = True, now
        for name, since in self.absences.items():
            self.views.absent(self, name, since, now)
        self.absences = {}

    def concerns(self, subject):
        return self.kind != "presence" or subject.name.lstrip("@") in self.client.watched

    def text_of(self, subject):
        """The text it is shown with; None where it has no one text."""
        ids = self.names[subject.name]
        if len(ids) != 1 or (self.kind == "presence" and not subject.name.startswith("@")):
            return None
        return self.entries[next(iter(ids))][1]


class Views:
    def __init__(self, run, oracle, bounds):
        self.run, self.oracle, self.bounds = run, oracle, bounds
        self.subjects = {}
        self.open_views = []
        self.finished = []  # (view, subject, since, until): absences to be judged

    def subject(self, name, client):
        found = self.subjects.get(name)
        if found is None:
            found = self.subjects[name] = Subject(name, client)
        return found

    def open(self, client, kind):
        view = View(self, client, kind, self.run.now())
        self.open_views.append(view)
        return view

    def close(self, view):
        if view is not None and not view.ended:
            view.close(self.run.now())
            self.open_views.remove(view)

    def absent(self, view, name, since, until):
        self.finished.append((view, self.subjects[name], since, until))

    def ghost_ended(self, view, subject, now):
        outage = self.run.disturbances.last_end(subject.ended, now, self.scopes(view, subject, subject.ended, now))
        self.oracle.ghost(view, subject, now - subject.ended, now - min(outage, now))

    @staticmethod
    def scopes(view, subject, begin, end):
        """The front-ends whose troubles explain what this view has of that subject."""
        return subject.homes_within(begin, end) | {view.front_end()}

    # From time to time.

    def look(self, now):
        for view in self.open_views:
            if view.known_at is not None:
                for subject in self.subjects.values():
                    if view.concerns(subject):
                        self._check(view, subject, now)
                self._check_unknown(view, now)
                self._check_absences(view, now)
                for name, since in view.returned.items():
                    # A user stays as long as nobody is taken for dead.
                    if now > since + (self.bounds.hold if view.kind == "presence" else self.bounds.stale):
                        self.oracle.returned(view, self.subjects[name], view.removed[name], now, True)

    def _check_absences(self, view, now):
        """So that Redis can show why."""
        for name, since in view.absences.items():
            if now > since + 0.3 and (name, since) not in view.details and self.subjects[name].is_present():
                view.details[name, since] = f"at {now:.2f}" + self.run.watch.describe(name)

    def _check(self, view, subject, now):
        is_seen = subject.name in view.names
        if subject.is_present():
            if is_seen:
                self._compare(view, subject, now)
            elif subject.name not in view.absences:
                self._await(view, subject, now)
        elif is_seen and subject.ended is not None and (subject.name, "ghost") not in view.reported:
            due = self._ghost_due(view, subject, now)
            if now > due:
                view.reported.add((subject.name, "ghost"))
                self.oracle.violate("ghost", subject.name, f"{view} still shows {subject.name} ({subject.client.name}), which ended "
                                    f"at {subject.ended:.2f} ({subject.why}), homes {subject.homes[-3:]}", view)

    def _due(self, view, subject, begin, now, bound):
        """When something is late that could happen from `begin` on."""
        scopes = self.scopes(view, subject, begin, now)
        end = self.run.disturbances.last_end(begin, now, scopes)
        return end + (bound if end == begin else max(bound, self.bounds.after))

    def _ghost_due(self, view, subject, now):
        """When one that has ended is shown for too long."""
        if not self.bounds.documented:
            return self._due(view, subject, subject.ended, now, self.bounds.ghost)
        # What is wrong with its own front-end is no reason: the others take its entries over within the bound.
        here = {view.front_end()}
        end = self.run.disturbances.last_end(subject.ended, now, here)
        if end == subject.ended:
            return end + self.bounds.ghost
        homes = subject.homes_within(subject.ended - self.bounds.after, now)
        crashed = any(one.what in CRASHES and one.scope in homes and one.end >= subject.ended - self.bounds.grace
                      and one.begin <= now for one in self.run.disturbances.all)
        # What stops everything for longer than a lease is as a front-end's crash to each of them.
        stalled = self.run.disturbances.overlaps(subject.ended, now, set(), only=("machine stalls",))
        return end + (self.bounds.ghost_of_crashed if stalled or crashed and self._without_redis(subject.ended, now)
                      else self.bounds.ghost_after)

    def _without_redis(self, begin, end):
        """Whether something was wrong with Redis meanwhile, so that there was a hold."""
        return bool(self.run.disturbances.overlaps(begin, end, set()))

    def _await(self, view, subject, now):
        begin = max(view.known_at, subject.times[-1][0])
        due = self._due(view, subject, begin, now, self.bounds.appear)
        if now > due:
            view.absences[subject.name] = due

    def _compare(self, view, subject, now):
        text = view.text_of(subject)
        values = subject.values
        if text is None or not values or text == values[-1].text:
            return
        if view.kind == "push" and subject in view.client.subjects():
            return  # it is not pushed its own writes
        base = max(view.known_at, subject.times[-1][0])
        for value in reversed(values):
            if value.text == text:
                return
            if value.acknowledged is not None:
                due = self._due(view, subject, max(base, value.acknowledged), now, self.bounds.stale)
                if now > due:
                    break
        else:
            return
        mark = (subject.name, "stale", value.text)
        if mark not in view.reported:
            view.reported.add(mark)
            self.oracle.violate("stale", subject.name, f"{view} shows {subject.name} ({subject.client.name}) as {text!r}; it is "
                                f"{value.text!r} since {value.acknowledged:.2f}, homes {subject.homes[-3:]}", view)

    def _check_unknown(self, view, now):
        for name, since in list(view.appeared_at.items()):
            if name in self.subjects:
                del view.appeared_at[name]
            elif now > self.run.disturbances.last_end(since, now, {None}) + self.bounds.after:
                del view.appeared_at[name]
                if name not in view.reported:
                    view.reported.add(name)
                    ids = view.names.get(name, ())
                    self.oracle.violate("unknown", name, f"{view} shows {name} since {since:.2f}, which no client has: "
                                        f"{[(id, view.entries[id], self.run.watch.events[id][-8:]) for id in ids]}")

    # Judging absences, when it is known what became of the subject.

    def judge(self, now, all_of_them=False):
        wait = self.bounds.grace + 1
        if all_of_them:
            for view in self.open_views:
                for name, since in view.absences.items():
                    self.finished.append((view, self.subjects[name], since, now))
                view.absences = {}
        due = [one for one in self.finished if all_of_them or one[3] + wait < now]
        self.finished = [one for one in self.finished if not all_of_them and one[3] + wait >= now]
        for view, subject, since, until in due:
            patience = self._patience(view, subject)
            for begin, end in subject.stretches(patience):
                # One that is back after all may take a moment to be seen; and its end is noticed here a moment
                # after the others notice it.
                was_gone = begin > subject.times[0][0]
                if view.kind != "presence":
                    # A user whose device has gone is seen by another one as soon as that one is.
                    begin = max(begin, subject.rests_on(since))
                is_known = since >= begin + (self.bounds.appear if not patience else 0.3 if was_gone else 0)
                first = self._old_until(view, begin, since) if is_known else self._due(view, subject, begin, until,
                                                                                       self.bounds.appear)
                last = min(until, end)
                if last - first > self.bounds.blink:
                    self.oracle.false_offline(view, subject, first, last)

    def _old_until(self, view, begin, since):
        """Until when an end before `begin` that was shown at `since` only is late, and no end that there was not: a
        front-end whose trouble began before the return delivers what was then, and afterwards the return."""
        here = view.front_end()
        troubles = [one for one in self.run.disturbances.all if one.scope and (here is None or one.scope == here)
                    and one.begin <= begin + self.bounds.blink and one.end + self.bounds.own >= since]
        return max([since] + [one.end + self.bounds.own for one in troubles if one.end >= begin])

    def _patience(self, view, subject):
        """An absence of how long is not to be seen at all."""
        if not subject.name.startswith("@"):
            return self.bounds.grace - 0.5
        # A device of a user has another entry when it comes back; the user has not gone.
        return self.bounds.presence - 0.5 if view.kind == "presence" else 0
