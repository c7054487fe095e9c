"""What is done to the world, each with its end, and with what it explains: a disturbance of all (of Redis),
or of one front-end.
"""
import contextlib

from ..resp import RedisError


class Faults:
    """Each method begins a fault and sees to its end. seconds: of the run."""

    # How long HAProxy may take to notice that a host has vanished, and a client that its server has.
    VANISHED = 7
    # Until front-ends have connected again, each in its own time, and read what is there.
    AGAIN = 1

    def __init__(self, run):
        self.run, self.world = run, run.world
        self.lease = run.bounds_of["lease"]
        self.busy = 0  # faults that go on
        self.down = set()  # letters of front-ends that have no process

    def begin(self, kind, arguments):
        if arguments.get("letter") in self.down and kind in ("kill", "drain", "freeze", "vanish"):
            self.run.note("no process for", kind, arguments)
            return
        self.run.note("fault", kind, arguments)
        getattr(self, kind)(**arguments)

    def _during(self, seconds, end, what=None, scope=""):
        """end() after that time; what: a disturbance meanwhile."""
        handle = self.run.disturbances.begin(what, scope) if what else None
        self.busy += 1

        def finish():
            end()
            self.busy -= 1
            if handle is not None:
                self.run.disturbances.end(handle, 0 if scope else self.AGAIN)
            self.run.note("end of", what or end.__name__, scope)
        self.run.after(seconds, finish)

    def _until(self, predicate, then):
        """then() as soon as predicate() holds."""
        self.busy += 1

        def look():
            if predicate():
                then()
                self.busy -= 1
            else:
                self.run.after(0.05, look)
        look()

    def _note(self, seconds, what, scope=""):
        now = self.run.now()
        self.run.disturbances.note(now, now + seconds, what, scope)

    # Front-ends.

    def _restart(self, letter, what):
        self.world.start_frontend(letter)
        self.down.discard(letter)
        handle = self.run.disturbances.begin("start", letter)
        self._until(lambda: self.world.is_ready(letter),
                    lambda: (self.run.disturbances.end(handle), self.run.note("ready again", letter, what)))

    def kill(self, letter, seconds, release=None):
        """release: of the one that is started; None: the same."""
        frontend = self.world.frontends[letter]
        self.world.releases[letter] = release or self.world.releases[letter]
        self._note(self.lease, "kill", letter)
        self.down.add(letter)
        frontend.thaw()
        frontend.kill()
        frontend.listeners = []
        self._during(seconds, lambda: self._restart(letter, "kill"))

    def drain(self, letter, seconds, release=None):
        """A restart as an operator does it; the next one, of that release, starts when it has ended, and that time has
        passed."""
        frontend = self.world.frontends[letter]
        self.world.releases[letter] = release or self.world.releases[letter]
        self._note(self.lease, "drain", letter)
        self.down.add(letter)
        frontend.drain()

        def ended():
            self._note(self.lease, "drain", letter)
            frontend.stop(1)
            frontend.listeners = []
            self._during(seconds, lambda: self._restart(letter, "drain"))
        self._until(lambda: not frontend.running(), ended)

    def freeze(self, letter, seconds):
        frontend = self.world.frontends[letter]
        frontend.freeze()
        self._during(seconds, frontend.thaw, "freeze", letter)

    def vanish(self, letter, seconds, dies=False):
        """Its host: no packets, no resets. dies: without power, too; else it is there again with all that it had."""
        self.world.vanish(letter)
        self._note(min(seconds, self.VANISHED), "vanish", letter)
        frontend = self.world.frontends[letter]
        if dies:
            self.down.add(letter)
            frontend.kill()
            frontend.listeners = []

        def back():
            self.world.vanish(letter, False)
            if dies:
                self._restart(letter, "vanish")
            else:
                self._note(0.1, "vanish", letter)
        self._during(seconds, back)

    def cut_off(self, letter, seconds):
        """It reaches its clients, and not Redis."""
        self.world.cut_off(letter)
        self._during(seconds, lambda: self.world.cut_off(letter, False), "cut off", letter)

    def slow(self, name, seconds, rate="256kbit"):
        self.world.limit(name, rate)
        scope = name if name in self.world.letters else ""
        self._during(seconds, lambda: self.world.limit(name, None), "slow", scope)

    def clock(self, letter, shift):
        """A front-end's; it decides nothing."""
        self.world.shift(shift, letter)

    def expect_format(self, number):
        """No fault: what is stored in all partitions, at last."""
        self.run.until(lambda: [f"{found} instead of {number}" for found in self.world.formats() - {number}], 0.1,
                       "format")

    # Redis.

    def partition(self, seconds):
        """No front-end reaches Redis; packets are dropped."""
        for letter in self.world.letters:
            self.world.cut_off(letter)

        def end():
            for letter in self.world.letters:
                self.world.cut_off(letter, False)
        self._during(seconds, end, "redis unreachable")

    def redis_clock(self, shift):
        self._note(self.AGAIN, "redis clock")
        # Both servers', as machines of one place would have it.
        self.world.shift(shift, "one", "two")

    def redis_freeze(self, seconds):
        name = self.world.master
        redis = self.world.redises[name]
        self.world.frozen.add(name)
        redis.freeze()

        def end():
            redis.thaw()
            self.world.frozen.discard(name)
        self._during(seconds, end, "redis frozen")

    def save(self, name="old.rdb"):
        """What redis_kill(data=name) comes back with."""
        if self.world.readable_redis() is not None:
            # It cannot while its disk is full.
            with contextlib.suppress(RedisError):
                self.world.redis().save(name)

    def redis_kill(self, seconds, data="same", both=False):
        """data: "same", "empty", or what save() wrote: then what came after it is lost. both: its replica, too."""
        name = self.world.master
        other = "two" if name == "one" else "one"
        if both:
            self.world.stop_redis(other)
        if data not in ("same", "empty") and not self.world.has_saved(name, data):
            data = "same"
        if data == "same":
            with contextlib.suppress(RedisError):
                self.world.redis().save("same.rdb")
        self.world.stop_redis(name)
        what = {"same": "redis killed", "empty": "redis empty"}.get(data, "redis older")
        rdb = {"same": "same.rdb", "empty": None}.get(data, data)

        def back():
            self.world.restart_redis(name, rdb)
            if both:
                self.world.restart_redis(other)
            self.world.replicate(other, name)
        self._during(seconds, back, what)

    def flush(self):
        self._note(self.AGAIN, "redis empty")
        self.world.redis()("FLUSHALL")

    def scripts(self):
        self._note(0.1, "scripts")
        self.world.redis()("SCRIPT", "FLUSH")

    def links(self, sessions=None):
        """Front-ends' connections to Redis are closed; sessions: "normal" or "pubsub" ones."""
        self._note(self.AGAIN, "links")
        self.world.cut_sessions(self.world.master, sessions)

    def full_disk(self, seconds):
        """Redis refuses writes, as it cannot save: MISCONF."""
        name = self.world.master
        self.world.fill_disk(name)
        self._during(seconds, lambda: self.world.free_disk(name), "redis refuses")

    def out_of_memory(self, seconds):
        redis = self.world.redis()
        redis("CONFIG", "SET", "maxmemory", "1mb")
        self._during(seconds, lambda: redis("CONFIG", "SET", "maxmemory", "0"), "redis refuses")

    # Fail-overs.

    def promote(self, lag=0, cut=True, demote=True, events_first=0):
        """The replica becomes the master, as it was `lag` seconds ago. cut: the old one's sessions end; else they
        stay. demote: the old one becomes its replica at once, with sessions that stay. events_first: the events
        links change so many seconds before the others, and writes go to the old one meanwhile."""
        old = self.world.master
        new = "two" if old == "one" else "one"
        what = "redis split" if events_first else "redis lagging" if lag else "redis changes"
        handle = self.run.disturbances.begin(what)
        self.busy += 1
        self.world.redises[new]("REPLICAOF", "NO", "ONE")

        def finish():
            if demote:
                self.world.replicate(old, new)
            if events_first:
                self.world.cut_sessions(old)
            elif cut:
                self.world.cut_sessions(old)
            self.world.split = False
            self.world.master = new
            self.busy -= 1
            self.run.disturbances.end(handle, self.AGAIN)
            self.run.note("end of", what, new)
            if not demote:
                self.run.after(3, lambda: self.world.replicate(old, new))

        def switch():
            self.world.split = True
            self.world.point_to(new)
            if events_first:
                self.world.cut_sessions(old, "pubsub")
                self.run.after(events_first, finish)
            else:
                finish()
        self.run.after(lag, switch) if lag else switch()

    # Fail-overs by Sentinels.

    def _switch(self, begin, end, what="redis changes"):
        """begin() makes the Sentinels choose another master; end() follows when they have."""
        old = self.world.master
        handle = self.run.disturbances.begin(what)
        self.busy += 1
        self.world.split = True
        begin(old)

        def switched():
            self.world.master = self.world.master_by_sentinels()
            self.world.split = False
            self.run.note("the Sentinels have switched to", self.world.master)
            end(old)
            self.busy -= 1
            self.run.disturbances.end(handle, self.AGAIN)
            # The other is a replica again before anything else happens to the new master.
            self._until(self._is_settled, lambda: self.run.note("replicated again"))
        self._until(lambda: self.world.master_by_sentinels() not in (None, old), switched)

    def _is_settled(self):
        """Sentinels whose votes were split may switch once more."""
        named = self.world.master_by_sentinels()
        if named is None:
            return False
        if named != self.world.master:
            self.run.note("the Sentinels have switched once more, to", named)
            self._note(self.AGAIN, "redis changes")
            self.world.master = named
        return self.world.is_replicated("two" if named == "one" else "one")

    def switch_by_command(self):
        """The old master's sessions with front-ends are closed by the Sentinels, later than they announce it."""
        self._switch(lambda old: self.world.sentinels.all[0]("SENTINEL", "FAILOVER", "main"), lambda old: None)

    def master_killed(self):
        """It is started again, with what it had saved last, once there is another."""
        self._switch(self.world.stop_redis, self.world.restart_redis)

    def lagging_replica(self, lag):
        """The master is killed when its replica has received nothing for that time."""
        def begin(old):
            self.world.separate_replica()
            self.run.after(lag, lambda: self.world.stop_redis(old))

        def end(old):
            self.world.separate_replica(False)
            self.world.restart_redis(old)
        self._switch(begin, end, "redis lagging")

    def sentinel_separated(self):
        """One of three reaches nobody, while the master is killed and the two others choose another."""
        def begin(old):
            self.world.separate_sentinel("third")
            self.world.stop_redis(old)

        def end(old):
            self.world.restart_redis(old)
            self.world.separate_sentinel("third", False)
        self._switch(begin, end)

    def master_frozen(self):
        """Its sessions stay, until it is thawed once there is another."""
        def thaw(old):
            self.world.redises[old].thaw()
            self.world.frozen.discard(old)

        def freeze(old):
            self.world.frozen.add(old)
            self.world.redises[old].freeze()
        self._switch(freeze, thaw)

    def master_separated(self):
        """From the Sentinels alone: front-ends still reach it, and it serves them until another is chosen."""
        self._switch(self.world.separate_sentinels, lambda old: self.world.separate_sentinels(old, False))

    # Clients.

    def clients_vanish(self):
        """The host of some clients has gone: they do not come back, and nothing says so to anybody."""
        self.world.vanish("vanishing")
        now = self.run.now()
        for client in self.run.clients:
            if client.host is self.world.hosts["vanishing"]:
                client.leave(now, "vanish")
