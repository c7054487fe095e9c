"""Many front-ends and entries go from one master to another, again and again: no lease ends, nobody is reported gone,
and a front-end whose connections reach two servers in turn is not ready, and says why."""
import time

from harness.faults import LISTEN, crowd, end_hold, key, wait_ready, wait_swept
from test_redis_failover import fail_over

TIMEOUT = 400
FRONTENDS = 20
EACH = 250
FAILOVERS = 10


def leases(redis):
    return set(redis("ZRANGE", key("nodes"), 0, -1))


def check_whole(t, server, frontends, crowds, nodes, orphaned):
    """All entries are there, each its front-end's; none was orphaned on the way."""
    wait_ready(frontends, 30)
    t.wait_until(lambda: sum(server("HLEN", key("node", node)) for node in nodes) == FRONTENDS * EACH, 30,
                 "all entries are restored")
    assert leases(server) == nodes, leases(server) ^ nodes
    for frontend, before in zip(frontends, orphaned):
        assert frontend.metric("tracker_orphaned_entries_total") == before, frontend.name
        assert frontend.metric("tracker_owned_entries") == EACH
    assert all(one.alive() == EACH for one in crowds)
    assert int(server("HGET", key("head"), "entries")) == FRONTENDS * EACH


def test_ten_fail_overs_and_a_stall(t):
    old, new = t.redis(tcp=True), t.redis(tcp=True)
    new.replicate(old)
    proxy = t.proxy((old.host, old.port))
    last_proxy = t.proxy((old.host, old.port))
    frontends = t.frontends(FRONTENDS - 1, proxy.url, listen=LISTEN) + [t.frontend(last_proxy.url, "last", LISTEN)]
    end_hold(old)
    crowds = [crowd(t, frontend, EACH) for frontend in frontends]
    wait_swept(old)
    nodes = leases(old)
    assert len(nodes) == FRONTENDS
    orphaned = [0] * FRONTENDS
    for number in range(FAILOVERS):
        # Every other time connections are cut, else they stay with what is a replica then.
        for one in (proxy, last_proxy):
            one.switch((new.host, new.port))
        fail_over(t, old, new)
        if number % 2:
            for one in (proxy, last_proxy):
                one.cut((old.host, old.port))
        there, gone = (new.host, new.port), (old.host, old.port)
        t.wait_until(lambda: (proxy.sessions(there), last_proxy.sessions(there)) == (2 * FRONTENDS - 2, 2)
                     and not proxy.sessions(gone) and not last_proxy.sessions(gone), 30, "all are on the new master")
        check_whole(t, new, frontends, crowds, nodes, orphaned)
        old.wait_synced()
        old, new = new, old
    # A stall of nearly a lease: the recovery grace of the last fail-over has been ended before.
    end_hold(old)
    wait_swept(old)
    before = {frontend: frontend.metric("tracker_redis_connects_total") for frontend in frontends}
    began = time.monotonic()
    old.freeze()
    t.wait_until(lambda: time.monotonic() >= began + 2.9, 5, "the stall is over")
    old.thaw()
    stall = time.monotonic() - began
    wait_swept(old, 10)
    check_whole(t, old, frontends, crowds, nodes, orphaned)
    # redis.timeout is 3 s: a machine that was too busy to end the stall before that lets connections end.
    for frontend, connects in before.items() if stall < 2.95 else ():
        assert frontend.metric("tracker_redis_connects_total") == connects, frontend.name
    # The last one's proxy alternates between two masters; the others lose nothing by it.
    new("REPLICAOF", "NO", "ONE")
    targets = [(new.host, new.port), (old.host, old.port)]
    start = last_proxy.accepted()
    last_proxy.switch(lambda count: targets[(count - start) % 2], cut=True)
    last = frontends[-1]
    t.wait_until(lambda: last.http("/readyz")[2] == b"not ready: the connections reach different servers\n", 20,
                 lambda: f"the last one says why: {last.http('/readyz')[2]}")
    t.wait_until(lambda: len(leases(old)) == FRONTENDS - 1, 20, "its lease ends, and no other")
    assert last.http("/readyz")[2] == b"not ready: the connections reach different servers\n"
    assert all(frontend.ready() for frontend in frontends[:-1])
    assert all(frontend.metric("tracker_owned_entries") == EACH for frontend in frontends[:-1])
