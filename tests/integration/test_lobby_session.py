"""The lobby's document, its session example first: two front-ends, game servers at one, players at the other."""
import json
import socket

from harness.lobby import INFOS, LISTEN, PASSWORD, Game, Lines, Player, settings


def lobby(t, count=2, listen=LISTEN, **more):
    redis = t.redis()
    return redis, t.frontends(count, redis, listen=listen, settings=settings(**more))


def test_the_documents_session(t):
    # Tracker starts.
    _, (a, b) = lobby(t)
    # Server A starts, connects to the tracker and logs in.
    server = t.connect(a, Game, kind="lobby-servers")
    welcome = server.login()
    assert welcome == {"type": "welcome", "id": f"127.0.0.1:{server.port}", "verify": "udp"}
    watcher = t.connect(b, Player, kind="lobby-clients")
    assert watcher.login() == {}
    server.verify()
    server.infos()
    assert watcher.change("up")[1]["id"] == server.id
    # Client 1 starts and connects to the tracker, which sends the list: right now only server A.
    client = t.connect(b, Player, kind="lobby-clients")
    servers = client.login()
    assert list(servers) == [server.id]
    listed = servers[server.id]
    assert {key: listed[key] for key in INFOS} == INFOS
    assert listed["ip"] == "127.0.0.1" and listed["port"] == server.port and listed["state"] == "live"
    assert listed["since"] > 1700000000000
    # Client 1 selects server A, disconnects from the tracker and connects to server A, where it plays.
    client.drop()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as game:
        game.sendto(b"hello", (listed["ip"], listed["port"]))
        assert server.udp.recv(100) == b"hello"
    server.infos(players=4)
    assert watcher.change("changed")[1]["players"] == 4
    # Client 1 disconnects from server A and connects to the tracker.
    server.infos(players=3)
    again = t.connect(b, Player, kind="lobby-clients")
    watcher.wait_for(lambda servers: servers[server.id]["players"] == 3)
    assert again.login()[server.id]["players"] == 3
    # Client 1 disconnects from the tracker and quits.
    again.drop()
    server.drop()
    assert watcher.change("down")[1]["id"] == server.id


def test_one_port_for_both(t):
    _, (a,) = lobby(t, 1)
    server = t.connect(a, Game, kind="lobby").be_listed()
    player = t.connect(a, Player, kind="lobby")
    player.login()
    player.wait_for(lambda servers: server.id in servers)


def test_infos_replace_the_ones_before(t):
    _, (a, b) = lobby(t)
    server = t.connect(a, Game, kind="lobby-servers").be_listed(further="x", number=1.5, flag=False)
    player = t.connect(b, Player, kind="lobby-clients")
    player.login()
    player.wait_for(lambda servers: server.id in servers)
    assert player.servers[server.id]["further"] == "x" and player.servers[server.id]["number"] == 1.5
    assert player.servers[server.id]["flag"] is False
    server.say(type="infos", description="bare", port=server.port)
    _, listed = player.change("changed")
    assert {key: listed[key] for key in INFOS} == {**{key: None for key in INFOS}, "description": "bare"}
    assert "further" not in listed
    # The same again is no change.
    server.say(type="infos", description="bare")
    server.say(type="infos", description="other")
    assert player.change("changed")[1]["description"] == "other"


def test_what_only_the_tracker_says_is_not_taken_from_a_server(t):
    _, (a,) = lobby(t, 1)
    server = t.connect(a, Game, kind="lobby-servers").be_listed(ip="9.9.9.9", id="x", since=1, state="suspect")
    player = t.connect(a, Player, kind="lobby-clients")
    player.login()
    player.wait_for(lambda servers: server.id in servers)
    listed = player.servers[server.id]
    assert listed["ip"] == "127.0.0.1" and listed["state"] == "live" and listed["since"] > 1


def test_messages_in_any_split_and_many_in_one(t):
    _, (a,) = lobby(t, 1, verify="off")
    server = t.connect(a, Game, kind="lobby-servers")
    text = json.dumps({"type": "login", "passwd": PASSWORD, "port": server.port}).encode() + b"\r\n\n"
    text += json.dumps({"type": "infos", "description": "ä"}).encode() + b"\n"
    for at in range(len(text)):
        server.send(text[at:at + 1])
    assert server.receive("welcome")["verify"] == "off"
    player = t.connect(a, Player, kind="lobby-clients")
    player.login()
    player.wait_for(lambda servers: server.id in servers)
    server.send(b"".join(json.dumps({"type": "infos", "players": n}).encode() + b"\n" for n in range(50)))
    player.wait_for(lambda servers: servers[server.id]["players"] == 49)


def test_two_servers_come_and_go(t):
    _, (a, b) = lobby(t)
    player = t.connect(b, Player, kind="lobby-clients")
    player.login()
    one = t.connect(a, Game, kind="lobby-servers").be_listed(description="one")
    assert player.change("up")[1]["description"] == "one"
    two = t.connect(b, Game, kind="lobby-servers", source="127.0.0.2").be_listed(description="two")
    assert player.change("up")[1]["ip"] == "127.0.0.2"
    one.drop()
    assert player.change("down")[1]["id"] == one.id
    two.drop()
    assert player.change("down")[1]["id"] == two.id
    assert player.servers == {}


def test_ipv6(t):
    _, (a,) = lobby(t, 1, listen=("lobby=[::1]:0",))
    server = t.connect(a, Game, kind="lobby", source="::1").be_listed()
    player = t.connect(a, Player, kind="lobby")
    player.login()
    player.wait_for(lambda servers: server.id in servers)
    assert player.servers[server.id]["ip"] == "::1"


def test_the_entry_as_documented(t):
    redis, (a,) = lobby(t, 1)
    server = t.connect(a, Game, kind="lobby-servers").be_listed()
    player = t.connect(a, Player, kind="lobby-clients")
    player.login()
    player.wait_for(lambda servers: server.id in servers)
    entry = redis.hash(f"tracker:{{lobby/1/0}}:client:{server.id}")
    assert entry[b"protocol"] == b"lobby" and entry[b"p:speed"] == b'"fast"' and entry[b"p:players"] == b"3"
    assert entry[b"p:erase"] == b"true" and b"suspect" not in entry
    t.fsck(redis)


def test_refusals_that_keep_the_connection(t):
    _, (a,) = lobby(t, 1)
    peer = t.connect(a, Lines, kind="lobby")
    for text, code in ((b"{", "bad_json"), (b"{]", "bad_json"), (b'{"type":1}', "bad_message"), (b'{"type":"dance"}', "unknown_type"),
                       (b'{"type":"ping","n":1}', "unknown_type"), (b'{"type":"infos"}', "not_logged_in"),
                       (b'{"type":"pong","n":1}', "not_logged_in"), (b'{"type":"verify","number":1}', "not_logged_in"),
                       (b'{"type":"login","passwd":"x"}', "bad_message"), (b'{"type":"login","passwd":1}', "bad_message"),
                       (b'{"type":"login","passwd":"x","port":0}', "bad_message"),
                       (b'{"type":"login","passwd":"x","port":70000}', "bad_message"),
                       (b'{"type":"login","passwd":"' + b"x" * 300 + b'","port":1}', "limit")):
        peer.send(text + b"\n")
        peer.refused(code, closes=False)
    peer.say(type="login")
    assert peer.receive("servers")["servers"] == []
    for message, code in (({"type": "login"}, "logged_in"), ({"type": "infos"}, "not_a_server"), ({"type": "pong", "n": 1}, "not_a_server"),
                          ({"type": "verify", "number": 1}, "not_a_server")):
        peer.say(**message)
        peer.refused(code, closes=False)


def test_refusals_of_a_game_servers_messages(t):
    _, (a,) = lobby(t, 1)
    server = t.connect(a, Game, kind="lobby-servers")
    server.login()
    for message, code in (({"type": "login", "passwd": PASSWORD, "port": 1}, "logged_in"), ({"type": "pong", "n": 7}, "bad_number"),
                          ({"type": "infos", "speed": "warp"}, "bad_message"), ({"type": "infos", "players": -1}, "bad_message"),
                          ({"type": "infos", "erase": "yes"}, "bad_message"), ({"type": "infos", "a": []}, "bad_message"),
                          ({"type": "infos", "port": server.port ^ 1}, "bad_message"), ({"type": "infos", "a": "x" * 3200}, "limit"),
                          ({"type": "infos", "description": "x" * 257}, "limit"), ({"type": "infos", **{f"k{n}": n for n in range(65)}}, "limit")):
        server.say(**message)
        server.refused(code, closes=False)


def test_a_line_that_is_too_long(t):
    _, (a,) = lobby(t, 1)
    peer = t.connect(a, Lines, kind="lobby")
    peer.send(b"{" + b" " * 4200)
    peer.refused("limit")


def test_neither_encoding(t):
    _, (a,) = lobby(t, 1)
    for first in (b"GET / HTTP/1.0\r\n\r\n", b"\x01", b" {"):
        peer = t.raw(a, kind="lobby")
        peer.send(first)
        assert peer.closed()
    a.wait_for_log("msg=malformed_message .*protocol=lobby kind=encoding")
    assert a.metric("tracker_malformed_total", protocol="lobby", reason="encoding") == 3


def test_a_half_closed_player_gets_its_list(t):
    _, (a,) = lobby(t, 1)
    player = t.connect(a, Player, kind="lobby-clients")
    player.say(type="login")
    player.socket.shutdown(socket.SHUT_WR)
    assert player.read_list() == {}
    assert player.closed()


def test_the_lobbys_space_is_its_own(t):
    """It is not named in map.spaces, so no other protocol can be asked for it."""
    _, (a,) = lobby(t, 1)
    headers = {"Upgrade": "websocket", "Connection": "Upgrade", "Sec-WebSocket-Version": "13", "Sec-WebSocket-Key": "AAAAAAAAAAAAAAAAAAAAAA=="}
    assert a.http("/sync/lobby", headers=headers)[0] == 404


def test_a_listener_may_have_another_space(t):
    redis = t.redis()
    listen = ("lobby=127.0.0.1:0", "lobby=127.0.0.1:0,space=other")
    a, = t.frontends(1, redis, listen=listen, settings=settings(**{"map.spaces": "main other"}))
    server = t.connect(a, Game, kind="lobby", index=1).be_listed()
    other, player = t.connect(a, Player, kind="lobby", index=1), t.connect(a, Player, kind="lobby")
    other.login()
    other.wait_for(lambda servers: server.id in servers)
    assert player.login() == {}


def test_what_a_lobby_needs_at_its_start(t):
    for kind in ("lobby", "lobby-servers"):
        done = t.run("trackerd", "--listen", f"{kind}=127.0.0.1:0", check=False)
        assert done.returncode == 2 and "lobby.password" in done.stderr, done
    assert t.run("trackerd", "--check", "--listen", "lobby-clients=127.0.0.1:0").returncode == 0
    assert t.run("trackerd", "--check", "--listen", "lobby=127.0.0.1:0,password=x").returncode == 0
    done = t.run("trackerd", "--listen", "lobby-clients=127.0.0.1:0,space=nowhere", check=False)
    assert done.returncode == 2 and "map.spaces" in done.stderr
