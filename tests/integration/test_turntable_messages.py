"""turntable: the document's packets byte for byte, every refusal, and what keeps on being refused."""
import json
import time

from harness.turntable import Turntable, text_of
from harness.websocket import BINARY, Refused, WebSocket

LISTEN = ("web=127.0.0.1:0", "turntable=127.0.0.1:0")


def start(t, **settings):
    redis = t.redis()
    return redis, t.frontends(2, redis, listen=LISTEN, settings=settings)


def connect(t, frontend, user=None, **options):
    return t.connect(frontend, Turntable, kind="web", user=user, **options)


def compact(document):
    """A document's packet without its spaces, as a server writes it."""
    return json.dumps(json.loads(document), separators=(",", ":")).encode()


def test_the_documents_session(t):
    """Its packets as they stand there, with the two quotes and the brace that they lack; ids that
    nobody has are offline."""
    redis, (a, b) = start(t)
    one = connect(t, a)
    assert one.next() == {"command": "idyou", "data": {}}
    assert one.messages[0][0] == compact('{ "command": "idyou", "data":{}}')
    one.say_text('{ "command": "idme", "data":"1:12345"}')
    one.say_text('{ "command": "subscribe", "data":["1:2345", "1:3456", "1:789"]}')
    assert one.expect("userchange") == dict.fromkeys(("1:2345", "1:3456", "1:789"), "offline")
    two, three = connect(t, b, "1:2345"), connect(t, b, "1:789")
    three.say("status", "busy")
    one.wait_statuses({"1:2345": "online", "1:3456": "offline", "1:789": "busy"})
    one.say_text('{ "command": "subscribe", "data":["1:2345", "1:3456", "1:789"]}')
    one.expect("userchange")
    assert one.messages[-1][0] == compact(
        '{ "command" : "userchange", "data":{"1:2345": "online", "1:3456": "offline", "1:789": "busy"}}')
    player = connect(t, a, "1:3456")
    player.say_text('{ "command": "joingame", "data":{ "channel": "CStrike", "self":"1:3456", "invite": ["1:2345"] }}')
    assert player.expect("member") == {"channel": "CStrike", "joined": ["1:3456"], "left": []}
    # The document's invite has the channel alone; user is the original's, from is ours.
    assert two.expect("invite") == {"channel": "CStrike", "user": "1:2345", "from": "1:3456"}
    assert two.messages[-1][0] == text_of("invite", {"channel": "CStrike", "user": "1:2345", "from": "1:3456"})
    player.say_text('{ "command": "game", "data":{"channel": "CStrike", "actions":[{"timestamp": 10223232, '
                    '"from":"1:3456", "data": {"strike_one":"1:1234"}}]}}')
    data = player.expect("game")
    now = data["actions"][0]["timestamp"]
    seconds, micros = map(int, redis("TIME"))
    assert abs(now - (seconds * 1000 + micros // 1000)) < 60000, now
    assert player.messages[-1][0].decode() == (
        '{ "command": "game", "data":{"channel": "CStrike", "actions":[{"timestamp": %d, '
        '"from":"1:3456", "data": {"strike_one":"1:1234"}}]}}' % now)


REFUSED = [
    # what is sent, the code, the command that the error names
    ("", "bad_json", ""),
    ("{", "bad_json", ""),
    ("nonsense", "bad_json", ""),
    ('{"command":"idme","data":"1:1"} x', "bad_json", ""),
    ('{"command":"idme","command":"idme","data":"1:1"}', "bad_json", ""),
    ('{"command":"idme","data":"\\ud800"}', "bad_json", ""),
    ('{"command":"idme","data":"1:\\u0000"}', "bad_json", ""),
    ('{"command":"status","data":012}', "bad_json", ""),
    ('{"command":"status","data":1e999}', "bad_json", ""),
    ("[" * (16 + 1) + "]" * (16 + 1), "limit", ""),
    ("[]", "bad_message", ""),
    ('"idme"', "bad_message", ""),
    ("{}", "bad_message", ""),
    ('{"command":7,"data":{}}', "bad_message", ""),
    ('{"Command":"idme","data":"1:1"}', "bad_message", ""),
    ('{"command":"fly","data":{}}', "unknown_command", "fly"),
    ('{"command":"idyou","data":{}}', "unknown_command", "idyou"),
    ('{"command":"IDME","data":"1:1"}', "unknown_command", "IDME"),
    ('{"command":"idme"}', "bad_message", "idme"),
    ('{"command":"idme","data":["1:1"]}', "bad_message", "idme"),
    ('{"command":"idme","data":"1:1","token":7}', "bad_message", "idme"),
    ('{"command":"idme","data":""}', "bad_id", "idme"),
    ('{"command":"idme","data":"12345"}', "bad_id", "idme"),
    ('{"command":"idme","data":"a:1"}', "bad_id", "idme"),
    ('{"command":"idme","data":"1:"}', "bad_id", "idme"),
    ('{"command":"idme","data":"1:a b"}', "bad_id", "idme"),
    ('{"command":"idme","data":"1:a:b"}', "bad_id", "idme"),
    (text_of("idme", "1:" + "x" * 65), "bad_id", "idme"),
    (text_of("idme", "1" * 21 + ":x"), "bad_id", "idme"),
    ('{"command":"subscribe","data":"1:1"}', "bad_message", "subscribe"),
    ('{"command":"subscribe","data":{"1:1":true}}', "bad_message", "subscribe"),
    ('{"command":"subscribe","data":["1:1",7]}', "bad_message", "subscribe"),
    ('{"command":"subscribe","data":["1:1",""]}', "bad_id", "subscribe"),
    (text_of("subscribe", ["x" * 256]), "bad_id", "subscribe"),
    (text_of("subscribe", ["1:%d" % i for i in range(31)]), "limit", "subscribe"),
    ('{"command":"unsubscribe","data":7}', "bad_message", "unsubscribe"),
    ('{"command":"whothere","data":{"channel":7}}', "bad_message", "whothere"),
    ('{"command":"whothere","data":{"channel":""}}', "bad_room", "whothere"),
    (text_of("status", "busy"), "not_identified", "status"),
    (text_of("game", {"channel": "r", "actions": []}), "not_identified", "game"),
    (text_of("leavegame", {"channel": "r"}), "not_identified", "leavegame"),
]

REFUSED_TO_A_USER = [
    (text_of("idme", "1:1"), "identified", "idme"),
    (text_of("idme", "1:2"), "identified", "idme"),
    (text_of("status", "away"), "bad_status", "status"),
    (text_of("status", "offline"), "bad_status", "status"),
    (text_of("status", True), "bad_message", "status"),
    (text_of("joingame", {"channel": "r"}), "bad_message", "joingame"),
    (text_of("joingame", {"self": "1:1"}), "bad_message", "joingame"),
    (text_of("joingame", {"channel": "r", "self": "1:2"}), "not_you", "joingame"),
    (text_of("joingame", {"channel": "r", "self": "me"}), "bad_id", "joingame"),
    (text_of("joingame", {"channel": "", "self": "1:1"}), "bad_room", "joingame"),
    (text_of("joingame", {"channel": "a\nb", "self": "1:1"}), "bad_room", "joingame"),
    (text_of("joingame", {"channel": "é" * 65, "self": "1:1"}), "bad_room", "joingame"),
    (text_of("joingame", {"channel": "r", "self": "1:1", "invite": "1:2"}), "bad_message", "joingame"),
    (text_of("joingame", {"channel": "r", "self": "1:1", "invite": ["x"]}), "bad_id", "joingame"),
    (text_of("joingame", {"channel": "r", "self": "1:1", "invite": ["1:%d" % i for i in range(31)]}),
     "limit", "joingame"),
    (text_of("game", {"channel": "r", "actions": []}), "not_member", "game"),
    (text_of("game", {"channel": "mine"}), "bad_message", "game"),
    (text_of("game", {"channel": "mine", "actions": [7]}), "bad_message", "game"),
    (text_of("game", {"channel": "mine", "actions": [{}] * 257}), "limit", "game"),
    (text_of("game", {"channel": "mine", "actions": [{"timestamp": "now"}]}), "bad_message", "game"),
    (text_of("game", {"channel": "mine", "actions": [{"from": "1:2"}]}), "not_you", "game"),
    (text_of("game", {"channel": "mine", "actions": [{"from": "me"}]}), "bad_id", "game"),
    (text_of("game", {"channel": "mine", "actions": [{"data": {"at": ["1:a!"]}}]}), "bad_id", "game"),
    (text_of("game", {"channel": "mine", "actions": [{"data": {"1:a!": 1}}]}), "bad_id", "game"),
    (text_of("leavegame", {"channel": "r"}), "not_member", "leavegame"),
]


def check_refused(client, cases):
    for text, code, command in cases:
        client.say_text(text)
        why = client.refused(code, command)
        assert why, text


def test_every_refusal_is_answered_and_the_connection_stays(t):
    _, (a, b) = start(t, **{"turntable.max_errors": 1000, "turntable.max_ids": 30, "turntable.max_invites": 30,
                            "turntable.id_form": "strict", "turntable.validate": "form"})
    stranger = connect(t, a)
    stranger.expect("idyou")
    check_refused(stranger, REFUSED)
    stranger.say_text(b'{"command":"idme","data":"1:1"}', opcode=BINARY)
    stranger.refused("bad_json", "")
    user = connect(t, b, "1:1")
    user.join("mine")
    check_refused(user, REFUSED_TO_A_USER)
    assert user.sync() == stranger.sync() == []
    for code in {code for _, code, _ in REFUSED}:
        wanted = sum(code == other for _, other, _ in REFUSED) + (code == "bad_json")
        assert a.metric("tracker_errors_sent_total", protocol="turntable", code=code) == wanted, code
    a.wait_for_log("msg=turntable_message_refused.*code=bad_json")


def test_an_error_names_what_was_wrong_and_where(t):
    _, (a, _) = start(t)
    client = connect(t, a)
    client.expect("idyou")
    client.say_text('{"command":"idme","data":01}')
    assert client.refused("bad_json", "") == "byte 25: a number with a leading zero"
    client.say_text('{"command":"subscribe","data":["1:1",{}]}')
    assert client.refused("bad_message", "subscribe").startswith("data[1]: ")
    client.say_text(text_of("idme", "1:x\ty"))
    assert client.refused("bad_id", "idme").startswith("data: a user id is expected")


def test_who_keeps_on_is_closed_and_others_are_not(t):
    _, (a, b) = start(t)
    friend = connect(t, b, "1:1")
    for frontend in (a, b):
        client = connect(t, frontend, "1:2")
        for _ in range(25):
            client.say_text("{")
        for _ in range(20):
            client.refused("bad_json", "")
        assert client.read_end() == (1008, "too many errors")
        assert not client.unread
    assert friend.sync() == []
    assert a.metric("tracker_websocket_closed_total", code="1008") == 1


def test_errors_are_counted_within_their_window_only(t):
    _, (a, _) = start(t, **{"turntable.max_errors": 3, "turntable.error_window": "1ms"})
    client = connect(t, a)
    client.expect("idyou")
    for _ in range(12):
        time.sleep(0.01)
        client.say_text("{")
        client.refused("bad_json", "")
    client.sync()
    assert client.closed is None


def test_what_the_map_could_not_do_is_not_counted(t):
    """Only the peer's own doing is: see max_errors."""
    redis, (a, _) = start(t, **{"turntable.max_errors": 2, "redis.deadline": "300ms"})
    client = connect(t, a, "1:1")
    redis.freeze()
    for number in range(4):
        client.say("subscribe", ["1:%d" % (10 + number)])
        client.wait("error", lambda data: data["code"] == "unavailable")
    redis.thaw()
    assert client.closed is None
    client.wait_statuses({"1:%d" % (10 + number): "offline" for number in range(4)})


def test_a_listener_of_its_own_takes_any_subprotocol_or_none(t):
    _, (a, b) = start(t)
    one = t.connect(a, Turntable, kind="turntable", user="1:1", path="/", protocols=())
    assert one.websocket.protocol is None
    two = t.connect(b, Turntable, kind="turntable", user="1:2", path="/any/path")
    assert two.websocket.protocol == "turntable"
    assert one.subscribe("1:2") == {"1:2": "online"}
    three = connect(t, a, "1:3", path="/", protocols=("x", "turntable"))
    assert three.websocket.protocol == "turntable"
    four = connect(t, a, "1:4", path="/turntable", protocols=())
    assert four.subscribe("1:3", "1:1") == {"1:1": "online", "1:3": "online"}


def test_a_space_in_the_path_counts_whatever_the_subprotocol(t):
    listen = (*LISTEN, "web=127.0.0.1:0,space=arena")
    frontend = t.frontend(t.redis(), listen=listen, settings={"map.spaces": "main,arena"})
    one = connect(t, frontend, "1:1", path="/sync/arena")
    two = connect(t, frontend, "1:2", path="/tracker/arena")
    three = t.connect(frontend, Turntable, kind="web", index=1, user="1:3", path="/anything")
    four = connect(t, frontend, "1:4", path="/sync")
    for client in (one, two, three):
        assert client.subscribe("1:1", "1:2", "1:3", "1:4") == {
            "1:1": "online", "1:2": "online", "1:3": "online", "1:4": "offline"}
    assert four.subscribe("1:1") == {"1:1": "offline"}
    # A slash at the end changes nothing, as in all paths.
    six = connect(t, frontend, "1:6", path="/turntable/arena/")
    assert six.subscribe("1:1", "1:4") == {"1:1": "online", "1:4": "offline"}
    for path in ("/sync/nowhere", "/tracker/nowhere", "/turntable/nowhere", "/turntable/arena/x"):
        for protocols in (("turntable",), ("tracker",)):
            try:
                WebSocket(frontend.address("web"), path, protocols).drop()
                raise AssertionError(f"{path} was accepted")
            except Refused as refused:
                assert refused.status == 404, (path, refused)
    # A listener of its own speaks its protocol on any path but those that name a space of it.
    five = t.connect(frontend, Turntable, kind="turntable", user="1:5", path="/sync/nowhere")
    assert five.subscribe("1:4") == {"1:4": "online"}


def test_spaces_are_apart(t):
    redis = t.redis()
    a, b = t.frontends(2, redis, listen=("web=127.0.0.1:0",), settings={"map.spaces": "main,arena"})
    one, two = connect(t, a, "1:1"), connect(t, b, "1:2", path="/turntable/arena")
    assert one.subscribe("1:1", "1:2") == {"1:1": "online", "1:2": "offline"}
    assert two.subscribe("1:1", "1:2") == {"1:1": "offline", "1:2": "online"}
    one.join("room")
    assert two.join("room", invite=["1:1"]) == ["1:2"]
    two.sync()
    assert [message["command"] for message in one.sync()] in ([], ["userchange"])
    assert one.members["room"] == {"1:1"} and two.members["room"] == {"1:2"}
