"""Front-ends of two adjacent releases on one Redis: replaced one by one under load and faults, and back. See
Context.release: the two are this release and one that is built for these tests, whose format 2 has other event
messages, other packets between front-ends, and another field in Redis; or those before and after an upgrade to this
release, where TRACKER_OLD_BUILD has the build of the release before.
"""
import os
import sys

from harness import Versioned
from harness.chaos import report, run
from harness.chaos.schedule import Schedule
from harness.faults import end_hold, key, node_id, wait_swept
from harness.sync import Sync
from harness.tracker import packets

TIMEOUT = 180
NEWEST = 1 if os.environ.get("TRACKER_OLD_BUILD") else 2
LISTEN = ("tracker=127.0.0.1:0", "web=127.0.0.1:0", "sync=127.0.0.1:0")
QUICK = {"map.lease": "900ms", "map.sweep": "200ms"}


def rolling():
    """Three of the old release are replaced; one goes back in between. Redis restarts, front-ends freeze and crash."""
    found = Schedule("upgrade", 34)
    found.release, found.partitions = "old", 3
    found.bustle(0.4)
    found.fault(1.5, "drain", letter="a", seconds=0.1, release="new")
    found.fault(3.5, "kill", letter="b", seconds=1)
    found.fault(6, "freeze", letter="c", seconds=2.3)
    found.fault(9, "redis_kill", seconds=0.4)
    found.fault(12.5, "drain", letter="a", seconds=0.1, release="old")
    found.fault(14.5, "kill", letter="a", seconds=0.3, release="new")
    found.fault(17, "drain", letter="b", seconds=0.1, release="new")
    # Two of three are of the new release, and no recovery grace is in force.
    found.fault(19.5, "expect_format", number=1)
    found.fault(20, "kill", letter="c", seconds=0.5, release="new")
    found.fault(24, "expect_format", number=NEWEST)
    found.fault(24.5, "redis_kill", seconds=0.4)
    found.fault(28, "kill", letter="b", seconds=0.5)
    return found.fault(33, "expect_format", number=NEWEST)


def check_logs(t):
    """No front-end ever met a message or a map that it did not understand."""
    for process in t.processes:
        wrong = process.log_lines(r"\bmsg=(unknown_format|unreadable_format|malformed_\w+|redis_script_refused)\b")
        assert not wrong, (process.name, wrong[:3])


def test_a_rolling_upgrade_under_load_and_faults(t):
    found = run.run(t, rolling())
    violations = found.oracle.violations
    if violations:
        print(report.details(found), file=sys.stderr)
    assert not violations, f"{len(violations)} violations, the first: {violations[0]}"
    check_logs(t)
    if NEWEST > 1:
        for frontend in found.world.frontends.values():
            # Its start in another format was no change; each partition changes at most once.
            lines = frontend.log_lines(r"\bmsg=format_changed\b.* from=1 to=2\b")
            assert len(lines) == len({line.partition("prefix=")[2] for line in lines}), lines


def both(t):
    """A Redis, and a front-end of each release on it: (redis, old, new)."""
    redis = t.redis()
    old, new = (t.frontend(redis, node=release, listen=LISTEN, settings=QUICK, release=release) for release in ("old", "new"))
    end_hold(redis)
    return redis, old, new


def stored_format(redis):
    return redis("HGET", key("head"), "format"), redis("HGET", key("head"), "reader")


def test_each_registers_what_it_understands(t):
    redis, old, new = both(t)
    if NEWEST > 1:
        assert redis("HGET", key("head"), b"formats:" + node_id(old)) == b"1 1"
        assert redis("HGET", b"tracker:node:" + node_id(old), "formats") == b"1-1"
    assert redis("HGET", key("head"), b"formats:" + node_id(new)) == b"1 %d" % NEWEST
    old.stop()
    assert redis("HGET", key("head"), b"formats:" + node_id(old)) is None


def test_they_speak_the_older_format_until_the_last_older_one_has_gone(t):
    """Packets, changes and entries, to and fro, in both formats; and there is no way back from the second."""
    redis, old, new = both(t)
    third = t.frontend(redis, node="third", listen=LISTEN, settings=QUICK, release="new")
    events = redis.subscribe(key("events"))
    clients = [t.connect(one, Sync, kind="sync") for one in (old, new, third)]

    def exchange(pairs):
        for number, (one, other) in enumerate(pairs):
            one.send(other.token, {"type": "note", "number": number})
            other.wait(lambda number=number, other=other: any(
                packet.get("number") == number for packet in other.packets))
            other.packets.clear()
    exchange([(one, other) for one in clients for other in clients if one is not other])
    assert stored_format(redis) == (b"1", b"1")
    old.stop()
    t.wait_until(lambda: stored_format(redis) == (b"%d" % NEWEST,) * 2, 10, "the new format")
    exchange([clients[1:], clients[:0:-1]])
    formats = [message.split(b" ")[0] for _, message in events.messages(0.5)]
    assert formats == sorted(formats) and set(formats) == ({b"1", b"2"} if NEWEST > 1 else {b"1"}), formats
    events.close()
    t.run(t.program("trackerctl", "new"), "--redis", redis.url, "fsck")
    check_logs(t)
    if NEWEST > 1:
        for frontend in (new, third):
            frontend.wait_for_log(r"\bmsg=format_changed\b.* from=1 to=2")
        again = t.frontend(redis, node="old", listen=LISTEN, settings=QUICK, release="old", wait=False)
        assert again.process.wait() == 1
        line, = again.log_lines("msg=fatal")
        assert "format 2" in line and "trackerd 0.3.0 or later" in line, line


def test_an_older_one_that_stalls_until_the_format_has_changed_writes_nothing(t):
    if NEWEST == 1:
        return
    redis, old, new = both(t)
    client, other = t.connect(old, Versioned), t.connect(new, Versioned)
    id, kept = client.open(b"one"), other.open(b"kept")
    old.freeze()
    t.wait_until(lambda: stored_format(redis)[0] == b"2", 15, "the new format")
    client.send(packets.versioned.update(id, 1, b"two"))
    old.thaw()
    old.wait_for_log(r"\bmsg=unreadable_format\b.*trackerd 0\.3\.0 or later")
    t.wait_until(lambda: not redis("EXISTS", key("client", id)), 15, "its client is gone")
    assert redis("HGET", key("client", kept), "state") == b"kept"
    assert stored_format(redis)[0] == b"2" and new.ready() and not old.ready()
    t.run(t.program("trackerctl", "new"), "--redis", redis.url, "fsck")


def test_a_redis_that_is_empty_begins_with_the_older_format(t):
    """Front-ends that have not returned yet may be of the older release."""
    redis, old, new = both(t)
    old.freeze()
    redis("FLUSHALL")
    t.wait_until(lambda: stored_format(redis)[0] == b"1", 10, "the map is there again")
    # For longer than a lease there is none but the new one's.
    for _ in range(6):
        wait_swept(redis)
    assert stored_format(redis)[0] == b"1"
    old.thaw()
    t.wait_until(lambda: old.ready() and new.ready(), 15, "both are ready")
    end_hold(redis)
    client = t.connect(old, Versioned)
    assert client.open(b"x")
    assert stored_format(redis)[0] == b"1"
    check_logs(t)
