"""What the fault tests share: watchers that count what they receive, and the comparison of Redis,
every front-end's view and what a test expects of them.
"""
import collections
import time

from .tracker import Original2014, Versioned, parse_map_text
from .waiting import scaled, wait_until

# The second listener answers Get with a map of any size; the third sends its clients no changes, so that
# there may be thousands of them.
LISTEN = ("tracker=127.0.0.1:0", "tracker=127.0.0.1:0,original=2014", "tracker=127.0.0.1:0,push=off",
          "web=127.0.0.1:0")
PREFIX = b"tracker:{main/1/0}:"
# The bounds of the standard settings, in seconds.
LEASE, GRACE, SWEEP, HOLD, NOTIFY = 3, 5, 1.1, 10, 1


def key(kind, name=b""):
    return PREFIX + kind.encode() + (b":" + name if name else b"")


def start(t, count, redis=None, listen=LISTEN, settings=None, **options):
    """A Redis (unless given) and that many front-ends on it: (redis, [front-ends]). The recovery grace that
    a new Redis begins with is over."""
    redis = redis or t.redis(**options)
    frontends = t.frontends(count, redis, listen=listen, settings=settings)
    end_hold(redis)
    return redis, frontends


def end_hold(redis):
    """Ends the recovery grace, so that a test need not wait for it."""
    redis("HSET", key("head"), "hold_until", 0)


def wait_hold_over(redis, timeout=HOLD + 5):
    """Waits until the recovery grace has ended by itself."""
    def is_over():
        seconds, micros = redis("TIME")
        until = int(redis("HGET", key("head"), "hold_until") or 0)
        return until < int(seconds) * 1000 + int(micros) // 1000
    wait_until(is_over, timeout, "the recovery grace ends", 0.05)


def crowd(t, frontend, count, **options):
    """Many clients that receive no changes."""
    return t.bulk(frontend.address("tracker", 2), count, **options)


def wait_swept(redis, timeout=5):
    """Waits until every front-end has swept once more, and so knows what `head` holds."""
    def leases():
        flat = redis("ZRANGE", key("nodes"), 0, -1, "WITHSCORES")
        return dict(zip(flat[::2], map(float, flat[1::2])))
    before = leases()
    wait_until(lambda: all(end > before.get(node, 0) for node, end in leases().items()), timeout,
               "everybody sweeps")


class Watcher(Versioned):
    """Counts for each id how often it was reported as gone, and as back after that."""

    def __init__(self, *arguments, **options):
        super().__init__(*arguments, **options)
        self.closings = collections.Counter()
        self.returns = collections.Counter()
        self.present = set()

    def _appeared(self, ids):
        for id in ids:
            if id not in self.present:
                self.present.add(id)
                if self.closings[id]:
                    self.returns[id] += 1

    def _read_one(self, content):
        push = super()._read_one(content)
        self._appeared([push.id])
        return push

    def _read_all(self, content):
        # A new version says that the map before it is complete.
        if content[0] != self.map_version:
            self.count()
        push = super()._read_all(content)
        self._appeared(push.entries)
        return push

    def count(self):
        """Compares the last whole map with what was there before it: for when it is complete."""
        for id in self.present - set(self.map):
            self.present.discard(id)
            self.closings[id] += 1
        return self.closings

    def wait_closed(self, ids, timeout):
        """Reads until none of the ids is there; returns the time at which that was known."""
        ids = set(ids)
        assert ids <= self.present | set(self.closings), "the watcher never knew of them"
        self.wait_for_map(lambda states: not ids & states.keys(), timeout)
        return time.monotonic()

    def check_notified_once(self, ids, timeout=0):
        """Each of the ids was reported as gone once, and nothing else was; reads on for that long."""
        end = time.monotonic() + scaled(timeout)
        while self.read_push(0) or time.monotonic() < end:
            self.read_push(max(0, end - time.monotonic()) / scaled(1))
        found = {id: count for id, count in self.count().items() if count}
        wrong = {id: found.get(id, 0) for id in set(ids) ^ found.keys()}
        wrong.update({id: count for id, count in found.items() if count != 1})
        assert not wrong, f"of {len(ids)} closings, these were reported that often: {wrong}"
        assert not self.returns, f"reported as back: {self.returns}"


def watchers(t, frontends, each=1):
    """Watchers on each front-end, all knowing one another."""
    found = [t.connect(frontend, Watcher) for frontend in frontends for _ in range(each)]
    for number, watcher in enumerate(found):
        watcher.open(b"watcher%d" % number)
    wait_know(found, {watcher.id for watcher in found})
    return found


def wait_know(found, ids, timeout=10):
    """All of these watchers have received the ids."""
    ids = set(ids)
    for watcher in found:
        watcher.wait_for_map(lambda states: ids <= states.keys(), timeout)


def check_notified_once(found, ids, timeout=0):
    """What Watcher.check_notified_once says, of each; they read at the same time."""
    end = time.monotonic() + scaled(timeout)
    for watcher in found:
        watcher.check_notified_once(ids, max(0, end - time.monotonic()) / scaled(1))


def stored(redis):
    """id -> state of all entries in Redis, of all partitions."""
    found = {}
    for name in redis.keys("tracker:[{]main/*}:client:*"):
        state = redis("HGET", name, "state")
        if state is not None:
            found[name.split(b"}:client:", 1)[1]] = state
    return found


def stored_fields(redis):
    """id -> all fields of all entries in Redis, of all partitions."""
    found = {}
    for name in redis.keys("tracker:[{]main/*}:client:*"):
        fields = redis.hash(name)
        if fields:
            found[name.split(b"}:client:", 1)[1]] = fields
    return found


def counted(redis):
    """The number of entries as the partitions' heads have it."""
    return sum(int(redis("HGET", name, "entries") or 0) for name in redis.keys("tracker:[{]main/*}:head"))


class Reader:
    """Reads the whole map of a front-end again and again."""

    def __init__(self, t, frontend):
        self.client = t.connect(frontend, Original2014, index=1)

    def read(self):
        """id -> state; None when the front-end has none to answer with."""
        text = self.client.get_text()
        return parse_map_text(text) if text else None


def difference(expected, found):
    """A short text of what is not as expected."""
    if found is None:
        return "no map"
    wrong = [f"{id}: {found.get(id)} instead of {expected.get(id)}"
             for id in sorted(expected.keys() | found.keys()) if expected.get(id) != found.get(id)]
    return f"{len(wrong)} differ: {'; '.join(wrong[:10])}"


def wait_agreement(t, redis, frontends, expected, timeout=10):
    """Redis and all front-ends hold just the expected entries (a dict, or a function that makes
    it)."""
    readers = [("Redis", lambda: stored(redis))]
    for frontend in frontends:
        readers.append((frontend.name, Reader(t, frontend).read))
    wanted = expected if callable(expected) else lambda: expected
    end = time.monotonic() + scaled(timeout)
    for name, read in readers:
        left = max(0.1, end - time.monotonic()) / scaled(1)
        wait_until(lambda: read() == wanted(), left,
                   lambda: f"{name} agrees; {difference(wanted(), read())}", 0.05)


def states_of(found):
    """id -> first state of watchers, as `watchers` opened them."""
    return {watcher.id: b"watcher%d" % number for number, watcher in enumerate(found)}


def wait_ready(frontends, timeout=15):
    for frontend in frontends:
        wait_until(frontend.ready, timeout, f"{frontend.name} is ready again")


def node_id(frontend):
    """The id under which Redis knows it."""
    from .process import logfmt
    return logfmt(frontend.log_lines(r"\bmsg=ready\b")[0])["id"].encode()


def serve(t, target, master, settings):
    """Two front-ends with watchers and clients at that target: (front-ends, watchers, clients, expected)."""
    frontends = t.frontends(2, target, listen=LISTEN, settings=settings)
    end_hold(master)
    found = watchers(t, frontends)
    clients = [t.connect(frontend, Versioned) for frontend in frontends for _ in range(5)]
    ids = [client.open(b"0") for client in clients]
    wait_know(found, ids)
    expected = {id: b"0" for id in ids}
    expected.update(states_of(found))
    return frontends, found, list(zip(clients, ids)), expected


def check_served(t, frontends, found, clients, expected, server, version):
    """Writes are acknowledged and reach everybody through that server; nobody was reported gone."""
    text = b"%d" % version
    for client, id in clients:
        t.wait_until(lambda client=client, id=id: client.update(id, version, text), 10, "an update is acknowledged")
        expected[id] = text
    wait_agreement(t, server, frontends, expected, 20)
    check_notified_once(found, [], NOTIFY)
    t.fsck(server)
