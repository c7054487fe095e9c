"""turntable while Redis is unreachable, comes back, comes back empty, or cuts its links: state converges and is
delivered; of messages in a room nobody is left unaware that some may be missing."""
import json
import time

from harness.faults import end_hold, wait_swept
from harness.turntable import Turntable
from harness.waiting import scaled

LISTEN = ("web=127.0.0.1:0",)


def start(t, count=2, redis=None, **settings):
    redis = redis or t.redis()
    frontends = t.frontends(count, redis, listen=LISTEN, settings=settings)
    end_hold(redis)
    wait_swept(redis)
    return redis, frontends


def connect(t, frontend, user=None, **options):
    return t.connect(frontend, Turntable, kind="web", user=user, **options)


def wait_back(t, frontends):
    for frontend in frontends:
        t.wait_until(frontend.ready, 20, f"{frontend.name} is ready again")


def test_redis_cut_during_subscribe(t):
    """A status not known in time is answered as such, stays subscribed, and is sent when it is known."""
    redis, (a, b) = start(t, **{"redis.deadline": "1s"})
    known, friend = connect(t, b, "1:1"), connect(t, a, "1:2")
    watcher = connect(t, a, "1:9")
    watcher.subscribe("1:1")
    redis.freeze()
    watcher.say("subscribe", ["1:2", "1:1", "1:3"])
    assert watcher.expect("userchange") == {"1:1": "online"}
    why = watcher.refused("unavailable", "subscribe")
    assert "2 of the ids" in why and "1:2" in why and "1:3" in why, why
    redis.thaw()
    watcher.wait_statuses({"1:1": "online", "1:2": "online", "1:3": "offline"}, 15)
    friend.say("status", "busy")
    watcher.wait_statuses({"1:2": "busy"}, 15)
    assert watcher.received["1:1"] == ["online", "online"] and watcher.received["1:3"] == ["offline"]
    known.sync()


def test_redis_killed_during_subscribe_and_login(t):
    redis, (a, b) = start(t, redis=t.redis(appendonly="yes", appendfsync="always"), **{"redis.deadline": "1s"})
    watcher, late = connect(t, a), connect(t, b)
    watcher.expect("idyou"), late.expect("idyou")
    redis.kill()
    watcher.say("subscribe", ["1:1"])
    assert watcher.expect("error")["code"] == "unavailable"
    late.say("idme", "1:1")
    assert late.refused("unavailable", "idme")
    redis.start()
    wait_back(t, (a, b))
    late.say("idme", "1:1")
    watcher.wait_statuses({"1:1": "online"}, 15)
    assert late.sync() == []
    t.fsck(redis)


def test_changes_while_redis_is_unreachable_are_delivered_when_it_is_back(t):
    redis, (a, b) = start(t, redis=t.redis(appendonly="yes", appendfsync="always"), **{"presence.offline_delay": "1s"})
    watcher = connect(t, a, "1:9")
    stays, goes = connect(t, b, "1:1"), connect(t, b, "1:2")
    assert watcher.subscribe("1:1", "1:2", "1:3") == {"1:1": "online", "1:2": "online", "1:3": "offline"}
    redis.kill()
    stays.say("status", "busy")
    goes.drop()
    redis.start()
    wait_back(t, (a, b))
    watcher.wait_statuses({"1:1": "busy", "1:2": "offline", "1:3": "offline"}, 30)
    assert watcher.received["1:1"] == ["online", "busy"] and watcher.received["1:2"] == ["online", "offline"], watcher.received
    t.fsck(redis)


def numbers(client):
    return [json.loads(text)["data"]["actions"][0]["data"] for text in client.rooms["room"]]


def say_until_all_receive(sender, members, first=1000, timeout=20):
    """Messages sent while a link is down may be lost, and are reported as such; then all receive again."""
    end = time.monotonic() + scaled(timeout)
    number = first
    while any(not numbers(member) or numbers(member)[-1] < first for member in members):
        assert time.monotonic() < end, [numbers(member)[-3:] for member in members]
        sender.play("room", number)
        number += 1
        for member in members:
            member.pump(0.05)
    for member in members:
        member.unread.clear()


def check_no_silent_loss(client, sender):
    """What the sender had an answer for has come, unless the client received that it may be missing."""
    lost = any(message["command"] == "error" and message["data"]["code"] == "lost" for _, message in client.messages)
    missing = set(numbers(sender)) - set(numbers(client))
    assert lost or not missing, missing
    assert numbers(client) == sorted(numbers(client)), numbers(client)


def test_links_cut_during_a_game(t):
    """Every link of the subscribers, in the middle of what is said."""
    redis, (a, b) = start(t, **{"ws.rate": 0})
    sender, near, far = connect(t, a, "1:1"), connect(t, a, "1:2"), connect(t, b, "1:3")
    members = [sender, near, far]
    for member in members:
        member.join("room")
    sender.wait_members("room", ["1:1", "1:2", "1:3"])
    for number in range(300):
        sender.play("room", number)
        if number % 100 == 50:
            redis("CLIENT", "KILL", "TYPE", "pubsub")
        if number % 100 == 90:
            redis("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
    wait_back(t, (a, b))
    say_until_all_receive(sender, members)
    for member in members:
        check_no_silent_loss(member, sender)
        assert member.members["room"] == {"1:1", "1:2", "1:3"}
        for _, message in member.messages:
            if message["command"] == "error":
                assert message["data"]["code"] in ("lost", "unavailable"), message
                assert message["data"]["code"] != "lost" or message["data"]["channel"] == "room", message
    t.fsck(redis)


def test_after_a_loss_comes_the_list_of_members(t):
    """Nobody is left who received neither the message nor the notice that it may be missing."""
    redis, (a, b) = start(t)
    one, two = connect(t, a, "1:1"), connect(t, b, "1:2")
    one.join("room"), two.join("room")
    one.wait_members("room", ["1:1", "1:2"])
    for number in range(5):
        redis("CLIENT", "KILL", "TYPE", "pubsub")
        two.play("room", number)
        say_until_all_receive(two, (one, two), first=100 * (number + 1))
    for client in (one, two):
        messages = [message for _, message in client.messages]
        lost = [index for index, message in enumerate(messages) if message["command"] == "error"]
        assert lost or set(range(5)) <= set(numbers(client)), numbers(client)
        for index in lost:
            assert messages[index]["data"]["code"] == "lost" and messages[index]["data"]["channel"] == "room", messages[index]
            assert messages[index + 1] == {"command": "member",
                                        "data": {"channel": "room", "joined": ["1:1", "1:2"], "left": []}}
    assert a.log_lines("room_messages_lost") + b.log_lines("room_messages_lost"), "nothing was lost at all"


def test_redis_emptied_during_a_game(t):
    """Everybody's status and membership are put there again; no member is ever reported as gone."""
    redis, (a, b) = start(t, 2)
    one, two = connect(t, a, "1:1"), connect(t, b, "1:2")
    watcher = connect(t, a, "1:9")
    watcher.subscribe("1:1", "1:2", "1:3")
    one.join("room"), two.join("room")
    two.say("status", "busy")
    watcher.wait_statuses({"1:1": "busy", "1:2": "busy"})
    one.wait_members("room", ["1:1", "1:2"])
    redis.restart()
    wait_back(t, (a, b))
    late = connect(t, b, "1:4")
    t.wait_until(lambda: len(redis.keys("*}:client:*")) == 4, 20, "all entries are there again")
    assert set(late.join("room", timeout=20)) >= {"1:4"}
    for client in (one, two, late):
        client.wait_members("room", ["1:1", "1:2", "1:4"], 20)
    two.play("room", "on")
    for client in (one, two, late):
        client.wait("game", lambda data: data["actions"][0]["data"] == "on", 20)
    three = connect(t, b, "1:3")
    watcher.wait_statuses({"1:1": "busy", "1:2": "busy", "1:3": "online"}, 20)
    assert set(watcher.received["1:1"]) == set(watcher.received["1:2"]) - {"offline"} == {"online", "busy"}, watcher.received
    three.leave()
    watcher.wait_statuses({"1:3": "offline"}, 30)
    assert "1:1" not in [id for _, message in two.messages if message["command"] == "member"
                         for id in message["data"]["left"]]
    t.fsck(redis, 30)


def test_scripts_flushed_and_links_refused_change_nothing(t):
    redis, (a, b) = start(t)
    one, two = connect(t, a, "1:1"), connect(t, b, "1:2")
    one.join("room"), two.join("room")
    for number in range(20):
        if number % 5 == 0:
            redis("SCRIPT", "FLUSH")
        one.play("room", number), two.play("room", number)
        one.say("subscribe", ["2:%d" % number])
    for client in (one, two):
        while len(client.rooms["room"]) < 40:
            client.next()
    assert one.rooms["room"] == two.rooms["room"]
    one.wait_statuses({"2:%d" % number: "offline" for number in range(20)})
