"""turntable: rooms over two front-ends: members and messages, in one order."""
import json

from harness.turntable import Turntable, text_of

LISTEN = ("web=127.0.0.1:0",)


def start(t, **settings):
    redis = t.redis()
    return redis, t.frontends(2, redis, listen=LISTEN, settings=settings)


def connect(t, frontend, user=None, **options):
    return t.connect(frontend, Turntable, kind="web", user=user, **options)


def redis_ms(redis):
    seconds, micros = map(int, redis("TIME"))
    return seconds * 1000 + micros // 1000


def test_members_are_notified_of_joins_and_leaves(t):
    _, (a, b) = start(t)
    one, two, three = connect(t, a, "1:1"), connect(t, b, "1:2"), connect(t, a, "1:3")
    assert one.join("room") == ["1:1"]
    assert two.join("room") == ["1:1", "1:2"]
    assert one.expect("member") == {"channel": "room", "joined": ["1:2"], "left": []}
    assert sorted(three.join("room")) == ["1:1", "1:2", "1:3"]
    for client in (one, two):
        assert client.expect("member") == {"channel": "room", "joined": ["1:3"], "left": []}
    two.say("leavegame", {"channel": "room"})
    for client in (one, three):
        assert client.expect("member") == {"channel": "room", "joined": [], "left": ["1:2"]}
    assert two.sync() == []
    three.drop()
    assert one.expect("member") == {"channel": "room", "joined": [], "left": ["1:3"]}
    assert sorted(two.join("room")) == ["1:1", "1:2"]
    one.leave()
    assert two.expect("member") == {"channel": "room", "joined": [], "left": ["1:1"]}
    assert one.messages[-1][1]["command"] == "member"


def test_all_members_receive_the_same_in_the_same_order(t):
    _, (a, b) = start(t)
    players = [connect(t, (a, b)[number % 2], "1:%d" % number) for number in range(6)]
    for player in players:
        player.join("room")
    for round in range(40):
        for player in players:
            player.play("room", {"n": round})
    for player in players:
        while len(player.rooms["room"]) < 240:
            player.next()
    first = players[0].rooms["room"]
    assert all(player.rooms["room"] == first for player in players)
    for player in players:
        own = [json.loads(text)["data"]["actions"][0] for text in first]
        assert [action["data"]["n"] for action in own if action["from"] == player.user] == list(range(40))
    assert a.metric("tracker_pushes_total", protocol="turntable", kind="game") == 3 * 240


def test_what_is_said_right_after_joining_is_taken(t):
    _, (a, b) = start(t)
    one, two = connect(t, a), connect(t, b, "1:2")
    two.join("room")
    for text in (text_of("idme", "1:1"), text_of("joingame", {"channel": "room", "self": "1:1"}),
                 text_of("game", {"channel": "room", "actions": [{"data": "first"}]}),
                 text_of("leavegame", {"channel": "room"}), text_of("joingame", {"channel": "two", "self": "1:1"}),
                 text_of("game", {"channel": "two", "actions": [{"data": "second"}]})):
        one.say_text(text)
    assert one.wait("game", lambda data: data["channel"] == "two")["actions"][0]["data"] == "second"
    assert two.expect("member")["joined"] == ["1:1"]
    assert two.expect("game")["actions"][0]["data"] == "first"
    assert two.expect("member")["left"] == ["1:1"]
    # What it said last in a room that it has left already may not come back to it.
    messages = [message["command"] for _, message in one.messages]
    assert messages in (["idyou", "member", "game", "member", "game"], ["idyou", "member", "member", "game"])


def test_actions_are_corrected_and_the_rest_is_kept_as_it_came(t):
    redis, (a, b) = start(t)
    one, two = connect(t, a, "1:1"), connect(t, b, "1:2")
    one.join("room"), two.join("room")
    now = redis_ms(redis)
    sent = ('{"x": 1, "command": "game", "data": {"channel": "room", "actions": [ {"data" : 12345678901234567890.10}, '
            '{"timestamp": %d, "from": "1:1", "data": {"a":[1.0, "\\u00e9\\ud83d\\ude00", null]}, "more": {}}, '
            '{"timestamp": 17}, {} ], "extra":[ ]}}' % now)
    one.say_text(sent)
    for client in (one, two):
        data = client.wait("game")
        stamps = [action["timestamp"] for action in data["actions"]]
        assert stamps[1] == now and all(abs(stamp - now) < 60000 for stamp in stamps), stamps
        assert [action["from"] for action in data["actions"]] == ["1:1"] * 4
        put = b'"timestamp":%d,"from":"1:1"' % stamps[0]
        wanted = sent.encode().replace(b'{"data" : 1', b"{" + put + b',"data" : 1')
        wanted = wanted.replace(b'{"timestamp": 17}', b'{"from":"1:1","timestamp": %d}' % stamps[2])
        wanted = wanted.replace(b"{} ]", b"{" + put + b"} ]")
        assert client.messages[-1][0] == wanted


def test_timestamps_within_the_tolerance_are_kept(t):
    redis, (a, _) = start(t, **{"turntable.tolerance": "1h"})
    player = connect(t, a, "1:1")
    player.join("room")
    for off, kept in ((-3500000, True), (3500000, True), (-3700000, False), (3700000, False)):
        stamp = redis_ms(redis) + off
        player.play("room", 0, timestamp=stamp)
        assert (player.expect("game")["actions"][0]["timestamp"] == stamp) == kept


def test_ids_in_actions_may_have_to_be_members(t):
    _, (a, b) = start(t, **{"turntable.validate": "member"})
    one, two = connect(t, a, "1:1"), connect(t, b, "1:2")
    one.join("room"), two.join("room")
    one.wait_members("room", ["1:1", "1:2"])
    one.play("room", {"hit": ["1:2", "1:1", "no id", "12:30 at home"]})
    assert two.wait("game")["actions"][0]["data"]["hit"][0] == "1:2"
    one.wait("game")
    for data in ({"hit": "1:3"}, ["1:3"], {"1:3": 1}, "1:3"):
        one.play("room", data)
        one.refused("not_member", "game")
    connect(t, b, "1:3").join("room")
    one.wait_members("room", ["1:1", "1:2", "1:3"])
    one.play("room", {"hit": "1:3"})
    assert two.wait("game")["actions"][0]["data"] == {"hit": "1:3"}


def test_a_user_with_two_devices_comes_once_and_goes_with_the_last(t):
    _, (a, b) = start(t)
    one, phone, tablet = connect(t, a, "1:1"), connect(t, a, "1:2"), connect(t, b, "1:2")
    one.join("room")
    phone.join("room")
    assert one.expect("member")["joined"] == ["1:2"]
    assert tablet.join("room") == ["1:1", "1:2"]
    tablet.play("room", 1)
    assert one.expect("game")["actions"][0]["from"] == "1:2"
    phone.leave()
    tablet.play("room", 2)
    assert one.expect("game")["actions"][0]["data"] == 2
    tablet.drop()
    assert one.expect("member") == {"channel": "room", "joined": [], "left": ["1:2"]}


def test_joining_again_sends_the_members_and_invites(t):
    _, (a, b) = start(t)
    one, two, friend = connect(t, a, "1:1"), connect(t, b, "1:2"), connect(t, b, "1:3")
    one.join("room"), two.join("room")
    one.expect("member")
    assert one.join("room", invite=["1:3"]) == ["1:1", "1:2"]
    assert friend.expect("invite")["channel"] == "room"
    two.sync()
    one.play("room", "once")
    assert one.expect("game") and two.expect("game")
    assert one.sync() == two.sync() == []


def test_rooms_have_limits(t):
    _, (a, b) = start(t, **{"turntable.max_rooms": 2, "room.max_members": 3, "turntable.max_room_name": 5,
                            "turntable.max_actions": 2})
    one = connect(t, a, "1:1")
    one.join("a"), one.join("b")
    one.say("joingame", {"channel": "c", "self": "1:1"})
    one.refused("limit", "joingame")
    one.say("leavegame", {"channel": "a"})
    assert one.join("c") == ["1:1"]
    one.say("joingame", {"channel": "longer", "self": "1:1"})
    one.refused("bad_room", "joingame")
    one.say("game", {"channel": "b", "actions": [{}, {}, {}]})
    one.refused("limit", "game")
    others = [connect(t, b, "1:%d" % number) for number in (2, 3, 4)]
    others[0].join("b"), others[1].join("b")
    others[2].say("joingame", {"channel": "b", "self": "1:4", "invite": ["1:1"]})
    others[2].refused("limit", "joingame")
    watcher = connect(t, a)
    watcher.say("subscribe", ["1:4", "1:1"])
    assert watcher.wait("userchange") == {"1:4": "online", "1:1": "busy"}
    assert all(message["command"] != "invite" for _, message in one.messages)
    others[0].leave()
    one.wait_members("b", ["1:1", "1:3"])
    assert len(others[2].join("b")) == 3


def test_who_is_in_a_room_and_in_the_space(t):
    redis = t.redis()
    a, b = t.frontends(2, redis, listen=("tracker=127.0.0.1:0", "web=127.0.0.1:0"))
    one, two, phone = connect(t, a, "1:1"), connect(t, b, "1:2"), connect(t, a, "1:2")
    outsider = connect(t, b)
    outsider.expect("idyou")
    sensor = t.connect(a)
    id = sensor.open(b"x").decode()
    one.join("room"), two.join("room"), phone.join("room")
    one.wait_members("room", ["1:1", "1:2"])
    for client in (one, two, phone, outsider):
        client.sync()
        client.say("whothere", {"channel": "room"})
        assert client.expect("there") == ["1:1", "1:2"]
        client.say("whothere", {})
        assert client.expect("there") == sorted(["1:1", "1:2", id], key=str.encode)
    outsider.say_text('{"command":"whothere"}')
    assert len(outsider.expect("there")) == 3
    two.say("leavegame", {"channel": "room"})
    two.say("whothere", {"channel": "room"})
    assert two.expect("there") == ["1:1", "1:2"]
    phone.say("leavegame", {"channel": "room"})
    phone.say("whothere", {"channel": "room"})
    assert phone.expect("there") == ["1:1"]
    one.say("leavegame", {"channel": "room"})
    one.say("whothere", {"channel": "room"})
    one.wait("there", lambda ids: ids == [])
    t.wait_until(lambda: not redis.keys("*}:room:*"), 10, "an empty room vanishes")


def test_a_space_that_is_too_large_is_not_sent(t):
    _, (a, _) = start(t, **{"view.max_entries": 2})
    clients = [connect(t, a, "1:%d" % number) for number in range(4)]
    clients[0].say("whothere", {})
    assert "view.max_entries" in clients[0].refused("limit", "whothere")


def test_a_member_that_does_not_read_is_closed_and_nobody_waits(t):
    _, (a, b) = start(t, **{"turntable.max_backlog": "64KiB", "net.send_buffer": "16KiB", "ws.rate": 0})
    speaker, reader, other = connect(t, a, "1:1"), connect(t, a, "1:2"), connect(t, b, "1:4")
    slow = connect(t, a, "1:3")
    for client in (speaker, reader, other, slow):
        client.join("room")
    for client in (speaker, reader, other):
        client.wait_members("room", ["1:1", "1:2", "1:3", "1:4"])
    count = 0
    while "1:3" in reader.members["room"]:
        speaker.play("room", "x" * 50000)
        count += 1
        assert count < 1000
        for client in (speaker, reader, other):
            while len(client.rooms["room"]) < count:
                client.next()
    for client in (speaker, reader, other):
        client.wait_members("room", ["1:1", "1:2", "1:4"])
    speaker.play("room", "on")
    assert reader.wait("game")["actions"][0]["data"] == "on"
    a.wait_for_log("msg=turntable_closed.*code=1013")
    # What it had been sent it may read, and the reason.
    assert slow.read_end() == (1013, "too much unread output from a room")
    assert slow.rooms["room"] == reader.rooms["room"][:len(slow.rooms["room"])]
    assert a.metric("tracker_websocket_closed_total", code="1013") == 1


def test_requests_that_wait_for_the_map_hold_reading_back_and_lose_nothing(t):
    redis, (a, _) = start(t, **{"turntable.pipeline": 4, "ws.rate": 0, "redis.deadline": "30s"})
    one = connect(t, a, "1:1")
    one.join("room")
    redis.freeze()
    for number in range(200):
        one.play("room", number)
    received = a.metric("tracker_messages_total", protocol="turntable", kind="game")
    t.wait_until(lambda: a.metric("tracker_messages_total", protocol="turntable", kind="game") == 4, 10,
                 lambda: f"4 are taken: {received}")
    redis.thaw()
    while len(one.rooms["room"]) < 200:
        one.next()
    assert [json.loads(text)["data"]["actions"][0]["data"] for text in one.rooms["room"]] == list(range(200))


def test_what_is_not_utf8_is_not_sent(t):
    """Whoever writes to Redis can say anything on a room's channel."""
    redis, (a, b) = start(t)
    one, two = connect(t, a, "1:1"), connect(t, b, "1:2")
    one.join("room"), two.join("room")
    one.wait_members("room", ["1:1", "1:2"])
    key, = redis.keys("*}:room:room")
    place = redis.hash(key)
    epoch = redis("HGET", key.split(b"}")[0] + b"}:head", "epoch")

    def publish(what):
        number = int(redis("HINCRBY", key, ".seq", 1))
        redis("PUBLISH", key, b"1 %s %s %d %s" % (epoch, place[b".born"], number, what))
    publish(b"say nobody\n\xff\xfe")
    publish(b"say nobody\nnul \0 inside")
    publish(b"join nobody 1 \xff\xfe")
    publish(b'say nobody\n{"command":"game","data":{"channel":"room","actions":[]}}')
    for client in (one, two):
        assert client.wait("game")["actions"] == []
        client.say("whothere", {"channel": "room"})
        assert client.expect("there") == ["1:1", "1:2"]
        assert client.closed is None
    a.wait_for_log("msg=turntable_message_ignored")
    two.play("room", "on")
    assert one.wait("game")["actions"][0]["data"] == "on"
