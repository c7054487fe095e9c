"""An event-loop iteration that runs long is counted, and logged with what ran longest in it."""
from harness import Versioned, packets


def test_a_slow_iteration_is_logged(t):
    frontend = t.frontend(t.redis(), config="[log]\nslow_iteration = 1ms\n",
                          settings={"tracker.rate": 0, "budget.rate": 0, "budget.address_rate": 0})
    client = t.connect(frontend, Versioned)
    client.open(b"x")

    def seen():
        # What arrives at once is handled in one iteration: more than a millisecond's work.
        client.send(b"".join(packets.versioned.update(client.id, 1, b"y" * 200) for _ in range(2000)))
        return frontend.log_lines("msg=slow_iteration")

    t.wait_until(seen, 30)
    line = frontend.log_lines("msg=slow_iteration")[0]
    for field in ("level=warn", " ms=", " phase=", " phase_ms=", " longest=", " longest_ms="):
        assert field in line, line
    assert frontend.metric("tracker_slow_iterations_total") > 0
    assert frontend.metric("tracker_loop_iteration_seconds_count") > 0
    frontend.write_config("[log]\nslow_iteration = 0\n")
    frontend.reload()
    before = frontend.metric("tracker_slow_iterations_total")
    seen()
    client.update(client.id, 2, b"z")
    assert frontend.metric("tracker_slow_iterations_total") == before
