"""turntable: packets of metadata-sync clients, to one connection and to everybody, over two front-ends; and what
the protocols see of one another."""
import json

from harness.sync import Sync
from harness.turntable import Turntable

LISTEN = ("tracker=127.0.0.1:0", "web=127.0.0.1:0")


def start(t, **settings):
    redis = t.redis()
    return redis, t.frontends(2, redis, listen=LISTEN, settings=settings)


def connect(t, frontend, user=None, **options):
    return t.connect(frontend, Turntable, kind="web", user=user, **options)


def ids_of(redis):
    """user -> ids of the connections' entries."""
    found = {}
    for key in redis.keys("*}:client:*"):
        user = redis("HGET", key, "user")
        if user:
            found.setdefault(user.decode(), []).append(key.rsplit(b":", 1)[1].decode())
    return found


def test_a_packet_for_a_connection_comes_as_it_was_sent(t):
    redis, (a, b) = start(t)
    one, two = connect(t, a, "1:1"), connect(t, b, "1:2")
    ids = ids_of(redis)
    for frontend in (a, b):
        browser = t.connect(frontend, Sync, kind="web")
        for client, user in ((one, "1:1"), (two, "1:2")):
            browser.say('{"to":"%s","packet":{"type":"ping","ping":{"n":12345678901234567890},"more":[1.50]}}'
                        % ids[user][0])
            data = client.expect("packet")
            assert data == {"from": browser.token, "type": "ping", "ping": {"n": 12345678901234567890}, "more": [1.5]}
            assert b'"n":12345678901234567890' in client.messages[-1][0] and b"1.50" in client.messages[-1][0]
    assert one.sync() == two.sync() == []
    # A user's id is nobody's connection, and is answered as such.
    browser.send("1:1", {"type": "ping"})
    browser.wait(lambda: browser.errors, what="an error")
    assert one.sync() == []


def test_a_packet_for_everybody_comes_once_to_each(t):
    redis, (a, b) = start(t)
    users = [connect(t, frontend, "1:%d" % (number % 3)) for number, frontend in enumerate((a, b, a, b, a))]
    stranger = connect(t, a)
    stranger.expect("idyou")
    browsers = [t.connect(frontend, Sync, kind="web") for frontend in (a, b)]
    for number in range(4):
        browsers[number % 2].send("*", {"type": "hello", "hello": number})
    for user in users:
        assert sorted(user.expect("packet")["hello"] for _ in range(4)) == [0, 1, 2, 3]
        assert user.sync() == []
    # Before idme a connection is not in the map.
    assert stranger.sync() == []


def test_each_protocol_sees_the_others(t):
    redis, (a, b) = start(t)
    browser, user = t.connect(a, Sync, kind="web"), connect(t, b, "1:1")
    sensor = t.connect(a)
    sensor_id = sensor.open(b"21 degrees").decode()
    id = ids_of(redis)["1:1"][0]
    browser.wait(lambda: browser.map.get(id) == {"user": "1:1", "status": "online"}, what="the user")
    assert user.subscribe(browser.token, sensor_id, "1:1") == dict.fromkeys((browser.token, sensor_id, "1:1"), "online")
    user.say("whothere", {})
    assert user.expect("there") == sorted([browser.token, sensor_id, "1:1"])
    sensor.wait_for_map(lambda states: json.loads(states.get(id.encode(), b"{}")) == {"user": "1:1", "status": "online"})
    user.say("status", "busy")
    browser.wait(lambda: browser.map.get(id) == {"user": "1:1", "status": "busy"}, what="that it is busy")
    sensor.wait_for_map(lambda states: json.loads(states.get(id.encode(), b"{}")) == {"user": "1:1", "status": "busy"})
    browser_token = browser.token
    browser.drop()
    user.wait_statuses({browser_token: "offline", sensor_id: "online"})
