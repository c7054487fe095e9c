"""The original's packets of 76 bytes: its game servers, its clients, and both encodings beside each other."""
import struct

from harness.lobby import LISTEN, PASSWORD, Game, Original, Player, settings


def lobby(t, count=2, **more):
    redis = t.redis()
    return redis, t.frontends(count, redis, listen=LISTEN, settings=settings(**more))


def original_server(t, frontend, port=4711, source="127.0.0.1", **infos):
    server = t.connect(frontend, Original, kind="lobby", source=source)
    server.login_server()
    server.infos(port, **infos)
    server.id = f"{source}:{port}"
    return server


def original_client(t, frontend, kind="lobby-clients"):
    client = t.connect(frontend, Original, kind=kind)
    client.login_client()
    return client


def test_a_server_is_listed_without_a_number_under_its_own_address(t):
    _, (a, b) = lobby(t)
    player = t.connect(b, Player, kind="lobby-clients")
    player.login()
    server = original_server(t, a, host=b"\x08\x08\x08\x08")
    kind, listed = player.change()
    assert kind == "up" and listed["id"] == server.id and listed["ip"] == "127.0.0.1" and listed["port"] == 4711
    assert (listed["speed"], listed["size"], listed["erase"], listed["players"]) == ("fast", "big", True, 3)
    assert (listed["description"], listed["version"]) == ("An original", "0.70")
    server.infos(4711, speed=0, size=4, erase=0, description=b"caf\xe9 \x01", version=b"123456789", players=0)
    _, listed = player.change("changed")
    assert (listed["speed"], listed["size"], listed["erase"], listed["players"]) == ("boring", "extreme", False, 0)
    assert (listed["description"], listed["version"]) == ("café  ", "123456789")
    server.drop()
    assert player.change("down")[1]["id"] == server.id


def test_values_that_are_not_known_yet(t):
    _, (a,) = lobby(t, 1)
    player = t.connect(a, Player, kind="lobby-clients")
    player.login()
    original_server(t, a, speed=0xffff, size=0xffff, players=0xffff, description=b"x" * 32)
    _, listed = player.change("up")
    assert listed["speed"] is None and listed["size"] is None and listed["players"] is None
    assert listed["description"] == "x" * 32


def test_a_server_with_another_port_is_another_one(t):
    _, (a,) = lobby(t, 1)
    player = t.connect(a, Player, kind="lobby-clients")
    player.login()
    server = original_server(t, a, 4000)
    assert player.change("up")[1]["port"] == 4000
    server.infos(4001)
    player.wait_for(lambda servers: [one["port"] for one in servers.values()] == [4001])
    server.infos(0, players=9)
    server.infos(4001, players=5)
    assert player.change("changed")[1]["players"] == 5


def test_a_packet_in_any_split_and_many_in_one(t):
    _, (a,) = lobby(t, 1)
    player = t.connect(a, Player, kind="lobby-clients")
    player.login()
    server = t.connect(a, Original, kind="lobby")
    login = struct.pack(">HHH9s", 0, 0, 0, PASSWORD.encode()).ljust(76, b"\0")
    infos = struct.pack(">HHHHH32s9s4sHH", 1, 0, 1, 1, 0, b"split", b"1", bytes(4), 4000, 1).ljust(76, b"\0")
    for at in range(0, len(login + infos), 7):
        server.send((login + infos)[at:at + 7])
    assert player.change("up")[1]["description"] == "split"
    server.send(b"".join(infos[:57] + struct.pack(">H", n) + infos[59:] for n in range(20)))
    player.wait_for(lambda servers: [one["players"] for one in servers.values()] == [19])


def test_texts_go_back_as_they_came(t):
    """To original clients of any front-end, whatever their bytes; players who speak JSON can read them."""
    redis, (a, b) = lobby(t, original_updates="true")
    player = t.connect(b, Player, kind="lobby-clients")
    player.login()
    client = original_client(t, b)
    server = None
    for text, version, readable in ((b"caf\xe9", b"0.70", "café"), ("café".encode(), b"0.70", "café"),
                                    (b"\x93quoted\x94 \xa4", b"\xb11", " quoted  ¤"), (b"plain", b"0.70", "plain"),
                                    ("日本".encode(), "v日".encode(), "日本"), (b"\xff\x01", b"", "ÿ ")):
        server = server or original_server(t, a, description=text, version=version)
        server.infos(4711, description=text, version=version)
        while True:
            _, packet = client.receive()
            if packet["description"] == text:
                break
        assert packet["version"] == version, packet
        player.wait_for(lambda servers: [one["description"] for one in servers.values()] == [readable])
        newcomer = original_client(t, a)
        assert newcomer.receive()[1]["description"] == text
    # A name of a JSON server, in characters that such a client has.
    t.connect(a, Game, kind="lobby-servers").be_listed(description="Zürich", version="ä日")
    while packet["description"] != b"Z\xfcrich":
        _, packet = client.receive()
    assert packet["version"] == "ä日".encode()
    t.ctl(redis, "--space", "lobby", "fsck")


def test_a_change_is_not_sent_by_default(t):
    """The original client adds a line to its list for each packet."""
    _, (a, b) = lobby(t)
    game = t.connect(a, Game, kind="lobby-servers").be_listed(players=1)
    a.wait_for_metric("tracker_lobby_listed", 1)
    client = original_client(t, b)
    assert client.receive()[1]["players"] == 1
    watcher = t.connect(b, Player, kind="lobby-clients")
    watcher.login()
    for players in (2, 3):
        game.infos(players=players)
        watcher.wait_for(lambda servers: servers[game.id]["players"] == players)
    other = t.connect(a, Game, kind="lobby-servers").be_listed()
    which, packet = client.receive()
    assert which == 1 and packet["port"] == other.port, "nothing came between"


def test_a_client_gets_one_packet_for_each_server_and_its_changes(t):
    _, (a, b) = lobby(t, original_updates="true")
    watcher = t.connect(b, Player, kind="lobby-clients")
    watcher.login()
    game = t.connect(a, Game, kind="lobby-servers").be_listed(description="A name that is too long for the field", version="0.70-long")
    watcher.wait_for(lambda servers: game.id in servers)
    client = original_client(t, b)
    which, packet = client.receive()
    assert which == 0 and packet == {"speed": 2, "size": 2, "erase": 1, "description": b"A name that is too long for the",
                                     "version": b"0.70-lon", "host": "127.0.0.1", "port": game.port, "players": 3}
    other = t.connect(a, Game, kind="lobby-servers", source="127.0.0.2").be_listed(players=1)
    which, packet = client.receive()
    assert which == 1 and packet["host"] == "127.0.0.2"
    game.infos(speed="crazy")
    which, packet = client.receive()
    assert which == 0 and packet["speed"] == 3
    # That one is gone cannot be said; its place is given to the next.
    other.drop()
    watcher.wait_for(lambda servers: list(servers) == [game.id])
    assert client.silent(0.2)
    third = t.connect(a, Game, kind="lobby-servers", source="127.0.0.3").be_listed()
    which, packet = client.receive()
    assert which == 1 and packet["host"] == "127.0.0.3" and packet["port"] == third.port
    game.say(type="infos", players=100000)
    which, packet = client.receive()
    assert which == 0 and (packet["speed"], packet["size"], packet["erase"], packet["players"]) == (0xffff, 0xffff, 0, 0xffff)
    assert packet["description"] == b""


def test_at_most_40(t):
    _, (a,) = lobby(t, 1, verify="off", original_updates="true")
    games = {}
    for number in range(45):
        game = t.connect(a, Game, kind="lobby-servers").be_listed(players=number)
        games[game.port] = game
    a.wait_for_metric("tracker_lobby_listed", 45)
    watcher = t.connect(a, Player, kind="lobby-clients")
    watcher.login()
    watcher.wait_for(lambda servers: len(servers) == 45)
    client = original_client(t, a)
    shown = dict(client.receive() for _ in range(40))
    assert sorted(shown) == list(range(40)) and len({packet["port"] for packet in shown.values()}) == 40
    assert client.silent(0.2)
    hidden = set(games) - {packet["port"] for packet in shown.values()}
    # One that goes makes room for one that had none.
    gone = shown[7]["port"]
    games[gone].drop()
    which, packet = client.receive()
    assert which == 7 and packet["port"] in hidden
    # A change of a server that is not in the list is not sent.
    still_hidden = (hidden - {packet["port"]}).pop()
    games[still_hidden].infos(players=500)
    games[shown[8]["port"]].infos(players=501)
    which, packet = client.receive()
    assert which == 8 and packet["players"] == 501


def test_servers_on_ipv6_have_no_place(t):
    a, = t.frontends(1, t.redis(), listen=("lobby=[::1]:0", "lobby=127.0.0.1:0"), settings=settings())
    player = t.connect(a, Player, kind="lobby")
    player.login()
    game = t.connect(a, Game, kind="lobby", source="::1").be_listed()
    player.wait_for(lambda servers: game.id in servers)
    client = t.connect(a, Original, kind="lobby", index=1)
    client.login_client()
    fourth = t.connect(a, Game, kind="lobby", index=1).be_listed()
    which, packet = client.receive()
    assert which == 0 and packet["port"] == fourth.port


def test_the_order_of_the_hosts_bytes(t):
    """By default as the original's programs on little-endian machines write and read them."""
    for order, expected in ((None, "127.1.2.3"), ("network", "3.2.1.127"), ("reversed", "127.1.2.3")):
        _, (a,) = lobby(t, 1, **({"host_byte_order": order} if order else {}))
        client = original_client(t, a)
        t.connect(a, Game, kind="lobby-servers", source="127.1.2.3").be_listed()
        _, packet = client.receive()
        assert packet["host"] == expected, (order, packet)


def test_a_login_as_a_server_where_players_log_in(t):
    _, (a,) = lobby(t, 1)
    server = t.connect(a, Original, kind="lobby-clients")
    server.login_server()
    assert server.closed() and not server.input
    client = t.connect(a, Original, kind="lobby-servers")
    client.login_client()
    assert client.closed() and not client.input


def test_malformed_packets(t):
    _, (a,) = lobby(t, 1)
    for bad in (b"\0\2" + bytes(74), b"\0\0\0\0\0\7" + bytes(70), b"\0\1\0\0\0\x09" + bytes(70), b"\0{" + bytes(74)):
        peer = t.connect(a, Original, kind="lobby")
        peer.send(bad)
        assert peer.closed() and not peer.input
    assert a.metric("tracker_malformed_total", protocol="lobby", reason="packet") == 4
    a.wait_for_log("msg=malformed_message .*protocol=lobby kind=packet")


def test_packets_that_are_unexpected_now_are_ignored(t):
    _, (a,) = lobby(t, 1)
    early = t.connect(a, Original, kind="lobby")
    early.infos(4000)
    early.login_client()
    early.infos(4001)
    early.login_server()
    game = t.connect(a, Game, kind="lobby-servers").be_listed()
    which, packet = early.receive()
    assert which == 0 and packet["port"] == game.port


def test_an_encoding_is_kept(t):
    _, (a,) = lobby(t, 1)
    peer = t.connect(a, Original, kind="lobby")
    peer.login_client()
    peer.send(b'{"type":"login"}\n'.ljust(76, b" "))
    assert peer.closed()


def test_the_places_of_the_fields(t):
    """76 bytes, byte for byte, in both directions."""
    _, (a,) = lobby(t, 1, original_updates="true")
    login = bytearray(76)
    login[6:6 + 9] = PASSWORD.encode() + b"\0"
    infos = bytearray(76)
    infos[0:2], infos[4:6], infos[6:8], infos[8:10] = b"\0\1", b"\0\3", b"\0\4", b"\0\1"
    infos[10:10 + 32] = b"d" * 32
    infos[42:42 + 9] = b"v" * 9
    infos[51:51 + 4], infos[55:57], infos[57:59] = b"\1\0\0\x7f", b"\x5b\xa4", b"\2\0"
    server = t.connect(a, Original, kind="lobby-servers")
    server.send(bytes(login) + bytes(infos))
    player = t.connect(a, Player, kind="lobby-clients")
    player.login()
    player.wait_for(lambda servers: "127.0.0.1:23460" in servers)
    listed = player.servers["127.0.0.1:23460"]
    assert (listed["speed"], listed["size"], listed["erase"], listed["players"]) == ("crazy", "extreme", True, 512)
    assert (listed["description"], listed["version"]) == ("d" * 32, "v" * 9)
    client = original_client(t, a)
    got = client.take(76)
    assert got[0:4] == b"\0\1\0\0" and got[4:10] == infos[4:10] and got[55:59] == infos[55:59]
    # What is written has a NUL: 31 and 8 bytes of text.
    assert got[10:42] == b"d" * 31 + b"\0" and got[42:51] == b"v" * 8 + b"\0"
    assert got[51:55] == b"\1\0\0\x7f" and not any(got[59:])
