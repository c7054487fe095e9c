"""Attacks on the lobby over TCP, from loopback addresses: connections that never log in, and somebody who guesses
passwords. Game servers and players who behave get through meanwhile, and memory does not grow."""
import errno
import json
import select
import socket
import threading
import time

from harness.lobby import INFOS, LISTEN, PASSWORD, Game, Player
from harness.waiting import scaled

TIMEOUT = 180
SECONDS = 10
SHARE = 0.99
# What is on by default stays on.
SETTINGS = {"lobby.password": PASSWORD, "lobby.verify": "off", "map.recovery_grace": "0s"}


class Attackers:
    """count connections to the address, each from a loopback address of its own; one that ends is made anew. What
    each does with its socket is the subclass's."""

    def __init__(self, t, address, count):
        self.address = address
        self.count = count
        self.made = self.closed = 0
        self.began = time.monotonic()
        self.ended = False
        self.sockets = {}
        self.poll = select.poll()
        self.thread = threading.Thread(target=self.run, daemon=True)
        t.stack.callback(self.end)
        self.thread.start()

    def end(self):
        self.ended = True
        self.thread.join()
        for one in self.sockets.values():
            one.close()
        self.sockets = {}

    def connect(self):
        one = socket.socket()
        one.setblocking(False)
        self.made += 1
        source = self.made % self.count
        try:
            one.bind((f"127.{100 + source // 65536}.{source // 256 % 256}.{source % 256 or 1}", 0))
            error = one.connect_ex(self.address)
        except OSError as failure:
            error = failure.errno
        if error not in (0, errno.EINPROGRESS):
            one.close()
            return
        self.sockets[one.fileno()] = one
        self.poll.register(one, self.interest())

    def drop(self, number):
        self.poll.unregister(number)
        self.sockets.pop(number).close()
        self.closed += 1

    def run(self):
        while not self.ended:
            for _ in range(min(50, self.count - len(self.sockets))):
                self.connect()
            for number, events in self.poll.poll(10):
                if events & ~select.POLLOUT:
                    self.on_datagram(number)
                elif events & select.POLLOUT:
                    self.writable(number)

    @staticmethod
    def interest():
        return select.POLLIN

    def on_datagram(self, number):
        try:
            said = self.sockets[number].recv(4096)
        except OSError:
            said = b""
        if said:
            self.on_answer(said)
        else:
            self.drop(number)

    def on_answer(self, said):
        pass

    def writable(self, number):
        pass


class Silent(Attackers):
    """Never log in."""


class Guessers(Attackers):
    """Each says a password, and the next one on another connection as soon as it is refused."""

    guesses = judged = 0

    @staticmethod
    def interest():
        return select.POLLIN | select.POLLOUT

    def writable(self, number):
        self.guesses += 1
        guess = {"type": "login", "passwd": f"guess{self.guesses}", "port": 20000 + self.guesses % 10000}
        try:
            self.sockets[number].send(json.dumps(guess).encode() + b"\n")
        except OSError:
            self.drop(number)
            return
        self.poll.modify(self.sockets[number], select.POLLIN)

    def on_answer(self, said):
        self.judged += said.count(b"bad_password")


def behave(t, frontend, seconds, least=1):
    """Game servers that come, are listed and go, and players who ask for the list, for that time and so many
    attempts at least; (successes, attempts)."""
    stays = t.connect(frontend, Game, kind="lobby-servers", source="127.0.1.1").be_listed(description="stays")
    watcher = t.connect(frontend, Player, kind="lobby-clients", source="127.0.1.2")
    watcher.login()
    watcher.wait_for(lambda servers: stays.id in servers)
    end, good, tried = time.monotonic() + scaled(seconds), 0, 0
    while time.monotonic() < end or tried < least:
        tried += 1
        source = f"127.0.2.{1 + tried % 200}"
        game = t.connect(frontend, Game, kind="lobby-servers", source=source)
        player = None
        try:
            game.be_listed(players=tried)
            watcher.wait_for(lambda servers, id=game.id: id in servers)
            player = t.connect(frontend, Player, kind="lobby-clients", source=source)
            servers = player.login()
            good += servers[game.id]["players"] == tried and servers[stays.id]["speed"] == INFOS["speed"]
        except (AssertionError, KeyError, OSError):
            pass
        finally:
            game.drop()
            if player:
                player.drop()
    assert stays.id in watcher.servers
    return good, tried


def under_attack(t, kind, attackers, count):
    redis = t.redis()
    frontend = t.frontend(redis, listen=LISTEN, settings=SETTINGS)
    quiet, _ = behave(t, frontend, 2)
    assert quiet > 0
    attack = attackers(t, frontend.address(kind), count)
    t.wait_until(lambda: attack.made >= count, 30)
    before = frontend.process.memory()
    good, tried = behave(t, frontend, SECONDS, 20)
    after = frontend.process.memory()
    assert good >= SHARE * tried, (good, tried, attack.made, attack.closed)
    assert after < before + t.allowed_memory(4 << 20), (before, after)
    return frontend, attack


def test_connections_that_never_log_in(t):
    frontend, attack = under_attack(t, "lobby-servers", Silent, 1000)
    t.wait_until(lambda: attack.closed > 500, 20, "they are closed when their time is over")
    attack.end()
    t.wait_until(lambda: frontend.metric("tracker_connections") < 100, 20, "the front-end is rid of them")


def test_players_slots_are_no_servers_slots(t):
    frontend, attack = under_attack(t, "lobby-clients", Silent, 1000)
    attack.end()
    t.wait_until(lambda: frontend.metric("tracker_connections") < 100, 20, "the front-end is rid of them")


def test_somebody_who_guesses_passwords(t):
    _, attack = under_attack(t, "lobby-servers", Guessers, 200)
    t.wait_until(lambda: attack.guesses > 200, 20)
    attack.end()
    # Each of the 200 addresses has a wait that doubles, up to 15 s; what comes before its time is not judged.
    seconds = time.monotonic() - attack.began
    assert attack.judged < 200 * (6 + seconds / 15), (attack.guesses, attack.judged, seconds)
