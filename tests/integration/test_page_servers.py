"""GET /api/v1/servers: the game servers of the lobby, for pages and scripts."""
import json

from harness.lobby import LISTEN, Game, settings


def lobby(t, count=2):
    return t.frontends(count, t.redis(), listen=LISTEN, settings=settings(verify="off"))


def listed(t, frontend, **infos):
    return t.connect(frontend, Game, kind="lobby-servers").be_listed(**infos)


def ask(frontend, query="", tag=None):
    headers = {"If-None-Match": tag} if tag else {}
    status, head, body = frontend.http("/api/v1/servers" + query, headers=headers)
    return status, {key.lower(): value for key, value in head.items()}, json.loads(body) if body else None


def ids(frontend, query=""):
    status, _, answer = ask(frontend, query)
    assert status == 200, answer
    return [server["id"] for server in answer["servers"]]


def test_what_is_said_of_a_server(t):
    a, b = lobby(t)
    assert ask(b)[2] == {"space": "lobby", "servers": []}
    game = listed(t, a, game="gltron", players=3, motto="<b>\u00e9", ranked=True)
    t.wait_until(lambda: ids(b))
    [server] = ask(b)[2]["servers"]
    assert server["id"] == game.id and server["ip"] == "127.0.0.1" and server["port"] == game.port
    assert server["state"] == "live" and server["source"] == "lobby" and server["since"] > 1700000000000
    assert server["node_name"] == "a", server
    assert server["infos"]["motto"] == "<b>\u00e9" and server["infos"]["ranked"] is True
    game.drop()
    t.wait_until(lambda: not ids(b))


def test_the_filters(t):
    a, b = lobby(t)
    said = {"empty": {"game": "one", "players": 0, "max_players": 4, "protocol": 68},
            "some": {"game": "one", "players": 2, "max_players": 4, "protocol": 71},
            "full": {"game": "two", "players": 4, "max_players": 4, "protocol": "71"}}
    games = {name: listed(t, a, **infos).id for name, infos in said.items()}
    t.wait_until(lambda: len(ids(b)) == 3)

    def names(query):
        return sorted(name for name, id in games.items() if id in ids(b, query))
    assert names("?game=one") == ["empty", "some"]
    assert names("?game=three") == []
    assert names("?protocol=71") == ["full", "some"]
    assert names("?game=one&protocol=71") == ["some"]
    assert names("?empty=false") == ["full", "some"] and names("?empty=0") == ["full", "some"]
    assert names("?full=false") == ["empty", "some"]
    assert names("?empty=only") == ["empty"] and names("?full=only") == ["full"]
    assert names("?empty=true&full=1&game=") == ["empty", "full", "some"]
    assert ask(b, "?empty=perhaps")[0] == 400
    assert ask(b, "?space=nowhere")[0] == 404


def test_what_has_not_changed_is_not_sent_again(t):
    a, b = lobby(t)
    game = listed(t, a)
    t.wait_until(lambda: ids(a) == ids(b) == [game.id])
    status, head, _ = ask(a)
    tag = head["etag"]
    assert status == 200 and tag.startswith('"') and tag.endswith('"'), head
    assert ask(a, tag=tag)[0] == 304 and ask(a, tag=f'"x", W/{tag}')[0] == 304
    assert ask(b, tag=tag)[0] == 304, "the other front-end knows the same list"
    game.infos(players=9)
    t.wait_until(lambda: ask(b, tag=tag)[0] == 200)
    status, head, answer = ask(b, tag=tag)
    assert head["etag"] != tag and answer["servers"][0]["infos"]["players"] == 9


def test_it_can_be_off_or_behind_a_token(t):
    redis = t.redis()
    off = t.frontend(redis, listen=LISTEN, settings=settings(**{"web.api": "off"}))
    assert ask(off)[0] == 404
    behind = t.frontend(redis, listen=LISTEN, settings=settings(**{"web.api": "token", "web.token": "a-long-secret-token-0123456789"}))
    assert ask(behind)[0] == 401 and ask(behind, "?token=a-long-secret-token-0123456789")[0] == 200


def test_without_a_lobby_there_is_no_list(t):
    assert ask(t.frontend(t.redis()))[0] == 404
