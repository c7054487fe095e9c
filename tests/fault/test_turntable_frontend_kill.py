"""The front-end of turntable clients is killed or frozen: the others are notified, and continue."""
import time

from harness.faults import end_hold, wait_swept
from harness.turntable import Turntable
from harness.waiting import scaled, stolen

LISTEN = ("web=127.0.0.1:0",)


def start(t, count=3, **settings):
    redis = t.redis()
    frontends = t.frontends(count, redis, listen=LISTEN, settings=settings)
    end_hold(redis)
    wait_swept(redis)
    return redis, frontends


def connect(t, frontend, user=None, **options):
    return t.connect(frontend, Turntable, kind="web", user=user, **options)


def test_members_of_a_killed_front_end_are_reported_as_left_within_ten_seconds(t):
    redis, (a, b, c) = start(t)
    stay = [connect(t, frontend, "1:%d" % number) for number, frontend in enumerate((b, c))]
    phone, tablet = connect(t, a, "2:2"), connect(t, b, "2:2")
    gone = [connect(t, a, "2:%d" % number) for number in range(2)]
    for client in stay + gone + [phone, tablet]:
        client.join("room")
    for client in stay:
        client.wait_members("room", ["1:0", "1:1", "2:0", "2:1", "2:2"])
        client.subscribe("2:0", "2:2")
    began = time.monotonic()
    a.kill()
    # What is said meanwhile arrives in order all the same.
    for number in range(50):
        stay[number % 2].play("room", number)
    for client in stay:
        client.wait_members("room", ["1:0", "1:1", "2:2"], 10)
        assert time.monotonic() - began <= scaled(10) + stolen(began)
    # The user whose other device is elsewhere never left, and both received the same.
    left = [id for client in stay for _, message in client.messages if message["command"] == "member"
            for id in message["data"]["left"]]
    assert sorted(left) == ["2:0", "2:0", "2:1", "2:1"], left
    for client in stay:
        while len(client.rooms["room"]) < 50:
            client.next()
        client.wait_statuses({"2:0": "offline", "2:2": "busy"}, 20)
    assert stay[0].rooms["room"] == stay[1].rooms["room"]
    assert "offline" not in stay[0].received["2:2"], stay[0].received
    t.fsck(redis)


def test_a_user_who_returns_elsewhere_is_never_reported_offline(t):
    redis, (a, b, c) = start(t)
    watcher = connect(t, b, "1:1")
    users = [connect(t, a, "2:%d" % number) for number in range(5)]
    watcher.subscribe(*(user.user for user in users))
    for user in users:
        user.join("room")
    watcher.wait_statuses({user.user: "busy" for user in users})
    a.kill()
    again = [connect(t, (b, c)[number % 2], user.user) for number, user in enumerate(users)]
    # The old connections are still members and devices until their front-end's lease decides.
    watcher.wait_statuses({user.user: "online" for user in users}, 20)
    assert all(set(watcher.received[user.user]) <= {"online", "busy"} for user in users), watcher.received
    assert again[0].sync() == []
    t.fsck(redis)


def test_a_login_is_refused_until_the_killed_device_is_known_to_be_gone(t):
    redis, (a, b, _) = start(t, **{"turntable.duplicate_login": "reject"})
    connect(t, a, "1:1")
    a.kill()
    began = time.monotonic()
    client = connect(t, b)
    client.expect("idyou")
    while True:
        client.say("idme", "1:1")
        refused = client.sync()
        if not refused:
            break
        assert refused[0]["data"]["code"] == "duplicate_login", refused
        assert time.monotonic() - began < scaled(15) + stolen(began)
        if client.closed or len(client.messages) > 15:
            client = connect(t, b)
            client.expect("idyou")
        time.sleep(0.5)
    assert client.subscribe("1:1") == {"1:1": "online"}
    t.fsck(redis)


def test_a_frozen_front_ends_clients_are_gone_and_back(t):
    """It stands for longer than its lease and the grace; its connections live on when it wakes."""
    redis, (a, b, c) = start(t, **{"client.grace": "1s", "presence.offline_delay": "0s"})
    watcher, stay = connect(t, b, "1:1"), connect(t, c, "1:2")
    frozen = connect(t, a, "2:1")
    frozen.join("room"), stay.join("room")
    watcher.subscribe("2:1")
    watcher.wait_statuses({"2:1": "busy"})
    a.freeze()
    watcher.wait_statuses({"2:1": "offline"}, 20)
    stay.wait_members("room", ["1:2"], 20)
    a.thaw()
    # Either it is a member again, or it received that it is not, and joins again.
    end = time.monotonic() + scaled(20)
    while frozen.closed is None and watcher.statuses["2:1"] == "offline":
        assert time.monotonic() < end, (frozen.messages, watcher.received)
        frozen.pump(0.05), watcher.pump(0.05)
    if frozen.closed is not None:
        assert frozen.closed.code in (4002, 1001), frozen.closed
        frozen = connect(t, a, "2:1")
        frozen.join("room")
    watcher.wait_statuses({"2:1": "busy"})
    stay.wait_members("room", ["1:2", "2:1"])
    stay.play("room", "on")
    assert frozen.wait("game")["actions"][0]["data"] == "on"
    t.fsck(redis)
