"""What the master does not let anybody do, and what it is configured to."""
import os
import time

from harness.q3master import MASTER_SETTINGS
from harness.q3master_masters import Masters
from harness.waiting import scaled


def both(test):
    """The test in both families."""
    def run(t):
        for family in ("ipv4", "ipv6"):
            test(t, family)
    run.__name__, run.__doc__ = test.__name__, test.__doc__
    return run


@both
def test_servers_of_an_address(t, family):
    masters = Masters(t, family, settings={"q3master.max_per_address": "5"})
    games = [masters.server() for _ in range(8)]
    for game in games:
        game.register()
    masters.expect_count("q3master_dropped_total", 3, reason="max_per_address")
    masters.expect(games[:5])
    games[0].register(clients="3")  # one that is there may say more
    masters.expect_count("q3master_registered_total", 6)
    if family == "ipv4":
        other = masters.server(host="127.0.0.2")
        other.register()
        masters.expect([*games[:5], other])


@both
def test_servers_in_all(t, family):
    masters = Masters(t, family, 2, settings={"q3master.max_servers": "3"})
    games = [masters.server(index % 2) for index in range(3)]
    for game in games:
        game.register()
    for index in range(2):
        masters.expect(games, index=index)
        late = masters.server(index)
        late.register()
        masters.expect_count("q3master_dropped_total", 1, index, reason="max_servers")


def is_in(masters, index, games):
    """All of these are listed, and the list is as long as it may be."""
    listed = masters.player(index).servers("getservers Xonotic 3 empty full") or []
    return len(listed) == 12 and {game.where for game in games} <= set(listed)


def test_room_for_newcomers_in_a_full_list(t):
    """Networks share it: a server of a network with few gets in, and the newest of the largest network is removed."""
    masters = Masters(t, "ipv4", 2, settings={"q3master.max_servers": "12"})
    old = [masters.server(host=f"127.1.0.{1 + number}") for number in range(4)]
    flood = [masters.server(number % 2, host=f"127.2.{number % 2}.1") for number in range(8)]
    for number, game in enumerate([*old, *flood], 1):
        game.register()
        for index in (0, 1):
            masters.expect([*old, *flood][:number], index=index)
    for number in range(3):  # until the flood has 5, and the others 7
        newcomer = masters.server(number % 2, host=f"127.{3 + number}.0.1")
        newcomer.register()
        old.append(newcomer)
        t.wait_until(lambda: all(is_in(masters, index, old) for index in (0, 1)))
    assert sum(masters.metric("q3master_evicted_total", index) for index in (0, 1)) == 3
    assert is_in(masters, 0, [*old, *flood[:2]]), "who was listed long stays"
    # Its own network holds most: it has to wait.
    late = masters.server(host="127.2.1.1")
    late.register()
    masters.expect_count("q3master_dropped_total", 1, reason="max_servers")
    t.ctl(masters.redis, "--space", "lobby", "fsck")


def test_no_limit_of_servers(t):
    masters = Masters(t, settings={"q3master.max_servers": "0", "q3master.max_per_address": "0"})
    games = [masters.server() for _ in range(40)]
    for game in games:
        game.register()
    masters.expect(games)


@both
def test_loopback_is_refused_by_default(t, family):
    masters = Masters(t, family, settings={"q3master.allow_loopback": "false"})
    game = masters.server()
    game.heartbeat()
    assert game.is_silent()
    masters.expect_count("q3master_dropped_total", reason="loopback")


def test_mapped_addresses(t):
    masters = Masters(t, "both", 2, settings={"q3master.allow_loopback": "false", "q3master.ttl": "2s",
                                              "q3master.probe_interval": "400ms", "map.sweep": "200ms",
                                              "map.recovery_grace": "0s",
                                              "q3master.map": "127.0.0.5=203.0.113.9, ::1=2001:db8::7"})
    four, six = masters.server(host="127.0.0.5"), masters.server(family="ipv6")
    for game, where in ((four, f"203.0.113.9:{four.port}"), (six, f"[2001:db8::7]:{six.port}")):
        game.register()
        family = "ipv4" if game is four else "ipv6"
        for index in range(2):
            masters.player(index).wait_for(f"getserversExt Xonotic 3 {family}", [where])
        challenge, sender = game.challenge()  # it is asked where it is
        game.answer(challenge, sender)
        masters.player().wait_for(f"getserversExt Xonotic 3 {family}", [where])
    other = masters.server()
    other.heartbeat()
    assert other.is_silent()


@both
def test_rates_of_heartbeats(t, family):
    masters = Masters(t, family, settings={"q3master.heartbeat_rate": "1", "q3master.heartbeat_burst": "4"})
    games = [masters.server() for _ in range(10)]
    began = time.monotonic()
    for game in games:
        game.heartbeat()
    masters.expect_count("messages_total", 10, kind="heartbeat")
    # As many more as there were seconds between the first and the last.
    most = 4 + 1 + int(time.monotonic() - began) + 1
    asked = sum(not game.is_silent(scaled(0.2)) for game in games)
    assert 4 <= asked <= most
    assert masters.metric("q3master_dropped_total", reason="heartbeat_rate") == len(games) - asked
    if family == "ipv4":
        other = masters.server(host="127.0.0.2")
        other.heartbeat()
        other.challenge()


@both
def test_rates_of_queries(t, family):
    masters = Masters(t, family, settings={"q3master.query_rate": "1", "q3master.query_burst": "4"})
    player = masters.player()
    for _ in range(10):
        player.send(masters.question().encode())
    masters.expect_count("messages_total", 10, kind="getservers" if family == "ipv4" else "getserversext")
    answers = sum(player.receive(0.1)[0] is not None for _ in range(10))
    assert 4 <= answers <= 6
    if family == "ipv4":
        assert masters.player(host="127.0.0.2").servers(masters.question()) == []


def test_newcomers_are_not_refused_by_a_full_table(t):
    masters = Masters(t, settings={"q3master.addresses": "10", "q3master.query_rate": "1",
                                   "q3master.query_burst": "1", "q3master.heartbeat_rate": "1",
                                   "q3master.heartbeat_burst": "1"})
    for number in range(1, 60):
        player = masters.player(host=f"127.0.1.{number}")
        assert player.servers("getservers Xonotic 3") == []
        game = masters.server(host=f"127.0.1.{number}")
        game.heartbeat()
        game.challenge()


def test_the_cap_of_what_is_sent(t):
    masters = Masters(t, settings={"q3master.max_output": "64KiB", "q3master.max_per_address": "0"})
    for _ in range(400):
        masters.server().register()
    t.wait_until(lambda: masters.metric("q3master_servers") == 400)
    player = masters.player()
    for _ in range(200):
        player.send(b"getservers Xonotic 3")
    t.wait_until(lambda: masters.metric("messages_total", kind="getservers") == 200)
    assert masters.metric("q3master_dropped_total", reason="max_output") > 150
    # What keeps servers listed is answered all the same.
    for _ in range(20):
        game = masters.server()
        game.heartbeat()
        game.challenge()
    t.wait_until(lambda: masters.player().ask("getservers Xonotic 3", 0.2) is not None)


@both
def test_bans(t, family):
    masters = Masters(t, family, 2, settings={"lobby.bans_reread": "200ms"})
    host = "127.0.0.7" if family == "ipv4" else "::1"
    game = masters.server(host=host)
    game.register()
    masters.expect([game], index=1)
    t.ctl(masters.redis, "ban", host)
    t.wait_until(lambda: masters.redis("EXISTS", f"tracker:{{lobby/1/0}}:client:{game.where}") == 0)
    for index in range(2):
        game.heartbeat(to=masters.address(index))
        masters.frontends[index].wait_for_metric("tracker_q3master_dropped_total", 1, reason="banned")
    assert game.is_silent(0.1)
    t.ctl(masters.redis, "unban", host)
    t.wait_until(lambda: game.heartbeat() or not game.is_silent(0.1))


def test_a_reload(t):
    config = "[q3master]\nreject = Xonotic\nallow_loopback = true\nsecret = first\n"
    redis = t.redis()
    frontend = t.frontend(redis, listen=("q3master=127.0.0.1:0", "web=127.0.0.1:0"), config=config)
    masters = Masters.__new__(Masters)
    masters.t, masters.family, masters.redis, masters.frontends = t, "ipv4", redis, [frontend]
    game = masters.server()
    game.register()
    masters.expect_count("q3master_dropped_total", reason="game")
    frontend.write_config(config.replace("reject", "accept").replace("first", "second"))
    game.heartbeat()
    challenge, sender = game.challenge()
    frontend.reload()
    frontend.wait_for_log("msg=reloaded")
    game.answer(challenge, sender)  # the secret before is still good
    masters.expect([game])
    other = masters.server(gamename="Nexuiz")
    other.register()
    masters.expect_count("q3master_dropped_total", 2, reason="game")
    frontend.write_config(config.replace("reject", "games = x heartbeat="))
    frontend.reload()
    frontend.wait_for_log("msg=reload_refused")
    assert game.heartbeat() or game.challenge()


def test_what_cannot_be_configured(t):
    for listen, settings, word in (
            ("q3master=127.0.0.1", {}, "listen"), ("q3master=unix:/tmp/x", {}, "listen"),
            ("q3master=127.0.0.1:0,tls=true", {}, "unknown option"),
            ("q3master=127.0.0.1:0,space=nowhere", {}, "space"),
            ("q3master=127.0.0.1:0", {"q3master.map": "10.0.0.1"}, "map"),
            ("q3master=127.0.0.1:0", {"q3master.map": "10.0.0.1=::1"}, "map"),
            ("q3master=127.0.0.1:0", {"q3master.accept": "a", "q3master.reject": "b"}, "accept"),
            ("q3master=127.0.0.1:0", {"q3master.games": "x heartbeat=DarkPlaces"}, "games"),
            ("q3master=127.0.0.1:0", {"q3master.ttl": "2s", "q3master.probe_interval": "1s"}, "ttl"),
            ("q3master=127.0.0.1:0", {"q3master.max_output": "1KiB"}, "max_output")):
        options = [word for key, value in settings.items() for word in ("--set", f"{key}={value}")]
        done = t.run("trackerd", "--check", "--listen", listen, *options, check=False)
        assert done.returncode == 2 and word in done.stderr, (listen, settings, done)


def test_options_of_a_listener(t):
    settings = {key: value for key, value in MASTER_SETTINGS.items() if "loopback" not in key}
    frontend = t.frontend(t.redis(), listen=("q3master=127.0.0.1:0,allow_loopback=true,udp.batch=8",
                                             "q3master=127.0.0.1:0", "web=127.0.0.1:0"), settings=settings)
    from harness.q3master import GameServer
    for index in range(2):
        game = GameServer(frontend.address("q3master", index))
        game.heartbeat()
        assert game.is_silent(0.3) == (index == 1)
        game.close()


def test_a_port_that_is_taken(t):
    masters = Masters(t)
    host, port = masters.address()
    done = t.run("trackerd", "--redis", masters.redis.url, "--listen", f"q3master={host}:{port}", check=False)
    assert done.returncode == 1 and f"q3master={host}:{port}" in done.stderr, done
    assert os.path.exists(t.program("trackerd"))
