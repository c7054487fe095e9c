"""/readyz?local of front-ends whose packets to and from Redis are dropped: what one alone has lost, and what all."""
import time

from harness.waiting import scaled, wait_until


def start(t):
    """(network, Redis's host, the others', their front-ends, a host to ask them from)."""
    network = t.network()
    redis_host, asking = network.host("redis"), network.host("asking")
    hosts = [network.host(name) for name in "abc"]
    with redis_host:
        redis = t.redis(tcp=redis_host.address)
    frontends = []
    for host in hosts:
        with host:
            frontends.append(t.frontend(redis, node=host.name, wait=False,
                                        settings={"node.advertise": f"{host.address}:8080"},
                                        listen=[f"tracker={host.address}:6789", f"web={host.address}:8080"]))
    for frontend in frontends:
        frontend.wait_ready()
    return network, redis_host, hosts, frontends, asking


def status(frontend, query=""):
    return frontend.http("/readyz" + query)[0]


def check_all_stay(frontends, seconds):
    """None has a reason of its own for that long."""
    end = time.monotonic() + scaled(seconds)
    while time.monotonic() < end:
        assert [status(frontend, "?local") for frontend in frontends] == [200] * len(frontends)
        time.sleep(0.1)


def test_a_front_end_that_alone_does_not_reach_redis_says_so(t):
    network, redis_host, hosts, frontends, asking = start(t)
    with asking:
        wait_until(lambda: all(frontend.ready() for frontend in frontends))
        # They have read of one another.
        wait_until(lambda: all(frontend.metric("tracker_peers") == 2 for frontend in frontends), 30)
        for host in hosts:
            network.drop(host, redis_host)
        wait_until(lambda: not any(frontend.ready() for frontend in frontends), 15, "none is ready")
        check_all_stay(frontends, 8)
        for host in hosts[1:]:
            network.restore(host, redis_host)
        wait_until(lambda: all(frontend.ready() for frontend in frontends[1:]), 20, "the others are ready")
        wait_until(lambda: status(frontends[0], "?local") == 503, 10, "its loss is its own")
        assert status(frontends[0], "?local&balancer") == 404
        assert [status(frontend, "?local") for frontend in frontends[1:]] == [200, 200]
        for host in hosts[1:]:
            network.drop(host, redis_host)
        wait_until(lambda: status(frontends[0], "?local") == 200, 20, "no other one is served")
        for host in hosts:
            network.restore(host, redis_host)
        wait_until(lambda: all(frontend.ready() for frontend in frontends), 20, "all are ready")
