"""A game server is listed only once it has proved that it is where it says."""
import socket

from harness.lobby import LISTEN, PASSWORD, Game, Lines, Player, settings


def lobby(t, **more):
    frontend, = t.frontends(1, t.redis(), listen=LISTEN, settings=settings(**more))
    player = t.connect(frontend, Player, kind="lobby-clients")
    player.login()
    return frontend, player


def beacon(t, frontend, player):
    """Another server is listed: what was sent before has been processed by now."""
    server = t.connect(frontend, Game, kind="lobby-servers", source="127.0.0.9").be_listed()
    kind, listed = player.change()
    assert (kind, listed["id"]) == ("up", server.id)
    server.drop()
    assert player.change("down")[1]["id"] == server.id


def test_infos_first_or_number_first(t):
    frontend, player = lobby(t)
    first = t.connect(frontend, Game, kind="lobby-servers")
    first.login()
    first.infos(description="early")
    number = first.number()
    beacon(t, frontend, player)
    first.say(type="verify", number=number)
    assert player.change("up")[1]["description"] == "early"
    second = t.connect(frontend, Game, kind="lobby-servers")
    second.login()
    second.verify()
    beacon(t, frontend, player)
    second.infos()
    assert player.change("up")[1]["id"] == second.id
    assert frontend.metric("tracker_lobby_verified_total", result="verified") >= 4


def test_a_wrong_number(t):
    frontend, player = lobby(t)
    server = t.connect(frontend, Game, kind="lobby-servers")
    server.login()
    server.infos()
    number = server.number()
    for wrong in (number + 1, 0, 2 ** 53):
        server.say(type="verify", number=wrong)
        server.refused("bad_number", closes=False)
    server.say(type="verify", number=-1)
    server.refused("bad_message", closes=False)
    beacon(t, frontend, player)
    server.say(type="verify", number=number)
    assert player.change("up")[1]["id"] == server.id
    # Again: it may come as often as it was sent.
    server.say(type="verify", number=number)
    server.infos(players=9)
    assert player.change("changed")[1]["players"] == 9
    assert frontend.metric("tracker_lobby_verified_total", result="wrong") == 3


def test_the_number_of_another_connection(t):
    """A server that receives nothing on its own port: the number of another one does not help it."""
    frontend, player = lobby(t)
    good, bad = (t.connect(frontend, Game, kind="lobby-servers") for _ in range(2))
    good.login()
    bad.login()
    bad.infos()
    bad.say(type="verify", number=good.number())
    bad.refused("bad_number", closes=False)
    beacon(t, frontend, player)


def test_a_number_that_never_comes_back(t):
    frontend, player = lobby(t, verify_interval="100ms", verify_tries="3")
    server = t.connect(frontend, Game, kind="lobby-servers")
    server.login()
    server.infos()
    numbers = [server.number() for _ in range(3)]
    assert len(set(numbers)) == 1, numbers
    server.refused("unverified")
    server.udp.settimeout(0.3)
    try:
        raise AssertionError(f"one datagram too many: {server.udp.recv(100)}")
    except socket.timeout:
        pass
    beacon(t, frontend, player)
    assert frontend.metric("tracker_lobby_verified_total", result="unverified") == 1


def test_a_port_where_nobody_listens(t):
    frontend, _ = lobby(t, verify_interval="50ms")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as closed:
        closed.bind(("127.0.0.1", 0))
        port = closed.getsockname()[1]
    server = t.connect(frontend, Lines, kind="lobby-servers")
    server.say(type="login", passwd=PASSWORD, port=port)
    server.receive("welcome")
    server.refused("unverified")


def test_it_goes_to_the_connections_address_whatever_is_claimed(t):
    frontend, player = lobby(t)
    server = t.connect(frontend, Game, kind="lobby-servers", source="127.0.0.3")
    server.say(type="login", passwd=PASSWORD, port=server.port, ip="127.0.0.1", host="127.0.0.1")
    assert server.receive("welcome")["id"] == server.id
    server.verify()
    server.infos(ip="127.0.0.1")
    assert player.change("up")[1]["ip"] == "127.0.0.3"


def test_behind_a_proxy_the_clients_address_counts(t):
    frontend, = t.frontends(1, t.redis(), listen=("lobby=127.0.0.1:0,proxy=true",), settings=settings())
    header = b"PROXY TCP4 127.0.0.4 127.0.0.1 1111 2222\r\n"
    server = t.connect(frontend, Game, kind="lobby", before=header)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
        udp.bind(("127.0.0.4", 0))
        udp.settimeout(10)
        port = udp.getsockname()[1]
        server.say(type="login", passwd=PASSWORD, port=port)
        assert server.receive("welcome")["id"] == f"127.0.0.4:{port}"
        server.say(type="verify", number=int(udp.recv(100).split()[-1]))
    server.infos()
    player = t.connect(frontend, Player, kind="lobby", before=header)
    player.login()
    player.wait_for(lambda servers: list(servers) == [f"127.0.0.4:{port}"])


def test_from_the_address_that_is_set(t):
    frontend, = t.frontends(1, t.redis(), listen=LISTEN, settings=settings(verify_from="127.0.0.5:0"))
    server = t.connect(frontend, Game, kind="lobby-servers").be_listed()
    assert server.sender[0] == "127.0.0.5"


def test_off_is_by_password_alone(t):
    frontend, player = lobby(t, verify="off")
    server = t.connect(frontend, Game, kind="lobby-servers")
    assert server.login()["verify"] == "off"
    server.infos()
    assert player.change("up")[1]["id"] == server.id
    server.say(type="verify", number=1234)
    server.refused("bad_number", closes=False)
    assert frontend.metric("tracker_lobby_verify_sent_total") == 0


def test_a_server_on_a_unix_socket_has_no_address(t):
    path = t.directory() + "/lobby"
    frontend, = t.frontends(1, t.redis(), listen=(f"lobby=unix:{path}",), settings=settings())
    peer = t.connect(path, Lines)
    peer.say(type="login", passwd=PASSWORD, port=1234)
    peer.refused("bad_message")
    player = t.connect(frontend, Player, kind="lobby")
    assert player.login() == {}


def test_the_number_has_four_to_fifteen_digits(t):
    frontend, _ = lobby(t)
    for _ in range(5):
        game = t.connect(frontend, Game, kind="lobby-servers")
        game.login()
        assert 4 <= len(str(game.number())) <= 15
