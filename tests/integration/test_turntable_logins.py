"""turntable: a user who connects again, to the same front-end or to another."""
from harness.turntable import Turntable

LISTEN = ("web=127.0.0.1:0",)


def start(t, **settings):
    redis = t.redis()
    return redis, t.frontends(2, redis, listen=LISTEN, settings=settings)


def connect(t, frontend, user=None, **options):
    return t.connect(frontend, Turntable, kind="web", user=user, **options)


def test_allow_lets_all_connections_be(t):
    _, (a, b) = start(t)
    clients = [connect(t, frontend, "1:1") for frontend in (a, a, b, b)]
    for client in clients:
        client.join("room")
    clients[3].play("room", 1)
    for client in clients:
        client.wait("game")
        assert client.closed is None


def test_reject_refuses_the_new_one_which_may_try_again(t):
    _, (a, b) = start(t, **{"turntable.duplicate_login": "reject", "presence.offline_delay": "0s"})
    first, watcher = connect(t, a, "1:1"), connect(t, b, "1:9")
    watcher.subscribe("1:1")
    for frontend in (a, b):
        second = connect(t, frontend)
        second.expect("idyou")
        second.say("idme", "1:1")
        second.refused("duplicate_login", "idme")
        second.say("status", "busy")
        second.refused("not_identified", "status")
        # It may be somebody else.
        second.say("idme", "1:5" if frontend is a else "1:6")
        second.say("status", "busy")
        second.say("subscribe", ["1:5", "1:6"])
        assert second.wait("userchange")["1:5"] == "busy"
    third = connect(t, b)
    third.expect("idyou")
    first.leave()
    watcher.wait_statuses({"1:1": "offline"})
    third.say("idme", "1:1")
    watcher.wait_statuses({"1:1": "online"})
    assert third.sync() == []


def test_replace_closes_the_old_ones_when_the_new_one_is_in(t):
    _, (a, b) = start(t, **{"turntable.duplicate_login": "replace", "presence.offline_delay": "0s"})
    watcher, friend = connect(t, b, "1:9"), connect(t, a, "1:8")
    watcher.subscribe("1:1")
    old = connect(t, a, "1:1")
    old.join("room"), friend.join("room")
    for frontend in (a, b, b, a):
        new = connect(t, frontend, "1:1")
        assert old.read_end() == (4001, "the user has logged in again")
        old = new
        assert old.sync() == []
    friend.wait_members("room", ["1:8"])
    old.join("room")
    friend.wait_members("room", ["1:1", "1:8"])
    watcher.wait_statuses({"1:1": "busy"})
    # Never offline in between, though nothing is held.
    assert "offline" not in watcher.received["1:1"][1:], watcher.received["1:1"]


def test_two_at_the_same_moment_leave_one(t):
    _, (a, b) = start(t, **{"turntable.duplicate_login": "reject"})
    for number in range(10):
        clients = [connect(t, frontend) for frontend in (a, b, a, b)]
        for client in clients:
            client.expect("idyou")
        for client in clients:
            client.say("idme", "1:%d" % number)
        refused = [client for client in clients if client.sync()]
        assert len(refused) == 3, number
        for client in refused:
            assert client.messages[-2][1]["data"]["code"] == "duplicate_login"


def test_of_two_that_replace_one_another_at_the_same_moment_one_stays(t):
    """As a browser that opens several pages again."""
    _, (a, b) = start(t, **{"turntable.duplicate_login": "replace"})
    for number in range(10):
        clients = [connect(t, frontend) for frontend in (a, a, b, a)]
        for client in clients:
            client.expect("idyou")
        for client in clients:
            client.say("idme", "1:%d" % number)

        def left():
            for client in clients:
                client.pump()
            return [client for client in clients if client.closed is None]
        t.wait_until(lambda: len(left()) <= 1, 10, "three are closed")
        assert len(left()) == 1, number
        stays, = left()
        assert stays.subscribe("1:%d" % number) == {"1:%d" % number: "online"}
        assert {client.closed.code for client in clients if client is not stays} == {4001}


def test_the_fields_of_an_entry_are_as_documented(t):
    redis, (a, _) = start(t)
    client = connect(t, a, "1:12345")
    key, = redis.keys("*}:client:*")
    entry = redis.hash(key)
    assert entry[b"user"] == b"1:12345" and entry[b"status"] == b"online", entry
    assert entry[b"protocol"] == b"turntable" and b"address" in entry, entry
    assert len(key.rsplit(b":", 1)[1]) == 7
    client.say("status", "busy")
    t.wait_until(lambda: redis.hash(key)[b"status"] == b"busy", 10, "it is busy in Redis")
    client.leave()
    t.wait_until(lambda: not redis.keys("*}:client:*"), 10, "it is gone at once")


def test_the_longest_id(t):
    """The parts of a strict id, the whole of any; what one may subscribe to is longer."""
    redis, (a, b) = start(t, **{"turntable.id_form": "strict"})
    strict = connect(t, a, "1" * 20 + ":" + "a" * 64)
    watcher = connect(t, b, "1:1")
    for id in ("1" * 21 + ":a", "1:" + "a" * 65):
        other = connect(t, a)
        other.expect("idyou")
        other.say("idme", id)
        assert other.expect("error")["code"] == "bad_id"
    watcher.subscribe(strict.user, "x" * 255)
    watcher.say("subscribe", ["x" * 256])
    assert watcher.wait("error")["code"] == "bad_id"
    anybody = connect(t, t.frontend(redis, listen=LISTEN), "x" * 128)
    watcher.subscribe(anybody.user)
    if watcher.statuses[anybody.user] != "online":
        watcher.wait("userchange", lambda data: data.get(anybody.user) == "online")


def refused_login(t, frontend, user):
    client = connect(t, frontend)
    client.expect("idyou")
    client.say("idme", user)
    return client, client.wait("error")


def test_a_user_has_a_limited_number_of_devices(t):
    redis, (a, b) = start(t, **{"presence.max_devices": 3})
    devices = [connect(t, frontend, "1:1") for frontend in (a, b, b)]
    for frontend in (a, b):
        other, error = refused_login(t, frontend, "1:1")
        assert (error["code"], error["command"]) == ("limit", "idme"), error
        assert "presence.max_devices" in error["message"], error
        # It may be somebody else.
        other.say("idme", "1:5" if frontend is a else "1:6")
        assert other.sync() == []
    # One that leaves makes room for one, also in the same moment.
    devices.pop().leave()
    t.wait_until(lambda: len(redis.hash("tracker:{main/1/0}:user:1:1")) == 2 + 2, 10, "it has left")
    devices.append(connect(t, a, "1:1"))
    assert refused_login(t, b, "1:1")[1]["code"] == "limit"
    for device in devices:
        assert device.sync() == [] and device.closed is None


def commands_of(frontend, client, room, user):
    """How many commands one invitation takes."""
    before = frontend.metrics()["tracker_redis_commands_total"]
    client.say("joingame", {"channel": room, "self": client.user, "invite": [user]})
    client.sync()
    client.sync()
    return frontend.metrics()["tracker_redis_commands_total"] - before


def test_an_invitation_costs_as_many_commands_with_many_devices_as_with_one(t):
    _, (a, b) = start(t)
    host, devices, costs = connect(t, a, "1:9"), [], []
    for many in (1, 40):
        devices += [connect(t, b, "1:2") for _ in range(many - len(devices))]
        # Sweeps have commands, too.
        costs.append(min(commands_of(a, host, f"{many}.{i}", "1:2") for i in range(3)))
    assert costs[1] <= costs[0] + 2, costs
    for device in devices:
        assert device.wait("invite")["from"] == "1:9"
