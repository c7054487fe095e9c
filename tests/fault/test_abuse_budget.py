"""One address that hurries: its connections are read from more slowly, and nobody else's; it loses nothing, is closed
by nobody, and waits five seconds at most. And what each kind of message costs."""
import http.client
import re
import socket
import time

from harness.abuse import ATTACKER, Watch
from harness.certificates import client_context, make
from harness.jwt import Issuer
from harness.lobby import LISTEN as LOBBY, PASSWORD, Game, Player
from harness.sync import Sync
from harness.tracker import Versioned, Wide, packets
from harness.turntable import Turntable
from harness.waiting import scaled, wait_until
from harness.websocket import WebSocket

LISTEN = ("web=127.0.0.1:0", "tracker=127.0.0.1:0", "sync=127.0.0.1:0")
ANSWER = b"HTTP/1.1 200"


def connect(address, source=ATTACKER):
    return socket.create_connection(address, source_address=(source, 0), timeout=scaled(20))


def units(frontend):
    return frontend.metrics()["tracker_budget_units_total"]


def waits(frontend, of):
    return frontend.metrics()[f'tracker_budget_waits_total{{of="{of}"}}']


def send_requests(connection, count, path="/healthz"):
    connection.sendall((f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n" * count).encode())


def read_answers(connection, count):
    """How many answers of 200 have come: when so many have, or the connection has ended."""
    data, seen = b"", 0
    while seen < count:
        part = connection.recv(1 << 16)
        if not part:
            break
        data += part
        seen += data.count(ANSWER)
        data = data[data.rfind(ANSWER) + len(ANSWER):] if ANSWER in data else data
    return seen


def flood(frontend, connections, requests):
    sockets = [connect(frontend.address("web")) for _ in range(connections)]
    for connection in sockets:
        send_requests(connection, requests)
    return sockets


def test_an_address_that_floods_waits_and_no_other(t):
    # Less than the defaults, so that any machine can exceed it.
    frontend = t.frontend(t.redis(), listen=LISTEN, settings={"budget.address_rate": 1000, "budget.address_burst": 500})
    watch = Watch(t, frontend)
    began = time.monotonic()
    sockets = flood(frontend, 4, 400)
    wait_until(lambda: waits(frontend, "address") > 0)
    client = t.connect(frontend, Versioned)
    id = client.open(b"calm")
    calm = time.monotonic()
    for version in range(20):
        client.update(id, version + 1, b"%d" % version)
    assert time.monotonic() - calm < scaled(2), "the updates of another address"
    # Nothing is lost, and nobody closed. At two units a request, the burst pays for 250, and the rate for 500 a second.
    assert [read_answers(connection, 400) for connection in sockets] == [400] * 4
    assert time.monotonic() - began > 2
    assert frontend.log_lines("budget_exceeded.*of=address")
    watch.stop().check()
    assert frontend.metrics()["tracker_budget_waiting"] == 0


def test_within_an_address_each_connection_has_its_share(t):
    frontend = t.frontend(t.redis(), listen=LISTEN, settings={"budget.address_rate": 200, "budget.address_burst": 100})
    quiet = connect(frontend.address("web"))
    flood(frontend, 8, 500)
    wait_until(lambda: waits(frontend, "address") >= 8)
    for _ in range(3):
        began = time.monotonic()
        send_requests(quiet, 1)
        assert read_answers(quiet, 1) == 1
        assert time.monotonic() - began < scaled(5), "behind those that flood"


def test_a_connection_that_waits_is_not_reported_gone(t):
    """Its updates wait for the budget longer than client.ttl, and its entry stays; all of them are answered in the end."""
    frontend = t.frontend(t.redis(), listen=LISTEN, settings={
        "budget.rate": 100, "budget.burst": 1, "tracker.rate": 0,
        "client.ttl": "1s", "client.grace": "200ms", "map.sweep": "100ms", "presence.offline_delay": "100ms"})
    observer = t.connect(frontend, Versioned)
    observer.open(b"observer")
    client = t.connect(frontend, Versioned)
    id = client.open(b"hurried")
    client.send(b"".join(packets.versioned.update(id, version, b"x" * 200) for version in range(1, 200)))
    client.timeout = scaled(20)
    assert all(client.read_acknowledgement() for _ in range(1, 200))
    assert waits(frontend, "connection") > 10
    assert frontend.metrics()['tracker_connections_closed_total{reason="silent"}'] == 0


def test_reconnecting_pays_for_nothing(t):
    frontend = t.frontend(t.redis(), listen=LISTEN, settings={"budget.address_rate": 100, "budget.address_burst": 10})
    began = time.monotonic()
    for _ in range(10):
        connection = connect(frontend.address("web"))
        send_requests(connection, 10)
        assert read_answers(connection, 10) == 10
        connection.close()
    assert time.monotonic() - began > 1.5  # 200 units, less those of the burst, at 100 a second


def test_shared_addresses_have_no_budget(t):
    frontend = t.frontend(t.redis(), listen=LISTEN, settings={
        "budget.address_rate": 1, "budget.address_burst": 1, "net.shared_addresses": f"10.0.0.0/8 {ATTACKER} 127.0.0.1"})
    connection = connect(frontend.address("web"))
    send_requests(connection, 100)
    assert read_answers(connection, 100) == 100
    assert waits(frontend, "address") == 0


def test_limits_of_the_former_kind_are_accepted_and_reported(t):
    frontend = t.frontend(t.redis(), listen=LISTEN, settings={"tracker.address_rate": 7, "tracker.address_burst": 9})
    lines = "".join(frontend.log_lines("setting_obsolete"))
    assert "key=tracker.address_rate instead=budget.address_rate" in lines, lines
    assert "key=tracker.address_burst instead=budget.address_burst" in lines, lines
    option = t.frontend(t.redis(), listen=("tracker=127.0.0.1:0,address_rate=7",))
    lines = "".join(option.log_lines("setting_obsolete"))
    assert "key=tracker.address_rate instead=budget.address_rate" in lines, lines


def units_of(frontend, load):
    """What the load is charged, less what reading the metrics is."""
    def read():
        connection = http.client.HTTPConnection(*frontend.address("web"))
        connection.request("GET", "/metrics")
        text = connection.getresponse().read().decode()
        connection.close()
        return int(re.search(r"^tracker_budget_units_total (\d+)", text, re.M)[1]), len(text)
    before, length = read()
    load()
    return read()[0] - before - 2 - length // 1024


def test_what_messages_cost(t):
    frontend = t.frontend(t.redis(), listen=LISTEN, settings={"sync.tick": "60s"})
    web, client = connect(frontend.address("web")), t.connect(frontend, Versioned)
    id = client.open(b"x")
    player, other = (t.connect(frontend, Sync, kind="sync") for _ in range(2))
    user = Turntable(frontend.address("web"), user="1:u")
    t.stack.callback(user.drop)
    user.sync()

    def request():
        send_requests(web, 1)
        assert read_answers(web, 1) == 1

    def subscribe():
        user.subscribe(*[f"1:{number}" for number in range(100)])
        user.sync()

    def send_long():
        player.set(long="x" * 10240)
        player.barrier()

    def send_short(value):
        player.set(short=value)
        player.barrier()

    def send_to_two():
        player.send([player.token, other.token], {"type": "long", "data": "x" * 33 * 1024})
        player.wait_packet()
        other.wait_packet()

    def send_to_strangers():
        player.send([f"stranger-{number}" for number in range(20)], {"type": "x"})
        player.wait_error()

    def invite():
        user.say("joingame", {"channel": "room", "self": "1:u", "invite": [f"2:{number}" for number in range(20)]})
        user.sync()

    other.barrier()
    empty = units_of(frontend, player.barrier)
    synced = units_of(frontend, user.sync)
    assert units_of(frontend, request) == 2
    assert units_of(frontend, lambda: client.update(id, 1, b"y")) == 2
    assert units_of(frontend, subscribe) == 1 + 1 + 100 + synced
    assert units_of(frontend, send_long) == 1 + 10 + 1 + empty  # it is refused
    # The first change after a tick pays for what the tick sends to the two clients.
    assert units_of(frontend, lambda: send_short("a")) == 1 + 1 + 1 + empty
    assert units_of(frontend, lambda: send_short("b")) == 1 + 1 + empty
    # Receivers of this front-end cost one for each eight of them, and one for each 32 KiB that is sent to them.
    assert units_of(frontend, send_to_two) == 1 + 33 + 2
    assert units_of(frontend, send_to_strangers) == 1 + 20 // 8 + 20 // 2
    room = units_of(frontend, lambda: user.join("room"))
    assert units_of(frontend, invite) == room + 20 * 2 + synced


def test_what_a_get_costs(t):
    """Each 64 entries when the text is encoded, and each KiB of it."""
    frontend = t.frontend(t.redis(), listen=(*LISTEN, "tracker=127.0.0.1:0,form=wide"),
                          settings={"client.max_ids": 200, "tracker.push": "off"})
    writer, reader = t.connect(frontend, Versioned), t.connect(frontend, Wide, index=1)
    for number in range(130):
        writer.open(b"%0100d" % number)
    reader.open(b"reader")
    wait_until(lambda: len(reader.get()) == 131)
    text = reader.get_text()
    # No other client follows the map, so that its text is not kept.
    assert units_of(frontend, reader.get_text) == 1 + (len(text) + 8) // 1024 + 131 // 64


def test_what_handshakes_cost(t):
    certificate, key = make(t.directory())
    issuer = Issuer()
    frontend = t.frontend(t.redis(), listen=("web=127.0.0.1:0", f"tracker=127.0.0.1:0,tls=true,tls_certificate={certificate},"
                                             f"tls_key={key}", "lobby=127.0.0.1:0"),
                          settings={**issuer.settings(**{"auth.previous_key": "another secret, as long as 32 bytes"}),
                                    "lobby.password": PASSWORD})

    def shake_hands():
        with connect(frontend.address("tracker"), "127.0.0.1") as plain, client_context(certificate).wrap_socket(
                plain, server_hostname="localhost"):
            pass

    def log_in():
        t.connect(frontend, Game, kind="lobby").login()

    def upgrade(path):
        t.stack.callback(WebSocket(frontend.address("web"), path, ("turntable",)).drop)

    assert units_of(frontend, shake_hands) == 50
    assert units_of(frontend, lambda: upgrade("/turntable")) == 4
    # The key and the previous one.
    assert units_of(frontend, lambda: upgrade("/turntable?token=" + issuer.token())) == 4 + 2 * 2
    assert units_of(frontend, log_in) == 1 + 2


def send_and_end(connection, data):
    """Returns when all of it has been read."""
    connection.sendall(data)
    connection.shutdown(socket.SHUT_WR)
    while connection.recv(1 << 16):
        pass
    connection.close()


def test_what_bytes_of_no_message_cost(t):
    """Blank lines, acknowledgements, and what a live stream is sent: each KiB a unit, so that they are not free."""
    frontend = t.frontend(t.redis(), listen=(*LISTEN, "lobby-clients=127.0.0.1:0"))
    cases = [("tracker", packets.versioned.open(b"x"), b"\x01"), ("lobby-clients", b'{"type":"login"}\n', b"\n"),
             ("web", b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n", b"\r\n"),
             ("web", b"GET /api/v1/live HTTP/1.1\r\nHost: localhost\r\n\r\n", b"x")]
    for kind, begin, rest in cases:
        connection = connect(frontend.address(kind))
        connection.sendall(begin)
        assert connection.recv(1)
        cost = units_of(frontend, lambda connection=connection, rest=rest: send_and_end(connection, rest * ((4 << 20) // len(rest))))
        assert 4096 * 3 // 4 <= cost <= 4096 * 5 // 4, f"{kind}: {cost} units for 4,096 KiB"


def test_what_a_whole_map_costs(t):
    """Each 4 KiB that a client of the Tracker protocol receives after Open, and each KiB for a live stream."""
    frontend = t.frontend(t.redis(), listen=LISTEN, settings={"client.max_ids": 1000})
    writer = t.connect(frontend, Versioned)
    for _ in range(1000):
        writer.open(b"s" * 200)
    reader, stream = connect(frontend.address("tracker")), connect(frontend.address("web"))
    sizes = [0, 0]

    def open_reader():
        reader.sendall(packets.versioned.open(b"x"))
        while sizes[0] < 1000 * 210:
            sizes[0] += len(reader.recv(1 << 16))

    def follow():
        last = b""
        stream.sendall(b"GET /api/v1/live HTTP/1.1\r\nHost: localhost\r\n\r\n")
        while b"event: live\n" not in last:
            data = stream.recv(1 << 16)
            last = last[-20:] + data
            sizes[1] += len(data)
    cost = units_of(frontend, open_reader)
    assert sizes[0] // 4096 - 8 <= cost <= sizes[0] // 4096 + 8, (cost, sizes)
    cost = units_of(frontend, follow)
    assert sizes[1] // 1024 - 16 <= cost <= sizes[1] // 1024 + 8, (cost, sizes)


def test_what_lists_cost(t):
    frontend = t.frontend(t.redis(), listen=(*LISTEN, *LOBBY), settings={
        "lobby.password": PASSWORD, "lobby.verify": "off", "lobby.max_per_ip": 0, "client.max_ids": 1000})
    writer = t.connect(frontend, Versioned)
    for number in range(320):
        writer.open(b"x" * 250)

    def search():
        connection = http.client.HTTPConnection(*frontend.address("web"))
        connection.request("GET", "/api/v1/clients?q=" + "y" * 20)
        connection.getresponse().read()
        connection.close()

    # 20 steps of 16 entries, and one for the end; what is searched are the ids and the states.
    taken = units_of(frontend, search)
    assert 2 + 20 + 320 * 250 // 4096 - 20 <= taken <= 2 + 21 + 320 * 350 // 4096, taken

    users = [t.connect(frontend, Turntable, kind="web", user=f"1:{number}") for number in range(40)]
    for user in users[1:]:
        user.join("room")

    def join():
        users[0].join("room")
        users[0].sync()

    def play(text):
        users[0].play("room", text)
        users[0].sync()

    def leave():
        users[0].say("leavegame", {"channel": "room"})
        users[0].sync()
    empty = units_of(frontend, users[0].sync)
    assert units_of(frontend, join) == 2 + 40 // 3 + empty
    assert units_of(frontend, lambda: play("x" * 16384)) == 2 + 16 + 40 // 8 + 40 * 16384 // 32768 + empty
    assert units_of(frontend, leave) == 2 + 40 // 3 + empty

    players = [t.connect(frontend, Player, kind="lobby") for _ in range(10)]
    for player in players:
        player.login()
    game = t.connect(frontend, Game, kind="lobby")
    game.be_listed()
    for player in players:
        player.change("up")

    def change():
        game.infos(description="another")
        for player in players:
            player.change("changed")
    assert units_of(frontend, change) == 1 + 10 // 2


def test_what_the_whole_map_costs(t):
    """Clients in full mode get it at each tick that has news: whoever causes the first of them pays for it."""
    frontend = t.frontend(t.redis(), listen=LISTEN, settings={"sync.tick": "500ms"})
    clients = [t.connect(frontend, Sync, kind="sync") for _ in range(30)]

    def wait_all(value, count):
        for client in clients:
            client.wait(lambda client=client: [one.get("value") for one in client.map.values()].count(value) == count)

    def change():
        clients[0].set(value="changed")
        wait_all("changed", 1)

    for client in clients:
        client.set(value="x" * 1000)
    wait_all("x" * 1000, 30)
    # A message, an operation, the clients, and the whole map: 30 KiB for each of 30.
    assert units_of(frontend, change) >= 2 + 30 // 2 + 25


def test_what_bytes_without_a_message_cost(t):
    """Blank lines of the lobby, and a client's answers to pushes: each KiB, and each read."""
    frontend = t.frontend(t.redis(), listen=(*LISTEN, *LOBBY), settings={"lobby.password": PASSWORD})
    player, client = t.connect(frontend, Player, kind="lobby"), t.connect(frontend, Versioned)
    player.login()
    id = client.open(b"x")
    version = iter(range(1, 100))

    def blank_lines():
        player.send(b"\n" * 64 * 1024)
        player.say(type="nonsense")
        while b"error" not in player.line():
            pass

    def update():
        client.update(id, next(version), b"y")

    def answers():
        client.send(b"\x01" * 64 * 1024)
        update()

    def reads():
        for _ in range(80):
            client.send(b"\x01")
            time.sleep(0.005)
        update()
    assert units_of(frontend, blank_lines) >= 64
    empty = units_of(frontend, update)
    assert units_of(frontend, answers) >= 63 + empty
    assert 0 < units_of(frontend, reads) - empty <= 80 // 8 + 1


def test_what_a_unit_takes(t):
    """Prints the processor time of the front-end for a unit of each kind of message, sent as fast as it answers."""
    frontend = t.frontend(t.redis(), listen=LISTEN, settings={
        "budget.rate": 0, "budget.address_rate": 0, "tracker.rate": 0, "ws.rate": 0})
    web, client = connect(frontend.address("web")), t.connect(frontend, Versioned)
    id = client.open(b"x")
    user = Turntable(frontend.address("web"), user="1:u")
    t.stack.callback(user.drop)
    sync = t.connect(frontend, Sync, kind="sync")

    def requests():
        send_requests(web, 200)
        assert read_answers(web, 200) == 200

    def lists():
        send_requests(web, 20, "/metrics")
        assert read_answers(web, 20) == 20

    def updates():
        client.send(b"".join(packets.versioned.update(id, number & 255, b"x" * 200) for number in range(200)))
        for _ in range(200):
            client.read_acknowledgement()

    def subscriptions():
        for number in range(5):
            user.subscribe(*[f"1:{number}.{index}" for index in range(100)])
        user.sync()

    def properties():
        for number in range(100):
            sync.set(number=number)
        sync.barrier()

    for name, load in (("requests", requests), ("metrics", lists), ("updates", updates),
                       ("subscriptions", subscriptions), ("properties", properties)):
        load()
        before, began = units(frontend), frontend.process.cpu()
        while frontend.process.cpu() < began + 0.2:
            load()
        taken, charged = frontend.process.cpu() - began, units(frontend) - before
        print(f"{name}: {taken / charged * 1e6:.1f} us a unit")
        assert charged > 0 and taken / charged < scaled(200e-6), (name, taken, charged)


# Ordinary loads, all from one address and through one front-end, with the default settings.
