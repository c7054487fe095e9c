"""The page for everybody: axe-core finds nothing serious or critical in any view."""
from harness import Original2013
from harness.lobby import LISTEN, Game, settings
from harness.node import run_script

# While a script runs nobody answers the pings of its game servers, however long it takes.
LIMITS = {"access.connect_rate": "0", "lobby.rate": "0", "lobby.ping": "30m", "lobby.timeout": "30m"}
TIMEOUT = 400


def lobby(t, redis, **options):
    return t.frontend(redis, listen=(*LISTEN, "tracker=127.0.0.1:0"), settings={**settings(verify="off"), **LIMITS}, **options)


def look(t, check, frontend, actions=None):
    host, port = frontend.address("web")
    run_script(t, "page_access.mjs", check, f"http://{host}:{port}", actions=actions, timeout=TIMEOUT - 30)


def test_the_empty_map(t):
    look(t, "the empty map", lobby(t, t.redis()))


def test_the_map(t):
    frontend = lobby(t, t.redis())
    client = t.connect(frontend, Original2013)
    client.update(b"gate", 1, b'{"json": ["is", {"here": true}]}')
    client.update(b"\xff\x00", 1, bytes(range(200)))
    versions = iter(range(2, 1000))
    look(t, "the map", frontend, {"change": lambda: client.update(b"gate", next(versions), b"other") and None})


def test_game_servers(t):
    frontend = lobby(t, t.redis())
    for name, players, most, more in (("a server", 3, 8, {"game": "gltron", "map": "arena"}), ("full", 4, 4, {}), ("", 0, 8, {})):
        game = t.connect(frontend, Game, kind="lobby-servers")
        game.login()
        game.say(type="infos", description=name, players=players, max_players=most, **more)
    look(t, "game servers", frontend)


def test_the_consoles(t):
    look(t, "the consoles", lobby(t, t.redis()))


def test_the_sign_in(t):
    look(t, "the sign-in", t.frontend(t.redis(), settings={"web.page": "token", "web.token": "0123456789abcdef"}))


def test_an_outage(t):
    redis = t.redis()
    frontend = lobby(t, redis)
    t.connect(frontend, Original2013).update(b"gate", 1, b"closed")
    look(t, "an outage", frontend, {"kill": redis.kill})
