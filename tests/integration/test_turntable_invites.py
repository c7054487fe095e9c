"""turntable: invitations, delivered at once, or waiting for an offline user."""
from harness.turntable import Turntable

LISTEN = ("web=127.0.0.1:0",)


def start(t, **settings):
    redis = t.redis()
    return redis, t.frontends(2, redis, listen=LISTEN, settings=settings)


def connect(t, frontend, user=None, **options):
    return t.connect(frontend, Turntable, kind="web", user=user, **options)


def invites(client):
    """What it was invited to, as (room, user, from)."""
    return [(message["data"]["channel"], message["data"]["user"], message["data"]["from"])
            for _, message in client.messages if message["command"] == "invite"]


def test_all_devices_of_an_online_user_are_invited_at_once(t):
    _, (a, b) = start(t)
    host = connect(t, a, "1:1")
    phone, tablet, other = connect(t, a, "1:2"), connect(t, b, "1:2"), connect(t, b, "1:3")
    host.join("room", invite=["1:2", "1:1", "1:2"])
    for client in (phone, tablet):
        assert client.expect("invite") == {"channel": "room", "user": "1:2", "from": "1:1"}
    assert host.wait("invite") == {"channel": "room", "user": "1:1", "from": "1:1"}
    for client in (phone, tablet, other, host):
        client.sync()
    assert invites(phone) == invites(tablet) == [("room", "1:2", "1:1")] and invites(other) == []
    # Nothing is left for a device that connects later.
    late = connect(t, a, "1:2")
    late.sync()
    assert invites(late) == []
    # Taking it is joining.
    tablet.join("room")
    host.wait_members("room", ["1:1", "1:2"])


def test_an_invitation_waits_for_an_offline_user_and_is_delivered_once(t):
    redis, (a, b) = start(t)
    host, second = connect(t, a, "1:1"), connect(t, b, "1:9")
    host.join("room é", invite=["1:2", "1:3"])
    host.sync()
    second.join("other", invite=["1:2"])
    second.sync()
    guest = connect(t, b, "1:2")
    guest.sync()
    assert invites(guest) == [("room é", "1:2", "1:1"), ("other", "1:2", "1:9")]
    again = connect(t, a, "1:2")
    again.sync()
    assert invites(again) == []
    third = connect(t, a, "1:3")
    third.sync()
    assert invites(third) == [("room é", "1:3", "1:1")]
    t.wait_until(lambda: not redis.keys("*invites:*"), 10, "nothing waits any more")


def test_of_too_many_that_wait_the_oldest_are_dropped(t):
    _, (a, b) = start(t, **{"turntable.max_rooms": 200})
    host = connect(t, a, "1:1")
    for number in range(103):
        host.join("room%d" % number, invite=["1:2"])
    host.sync()
    guest = connect(t, b, "1:2")
    guest.sync()
    assert [room for room, _, _ in invites(guest)] == ["room%d" % number for number in range(3, 103)]


def test_a_limit_may_be_another(t):
    _, (a, b) = start(t, **{"invite.max": 2})
    host = connect(t, a, "1:1")
    for number in range(4):
        host.join("room%d" % number, invite=["1:2"])
    host.sync()
    guest = connect(t, b, "1:2")
    guest.sync()
    assert [room for room, _, _ in invites(guest)] == ["room2", "room3"]


def test_an_invitation_expires(t):
    redis, (a, b) = start(t, **{"invite.ttl": "4s"})
    host = connect(t, a, "1:1")
    host.join("room", invite=["1:2"])
    host.sync()
    assert len(redis.keys("*invites:1:2")) == 1
    t.wait_until(lambda: not redis.keys("*invites:1:2"), 20, "it expires")
    guest = connect(t, b, "1:2")
    guest.sync()
    assert invites(guest) == []


def test_an_invitation_expires_whatever_comes_later(t):
    """Others for the same user, from here and there, neither renew nor shorten it."""
    redis, (a, b) = start(t, **{"invite.ttl": "5s"})
    hosts = connect(t, a, "1:1"), connect(t, b, "1:9")
    key = "tracker:{main/1/0}:invites:1:2"

    def clock():
        seconds, micros = redis("TIME")
        return int(seconds) * 1000 + int(micros) // 1000

    def invite(number):
        hosts[number % 2].join("room%d" % number, invite=["1:2"])
        hosts[number % 2].sync()
        kept = redis("LINDEX", key, -1)
        return int(kept.partition(b".")[0]) if kept else 0  # 0: it has ended already

    before = clock()
    first = invite(0)
    assert before + 5000 <= first <= clock() + 5000
    number = 0
    while clock() < first:
        number += 1
        last = invite(number)
        t.wait_until(lambda: clock() >= min(first, last - 3500), 10, "a while has passed")
    last = invite(number + 1)
    guest = connect(t, b, "1:2")
    guest.sync()
    rooms = [room for room, _, _ in invites(guest)]
    assert "room0" not in rooms
    assert clock() >= last or rooms[-1] == "room%d" % (number + 1)
    t.wait_until(lambda: not redis.keys("*invites:*"), 10, "nothing waits any more")


def test_a_stored_invitation_that_is_not_json_is_not_delivered(t):
    """Whoever writes to Redis can put anything there."""
    redis, (a, b) = start(t)
    host = connect(t, a, "1:1")
    host.join("room", invite=["1:2"])
    host.sync()
    key = redis.keys("*invites:1:2")[0]
    redis("RPUSH", key, b"0123456789abcdef \xff\xfe nonsense")
    guest = connect(t, b, "1:2")
    guest.sync()
    assert [room for room, _, _ in invites(guest)] == ["room"]
    b.wait_for_log("msg=turntable_message_ignored")


def test_of_many_invited_users_each_is_notified(t):
    _, (a, b) = start(t, **{"turntable.pipeline": 8})
    guests = [connect(t, (a, b)[number % 2], "2:%d" % number) for number in range(30)]
    host = connect(t, a, "1:1")
    host.join("room", invite=["2:%d" % number for number in range(60)])
    for guest in guests:
        assert guest.expect("invite")["user"] == guest.user
    host.sync()
    late = connect(t, b, "2:59")
    late.sync()
    assert invites(late) == [("room", "2:59", "1:1")]
