"""The list of game servers on the page, in headless Chromium."""
import json

from harness.lobby import LISTEN, Game, settings
from harness.node import run_script
from harness.q3master import MASTER4, MASTER_SETTINGS, GameServer

TIMEOUT = 180
# While a script runs nobody answers the pings of its game servers, however long it takes.
LIMITS = {"access.connect_rate": "0", "lobby.rate": "0", "lobby.ping": "30m", "lobby.timeout": "30m"}


def lobby(t, redis, listen=LISTEN, more=None, **options):
    return t.frontend(redis, listen=listen, settings={**settings(verify="off"), **LIMITS, **(more or {})}, **options)


def listed(t, frontend, name="the first", players=0, port=0, source="127.0.0.1", **infos):
    game = t.connect(frontend, Game, kind="lobby-servers", port=port, source=source)
    game.login()
    say(game, name, players, **infos)
    return game


def say(connection, name, players, **infos):
    """Nothing but that: what is not said is not shown."""
    connection.say(type="infos", description=name, players=players, **infos)


def browse(t, check, frontend, actions=None):
    host, port = frontend.address("web")
    actions = {name: (lambda action=action: answer_of(action())) for name, action in (actions or {}).items()}
    run_script(t, "page_servers.mjs", check, f"http://{host}:{port}", actions=actions, timeout=TIMEOUT - 30)


def answer_of(result):
    return result if isinstance(result, str) else None


def test_no_server(t):
    frontend = lobby(t, t.redis())
    games = []
    browse(t, "no server", frontend, {"open": lambda: games.append(listed(t, frontend)),
                                      "close": lambda: games.pop().drop()})


def test_no_lobby(t):
    browse(t, "no lobby", t.frontend(t.redis()))


def test_three_servers(t):
    redis = t.redis()
    a = lobby(t, redis, node="a", more={"lobby.ping": "300ms", "lobby.timeout": "10m", "lobby.max_missed": "1000"})
    b = lobby(t, redis, node="b")
    master = t.frontend(redis, node="c", listen=MASTER4, settings=MASTER_SETTINGS)
    beta = listed(t, a, "Beta", 8, max_players=8, game="gltron", map="arena", version="0.70")
    gamma = listed(t, b, "gamma", 0, max_players=16, game="gltron")
    alpha = GameServer(master.address("q3master"), tag="QuakeArena-1", gamename="Quake3Arena", protocol="68", hostname="^1al^7pha",
                       mapname="q3dm17", clients="2", sv_maxclients="4", version="1.36")
    t.stack.callback(alpha.close)
    alpha.register()
    browse(t, "three servers", a, {"change": lambda: say(gamma, "gamma", 5, max_players=16, game="gltron"),
                                   "close": beta.drop})


def test_addresses_are_copied(t):
    frontend = lobby(t, t.redis())
    game = listed(t, frontend)
    browse(t, "addresses are copied", frontend, {"address": lambda: game.id})


def test_five_hundred(t):
    redis = t.redis()
    a, b = lobby(t, redis, node="a"), lobby(t, redis, node="b")
    games = [listed(t, (a, b)[number // 250], f"server {number}", number % 8, source=f"127.1.{number // 250}.{number % 250 + 1}", game="g")
             for number in range(500)]

    def go():
        for game in games[250:]:
            game.drop()
        del games[250:]

    def come():
        games.extend(listed(t, b, f"late {number}", 3, game="g") for number in range(50))

    def storm():
        for players in range(4, 11):
            for number, game in enumerate(games):
                say(game, f"server {number} again", players)

    def watchers():
        return str(json.loads(a.http("/api/v1/stats")[2])["watchers"])
    browse(t, "five hundred", a, {"go": go, "come": come, "storm": storm, "watchers": watchers})


def test_hostile_names(t):
    frontend = lobby(t, t.redis())
    hostile = ["<img src=x onerror=alert(1)>", "</script><script>globalThis.hacked = 1</script>", "\u202e\u0007 \u2028 {{7*7}} ${alert(3)}",
               "\u200b \u200b", "a" * 250]
    games = [listed(t, frontend, name, game=name[:60], map=name, version=name[:20]) for name in hostile]

    def update():
        for game, name in zip(games, hostile):
            say(game, name, 7, map=name)
    browse(t, "hostile names", frontend, {"update": update})


def test_the_token(t):
    frontend = lobby(t, t.redis(), more={"web.page": "token", "web.token": "0123456789abcdef"})
    listed(t, frontend)
    browse(t, "the token", frontend)


def test_its_server_moves_its_front_end_comes_back(t):
    redis = t.redis()
    seen = lobby(t, redis, node="seen")
    a, b = lobby(t, redis, node="a"), lobby(t, redis, node="b")
    game = listed(t, a)
    host, port = seen.address("web")

    def move():
        a.kill()
        game.drop()
        listed(t, b, port=game.port)
    browse(t, "a server moves, a front-end is restarted", seen, {
        "move": move, "kill": seen.kill,
        "start": lambda: lobby(t, redis, listen=(*LISTEN[:-1], f"web={host}:{port}")) and None})


def test_phones_darkness_contrast_and_labels(t):
    redis = t.redis()
    frontend = lobby(t, redis, node="a-front-end-with-a-name-that-is-long", more={
        "lobby.ping": "300ms", "lobby.timeout": "10m", "lobby.max_missed": "1000"})
    listed(t, frontend, "a name that is so long that it cannot fit into its column on any screen that there is " * 2, 12,
           max_players=12, game="a game with a long name", map="a map with a long name, too", version="1.36_GIT_1a2b3c4d-2024-01-01")
    listed(t, frontend, "", 0)
    listed(t, frontend, "three", 3, max_players=8, game="g", map="m", version="v")
    browse(t, "phones, darkness, contrast and labels", frontend)
