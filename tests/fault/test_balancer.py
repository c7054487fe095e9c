"""What HAProxy does with the clients, by docker/haproxy.cfg, when a front-end's host vanishes, when Redis
is gone or takes no writes, and while a front-end drains."""
import time

from harness import Plain, Versioned, packets, scaled
from harness.faults import end_hold, key, node_id, wait_hold_over, wait_ready
from harness.haproxy import behind_haproxy, restart_behind
from harness.sync import Sync
from harness.waiting import check_in_time, stolen

# docker/haproxy.cfg: a check each second, answered in a second, half a second to the next, and that one; the first
# of them may be due at once, or in a second.
NOTICED = (2.5, 3.5)
# Here each check is connected, and waits 2 s for its answer.
FROZEN = (4.5, 5.5)


def open_clients(t, proxy, count):
    """That many of the Tracker protocol, with their entries; all know all."""
    clients = [t.connect(proxy.address("TRACKER_BIND"), Versioned) for _ in range(count)]
    ids = {client.open(b"before") for client in clients}
    for client in clients:
        client.wait_for_map(lambda states: len(ids & states.keys()) >= count - 1)
    return clients


def clients_of(redis, frontend, clients):
    """Those whose connections the front-end has."""
    node = node_id(frontend)
    found = [client for client in clients if redis("HGET", key("client", client.id), "node") == node]
    assert 0 < len(found) < len(clients), len(found)
    return found


def wait_all_closed(clients, timeout):
    """Until the balancer or the front-end has closed them all: for each, when."""
    closed, end = {}, time.monotonic() + scaled(timeout)
    while len(closed) < len(clients):
        assert time.monotonic() < end, f"{len(clients) - len(closed)} of {len(clients)} are not closed"
        for client in clients:
            if client not in closed and client.closed(0.001):
                closed[client] = time.monotonic()
    return list(closed.values())


def check_all_open(clients, seconds):
    """None is closed for that long."""
    end = time.monotonic() + scaled(seconds)
    while time.monotonic() < end:
        assert not any(client.closed(0.005) for client in clients), "a client was cut off"


def newcomer_reads(t, proxy, clients):
    """Whether a client that connects now reads the whole map."""
    try:
        with t.connect(proxy.address("TRACKER_BIND"), Plain) as newcomer:
            states = newcomer.get()
    except (ConnectionError, TypeError):
        return False
    return {client.id for client in clients} <= states.keys()


def network_of(t):
    """(network, the front-ends' hosts, HAProxy's, the clients', Redis on another)."""
    network = t.network()
    hosts = [network.host(name) for name in "abc"]
    proxy_host, clients_host, redis_host = (network.host(name) for name in ("proxy", "clients", "redis"))
    with redis_host:
        redis = t.redis(tcp=redis_host.address)
    return network, hosts, proxy_host, clients_host, redis


def test_a_vanished_hosts_clients_return_unreported(t):
    """HAProxy resets its clients, of every protocol; who returns within the grace period is not reported gone."""
    network, hosts, proxy_host, clients_host, redis = network_of(t)
    frontends, proxy = behind_haproxy(t, redis, hosts, proxy_host)
    end_hold(redis)
    with clients_host:
        clients = open_clients(t, proxy, 9)
        syncs = [t.connect(proxy.address(bind), Sync) for bind in ("SYNC_BIND", "WEB_BIND") for _ in range(3)]
        lost = clients_of(redis, frontends[0], clients)
        lost_syncs = clients_of(redis, frontends[0], [SyncClient(sync) for sync in syncs])
        events = t.events(redis)
        network.drop(hosts[0])
        began = time.monotonic()
        # Before HAProxy knows: who is sent to that front-end is soon sent to another one.
        newcomers = [t.connect(proxy.address("TRACKER_BIND"), Versioned) for _ in range(4)]
        for newcomer in newcomers:
            newcomer.send(packets.versioned.open(b"newcomer"))
        closed = wait_all_closed(lost + lost_syncs, NOTICED[1] + 3)
        print(f"reset {min(closed) - began:.2f} to {max(closed) - began:.2f} s after the host vanished")
        assert not any(client.closed(0) for client in clients if client not in lost)
        assert all(newcomer.read_id() for newcomer in newcomers)
        returned, missing = lost[1:], lost[0]
        again = [t.connect(proxy.address("TRACKER_BIND"), Versioned) for _ in returned]
        for client, old in zip(again, returned):
            assert client.update(old.id, 1, b"after")
        # Who does not return is reported, and nobody else.
        gone = {missing.id, *(sync.id for sync in lost_syncs)}
        events.wait(lambda found: gone <= {event.id for event in found if event.op == "close"}, 15, "closes")
    events.check()
    assert {event.id for event in events.read() if event.op == "close"} == gone
    for old in returned:
        assert redis("HGET", key("client", old.id), "state") == b"after"
    network.restore(hosts[0])
    t.fsck(redis)


def check_disconnected(t, redis, frontends, proxy, begin, end, bounds):
    """Clients of the first front-end are reset in that time after begin(); end() puts it right again."""
    def attempt():
        clients = open_clients(t, proxy, 9)
        lost = clients_of(redis, frontends[0], clients)
        position = proxy.process.log_position()
        began = time.monotonic()
        begin()
        closed = wait_all_closed(lost, bounds[1] + 10)
        late = stolen(began)
        end()
        proxy.process.wait_for_log(r"Server tracker/a is UP", 20, position)
        t.wait_until(frontends[0].ready, 20, "it is ready again")
        for client in clients:
            client.drop()
        # The machine's own delays, and what it takes to notice it here.
        return {"first": (min(closed) - began, bounds[0] - 0.1, bounds[1] + late + 0.2),
                "last": (max(closed) - began - late, bounds[0] - 0.1, bounds[1] + 0.2)}
    check_in_time(attempt)


def test_how_soon_clients_of_a_vanished_host_are_disconnected(t):
    network, hosts, proxy_host, clients_host, redis = network_of(t)
    frontends, proxy = behind_haproxy(t, redis, hosts, proxy_host)
    with clients_host:
        check_disconnected(t, redis, frontends, proxy, lambda: network.drop(hosts[0]), lambda: network.restore(hosts[0]),
                           NOTICED)


def test_how_soon_clients_of_a_frozen_frontend_are_disconnected(t):
    redis = t.redis()
    frontends, proxy = behind_haproxy(t, redis)
    check_disconnected(t, redis, frontends, proxy, frontends[0].freeze, frontends[0].thaw, FROZEN)


class SyncClient:
    """A client of metadata sync, asked for as those of the Tracker protocol are."""

    def __init__(self, sync):
        self.sync, self.id = sync, sync.token.encode()

    def closed(self, timeout):
        self.sync.pump(scaled(timeout))
        return self.sync.closed is not None


def test_a_frozen_frontends_clients_return_unreported(t):
    """It accepts what connects, and answers nothing."""
    redis = t.redis()
    frontends, proxy = behind_haproxy(t, redis)
    end_hold(redis)
    clients = open_clients(t, proxy, 9)
    lost = clients_of(redis, frontends[0], clients)
    events = t.events(redis)
    frontends[0].freeze()
    began = time.monotonic()
    closed = wait_all_closed(lost, FROZEN[1] + 3)
    print(f"reset {min(closed) - began:.2f} to {max(closed) - began:.2f} s after it was frozen")
    for old in lost:
        again = t.connect(proxy.address("TRACKER_BIND"), Versioned)
        assert again.update(old.id, 1, b"after")
    frontends[0].thaw()
    t.wait_until(frontends[0].ready, 10, "it is ready again")
    proxy.wait_for_state("tracker/a", "UP")
    check_all_open([client for client in clients if client not in lost], 2)
    events.check()
    assert not [event for event in events.read() if event.op == "close"]
    t.fsck(redis)


def test_clients_of_a_host_that_restarted_are_reset(t):
    """It is back before HAProxy misses it, and knows nothing of their connections: TCP's probes find out."""
    network, hosts, proxy_host, clients_host, redis = network_of(t)
    frontends, proxy = behind_haproxy(t, redis, hosts, proxy_host)
    end_hold(redis)
    with clients_host:
        clients = open_clients(t, proxy, 9)
        lost = clients_of(redis, frontends[0], clients)
        # Nothing is under way any more that TCP would send again: only its probes are left.
        check_all_open(clients, 0.5)
        network.drop(hosts[0], proxy_host)
        frontends[0].kill()
        hosts[0].reboot()
        restart_behind(t, frontends[0], hosts[0])
        network.restore(hosts[0], proxy_host)
        began = time.monotonic()
        closed = wait_all_closed(lost, 10)
        print(f"reset {max(closed) - began:.2f} s after the host was back")
        assert not any(client.closed(0) for client in clients if client not in lost)


def without_writes(t, begin, end, why):
    """Redis is lost or full: nobody is cut off, newcomers read, and all is well after it."""
    redis = t.redis()
    frontends, proxy = behind_haproxy(t, redis, settings={"map.recovery_grace": "2s"})
    clients = open_clients(t, proxy, 9)
    syncs = [SyncClient(t.connect(proxy.address("WEB_BIND"), Sync)) for _ in range(3)]
    begin(redis)
    for frontend in frontends:
        t.wait_until(lambda: b"not ready: " + why in frontend.http("/readyz")[2], 10, "not ready")
    # Longer than it takes to give up a server that does not answer.
    check_all_open(clients + syncs, NOTICED[1] + 1.5)
    t.wait_until(lambda: newcomer_reads(t, proxy, clients), 10, "a newcomer reads the map", 0.2)
    late = t.connect(proxy.address("TRACKER_BIND"), Versioned)
    assert not clients[0].update(clients[0].id, 1, b"kept")
    assert "DOWN" not in proxy.process.log
    end(redis)
    wait_ready(frontends)
    # That Redis has room again is noticed at the next look at its memory.
    t.wait_until(lambda: late.open(b"late"), 15, "a newcomer opens an entry", 0.2)
    for number, client in enumerate(clients):
        assert client.update(client.id, 2 + number, b"after")
    wait_hold_over(redis)
    t.fsck(redis)


def test_without_redis_nobody_is_cut_off_and_newcomers_read(t):
    without_writes(t, lambda redis: redis.kill(), lambda redis: redis.start(), b"no connection to Redis")


def test_with_a_full_redis_newcomers_read(t):
    without_writes(t, lambda redis: redis("CONFIG", "SET", "maxmemory", "100kb"),
                   lambda redis: redis("CONFIG", "SET", "maxmemory", "0"), b"oom")


def test_a_draining_frontends_clients_are_closed_by_it_alone(t):
    """Evenly over drain.time, while HAProxy knows since the first second that it is not ready."""
    redis = t.redis()
    frontends, proxy = behind_haproxy(t, redis, settings={"drain.time": "8s"})
    clients = open_clients(t, proxy, 12)
    leaving = clients_of(redis, frontends[0], clients)
    frontends[0].drain()
    began = time.monotonic()
    closed = sorted(at - began for at in wait_all_closed(leaving, 12))
    # The drain's own pace: none before its share of the time has passed.
    for number, at in enumerate(closed):
        assert at >= 8 * (number + 1) / len(closed) - 0.5, closed
    frontends[0].process.wait()
    assert not any(client.closed(0) for client in clients if client not in leaving)
    for index in range(4):
        assert t.connect(proxy.address("TRACKER_BIND"), Versioned).open(b"%d" % index)
    t.fsck(redis)
