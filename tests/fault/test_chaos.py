"""The fault harness's scenarios and three of its seeds: three front-ends, two Redis servers, HAProxy and clients of
all protocols on hosts of their own; what every client was sent, against what every client did. More of it:
make chaos. See tests/harness/chaos.
"""
import sys

from harness.chaos import report, run
from harness.chaos.scenarios import SCENARIOS
from harness.chaos.schedule import RandomSchedule

TIMEOUT = 140


def check(t, schedule):
    found = run.run(t, schedule)
    violations = found.oracle.violations
    if violations:
        print(report.details(found), file=sys.stderr)
    assert not violations, f"{schedule.name}: {len(violations)} violations, the first: {violations[0]}"


def test_a_frontend_is_killed_and_another_restarted(t):
    check(t, SCENARIOS["front-end-killed"]())


def test_a_frontend_freezes_again_and_again(t):
    check(t, SCENARIOS["front-end-frozen"]())


def test_a_host_of_a_frontend_vanishes(t):
    check(t, SCENARIOS["front-end-vanished"]())


def test_a_frontend_is_cut_off_from_redis(t):
    check(t, SCENARIOS["front-end-cut-off"]())


def test_the_replica_is_promoted_and_sessions_stay(t):
    check(t, SCENARIOS["fail-over"]())


def test_a_replica_that_lags_is_promoted(t):
    check(t, SCENARIOS["fail-over-lagging"]())


def test_redis_comes_back_older(t):
    check(t, SCENARIOS["redis-older"]())


def test_clocks_jump(t):
    check(t, SCENARIOS["clocks"]())


def test_the_links_are_with_different_servers(t):
    check(t, SCENARIOS["links-apart"]())


def test_redis_refuses_freezes_and_is_unreachable(t):
    check(t, SCENARIOS["redis-refuses"]())


def test_sentinels_replace_a_master_that_is_killed(t):
    check(t, SCENARIOS["sentinel-master-killed"]())


def test_sentinels_replace_a_master_that_still_serves(t):
    check(t, SCENARIOS["sentinel-master-separated"]())


def test_sentinels_of_which_one_is_separated(t):
    check(t, SCENARIOS["sentinel-separated"]())


def test_sentinels_promote_a_replica_that_lags(t):
    check(t, SCENARIOS["sentinel-lagging"]())


def test_seed_3(t):
    check(t, RandomSchedule(3))


def test_seed_18(t):
    check(t, RandomSchedule(18))


def test_seed_31(t):
    check(t, RandomSchedule(31))
