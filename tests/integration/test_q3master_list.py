"""The master: who registers is listed, on every front-end, as long as it is there."""
import time

from harness import scaled
from harness.q3master_masters import Masters

FAST = {"q3master.ttl": "2s", "q3master.probes": "3", "q3master.probe_interval": "300ms",
        "map.sweep": "200ms", "map.recovery_grace": "0s"}


def both(test):
    """The test in both families."""
    def run(t):
        for family in ("ipv4", "ipv6"):
            test(t, family)
    run.__name__, run.__doc__ = test.__name__, test.__doc__
    return run


@both
def test_a_server_is_listed_by_both(t, family):
    masters = Masters(t, family, 2)
    game = masters.server()
    game.register()
    masters.expect([game], index=0)
    masters.expect([game], index=1)
    key = f"tracker:{{lobby/1/0}}:client:{game.where}"
    assert masters.redis("HGET", key, "p:hostname") == b'"a server"'
    assert masters.redis("HGET", key, "p:gamename") == b'"Xonotic"'
    assert masters.redis("HGET", key, "protocol") == b"q3master"
    assert masters.redis("HGET", key, "node") == b"" and masters.redis("HGET", key, "session") == b"0" * 32
    assert masters.redis("HEXISTS", key, "p:challenge") == 0
    assert masters.redis("PTTL", key) > 15 * 60 * 1000
    t.ctl(masters.redis, "--space", "lobby", "fsck")


@both
def test_what_it_says_of_itself_changes(t, family):
    masters = Masters(t, family, 2)
    game = masters.server()
    game.register()
    masters.expect([game], "Xonotic 3", index=1)
    game.register(clients="0", gametype="CA")
    masters.expect([], "Xonotic 3", index=1)
    masters.expect([game], "Xonotic 3 empty gametype=CA", index=1)
    t.fsck(masters.redis)


@both
def test_one_that_falls_silent_is_asked_three_times_and_goes(t, family):
    masters = Masters(t, family, 2, FAST)
    game = masters.server()
    game.register()
    masters.expect([game], index=1)
    for _ in range(3):
        game.challenge()
    masters.expect([], index=0)
    masters.expect([], index=1)
    assert game.is_silent(0.6)
    assert masters.metric("probes_total", 0) + masters.metric("probes_total", 1) == 3
    t.ctl(masters.redis, "--space", "lobby", "fsck")


@both
def test_one_that_answers_when_asked_stays(t, family):
    masters = Masters(t, family, 2, FAST)
    game = masters.server()
    game.register()
    for _ in range(3):
        challenge, sender = game.challenge()
        game.answer(challenge, sender)
        masters.expect([game], index=1)
    t.wait_until(lambda: masters.redis("HEXISTS", f"tracker:{{lobby/1/0}}:client:{game.where}", "probe") == 0,
                 what="the last answer has arrived")


@both
def test_the_question_of_one_front_end_is_answered_to_another(t, family):
    masters = Masters(t, family, 2)
    game = masters.server()
    game.heartbeat()
    challenge, _ = game.challenge()
    game.answer(challenge, masters.address(1))
    masters.expect([game], index=0)


def test_a_killed_front_ends_servers_stay(t):
    masters = Masters(t, "ipv4", 2, {"map.sweep": "200ms", "map.lease": "1s", "map.recovery_grace": "1s"})
    game = masters.server()
    game.register()
    masters.expect([game], index=1)
    masters.frontends[0].kill()
    nodes = "tracker:{lobby/1/0}:nodes"
    t.wait_until(lambda: masters.redis("ZCARD", nodes) == 1, 20)
    masters.expect([game], index=1)
    t.fsck(masters.redis)


def test_an_emptied_redis_gets_them_back(t):
    masters = Masters(t, "ipv4", 2, {"map.sweep": "200ms", "map.recovery_grace": "1s"})
    games = [masters.server() for _ in range(20)]
    for game in games:
        game.register()
    masters.expect(games, index=1)
    secret = masters.redis("GET", "tracker:secret:q3master")
    masters.redis("FLUSHALL")
    t.wait_until(lambda: masters.redis("ZCARD", "tracker:{lobby/1/0}:registered") == 20, 10)
    masters.expect(games, index=0)
    masters.expect(games, index=1)
    assert masters.redis("GET", "tracker:secret:q3master") == secret
    t.fsck(masters.redis)


@both
def test_flatline_takes_off_who_is_gone(t, family):
    masters = Masters(t, family, 2, {"q3master.probe_interval": "200ms", "map.sweep": "200ms", "map.recovery_grace": "0s"})
    info = {"gamename": None, "protocol": "84"}
    gone = masters.server(tag="EnemyTerritory-1", **info)
    there = masters.server(tag="EnemyTerritory-1", **info)
    for game in (gone, there):
        game.register()
    masters.expect([gone, there], "et 84", index=1)
    gone.heartbeat("ETFlatline-1", masters.address(1))
    there.heartbeat("ETFlatline-1", masters.address(1))
    challenge, sender = there.challenge()
    there.answer(challenge, sender)
    masters.expect([there], "et 84", index=1)
    masters.expect([there], "et 84", index=0)


def test_who_stops_is_off_the_list_within_the_bound(t):
    """(probes + 1) intervals and a second after its last word: what is late once does not add up. A busy machine
    may spoil a round, so that the best of three counts."""
    masters = Masters(t, settings={"q3master.probes": "3", "q3master.probe_interval": "1s"})
    bound = 4 * 1.0 + 1.0  # with the usual interval of 2 s: 9 s
    longest = []
    for _ in range(3):
        games = [masters.server() for _ in range(6)]
        for game in games:
            game.register()
        masters.expect(games)
        said, took = {}, {}
        for game in games:
            game.heartbeat()
            said[game.where] = time.monotonic()
            time.sleep(0.17)  # at different times of the sweeps
        player = masters.player()
        while len(took) < len(games):
            listed = player.servers(masters.question())
            for where, since in said.items():
                if where not in took and listed is not None and where not in listed:
                    took[where] = time.monotonic() - since
            assert time.monotonic() - max(said.values()) < scaled(30), (listed, took)
            time.sleep(0.02)
        longest.append(max(took.values()))
        if longest[-1] <= bound:
            break
    assert min(longest) <= bound, longest


def test_flatline_of_who_is_not_listed_is_not_answered(t):
    masters = Masters(t)
    game = masters.server()
    game.heartbeat("ETFlatline-1")
    assert game.is_silent()
    game.heartbeat()
    game.challenge()


def test_a_server_of_the_lobby_is_listed_where_it_says_what_it_plays(t):
    import json
    import socket
    masters = Masters(t, settings={"lobby.password": "secret", "lobby.verify": "off"},
                      listen=("lobby=127.0.0.1:0",))
    with socket.create_connection(masters.frontends[0].address("lobby"), timeout=10) as lobby:
        for line in ({"type": "login", "passwd": "secret", "port": 23460},
                     {"type": "infos", "speed": "fast", "game": "Xonotic", "protocol": 3, "players": 1}):
            lobby.sendall(json.dumps(line).encode() + b"\n")
        masters.player().wait_for("getservers Xonotic 3", ["127.0.0.1:23460"])
        # A registration does not come in its place.
        game = masters.server(port=23460)
        game.register()
        masters.expect_count("q3master_dropped_total", reason="map")
    masters.player().wait_for("getservers Xonotic 3", [], timeout=20)
