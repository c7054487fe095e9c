"""Peers from one address that never read, in every protocol, while others cause pushes: what the front-end keeps for
them is bounded in total, the others wait for nobody, and each of the peers is ended with a reason that is counted."""
import socket
import time

from harness import Versioned, scaled
from harness.abuse import ATTACKER, Watch
from harness.lobby import Game, Player
from harness.live import Stream
from harness.sync import Sync
from harness.turntable import Turntable
from harness.websocket import PING, WebSocket, frame

TIMEOUT = 90
MIB = 1 << 20
TOTAL = 4 * MIB
READ = 64 << 10  # bytes at most of a connection that are answered in an iteration
PEERS = 60
LISTEN = ("tracker=127.0.0.1:0", "web=127.0.0.1:0", "sync=127.0.0.1:0", "lobby-servers=127.0.0.1:0", "lobby-clients=127.0.0.1:0")
SETTINGS = {"net.max_output_total": "4MiB", "net.send_buffer": "8KiB", "net.write_timeout": "2s", "map.recovery_grace": "0s",
            "sync.tick": "20ms", "lobby.password": "letmein1", "lobby.max_per_ip": "0", "lobby.rate": "0"}
SECONDS = 4


def start(t, **settings):
    redis = t.redis()
    return redis, t.frontend(redis, listen=LISTEN, settings={**SETTINGS, **settings})


def connection(t, frontend, kind):
    """Of the attacker, and its kernel keeps little."""
    one = socket.socket()
    one.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    one.bind((ATTACKER, 0))
    one.settimeout(scaled(10))
    one.connect(frontend.address(kind))
    t.stack.callback(one.close)
    return one


def closed(frontend, reason):
    return int(frontend.metric("tracker_connections_closed_total", reason=reason))


def endure(t, redis, frontend, push, reasons, peers=PEERS):
    """push(number): one round of pushes that the well-behaved have received when it returns. At the end all peers are
    closed, for one of the reasons; there may be no other. Returns how many for each."""
    before = {reason: closed(frontend, reason) for reason in reasons}
    ended = lambda: {reason: closed(frontend, reason) - before[reason] for reason in reasons}
    watch = Watch(t, frontend, redis)
    most, longest, number = 0, 0, 0
    end = time.monotonic() + scaled(SECONDS)
    while time.monotonic() < end or (sum(ended().values()) < peers and time.monotonic() < end + scaled(30)):
        number += 1
        began = time.monotonic()
        push(number)
        longest = max(longest, time.monotonic() - began)
        most = max(most, frontend.metric("tracker_output_memory_bytes"))
    watch.stop().check()
    print(f"{number} rounds, the longest {longest:.2f} s, output {most / MIB:.1f} MiB, {watch.grown() / MIB:.0f} MiB more, "
          f"{ended()}, conflated {frontend.metric('tracker_conflations_total'):.0f}")
    assert sum(ended().values()) == peers, ended()
    # The total is compared between two iterations: each connection may add what one read of it causes.
    assert most <= TOTAL + peers * READ and longest <= scaled(1), (most, longest)
    assert watch.grown() <= t.allowed_memory(TOTAL * 2 + 16 * MIB), watch.grown() / MIB
    t.fsck(redis)
    return ended()


def test_pushes_of_the_tracker(t):
    redis, frontend = start(t)
    writers, reader = [t.connect(frontend, Versioned) for _ in range(10)], t.connect(frontend, Versioned)
    for writer in [*writers, reader]:
        writer.open(b"x" * 200)
    for number in range(PEERS):
        one = connection(t, frontend, "tracker")
        one.sendall(b"\x2a\x01\x00\x03\x02hi")

    def push(number):
        for writer in writers:
            assert writer.update(writer.id, number % 256, b"%d " % number + b"x" * 190)
        for writer in writers:
            reader.wait_for_state(writer.id, b"%d " % number + b"x" * 190)
    endure(t, redis, frontend, push, ["write_timeout"])


def crowd_of_sync(t, frontend, delta):
    for _ in range(PEERS):
        t.stack.callback(Sync(connection(t, frontend, "sync"), delta=delta, enters=False).drop)


def metadata(t, delta):
    redis, frontend = start(t)
    writers = [t.connect(frontend, Sync, kind="sync", delta=True) for _ in range(10)]
    crowd_of_sync(t, frontend, delta)

    def push(number):
        for writer in writers:
            writer.set(number=number, text="x" * 3900)
        for writer in writers:
            writer.wait(lambda writer=writer: all(writer.map.get(other.token, {}).get("number") == number for other in writers))
    endure(t, redis, frontend, push, ["write_timeout"])


def test_whole_metadata(t):
    metadata(t, False)


def test_changes_of_metadata(t):
    metadata(t, True)


def test_statuses_of_turntable(t):
    """Of ten users with long names, each of whom is busy and not again and again."""
    redis, frontend = start(t)
    users = [t.connect(frontend, Turntable, kind="web", user="x" * 120 + str(number)) for number in range(10)]
    ids = [user.user for user in users]
    reader = t.connect(frontend, Turntable, kind="web", user="1:77")
    reader.subscribe(*ids)
    for number in range(PEERS):
        one = Turntable(connection(t, frontend, "web"), f"2:{number}")
        one.say("subscribe", ids)

    def push(number):
        status = ("online", "busy")[number % 2]
        for user in users:
            user.say("status", status)
        reader.wait_statuses(dict.fromkeys(ids, status))
    endure(t, redis, frontend, push, ["write_timeout"])


def test_changes_of_the_lobby(t):
    redis, frontend = start(t)
    games = [t.connect(frontend, Game, kind="lobby-servers").be_listed() for _ in range(10)]
    player = t.connect(frontend, Player, kind="lobby-clients")
    player.login()
    player.wait_for(lambda servers: len(servers) == len(games))
    for _ in range(PEERS):
        connection(t, frontend, "lobby-clients").sendall(b'{"type":"login"}\n')

    def push(number):
        for game in games:
            game.infos(further="x" * 2000, players=number)
        player.wait_for(lambda servers: all(servers[game.id]["players"] == number for game in games))
    endure(t, redis, frontend, push, ["write_timeout"])


def test_live_streams(t):
    """As many as an address may have."""
    redis, frontend = start(t, **{"web.address_watchers": "60"})
    writers = [t.connect(frontend, Versioned) for _ in range(10)]
    for writer in writers:
        writer.open(b"x")
    reader = Stream(t, frontend)
    reader.until_live(t)
    for _ in range(PEERS):
        connection(t, frontend, "web").sendall(b"GET /api/v1/live HTTP/1.1\r\nHost: localhost\r\n\r\n")

    def push(number):
        state = "%d " % number + "x" * 190
        for writer in writers:
            assert writer.update(writer.id, number % 256, state.encode())
        reader.until(t, lambda: list(reader.states().values()).count(state) == len(writers))
    endure(t, redis, frontend, push, ["write_timeout"])


def test_pings_whose_answers_are_not_read(t):
    """They send for as long as the front-end reads."""
    redis, frontend = start(t)
    behaved = WebSocket(frontend.address("sync"), "/sync")
    t.stack.callback(behaved.drop)
    flood = frame(PING, b"x" * 125) * 500
    peers = []
    for number in range(PEERS):
        path = ("/sync", "/turntable", "/tracker")[number % 3]
        peers.append(WebSocket(connection(t, frontend, "web"), path, ("turntable",) if path == "/turntable" else ()))
        peers[-1].socket.setblocking(False)

    def push(number):
        for peer in peers:
            try:
                peer.socket.send(flood)
            except OSError:
                pass
        behaved.send_frame(PING, b"%d" % number)
        while behaved.read_frame().payload != b"%d" % number:
            pass
    assert endure(t, redis, frontend, push, ["write_timeout", "memory"])["memory"] > 0
    assert frontend.log_lines(f"memory_limit_reached .*of=total kind=output peer={ATTACKER}")



class Member(Turntable):
    """Remembers what it received of a room, in its order: messages' texts, and users that left."""

    def __init__(self, *arguments, **options):
        self.order = []
        super().__init__(*arguments, **options)

    def _note(self, text, message):
        super()._note(text, message)
        if message["command"] == "game":
            self.order.append(text)
        elif message["command"] == "member":
            self.order += [("left", user) for user in sorted(message["data"]["left"])]


def test_members_closed_for_memory_leave_in_sequence(t):
    """A room over two front-ends: 30 of its members do not read. As the total is exceeded they leave, at the same place
    between the same messages for all others, who miss nothing."""
    redis = t.redis()
    settings = {**SETTINGS, "turntable.max_backlog": "8MiB", "net.write_timeout": "60s", "ws.rate": "0"}
    a, b = t.frontends(2, redis, listen=LISTEN, settings=settings)
    speaker, reader, other = (t.connect(node, Member, kind="web", user=f"1:{number}") for number, node in enumerate((a, a, b)))
    watch = Watch(t, a, redis)
    silent = [Turntable(connection(t, a, "web"), f"2:{number}") for number in range(30)]
    for one in silent:
        one.join("room")
    for client in (speaker, reader, other):
        client.join("room")
        client.order.clear()
    everyone = {client.user for client in (speaker, reader, other)}
    sent, most = 0, 0
    while speaker.members["room"] != everyone:
        sent += 1
        assert sent < 500, speaker.members["room"]
        speaker.play("room", f"{sent} " + "x" * 50000)
        for client in (speaker, reader, other):
            while len(client.rooms["room"]) < sent:
                client.next()
        most = max(most, a.metric("tracker_output_memory_bytes"))
    speaker.play("room", "last")
    for client in (speaker, reader, other):
        client.wait_members("room", everyone)
        while len(client.rooms["room"]) < sent + 1:
            client.next()
    assert speaker.order == reader.order == other.order
    assert {left for kind, left in (one for one in speaker.order if isinstance(one, tuple))} == {one.user for one in silent}
    assert closed(a, "memory") == len(silent) and most <= TOTAL + MIB, (closed(a, "memory"), most)
    watch.stop().check()
    t.fsck(redis)
