"""turntable as the original program's page speaks it: a connection for a game says joingame at once, without idme; and
user ids of any form."""
from harness import Versioned
from harness.jwt import Issuer
from harness.sync import Sync
from harness.turntable import Turntable, text_of

LISTEN = ("web=127.0.0.1:0", "tracker=127.0.0.1:0")


def start(t, listen=LISTEN, **settings):
    redis = t.redis()
    return redis, t.frontends(2, redis, listen=listen, settings={"presence.offline_delay": "0s", **settings})


def connect(t, frontend, user=None, **options):
    return t.connect(frontend, Turntable, kind="web", user=user, **options)


def join_first(t, frontend, user, channel="room", invite=(), **options):
    """A new connection whose first message is joingame."""
    client = connect(t, frontend, **options)
    client.expect("idyou")
    client.say("joingame", {"channel": channel, "self": user, "invite": list(invite)})
    client.user = user
    return client


def test_joingame_identifies(t):
    redis, (a, b) = start(t)
    friend = connect(t, b)
    friend.subscribe("1:3456")
    invited = connect(t, b, "1:2345")
    game = join_first(t, a, "1:3456", "CStrike", ["1:2345"])
    assert game.expect("member") == {"channel": "CStrike", "joined": ["1:3456"], "left": []}
    assert invited.expect("invite") == {"channel": "CStrike", "user": "1:2345", "from": "1:3456"}
    friend.wait_statuses({"1:3456": "busy"})
    game.play("CStrike", {"strike_one": "1:2345"})
    assert game.expect("game")["actions"][0]["from"] == "1:3456"
    game.say("status", "busy")
    game.say("leavegame", {"channel": "CStrike"})
    assert game.join("another") == ["1:3456"]
    game.leave()
    friend.wait_statuses({"1:3456": "offline"})
    t.fsck(redis)


def test_what_follows_joingame_need_not_wait(t):
    _, (a, _) = start(t)
    client = connect(t, a)
    for text in (text_of("joingame", {"channel": "room", "self": "1:1"}),
                 text_of("game", {"channel": "room", "actions": [{"data": 1}]}),
                 text_of("joingame", {"channel": "two", "self": "1:1"}), text_of("leavegame", {"channel": "room"})):
        client.say_text(text)
    assert client.wait("game")["actions"][0]["data"] == 1
    assert client.wait("member", lambda data: data["channel"] == "two")["joined"] == ["1:1"]
    assert all(message["command"] != "error" for _, message in client.messages)


def test_invitations_that_waited_come(t):
    _, (a, b) = start(t)
    connect(t, a, "1:1").join("room", invite=["1:2"])
    late = join_first(t, b, "1:2")
    late.wait("invite", lambda data: data == {"channel": "room", "user": "1:2", "from": "1:1"})
    late.wait_members("room", ["1:1", "1:2"])


def test_idme_behind_joingame(t):
    """The same id is no news, another is refused; and who has said idme may not say it again."""
    _, (a, _) = start(t)
    client = join_first(t, a, "1:1")
    client.expect("member")
    client.say("idme", "1:1")
    client.say("idme", "1:1")
    assert client.sync() == []
    client.say("idme", "1:2")
    client.refused("identified", "idme")
    client.say("joingame", {"channel": "room", "self": "1:2"})
    client.refused("not_you", "joingame")
    other = connect(t, a, "1:3")
    other.join("room")
    other.say("idme", "1:3")
    other.wait("error", lambda data: data["code"] == "identified")


def test_joingame_waits_for_idme(t):
    _, (a, _) = start(t)
    client = connect(t, a)
    client.say_text(text_of("idme", "1:1"))
    client.say_text(text_of("joingame", {"channel": "room", "self": "1:2"}))
    client.say_text(text_of("joingame", {"channel": "room", "self": "1:1"}))
    assert client.wait("error")["code"] == "not_you"
    assert client.expect("member")["joined"] == ["1:1"]


def test_a_refused_identity_is_one_error(t):
    _, (a, b) = start(t, **{"turntable.duplicate_login": "reject"})
    connect(t, a, "1:1")
    client = join_first(t, b, "1:1")
    client.refused("duplicate_login", "joingame")
    assert client.sync() == []
    # It may be somebody else, by either command.
    client.say("joingame", {"channel": "room", "self": "1:2"})
    assert client.expect("member")["joined"] == ["1:2"]
    client = join_first(t, b, "1:1")
    client.refused("duplicate_login", "joingame")
    client.say("idme", "1:3")
    client.user = "1:3"
    assert client.join("room") == ["1:2", "1:3"]
    client.say("idme", "1:3")
    client.wait("error", lambda data: data["code"] == "identified")


def test_the_identity_stays_where_only_the_join_fails(t):
    _, (a, b) = start(t, **{"room.max_members": 1})
    connect(t, a, "1:1").join("room")
    client = join_first(t, b, "1:2")
    client.refused("limit", "joingame")
    friend = connect(t, a)
    assert friend.subscribe("1:2") == {"1:2": "online"}
    assert client.join("another") == ["1:2"]


def test_a_login_replaces(t):
    _, (a, b) = start(t, **{"turntable.duplicate_login": "replace"})
    first = join_first(t, a, "1:1")
    first.expect("member")
    second = join_first(t, b, "1:1", "another")
    assert second.wait("member")["joined"] == ["1:1"]
    assert first.read_end().code == 4001


def test_tokens(t):
    issuer = Issuer()
    redis = t.redis()
    frontend = t.frontend(redis, listen=("web=127.0.0.1:0",), settings=issuer.settings())
    bearer = {"headers": ("Authorization: Bearer " + issuer.token(user="1:1"),)}
    client = join_first(t, frontend, "1:1", **bearer)
    assert client.expect("member")["joined"] == ["1:1"]
    client = join_first(t, frontend, "1:2", **bearer)
    client.refused("unauthorized", "joingame")
    assert client.read_end().code == 3003
    client = join_first(t, frontend, "1:1")
    client.refused("unauthorized", "joingame")
    client.user = None
    client.say("idme", "1:1", token=issuer.token(user="1:1"))
    assert client.join("room") == ["1:1"]


IDS = ["game:User1", "User 1", "12345", "émile \N{GRINNING FACE}", "\"'\\", "{a}*?[b]", "x" * 128, "1:1", ":", " ", "."]


def test_ids_of_any_form(t):
    redis, (a, b) = start(t)
    watcher = connect(t, b)
    watcher.subscribe(*IDS)
    players = [join_first(t, (a, b)[number % 2], id, invite=IDS) for number, id in enumerate(IDS)]
    watcher.wait_statuses(dict.fromkeys(IDS, "busy"))
    for player, id in zip(players, IDS):
        player.play("room", {"me": id})
        said = player.wait("game", lambda data, id=id: data["actions"][0]["data"] == {"me": id})
        assert said["actions"][0]["from"] == id
        assert sorted(player.members["room"]) == sorted(IDS)
    watcher.say("whothere", {})
    assert watcher.wait("there") == sorted(IDS, key=str.encode)
    watcher.say("whothere", {"channel": "room"})
    assert watcher.wait("there") == sorted(IDS, key=str.encode)
    invited = connect(t, b, IDS[0])
    players[1].join("two", invite=[IDS[0]])
    assert invited.wait("invite", lambda data: data["channel"] == "two")["user"] == IDS[0]
    t.fsck(redis)
    for player in players + [invited]:
        player.leave()
    watcher.wait_statuses(dict.fromkeys(IDS, "offline"))
    t.fsck(redis)


def test_an_integer_is_its_digits(t):
    _, (a, b) = start(t)
    client = join_first(t, a, 12345)
    assert client.expect("member")["joined"] == ["12345"]
    client.say("joingame", {"channel": "room", "self": "12345"})
    client.expect("member")
    client.say_text('{"command":"game","data":{"channel":"room","actions":[{"from":12345,"data":12345}]}}')
    action = client.expect("game")["actions"][0]
    assert (action["from"], action["data"]) == ("12345", 12345)
    watcher = connect(t, b)
    watcher.say("subscribe", [12345, 7])
    assert watcher.wait("userchange") == {"12345": "busy", "7": "offline"}
    for id in (1.5, 1e3, None, True, [], "", "a\nb", "\x7f", "\x85", "x" * 129):
        watcher.say_text(text_of("idme", id))
        assert watcher.expect("error")["code"] in ("bad_id", "bad_message"), id
    watcher.say_text('{"command":"idme","data":1e3}')
    watcher.refused("bad_message", "idme")


def test_texts_in_actions_are_no_ids_unless_asked_for(t):
    _, (a, b) = start(t, ("web=127.0.0.1:0", "web=127.0.0.1:0,turntable.id_form=strict,validate=form",
                          "web=127.0.0.1:0,validate=member"))
    for index, refused in ((0, None), (1, "bad_id"), (2, "not_member")):
        client = connect(t, a, "1:1", index=index)
        client.join("room%d" % index)
        client.play("room%d" % index, {"chat": "3:2!"})
        message = client.next()
        assert (message["data"].get("code"), message["command"]) == (refused, "error" if refused else "game"), message
        client.play("room%d" % index, "hello", **{"from": "1:2"})
        client.refused("not_you", "game")


def test_a_form_needs_strict_ids(t):
    for options in (["--set", "turntable.validate=form"], ["--listen", "turntable=127.0.0.1:0,validate=form"]):
        run = t.run("trackerd", *options, check=False)
        assert run.returncode == 2, run
        assert "turntable.validate = form needs turntable.id_form = strict" in run.stderr, run.stderr


def test_a_user_is_not_named_as_an_entry(t):
    redis, (a, b) = start(t)
    sensor = t.connect(a, Versioned, kind="tracker")
    assert sensor.update(b"sensor", 1, b"21")
    token = t.connect(b, Sync, kind="web").token
    watcher = connect(t, b)
    watcher.expect("idyou")
    for id in ("sensor", token):
        for command, data in (("idme", id), ("joingame", {"channel": "room", "self": id})):
            watcher.say_text(text_of(command, data))
            watcher.refused("taken", command)
    assert watcher.sync() == []
    watcher.say("subscribe", ["sensor"])
    assert watcher.wait("userchange") == {"sensor": "online"}
    assert sensor.close(b"sensor")
    watcher.wait_statuses({"sensor": "offline"})
    watcher.user = None
    watcher.say("idme", "sensor")
    watcher.wait_statuses({"sensor": "online"})
    a.wait_for_metric("tracker_map_writes_total", 0, result="taken")
    b.wait_for_metric("tracker_map_writes_total", 4, result="taken")
    t.fsck(redis)


def test_an_entry_is_not_named_as_a_present_user(t):
    redis, (a, b) = start(t, **{"presence.offline_delay": "1s", "map.recovery_grace": "0s"})
    user = connect(t, a, "sensor")
    sensor = t.connect(b, Versioned, kind="tracker")
    assert not sensor.update(b"sensor", 1, b"21")
    assert sensor.update(b"sensor2", 1, b"21"), "the connection stays"
    user.leave()
    # The user is present until the offline delay has passed.
    t.wait_until(lambda: sensor.update(b"sensor", 1, b"21"), what="the name is free again")
    assert redis("HGET", "tracker:{main/1/0}:client:sensor", "state") == b"21"
    t.fsck(redis)


def test_both_in_one_batch(t):
    """The two are asked for together, from one front-end: one of them gets the name."""
    redis, (a, _) = start(t)
    for number in range(20):
        id = "name%d" % number
        user, sensor = connect(t, a), t.connect(a, Versioned, kind="tracker")
        user.expect("idyou")
        user.say_text(text_of("idme", id))
        sensor_has = sensor.update(id.encode(), 1, b"s")
        refused = [message["data"]["code"] for message in user.sync() if message["command"] == "error"]
        assert refused == (["taken"] if sensor_has else []), (refused, sensor_has)
    t.fsck(redis)
