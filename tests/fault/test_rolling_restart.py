"""Every front-end behind HAProxy is restarted, one after the other: who is served meanwhile, and where the clients
are then. With the very docker/haproxy.cfg."""
import collections
import re
import time

from harness import Plain, Versioned
from harness.faults import end_hold, key, node_id
from harness.haproxy import behind_haproxy, restart_behind

COUNT = 12
# At once: before the checks have noticed anything.
SETTINGS = {"drain.time": "0s", "client.grace": "20s"}


class Member:
    """A client that comes back at once whenever it is disconnected."""

    def __init__(self, t, proxy):
        self.t, self.proxy = t, proxy
        self.version = self.returns = 0
        self.longest = 0.0
        self.client = t.connect(proxy.address("TRACKER_BIND"), Versioned)
        self.id = self.client.open(b"0")

    def look(self):
        if not self.client.closed(0):
            return
        began = time.monotonic()
        self.client.drop()
        self.t.wait_until(self._return, 15, "a client is served again")
        self.longest = max(self.longest, time.monotonic() - began)

    def leave(self):
        self.client.close(self.id)
        self.client.drop()

    def _return(self):
        self.returns += 1
        self.client = self.t.connect(self.proxy.address("TRACKER_BIND"), Versioned)
        self.version += 1
        try:
            return self.client.update(self.id, self.version, b"%d" % self.version)
        except (ConnectionError, TypeError):
            return False


def spread(redis, frontends, members):
    """How many of them each front-end has."""
    nodes = collections.Counter(redis("HGET", key("client", one.id), "node") for one in members)
    return [nodes[node_id(frontend)] for frontend in frontends]


def connects(t, proxy, members):
    """Whether a newcomer gets the map: not, when the front-end that has taken the connection ends."""
    with t.connect(proxy.address("TRACKER_BIND"), Plain) as newcomer:
        try:
            return {one.id for one in members} <= newcomer.get().keys()
        except (ConnectionError, TypeError):
            return False


def wait_for_newcomer(t, redis, frontends, proxy, number):
    """A client that HAProxy has connected to that front-end, which has the fewest."""
    def find():
        found = Member(t, proxy)
        if spread(redis, frontends, [found])[number]:
            return found
        found.leave()
        return None
    return t.wait_until(find, 15, "HAProxy uses it again", 0.1)


def restart_all(t, redis, frontends, proxy, members):
    """One after the other; newcomers all the while. Returns the first client of the last one."""
    for number, frontend in enumerate(frontends):
        frontend.drain()
        while frontend.running():
            connects(t, proxy, members)
            for member in members:
                member.look()
        assert frontend.process.wait() == 0
        # The next check is due within a second: HAProxy does not know.
        for _ in range(10):
            assert connects(t, proxy, members), "a newcomer is refused"
        for member in members:
            member.look()
        frontends[number] = restart_behind(t, frontend, settings=SETTINGS)
        first = wait_for_newcomer(t, redis, frontends, proxy, number)
        if number + 1 < len(frontends):
            first.leave()
    return first


def failures(proxy):
    """Sessions for which HAProxy found no front-end, as its log has them: the termination state says so."""
    return [line for line in proxy.process.log.splitlines() if re.search(r" [sS]C(--)? |<NOSRV>", line)]


def test_a_rolling_restart_serves_everybody(t):
    """Nobody is reported gone, and HAProxy finds a front-end for each who connects."""
    redis = t.redis()
    frontends, proxy = behind_haproxy(t, redis, settings=SETTINGS)
    end_hold(redis)
    members = [Member(t, proxy) for _ in range(COUNT)]
    assert spread(redis, frontends, members) == [COUNT // 3] * 3
    events = t.events(redis)
    first = restart_all(t, redis, frontends, proxy, members)
    print(f"{sum(one.returns for one in members)} returns, the longest in {max(one.longest for one in members):.2f} s")
    assert sum(one.returns for one in members) >= COUNT
    assert not failures(proxy), failures(proxy)
    events.check()
    ids = {one.id for one in members}
    assert not [event for event in events.read() if event.op == "close" and event.id in ids]
    t.fsck(redis)
    # The front-end that was restarted last has none of them, but for who was slow to return, and they stay where
    # they are.
    before = spread(redis, frontends, members)
    assert before[2] <= min(before), before
    # Whoever connects now goes there, until all have the same.
    late = [first] + [Member(t, proxy) for _ in range(COUNT // 2 - 1)]
    after = spread(redis, frontends, members + late)
    # Mostly 6, 6 and 0, then 6 each.
    print(f"{before} after the last restart, {after} after {len(late)} newcomers")
    assert sum(after) == COUNT * 3 // 2 and max(after) - min(after) <= 2, after
    assert not any(one.client.closed(0) for one in members)
    assert spread(redis, frontends, members) == before
