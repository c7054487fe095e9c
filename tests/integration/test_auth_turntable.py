"""Signed tokens of turntable connections, which may bring them after the handshake."""
import json

from harness.jwt import Issuer
from harness.websocket import CLOSE, PING, PONG, TEXT, close_payload, wait_for_frame
from test_auth_websocket import closed, opened


def turntable(t, frontend, **options):
    """A connection that has received the first message."""
    websocket = opened(t, frontend, "/turntable", protocols=("turntable",), **options)
    assert json.loads(websocket.read_frame().payload) == {"command": "idyou", "data": {}}
    return websocket


def test_a_bad_token_is_refused_at_once(t):
    issuer = Issuer()
    frontend = t.frontend(t.redis(), settings=issuer.settings(**{"map.spaces": "main game"}))
    for token, received in ((issuer.token(lasts=-60), (3000, "token expired")),
                        (issuer.token(spaces=["game"]), (3003, "token does not allow this space"))):
        assert closed(opened(t, frontend, "/turntable", token=token)) == received
        assert closed(opened(t, frontend, "/turntable", header="Bearer " + token)) == received
    assert turntable(t, frontend, token=issuer.token())


def test_who_never_brings_one_is_closed(t):
    issuer = Issuer()
    frontend = t.frontend(t.redis(), settings=issuer.settings(**{"auth.deadline": "1s"}))
    # Subscribing needs no identity, and wins no time.
    waiting, with_token = turntable(t, frontend), turntable(t, frontend, token=issuer.token())
    waiting.send_frame(TEXT, b'{"command":"whothere","data":{}}')
    assert wait_for_frame(waiting, CLOSE, 20).payload == close_payload(3000, b"no token")
    frontend.wait_for_log(r'msg=websocket_closed .*code=3000 reason="no token"')
    with_token.send_frame(PING, b"?")
    assert wait_for_frame(with_token, PONG).payload == b"?"


def test_a_connection_ends_with_its_token(t):
    issuer = Issuer()
    frontend = t.frontend(t.redis(), settings=issuer.settings(**{"auth.leeway": "0s"}))
    websocket = turntable(t, frontend, token=issuer.token(lasts=6))
    assert wait_for_frame(websocket, CLOSE, 30).payload == close_payload(3000, b"token expired")
