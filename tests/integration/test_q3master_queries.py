"""The master's answers to players, each in IPv4 and IPv6 where both can ask."""
import time

from harness.q3master import EOT, parse
from harness.q3master_masters import Masters


def both(test):
    """The test in both families."""
    def run(t):
        for family in ("ipv4", "ipv6"):
            test(t, family)
    run.__name__, run.__doc__ = test.__name__, test.__doc__
    return run


@both
def test_empty_and_full(t, family):
    masters = Masters(t, family)
    empty = masters.server(clients="0")
    some = masters.server(clients="3")
    full = masters.server(clients="8")
    over = masters.server(clients="9")
    odd = masters.server(clients="some")
    for game in (empty, some, full, over, odd):
        game.register()
    masters.expect([empty, some, full, over, odd])
    masters.expect([some, over], "Xonotic 3")
    masters.expect([some, over, empty, odd], "Xonotic 3 empty")
    masters.expect([some, over, full], "Xonotic 3 full")


@both
def test_game_types(t, family):
    masters = Masters(t, family)
    types = {"ffa": "0", "tourney": "1", "team": "3", "ctf": "4", "gametype=CA": "CA"}
    games = {word: masters.server(gametype=value) for word, value in types.items()}
    unsaid = masters.server()
    for game in (*games.values(), unsaid):
        game.register()
    masters.expect([*games.values(), unsaid])
    for word, game in games.items():
        masters.expect([game, unsaid] if word == "ffa" else [game], f"Xonotic 3 {word}")
    masters.expect([games["ctf"]], "Xonotic 3 gametype=4")
    masters.expect([], "Xonotic 3 gametype=ca")


@both
def test_protocols_and_games_are_apart(t, family):
    masters = Masters(t, family)
    one = masters.server()
    other = masters.server(protocol="4")
    nexuiz = masters.server(gamename="Nexuiz")
    for game in (one, other, nexuiz):
        game.register()
    masters.expect([one], "Xonotic 3")
    masters.expect([other], "Xonotic 4")
    masters.expect([nexuiz], "Nexuiz 3")
    masters.expect([], "Nexuiz 4")


@both
def test_enemy_territory_always_wants_all(t, family):
    masters = Masters(t, family)
    games = [masters.server(tag="EnemyTerritory-1", gamename=None, protocol="84", clients=clients)
             for clients in ("0", "3", "8")]
    for game in games:
        game.register()
    masters.expect(games, "et 84")


def test_without_a_game(t):
    masters = Masters(t)
    quake = masters.server(tag="QuakeArena-1", gamename=None, protocol="68")
    arena = masters.server(gamename="Quake3Arena", protocol="71")
    open_arena = masters.server(tag="QuakeArena-1", gamename=None, protocol="71")
    xonotic = masters.server(protocol="71")
    quake.register()
    masters.expect([quake], "68")
    masters.expect([], "71")
    open_arena.register()
    masters.expect([open_arena], "71")
    arena.register()
    xonotic.register()
    masters.expect([arena, open_arena], "71")  # of the servers whose tag implied their game
    masters.expect([xonotic], "Xonotic 71")
    masters.expect([], "12345")
    masters.expect([arena, open_arena], "0x47 empty")  # numbers are as in C
    player = masters.player()
    assert player.ask("getservers") is None or player.servers("getservers") == []
    assert player.ask("getserversExt 68", 0.3) is None  # there a game is needed


def test_whoever_names_a_game_does_not_take_over_a_list_without_one(t):
    """Neither by coming first, nor by being asked again."""
    masters = Masters(t, "ipv4", 2, settings={"q3master.games": "Warsow heartbeat=Warsow",
                                              "map.recovery_grace": "0s", "q3master.ttl": "5s", "q3master.probes": "3",
                                              "q3master.probe_interval": "1s"})
    fake = masters.server(gamename="Fake", protocol="71")
    named = masters.server(gamename="Warsow", protocol="71")  # as the tag would, but it only says so
    for game, name in ((fake, "Fake"), (named, "Warsow")):
        game.register()
        masters.expect([game], f"{name} 71", 1)
    for index in (0, 1):  # nobody else is there: the oldest
        masters.expect([fake], "71", index)
    real = masters.server(tag="QuakeArena-1", gamename="Quake3Arena", protocol="71")
    real.register()
    for game in (fake, named, real):  # all are asked again, and answer
        challenge, sender = game.challenge()
        game.answer(challenge, sender)
    for index in (0, 1):
        masters.expect([real], "71", index)
    # A known protocol: the table's game where a server of it is there, else that of those that are there.
    warsow = masters.server(tag="Warsow", gamename=None, protocol="68")
    warsow.register()
    masters.expect([warsow], "68")
    quake = masters.server(tag="QuakeArena-1", gamename=None, protocol="68")
    quake.register()
    for index in (0, 1):
        masters.expect([quake], "68", index)


def test_families(t):
    masters = Masters(t, "both")
    four, six = masters.server(), masters.server(family="ipv6")
    four.register()
    six.register()
    expected = {"getserversExt Xonotic 3": [four, six], "getserversExt Xonotic 3 ipv4": [four],
                "getserversExt Xonotic 3 ipv6": [six], "getserversExt Xonotic 3 ipv6 ipv4": [four, six],
                "getservers Xonotic 3": [four]}
    for family in ("ipv4", "ipv6"):
        for question, games in expected.items():
            masters.player(family=family).wait_for(question, [game.where for game in games])
    assert masters.player().ask("getservers Xonotic 3")[0].startswith(b"getserversResponse")
    assert masters.player().ask("getserversExt Xonotic 3")[0].startswith(b"getserversExtResponse")


def test_answers_come_from_the_address_that_was_asked(t):
    masters = Masters(t, "both")
    port = masters.address()[1]
    player = masters.player(host="127.0.0.9")
    for host in ("127.0.0.1", "127.0.0.2", "127.3.4.5"):
        player.send(b"getservers Xonotic 3", (host, port))
        text, sender = player.receive()
        assert text.endswith(EOT) and sender == (host, port)


@both
def test_a_thousand_servers(t, family):
    # It asks more often than a player does.
    masters = Masters(t, family, settings={"q3master.max_per_address": "0", "q3master.prefix_burst": "4MiB"})
    games = [masters.server() for _ in range(1000)]
    for game in games:
        game.register()
    wanted = sorted(game.where for game in games)
    masters.expect(games, timeout=30)
    player = masters.player()
    firsts = set()
    for _ in range(8):
        packets = player.ask(masters.question())
        assert len(packets) > 5 and all(len(text) + 4 <= 1400 for text in packets)
        assert [text.endswith(EOT) for text in packets] == [False] * (len(packets) - 1) + [True]
        assert not any(EOT in text for text in packets[:-1])
        assert sorted(where for text in packets for where in parse(text)) == wanted
        firsts.add(parse(packets[0])[0])
    assert len(firsts) > 2, firsts


@both
def test_an_answer_without_servers(t, family):
    masters = Masters(t, family)
    name = b"getserversResponse" if family == "ipv4" else b"getserversExtResponse"
    assert masters.player().ask(masters.question("Nothing 1")) == [name + EOT]


def test_no_question_asks_redis(t):
    masters = Masters(t)
    game = masters.server()
    game.register()
    masters.expect([game])
    masters.redis.process.freeze()
    try:
        player = masters.player()
        for number in range(50):
            assert player.servers(f"getservers Xonotic 3 gametype={number % 10}") is not None
        assert player.servers("getservers Xonotic 3") == [game.where]
    finally:
        masters.redis.process.thaw()


def test_lists_are_prepared_and_the_least_used_dropped(t):
    masters = Masters(t, settings={"q3master.filters": "10"})
    player = masters.player()
    player.servers("getservers Xonotic 3")
    made = masters.metric("q3master_lists_made_total")
    for _ in range(20):
        player.servers("getservers Xonotic 3")
    assert masters.metric("q3master_lists_made_total") == made
    for number in range(30):
        player.servers(f"getservers Xonotic {number + 10}")
    assert masters.metric("q3master_lists_made_total") == made + 30
    player.servers("getservers Xonotic 39")
    assert masters.metric("q3master_lists_made_total") == made + 30
    # Of those that were requested once the oldest have gone, and what is requested more often has stayed.
    player.servers("getservers Xonotic 3")
    assert masters.metric("q3master_lists_made_total") == made + 30
    player.servers("getservers Xonotic 10")
    assert masters.metric("q3master_lists_made_total") == made + 31


def test_while_servers_change_a_list_is_made_now_and_then(t):
    masters = Masters(t, settings={"q3master.refresh": "1s"})
    player, game = masters.player(), masters.server()
    player.servers("getservers Xonotic 3 empty")
    began, made = time.monotonic(), masters.metric("q3master_lists_made_total")
    for number in range(40):
        game.register(gametype=str(number))
        player.servers("getservers Xonotic 3 empty")
    elapsed = time.monotonic() - began
    assert masters.metric("q3master_lists_made_total") - made <= elapsed + 2
    t.wait_until(lambda: player.servers("getservers Xonotic 3 gametype=39") == [game.where])
