"""Real browsers get a thousand servers whole, with the default limits of output: the clients of ioquake3 and of
DarkPlaces, without any game's data, on a display that nobody sees; and a hundred players of one network."""
import os
import re
import selectors
import threading
import time

from harness import scaled
from harness.q3master import HEADER
from harness.q3master_masters import Masters

TIMEOUT = 120
COUNT = 1000
# What a test from loopback would exceed by itself, with few addresses of its own.
LIFTED = {"q3master.query_rate": "2", "q3master.max_per_address": "0", "q3master.heartbeat_rate": "0"}
IOQUAKE3 = "/usr/lib/ioquake3/ioquake3"
USER_INTERFACE = "/usr/lib/ioquake3/baseq3/uix86_64.so"
DARKPLACES = "/usr/games/darkplaces"
HEADERS = 28


class Crowd:
    """Registered game servers that answer whoever asks them for their infos, and remember who was asked."""

    def __init__(self, t, masters, **info):
        self.master = masters.address()
        self.servers = [masters.server(host=f"127.202.{number // 200}.{number % 200 + 1}", **info)
                        for number in range(COUNT)]
        self.asked = set()
        self.ended = threading.Event()
        self.selector = selectors.DefaultSelector()
        for server in self.servers:
            server.register()
            self.selector.register(server.socket, selectors.EVENT_READ, server)
        t.wait_until(lambda: masters.metric("q3master_servers") == COUNT, 30)
        thread = threading.Thread(target=self.serve)
        thread.start()
        t.stack.callback(thread.join)
        t.stack.callback(self.ended.set)

    def serve(self):
        while not self.ended.is_set():
            for key, _ in self.selector.select(0.1):
                self.answer(key.data, *key.data.socket.recvfrom(4096))

    def answer(self, server, data, sender):
        word, _, challenge = data[len(HEADER):].partition(b" ")
        if word not in (b"getinfo", b"getstatus"):
            return
        server.answer(challenge.rstrip(b"\n\0"), sender)
        if sender != self.master:
            self.asked.add(server.where)


def display(t):
    """Starts an X server; returns its name."""
    process = t.start("Xvfb", ["Xvfb", "-displayfd", "1", "-screen", "0", "640x480x24", "-nolisten", "tcp"])
    process.wait_for_log(r"(?m)^\d+$", 30)
    return ":" + re.search(r"(?m)^\d+$", process.log)[0]


def start_client(t, home, arguments):
    return t.start(os.path.basename(arguments[0]), arguments, cwd=home,
                   environment={"DISPLAY": display(t), "SDL_VIDEODRIVER": "x11", "SDL_AUDIODRIVER": "dummy", "HOME": home,
                                "XDG_RUNTIME_DIR": home})


def ioquake3(t, master):
    """The client with a game that has no more than a user interface, which asks for the list by itself."""
    home = t.directory("ioquake3")
    os.makedirs(f"{home}/tiny")
    with open(f"{home}/tiny/default.cfg", "w", encoding="ascii") as file:
        file.write("\n")
    os.symlink(USER_INTERFACE, f"{home}/tiny/{os.path.basename(USER_INTERFACE)}")
    values = {"fs_homepath": home, "fs_basepath": home, "com_standalone": "1", "com_basegame": "tiny", "vm_ui": "0",
              "com_gamename": "Quake3Arena", "com_introplayed": "1", "s_initsound": "0", "net_ip": "127.0.0.9", "net_enabled": "1",
              "r_fullscreen": "0", "sv_master1": "%s:%d" % master}
    arguments = [IOQUAKE3]
    for key, value in values.items():
        arguments += ["+set", key, value]
    return start_client(t, home, [*arguments, "+globalservers", "1", "68", "full", "empty"])


def darkplaces(t, master):
    """The client with an empty game. It asks for a list once its sockets are open, and then every server of it."""
    home = t.directory("darkplaces")
    os.makedirs(f"{home}/id1")
    with open(f"{home}/id1/autoexec.cfg", "w", encoding="ascii") as file:
        file.write('net_slist_queriespersecond 500\nnet_slist_queriesperframe 50\ndefer 1 "net_slist"\n')
    return start_client(t, home, [DARKPLACES, "-basedir", home, "-userdir", f"{home}/own", "-nosound", "-window",
                                  "+sv_master1", "%s:%d" % master])


def test_ioquake3s_client_gets_a_thousand_servers(t):
    """As soon as it runs, without a player's doing."""
    masters = Masters(t, settings=LIFTED)
    Crowd(t, masters, gamename="Quake3Arena", protocol="68")
    client = ioquake3(t, masters.address())
    client.wait_for_log(rf"servers parsed \(total {COUNT}\)", 60)
    assert sum(map(int, re.findall(r"(\d+) servers parsed", client.log))) == COUNT
    assert masters.metric("q3master_dropped_total", reason="max_output_per_prefix") == 0


def test_darkplaces_client_gets_a_thousand_servers(t):
    """It asks each server that was in its list, once it has it."""
    masters = Masters(t, settings=LIFTED)
    crowd = Crowd(t, masters, gamename="DarkPlaces-Quake", protocol="3")
    client = darkplaces(t, masters.address())
    t.wait_until(lambda: len(crowd.asked) == COUNT, 60, lambda: f"{len(crowd.asked)} servers were asked: {client.log[-500:]}")
    assert masters.metric("q3master_dropped_total", reason="max_output_per_prefix") == 0


class Waiting:
    """A player that asks, and asks again each second until the list is complete."""

    def __init__(self, masters, number):
        self.player = masters.player(host=f"127.9.8.{number}")
        self.seconds = None
        self.bytes = 0

    def begin(self):
        self.began = self.asked = time.monotonic()
        self.player.send(b"getservers 68 empty full")

    def read_answers(self):
        now = time.monotonic()
        while self.seconds is None:
            text, _ = self.player.receive(0)
            if text is None:
                if now - self.asked >= 1:
                    assert self.bytes == 0, "a list was sent in part"
                    self.asked = now
                    self.player.send(b"getservers 68 empty full")
                return
            self.bytes += len(text) + len(HEADER) + HEADERS
            if text.endswith(b"\\EOT\0\0\0"):
                self.seconds = now - self.began


def wait_of_the_last(t, interval):
    """Of 100 players in one /24, which begin one after another: (seconds of the longest wait, bytes of a list)."""
    masters = Masters(t, settings=LIFTED)
    Crowd(t, masters, gamename="Quake3Arena", protocol="68")
    players = [Waiting(masters, number + 1) for number in range(100)]
    began, begun = time.monotonic(), 0
    while begun < len(players) or any(player.seconds is None for player in players):
        while begun < len(players) and time.monotonic() >= began + begun * interval:
            players[begun].begin()
            begun += 1
        for player in players[:begun]:
            player.read_answers()
        assert time.monotonic() < began + scaled(60), sum(player.seconds is None for player in players)
        time.sleep(0.002)
    return max(player.seconds for player in players), max(player.bytes for player in players)


def test_a_hundred_players_of_one_network_at_once(t):
    """The burst is for 35 of them, and each second for eight or nine more: the last waits 8 s."""
    seconds, size = wait_of_the_last(t, 0)
    print(f"the last of 100 waited {seconds:.1f} s for {size} bytes")
    paid = (100 * size - (256 << 10)) / (64 << 10)
    assert size == 7312 and paid <= 7.5 and seconds <= scaled(paid + 1.5), (seconds, paid)


def test_a_hundred_players_of_one_network_one_after_another(t):
    """Ten a second: none waits."""
    seconds, size = wait_of_the_last(t, 0.1)
    print(f"the last of 100 waited {seconds:.1f} s for {size} bytes")
    assert seconds < 1, seconds
