"""The page when something is missing, and with names that break careless scripts."""
import json

from harness import Original2013
from harness.lobby import LISTEN, Game, settings
from harness.node import run_script
from harness.sync import Sync

# While a script runs nobody answers the pings of its game servers, however long it takes.
LIMITS = {"access.connect_rate": "0", "lobby.rate": "0", "lobby.ping": "30m", "lobby.timeout": "30m"}
TIMEOUT = 240
ALL = (*LISTEN, "tracker=127.0.0.1:0", "sync=127.0.0.1:0")


def start(t, redis, node="a", listen=ALL, more=None):
    return t.frontend(redis, node=node, listen=listen, settings={**settings(verify="off"), **LIMITS, **(more or {})})


def server(t, frontend, **infos):
    game = t.connect(frontend, Game, kind="lobby-servers")
    game.login()
    game.say(type="infos", description="a server", **infos)
    return game


def client(t, frontend, name, index=0):
    one = t.connect(frontend, Original2013, index=index)
    one.update(name, 1, b"here")
    return one


def browse(t, check, frontend, actions=None):
    host, port = frontend.address("web")
    run_script(t, "page_outage.mjs", check, f"http://{host}:{port}", actions=actions, timeout=TIMEOUT - 30)


def test_redis_goes(t):
    redis = t.redis()
    frontend = start(t, redis)
    client(t, frontend, b"gate")
    server(t, frontend)
    browse(t, "Redis is killed", frontend, {"kill": redis.kill, "start": redis.start})


def test_its_front_end_goes(t):
    redis = t.redis()
    frontend, other = start(t, redis), start(t, redis, "b")
    host, port = frontend.address("web")
    client(t, other, b"gate")
    browse(t, "its front-end is killed", frontend, {
        "kill": frontend.kill, "start": lambda: t.frontend(redis, listen=(f"web={host}:{port}",)) and None})


def test_loaded_during_an_outage(t):
    redis = t.redis()
    frontend, other = start(t, redis), start(t, redis, "bettina")
    client(t, other, b"gate")
    server(t, other)
    t.wait_until(lambda: len(json.loads(other.http("/api/v1/servers")[2])["servers"]) == 1)
    redis.kill()
    t.wait_until(lambda: not frontend.ready())
    browse(t, "loaded during an outage", frontend, {"start": redis.start})


def test_an_unknown_space(t):
    listen = (*LISTEN, "tracker=127.0.0.1:0", "tracker=127.0.0.1:0,space=other")
    frontend = start(t, t.redis(), listen=listen, more={"map.spaces": "main other"})
    client(t, frontend, b"in-main")
    client(t, frontend, b"in-other", 1)
    browse(t, "an unknown space", frontend)


def test_what_figures_cover(t):
    redis = t.redis()
    a, b = (start(t, redis, node, more={"map.spaces": "main other"}) for node in ("a", "b"))
    client(t, a, b"one")
    client(t, b, b"two")
    browse(t, "what figures cover", a, {"connect to b": lambda: client(t, b, b"three") and None})


def test_names_that_objects_inherit(t):
    frontend = start(t, t.redis())
    one = t.connect(frontend, Sync, kind="sync")
    properties = json.loads('{"__proto__": "theirs", "constructor": "theirs", "toString": "theirs"}')
    one.set(**properties)
    server(t, frontend, game="__proto__")
    browse(t, "names that objects inherit", frontend)
