"""Schedules by name: each fault alone, and where several things must come together."""
from .schedule import Schedule

QUIET = (("change", 6), ("talk", 3), ("drop", 0.3))


def front_end_killed():
    """And another one restarted as an operator does it."""
    found = Schedule("front-end-killed", 12).bustle(0.4)
    return found.fault(2, "kill", letter="a", seconds=2).fault(7, "drain", letter="b", seconds=0.2)


def front_end_frozen():
    """Again and again for longer than lease and grace, just after entries were opened there; some of its clients leave
    meanwhile, and members of rooms talk."""
    found = Schedule("front-end-frozen", 13)
    found.crowd.update(tracker=30, delta=9, turntable=14, devices=4)
    found.balanced = 0.3
    # So that what was opened just before is not sent before.
    # So that members are taken out of rooms before the connections to Redis are doubted.
    found.short.update(lease=0.9, sweep=0.2, grace=0.3, presence=0.3, tick=0.5)
    found.settings["redis.timeout"] = "4s"
    for begin, seconds in ((1.5, 2.3), (5.5, 2), (9, 3)):
        found.fault(begin, "freeze", letter="a", seconds=seconds)
        for client in range(found.count()):
            if client % 3 == 0:
                found.act(begin - 0.1 + client * 0.0015, client, "move", "a")
                found.act(begin - 0.09 + client * 0.0015, client, "change")
            elif client % 3 == 1:
                found.act(begin - 0.6, client, "move", "abc"[client // 3 % 3])
            if client % 15 == int(begin):
                found.act(begin + 0.4 + client * 0.02, client, "leave", 0.9)
            # Thickest when members that were taken out join again.
            for number in range(30):
                found.act(round(begin + seconds - 0.2 + number * 0.03 + client * 0.0004, 3), client, "talk", 0.3)
    for client in range(found.count()):
        found.act(0.5, client, "join", 0.3)
    return found


def front_end_vanished():
    """Its host, behind HAProxy and not: no packet says so."""
    found = Schedule("front-end-vanished", 13)
    found.balanced = 0.8
    found.bustle(0.2, actions=QUIET)
    return found.fault(2, "vanish", letter="b", seconds=10.5)


def front_end_cut_off():
    """From Redis, not from its clients."""
    found = Schedule("front-end-cut-off", 13).bustle(0.3)
    found.crowd.update(silent=9)
    found.short["ttl"] = 4
    return found.fault(2, "cut_off", letter="c", seconds=5).fault(9, "cut_off", letter="a", seconds=0.8)


def redis_older():
    """Clients move both ways between two front-ends, others close or are reaped; then Redis comes back as it was
    before."""
    found = Schedule("redis-older", 13)
    found.balanced = 0.2
    # Longer than it takes.
    found.short["ttl"] = 20
    found.bustle(0.15, actions=(("talk", 1),))
    found.fault(1.5, "save")
    for client in range(found.count()):
        if client % 7 == 0:
            found.act(1.8, client, "leave", 0.9)
        elif client % 7 == 1:
            found.act(2 + client * 0.01, client, "close")
        else:
            found.act(2.2 + client * 0.01, client, "move", "bca"[client % 3])
            if client % 2:
                found.act(3.5 + client * 0.01, client, "change")
    return found.fault(6.2, "redis_kill", seconds=0.3, data="old.rdb")


def fail_over():
    """The replica is promoted; the old master becomes its replica, and the sessions with it stay."""
    found = Schedule("fail-over", 10).bustle(0.3)
    return found.fault(2, "promote", cut=False)


def fail_over_lagging():
    """The replica that is promoted is some seconds behind; found by its name."""
    found = Schedule("fail-over-lagging", 14).bustle(0.3)
    found.by = "name"
    found.balanced = 0.3
    # Entries that are not renewed end during the recovery grace.
    found.short["ttl"] = 4
    return found.fault(1.5, "promote", cut=True, lag=4)


def links_apart():
    """The two links of front-ends are with different servers for a while."""
    found = Schedule("links-apart", 13).bustle(0.3, actions=(("change", 5), ("talk", 6), ("join", 1), ("drop", 0.3)))
    return found.fault(2.5, "promote", events_first=4, demote=False)


def redis_refuses():
    """Its disk is full, its memory is, it stalls, and no packet reaches it."""
    found = Schedule("redis-refuses", 15).bustle(0.4)
    found.short["ttl"] = 20
    found.fault(1.5, "full_disk", seconds=1.5).fault(4, "out_of_memory", seconds=1)
    return found.fault(6.5, "redis_freeze", seconds=2.5).fault(10.5, "partition", seconds=2)


def clocks():
    """Of Redis, to and fro, and of a front-end; clients come back meanwhile, others are silent."""
    found = Schedule("clocks", 13).bustle(0.4, actions=(("change", 4), ("drop", 2), ("move", 2), ("talk", 2)))
    found.clocks = True
    found.crowd.update(silent=8, sync=8)
    found.short["ttl"] = 4
    found.fault(2, "redis_clock", shift=5).fault(3.5, "clock", letter="a", shift=3600)
    return found.fault(5, "redis_clock", shift=-60).fault(8, "redis_clock", shift=600)


def _by_sentinels(name, fault, lasts=14, **arguments):
    found = Schedule(name, lasts).bustle(0.3)
    found.by = "sentinel"
    found.balanced = 0.3
    # An entry is not renewed during an election.
    found.short["ttl"] = 20
    return found.fault(2, fault, **arguments)


def sentinel_command():
    """SENTINEL FAILOVER."""
    return _by_sentinels("sentinel-command", "switch_by_command")


def sentinel_master_killed():
    return _by_sentinels("sentinel-master-killed", "master_killed")


def sentinel_master_frozen():
    return _by_sentinels("sentinel-master-frozen", "master_frozen")


def sentinel_master_separated():
    """The old master is one for front-ends until the Sentinels announce another: what they write to it is lost with
    it, and restored from them."""
    return _by_sentinels("sentinel-master-separated", "master_separated")


def sentinel_separated():
    """One Sentinel reaches nobody; the two others are a majority."""
    return _by_sentinels("sentinel-separated", "sentinel_separated")


def sentinel_both_lost():
    """The master and its replica: there is nothing to switch to, until both are back."""
    return _by_sentinels("sentinel-both-lost", "redis_kill", lasts=16, seconds=3, both=True)


def sentinel_lagging():
    """The replica that the Sentinels promote is some seconds behind."""
    return _by_sentinels("sentinel-lagging", "lagging_replica", lasts=16, lag=3)


SCENARIOS = {function().name: function for function in (
    front_end_killed, front_end_frozen, front_end_vanished, front_end_cut_off, redis_older, fail_over,
    fail_over_lagging, links_apart, redis_refuses, clocks, sentinel_command, sentinel_master_killed,
    sentinel_master_frozen, sentinel_master_separated, sentinel_separated, sentinel_both_lost, sentinel_lagging)}
