"""What is a violation, and what is excused by what was wrong at the time."""
# What a Redis that has lost something, or forgotten, may bring.
LOSSES = ("redis older", "redis empty", "redis lagging", "redis split")
# What ends a front-end, and with it what it remembered.
DEATHS = ("kill", "drain", "vanish")
# The same without a word.
CRASHES = ("kill", "vanish")
# What excuses, with documented bounds, that a front-end's own clients are shown as gone: it is not noticed by them.
UNNOTICED = ("freeze", "cut off", "slow")
# The standard redis.connect_timeout and redis.backoff_max.
CONNECT_TIMEOUT, BACKOFF_MAX = 3, 5


class Violation:
    """about: of whom; the same of many observers is one, with the first one's text. view: the first observer's, where
    there is one."""

    def __init__(self, at, kind, about, text, view=None):
        self.at, self.kind, self.about, self.text, self.view = at, kind, about, text, view
        self.count = 1

    def __str__(self):
        more = f" (and {self.count - 1} more)" if self.count > 1 else ""
        return f"{self.at:7.2f} {self.kind}: {self.text}{more}"


class Bounds:
    """Of one set of settings, in seconds; slack is what a busy machine may add. documented: by what docs/operations.md
    promises, for the standard settings; short ones are shorter than what does not shrink with them, and get more."""

    def __init__(self, settings, slack, documented=False):
        lease, sweep = settings["lease"], settings["sweep"]
        self.documented = documented
        self.grace = settings["grace"]
        self.presence = settings["presence"]
        away = max(self.grace, self.presence)
        # A client that said so, or whose connection ended, is gone.
        self.ghost = away + lease + (1 if documented else 3) * sweep + settings["push_all"] + slack
        # A new client, or a new state, is seen.
        self.appear = self.stale = 3 * sweep + max(settings["push_all"], settings["tick"]) + slack
        self.hold = settings["hold"] + self.presence + 3 * sweep + slack
        # After an outage: the recovery grace, and what the clients of a killed front-end have then.
        self.after = settings["hold"] + lease + away + 3 * sweep + slack
        # The same of a client that has gone, whose front-end has not crashed; and where it has.
        self.ghost_after = max(self.ghost, settings["hold"] + slack if documented else self.after)
        self.ghost_of_crashed = self.ghost_after + self.grace + sweep
        # After its own front-end is well again, a client is seen again.
        self.own = lease + 3 * sweep + slack
        self.sweep, self.slack = sweep, slack
        self.serve = settings["hold"] + slack + 3
        self.room = 2 + slack
        self.blink = 0.1

    def own_offline(self, trouble):
        """For how long after a front-end's trouble its clients may still be shown as gone."""
        if not self.documented:
            return self.own
        lasted = trouble.end - trouble.begin
        again = 0 if trouble.what == "freeze" else CONNECT_TIMEOUT + min(lasted / 4, BACKOFF_MAX)
        return again + self.sweep + self.slack


class Oracle:
    def __init__(self, run, bounds):
        self.run, self.bounds = run, bounds
        self.violations = []
        self.by_mark = {}
        self.worst = {"false offline": (0, ""), "false offline, own front-end": (0, ""), "ghost": (0, ""),
                      "ghost after the outage": (0, "")}
        self.resumed_late = 0

    def violate(self, kind, about, text, view=None):
        found = self.by_mark.get((kind, about))
        if found is not None:
            found.count += 1
            return
        found = self.by_mark[kind, about] = Violation(self.run.now(), kind, about, text, view)
        self.violations.append(found)

    def _measure(self, what, seconds, text):
        if seconds > self.worst[what][0]:
            self.worst[what] = (seconds, text)

    def false_offline(self, view, subject, begin, end):
        """A client that was there was not shown from begin to end."""
        text = (f"{view} showed {subject.name} ({subject.client.name}) as gone from {begin:.2f} to {end:.2f} "
                f"{view.story(subject.name)}; it was "
                f"there {[[round(at, 2) if at else None for at in times] for times in subject.times[-3:]]}, "
                f"homes {subject.homes[-3:]}; " +
                "".join(text for (name, since), text in view.details.items() if name == subject.name and since <= end))
        homes = {home for home in subject.homes_within(begin - self.bounds.after, end) if home}
        own = [one for one in self.run.disturbances.all if one.scope and (one.scope in homes or not homes)
               and (one.what in UNNOTICED or not self.bounds.documented)
               and one.begin <= begin + self.bounds.blink and self._covers(one, view, end)]
        if own:
            self._measure("false offline, own front-end", end - begin, f"{text}: {own[-1].what} of {own[-1].scope}")
            return
        stalls = self.run.disturbances.overlaps(begin - self.bounds.grace, end, set(), after=self.bounds.own,
                                                only=("machine stalls",))
        if stalls:
            return
        self._measure("false offline", end - begin, text)
        self.violate("false offline", subject.name, text, view)

    def _covers(self, one, view, end):
        """Whether a front-end's trouble explains what was seen until then: by itself, or as the observer's own
        front-end had one before it could receive that it is over."""
        # Redis may have had troubles meanwhile, and it the next ones before it had recovered.
        over = self.run.disturbances.last_end(one.end, end, set())
        last = one
        for other in sorted(self.run.disturbances.all):
            if other.scope == one.scope and one.begin <= other.begin <= over + self.bounds.own and other.end > over:
                over, last = other.end, other
        return over + self.bounds.own_offline(last) >= end or any(
            other.scope and other.scope == view.front_end() and other.begin <= one.end + self.bounds.own
            and other.end + self.bounds.own >= end for other in self.run.disturbances.all)

    def ghost(self, view, subject, seconds, after_outage):
        text = f"{view} showed {subject.name} ({subject.client.name}, {subject.why}) for {seconds:.2f} s"
        self._measure("ghost", seconds, text)
        if after_outage < seconds:
            self._measure("ghost after the outage", after_outage, text)

    def returned(self, view, subject, removed, now, stays=False):
        """One that is gone, and was shown as gone, is shown again; stays: it is for some time. Whether that has
        been judged."""
        disturbances = self.run.disturbances.all
        losses = [one for one in disturbances if one.what in LOSSES and one.end >= removed - 0.5]
        deaths = [one for one in disturbances if one.what in DEATHS and one.end >= removed - self.bounds.grace]
        if losses and deaths:
            return True  # who remembered it may have died
        if losses and not stays:
            return False  # a map may be read before all have said what they remember
        if any(one.scope and one.scope == view.front_end() and one.begin <= now
               and one.end + self.bounds.own >= (now if stays else removed) for one in disturbances):
            return stays  # the observer is sent late of an end before, and of what followed
        if subject.doubt is not None and now <= self.bounds.after + self.run.disturbances.last_end(
                subject.doubt, now, {None}):
            return True  # its last request may have been done late; that ends by itself
        homes = subject.homes_within(subject.ended - self.bounds.after, now)
        if any(one.what == "vanish" and one.scope in homes and one.end >= subject.ended for one in disturbances):
            return True  # its front-end, which is back, has not been notified that the connection ended
        self.violate("returned", subject.name, f"{view} shows {subject.name} ({subject.client.name}) again, which ended "
                     f"at {subject.ended:.2f} ({subject.why}) and was shown as gone at {removed:.2f}, "
                     f"homes {subject.homes[-3:]} {view.story(subject.name)}", view)
        return True

    def not_resumed(self, client, now):
        """A client of metadata sync came back in time, and is another."""
        lost = client.resume_lost
        if lost is None:
            return
        late = now - lost > self.bounds.grace - 0.5
        losses = self.run.disturbances.overlaps(lost - self.bounds.after, now, set(), only=LOSSES)
        homes = client.subject.homes_within(lost - 1, now)
        own = self.run.disturbances.overlaps(lost - self.bounds.after, now, homes - {None})
        self.resumed_late += late
        if not late and not losses and not own:
            self.violate("not resumed", client.name, f"{client.name} lost {client.subject.name} at {lost:.2f} and got another token")

    def unserved(self, client, since, now):
        self.violate("unserved", client.name, f"{client.name} wants something since {since:.2f}: {list(client.history)[-12:]}")

    def look(self, now):
        """Every client has what it wants within the bound."""
        for client in self.run.clients:
            since = client.unserved_since
            if since is None or not client.wants_to_be_here:
                continue
            scopes = {client.front_end}
            due = self.run.disturbances.last_end(since, now, scopes) + self.bounds.serve
            if now > due:
                client.unserved_since = now  # once for each
                self.unserved(client, since, now)
