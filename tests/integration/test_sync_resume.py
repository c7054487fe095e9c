"""Coming back to an entry: on the same front-end, on another, after one was killed."""
import re

from harness.sync import Sync

LISTEN = ("tracker=127.0.0.1:0", "web=127.0.0.1:0", "sync=127.0.0.1:0")
QUICK = {"sync.tick": "100ms", "map.recovery_grace": "0s"}


def start(t, count=2, redis=None, **settings):
    return t.frontends(count, redis or t.redis(), listen=LISTEN, settings={**QUICK, **settings})


def join(t, frontend, **options):
    return t.connect(frontend, Sync, kind="sync", **options)


def test_a_secret_for_who_asks(t):
    a, b = start(t)
    asks, asks_not, watcher = join(t, a, resume=True), join(t, a), join(t, b)
    assert re.fullmatch("[0-9a-f]{64}", asks.secret) and asks.secret.startswith(asks.token)
    assert f'"index":"{asks.token}","resume":"{asks.secret}","indexes":' in asks.texts[0].decode()
    assert asks_not.secret is None
    asks.wait(lambda: asks.metadata > 1)
    assert b"resume" not in asks.texts[-1], "only in the first"
    watcher.wait_map(lambda received: len(received) == 3)
    assert asks.secret not in repr(watcher.texts)


def test_the_secret_is_stored_nowhere(t):
    redis = t.redis()
    a, _ = start(t, redis=redis)
    client = join(t, a, resume=True)
    fields = redis("HGETALL", f"tracker:{{main/1/0}}:client:{client.token}")
    assert client.secret[32:].encode() not in b" ".join(fields), fields
    assert client.secret[32:] not in a.log


def test_back_on_the_same_and_on_another_frontend(t):
    redis = t.redis()
    a, b = start(t, redis=redis)
    watcher = join(t, b)
    client = join(t, a, resume=True)
    client.set(name="n", number=1)
    watcher.wait_map(lambda received: received.get(client.token) == {"name": "n", "number": 1})
    ticks = len(watcher.ticks)
    for node in (a, b, a, a):
        client.drop()
        again = join(t, node, resume=client.secret)
        assert (again.token, again.secret) == (client.token, client.secret)
        assert again.map[again.token] == {"name": "n", "number": 1}, "with its properties"
        client = again
    client.set(number=2)
    watcher.wait_map(lambda received: received.get(client.token) == {"name": "n", "number": 2})
    received = [tick for tick in watcher.ticks[ticks:] if client.token in tick["opened"] + tick["closed"]]
    assert not received, "the others noticed nothing"
    watcher.send(client.token, {"type": "hello"})
    client.wait_packet()
    t.fsck(redis)


def test_back_in_delta_mode(t):
    a, b = start(t)
    watcher = join(t, b)
    client = join(t, a, resume=True, delta=True)
    client.set(x=1)
    client.wait_map(lambda received: received.get(client.token) == {"x": 1})
    client.drop()
    again = join(t, b, resume=client.secret, delta=True)
    assert again.map[again.token] == {"x": 1}
    watcher.set(y=2)
    again.wait_map({again.token: {"x": 1}, watcher.token: {"y": 2}})


def test_the_old_connection_is_closed(t):
    """It still seems to be there: on the same front-end, and on another."""
    redis = t.redis()
    a, b = start(t, redis=redis)
    client = join(t, a, resume=True)
    client.set(x=1)
    client.wait_map({client.token: {"x": 1}})
    for node in (a, b, b, a):
        again = join(t, node, resume=client.secret)
        assert client.wait_closed() == (1008, "resumed elsewhere")
        assert again.token == client.token and again.map == {client.token: {"x": 1}}
        client = again
    t.fsck(redis)


def test_after_its_frontend_was_killed(t):
    redis = t.redis()
    a, b, c = start(t, 3, redis, **{"client.grace": "20s"})
    watcher = join(t, c)
    client = join(t, a, resume=True)
    client.set(x=1)
    watcher.wait_map(lambda received: received.get(client.token) == {"x": 1})
    a.kill()
    again = join(t, b, resume=client.secret, timeout=20)
    assert again.token == client.token and again.map[again.token] == {"x": 1}
    again.set(y=2)
    watcher.wait_map(lambda received: received.get(client.token) == {"x": 1, "y": 2})
    assert not [tick for tick in watcher.ticks if client.token in tick["closed"]]
    t.fsck(redis)


def test_who_does_not_come_back_is_closed(t):
    a, b = start(t, **{"client.grace": "500ms"})
    watcher = join(t, b)
    client = join(t, a, resume=True)
    watcher.wait_map(lambda received: client.token in received)
    client.drop()
    watcher.wait_map({watcher.token: {}}, 20)
    late = join(t, a, resume=client.secret)
    assert late.token != client.token and late.secret != client.secret and late.map[late.token] == {}


def test_what_is_no_secret_makes_a_newcomer(t):
    a, b = start(t)
    client = join(t, a, resume=True)
    client.set(x=1)
    client.wait_map({client.token: {"x": 1}})
    client.drop()
    other = client.secret[:-1] + ("0" if client.secret[-1] != "0" else "1")
    for secret in ("", "x", client.token, client.secret.upper(), client.secret + "0", other, "0" * 64,
                   client.token + "g" * 32, "%00" * 64, "0" * 4000):
        newcomer = join(t, b, resume=secret)
        assert newcomer.token != client.token and newcomer.secret and newcomer.map[newcomer.token] == {}, secret
        newcomer.drop()
    again = join(t, b, resume=client.secret)
    assert again.token == client.token, "and the right one is still good"


def test_who_did_not_ask_cannot_come_back(t):
    a, b = start(t)
    watcher = join(t, b)
    client = join(t, a)
    watcher.wait_map(lambda received: client.token in received)
    client.drop()
    watcher.wait_map({watcher.token: {}}, 5)
    again = join(t, a, resume=client.token + "0" * 32)
    assert again.token != client.token


def test_an_orphan_is_not_to_be_adopted_by_its_token(t):
    """Tokens are public: knowing one gives a Tracker client nothing."""
    from harness import Versioned
    redis = t.redis()
    a, b = start(t, redis=redis)
    client = join(t, a, resume=True)
    client.set(x=1)
    client.wait_map({client.token: {"x": 1}})
    thief = t.connect(b, Versioned)
    assert not thief.update(client.token.encode(), 250, b"mine"), "while it is there"
    client.drop()
    t.wait_until(lambda: redis("ZSCORE", "tracker:{main/1/0}:deadlines", f"c:{client.token}"), what="an orphan")
    assert not thief.update(client.token.encode(), 250, b"mine"), "while it waits"
    assert not thief.close(client.token.encode())
    assert join(t, b, resume=client.secret).map[client.token] == {"x": 1}


def test_a_drain_leaves_those_who_may_come_back(t):
    redis = t.redis()
    a, b = start(t, redis=redis)
    client, simple, watcher = join(t, a, resume=True), join(t, a), join(t, b)
    client.set(x=1)
    watcher.wait_map(lambda received: received.get(client.token) == {"x": 1} and simple.token in received)
    a.drain()
    for one in (client, simple):
        assert one.wait_closed() == (1001, "drain")
        one.websocket.send_frame(8, b"\x03\xe9")
    again = join(t, b, resume=client.secret)
    assert again.token == client.token
    watcher.wait_map({watcher.token: {}, client.token: {"x": 1}})
    a.stop()
    t.fsck(redis)
