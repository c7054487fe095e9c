"""The measurements, and what each is compared with. Each function of ALL is one: it receives a Bench and a
Context of its own, and returns Findings."""
import json
import statistics
import subprocess
import sys

import amplification
import failover
import masters
import websockets
from ceiling import Ceiling
from figures import KIB, LIMITS, Finding, Ratio, figure
from harness.context import Context
from harness.process import clean_environment

# The figures of a run that are printed while the measurements continue.
SHOWN = ("updates_accepted", "deliveries", "delivered_percent", "whole_map")
SHOWN_ENDS = ("per_reply", "per_update", "per_delivery", "per_client_and_tick", "idle_bytes", "p50")


class Bench:
    def __init__(self, build, rounds, seconds):
        self.build = build
        self.rounds = rounds
        self.seconds = seconds
        self.runs = []  # every run's figures
        self.commands = []

    def measure(self, name):
        self.commands = []
        self.say(f"{name}: {ALL[name].__doc__.strip().splitlines()[0]}")
        with Context(self.build) as t:
            return ALL[name](self, t)

    @staticmethod
    def say(text):
        print(text, file=sys.stderr, flush=True)

    def note(self, command, figures):
        """Keeps a run, and its command for the table."""
        self.runs.append({"command": command, **figures})
        if command not in self.commands:
            self.commands.append(command)

    def load(self, t, mode, *options, processes=(), seconds=None, **servers):
        """tracker-bench; processes: name -> process to measure. Returns its figures. The
        commands in the report have names in place of addresses."""
        options = [mode, *map(str, options)]
        if mode != "idle":
            options += ["--seconds", f"{seconds or self.seconds:g}"]
        arguments = [t.program("tracker-bench"), *options, "--json"]
        for option, where in servers.items():
            arguments += [f"--{option}", where]
        for name, process in dict(processes).items():
            arguments += ["--pid", f"{name}={process.pid}"]
        done = subprocess.run(arguments, capture_output=True, text=True, timeout=200, check=False,
                              env=clean_environment())
        if done.returncode != 0:
            raise AssertionError(f"{' '.join(arguments)}: {done.stderr}")
        if done.stderr:
            self.say(done.stderr.rstrip())
        figures = json.loads(done.stdout)
        self.note(" ".join(["tracker-bench", *options, *(f"--{one} …" for one in servers)]), figures)
        shown = {key: value for key, value in figures.items() if key.endswith(SHOWN_ENDS) or key in SHOWN}
        self.say(" ".join(["  " + " ".join(options), *(f"{key}={value}" for key, value in shown.items())]))
        return figures


def frontend(t, redis, node):
    return t.frontend(redis, node=node, settings=LIMITS)


def batch_size(before, after):
    """Mean number of operations of the batches between two readings of the metrics."""
    changed = {key: after[key] - before[key] for key in after if key.startswith("tracker_batch_operations_")
               and "{" not in key}
    return changed["tracker_batch_operations_sum"] / changed["tracker_batch_operations_count"]


def updates(bench, t):
    """updates through one front-end, against redis-benchmark with the same batched script"""
    redis = t.redis()
    node = frontend(t, redis, "a")
    ceiling = Ceiling(bench, t, redis)
    processes = {"frontend": node.process, "redis": redis.process}

    def load(**options):
        return bench.load(t, "updates", processes=processes, target=node.where(), **options)

    ours, reference = [], []
    for _ in range(bench.rounds):
        before = node.metrics()
        ours.append(load())
        size = batch_size(before, node.metrics())
        if not ceiling.is_ready:
            ceiling.prepare(size, lambda: load(seconds=6))
        reference.append(ceiling.measure(bench.seconds))
    accepted = [one["updates_accepted"] for one in ours]
    most = [one["updates"] for one in reference]
    cpu = [one["frontend_cpu_us_per_update"] for one in ours]
    redis_cpu = [one["redis_cpu_us_per_update"] for one in ours]
    rate, cost = Ratio(accepted, most), Ratio(cpu, redis_cpu)
    busy = figure([one["redis_cpu_percent"] for one in ours], "%")
    return [
        Finding(f"updates accepted (batches of {ceiling.size}; Redis {busy} busy)", figure(accepted, "/s"),
                f"redis-benchmark {figure(most, '/s')}", str(rate), "≥ 0.80", rate.median >= 0.8, bench.commands),
        Finding("CPU per update", figure(cpu, "µs", 2), f"Redis, same run {figure(redis_cpu, 'µs', 2)}",
                str(cost), "≤ 1", cost.median <= 1, bench.commands)]


def fan_out(bench, t, what, *shape):
    redis = t.redis()
    writing, watching = frontend(t, redis, "a"), frontend(t, redis, "b")
    processes = {"writing": writing.process, "watching": watching.process, "redis": redis.process}
    ours, floor = [], []
    for _ in range(bench.rounds):
        ours.append(bench.load(t, "fanout", *shape, processes=processes, target=writing.where(),
                               watch=watching.where()))
        floor.append(bench.load(t, "floor", *shape))
    cpu = [one["watching_cpu_us_per_delivery"] for one in ours]
    bare = [one["floor_cpu_us_per_delivery"] for one in floor]
    ratio = Ratio(cpu, bare)
    received = min(one["delivered_percent"] for one in ours)
    late = figure([one["delivery_p50"] for one in ours], "µs")
    return [Finding(f"CPU per delivery, {what} ({received:.0f}% delivered, p50 {late})", figure(cpu, "µs", 2),
                    f"bare loop {figure(bare, 'µs', 2)}", str(ratio), "≤ 1.1", ratio.median <= 1.1, bench.commands)]


def fanout(bench, t):
    """100 updates a second, pushed to 1,000 watchers on another front-end, against a bare loop"""
    return fan_out(bench, t, "100/s to 1,000", "--rate", 100, "--watchers", 1000)


def firehose(bench, t):
    """10,000 updates a second, pushed to 100 watchers on another front-end, against a bare loop"""
    return fan_out(bench, t, "10,000/s to 100", "--rate", 10000, "--watchers", 100)


def latency(bench, t):
    """update to delivery across two front-ends at light load, against plain PUBLISH"""
    redis = t.redis(tcp=True)
    unix = f"unix:{redis.socket}"
    writing, watching = frontend(t, unix, "a"), frontend(t, unix, "b")
    ours, plain = [], []
    for _ in range(bench.rounds):
        ours.append(bench.load(t, "latency", target=writing.where(), watch=watching.where()))
        plain.append(bench.load(t, "pubsub", target=f"127.0.0.1:{redis.port}"))
    findings = []
    for what, key, aim in (("update to delivery, p50", "delivery_p50", 1.5),
                           ("the same, p99", "delivery_p99", None)):
        values, reference = [one[key] for one in ours], [one[key] for one in plain]
        ratio = Ratio(values, reference)
        findings.append(Finding(what, figure(values, "µs"), f"PUBLISH to message {figure(reference, 'µs')}",
                                str(ratio), f"≤ {aim}" if aim else "—", ratio.median <= aim if aim else None,
                                bench.commands))
    return findings


def idle(bench, t):
    """memory per idle connection, of 15,000"""
    runs = []
    for _ in range(bench.rounds):
        redis = t.redis()
        node = frontend(t, redis, "a")
        runs.append(bench.load(t, "idle", processes={"frontend": node.process, "redis": redis.process},
                               target=node.where()))
        node.stop()
    findings = []
    for what, key, aim in (("memory per idle connection, connected", "frontend_connected_bytes", 0.75),
                           ("the same, with an entry opened", "frontend_opened_bytes", 0.75)):
        sizes = [one[key] / KIB for one in runs]
        met = statistics.median(sizes) <= aim
        findings.append(Finding(what, figure(sizes, "KiB", 2), "—", "—", f"≤ {aim} KiB", met, bench.commands))
    findings.append(Finding("memory of Redis per opened entry",
                            figure([one["redis_opened_bytes"] / KIB for one in runs], "KiB", 2), "—", "—", "—", None,
                            bench.commands))
    return findings


def snapshot(bench, t):
    """100,000 entries read from a front-end with 15,000 connections while it serves"""
    runs = []
    for _ in range(bench.rounds):
        redis = t.redis()
        filling, reading = frontend(t, redis, "a"), frontend(t, redis, "b")
        runs.append(bench.load(t, "snapshot", target=filling.where(), watch=reading.where(),
                               processes={"frontend": reading.process, "redis": redis.process}))
        filling.kill()
        reading.kill()
    entries = min(one["entries_read"] for one in runs)
    seconds = [one["whole_map"] / 1000 for one in runs]
    met = statistics.median(seconds) < 2 and min(seconds) > 0
    served = figure([one["answer_p99"] / 1000 for one in runs], "ms", 1)
    return [Finding(f"{entries:,.0f} entries read beside 15,000 connections (updates meanwhile: p99 {served})",
                    figure(seconds, "s", 2), "—", "—", "< 2 s", met, bench.commands)]


ALL = {measure.__name__: measure for measure in (updates, fanout, firehose, latency, idle, snapshot)} \
    | websockets.ALL | masters.ALL | amplification.ALL | failover.ALL
