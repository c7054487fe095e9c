"""The lobby over several front-ends: a server that comes back elsewhere, front-ends that end, takeovers."""
import os

from harness.lobby import LISTEN, Game, Player, settings


def lobby(t, count=2, **more):
    redis = t.redis()
    return redis, t.frontends(count, redis, listen=LISTEN, settings=settings(**more))


def watch(t, frontend):
    player = t.connect(frontend, Player, kind="lobby-clients")
    player.login()
    return player


def come_back(t, frontend, game, **options):
    """The same server, from the same game port, by a new connection."""
    port = game.port
    game.udp.close()
    again = t.connect(frontend, Game, kind="lobby-servers", port=port)
    again.be_listed(**options)
    assert again.id == game.id
    return again


def test_a_front_end_is_killed_and_its_server_comes_back_at_another(t):
    redis, (a, b) = lobby(t)
    player = watch(t, b)
    game = t.connect(a, Game, kind="lobby-servers").be_listed(players=1)
    player.wait_for(lambda servers: game.id in servers)
    since = player.servers[game.id]["since"]
    a.kill()
    # At once, long before anybody takes the front-end for dead: the entry is still a's.
    again = come_back(t, b, game, players=2)
    player.wait_for(lambda servers: game.id in servers and servers[game.id]["players"] == 2, 30)
    assert player.servers[game.id]["since"] >= since
    again.infos(players=3)
    player.wait_for(lambda servers: servers[game.id]["players"] == 3)
    assert again.answer_pings(0.1)
    t.fsck(redis)


def test_a_front_end_is_frozen_for_longer_than_an_answer_is_waited_for(t):
    """Its lease is longer than redis.deadline: the server that comes back waits, and is not sent away."""
    more = {"map.lease": "8s", "redis.deadline": "1s"}
    _, (a, b) = lobby(t, **more)
    player = watch(t, b)
    game = t.connect(a, Game, kind="lobby-servers").be_listed(players=1)
    player.wait_for(lambda servers: game.id in servers)
    a.freeze()
    again = come_back(t, b, game, players=2)
    player.wait_for(lambda servers: game.id in servers and servers[game.id]["players"] == 2, 40)
    again.infos(players=3)
    player.wait_for(lambda servers: servers[game.id]["players"] == 3)
    a.thaw()
    game.refused("taken")


def test_a_front_end_is_killed_and_its_server_does_not_return(t):
    redis, (a, b) = lobby(t, **{"client.grace": "1s"})
    player = watch(t, b)
    game = t.connect(a, Game, kind="lobby-servers").be_listed()
    player.wait_for(lambda servers: game.id in servers)
    a.kill()
    # The lease of 3 s and a sweep, the grace of 1 s here and a sweep: 10 s at most with the usual one of 5 s.
    player.wait_for(lambda servers: not servers, 30)
    t.fsck(redis)


def test_the_old_connection_lingers_and_the_new_one_takes_its_place(t):
    redis, (a, b) = lobby(t)
    player = watch(t, b)
    game = t.connect(a, Game, kind="lobby-servers").be_listed(players=1, further="old")
    player.wait_for(lambda servers: game.id in servers)
    again = come_back(t, b, game, players=2)
    game.refused("taken")
    player.wait_for(lambda servers: game.id in servers and servers[game.id]["players"] == 2)
    # Nothing of the old one's infos is left.
    assert "further" not in player.servers[game.id]
    again.infos(players=3)
    player.wait_for(lambda servers: servers[game.id]["players"] == 3)
    # And the same on one front-end.
    last = come_back(t, b, again, players=4)
    again.refused("taken")
    player.wait_for(lambda servers: game.id in servers and servers[game.id]["players"] == 4)
    assert last.answer_pings(0.1)
    t.fsck(redis)


def test_a_suspect_one_that_comes_back_is_live(t):
    _, (a, b) = lobby(t, ping="300ms", max_missed="1000", timeout="1h")
    player = watch(t, b)
    game = t.connect(a, Game, kind="lobby-servers").be_listed()
    player.wait_for(lambda servers: game.id in servers and servers[game.id]["state"] == "suspect")
    come_back(t, b, game, players=9)
    player.wait_for(lambda servers: game.id in servers and servers[game.id]["players"] == 9
                    and servers[game.id]["state"] == "live")


def test_somebody_elses_password_does_not_take_its_place(t):
    path = os.path.join(t.directory(), "passwords")
    with open(path, "w", encoding="ascii") as file:
        for name in ("alice", "bob"):
            file.write(t.run("trackerctl", "password", name, input=f"{name}'s\n").stdout)
    _, (a, b) = lobby(t, passwords_file=path, verify="off")
    player = watch(t, b)
    game = t.connect(a, Game, kind="lobby-servers").be_listed("alice's", "alice")
    player.wait_for(lambda servers: game.id in servers)
    other = t.connect(b, Game, kind="lobby-servers")
    other.say(type="login", passwd="bob's", name="bob", port=game.port)
    other.receive("welcome")
    other.infos(players=66)
    other.refused("taken")
    game.infos(players=5)
    player.wait_for(lambda servers: servers[game.id]["players"] == 5)
    again = t.connect(b, Game, kind="lobby-servers")
    again.say(type="login", passwd="alice's", port=game.port)
    again.receive("welcome")
    again.infos(players=6)
    game.refused("taken")
    player.wait_for(lambda servers: game.id in servers and servers[game.id]["players"] == 6)


def test_a_drain_notifies_and_its_servers_stay_listed_for_their_return(t):
    redis, (a, b) = lobby(t, **{"drain.time": "0s"})
    player, guest = watch(t, b), watch(t, a)
    game = t.connect(a, Game, kind="lobby-servers").be_listed(players=1)
    player.wait_for(lambda servers: game.id in servers)
    a.drain()
    game.refused("draining")
    message = guest.receive("up", "error")
    if message["type"] == "up":
        message = guest.receive("error")
    assert message["code"] == "draining" and guest.closed()
    again = come_back(t, b, game, players=2)
    # It was never gone.
    while player.servers[game.id]["players"] != 2:
        player.change("changed")
    assert again.answer_pings(0.1)
    t.fsck(redis)


def test_a_lost_connection_waits_for_its_return_and_a_close_does_not(t):
    _, (a, b) = lobby(t)
    player = watch(t, b)
    lost, gone = (t.connect(a, Game, kind="lobby-servers").be_listed(players=1) for _ in range(2))
    player.wait_for(lambda servers: {lost.id, gone.id} <= set(servers))
    lost.reset()
    gone.drop()
    assert player.change()[1]["id"] == gone.id
    come_back(t, b, lost, players=2)
    kind, server = player.change()
    assert (kind, server["id"], server["players"]) == ("changed", lost.id, 2)


def test_kicked_by_an_operator(t):
    redis, (a, b) = lobby(t)
    player = watch(t, b)
    game = t.connect(a, Game, kind="lobby-servers").be_listed()
    player.wait_for(lambda servers: game.id in servers)
    t.ctl(redis, "--space", "lobby", "kick", game.id)
    assert game.closed()
    assert player.change("down")[1]["id"] == game.id


def test_redis_comes_back_empty(t):
    redis, (a, b) = lobby(t)
    player = watch(t, b)
    games = [t.connect(a, Game, kind="lobby-servers").be_listed(players=n) for n in range(3)]
    player.wait_for(lambda servers: len(servers) == 3)
    redis.process.kill()
    games[0].infos(players=10)
    redis.start()
    games[1].infos(players=11)
    player.wait_for(lambda servers: [servers[game.id]["players"] if game.id in servers else None for game in games] == [10, 11, 2], 40)
    t.fsck(redis)


def test_trackerd_without_a_lobby_makes_no_space(t):
    redis = t.redis()
    plain = t.frontend(redis)
    assert redis("HGETALL", "tracker:spaces") == [b"main", b"1"], plain.log
    t.frontend(redis, listen=LISTEN, settings=settings())
    assert sorted(redis("HGETALL", "tracker:spaces")[::2]) == [b"lobby", b"main"]


def test_both_roles_of_one_address_in_many_sockets(t):
    """A smoke test of many coming and going at once, with what is left at the end."""
    redis, (a, b) = lobby(t, verify="off")
    player = watch(t, a)
    kept = []
    for turn in range(5):
        games = [t.connect((a, b)[n % 2], Game, kind="lobby-servers").be_listed(players=turn) for n in range(20)]
        players = [watch(t, (a, b)[n % 2]) for n in range(10)]
        player.wait_for(lambda servers: {game.id for game in games} <= set(servers))
        for one in players + games[1:]:
            one.drop()
        kept.append(games[0])
    player.wait_for(lambda servers: set(servers) == {game.id for game in kept})
    late = watch(t, b)
    late.wait_for(lambda servers: set(servers) == {game.id for game in kept})
    t.fsck(redis)
