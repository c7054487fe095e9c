"""tracker-bench --reconnect: a load goes on through restarts, over several addresses and behind HAProxy, and the outages of
its connections are counted."""
import json
import os
import time

from harness import certificates
from harness.frontend import LOOPBACK
from harness.haproxy import behind_haproxy, restart_behind

TIMEOUT = 400
# A load that ends before the test has done what is to happen meanwhile runs again, longer.
SECONDS = (2, 8, 30, 120)


class Loopback:
    """An address of the test's own, so that nobody else takes a port between an end and the start after it."""

    def __init__(self, number):
        self.address = f"127.{64 + number}.{os.getpid() >> 8 & 255}.{1 + os.getpid() % 250}"

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass


def start(t, *arguments):
    return t.start("tracker-bench", [t.program("tracker-bench"), *map(str, arguments), "--json"])


def finish(load):
    code = load.wait(150)
    assert code == 0, load.log
    return json.loads(load.log.splitlines()[-1])


def run_during(t, arguments, events, durations=SECONDS):
    """The figures of a load at whose time all of events() was, and all connections were back."""
    for seconds in durations:
        load = start(t, *arguments, "--reconnect", "--seconds", seconds)
        load.wait_for_log("all are connected", 60)
        events()
        ended = not load.running()
        found = finish(load)
        closed = sum(value for name, value in found.items() if name.endswith("_still_closed"))
        if not ended and not closed:
            return {**found, "seconds": seconds}
    raise AssertionError(f"not in {durations[-1]} s, and {closed} connections are closed: {found}")


def check_schedule(found, rate, sent, role):
    """What was due was sent or missed. (What is sent is rounded to whole ones a second.)"""
    due = found[sent] * found["seconds"] + found[f"{role}_missed"]
    assert abs(due - rate * found["seconds"]) <= found["seconds"] / 2, found


def all_came_back(found, role):
    """What was lost reconnected, and its outages are there in a sensible order."""
    lost, again = found[f"{role}_lost"], found[f"{role}_reconnections"]
    assert lost == again > 0 and found[f"{role}_still_closed"] == 0, (role, found)
    assert 0 < found[f"{role}_outage_p50"] <= found[f"{role}_outage_max"], (role, found)
    assert abs(found[f"{role}_outage_max"] - 1000 * found[f"{role}_longest_outage"]) <= 100, (role, found)


def restart_each(frontends, start_again):
    """One after the other, in the same place."""
    for index, old in enumerate(frontends):
        old.stop()
        frontends[index] = start_again(old)


def test_a_rolling_restart_over_several_addresses(t):
    """Connections are spread over the addresses, and go to the next one when theirs is lost."""
    redis = t.redis()
    frontends = [t.frontend(redis, node=name, listen=(f"tracker={host.address}:0", f"web={host.address}:0"))
                 for name, host in zip("ab", (Loopback(0), Loopback(1)))]
    both = ",".join(one.where() for one in frontends)

    def start_again(old):
        return t.frontend(redis, node=old.node, listen=tuple(f"{kind}={where}" for kind, where in old.listeners))

    def events():
        restart_each(frontends, start_again)
        # The first has all connections now, which make their entries, and the load goes on.
        frontends[0].wait_for_metric("tracker_messages_total", 16 + 20, protocol="tracker", kind="update")
    found = run_during(t, ("fanout", "--target", both, "--connections", 8, "--entries", 16, "--watchers", 6, "--rate", 40,
                           "--warmup", 0), events)
    # None stays where it was.
    for role, connections in (("writers", 8), ("watchers", 6)):
        all_came_back(found, role)
        assert found[f"{role}_lost"] >= connections, (role, found)
    check_schedule(found, 40, "updates_sent", "writers")
    assert found["updates_refused"] == 0 and found["deliveries"] > 0, found
    t.fsck(redis)


def test_a_rolling_restart_behind_haproxy(t):
    """Two of three front-ends, with the project's own configuration of HAProxy: Tracker clients and browsers."""
    redis = t.redis()
    frontends, proxy = behind_haproxy(t, redis, [Loopback(index) for index in range(3)])
    restarted = frontends[:2]

    def events():
        restart_each(restarted, lambda old: restart_behind(t, old))
    tracker, web = ("%s:%d" % proxy.address(bind) for bind in ("TRACKER_BIND", "WEB_BIND"))
    found = run_during(t, ("fanout", "--target", tracker, "--connections", 9, "--entries", 18, "--watchers", 9, "--rate", 40,
                           "--warmup", 0), events)
    for role in ("writers", "watchers"):
        all_came_back(found, role)
    check_schedule(found, 40, "updates_sent", "writers")
    assert found["updates_refused"] == 0, found
    found = run_during(t, ("ws-fanout", "--service", "room", "--target", web, "--connections", 6, "--watchers", 9,
                           "--rate", 20, "--warmup", 0), events)
    lost = {role for role in ("speakers", "listeners") if found[f"{role}_lost"]}
    assert lost, found
    for role in lost:
        all_came_back(found, role)
    t.fsck(redis)


def test_every_mode_with_connections_reconnects(t):
    """All connections are reset at once, in each mode: all are back, and the load goes on."""
    redis = t.redis(tcp=True)
    certificate, key = certificates.make(t.directory())
    tls = f"web=127.0.0.1:0,tls=true,tls_certificate={certificate},tls_key={key}"
    node = t.frontend(redis, listen=(*LOOPBACK, tls))
    proxies = {kind: t.proxy(node.address(kind)) for kind in ("tracker", "web")}
    proxies["tls"] = t.proxy(node.address("web", 1))
    proxies["redis"] = t.proxy(("127.0.0.1", redis.port))
    few = ("--connections", 3, "--watchers", 2)
    load = ("--rate", 40, "--warmup", 0)
    modes = (("tracker", ("updates", "--connections", 3, "--entries", 6, *load), {"writers": 3}),
             ("tracker", ("updates", "--connections", 3, "--entries", 6, "--window", 2, "--warmup", 0), {"writers": 3}),
             ("tracker", ("fanout", *few, "--entries", 6, *load), {"writers": 3, "watchers": 2}),
             ("tracker", ("latency", *load), {"writers": 1, "watchers": 1}),
             ("tracker", ("idle", "--connections", 5), {"connections": 5}),
             ("tracker", ("snapshot", "--connections", 5, "--entries", 60, *load),
              {"writers": 16, "reader": 1, "connections": 5, "fillers": 16}),
             ("redis", ("pubsub", "--watchers", 2, *load), {"publisher": 1, "subscribers": 2}),
             ("web", ("ws-fanout", "--service", "tracker", *few, *load), {"speakers": 3, "listeners": 2}),
             ("web", ("ws-fanout", "--service", "sync-relay", *few, *load), {"speakers": 3, "listeners": 2}),
             ("web", ("ws-idle", "--service", "turntable", "--connections", 5), {"connections": 5}),
             ("tls", ("ws-fanout", "--service", "tracker", *few, *load, "--tls"), {"speakers": 3, "listeners": 2}),
             ("web", ("friends", "--connections", 5, "--each", 2, *load), {"listeners": 5}),
             ("web", ("tick", *few, "--each", 2, *load), {"speakers": 3, "listeners": 2}))
    for kind, arguments, roles in modes:
        proxy, count = proxies[kind], sum(roles.values())

        def cut_all():
            before = proxy.accepted()
            proxy.cut()
            t.wait_until(lambda: proxy.accepted() >= before + count, 30,
                         lambda: f"all reconnect: {proxy.accepted() - before} of {count}")
        found = run_during(t, (*arguments, "--target", f"{proxy.host}:{proxy.port}"), cut_all)
        for role, lost in roles.items():
            all_came_back(found, role)
            assert found[f"{role}_lost"] == lost, (arguments, found)
    for mode in ("getservers", "servers", "flood"):
        done = t.run("tracker-bench", mode, "--target", "127.0.0.1:1", "--reconnect", check=False)
        assert done.returncode == 2 and "--reconnect: this mode has no connections" in done.stderr, (mode, done)


def test_an_outage_is_measured_and_attempts_back_off(t):
    """While there is nothing behind the address: pauses grow, and the outage lasts until the last of them."""
    node = t.frontend(t.redis())
    proxy = t.proxy(node.address())
    times = {}

    def events():
        before = proxy.accepted()
        times["began"] = time.monotonic()
        proxy.switch(None, cut=True)
        t.wait_until(lambda: proxy.accepted() > before, 30, "an attempt")
        times["noticed"] = time.monotonic()
        time.sleep(4)
        times["attempts"] = proxy.accepted() - before
        times["switched"] = time.monotonic()
        proxy.switch(node.address())
        t.wait_until(lambda: proxy.sessions() == 10, 30, "all are back")
    found = run_during(t, ("updates", "--connections", 10, "--entries", 10, "--rate", 20, "--warmup", 0,
                           "--target", f"{proxy.host}:{proxy.port}"), events, (12, 60))
    times["ended"] = time.monotonic()
    all_came_back(found, "writers")
    assert found["writers_lost"] == 10 and found["writers_failed_attempts"] >= 10, found
    # Without backoff they would be some 80 each in this time.
    assert times["attempts"] <= 10 * (15 + (times["switched"] - times["began"])), times
    longest = found["writers_longest_outage"] / 1000
    assert times["switched"] - times["noticed"] <= longest <= times["ended"] - times["began"], (found, times)
    check_schedule(found, 20, "updates_sent", "writers")


def test_an_attempt_without_an_answer_ends(t):
    """What is connected to a front-end that is frozen tries again, elsewhere."""
    redis = t.redis()
    node = t.frontend(redis)
    proxies = [t.proxy(node.address()) for _ in range(2)]

    def events():
        before = proxies[0].accepted()
        proxies[1].freeze()
        proxies[0].cut()
        t.wait_until(lambda: proxies[0].accepted() == before + 2, 60, "both are back")
        proxies[1].thaw()
    found = run_during(t, ("idle", "--connections", 4, "--target", ",".join(f"{one.host}:{one.port}" for one in proxies)),
                       events, (15, 60))
    assert found["connections_lost"] == found["connections_reconnections"] == 2, found
    assert found["connections_failed_attempts"] == 2 and found["connections_longest_outage"] >= 9900, found


def test_a_closed_connection_stays_closed_otherwise(t):
    """And is reported; with --reconnect it is back in the same load."""
    node = t.frontend(t.redis())
    proxy = t.proxy(node.address())

    def cut_while_idle(seconds, options):
        """The figures, and how many connections came after the cut; None when that was before or after the load."""
        opened = node.metric("tracker_messages_total", kind="open", protocol="tracker")
        load = start(t, "idle", "--connections", 6, "--target", f"{proxy.host}:{proxy.port}", "--seconds", seconds, *options)
        node.wait_for_metric("tracker_messages_total", opened + 6, kind="open", protocol="tracker")
        if options:
            load.wait_for_log("all are connected", 60)
        accepted = proxy.accepted()
        proxy.cut()
        if options:
            node.wait_for_metric("tracker_messages_total", opened + 12, kind="open", protocol="tracker")
        in_time = load.running()
        if not options and load.wait(150) and "the holders do not finish" in load.log:
            return None  # the last answer was still to be read
        found = finish(load)
        return (found, proxy.accepted() - accepted) if in_time else None
    for options in ((), ("--reconnect",)):
        found, again = next(filter(None, (cut_while_idle(seconds, options) for seconds in (2, 5, 30, 30))))
        assert found["connections"] == found["connections_lost"] == 6, found
        assert again == (6 if options else 0), found
        assert ("connections_reconnections" in found) == bool(options), found
