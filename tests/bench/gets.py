#!/usr/bin/env python3
"""How long a Get takes at light load, with two builds: tests/bench/gets.py BUILD BUILD [ROUNDS]

Each build has a Redis and a front-end with 20 entries of its own. Round after round both are asked in
turn, so that what else the machine does meets both: Gets alone, and Gets each right behind an Update of
another connection that has been acknowledged. A ratio is the median over the rounds of the second
build's p50 to the first's, with its quartiles.
"""
import os
import statistics
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

from harness import Context, Original2013, Original2014  # noqa: E402  (the path is set above)

LISTEN = ("tracker=127.0.0.1:0,push=off", "tracker=127.0.0.1:0,original=2014", "web=127.0.0.1:0")
ENTRIES = 20
GETS = 500
PAUSE = 0.0005


class Side:
    def __init__(self, t, build):
        t.build = build
        frontend = t.frontend(t.redis(), listen=LISTEN, settings={"client.max_ids": 1000, "tracker.rate": 0})
        self.writer = t.connect(frontend, Original2013)
        self.reader = t.connect(frontend, Original2014, index=1)
        self.version = 0
        for _ in range(ENTRIES):
            self.update()
        self.reader.get_text()

    def update(self):
        self.version += 1
        assert self.writer.update(b"sensor-%d" % (self.version % ENTRIES), self.version, b"state")

    def p50(self, writes):
        """Of one round, in microseconds."""
        times = []
        for _ in range(GETS):
            if writes:
                self.update()
            began = time.perf_counter()
            self.reader.get_text()
            times.append(time.perf_counter() - began)
            time.sleep(PAUSE)
        return statistics.median(times) * 1e6


def compare(what, sides, rounds, writes):
    found = []
    for number in range(rounds):
        order = (0, 1) if number % 2 else (1, 0)
        round_of = {index: sides[index].p50(writes) for index in order}
        found.append((round_of[0], round_of[1]))
    low, median, high = statistics.quantiles([second / first for first, second in found])
    first, second = (statistics.median(pair[index] for pair in found) for index in (0, 1))
    print(f"{what}: {first:.1f} µs, {second:.1f} µs, ratio {median:.3f} ({low:.3f}–{high:.3f})", flush=True)


def main():
    builds = [os.path.abspath(build) for build in sys.argv[1:3]]
    if len(builds) != 2:
        sys.exit(__doc__)
    rounds = int(sys.argv[3]) if len(sys.argv) > 3 else 20
    with Context(builds[0]) as t:
        sides = [Side(t, build) for build in builds]
        compare("alone", sides, rounds, False)
        compare("behind another connection's update", sides, rounds, True)


if __name__ == "__main__":
    main()
