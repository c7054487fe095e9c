"""One run in a process of its own, for tests/fault/chaos: TRACKER_CHAOS says which ("seed 7", "scenario clocks", "scenario clocks defaults"),
TRACKER_CHAOS_RESULT is a file for its result.
"""
import json
import os
import sys

from harness.chaos import report, run
from harness.chaos.scenarios import SCENARIOS
from harness.chaos.schedule import RandomSchedule


def schedule_of(kind, name, *more):
    found = RandomSchedule(int(name)) if kind == "seed" else SCENARIOS[name]()
    return found.with_defaults() if "defaults" in more else found


def run_one(t):
    found = run.run(t, schedule_of(*os.environ["TRACKER_CHAOS"].split()))
    print(report.details(found), file=sys.stderr)
    with open(os.environ["TRACKER_CHAOS_RESULT"], "w", encoding="utf-8") as file:
        json.dump(report.result_of(found)._asdict(), file)
    assert not found.oracle.violations, f"{len(found.oracle.violations)} violations"
