"""turntable: how connections end, and with which code."""
from harness.turntable import Turntable

LISTEN = ("web=127.0.0.1:0",)


def start(t, **settings):
    redis = t.redis()
    return redis, t.frontends(2, redis, listen=LISTEN, settings=settings)


def connect(t, frontend, user=None, **options):
    return t.connect(frontend, Turntable, kind="web", user=user, **options)


def test_a_drain_closes_with_1001_and_another_front_end_goes_on(t):
    _, (a, b) = start(t)
    stays = connect(t, b, "1:1")
    stays.subscribe("1:2")
    goes, stranger = connect(t, a, "1:2"), connect(t, a)
    stays.join("room"), goes.join("room")
    stays.wait_members("room", ["1:1", "1:2"])
    a.drain()
    assert goes.read_end() == (1001, "drain")
    stranger.expect("idyou")
    assert stranger.read_end().code == 1001
    stays.wait_members("room", ["1:1"])
    again = connect(t, b, "1:2")
    assert again.join("room") == ["1:1", "1:2"]
    stays.sync()
    assert "offline" not in stays.received["1:2"][1:], stays.received
    a.stop()


def test_an_operator_closes_with_1008(t):
    redis, (a, b) = start(t, **{"presence.offline_delay": "0s"})
    client, watcher = connect(t, a, "1:1"), connect(t, b, "1:2")
    watcher.subscribe("1:1")
    id = [key.rsplit(b":", 1)[1].decode() for key in redis.keys("*}:client:*")
          if redis("HGET", key, "user") == b"1:1"][0]
    t.ctl(redis, "kick", id)
    assert client.read_end() == (1008, "kicked")
    watcher.wait_statuses({"1:1": "offline"})
    assert watcher.sync() == []


def test_an_idle_client_is_closed_and_reported_offline(t):
    """It does not answer pings; its entry's TTL ends with it."""
    _, (a, b) = start(t, **{"client.ttl": "6s", "client.grace": "1s", "ws.ping_interval": "500ms", "ws.timeout": "6s", "presence.offline_delay": "0s"})
    watcher = connect(t, b, "1:2")
    watcher.subscribe("1:1")
    client = connect(t, a, "1:1")
    watcher.wait_statuses({"1:1": "online"})
    watcher.wait_statuses({"1:1": "offline"}, 30)
    assert client.read_end().code in (1001, 1006)


def test_a_close_of_the_client_is_answered(t):
    _, (a, b) = start(t, **{"presence.offline_delay": "0s"})
    watcher = connect(t, b, "1:2")
    watcher.subscribe("1:1")
    for code in (1000, 1001, 3999, 4999):
        client = connect(t, a, "1:1")
        watcher.wait_statuses({"1:1": "online"})
        client.websocket.close(code)
        watcher.wait_statuses({"1:1": "offline"})


def test_what_many_sessions_used_is_released(t):
    redis, (a, b) = start(t, **{"presence.offline_delay": "0s"})
    for _ in range(3):
        clients = [connect(t, (a, b)[number % 2], "1:%d" % (number % 7)) for number in range(20)]
        for client in clients:
            client.say("subscribe", ["1:%d" % number for number in range(30)])
            client.say("joingame", {"channel": "room", "self": client.user, "invite": ["2:1"]})
            client.say("whothere", {})
            client.play("room", 1)
        for number, client in enumerate(clients):
            if number % 3:
                client.drop()
            else:
                client.leave()
    for frontend in (a, b):
        frontend.wait_for_metric("tracker_websocket_connections", lambda value: value == 0)
        assert frontend.metric("tracker_sessions") == 0
        assert frontend.metric("tracker_subscriptions", protocol="turntable") == 0
    t.wait_until(lambda: not redis.keys("*}:client:*") and not redis.keys("*}:room:*") and not redis.keys("*}:user:*"),
                 15, lambda: f"all is gone: {redis.keys('*')}")
    t.fsck(redis)
