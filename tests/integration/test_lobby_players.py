"""What players receive: lists of any size, changes in their order, and slow readers the newest state."""
import socket

from harness.lobby import LISTEN, Game, Original, Player, settings


def lobby(t, count=2, **more):
    return t.frontends(count, t.redis(), listen=LISTEN, settings=settings(verify="off", **more))


def games(t, frontend, count, **infos):
    """Listed ones, when all are; each from a port of its own."""
    found = [t.connect(frontend, Game, kind="lobby-servers").be_listed(description=f"server {n}", **infos) for n in range(count)]
    frontend.wait_for_metric("tracker_lobby_listed", lambda value: value >= count)
    return found


def test_no_server(t):
    a, _ = lobby(t)
    player = t.connect(a, Player, kind="lobby-clients")
    player.say(type="login")
    assert player.line() == b'{"type":"servers","servers":[]}'


def test_one_server(t):
    a, b = lobby(t)
    game, = games(t, a, 1)
    player = t.connect(b, Player, kind="lobby-clients")
    player.login()
    player.wait_for(lambda servers: list(servers) == [game.id])


def logged_in(t, frontend):
    """A player who logs in again, as the library does, while what so many servers said is on its way to the map."""
    def attempt():
        player = t.connect(frontend, Player, kind="lobby-clients")
        try:
            player.login()
            return player
        except AssertionError as error:
            assert "'unavailable'" in str(error), error
            return None
    return t.wait_until(attempt, 20)


def test_500_servers_in_chunks_of_a_line(t):
    a, b = lobby(t)
    first = games(t, a, 250)
    second = games(t, b, 250)
    wanted = {game.id: f"server {n}" for one in (first, second) for n, game in enumerate(one)}
    for frontend in (a, b):
        player = logged_in(t, frontend)
        player.wait_for(lambda servers: len(servers) == 500)
        assert {id: server["description"] for id, server in player.servers.items()} == wanted
    for game in first:
        game.drop()
    player.wait_for(lambda servers: len(servers) == 250)
    assert set(player.servers) == {game.id for game in second}
    late = logged_in(t, a)
    late.wait_for(lambda servers: set(servers) == set(player.servers))


def stop_reading(player):
    player.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)


def fill_backlog(t, frontend, player, game):
    """Sends so much that the player, who does not read, has a backlog."""
    before = frontend.metric("tracker_conflations_total")
    said = 0
    while frontend.metric("tracker_conflations_total") == before:
        for _ in range(20):
            said += 1
            game.infos(further="x" * 2500, players=said)
        assert said < 20000
    return said


def test_a_slow_reader_gets_the_newest_state_and_the_others_never_wait(t):
    a, b = lobby(t, rate="0", **{"net.send_buffer": "4096", "net.write_timeout": "1h"})
    game, other, leaver = games(t, a, 3)
    slow, quick = (t.connect(b, Player, kind="lobby-clients") for _ in range(2))
    stop_reading(slow)
    for player in (slow, quick):
        player.login()
        player.wait_for(lambda servers: len(servers) == 3)
    fill_backlog(t, b, slow, game)
    leaver.drop()
    comer = t.connect(a, Game, kind="lobby-servers").be_listed(description="comer")
    other.infos(description="changed")
    game.infos(players=999)
    quick.wait_for(lambda servers: servers[game.id]["players"] == 999 and comer.id in servers and leaver.id not in servers
                   and servers[other.id]["description"] == "changed")
    received = b.metric("tracker_pushes_total", protocol="lobby", kind="changed")
    slow.wait_for(lambda servers: servers == quick.servers)
    # What it missed was joined: far less than one message for each change.
    assert b.metric("tracker_pushes_total", protocol="lobby", kind="changed") - received < 20


def test_a_server_that_came_and_went_meanwhile_is_never_sent(t):
    a, = lobby(t, 1, rate="0", **{"net.send_buffer": "4096", "net.write_timeout": "1h"})
    game, = games(t, a, 1)
    slow, quick = (t.connect(a, Player, kind="lobby-clients") for _ in range(2))
    stop_reading(slow)
    for player in (slow, quick):
        player.login()
        player.wait_for(lambda servers: len(servers) == 1)
    fill_backlog(t, a, slow, game)
    passing = t.connect(a, Game, kind="lobby-servers").be_listed()
    quick.wait_for(lambda servers: passing.id in servers)
    passing.drop()
    quick.wait_for(lambda servers: passing.id not in servers)
    last = t.connect(a, Game, kind="lobby-servers").be_listed()
    quick.wait_for(lambda servers: last.id in servers)
    while True:
        message = slow.receive("up", "changed", "down")
        assert message["server"]["id"] != passing.id, message
        if message["server"]["id"] == last.id:
            break


def test_who_missed_more_than_is_remembered_gets_the_list_again(t):
    a, = lobby(t, 1, rate="0", **{"net.send_buffer": "4096", "net.write_timeout": "1h"})
    game, = games(t, a, 1)
    slow, quick = (t.connect(a, Player, kind="lobby-clients") for _ in range(2))
    stop_reading(slow)
    for player in (slow, quick):
        player.login()
        player.wait_for(lambda servers: len(servers) == 1)
    fill_backlog(t, a, slow, game)
    for _ in range(11):  # 1,100 come and go, 1024 are remembered
        passing = games(t, a, 100)
        quick.wait_for(lambda servers: len(servers) > 100)
        for one in passing:
            one.drop()
        quick.wait_for(lambda servers: len(servers) == 1)
    lists = a.metric("tracker_pushes_total", protocol="lobby", kind="servers")
    slow.wait_for(lambda servers: servers == quick.servers)
    assert a.metric("tracker_pushes_total", protocol="lobby", kind="servers") == lists + 1


def test_a_player_who_takes_nothing_is_closed(t):
    a, = lobby(t, 1, rate="0", **{"net.send_buffer": "4096", "net.write_timeout": "1s"})
    game, = games(t, a, 1)
    slow = t.connect(a, Player, kind="lobby-clients")
    stop_reading(slow)
    slow.login()
    fill_backlog(t, a, slow, game)
    a.wait_for_metric("tracker_connections_closed_total", 1, reason="write_timeout")
    assert game.answer_pings(0.1)


def test_what_others_put_into_the_space_is_no_server(t):
    redis = t.redis()
    listen = (*LISTEN, "tracker=127.0.0.1:0,space=lobby", "sync=127.0.0.1:0,space=lobby")
    a, = t.frontends(1, redis, listen=listen, settings=settings(verify="off", **{"map.spaces": "main lobby"}))
    sensor = t.connect(a)
    sensor.open(b"state")
    assert sensor.update(b"127.0.0.1:5555", 1, b"not a server")
    game, = games(t, a, 1)
    player = t.connect(a, Player, kind="lobby-clients")
    player.login()
    player.wait_for(lambda servers: list(servers) == [game.id])
    # Whose id is taken by something else cannot be listed.
    taken = t.connect(a, Game, kind="lobby-servers")
    taken.say(type="login", passwd="letmein1", port=5555)
    taken.receive("welcome")
    taken.infos()
    taken.refused("taken")


def test_infos_that_fit_no_line_are_sent_without_their_further_keys(t):
    """What somebody else wrote into Redis may be longer than any server may say."""
    redis = t.redis()
    a, = t.frontends(1, redis, listen=LISTEN, settings=settings(verify="off"))
    game, = games(t, a, 1)
    player = t.connect(a, Player, kind="lobby-clients")
    player.login()
    player.wait_for(lambda servers: game.id in servers)
    game.infos(further="\\" * 1400)
    kind, server = player.change()
    assert kind == "changed" and server["further"] == "\\" * 1400
    key = f"tracker:{{lobby/1/0}}:client:{game.id}"
    redis("HSET", key, "p:huge", '"' + "h" * 5000 + '"')
    late = t.frontend(redis, listen=LISTEN, settings=settings(verify="off"))
    other = t.connect(late, Player, kind="lobby-clients")
    other.login()
    other.wait_for(lambda servers: game.id in servers)
    assert "huge" not in other.servers[game.id] and other.servers[game.id]["speed"] == "fast"


def test_the_list_is_sent_while_redis_is_unreachable(t):
    redis = t.redis()
    a, = t.frontends(1, redis, listen=LISTEN, settings=settings(verify="off"))
    game, = games(t, a, 1)
    first = t.connect(a, Player, kind="lobby-clients")
    first.login()
    first.wait_for(lambda servers: game.id in servers)
    redis.process.kill()
    t.wait_until(lambda: not a.ready(), what="Redis is missed")
    second = t.connect(a, Player, kind="lobby-clients")
    assert list(second.login()) == [game.id]
    # A joining server is refused, one that is listed stays.
    new = t.connect(a, Game, kind="lobby-servers").be_listed()
    new.refused("unavailable")
    assert game.answer_pings(0.2)
    game.infos(players=77)
    redis.start()
    first.wait_for(lambda servers: game.id in servers and servers[game.id]["players"] == 77, 30)


def test_an_original_client_beside_the_others(t):
    a, b = lobby(t)
    game, = games(t, a, 1)
    original = t.connect(b, Original, kind="lobby-clients")
    original.login_client()
    which, packet = original.receive()
    assert which == 0 and packet["port"] == game.port
