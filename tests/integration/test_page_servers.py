"""GET /api/v1/servers: the game servers of the lobby, for pages and scripts."""
import json
import re

from harness.live import Stream
from harness.lobby import LISTEN, Game, settings
from harness.q3master import MASTER4, MASTER_SETTINGS, GameServer
from harness.tracker import Original2013


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
    assert server["node_name"] == "a" and server["name"] == "A server", server
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
    assert status == 200 and re.fullmatch(r'"[0-9a-f]{40}"', tag), head
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


def follow(t, frontend, query="?servers=1"):
    stream = Stream(t, frontend, query)
    stream.until_live(t)
    return stream


def test_the_live_stream(t):
    a, b = lobby(t)
    game = listed(t, a, description="^1Red ^x0f0green ^^1", players=1, max_players=4)
    t.wait_until(lambda: ids(b))
    stream = follow(t, b)
    assert stream.events[0][1]["space"] == stream.events[0][1]["lobby"] == "lobby"
    nodes = {node["name"]: node["node"] for node in json.loads(b.http("/api/v1/nodes")[2])["nodes"]}
    server = stream.entries[game.id]
    assert {**server, "node_name": "a"} == ask(b)[2]["servers"][0] and server["node"] == nodes["a"]
    assert server["name"] == "Red green ^1" and server["infos"]["description"] == "^1Red ^x0f0green ^^1"
    game.infos(players=2)
    stream.until(t, lambda: stream.entries[game.id]["infos"]["players"] == 2)
    other = listed(t, b)
    stream.until(t, lambda: len(stream.entries) == 2)
    game.drop()
    stream.until(t, lambda: list(stream.entries) == [other.id])
    assert ("closed", [game.id]) in stream.events


def test_the_live_stream_of_the_udp_master(t):
    redis = t.redis()
    master = t.frontend(redis, listen=MASTER4, settings=MASTER_SETTINGS)
    stream = follow(t, master)
    server = GameServer(master.address("q3master"), hostname="^1A ^7name", clients="3")
    t.stack.callback(server.close)
    server.register()
    stream.until(t, lambda: server.where in stream.entries)
    received = stream.entries[server.where]
    assert received["source"] == "q3master" and received["name"] == "A name", received
    assert received["infos"]["players"] == 3 and received["infos"]["max_players"] == 8 and received["infos"]["map"] == "dance"
    assert received["infos"]["hostname"] == "^1A ^7name"


def test_what_is_no_server_is_not_in_the_stream(t):
    """Not even when it has an address for an id; and one that becomes something else goes."""
    redis = t.redis()
    frontend = t.frontend(redis, listen=(*LISTEN, "tracker=127.0.0.1:0,space=lobby"),
                          settings=settings(verify="off", **{"map.spaces": "main lobby"}))
    client = t.connect(frontend, Original2013)
    client.update(b"203.0.113.7:27960", 1, b"no server")
    game = listed(t, frontend)
    stream, clients = follow(t, frontend), follow(t, frontend, "?space=lobby")
    assert list(stream.entries) == [game.id] and len(clients.entries) == 2
    client.update(b"203.0.113.7:27960", 2, b"changed")
    clients.until(t, lambda: clients.states().get("203.0.113.7:27960") == "changed")
    game.infos(players=5)
    stream.until(t, lambda: stream.entries[game.id]["infos"]["players"] == 5)
    assert list(stream.entries) == [game.id]
    redis("HSET", f"tracker:{{lobby/1/0}}:client:{game.id}", "protocol", "other")
    redis("HINCRBY", "tracker:{lobby/1/0}:head", "revision", "1")
    stream.until(t, lambda: not stream.entries)
    clients.until(t, lambda: clients.entries[game.id]["protocol"] == "other")


def test_a_server_that_comes_back_to_another_front_end_says_the_same(t):
    a, b, c = lobby(t, 3)
    game = listed(t, a)
    t.wait_until(lambda: ids(c))
    stream = follow(t, c)
    before = stream.entries[game.id]
    a.kill()
    port = game.port
    game.drop()
    listed_again = t.connect(b, Game, kind="lobby-servers", port=port).be_listed()
    assert listed_again.id == game.id
    stream.until(t, lambda: stream.entries.get(game.id, before)["node"] != before["node"], "moved", 30)
    t.wait_until(lambda: ask(c)[2]["servers"][0]["node_name"] == "b")
    assert stream.entries[game.id]["infos"] == before["infos"]


def test_there_is_no_stream_of_servers_without_a_lobby(t):
    frontend = t.frontend(t.redis())
    assert frontend.http("/api/v1/live?servers=1")[0] == 404
    assert "lobby" not in follow(t, frontend, "").events[0][1]
