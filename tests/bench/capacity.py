#!/usr/bin/env python3
"""What a deployment takes, measured: tests/bench/capacity.py [BUILD] [--rounds N] [--seconds S] [--table]

CPU and memory of a front-end and of Redis for each connection, change, delivery and entry, with clients of the Tracker
protocol; the median of the rounds. It is written to docs/capacity.json, of which the table in docs/operations.md is
made: --table prints that, and measures nothing. The machine should be idle otherwise.
"""
import json
import os
import statistics
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

import measures  # noqa: E402  (the path is set above)
from costs import processor  # noqa: E402
from figures import LIMITS  # noqa: E402
from harness import Context  # noqa: E402
from harness.context import ROOT  # noqa: E402

PATH = os.path.join(ROOT, "docs", "capacity.json")
CLIENTS = 2000
# Longer than it takes until every entry is renewed.
REST = 20
# For each figure: what the table calls it, its unit, and the decimals.
ROWS = (
    ("connection", "frontend_bytes", "a connection: memory of the front-end", "bytes", 0),
    ("connection", "frontend_us", "a connection is opened and closed: CPU of the front-end", "µs", 0),
    ("entry", "frontend_bytes", "an entry of a connected client: memory of its front-end", "bytes", 0),
    ("entry", "redis_bytes", "the same: memory of Redis", "bytes", 0),
    ("entry", "frontend_us", "a client connects and opens an entry: CPU of the front-end", "µs", 0),
    ("entry", "redis_us", "the same: CPU of Redis", "µs", 0),
    ("entry", "rest_frontend_us", "an entry whose client is idle: CPU of the front-end each second", "µs", 1),
    ("entry", "rest_redis_us", "the same: CPU of Redis each second", "µs", 1),
    ("change", "frontend_us", "a change, as many as one front-end accepts: its CPU", "µs", 1),
    ("change", "redis_us", "the same: CPU of Redis", "µs", 1),
    ("delivery", "frontend_us", "a delivery, 100 changes a second to 1,000 watchers: CPU of the front-end", "µs", 1),
)


def table(capacity):
    lines = ["| what | measured |", "|---|---|"]
    for thing, name, what, unit, decimals in ROWS:
        lines.append(f"| {what} | {capacity[thing][name]:,.{decimals}f} {unit} |")
    return "\n".join(lines) + "\n"


def sizes(bench, t):
    """Bytes of a connection and of an entry."""
    redis = t.redis()
    frontend = measures.frontend(t, redis, "a")
    found = bench.load(t, "idle", processes={"frontend": frontend.process, "redis": redis.process}, target=frontend.where())
    connected = found["frontend_connected_bytes"]
    return {"connection": {"frontend_bytes": connected},
            "entry": {"frontend_bytes": found["frontend_opened_bytes"] - connected, "redis_bytes": found["redis_opened_bytes"]}}


def life(bench, t):
    """Microseconds for a connection, for a client with an entry, and for an entry that stays for a second."""
    redis = t.redis()
    frontend = t.frontend(redis, listen=("tracker=127.0.0.1:0,push=off",), settings=LIMITS)
    pids = frontend.pid, redis.process.pid

    def spent(action):
        """CPU of both in µs, and the seconds that it took."""
        began, before = time.monotonic(), [processor(pid) for pid in pids]
        action()
        return [(processor(pid) - value) / 1e3 for pid, value in zip(pids, before)], time.monotonic() - began

    def pause():
        time.sleep(REST)
    rest, seconds = spent(pause)
    rest = [one / seconds for one in rest]

    def connect():
        t.bulk(frontend, CLIENTS, state=None).drop()
        # One that is served has been accepted after them.
        t.bulk(frontend, 1).drop()
    connecting, took = spent(connect)
    clients = []
    opening, opened = spent(lambda: clients.append(t.bulk(frontend, CLIENTS)))
    idle, stayed = spent(pause)
    clients[0].drop()
    own = max(0, connecting[0] - rest[0] * took) / CLIENTS
    entry = [max(0, one - base * opened) / CLIENTS for one, base in zip(opening, rest)]
    each = [max(0, one / stayed - base) / CLIENTS for one, base in zip(idle, rest)]
    return {"connection": {"frontend_us": own},
            "entry": {"frontend_us": entry[0], "redis_us": entry[1],
                      "rest_frontend_us": each[0], "rest_redis_us": each[1]}}


def traffic(bench, t):
    """Microseconds for a change and a delivery."""
    redis = t.redis()
    writing, watching = (measures.frontend(t, redis, node) for node in "ab")
    processes = {"frontend": writing.process, "redis": redis.process}
    change = bench.load(t, "updates", processes=processes, target=writing.where())
    fanout = bench.load(t, "fanout", "--rate", 100, "--watchers", 1000, processes={"watching": watching.process},
                        target=writing.where(), watch=watching.where())
    return {"change": {"frontend_us": change["frontend_cpu_us_per_update"], "redis_us": change["redis_cpu_us_per_update"]},
            "delivery": {"frontend_us": fanout["watching_cpu_us_per_delivery"]}}


def measure(build, rounds, seconds, machine):
    bench = measures.Bench(build, rounds, seconds)
    runs = []
    for number in range(rounds):
        for part in (sizes, life, traffic):
            bench.say(f"round {number + 1}: {part.__doc__}")
            with Context(build) as t:
                runs.append(part(bench, t))
    with open(os.path.join(ROOT, ".version"), encoding="ascii") as file:
        capacity = {"release": file.read().strip(), "machine": machine, "date": time.strftime("%Y-%m-%d"),
                    "command": f"tests/bench/capacity.py --rounds {rounds} --seconds {seconds:g}"}
    for thing, name, *_ in ROWS:
        found = [run[thing][name] for run in runs if name in run.get(thing, {})]
        capacity.setdefault(thing, {})[name] = round(statistics.median(found), 2)
    return capacity


def machine_of_this_run():
    with open("/proc/cpuinfo", encoding="utf-8") as file:
        model = next((line.split(":", 1)[1].strip() for line in file if line.startswith("model name")), "?")
    return f"{os.cpu_count()} cores ({model})"


def main(arguments):
    options = {"--rounds": "3", "--seconds": "4"}
    build = os.path.join(ROOT, "build")
    words = iter(arguments)
    for word in words:
        if word == "--table":
            with open(PATH, encoding="utf-8") as file:
                print(table(json.load(file)), end="")
            return
        if word in options:
            options[word] = next(words)
        else:
            build = os.path.abspath(word)
    capacity = measure(build, int(options["--rounds"]), float(options["--seconds"]), machine_of_this_run())
    with open(PATH, "w", encoding="utf-8") as file:
        json.dump(capacity, file, indent=1, ensure_ascii=False)
        file.write("\n")
    print(table(capacity), end="")


if __name__ == "__main__":
    main(sys.argv[1:])
