"""Metadata sync while things fail: what is there in the end is what its clients last said, and nobody
that is connected is reported as gone."""
import random
import time

from harness import scaled, stolen
from harness.faults import GRACE, HOLD, LEASE, SWEEP, NOTIFY, end_hold, stored_fields, wait_hold_over, wait_ready
from harness.sync import Sync

LISTEN = ("tracker=127.0.0.1:0", "web=127.0.0.1:0", "sync=127.0.0.1:0")


def start(t, count=2, settings=None, **options):
    redis = t.redis(**options)
    nodes = t.frontends(count, redis, listen=LISTEN, settings=settings)
    end_hold(redis)
    return redis, nodes


def crowd(t, nodes, count):
    """That many on each node, each second of them in delta mode, with properties, knowing one another."""
    clients = [t.connect(node, Sync, kind="sync", delta=index % 2 == 1)
               for node in nodes for index in range(count)]
    expected = {}
    for index, client in enumerate(clients):
        client.set(index=index, first="x")
        expected[client.token] = {"index": index, "first": "x"}
    wait_all(clients, expected)
    return clients, expected


def wait_all(clients, expected, timeout=10):
    for client in clients:
        client.wait_map(expected, timeout)


def closings(client, token, since=0):
    return sum(token in tick["closed"] for tick in client.ticks[since:])


def test_a_killed_frontends_clients_are_reported_once(t):
    """With the standard settings: after its lease and the grace of those who may come back."""
    redis, (a, b, c) = start(t, 3)
    clients, expected = crowd(t, (a, b, c), 4)
    may_return = t.connect(a, Sync, kind="sync", resume=True)
    stay, go = clients[4:], [client.token for client in clients[:4]] + [may_return.token]
    stay[0].wait_map(lambda received: may_return.token in received)
    began = time.monotonic()
    a.kill()
    for token in go:
        expected.pop(token, None)
    stay[0].wait_map(expected, LEASE + GRACE + 2 * SWEEP + NOTIFY)
    assert time.monotonic() - began < scaled(LEASE + GRACE + 2 * SWEEP + NOTIFY) + stolen(began)
    wait_all(stay, expected)
    for client in stay:
        for token in go:
            assert closings(client, token) == 1, (token, client.ticks)
        assert client.closed is None
    t.fsck(redis)


def test_links_killed_during_ticks(t):
    """Changes go on while both kinds of connections to Redis are cut again and again."""
    redis, nodes = start(t, settings={"sync.tick": "50ms"})
    clients, expected = crowd(t, nodes, 5)
    chance = random.Random(1)
    for round in range(60):
        if round % 4 == 0:
            redis("CLIENT", "KILL", "TYPE", chance.choice(("pubsub", "normal")), "SKIPME", "yes")
        for client in clients:
            properties = {"round": round, f"p{chance.randrange(5)}": chance.choice([None, round])}
            client.set(**properties)
            state = expected[client.token]
            state.update(properties)
            expected[client.token] = {name: value for name, value in state.items() if value is not None}
            client.pump()
        if round % 4 == 3:
            ticks = len(clients[0].ticks)
            clients[0].wait(lambda: len(clients[0].ticks) > ticks)
    wait_all(clients, expected, 20)
    for client in clients:
        assert not client.errors and not any(tick["closed"] for tick in client.ticks), client.ticks
    t.fsck(redis)


def lose_everything(t, lose):
    redis, nodes = start(t)
    clients, expected = crowd(t, nodes, 5)
    may_return = t.connect(nodes[0], Sync, kind="sync", resume=True)
    may_return.set(mine=1)
    expected[may_return.token] = {"mine": 1}
    wait_all(clients, expected)
    ticks = [len(client.ticks) for client in clients]
    lose(redis)
    clients[0].set(first=None, more="y")
    expected[clients[0].token] = {"index": 0, "more": "y"}

    def is_there():
        for token, properties in expected.items():
            stored = redis.hash(f"tracker:{{main/1/0}}:client:{token}")
            names = {name for name in stored if name.startswith(b"p:")}
            if names != {b"p:" + name.encode() for name in properties}:
                return False
        return True
    t.wait_until(is_there, 5, "all is in Redis again")
    wait_all(clients, expected)
    newcomer = t.connect(nodes[1], Sync, kind="sync")
    expected[newcomer.token] = {}
    wait_all([newcomer, *clients], expected)
    wait_hold_over(redis, HOLD + 3)
    for client, before in zip(clients, ticks):
        client.pump(0.1)
        received = client.ticks[before:]
        assert not any(tick["closed"] for tick in received), received
        opened = [token for tick in received for token in tick["opened"]]
        assert opened == [newcomer.token], opened
    may_return.drop()
    again = t.connect(nodes[1], Sync, kind="sync", resume=may_return.secret)
    assert again.token == may_return.token and again.map[again.token] == {"mine": 1}, "its hash came back too"
    t.fsck(redis)


def test_redis_flushed(t):
    lose_everything(t, lambda redis: redis("FLUSHALL"))


def test_redis_back_empty(t):
    lose_everything(t, lambda redis: redis.restart())


def test_redis_unreachable(t):
    """Connections stay; what was set meanwhile is delivered when it is back; a joining client is asked to try later."""
    redis, nodes = start(t, appendonly="yes", appendfsync="always")
    clients, expected = crowd(t, nodes, 3)
    one, near, far = clients[0], clients[1], clients[3]
    redis.kill()
    nodes[0].wait_for_log("redis_connection_lost")
    one.set(meanwhile=1)
    one.set(first=None)
    expected[one.token] = {"index": 0, "meanwhile": 1}
    newcomer = t.connect(nodes[0], Sync, kind="sync", enters=False)
    one.send(near.token, {"type": "near"})
    near.wait_packet()
    one.send(far.token, {"type": "far"})
    code, message = one.wait_error()
    assert code == "unavailable" and message.startswith(far.token), (code, message)
    code, reason = newcomer.wait_closed(10)
    assert code == 1013 and reason, (code, reason)
    for client in clients:
        client.pump()
        assert client.closed is None
    redis.start()
    wait_ready(nodes)
    wait_all(clients, expected, 20)
    assert not any(tick["closed"] for client in clients for tick in client.ticks)
    one.send(far.token, {"type": "again"})
    far.wait_packet()
    t.connect(nodes[0], Sync, kind="sync")
    t.fsck(redis)


def test_a_frozen_frontend(t):
    """Its clients are reported as gone; when it wakes, those still connected are reported again."""
    redis, (a, b) = start(t)
    clients, expected = crowd(t, (a, b), 3)
    a.freeze()
    left = {token: expected[token] for token in (client.token for client in clients[3:])}
    wait_all(clients[3:], left, LEASE + GRACE + 2 * SWEEP + NOTIFY + 5)
    a.thaw()
    wait_all(clients, expected, 20)
    clients[0].set(back=True)
    expected[clients[0].token]["back"] = True
    wait_all(clients, expected)
    t.fsck(redis)


def test_a_receiver_whose_frontend_is_dead(t):
    redis, (a, b) = start(t)
    (one, other), _ = crowd(t, (a, b), 1)
    b.kill()
    one.send(other.token, {"type": "late"})
    code, message = one.wait_error()
    assert code in ("undeliverable", "unavailable") and message.startswith(other.token), (code, message)


def test_a_client_that_leaves_before_the_map_shows_it_is_gone_for_all(t):
    """Events come late: who enters is sent the others who do, and is sent that they have gone."""
    redis = t.redis()
    links = t.links(redis)
    late = t.frontend(links.url, node="late", listen=LISTEN, settings={"redis.deadline": "500ms"})
    end_hold(redis)
    first = t.connect(late, Sync, kind="sync")
    links.delay = 1.5  # shorter than what resets a link
    for _ in range(4):
        entering = [t.connect(late, Sync, kind="sync", delta=delta, enters=False) for delta in (False, False, True, False, True)]
        t.wait_until(lambda: len(stored_fields(redis)) == 6, 10, "their entries are open")
        # All have waited for long enough at the same time.
        late.freeze()
        time.sleep(0.6)
        late.thaw()
        for one in entering:
            one.wait(lambda one=one: one.token, what="the first metadata")
        leaving, staying = entering[:2], entering[2:]
        gone = {one.token for one in leaving}
        for one in leaving:
            one.drop()
        expected = {one.token: {} for one in (first, *staying)}
        for one in (first, *staying):
            one.wait(lambda one=one: not gone & one.map.keys(), what="that they have gone")
        wait_all([first, *staying], expected)
        for one in staying:
            one.drop()
        first.wait_map({first.token: {}})
    t.fsck(redis)
