"""Which game servers live: pings, suspicion, and the end; and the silence of the original's."""
from harness.lobby import LISTEN, Game, Original, Player, settings


def lobby(t, **more):
    a, b = t.frontends(2, t.redis(), listen=LISTEN, settings=settings(**more))
    player = t.connect(b, Player, kind="lobby-clients")
    player.login()
    return a, player


def listed(t, frontend, player, **infos):
    server = t.connect(frontend, Game, kind="lobby-servers").be_listed(**infos)
    player.wait_for(lambda servers: server.id in servers)
    return server


def test_pings_are_numbered_and_answered(t):
    a, player = lobby(t, ping="100ms", max_missed="1000")
    server = listed(t, a, player)
    numbers = []
    for _ in range(5):
        ping = server.receive("ping")
        numbers.append(ping["n"])
        server.say(type="pong", n=ping["n"])
    assert numbers == [1, 2, 3, 4, 5]
    assert a.metric("tracker_messages_total", protocol="lobby", kind="pong") >= 4


def test_one_missed_pong_is_suspect_and_the_next_one_live(t):
    # What decides is that no pong comes, not the time: three may be missed here only after long.
    a, player = lobby(t, ping="300ms", max_missed="1000")
    server = listed(t, a, player)
    assert server.receive("ping")["n"] == 1
    kind, suspect = player.change()
    assert (kind, suspect["state"], suspect["players"]) == ("changed", "suspect", 3)
    newcomer = t.connect(a, Player, kind="lobby-clients")
    assert newcomer.login()[server.id]["state"] == "suspect"
    ping = server.receive("ping")
    server.say(type="pong", n=ping["n"])
    assert player.change("changed")[1]["state"] == "live"
    assert a.metric("tracker_lobby_suspected_total") >= 1


def test_infos_of_a_suspect_server_are_sent(t):
    a, player = lobby(t, ping="200ms", max_missed="1000")
    server = listed(t, a, player)
    player.wait_for(lambda servers: servers[server.id]["state"] == "suspect")
    server.infos(players=11)
    player.wait_for(lambda servers: servers[server.id]["players"] == 11)
    assert player.servers[server.id]["state"] == "suspect"


def test_three_missed_pongs_end_it(t):
    a, player = lobby(t, ping="1500ms")
    server = listed(t, a, player)
    assert [server.receive("ping")["n"] for _ in range(3)] == [1, 2, 3]
    server.refused("timeout")
    assert player.change("changed")[1]["state"] == "suspect"
    assert player.change("down")[1]["id"] == server.id
    # It returns, and is listed again by itself.
    again = t.connect(a, Game, kind="lobby-servers", port=0).be_listed()
    assert player.change("up")[1]["id"] == again.id


def test_a_ping_unanswered_for_too_long_ends_it(t):
    a, player = lobby(t, ping="500ms", max_missed="1000", timeout="4s")
    server = listed(t, a, player)
    server.receive("ping")
    while server.receive("ping", "error")["type"] == "ping":
        pass
    assert server.closed()
    player.wait_for(lambda servers: server.id not in servers)


def test_the_time_out_may_be_shorter_than_the_ping(t):
    a, _ = lobby(t, ping="1s", timeout="100ms", verify="off")
    server = t.connect(a, Game, kind="lobby-servers")
    server.login()
    server.receive("ping")
    server.refused("timeout")


def test_an_answer_to_an_older_ping_counts_as_activity(t):
    a, player = lobby(t, ping="200ms", max_missed="20")
    server = listed(t, a, player)
    for _ in range(12):
        server.receive("ping")
        second = server.receive("ping")["n"]
        server.say(type="pong", n=second - 1)
        server.say(type="pong", n=second)
        server.say(type="pong", n=second - 1)
    server.infos(players=12)
    player.wait_for(lambda servers: servers[server.id]["players"] == 12)


def test_who_never_says_infos_is_pinged_too(t):
    a, _ = lobby(t, ping="100ms")
    server = t.connect(a, Game, kind="lobby-servers")
    server.login()
    while server.receive("ping", "error")["type"] == "ping":
        pass
    assert server.closed()


def test_the_originals_servers_may_be_silent_for_long_but_not_for_ever(t):
    a, player = lobby(t, ping="50ms", original_timeout="5s")
    server = t.connect(a, Original, kind="lobby-servers")
    server.login_server()
    for players in range(3):
        server.infos(4000, players=players)
        player.wait_for(lambda servers: players in [one["players"] for one in servers.values()])
    assert server.silent(0.3), "it is pinged"
    server.infos(4000, players=7)
    player.wait_for(lambda servers: 7 in [one["players"] for one in servers.values()])
    assert server.closed(15)
    player.wait_for(lambda servers: not servers)
