"""Redis has been restarted and reads its data for a while: it refuses until it has them."""
import time

from harness import Versioned, scaled, stolen
from harness.faults import (Reader, check_notified_once, key, start, states_of, wait_agreement, wait_know, wait_ready,
                            watchers)


def test_a_slow_start(t):
    redis, (a, b) = start(t, 2, settings={"map.recovery_grace": "2s", "redis.deadline": "500ms"})
    found = watchers(t, [a, b])
    clients = [t.connect(frontend, Versioned) for frontend in (a, b) for _ in range(3)]
    ids = [client.open(b"before") for client in clients]
    wait_know(found, ids)
    expected = {id: b"before" for id in ids}
    expected.update(states_of(found))
    reader = Reader(t, a)
    t.wait_until(lambda: reader.read() == expected)
    for number in range(4000):
        redis("SET", f"filler:{number}", "x" * 100)
    redis.save()
    redis.restart(rdb="dump.rdb", key_load_delay="1000", loading_process_events_interval_bytes="1024")
    for frontend in (a, b):
        frontend.wait_for_log("redis_refusing_commands.*loading", 5)
        assert frontend.metric("tracker_redis_refused_total", kind="loading") >= 1
        assert not frontend.ready()
    assert not clients[0].update(ids[0], 1, b"kept")
    assert reader.read() == expected
    t.wait_until(lambda: redis.info("persistence")["loading"] == "0", 20, "it has its data")
    loaded = time.monotonic()
    expected[ids[0]] = b"kept"
    t.wait_until(lambda: redis("HGET", key("client", ids[0]), "state") == b"kept", 5)
    assert time.monotonic() - loaded <= scaled(4) + stolen(loaded), "two seconds of backoff, and two after the link"
    wait_ready([a, b])
    check_notified_once(found, [], 4)
    wait_agreement(t, redis, [a, b], expected)
    t.fsck(redis)
