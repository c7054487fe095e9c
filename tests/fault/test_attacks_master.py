"""Floods on a master, from loopback addresses: game servers and players who behave get through, what
is sent stays under its cap, and memory does not grow."""
import select
import subprocess
import threading
import time

from harness.q3master import MASTER_SETTINGS
from harness.q3master_masters import Masters
from harness.waiting import scaled

TIMEOUT = 180
SECONDS = 10
SHARE = 0.99
QUESTION = "getservers Xonotic 3 empty full"
# What the floods of tracker-bench send, by the names of the metric.
KINDS = {"heartbeats": "heartbeat", "queries": "getservers", "answers": "inforesponse"}
# What is on by default stays on.
SETTINGS = {"q3master.allow_loopback": MASTER_SETTINGS["q3master.allow_loopback"],
            "q3master.query_rate": "2", "q3master.heartbeat_rate": "10", "q3master.refresh": "50ms"}


class Flood:
    """tracker-bench floods until its end; `rate` is what it aims at: a busy machine sends less."""

    def __init__(self, t, masters, what, rate, sources, seconds=600):
        host, port = masters.address()
        self.process = subprocess.Popen(
            [t.program("tracker-bench"), "flood", "--target", f"{host}:{port}", "--service", what,
             "--rate", str(rate), "--sources", str(sources), "--seconds", str(seconds), "--json"],
            stdout=subprocess.PIPE, text=True)
        t.stack.callback(self.process.kill)

    def end(self):
        assert self.process.poll() is None, "it floods still"
        self.process.kill()
        self.process.wait()


class Peers:
    """Game servers that say that they are there, and players who ask, each address seldom."""

    def __init__(self, t, masters, others):
        self.servers = [masters.server(host=f"127.200.0.{number}") for number in range(1, 51)]
        self.players = [masters.player(host=f"127.201.{number}.1") for number in range(1, 101)]
        self.port = masters.address()[1]
        self.questions = {}  # by the servers' descriptors, how many they have had
        for server in self.servers:
            server.register()
        self.ended = False
        self.thread = threading.Thread(target=self.answer_all, daemon=True)
        t.stack.callback(self.end)
        self.thread.start()
        self.all = others + len(self.servers)
        t.wait_until(lambda: masters.metric("q3master_servers") == self.all, 20)

    def ask_again(self, ask):
        """A datagram may be lost where so many are: browsers ask again, and engines send the next heartbeat, once.
        One that the kernel drops, as a busy machine does, the master cannot answer: that one does not count."""
        left, end = 2, time.monotonic() + scaled(30)
        while left > 0 and time.monotonic() < end:
            dropped = self.dropped()
            answer = ask()
            if answer:
                return answer
            left -= self.dropped() == dropped
        return None

    def dropped(self):
        """Datagrams to the master that found no room in its socket."""
        with open("/proc/net/udp", encoding="ascii") as table:
            rows = [line.split() for line in table][1:]
        return sum(int(row[-1]) for row in rows if int(row[1].partition(":")[2], 16) == self.port)

    def answer_all(self):
        """The servers answer each question at once."""
        sockets = {server.socket.fileno(): server for server in self.servers}
        poll = select.poll()
        for number in sockets:
            poll.register(number, select.POLLIN)
        while not self.ended:
            for number, _ in poll.poll(100):
                text, sender = sockets[number].receive(0)
                if text is not None:
                    sockets[number].answer(text[len(b"getinfo "):], sender)
                    self.questions[number] = self.questions.get(number, 0) + 1

    def end(self):
        self.ended = True
        self.thread.join()

    def beat(self, server):
        """Whether a question came after the heartbeat."""
        number, end = server.socket.fileno(), time.monotonic() + scaled(2)
        before = self.questions.get(number, 0)
        server.heartbeat()
        while self.questions.get(number, 0) == before and time.monotonic() < end:
            time.sleep(0.005)
        return self.questions.get(number, 0) > before

    def run(self, seconds, least=20):
        """For that time and so many attempts at least: successes of the players and of the servers, attempts."""
        end, turn, players, servers = time.monotonic() + seconds, 0, 0, 0
        while time.monotonic() < end or turn < least:
            player = self.players[turn % len(self.players)]
            found = self.ask_again(lambda player=player: player.servers(QUESTION))
            players += found is not None and len(found) == len(self.servers)
            server = self.servers[turn % len(self.servers)]
            servers += bool(self.ask_again(lambda server=server: self.beat(server)))
            turn += 1
            time.sleep(scaled(0.03))
        return players, servers, turn


def attack(t, masters, what, rate, sources, listed=0, cap=8 << 20):
    """Runs it, and says how it went: the metrics' growth in the window, and its length."""
    frontend = masters.frontends[0]
    peers = Peers(t, masters, listed)
    name = f'tracker_messages_total{{protocol="q3master",kind="{KINDS[what]}"}}'
    quiet, dropped = frontend.metrics().get(name, 0), peers.dropped()
    flood = Flood(t, masters, what, rate, sources)
    t.wait_until(lambda: frontend.metrics()[name] > quiet + 2000, 30, "the flood arrives")
    before, memory_before, began = frontend.metrics(), frontend.process.memory(), time.monotonic()
    players, servers, tried = peers.run(SECONDS)
    after, memory_after, seconds = frontend.metrics(), frontend.process.memory(), time.monotonic() - began
    flood.end()
    grown = {name: after[name] - before.get(name, 0) for name in after}
    web = 200000  # what the metrics themselves and the page may have sent
    assert grown["tracker_sent_bytes_total"] <= cap * seconds + (cap // 10) + web, grown["tracker_sent_bytes_total"]
    for kind, good in (("players", players), ("servers", servers)):
        assert good >= SHARE * tried, f"{kind}: {good} of {tried}"
    assert grown[name] > 10 * tried, f"{grown[name]} to {tried}: attackers are by far the more"
    assert memory_after - memory_before < t.allowed_memory(4 << 20), (memory_before, memory_after)
    # All of the game servers that behave are still there; where the kernel dropped what they said, they are back
    # with their next heartbeats.
    if peers.dropped() != dropped:
        for server in peers.servers:
            server.heartbeat()
    t.wait_until(lambda: masters.metric("q3master_servers") == peers.all, 10,
                 lambda: f"{masters.metric('q3master_servers')} servers of {peers.all}")
    return grown, seconds


def test_heartbeats_that_never_answer(t):
    masters = Masters(t, settings=SETTINGS)
    grown, seconds = attack(t, masters, "heartbeats", int(20000 / scaled(1)), 5000)
    # A question for each heartbeat, and no larger than it by more than a few bytes.
    heartbeats = grown['tracker_messages_total{protocol="q3master",kind="heartbeat"}']
    assert grown["tracker_sent_bytes_total"] < 28 * heartbeats + 10 * (8 << 10) * seconds
    assert masters.redis("HGET", "tracker:{lobby/1/0}:head", "entries") == b"50"


def test_queries_without_end(t):
    cap = 2 << 20
    masters = Masters(t, settings={**SETTINGS, "q3master.max_output": "2MiB", "q3master.max_per_address": "0",
                                   "q3master.max_output_per_prefix": "0"})
    games = [masters.server(host=f"127.202.0.{number % 250 + 1}", gamename="Bench", protocol="1") for number in range(900)]
    for game in games:
        game.register()
    grown, seconds = attack(t, masters, "queries", 2000, 700, len(games), cap)
    # An answer has seven bytes for each of the servers, at least: more fall under the cap nowhere.
    received = grown['tracker_messages_total{protocol="q3master",kind="getservers"}']
    answered = (cap * seconds + cap // 10) / (7 * len(games))
    dropped = grown['tracker_q3master_dropped_total{reason="max_output"}']
    assert dropped > 100 and dropped >= 0.8 * (received - answered), (received, answered, dropped)


def test_forged_challenges(t):
    masters = Masters(t, settings=SETTINGS)
    grown, _ = attack(t, masters, "answers", int(20000 / scaled(1)), 5000)
    answers = grown['tracker_messages_total{protocol="q3master",kind="inforesponse"}']
    assert grown['tracker_q3master_dropped_total{reason="challenge"}'] > 0.9 * answers
    assert masters.redis("HGET", "tracker:{lobby/1/0}:head", "entries") == b"50"
