"""The measures of the UDP master. dpmaster, where it is installed, is what it is compared with."""
import os
import shutil
import signal
import socket
import statistics
import subprocess
import time

from figures import KIB, Finding, Ratio, figure

# Limits that a benchmark exceeds, as all of it comes from few addresses.
LIFTED = {"q3master.allow_loopback": "true", "q3master.max_per_address": "0", "q3master.max_servers": "100000",
          "q3master.query_rate": "0", "q3master.heartbeat_rate": "0", "q3master.max_output": "0",
          "q3master.max_output_per_prefix": "0",
          "net.max_per_address": "0"}
LISTEN = ("q3master=127.0.0.1:0", "web=127.0.0.1:0")
# Servers, and the most CPU that a list may take of dpmaster's.
SIZES = {1: 1.0, 100: 0.5, 1000: 0.25}


def where(node):
    return "%s:%d" % node.address("q3master")


class Dpmaster:
    """An ordinary dpmaster on a free port."""

    def __init__(self, t, program):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        command = [program, "-l", f"127.0.0.1:{port}", "--allow-loopback", "-n", "4096", "-N", "0", "-v", "1"]
        if os.geteuid() == 0:
            jail = t.directory("jail")
            command += ["-u", "nobody", "-j", jail]
        self.process = t.start("dpmaster", command)
        self.where = f"127.0.0.1:{port}"


class Servers:
    """Game servers that are registered while it is used."""

    def __init__(self, bench, t, target, count):
        command = [t.program("tracker-bench"), "servers", "--target", target, "--connections", str(count),
                   "--sources", "250", "--seconds", "3600", "--json"]
        self.process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        t.stack.callback(self.process.kill)
        time.sleep(1 + count / 400)  # dpmaster does not report which servers it lists

    def end(self):
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()


def one_run(bench, t, target, process, count):
    servers = Servers(bench, t, target, count)
    try:
        return bench.load(t, "getservers", "--window", 16, processes={"master": process}, target=target)
    finally:
        servers.end()


def getservers(bench, t):
    """lists of 1, 100 and 1,000 servers, 16 requests in flight"""
    program = shutil.which("dpmaster")
    findings = []
    for count, aim in SIZES.items():
        ours, theirs = [], []
        for _ in range(bench.rounds):
            if program:
                peer = Dpmaster(t, program)
                theirs.append(one_run(bench, t, peer.where, peer.process, count))
                peer.process.kill()
            node = t.frontend(t.redis(), node="a", listen=LISTEN, settings=LIFTED)
            ours.append(one_run(bench, t, where(node), node.process, count))
            node.stop()
        for run in (*ours, *theirs):
            assert run["bytes_per_reply"] >= 7 * count, run
        cost = [run["master_cpu_us_per_reply"] for run in ours]
        rate = figure([run["replies"] for run in ours], "/s")
        what = f"CPU per list of {count:,} server{'s' * (count > 1)}, {rate}"
        if not theirs:
            findings.append(Finding(what, figure(cost, "µs", 2), "—", "—", f"≤ {aim}", None, bench.commands))
            continue
        other = [run["master_cpu_us_per_reply"] for run in theirs]
        ratio = Ratio(cost, other)
        reference = f"dpmaster: {figure(other, 'µs', 2)}, {figure([run['replies'] for run in theirs], '/s')}"
        findings.append(Finding(what, figure(cost, "µs", 2), reference, str(ratio), f"≤ {aim}", ratio.median <= aim,
                                bench.commands))
    return findings


def commands_of(redis):
    text = redis("INFO", "stats")
    return int(next(line.split(b":")[1] for line in text.splitlines()
                    if line.startswith(b"total_commands_processed")))


def is_at_rest(redis):
    """Whether registration is complete: the generator sends everything twice."""
    before = commands_of(redis)
    time.sleep(2)
    return commands_of(redis) - before < 2000


def gameservers(bench, t):
    """10,000 game servers over three front-ends: time, memory, Redis at rest"""
    times, memory, stored, rest = [], [], [], []
    for _ in range(bench.rounds):
        redis = t.redis()
        nodes = t.frontends(3, redis, listen=LISTEN, settings=LIFTED)
        before = [resident(node.process.pid) for node in nodes], redis_memory(redis)
        run = subprocess.Popen([t.program("tracker-bench"), "servers", "--target", ",".join(map(where, nodes)),
                                "--connections", "10000", "--sources", "250", "--seconds", "60", "--json"],
                               stdout=subprocess.DEVNULL)
        t.stack.callback(run.kill)
        began = time.monotonic()
        for node in nodes:
            t.wait_until(lambda: node.metric("tracker_q3master_servers") == 10000, 60)
        times.append(time.monotonic() - began)
        t.wait_until(lambda: is_at_rest(redis), 60, interval=0)
        memory.append(statistics.mean((resident(node.process.pid) - one) / 10000
                                      for node, one in zip(nodes, before[0])))
        stored.append((redis_memory(redis) - before[1]) / 10000)
        commands, began = commands_of(redis), time.monotonic()
        time.sleep(bench.seconds)
        rest.append((commands_of(redis) - commands) / (time.monotonic() - began))
        run.kill()
        for node in nodes:
            node.kill()
    bench.note("tracker-bench servers --connections 10000 --sources 250 --target …,…,…", {"servers": 10000})
    return [Finding("10,000 game servers registered at three front-ends, and listed by each",
                    figure(times, "s", 1), "—", "—", "—", None, bench.commands),
            Finding("memory of each front-end per registered server", figure([m / KIB for m in memory], "KiB", 2),
                    "—", "—", "—", None, bench.commands),
            Finding("memory of Redis per registered server", figure([m / KIB for m in stored], "KiB", 2),
                    "—", "—", "—", None, bench.commands),
            Finding("Redis commands a second with all of them at rest, those within scripts included",
                    figure(rest, "/s"), "—", "—", "—", None, bench.commands)]


def resident(pid):
    with open(f"/proc/{pid}/statm", encoding="ascii") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def redis_memory(redis):
    text = redis("INFO", "memory")
    return int(next(line.split(b":")[1] for line in text.splitlines() if line.startswith(b"used_memory:")))


ALL = {measure.__name__: measure for measure in (getservers, gameservers)}
