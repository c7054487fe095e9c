"""Floods on a master, from loopback addresses: game servers and players who behave get through, what
is sent stays under its cap, and memory does not grow."""
import re
import subprocess
import time

from harness.q3master import MASTER_SETTINGS
from harness.q3master_masters import Masters

TIMEOUT = 180
SECONDS = 10
SHARE = 0.99
QUESTION = "getservers Xonotic 3 empty full"
# What is on by default stays on.
SETTINGS = {"q3master.allow_loopback": MASTER_SETTINGS["q3master.allow_loopback"],
            "q3master.query_rate": "2", "q3master.heartbeat_rate": "10", "q3master.refresh": "50ms"}


def memory(frontend):
    """Resident, in KiB."""
    with open(f"/proc/{frontend.pid}/status", encoding="ascii") as status:
        return int(re.search(r"VmRSS:\s+(\d+)", status.read())[1])


class Flood:
    """tracker-bench floods while the block runs; it must have sent what was wanted."""

    def __init__(self, t, masters, what, rate, sources, seconds=SECONDS + 4):
        host, port = masters.address()
        self.rate = rate
        self.process = subprocess.Popen(
            [t.program("tracker-bench"), "flood", "--target", f"{host}:{port}", "--service", what,
             "--rate", str(rate), "--sources", str(sources), "--seconds", str(seconds), "--json"],
            stdout=subprocess.PIPE, text=True)
        t.stack.callback(self.process.kill)

    def end(self):
        out, _ = self.process.communicate(timeout=60)
        assert self.process.returncode == 0
        sent = float(re.search(r'"sent": ([\d.]+)', out)[1])
        assert sent > 0.95 * self.rate, out


class Peers:
    """Game servers that say that they are there, and players who ask, each address seldom."""

    def __init__(self, t, masters, others):
        self.servers = [masters.server(host=f"127.200.0.{number}") for number in range(1, 51)]
        self.players = [masters.player(host=f"127.201.0.{number}") for number in range(1, 101)]
        for server in self.servers:
            server.register()
        self.all = others + len(self.servers)
        t.wait_until(lambda: masters.metric("q3master_servers") == self.all, 20)

    def run(self, seconds):
        """(successes, attempts) of the players, and of the servers."""
        end, turn = time.monotonic() + seconds, 0
        players, servers = [0, 0], [0, 0]
        while time.monotonic() < end:
            player = self.players[turn % len(self.players)]
            # A datagram may be lost where so many are: browsers ask again, and engines send the next heartbeat.
            found = player.servers(QUESTION) or player.servers(QUESTION)
            players[0] += found is not None and len(found) == len(self.servers)
            players[1] += 1
            server = self.servers[turn % len(self.servers)]
            server.heartbeat()
            text, sender = server.receive(2)
            if text is None:
                server.heartbeat()
                text, sender = server.receive(2)
            if text is not None:
                server.answer(text[len(b"getinfo "):], sender)
            servers[0] += text is not None
            servers[1] += 1
            turn += 1
            time.sleep(0.03)
        return players, servers


def attack(t, masters, what, rate, sources, listed=0, cap=8 << 20):
    """Runs it, and says how it went: the metrics' growth in the window, and its length."""
    frontend = masters.frontends[0]
    peers = Peers(t, masters, listed)
    flood = Flood(t, masters, what, rate, sources)
    time.sleep(2)
    before, memory_before, began = frontend.metrics(), memory(frontend), time.monotonic()
    players, servers = peers.run(SECONDS)
    after, memory_after, seconds = frontend.metrics(), memory(frontend), time.monotonic() - began
    flood.end()
    grown = {name: after[name] - before.get(name, 0) for name in after}
    web = 200000  # what the metrics themselves and the page may have sent
    assert grown["tracker_sent_bytes_total"] <= cap * seconds + (cap // 10) + web, grown["tracker_sent_bytes_total"]
    for kind, (good, all) in (("players", players), ("servers", servers)):
        assert all >= 20 and good >= SHARE * all, f"{kind}: {good} of {all}"
    assert memory_after - memory_before < 4096, f"memory: from {memory_before} to {memory_after} KiB"
    # All of the game servers that behave are still there.
    t.wait_until(lambda: masters.metric("q3master_servers") == peers.all)
    return grown, seconds


def test_heartbeats_that_never_answer(t):
    masters = Masters(t, settings=SETTINGS)
    grown, seconds = attack(t, masters, "heartbeats", 20000, 5000)
    assert grown['tracker_messages_total{protocol="q3master",kind="heartbeat"}'] > 15000 * seconds
    # A question for each heartbeat, and no larger than it by more than a few bytes.
    assert grown["tracker_sent_bytes_total"] < 20000 * 28 * seconds + 10 * (8 << 10) * seconds
    assert masters.redis("HGET", "tracker:{lobby/1/0}:head", "entries") == b"50"


def test_queries_without_end(t):
    cap = 2 << 20
    masters = Masters(t, settings={**SETTINGS, "q3master.max_output": "2MiB", "q3master.max_per_address": "0"})
    games = [masters.server(host=f"127.202.0.{number % 250 + 1}", gamename="Bench", protocol="1") for number in range(900)]
    for game in games:
        game.register()
    grown, seconds = attack(t, masters, "queries", 2000, 700, len(games), cap)
    assert grown['tracker_messages_total{protocol="q3master",kind="getservers"}'] > 1500 * seconds
    assert grown['tracker_q3master_dropped_total{reason="max_output"}'] > 1000 * seconds


def test_forged_challenges(t):
    masters = Masters(t, settings=SETTINGS)
    grown, seconds = attack(t, masters, "answers", 20000, 5000)
    assert grown['tracker_q3master_dropped_total{reason="challenge"}'] > 15000 * seconds
    assert masters.redis("HGET", "tracker:{lobby/1/0}:head", "entries") == b"50"
