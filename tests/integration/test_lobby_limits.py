"""Slots, caps, deadlines and rates of the lobby."""
import time

from harness.lobby import LISTEN, PASSWORD, Game, Lines, Original, Player, settings
from harness.waiting import scaled


def lobby(t, count=1, **more):
    return t.frontends(count, t.redis(), listen=LISTEN, settings=settings(verify="off", **more))


def connections(frontend, role):
    return frontend.metric("tracker_lobby_connections", role=role)


def login(t, frontend, kind=Player, source="127.0.0.1"):
    """A connection with its first answer."""
    peer = t.connect(frontend, kind, kind="lobby", source=source)
    peer.say(type="login", **({"passwd": PASSWORD, "port": peer.port} if kind is Game else {}))
    return peer, peer.receive("servers", "welcome", "error").get("code")


def test_players_do_not_take_the_slots_of_servers(t):
    a, = lobby(t, max_clients="2", max_servers="2")
    players = [login(t, a) for _ in range(2)]
    assert [code for _, code in players] == [None, None]
    peer, code = login(t, a)
    assert code == "full" and peer.closed()
    original = t.connect(a, Original, kind="lobby")
    original.login_client()
    assert original.closed() and not original.input
    servers = [login(t, a, Game) for _ in range(2)]
    assert [code for _, code in servers] == [None, None]
    peer, code = login(t, a, Game)
    assert code == "full" and peer.closed()
    assert connections(a, "client") == 2 and connections(a, "server") == 2
    players[0][0].drop()
    a.wait_for_metric("tracker_lobby_connections", lambda value: value == 1, role="client")
    assert login(t, a)[1] is None


def test_servers_do_not_take_the_slots_of_players(t):
    a, = lobby(t, max_servers="0")
    assert login(t, a, Game)[1] == "full"
    assert login(t, a)[1] is None


def test_of_one_address(t):
    a, = lobby(t, max_per_ip="2")
    for kind in (Player, Game):
        held = [login(t, a, kind) for _ in range(2)]
        assert [code for _, code in held] == [None, None]
        peer, code = login(t, a, kind)
        assert code == "address_limit" and peer.closed()
        assert login(t, a, kind, "127.0.0.2")[1] is None
        held[0][0].drop()
        role = "client" if kind is Player else "server"
        a.wait_for_metric("tracker_lobby_connections", lambda value: value == 2, role=role)
        assert login(t, a, kind)[1] is None


def test_of_one_address_without_a_login(t):
    a, = lobby(t, max_per_ip="2", login_timeout="1h")
    silent = [t.raw(a, kind="lobby") for _ in range(2)]
    a.wait_for_metric("tracker_lobby_connections", 2, role="newcomer")
    assert t.raw(a, kind="lobby").closed()
    assert login(t, a, source="127.0.0.2")[1] is None
    silent[0].drop()
    a.wait_for_metric("tracker_lobby_connections", lambda value: value == 1, role="newcomer")
    assert login(t, a)[1] is None


def test_who_has_not_logged_in_makes_room_for_newcomers(t):
    a, = lobby(t, max_newcomers="3", login_timeout="1h")
    silent = [t.connect(a, Lines, kind="lobby") for _ in range(3)]
    silent[0].send(b"{")
    a.wait_for_metric("tracker_received_bytes_total", 1)
    a.wait_for_metric("tracker_lobby_connections", 3, role="newcomer")
    assert login(t, a)[1] is None
    silent[0].refused("timeout")
    assert login(t, a)[1] is None, "there is a free slot now"
    assert silent[1].silent(0.1) and silent[2].silent(0.1)


def test_no_login_in_time(t):
    a, = lobby(t, login_timeout="1s")
    silent, half, wrong = (t.connect(a, Lines, kind="lobby") for _ in range(3))
    half.send(b'{"type":"log')
    wrong.say(type="pong", n=1)
    wrong.refused("not_logged_in", closes=False)
    half.refused("timeout")
    wrong.refused("timeout")
    assert silent.closed() and not silent.input
    player = t.connect(a, Player, kind="lobby")
    player.login()
    assert player.silent(1.3), "who has logged in may be silent"


def test_messages_over_the_rate_wait_and_none_is_lost(t):
    a, b = lobby(t, 2, rate="50", burst="5")
    player = t.connect(b, Player, kind="lobby-clients")
    player.login()
    game = t.connect(a, Game, kind="lobby-servers").be_listed()
    begun = time.monotonic()
    for players in range(40):
        game.infos(players=players)
    player.wait_for(lambda servers: game.id in servers and servers[game.id]["players"] == 39)
    assert time.monotonic() - begun >= 0.6


def test_too_many_errors_end_it(t):
    a, = lobby(t, max_errors="5", error_window="1h", rate="0")
    peer = t.connect(a, Lines, kind="lobby")
    for _ in range(6):
        peer.send(b"nonsense{\n" if peer.input else b"{nonsense\n")
    for _ in range(5):
        peer.refused("bad_json", closes=False)
    peer.refused("rate")


def test_errors_of_long_ago_do_not_count(t):
    a, = lobby(t, max_errors="2", error_window="100ms")
    peer = t.connect(a, Lines, kind="lobby")
    for _ in range(3):
        for _ in range(2):
            peer.send(b"{\n")
            peer.refused("bad_json", closes=False)
        time.sleep(scaled(0.15))
    peer.say(type="login")
    peer.receive("servers")


def test_the_limits_of_infos_are_settings(t):
    a, = lobby(t, max_properties="2", max_total="100")
    game = t.connect(a, Game, kind="lobby-servers")
    game.login()
    game.say(type="infos", a=1, b=2)
    for bad in ({"a": 1, "b": 2, "c": 3}, {"a": "x" * 100}):
        game.say(type="infos", **bad)
        game.refused("limit", closes=False)


def test_the_longest_of_each_value(t):
    """What the document allows is taken, and one more is not."""
    a, = lobby(t, rate="0", penalty="0s", max_errors="1000", login_timeout="1h", ping="1h")
    game = t.connect(a, Game, kind="lobby-servers")
    for password, port in (("x" * 257, 1), (PASSWORD, 65536), (PASSWORD, 0)):
        game.say(type="login", passwd=password, port=port)
        assert game.receive("error")["code"] in ("bad_message", "limit"), (password, port)
    game.say(type="login", passwd=PASSWORD, port=65535)
    assert game.receive("welcome")["id"] == "127.0.0.1:65535"
    for taken in ({"description": "x" * 256}, {"version": "x" * 64}, {"players": 1_000_000}, {"k" * 64: 1},
                  {f"k{number}": 1 for number in range(64)}, {"a": "x" * (3 * 1024 - 3)}):
        game.say(type="infos", **taken)
    for refused in ({"description": "x" * 257}, {"version": "x" * 65}, {"players": 1_000_001}, {"k" * 65: 1},
                    {f"k{number}": 1 for number in range(65)}, {"a": "x" * (3 * 1024 - 2)}):
        game.say(type="infos", **refused)
        assert game.receive("error")["code"] in ("bad_message", "limit"), refused


def test_the_longest_line(t):
    a, = lobby(t, rate="0")
    peer = t.connect(a, Lines, kind="lobby-clients")
    line = b'{"type":"login","x":"'
    peer.send(line + b"x" * (4096 - len(line) - 2) + b'"}\n')
    peer.receive("servers")
    peer.send(line + b"x" * (4097 - len(line) - 2) + b'"}\n')
    peer.refused("limit")


def test_a_password_of_256_bytes(t):
    """Too long for anybody's is another error than wrong."""
    a, = lobby(t)
    game = t.connect(a, Game, kind="lobby-servers")
    game.say(type="login", passwd="x" * 256, port=1)
    game.refused("bad_password")


def test_the_space_is_full(t):
    a, = lobby(t, **{"map.max_entries": "1"})
    t.connect(a, Game, kind="lobby-servers").be_listed()
    a.wait_for_metric("tracker_lobby_listed", 1)
    second = t.connect(a, Game, kind="lobby-servers").be_listed()
    second.refused("full")


def test_more_servers_than_a_view_holds(t):
    a, = lobby(t, **{"view.max_entries": "1"})
    player = t.connect(a, Player, kind="lobby-clients")
    player.login()
    for _ in range(2):
        t.connect(a, Game, kind="lobby-servers").be_listed()
    while player.receive("up", "error")["type"] != "error":
        pass
    assert player.closed()
    late = t.connect(a, Player, kind="lobby-clients")
    late.say(type="login")
    late.refused("unavailable")
