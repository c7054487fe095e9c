"""turntable: presence over two front-ends; statuses derived from all devices, and the offline delay."""
import time

from harness.turntable import Turntable, text_of
from harness.waiting import scaled, stolen

LISTEN = ("tracker=127.0.0.1:0", "web=127.0.0.1:0")


def start(t, **settings):
    redis = t.redis()
    return redis, t.frontends(2, redis, listen=LISTEN, settings=settings)


def connect(t, frontend, user=None, **options):
    return t.connect(frontend, Turntable, kind="web", user=user, **options)


def test_a_friend_comes_is_busy_and_goes(t):
    _, (a, b) = start(t, **{"presence.offline_delay": "0s"})
    watcher = connect(t, a, "1:1")
    assert watcher.subscribe("1:2") == {"1:2": "offline"}
    for frontend in (b, a):
        friend = connect(t, frontend, "1:2")
        watcher.wait_statuses({"1:2": "online"})
        friend.say("status", "busy")
        watcher.wait_statuses({"1:2": "busy"})
        friend.say("status", "online")
        watcher.wait_statuses({"1:2": "online"})
        friend.leave()
        watcher.wait_statuses({"1:2": "offline"})
    assert watcher.received["1:2"] == ["offline"] + ["online", "busy", "online", "offline"] * 2


def test_subscribe_needs_no_idme_and_takes_oneself(t):
    _, (a, b) = start(t)
    stranger = connect(t, a)
    stranger.expect("idyou")
    stranger.say("subscribe", ["1:1"])
    assert stranger.expect("userchange") == {"1:1": "offline"}
    user = connect(t, b, "1:1")
    stranger.wait_statuses({"1:1": "online"})
    assert user.subscribe("1:1") == {"1:1": "online"}
    user.say("status", "busy")
    user.wait_statuses({"1:1": "busy"})
    # One that is identified later, and is watched by itself.
    stranger.say("subscribe", ["1:2"])
    stranger.say("idme", "1:2")
    stranger.wait_statuses({"1:2": "online"})


def test_subscribe_adds_and_answers_with_its_own_ids(t):
    _, (a, b) = start(t)
    friends = [connect(t, frontend, "1:%d" % number) for number, frontend in enumerate((a, b, a, b))]
    watcher = connect(t, a)
    watcher.expect("idyou")
    watcher.say("subscribe", ["1:0", "1:1"])
    assert watcher.expect("userchange") == {"1:0": "online", "1:1": "online"}
    watcher.say("subscribe", ["1:1", "1:2", "1:9", "1:1"])
    assert watcher.expect("userchange") == {"1:1": "online", "1:2": "online", "1:9": "offline"}
    watcher.say("subscribe", [])
    assert watcher.expect("userchange") == {}
    for friend in friends:
        friend.say("status", "busy")
        friend.sync()
    watcher.wait_statuses({"1:0": "busy", "1:1": "busy", "1:2": "busy", "1:9": "offline"})
    assert "1:3" not in watcher.statuses


def test_unsubscribe_ends_what_it_names(t):
    _, (a, b) = start(t)
    watcher = connect(t, a)
    watcher.expect("idyou")
    watcher.say("subscribe", ["1:1", "1:2", "1:3"])
    watcher.say("unsubscribe", ["1:3", "1:1", "nobody"])
    watcher.expect("userchange")
    one, two, three = (connect(t, b, "1:%d" % number) for number in (1, 2, 3))
    watcher.wait_statuses({"1:2": "online"})
    for user in (one, three, two):
        user.say("status", "busy")
        user.sync()
    watcher.wait_statuses({"1:2": "busy"})
    assert watcher.sync() == [] and watcher.received["1:1"] in ([], ["offline"])
    assert a.metric("tracker_subscriptions", protocol="turntable") == 1
    watcher.say("unsubscribe", ["1:2"])
    watcher.sync()
    assert a.metric("tracker_subscriptions", protocol="turntable") == 0
    watcher.say("subscribe", ["1:1", "1:3"])
    assert watcher.expect("userchange") == {"1:1": "busy", "1:3": "busy"}
    watcher.drop()
    a.wait_for_metric("tracker_subscriptions", lambda value: value == 0)


def test_what_is_unsubscribed_before_it_is_known_is_not_answered(t):
    """Also in long answers that wait: what was asked for, and taken back, many times over."""
    redis, (a, b) = start(t, **{"redis.deadline": "20s"})
    friend, watcher = connect(t, b, "1:1"), connect(t, a)
    watcher.expect("idyou")
    ids = [f"2:{number}" for number in range(5000)]
    redis.freeze()
    watcher.say("subscribe", ["1:1", *ids])
    for _ in range(10):
        watcher.say("subscribe", ids)
        watcher.say("unsubscribe", ids)
    watcher.say("subscribe", ["2:7", "1:1"])
    a.wait_for_metric("tracker_subscriptions", lambda value: value == 2)
    redis.thaw()
    assert watcher.expect("userchange") == {"1:1": "online"}
    for _ in range(10):
        assert watcher.expect("userchange") == {}
    assert watcher.expect("userchange") == {"2:7": "offline", "1:1": "online"}
    friend.say("status", "busy")
    watcher.wait_statuses({"1:1": "busy"})
    assert len(watcher.received["2:9"]) == 0


def test_answers_that_wait_hold_reading_back(t):
    redis, (a, _) = start(t, **{"turntable.pipeline": 4, "ws.rate": 0, "redis.deadline": "30s"})
    watcher = connect(t, a)
    watcher.expect("idyou")
    redis.freeze()
    for number in range(100):
        watcher.say("subscribe", [f"1:{number}", "1:1000"])
    a.wait_for_metric("tracker_messages_total", 4, protocol="turntable", kind="subscribe")
    assert a.metric("tracker_messages_total", protocol="turntable", kind="subscribe") == 4
    redis.thaw()
    for number in range(100):
        assert watcher.expect("userchange") == {f"1:{number}": "offline", "1:1000": "offline"}


def test_many_ids_are_answered_in_chunks_of_500(t):
    _, (a, b) = start(t)
    connect(t, b, "1:7"), connect(t, a, "1:1203")
    watcher = connect(t, a)
    watcher.expect("idyou")
    ids = ["1:%d" % number for number in range(1250)]
    watcher.say("subscribe", ids)
    answers = [watcher.expect("userchange") for _ in range(3)]
    assert [len(answer) for answer in answers] == [500, 500, 250]
    received = {id: status for answer in answers for id, status in answer.items()}
    assert received == {id: "online" if id in ("1:7", "1:1203") else "offline" for id in ids}
    assert [id for answer in answers for id in answer] == ids
    assert watcher.sync() == []


def test_a_limit_of_subscriptions_refuses_the_whole_message(t):
    _, (a, _) = start(t, **{"turntable.max_subscriptions": 5})
    watcher = connect(t, a)
    watcher.expect("idyou")
    watcher.say("subscribe", ["1:%d" % number for number in range(6)])
    watcher.refused("limit", "subscribe")
    watcher.say("subscribe", ["1:%d" % number for number in range(4)])
    assert len(watcher.expect("userchange")) == 4
    watcher.say("subscribe", ["1:3", "1:4", "1:5"])
    watcher.refused("limit", "subscribe")
    watcher.say("subscribe", ["1:0", "1:4"])
    assert len(watcher.expect("userchange")) == 2
    assert a.metric("tracker_subscriptions", protocol="turntable") == 5


def test_a_status_is_derived_from_all_devices(t):
    _, (a, b) = start(t, **{"presence.offline_delay": "0s"})
    watcher = connect(t, b, "1:9")
    watcher.subscribe("1:1")
    phone, tablet, console = connect(t, a, "1:1"), connect(t, b, "1:1"), connect(t, a, "1:1")
    watcher.wait_statuses({"1:1": "online"})
    tablet.say("status", "busy")
    watcher.wait_statuses({"1:1": "busy"})
    phone.say("status", "busy")
    phone.sync()
    tablet.say("status", "online")
    tablet.sync()
    # Still busy by the other; then a room makes busy, whatever is said.
    console.join("room")
    phone.say("status", "online")
    phone.sync()
    console.say("status", "online")
    console.sync()
    console.say("leavegame", {"channel": "room"})
    watcher.wait_statuses({"1:1": "online"})
    assert watcher.received["1:1"] == ["offline", "online", "busy", "online"]
    console.say("status", "busy")
    watcher.wait_statuses({"1:1": "busy"})
    console.leave()
    watcher.wait_statuses({"1:1": "online"})
    phone.drop()
    tablet.say("status", "busy")
    watcher.wait_statuses({"1:1": "busy"})
    tablet.leave()
    watcher.wait_statuses({"1:1": "offline"})
    assert watcher.received["1:1"] == ["offline", "online", "busy", "online", "busy", "online", "busy", "offline"]


def test_busy_in_rooms_until_the_last_is_left(t):
    _, (a, b) = start(t)
    watcher, player = connect(t, a, "1:9"), connect(t, b, "1:1")
    watcher.subscribe("1:1")
    player.join("one")
    watcher.wait_statuses({"1:1": "busy"})
    player.join("two")
    player.say("leavegame", {"channel": "one"})
    player.sync()
    player.say("leavegame", {"channel": "two"})
    watcher.wait_statuses({"1:1": "online"})
    player.say("status", "busy")
    watcher.wait_statuses({"1:1": "busy"})
    player.join("three")
    player.say("leavegame", {"channel": "three"})
    player.sync()
    player.say("status", "online")
    watcher.wait_statuses({"1:1": "online"})
    assert watcher.received["1:1"] == ["online", "busy", "online", "busy", "online"]


def test_a_reload_of_the_page_is_not_seen(t):
    """The user comes back within the offline delay, to the same front-end and to another one."""
    _, (a, b) = start(t, **{"presence.offline_delay": "4s", "map.recovery_grace": "0s"})
    watcher, marker = connect(t, a, "1:9"), connect(t, b, "1:8")
    watcher.subscribe("1:1", "1:8")
    user = connect(t, a, "1:1")
    watcher.wait_statuses({"1:1": "online"})
    for number, frontend in enumerate((a, b, b, a)):
        if number % 2:
            user.leave()
        else:
            user.drop()
        user = connect(t, frontend, "1:1")
        marker.say("status", ("busy", "online")[number % 2])
        watcher.wait_statuses({"1:8": ("busy", "online")[number % 2]})
    assert watcher.received["1:1"] == ["offline", "online"]
    began = time.monotonic()
    user.leave()
    watcher.wait_statuses({"1:1": "offline"})
    took = time.monotonic() - began
    assert 3.9 <= took <= 4 + scaled(4) + stolen(began), took


def test_without_a_delay_offline_is_sent_at_once(t):
    _, (a, b) = start(t, **{"presence.offline_delay": "0s"})
    watcher = connect(t, a, "1:9")
    watcher.subscribe("1:1")
    for number in range(3):
        user = connect(t, (a, b)[number % 2], "1:1")
        watcher.wait_statuses({"1:1": "online"})
        began = time.monotonic()
        user.drop()
        watcher.wait_statuses({"1:1": "offline"})
        # Far below the offline delay that it would have by default, and the grace of an orphan.
        assert time.monotonic() - began < scaled(3) + stolen(began)


def test_changes_of_a_window_are_joined_and_the_newest_is_sent(t):
    _, (a, b) = start(t, **{"turntable.window": "2s"})
    watcher, user = connect(t, a, "1:9"), connect(t, b, "1:1")
    assert watcher.subscribe("1:1") == {"1:1": "online"}
    user.say("status", "busy")  # opens the window
    watcher.wait_statuses({"1:1": "busy"})
    received = watcher.received["1:1"]
    for number in range(11):
        user.say("status", ("online", "busy")[number % 2])
        user.sync()
    watcher.wait_statuses({"1:1": "online"})
    watcher.sync()
    assert received[:2] == ["online", "busy"] and received[-1] == "online" and len(received) <= 5, received
    assert all(one != other for one, other in zip(received, received[1:])), received


def test_ids_of_other_protocols_are_online_while_they_are_there(t):
    _, (a, b) = start(t, **{"client.grace": "1s"})
    sensor = t.connect(a)
    id = sensor.open(b"state").decode()
    watcher = connect(t, b)
    watcher.expect("idyou")
    watcher.say("subscribe", [id, "1:1"])
    assert watcher.expect("userchange") == {id: "online", "1:1": "offline"}
    sensor.close(id.encode())
    watcher.wait_statuses({id: "offline"})
    again = t.connect(b)
    id = again.open(b"state").decode()
    watcher.say("subscribe", [id])
    watcher.wait_statuses({id: "online"})
    again.drop()
    watcher.wait_statuses({id: "offline"}, 15)


def test_a_reader_with_a_backlog_is_sent_the_newest_only(t):
    """Its kernel's buffers are full; the others receive every change meanwhile."""
    _, (a, b) = start(t, **{"turntable.window": "0s", "ws.rate": 0, "ws.timeout": "5m", "client.ttl": "5m",
                            "net.write_timeout": "5m", "net.send_buffer": "16KiB"})
    users = [connect(t, b, "1:%d" % number) for number in range(20)]
    ids = [user.user for user in users]
    quick, slow = connect(t, a, "1:98"), connect(t, a)
    slow.expect("idyou")
    # Ids as long as may be fill the buffers soon.
    fill = ["%0250d" % number for number in range(2000)]
    for client in (quick, slow):
        client.subscribe(*ids)
    before = a.metric("tracker_conflations_total")
    for _ in range(1000):
        slow.say("subscribe", fill)
        if a.metric("tracker_output_queued_bytes") > 0:
            break
    rounds = 0
    while a.metric("tracker_conflations_total") == before:
        rounds += 1
        for user in users:
            user.say("status", ("online", "busy")[rounds % 2])
        quick.wait_statuses(dict.fromkeys(ids, ("online", "busy")[rounds % 2]))
    for _ in range(6):
        rounds += 1
        for user in users:
            user.say("status", ("online", "busy")[rounds % 2])
        quick.wait_statuses(dict.fromkeys(ids, ("online", "busy")[rounds % 2]))
    for user in users[::2]:
        user.say("status", "busy")
    wanted = {user.user: "busy" if number % 2 == 0 else ("online", "busy")[rounds % 2]
              for number, user in enumerate(users)}
    quick.wait_statuses(wanted)
    slow.wait_statuses(wanted, 30)
    slow.sync()
    for id in ids:
        assert len(slow.received[id]) < len(quick.received[id]), (slow.received[id], quick.received[id])
        assert all(one != other for one, other in zip(slow.received[id], slow.received[id][1:])), slow.received[id]


def test_a_watched_user_costs_one_subscription(t):
    redis, (a, b) = start(t)
    watchers = [connect(t, a) for _ in range(5)]
    for watcher in watchers:
        watcher.expect("idyou")
        watcher.say_text(text_of("subscribe", ["1:1", "1:2"]))
        watcher.expect("userchange")
    channels = [name for name in redis("PUBSUB", "CHANNELS", "*presence:1:*")]
    assert len(channels) == 2, channels
    assert dict(zip(*[iter(redis("PUBSUB", "NUMSUB", *channels))] * 2)) == dict.fromkeys(channels, 1)
    user = connect(t, b, "1:1")
    for watcher in watchers:
        watcher.wait_statuses({"1:1": "online"})
        watcher.drop()
    t.wait_until(lambda: not redis("PUBSUB", "CHANNELS", "*presence:1:*"), 10, "nobody is watched any more")
    assert user.sync() == []
