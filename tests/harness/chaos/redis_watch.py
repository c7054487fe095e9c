"""Redis's content: during the run, where clients' entries are and that they are there; at the end, that all is
as the clients have it, and that nothing is left when they are gone.
"""
import collections
import zlib

from ..events import parse
from ..resp import RedisError


class RedisWatch:
    def __init__(self, run, partitions):
        self.run = run
        self.partitions = partitions
        self.listener = None  # (Redis, its process, a subscriber)
        self.events = collections.defaultdict(list)  # id -> events about it
        self.names = {}  # a front-end's id -> its letter
        self.since = {}  # id -> when it was opened
        self.unlisted = {}  # id -> since when its front-end's list has it not
        self.missing = {}  # subject's name -> since when it was there, when it was found missing

    def key(self, kind, name):
        data = name.encode("latin-1")
        number = zlib.crc32(data)
        number = abs(number - (1 << 32) if number >= 1 << 31 else number) % self.partitions
        return b"tracker:{main/%d/%d}:%s:%s" % (self.partitions, number, kind.encode(), data)

    def node_key(self, name, node):
        return self.key("node", name)[:-len(name.encode("latin-1"))] + node

    def _ask(self, redis, commands):
        connection = redis._connected()
        for command in commands:
            connection.send(*command)
        found = []
        for _ in commands:
            try:
                found.append(connection.reply())
            except RedisError:
                found.append(None)
        return found

    # During the run.

    def _listen(self, redis, now):
        """The map's events, for the report of a violation."""
        if self.listener is None or self.listener[:2] != (redis, redis.process):
            if self.listener is not None:
                self.listener[2].close()
            channels = [b"tracker:{main/%d/%d}:events" % (self.partitions, part) for part in range(self.partitions)]
            self.listener = (redis, redis.process, redis.subscribe(*channels))
        for channel, message in self.listener[2].messages():
            for event in parse(message):
                fields = ",".join(f"{name.decode()}={(value or b'-')[:12].decode(errors='replace')}"
                                  for name, value in event.fields.items() if name != b"address")
                self.events[event.id.decode("latin-1")].append(
                    f"{now:.2f} {channel[-9:-8].decode()}:{event.revision} {event.op} v{event.version.decode()} {fields}")

    def look(self, now):
        """Where everybody is. Not while Redis does not answer, or is not the one that is written to."""
        redis = self.run.world.readable_redis()
        if redis is None:
            return
        try:
            self._listen(redis, now)
        except OSError:
            self.listener = None
            return
        subjects = [one for one in self.run.views.subjects.values() if one.is_present()]
        entries = [one for one in subjects if not one.name.startswith("@")]
        users = [one for one in subjects if one.name.startswith("@")]
        try:
            found = self._ask(redis, [("HMGET", self.key("client", one.name), "node", "since") for one in entries] +
                              [("HGETALL", self.key("user", one.name[1:])) for one in users])
            devices = [[id.decode("latin-1") for id in (flat or [])[::2] if not id.startswith(b".")]
                       for flat in found[len(entries):]]
            nodes = self._ask(redis, [("HGET", self.key("client", id), "node") for ids in devices for id in ids])
            listed = self._ask(redis, [("HEXISTS", self.node_key(one.name, values[0]), one.name.encode("latin-1"))
                                       for one, values in zip(entries, found) if values and values[0]])
        except OSError:
            return
        self.names = self.run.world.node_ids()
        listed = iter(listed)
        for subject, values in zip(entries, found):
            node, since = values or (None, None)
            self._check_list(subject, now, bool(next(listed)) if node else True)
            subject.at_home(now, self.names.get(node))
            self._check(subject, now, node is not None, since)
        rest = iter(nodes)
        for subject, ids in zip(users, devices):
            homes = {self.names.get(next(rest)) for _ in ids} - {None}
            for home in homes:
                subject.at_home(now, home)
            self._check(subject, now, bool(ids), None)

    def _check_list(self, subject, now, is_listed):
        """Who reads the map finds entries by the lists of front-ends."""
        if is_listed:
            self.unlisted.pop(subject.name, None)
            return
        since = self.unlisted.setdefault(subject.name, now)
        scopes = subject.homes_within(since, now)
        if now > self.run.disturbances.last_end(since, now, scopes) + self.run.bounds.own:
            self.run.oracle.violate("not listed", subject.name, f"{subject.name} ({subject.client.name}) is in no list since "
                                    f"{since:.2f}, homes {subject.homes[-2:]}")

    def _check(self, subject, now, is_there, since):
        present = subject.times[-1][0]
        before, self.since[subject.name] = self.since.get(subject.name), since
        missed = self.missing.pop(subject.name, None)
        if missed == present:
            # It was missing at the last look, and its connection is the same: it was there then.
            self.run.oracle.violate("no key", subject.name, f"Redis had no entry for {subject.name} "
                                    f"({subject.client.name}), which is there since {present:.2f}, homes "
                                    f"{subject.homes[-2:]}; now it has {'one' if is_there else 'none'}")
        scopes = subject.homes_within(present, now)
        last = self.run.disturbances.last_end(present, now, scopes)
        if now < last + (self.run.bounds.after if last > present else 1):
            return
        if not is_there:
            self.missing[subject.name] = present
        elif before is not None and since is not None and since != before:
            self.run.oracle.violate("opened again", subject.name, f"the entry {subject.name} ({subject.client.name}) "
                                    f"was opened anew ({before} → {since}) although it is there since {present:.2f}")

    def describe(self, name):
        """What Redis has of an entry now, in words; for what is found."""
        redis = self.run.world.readable_redis()
        if redis is None or name.startswith("@"):
            return ""
        data = name.encode("latin-1")
        prefix = self.key("", name)[:-len(data) - 1]
        try:
            node, since, version, ttl, deadline = self._ask(redis, [
                ("HGET", self.key("client", name), "node"), ("HGET", self.key("client", name), "since"),
                ("HGET", self.key("client", name), "version"), ("PTTL", self.key("client", name)),
                ("ZSCORE", prefix + b"deadlines", b"c:" + data)])
            lists = [key for key in redis.keys(prefix.decode().replace("{", "[{]") + "node:*")
                     if self._ask(redis, [("HEXISTS", key, data)])[0]]
        except OSError:
            return ""
        listed = [self.names.get(key.rsplit(b":", 1)[1], key) for key in lists]
        return (f"; Redis has it{'' if since else ' not'} with {self.names.get(node, node)}, since {since}, version "
                f"{version}, ttl {ttl}, deadline {deadline}, listed by {listed}")

    # At the end.

    def contents(self, redis):
        """What is stored: (id -> fields, user -> devices, room -> members)."""
        entries = {}
        for name in redis.keys("tracker:[{]main/*}:client:*"):
            entries[name.split(b"}:client:", 1)[1].decode("latin-1")] = redis.hash(name)
        return entries

    def differences(self, redis):
        """What differs from what the clients have; a list of text."""
        entries = self.contents(redis)
        found = []
        expected = {one.name: one for one in self.run.views.subjects.values()
                    if one.is_present() and not one.name.startswith("@")}
        devices = collections.Counter()
        for id, fields in entries.items():
            if b"user" in fields:
                devices[fields[b"user"].decode()] += 1
                continue
            subject = expected.pop(id, None)
            if subject is None:
                found.append(f"Redis has {id}, which nobody has")
            elif b"state" in fields and subject.values and fields[b"state"].decode() != subject.values[-1].text:
                found.append(f"Redis has {id} as {fields[b'state']}, {subject.client.name} as "
                             f"{subject.values[-1].text}")
        found += [f"Redis has not {name} ({subject.client.name})" for name, subject in expected.items()]
        wanted = collections.Counter()
        for user in self.run.users:
            count = sum(device.identified == "yes" for device in user.devices)
            if count:
                wanted[user.name] = count
        if wanted != devices:
            found.append(f"devices: in Redis more {dict(devices - wanted)}, fewer {dict(wanted - devices)}")
        return found

    def remains(self, redis):
        """The keys that should not be there when all clients are gone."""
        kept = (b":head", b":nodes", b":spaces")
        return [name.decode("latin-1") for name in redis.keys("tracker:*")
                if not name.endswith(kept) and not name.startswith((b"tracker:node:", b"tracker:secret:",
                                                                   b"tracker:spaces", b"tracker:bans", b"tracker:shared"))]
