"""The measurements of WebSocket services: each load runs against Tracker, a bare loop, Nchan and Socket.IO
in turn, round after round. Each function of ALL is one, as in measures.py.
"""
import collections
import math
import statistics
import time

import peers
from figures import KIB, LIMITS, Finding, Ratio, figure
from harness import certificates

QUIET = 0.05  # of a core: what an idle server uses at most
WAIT = 30  # seconds for that; some have a long backlog

# name -> address, process whose costs count, Redis behind it, and what tracker-bench speaks to it.
Service = collections.namedtuple("Service", "where process redis spoken")


def ours(t, spoken="room", certificate=None):
    redis = t.redis()
    options = f",tls=true,tls_certificate={certificate[0]},tls_key={certificate[1]}" if certificate else ""
    node = t.frontend(redis, node="a", settings=LIMITS, listen=(f"web=127.0.0.1:0{options}",))
    return Service(node.where("web"), node.process, redis, spoken)


def nchan(t, certificate=None):
    redis = t.redis(tcp=True)
    peer = peers.nchan(t, redis, certificate)
    return Service(peer.where, peer.process, redis, "nchan")


def socketio(t, certificate=None):
    redis = t.redis()
    peer = peers.socketio(t, redis, certificate)
    return Service(peer.where, peer.process, redis, "socketio")


NAMES = {"floor": "bare loop", "nchan": "Nchan", "socketio": "Socket.IO"}


def _cpu(pid):
    with open(f"/proc/{pid}/stat", encoding="utf-8") as file:
        fields = file.read().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / 100


def let_settle(service):
    """What one load has left behind must not be paid by the next one's measure."""
    if service is None:
        return
    end = time.monotonic() + WAIT
    while time.monotonic() < end:
        before = _cpu(service.process.pid)
        time.sleep(0.4)
        if _cpu(service.process.pid) - before <= QUIET * 0.4:
            return


def run(bench, t, mode, service, *options):
    """One load on one service; None stands for the bare loop."""
    if service is None:
        return bench.load(t, mode, "--service", "floor", *options)
    processes = {"server": service.process, "redis": service.redis.process}
    figures = bench.load(t, mode, "--service", service.spoken, *options, processes=processes, target=service.where)
    let_settle(service)
    return figures


def try_run(bench, t, name, runs, service, *shape):
    """The runs and one more; None when this load is more than another's service can bear."""
    try:
        found = run(bench, t, "ws-fanout", service, *shape)
        assert found["deliveries"] > 0, "nothing was delivered"
        return [*runs, found]
    except AssertionError as error:
        if name in ("ours", "floor"):
            raise
        bench.say(f"{name} fails: {error}")
        return None


def delivery_text(runs):
    """What came of it: the share that was delivered, and when."""
    share = min(statistics.median(one["delivered_percent"] for one in runs), 100)
    # Where nothing came in time of what was said in the window, there is no latency.
    late = statistics.median(one.get("delivery_p50", math.inf) for one in runs) / 1000
    when = "later" if math.isinf(late) else f"p50 {late:,.0f} ms" if late >= 10 else f"p50 {late:.1f} ms"
    return f"{share:.0f}% delivered, {when}"


def fan_out(bench, t, what, spoken, *shape):
    """Rows of one load: ours against each of the others."""
    services = {"ours": ours(t, spoken), "floor": None, "nchan": nchan(t), "socketio": socketio(t)}
    runs = {name: [] for name in services}
    for _ in range(bench.rounds):
        for name, service in services.items():
            if runs[name] is not None:
                runs[name] = try_run(bench, t, name, runs[name], service, *shape)
    cpu = {name: [one["server_cpu_us_per_delivery"] for one in found] for name, found in runs.items() if found}
    findings = []
    for name, text in NAMES.items():
        if name not in cpu:
            findings.append(Finding(f"{what}: CPU per delivery ({delivery_text(runs['ours'])})", figure(cpu["ours"], "µs", 2),
                                    f"{text} fails", "—", "< 1", True, bench.commands))
            continue
        ratio = Ratio(cpu["ours"], cpu[name])
        met = ratio.median <= 1.1 if name == "floor" else ratio.median < 1
        findings.append(Finding(f"{what}: CPU per delivery ({delivery_text(runs['ours'])})", figure(cpu["ours"], "µs", 2),
                                f"{text} {figure(cpu[name], 'µs', 2)} ({delivery_text(runs[name])})", str(ratio),
                                "≤ 1.1" if name == "floor" else "< 1", met, bench.commands))
    return findings


def room(bench, t):
    """100 messages a second to a room of 1,000, against a bare loop, Nchan and Socket.IO"""
    return fan_out(bench, t, "room, 1,000 clients × 100/s", "room", "--watchers", 1000, "--rate", 100)


def busy_room(bench, t):
    """600 messages a second to a room of 1,000, against the same"""
    return fan_out(bench, t, "room, 1,000 × 600/s", "room", "--watchers", 1000, "--rate", 600)


def fast_room(bench, t):
    """10,000 messages a second to a room of 100, against the same"""
    return fan_out(bench, t, "room, 100 × 10,000/s", "room", "--watchers", 100, "--rate", 10000)


def large_room(bench, t):
    """20 messages a second to a room of 10,000, against the same"""
    return fan_out(bench, t, "room, 10,000 × 20/s", "room", "--watchers", 9990, "--rate", 20)


def sync_change(bench, t):
    """100 changes a second of properties, sent to 1,000 clients of metadata sync, against the same"""
    return fan_out(bench, t, "sync change (delta mode), 1,000 × 100/s", "sync-delta", "--watchers", 900, "--connections", 100,
                   "--rate", 100)


def large_sync_change(bench, t):
    """one change a tick, sent to 10,000 clients of metadata sync, against the same"""
    return fan_out(bench, t, "sync change (delta mode), 10,000 × 2/s", "sync-delta", "--watchers", 9999, "--connections", 1,
                   "--rate", 2)


def sync_relay(bench, t):
    """100 packets a second to all of 1,000 clients of metadata sync, against the same"""
    return fan_out(bench, t, "sync packet to “*”, 1,000 × 100/s", "sync-relay", "--watchers", 1000, "--rate", 100)


def _idle_row(what, aim, sizes, others):
    text = ", ".join(f"{NAMES[name]} {figure(values, 'KiB', 1)}" for name, values in others.items())
    met = statistics.median(sizes) <= aim
    return Finding(what, figure(sizes, "KiB", 2), text, "—", f"≤ {aim} KiB", met, [])


def _idle_of(bench, t, count, certificate, kinds):
    """Memory per connection, name -> of each round. Each round has fresh servers."""
    makers = {**{kind: lambda kind=kind: ours(t, kind, certificate) for kind in kinds},
              "nchan": lambda: nchan(t, certificate), "socketio": lambda: socketio(t, certificate)}
    sizes = {name: [] for name in makers}
    tls = ("--tls",) if certificate else ()
    for _ in range(bench.rounds):
        for name, make in makers.items():
            found = run(bench, t, "ws-idle", make(), "--connections", count, *tls)
            assert found["connections_lost"] == 0, (name, found)
            sizes[name].append(found["server_idle_bytes"] / KIB)
    return sizes


def websocket_idle(bench, t):
    """memory per idle WebSocket connection, of 10,000 plain ones and of 5,000 under TLS"""
    plain = _idle_of(bench, t, 10000, None, ("turntable", "room", "sync-delta"))
    secure = _idle_of(bench, t, 5000, certificates.make(t.directory()), ("turntable",))
    rows = []
    for sizes, kinds, aim in ((plain, ("turntable", "room", "sync-delta"), 1), (secure, ("turntable",), 18)):
        others = {name: sizes[name] for name in ("nchan", "socketio")}
        for kind in kinds:
            what = {"turntable": "connected", "room": "identified, in a room",
                    "sync-delta": "metadata sync, with its entry"}[kind]
            rows.append(_idle_row(f"memory per idle WebSocket connection{' (TLS)' if aim == 18 else ''}: {what}", aim,
                                  sizes[kind], others)._replace(commands=bench.commands))
    return rows


def friends(bench, t):
    """1,000 users who watch 200 friends each, 100 changes of status a second"""
    service = ours(t)
    runs = []
    for _ in range(bench.rounds):
        runs.append(bench.load(t, "friends", processes={"server": service.process, "redis": service.redis.process},
                               target=service.where))
        let_settle(service)
    share = min(100, *(one["delivered_percent"] for one in runs))
    late = [one["delivery_p99"] / 1000 for one in runs]
    return [
        Finding(f"1,000 users × 200 friends, 100 changes/s ({share:.0f}% delivered): CPU of the front-end",
                figure([one["server_cpu_percent"] for one in runs], "% of a core", 1), "—", "—", "—", None, bench.commands),
        Finding("the same: CPU of Redis", figure([one["redis_cpu_percent"] for one in runs], "% of a core", 1), "—", "—", "—",
                None, bench.commands),
        Finding("the same: status to userchange, p99 (p50 "
                + figure([one["delivery_p50"] / 1000 for one in runs], "ms", 1) + ")", figure(late, "ms", 1), "—", "—", "—",
                None, bench.commands)]


def tick(bench, t):
    """1,000 clients of metadata sync with 20 properties each, whole map and delta mode"""
    service = ours(t)
    runs = {"sync": [], "sync-delta": []}
    for _ in range(bench.rounds):
        for spoken, found in runs.items():
            found.append(run(bench, t, "tick", service._replace(spoken=spoken)))
    whole = [one["server_cpu_us_per_client_and_tick"] for one in runs["sync"]]
    delta = [one["server_cpu_us_per_client_and_tick"] for one in runs["sync-delta"]]
    sent = figure([one["received"] for one in runs["sync"]], "MB/s", 0)
    return [Finding(f"tick, 1,000 clients × 20 properties, 20 changes/s: CPU per client and tick (whole map: {sent})",
                    figure(whole, "µs", 1), f"delta mode {figure(delta, 'µs', 1)}", str(Ratio(whole, delta)), "—", None,
                    bench.commands)]


ALL = {measure.__name__: measure for measure in (room, busy_room, fast_room, large_room, sync_change, large_sync_change,
                                                 sync_relay, websocket_idle, friends, tick)}
