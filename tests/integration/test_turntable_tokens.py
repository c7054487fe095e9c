"""turntable with authentication on: the token comes with the request or with idme, and says who one is."""
import time

from harness.jwt import SECRET, Issuer
from harness.turntable import Turntable

LISTEN = ("web=127.0.0.1:0",)


def start(t, issuer, **settings):
    redis = t.redis()
    return redis, t.frontends(2, redis, listen=LISTEN, settings=issuer.settings(**settings))


def connect(t, frontend, user=None, **options):
    return t.connect(frontend, Turntable, kind="web", user=user, **options)


def test_a_token_in_idme(t):
    issuer = Issuer()
    _, (a, b) = start(t, issuer)
    one = connect(t, a, "1:1", token=issuer.token("1:1"))
    two = connect(t, b, "1:2", token=issuer.token("1:2"))
    assert one.subscribe("1:2") == {"1:2": "online"}
    one.join("room"), two.join("room")
    one.play("room", 1)
    assert two.wait("game")["actions"][0]["from"] == "1:1"


def test_a_token_in_the_request_allows_its_user_only(t):
    issuer = Issuer()
    _, (a, b) = start(t, issuer)
    one = connect(t, a, path="/turntable?token=" + issuer.token("1:1"))
    one.expect("idyou")
    one.say("subscribe", ["1:1"])
    assert one.expect("userchange") == {"1:1": "offline"}
    one.say("idme", "1:1")
    one.wait_statuses({"1:1": "online"})
    two = connect(t, b, headers=["Authorization: Bearer " + issuer.token("1:2")])
    two.expect("idyou")
    two.say("idme", "1:1")
    two.refused("unauthorized", "idme")
    assert two.read_end() == (3003, "token is another user's")
    # A token in idme counts instead of it.
    three = connect(t, b, path="/turntable?token=" + issuer.token("1:2"))
    three.expect("idyou")
    three.say("idme", "1:3", token=issuer.token("1:3"))
    one.say("subscribe", ["1:3"])
    one.wait_statuses({"1:3": "online"})


def test_what_idme_brings_is_judged(t):
    issuer, stranger = Issuer(), Issuer(secret=SECRET[::-1])
    _, (a, b) = start(t, issuer, **{"map.spaces": "main game"})
    good = issuer.token("1:1")
    for number, (token, code, reason) in enumerate((
            (None, 3000, "no token"),
            ("", 3000, "no token"),
            ("nonsense", 3000, "malformed token"),
            (stranger.token("1:1"), 3000, "bad signature"),
            (issuer.token("1:1", lasts=-60), 3000, "token expired"),
            (issuer.token("1:2"), 3003, "token is another user's"),
            (issuer.token("1:1", spaces=["game"]), 3003, "token does not allow this space"))):
        client = connect(t, (a, b)[number % 2])
        client.expect("idyou")
        client.say("idme", "1:1", **({} if token is None else {"token": token}))
        assert client.refused("unauthorized", "idme") == reason
        assert client.read_end() == (code, reason)
    good = connect(t, a, "1:1", token=good)
    assert good.subscribe("1:1", "1:2") == {"1:1": "online", "1:2": "offline"}
    connect(t, b, "1:1", token=issuer.token("1:1", spaces=["game"]), path="/turntable/game")
    assert "bad signature" in "".join(a.log_lines("token_refused|turntable_message_refused") + b.log_lines("token_refused|turntable_message_refused"))


def test_nothing_goes_before_a_token(t):
    issuer = Issuer()
    _, (a, _) = start(t, issuer)
    client = connect(t, a)
    client.expect("idyou")
    for command, data in (("subscribe", ["1:1"]), ("unsubscribe", ["1:1"]), ("whothere", {}), ("status", "busy"),
                          ("joingame", {"channel": "r", "self": "1:1"})):
        client.say(command, data)
        client.refused("unauthorized", command)
    client.say("idme", "1:1", token=issuer.token("1:1"))
    assert client.subscribe("1:1") == {"1:1": "online"}


def test_a_token_must_come_in_time_and_ends(t):
    issuer = Issuer()
    _, (a, b) = start(t, issuer, **{"auth.deadline": "5s", "auth.leeway": "0s", "presence.offline_delay": "0s"})
    watcher = connect(t, b, "1:9", token=issuer.token("1:9"))
    watcher.subscribe("1:1")
    silent = connect(t, a)
    silent.expect("idyou")
    began = time.monotonic()
    user = connect(t, a, "1:1", token=issuer.token("1:1", lasts=8))
    brought = connect(t, b, path="/turntable?token=" + issuer.token("1:2", lasts=8))
    watcher.wait_statuses({"1:1": "online"})
    assert silent.read_end() == (3000, "no token")
    assert user.read_end(20) == (3000, "token expired")
    user.websocket.drop()
    watcher.wait_statuses({"1:1": "offline"})
    brought.expect("idyou")
    assert brought.read_end() == (3000, "token expired")
    assert 6 <= time.monotonic() - began
    # Who has a token that lasts is not touched by the deadline.
    assert watcher.sync() == []
