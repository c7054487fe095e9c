"""The map's events on a partition's channel, read as docs/redis-keys.md describes it."""
import collections
import time

from .waiting import scaled

Event = collections.namedtuple("Event", "epoch revision op id version fields")


def parse(message):
    """The events of one message."""
    head, _, rest = message.partition(b"\n")
    format, epoch, revision, count = head.split(b" ")
    if format == b"2":  # of the later release that tests of upgrades use
        revision, count = count, revision
    else:
        assert format == b"1", head
    found = []
    for number in range(int(count)):
        line, _, rest = rest.partition(b"\n")
        op, id_length, version_length, length = line.split(b" ")
        id, rest = rest[:int(id_length)], rest[int(id_length):]
        version, rest = rest[:int(version_length)], rest[int(version_length):]
        body, rest = rest[:int(length)], rest[int(length):]
        found.append(Event(epoch.decode(), int(revision) + number, op.decode(), id, version, _fields(body)))
    assert not rest, message
    return found


def _fields(body):
    """name -> value; None for one that is deleted."""
    fields = {}
    while body:
        line, _, body = body.partition(b"\n")
        name_length, value_length = line.split(b" ")
        name, body = body[:int(name_length)], body[int(name_length):]
        if value_length == b"-":
            fields[name] = None
            continue
        fields[name], body = body[:int(value_length)], body[int(value_length):]
    return fields


class EventLog:
    """Subscribes at once; `events` is everything received since, in order, after read()."""

    def __init__(self, redis, space="main", partition=0, partitions=1, prefix="tracker"):
        channel = f"{prefix}:{{{space}/{partitions}/{partition}}}:events"
        self.subscriber = redis.subscribe(channel)
        self.events = []

    def close(self):
        self.subscriber.close()

    def read(self, timeout=0):
        for _, message in self.subscriber.messages(timeout):
            self.events += parse(message)
        return self.events

    def of(self, id, op=None):
        """The events of an entry, perhaps of one kind."""
        return [event for event in self.read() if event.id == id and op in (None, event.op)]

    def count(self, op):
        return sum(event.op == op for event in self.read())

    def wait(self, predicate, timeout=10, what="events"):
        """Reads until predicate(events) holds."""
        end = time.monotonic() + scaled(timeout)
        while not predicate(self.read(0.05)):
            assert time.monotonic() < end, f"no {what} in time; the last: {self.events[-20:]}"
        return self.events

    def check(self):
        """Revisions count up by one within an epoch, and an entry that was closed has no event
        again before it is opened."""
        gone = set()
        for before, event in zip([None] + self.events, self.read()):
            if before and before.epoch == event.epoch:
                assert event.revision == before.revision + 1, (before, event)
            elif before:
                gone.clear()
            if event.op == "close":
                assert event.id not in gone, f"closed twice: {event}"
                gone.add(event.id)
            elif event.op == "open":
                gone.discard(event.id)
            else:
                assert event.id not in gone, f"after its close: {event}"
