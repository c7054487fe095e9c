#!/usr/bin/env python3
"""What one message costs at most, measured: tests/bench/costs.py [BUILD] [--only NAME]...

Each row is a message of a kind that causes the most work, sent some times in turn to a front-end and a Redis of its
own: processor time of both for each, commands to Redis, bytes that the front-end sent, and the units that it charged.
What the two do without any message is subtracted. The table in docs/operations.md is made of it.
"""
import os
import socket
import ssl
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

from harness import Context, Original2013, Original2014, wait_until  # noqa: E402  (the path is set above)
from harness.certificates import make  # noqa: E402
from harness.lobby import LISTEN, Game, Player  # noqa: E402
from harness.lobby import settings as lobby_settings  # noqa: E402
from harness.q3master import GameServer, Peer, Player as Browser  # noqa: E402
from harness.sync import Sync, text_of  # noqa: E402
from harness.turntable import Turntable  # noqa: E402

KIB = 1 << 10
ENTRIES = 2000
PEERS = 100
TIMES = 20
FEW = 10    # of those of which a client may send no more
SMALL = 500  # of those that cost little
IDLE = 2.0  # seconds in which the rest is measured
# The rates would only make the measurement longer.
SETTINGS = {"budget.rate": 10000000, "budget.address_rate": 10000000, "ws.rate": 0, "tracker.rate": 0, "tracker.address_rate": 0,
            "client.max_ids": ENTRIES, "access.connect_rate": 0, "q3master.allow_loopback": "true",
            "q3master.query_rate": 100000, "q3master.query_burst": 100000, "q3master.heartbeat_rate": 100000,
            "q3master.heartbeat_burst": 100000, "q3master.max_per_address": 0,
            "q3master.max_output": 0, "q3master.max_output_per_prefix": 0, "q3master.new_kinds_rate": 0}


def processor(pid):
    """Nanoseconds that the process has run."""
    with open(f"/proc/{pid}/schedstat", encoding="ascii") as file:
        return int(file.read().split()[0])


class Meter:
    def __init__(self, frontend, redis):
        self.frontend, self.redis = frontend, redis
        first, second = self.now(), self.now()
        self.own = [b - a for a, b in zip(first, second)]  # of the measuring
        began, before = time.monotonic(), self.now()
        time.sleep(IDLE)
        taken = time.monotonic() - began
        self.rest = [max(0, after - value - own) / taken for after, value, own in zip(self.now(), before, self.own)]

    def now(self):
        total = int(self.redis.info("stats")["total_commands_processed"])
        return [processor(self.frontend.pid), processor(self.redis.process.pid), total,
                self.frontend.metric("tracker_sent_bytes_total"), self.frontend.metric("tracker_budget_units_total")]

    def measure(self, name, send, times=TIMES):
        """send() returns when all of the message's work is done."""
        send()  # so that what is prepared once is there
        began, before = time.monotonic(), self.now()
        for _ in range(times):
            send()
        taken, after = time.monotonic() - began, self.now()
        each = [max(0, (b - a - own - rest * taken) / times)
                for a, b, own, rest in zip(before, after, self.own, self.rest)]
        print(f"| {name} | {each[0] / 1e3:.0f} | {each[1] / 1e3:.0f} | {each[2]:.0f} | {each[3] / KIB:.1f} | "
              f"{each[4]:.0f} |", flush=True)


def start(t, **more):
    redis = t.redis()
    frontend = t.frontend(redis, listen=("tracker=127.0.0.1:0,push=off", "tracker=127.0.0.1:0,original=2014",
                                         "web=127.0.0.1:0", *LISTEN, "q3master=127.0.0.1:0"),
                          settings=lobby_settings(**{**SETTINGS, "verify": "off", **more}))
    return redis, frontend


def fill(t, frontend, state=b"state"):
    """A space with many entries, and a function that changes one of them."""
    writer = t.connect(frontend, Original2013)
    version = [0]

    def change():
        version[0] += 1
        assert writer.update(b"entry-%d" % (version[0] % ENTRIES), version[0], state)
    for _ in range(ENTRIES):
        change()
    return change


def tracker(t):
    redis, frontend = start(t)
    change = fill(t, frontend, b"x" * 100)
    reader = t.connect(frontend, Original2014, index=1)
    reader.get_text()
    meter = Meter(frontend, redis)
    large = t.connect(frontend, Original2013)
    version = [0]

    def update():
        version[0] += 1
        assert large.update(b"large", version[0], b"x" * (64 * KIB - 1))

    def get():
        change()
        reader.get_text()
    meter.measure("Tracker: an update of 64 KiB", update)
    meter.measure(f"Tracker: a Get of {ENTRIES:,} entries, one of which has changed", get)
    user = t.connect(frontend, Turntable, kind="web", user="1:1")

    def whothere():
        change()
        user.say("whothere", {})
        user.wait("there")
    meter.measure(f"turntable: whothere in a space of {ENTRIES:,}, one of which has changed", whothere)

    def http(path):
        def request():
            change()
            assert frontend.http(path)[0] == 200
        return request
    meter.measure("HTTP: a list of 1,000 clients", http("/api/v1/clients?limit=1000"))
    meter.measure(f"HTTP: a search of 128 bytes in {ENTRIES:,} clients", http("/api/v1/clients?q=" + "x" * 128))
    meter.measure("HTTP: /metrics", http("/metrics"))


def turntable(t):
    redis, frontend = start(t)
    user = t.connect(frontend, Turntable, kind="web", user="1:1")
    members = [t.connect(frontend, Turntable, kind="web", user=f"2:{number}") for number in range(PEERS)]
    for member in members:
        member.join("arena")
    user.join("arena")
    meter = Meter(frontend, redis)
    number = [0]

    def fresh(count, length=12):
        number[0] += count
        return [f"9:{number[0] - at}".ljust(length, "n") for at in range(count)]

    def subscribe():
        user.subscribe(*fresh(500, 100))

    def invite():
        user.say("joingame", {"channel": "arena", "self": "1:1", "invite": fresh(100)})
        user.sync()

    def play():
        user.play("arena", "x" * 16 * KIB)
        for one in (user, *members):
            one.wait("game")

    def whothere():
        user.say("whothere", {"channel": "arena"})
        user.wait("there")

    def join():
        members[0].say("leavegame", {"channel": "arena"})
        members[0].join("arena")
    meter.measure("turntable: subscribe to 500 unknown names of 100 bytes", subscribe, FEW)
    meter.measure("turntable: joingame with 100 invitations", invite)
    meter.measure(f"turntable: a game message of 16 KiB to {PEERS + 1} members", play)
    meter.measure(f"turntable: leavegame and joingame in a room of {PEERS + 1}", join)
    meter.measure(f"turntable: whothere of a room of {PEERS + 1}", whothere)


def sync(t):
    redis, frontend = start(t)
    receivers = [t.connect(frontend, Sync, kind="web", path="/sync", delta=True) for _ in range(PEERS)]
    sender = t.connect(frontend, Sync, kind="web", path="/sync", delta=True)
    meter = Meter(frontend, redis)

    def packet(to, size):
        def send():
            for one in receivers:
                del one.packets[:]
            sender.say(text_of(to, {"type": "x", "x": "x" * size}))
            for one in receivers:
                one.wait_packet()
        return send

    def strangers():
        del sender.errors[:]
        sender.send([os.urandom(16).hex() for _ in range(255)], {"type": "x"})
        sender.wait_error()

    def malformed():
        del sender.errors[:]
        sender.say('{"to":"server","packet":{"type":"properties","properties":[' + "1," * 30000 + "1]}}")
        sender.wait_error()

    def properties():
        value = os.urandom(1000).hex()
        sender.set(value=value)
        receivers[0].wait(lambda: receivers[0].map.get(sender.token, {}).get("value") == value)
        for one in receivers:
            one.pump()
    meter.measure(f"sync: a packet of 64 KiB to {PEERS} receivers", packet([one.token for one in receivers], 64 * KIB))
    meter.measure("sync: a packet to 255 unknown receivers", strangers)
    meter.measure("sync: a refused message of 60 KiB", malformed, FEW)
    meter.measure(f"sync: 2 KiB of properties, sent to {PEERS} clients at the next tick", properties)


def servers(t):
    redis, frontend = start(t)
    players = [t.connect(frontend, Player, kind="lobby") for _ in range(PEERS)]
    for player in players:
        player.login()
    game = t.connect(frontend, Game, kind="lobby")
    game.be_listed()
    for player in players:
        player.change("up")
    meter = Meter(frontend, redis)
    number = [0]

    def infos():
        number[0] += 1
        game.infos(description=f"number {number[0]} " + "x" * 200)
        for player in players:
            player.change("changed")

    def ask(kind):
        def send():
            number[0] += 1
            asker.send(b"getservers Xonotic 3 empty full" + (b" gametype=%d" % number[0] if kind else b""))
            asker.receive()
        return send

    def heartbeat():
        asker.send(b"heartbeat DarkPlaces\n")
        asker.receive()
    meter.measure(f"lobby: infos that change, sent to {PEERS} players", infos)
    for player in players:
        player.drop()
    master = frontend.address("q3master")
    listed = [GameServer(master, host=f"127.0.2.{1 + number % 200}") for number in range(PEERS)]
    for one in listed:
        t.stack.callback(one.close)
        one.register()
    asker = Peer(master)
    t.stack.callback(asker.close)
    browser = Browser(master)
    t.stack.callback(browser.close)
    wait_until(lambda: len(browser.servers(b"getservers Xonotic 3 empty full")) >= PEERS, 10, "all are listed", 0.2)
    meter.measure(f"master: getservers, {PEERS} servers listed", ask(False), SMALL)
    meter.measure(f"master: getservers of a kind that was not requested before, {PEERS} servers listed", ask(True), SMALL)
    meter.measure("master: a heartbeat", heartbeat, SMALL)


def connections(t):
    directory = t.directory()
    certificate, key = make(directory)
    redis = t.redis()
    frontend = t.frontend(redis, listen=("web=127.0.0.1:0", f"tracker=127.0.0.1:0,tls=true,"
                                         f"tls_certificate={certificate},tls_key={key}"),
                          settings={"access.connect_rate": 0})
    meter = Meter(frontend, redis)
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE

    def tls():
        with socket.create_connection(frontend.address("tracker")) as plain, context.wrap_socket(plain):
            pass

    def upgrade():
        t.connect(frontend, Turntable, kind="web").leave()

    def request():
        assert frontend.http("/healthz")[0] == 200
    meter.measure("a connection with TLS", tls, SMALL)
    meter.measure("a connection with WebSocket", upgrade, SMALL)
    meter.measure("a connection with a request", request, SMALL)


ALL = {measure.__name__: measure for measure in (tracker, turntable, sync, servers, connections)}


def main(arguments):
    only = [arguments[at + 1] for at, word in enumerate(arguments) if word == "--only"]
    build = os.path.abspath(arguments[0] if arguments and not arguments[0].startswith("--") else "build")
    print("| message | front-end, µs | Redis, µs | commands | KiB sent | units |\n|---|---|---|---|---|---|")
    for name in only or ALL:
        with Context(build) as t:
            ALL[name](t)


if __name__ == "__main__":
    main(sys.argv[1:])
