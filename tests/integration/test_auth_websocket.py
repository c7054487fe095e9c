"""Signed tokens, brought with the request that opens a WebSocket connection: who is let in, and how the others
receive the reason. By the Tracker protocol over WebSocket and metadata sync, which want them there."""
import re
import struct
import time

from harness import Versioned, packets
from harness.jwt import SECRET, Issuer, part
from harness.websocket import (BINARY, CLOSE, Refused, WebSocket, close_payload, over_websocket, wait_for_frame)

SPACES = {"map.spaces": "main game"}


def opened(t, frontend, path="/tracker", token=None, header=None, headers=(), **options):
    headers = [f"Authorization: {header}", *headers] if header else headers
    if token is not None:
        path += ("&" if "?" in path else "?") + "token=" + token
    websocket = WebSocket(frontend.address(options.pop("kind", "web")), path, headers=headers, **options)
    t.stack.callback(websocket.drop)
    return websocket


def closed(websocket):
    """(code, reason) of the Close that comes first, which is answered."""
    got = websocket.read_frame()
    assert got.opcode == CLOSE, got
    websocket.send_frame(CLOSE, got.payload)
    websocket.read_end()
    return struct.unpack(">H", got.payload[:2])[0], got.payload[2:].decode()


def is_served(websocket):
    """It answers a Get of the Tracker protocol's plain dialect."""
    websocket.send_frame(BINARY, packets.plain.get)
    return wait_for_frame(websocket, BINARY).payload[-1:] == b"}"


def test_without_the_mode_nothing_is_asked_for(t):
    frontend = t.frontend(t.redis())
    assert is_served(opened(t, frontend))
    assert is_served(opened(t, frontend, token="nonsense"))


def test_each_algorithm(t):
    redis = t.redis()
    for algorithm in ("HS256", "RS256", "ES256"):
        issuer = Issuer(algorithm, t.directory())
        stranger = Issuer(algorithm, t.directory(), secret=SECRET[::-1])
        frontend = t.frontend(redis, settings=issuer.settings())
        assert is_served(opened(t, frontend, token=issuer.token()))
        assert is_served(opened(t, frontend, header="Bearer " + issuer.token()))
        assert closed(opened(t, frontend, token=stranger.token())) == (3000, "bad signature")
        frontend.stop()


def test_a_refusal_has_its_reason(t):
    issuer = Issuer()
    parties = {"auth.issuer": "us", "auth.audience": "maps"}
    frontend = t.frontend(t.redis(), settings=issuer.settings(**SPACES, **parties))
    now = int(time.time())

    def token(**claims):
        return issuer.token(**{"iss": "us", "aud": ["maps", "mail"], **claims})
    good = token()
    head, claims, signature = good.split(".")
    assert is_served(opened(t, frontend, token=good))
    for bad, reason in (
            (None, "no token"),
            ("", "no token"),
            ("x", "malformed token"),
            ("a" * 9000, "token too long"),
            (f"{head}.{claims}", "malformed token"),
            (f"{head}.{claims}.", "malformed token"),
            (f"{head}.{claims}.{'BA'[signature[0] == 'B']}{signature[1:]}", "bad signature"),
            (f"{head}.{part({'sub': '1:1', 'exp': now + 99}).decode()}.{signature}", "bad signature"),
            (f"{part({'alg': 'none'}).decode()}.{claims}.{signature}", "wrong algorithm"),
            (token(header={"alg": "HS512"}), "wrong algorithm"),
            (token(lasts=-60), "token expired"),
            (token(nbf=now + 60), "token not yet valid"),
            (token(exp=None), "token has no expiry"),
            (token(exp=f"{now + 60}"), "malformed claims"),
            (token(user=None), "token names no user"),
            (token(user=12345), "token names no user"),
            (token(spaces="main"), "malformed spaces in token"),
            (token(iss="them"), "wrong issuer"),
            (token(aud="mail"), "wrong audience")):
        for path in ("/tracker", "/sync", "/tracker/game"):
            assert closed(opened(t, frontend, path, token=bad)) == (3000, reason), (bad, reason)
    assert frontend.metric("tracker_websocket_closed_total", code="3000") == 19 * 3
    assert frontend.metric("tracker_tokens_refused_total", reason="missing") == 2 * 3
    assert frontend.metric("tracker_tokens_accepted_total") == 1
    t.wait_until(lambda: frontend.metric("tracker_websocket_connections") == 1, 10, "the others are gone")


def test_spaces(t):
    issuer = Issuer()
    frontend = t.frontend(t.redis(), settings=issuer.settings(**SPACES),
                          listen=("tracker=127.0.0.1:0", "web=127.0.0.1:0", "web=127.0.0.1:0,space=game"))
    game = dict(address=frontend.address("web", 1))
    for spaces, main, other in ((None, True, True), (["*"], True, True), (["main"], True, False),
                                (["game"], False, True), ([], False, False), (["main", "game"], True, True)):
        token = issuer.token(spaces=spaces)
        for path, allowed in (("/tracker", main), ("/tracker/main", main), ("/tracker/game", other)):
            websocket = opened(t, frontend, path, token=token)
            if allowed:
                assert is_served(websocket), (spaces, path)
            else:
                assert closed(websocket) == (3003, "token does not allow this space"), (spaces, path)
        websocket = WebSocket(game["address"], "/tracker?token=" + token)
        t.stack.callback(websocket.drop)
        assert is_served(websocket) if other else closed(websocket)[0] == 3003
    try:
        opened(t, frontend, "/tracker/nowhere", token=issuer.token())
        raise AssertionError("a space that does not exist")
    except Refused as refused:
        assert refused.status == 404


def test_the_header_goes_first(t):
    issuer = Issuer()
    frontend = t.frontend(t.redis(), settings=issuer.settings())
    good, bad = issuer.token(), issuer.token(lasts=-60)
    assert is_served(opened(t, frontend, token=bad, header="Bearer " + good))
    assert is_served(opened(t, frontend, token=bad, header="bearer   " + good))
    assert closed(opened(t, frontend, token=good, header="Bearer " + bad)) == (3000, "token expired")
    assert closed(opened(t, frontend, token=good, header="Bearer")) == (3000, "no token")
    assert is_served(opened(t, frontend, token=good, header="Basic dTpw"))


def test_a_connection_ends_with_its_token(t):
    issuer = Issuer()
    frontend = t.frontend(t.redis(), settings=issuer.settings(**{"auth.leeway": "0s"}))
    lasting = opened(t, frontend, token=issuer.token())
    tracker, sync = (opened(t, frontend, path, token=issuer.token(lasts=6)) for path in ("/tracker", "/sync"))
    assert is_served(tracker)
    for websocket in (tracker, sync):
        last = wait_for_frame(websocket, CLOSE, 30)
        assert last.payload == close_payload(3000, b"token expired"), last
    frontend.wait_for_log(r'msg=websocket_closed .*code=3000 reason="token expired"')
    assert is_served(lasting)


def test_nothing_of_a_token_is_logged(t):
    issuer = Issuer()
    frontend = t.frontend(t.redis(), settings=issuer.settings(**{"log.level": "debug", **SPACES}))
    tokens = [issuer.token(), issuer.token(lasts=-60), issuer.token(spaces=[]), issuer.token(user=None),
              "eyJ" + "a" * 50]
    for token in tokens:
        for header in (None, "Bearer " + token):
            websocket = opened(t, frontend, token=token, header=header)
            if token == tokens[0]:
                websocket.send_frame(BINARY, b"\x2a\xff")
            wait_for_frame(websocket, CLOSE)
    for path in ("/nowhere", "/tracker/nowhere", "/tracker"):
        try:
            opened(t, frontend, path, token=tokens[0], headers=["Sec-WebSocket-Version: 7"])
            raise AssertionError("there are two versions")
        except Refused as refused:
            assert refused.status in (404, 426)
        frontend.http(f"{path}?token={tokens[0]}", headers={"Authorization": "Bearer " + tokens[0]})
        frontend.http(f"{path}?token={tokens[0]}", method="POST")
    frontend.wait_for_log("msg=token_refused")
    assert SECRET not in frontend.log
    for token in tokens:
        for piece in token.split("."):
            assert piece[:20] not in frontend.log
    assert "token=" not in frontend.log


def test_the_tracker_protocol_cannot_pretend_to_be_a_user(t):
    """An entry's id that has the form of a user's would be shown as that user's presence. Answers stay in order."""
    issuer = Issuer()
    frontend = t.frontend(t.redis(), settings=issuer.settings())
    token = issuer.token(user="1:12345")
    client = t.connect(frontend, over_websocket(Versioned, f"/tracker?token={token}"), kind="web")
    client.open(b"x")
    assert client.update(b"free", 1, b"x")
    for id in (b"1:777", b"1:12345", b"00:a"):
        assert not client.update(id, 1, b"x")
        assert not client.close(id)
    assert client.update(b"1:", 1, b"x") and client.update(b"a:1", 1, b"x")
    raw = opened(t, frontend, token=token)
    update = packets.versioned.update
    raw.send_frame(BINARY, update(b"1:1", 1, b"x") + update(b"ok", 1, b"x") + update(b"1:2", 1, b"x")
                   + update(b"1:3", 1, b"x") + update(b"ok", 2, b"x") + update(b"ok", 1, b"x")
                   + update(b"1:4", 1, b"x"))
    answer = b""
    while len(answer) < 7:
        answer += wait_for_frame(raw, BINARY).payload
    assert answer == bytes([0, 1, 0, 0, 1, 0, 0]), answer
    assert frontend.metric("tracker_tokens_refused_total", reason="user") == 10


def test_the_tracker_protocol_over_tcp_has_no_tokens(t):
    frontend = t.frontend(t.redis(), settings=Issuer().settings())
    client = t.connect(frontend, Versioned)
    client.open(b"x")
    assert client.update(b"1:12345", 1, b"x")


def test_probes_need_no_token(t):
    frontend = t.frontend(t.redis(), settings=Issuer().settings())
    assert frontend.http("/healthz")[0] == 200 and frontend.http("/readyz")[0] == 200


def test_nobody_is_notified_of_a_refused_user(t):
    redis = t.redis()
    frontend = t.frontend(redis, settings=Issuer().settings())
    websocket = opened(t, frontend)
    websocket.send_frame(BINARY, packets.versioned.update(b"ghost", 1, b"x"))
    assert closed(websocket) == (3000, "no token")
    assert not [key for key in redis("KEYS", "*") if re.search(b"ghost", key)]
    t.wait_until(lambda: frontend.metric("tracker_websocket_connections") == 0, 10, "it is gone")


def test_the_longest_name_of_a_user(t):
    issuer = Issuer()
    frontend = t.frontend(t.redis(), settings=issuer.settings())
    assert is_served(opened(t, frontend, token=issuer.token(sub="u" * 255)))
    assert closed(opened(t, frontend, token=issuer.token(sub="u" * (255 + 1))))[0] == 3000
