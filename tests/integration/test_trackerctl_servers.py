"""trackerctl servers: the player's list, on a real terminal, as a table, as JSON."""
import json
import os
import re
import threading

from harness.lobby import LISTEN, Game, settings
from harness.q3master import GameServer
from harness.terminal import Terminal

TIMEOUT = 150


def front_end(t, **more):
    return t.frontend(t.redis(), listen=LISTEN, settings=settings(verify="off", **more))


def players_port(frontend):
    return "%s:%d" % frontend.address("lobby-clients")


class Answering:
    """Game servers that answer getinfo, as the ones of the Quake III family do, each after a while: the list is
    ordered by that. delay in seconds; None: it does not answer."""

    def __init__(self, t, frontend):
        self.t = t
        self.frontend = frontend
        self.games = {}
        self.ended = False
        t.stack.callback(self.end)

    def add(self, delay=0.0, **infos):
        game = self.t.connect(self.frontend, Game, kind="lobby-servers")
        game.be_listed(**infos)
        self.games[game.id] = game
        thread = threading.Thread(target=self.answer, args=(game, delay), daemon=True)
        thread.start()
        return game

    def answer(self, game, delay):
        while not self.ended:
            try:
                datagram, sender = game.udp.recvfrom(2048)
            except TimeoutError:
                continue
            except OSError:
                return
            if delay is None or not datagram.startswith(b"\xff\xff\xff\xffgetinfo "):
                continue
            reply = b"\xff\xff\xff\xffinfoResponse\n\\challenge\\%s\\hostname\\x" % datagram[12:].strip()
            timer = threading.Timer(delay, self.send, (game, reply, sender))
            timer.daemon = True
            timer.start()

    @staticmethod
    def send(game, reply, sender):
        try:
            game.udp.sendto(reply, sender)
        except OSError:
            pass

    def end(self):
        self.ended = True
        for game in self.games.values():
            game.drop()


def screen(t, frontend, *arguments, width=80, height=24):
    return Terminal(t, [t.program("trackerctl"), "servers", "--connect", players_port(frontend), *arguments],
                    width, height)


def names(lines):
    """The descriptions of the servers that are shown, from above."""
    return re.findall(r"\bname-\w+", "\n".join(lines[2:-1]))


def title(lines, text):
    return lines[0].startswith(text)


def test_nobody_then_somebody(t):
    frontend = front_end(t)
    terminal = screen(t, frontend)
    headings = ["PING", "PLAYERS", "SPEED", "SIZE", "ERASE", "DESCRIPTION", "VERSION", "ADDRESS"]
    terminal.wait_for(lambda lines: title(lines, "0 servers") and lines[1].split() == headings and
                      any("no server is listed" in line for line in lines))
    servers = Answering(t, frontend)
    game = servers.add(description="name-one")
    words = ("3", "fast", "big", "yes", "name-one", "0.70", game.id)
    terminal.wait_for(lambda lines: title(lines, "1 server ") and re.search(r"^ *\d+ ", lines[2]) and
                      all(word in lines[2] for word in words))
    game.infos(description="name-other", players=7)
    terminal.wait_for(lambda lines: "name-other" in lines[2] and " 7 " in lines[2])
    game.drop()
    terminal.wait_for(lambda lines: title(lines, "0 servers"))
    terminal.press("Escape")
    assert terminal.wait_for_end() == 0


def test_the_nearest_come_first(t):
    frontend = front_end(t)
    servers = Answering(t, frontend)
    for name, delay in (("far", 0.4), ("silent", None), ("near", 0.0), ("middle", 0.2)):
        servers.add(delay, description=f"name-{name}")
    terminal = screen(t, frontend)
    order = ["name-near", "name-middle", "name-far", "name-silent"]
    lines = terminal.wait_for(lambda lines: names(lines) == order and re.search(r"^ *- ", lines[5]))
    pings = [int(line.split()[0]) for line in lines[2:5]]
    assert pings == sorted(pings) and pings[2] >= 400 > pings[0], pings
    terminal.press("C-c")
    assert terminal.wait_for_end() == 0


def test_what_is_typed_filters(t):
    frontend = front_end(t)
    servers = Answering(t, frontend)
    for name in ("Alpha", "beta", "alphabet"):
        servers.add(description=f"name-{name}", version="1.0")
    terminal = screen(t, frontend)
    terminal.wait_for(lambda lines: len(names(lines)) == 3)
    terminal.type("ALPHA")
    terminal.wait_for(lambda lines: sorted(names(lines)) == ["name-Alpha", "name-alphabet"] and
                      title(lines, "3 servers, 2 shown") and "filter: ALPHA" in "\n".join(lines))
    terminal.type("b")
    terminal.wait_for(lambda lines: names(lines) == ["name-alphabet"])
    terminal.press("BSpace")
    terminal.wait_for(lambda lines: len(names(lines)) == 2)
    terminal.type("zzz")
    terminal.wait_for(lambda lines: any("no server matches" in line for line in lines))
    terminal.press("Escape")
    terminal.wait_for(lambda lines: len(names(lines)) == 3)
    terminal.press("Escape")
    assert terminal.wait_for_end() == 0


def test_help_and_search(t):
    frontend = front_end(t)
    servers = Answering(t, frontend)
    for name in ("Alpha", "who?", "a/b"):
        servers.add(description=f"name-{name}")
    terminal = screen(t, frontend)
    terminal.wait_for(lambda lines: title(lines, "3 servers") and "name-Alpha" in "\n".join(lines) and
                      "? help  / search" in "\n".join(lines))
    terminal.type("?")
    terminal.wait_for(lambda lines: "measure all pings again" in "\n".join(lines) and
                      "name-Alpha" not in "\n".join(lines) and "press any key to return" in "\n".join(lines))
    terminal.type("x")  # which closes the help, and is not typed
    terminal.wait_for(lambda lines: title(lines, "3 servers ") and "name-Alpha" in "\n".join(lines))
    terminal.type("/?")
    terminal.wait_for(lambda lines: title(lines, "3 servers, 1 shown") and "name-who?" in "\n".join(lines) and
                      "/?_" in "\n".join(lines))
    terminal.press("BSpace")
    terminal.type("/")
    terminal.wait_for(lambda lines: title(lines, "3 servers, 1 shown") and "name-a/b" in "\n".join(lines))
    terminal.press("Enter")  # keeps it
    terminal.wait_for(lambda lines: "filter: /" in "\n".join(lines) and title(lines, "3 servers, 1 shown"))
    terminal.press("Escape")
    terminal.wait_for(lambda lines: title(lines, "3 servers "))
    terminal.press("Escape")
    assert terminal.wait_for_end() == 0


def test_empty_columns_give_their_room_to_the_name(t):
    frontend = front_end(t)
    name = "name-" + "n" * 45
    for _ in range(2):
        game = t.connect(frontend, Game, kind="lobby-servers")
        game.login()
        game.say(type="infos", description=name)
    terminal = screen(t, frontend, width=80)
    # Nobody answers pings, so that there is none to show either.
    terminal.wait_for(lambda lines: title(lines, "2 servers") and name in lines[2] and
                      lines[1].split() == ["DESCRIPTION", "ADDRESS"])
    game.infos(description="name-short", players=5)
    terminal.wait_for(lambda lines: all(heading in lines[1] for heading in ("PLAYERS", "SPEED", "SIZE")))


def test_enter_plays_and_comes_back(t):
    frontend = front_end(t)
    servers = Answering(t, frontend)
    first = servers.add(0.0, description="name-first")
    second = servers.add(0.3, description="name-second")
    directory = t.directory("play")
    script = os.path.join(directory, "game")
    with open(script, "w", encoding="utf-8") as file:
        file.write('#!/bin/sh\necho "$@" >> "$0.log"\nwhile [ ! -e "$0.end" ]; do sleep 0.05; done\nrm "$0.end"\n')
    os.chmod(script, 0o755)
    terminal = screen(t, frontend, "--exec", f"{script} +connect %a %h %p 100%%")
    terminal.wait_for(lambda lines: names(lines) == ["name-first", "name-second"] and "..." not in lines[3])

    def played():
        with open(f"{script}.log", encoding="utf-8") as file:
            return file.read().splitlines()

    def connected():
        return int(frontend.metric("tracker_connections"))
    before = connected()
    terminal.press("Down")
    terminal.press("Enter")
    t.wait_until(lambda: os.path.exists(f"{script}.log") and played(), 20, "the game has started")
    host, _, port = second.id.rpartition(":")
    assert played() == [f"+connect {second.id} {host} {port} 100%"], played()
    t.wait_until(lambda: connected() == before - 1, 20, "the player has left the tracker")
    first.drop()
    with open(f"{script}.end", "w", encoding="utf-8"):
        pass
    terminal.wait_for(lambda lines: names(lines) == ["name-second"] and title(lines, "1 server "))
    terminal.press("Escape")
    assert terminal.wait_for_end() == 0


def test_five_hundred_while_they_come_and_go(t):
    frontend = front_end(t, **{"net.max_per_address": "0", "access.connect_rate": "0"})
    servers = Answering(t, frontend)
    for number in range(500):
        servers.add(description=f"name-{number:03}")
    terminal = screen(t, frontend, width=200, height=50)
    lines = terminal.wait_for(lambda lines: title(lines, "500 servers") and "..." not in "\n".join(lines[2:-2]) and
                              len(names(lines)) == 47, timeout=60)
    assert all(len(line) <= 200 for line in lines)
    terminal.press("End")
    shown = names(lines)
    terminal.wait_for(lambda lines: names(lines) and not set(names(lines)) & set(shown))
    terminal.press("Home")
    terminal.wait_for(lambda lines: set(names(lines)) & set(shown))
    terminal.press("NPage")
    # What comes and goes meanwhile leaves the screen whole.
    gone = list(servers.games.values())[:20]
    for game in gone:
        game.drop()
    for number in range(30):
        servers.add(description=f"name-n{number:02}")
    terminal.wait_for(lambda lines: title(lines, "510 servers") and len(names(lines)) == 47, timeout=60)
    terminal.resize(80, 24)
    terminal.wait_for(lambda lines: len(lines[1]) <= 80 and "ADDRESS" in lines[1] and len(names(lines)) == 21)
    terminal.type("name-n")
    terminal.wait_for(lambda lines: title(lines, "510 servers, 30 shown"))
    terminal.press("Escape")
    terminal.press("Escape")
    assert terminal.wait_for_end() == 0


def test_the_tracker_goes_and_comes_back(t):
    frontend = front_end(t)
    servers = Answering(t, frontend)
    servers.add(description="name-one")
    terminal = screen(t, frontend)
    terminal.wait_for(lambda lines: names(lines) == ["name-one"])
    frontend.stop()
    terminal.wait_for(lambda lines: "[" in lines[0] and names(lines) == ["name-one"])
    terminal.press("C-c")
    assert terminal.wait_for_end() == 0


def test_hostile_names_do_not_reach_the_terminal(t):
    frontend = front_end(t)
    servers = Answering(t, frontend)
    servers.add(description="name-x\u001b[2J\u0007^1red", version="\u202e1")
    terminal = screen(t, frontend)
    terminal.wait_for(lambda lines: names(lines) == ["name-x"] and title(lines, "1 server "))


def test_a_table_and_json_for_scripts(t):
    frontend = front_end(t)
    servers = Answering(t, frontend)
    near = servers.add(0.0, description="name-near")
    servers.add(None, description="name-silent")
    command = ["trackerctl", "servers", "--connect", players_port(frontend)]
    lines = t.run(*command, "--plain").stdout.splitlines()
    assert lines[0].split()[:3] == ["PING", "PLAYERS", "SPEED"] and len(lines) == 3, lines
    assert "name-near" in lines[1] and "name-silent" in lines[2], lines
    found = json.loads(t.run(*command, "--json").stdout)
    assert [one["infos"]["description"] for one in found] == ["name-near", "name-silent"]
    assert found[0]["id"] == near.id and found[0]["ping_us"] > 0 and "ping_us" not in found[1], found
    tcp = json.loads(t.run(*command, "--json", "--ping", "tcp").stdout)
    assert all("ping_us" not in one for one in tcp), tcp  # nobody listens there


def test_what_cannot_be(t):
    frontend = front_end(t)
    servers = t.run("trackerctl", "servers", "--connect", "127.0.0.1:1", "--timeout", "500ms", check=False)
    assert servers.returncode == 3 and "refused" in servers.stderr, servers
    wrong = t.run("trackerctl", "servers", "--connect", players_port(frontend), "--ping", "smoke", check=False)
    assert wrong.returncode == 2 and "getinfo, gltron, tcp" in wrong.stderr, wrong


def test_from_the_api_and_from_redis(t):
    """As from the lobby: a server of it, and one of the master, in the same words."""
    redis = t.redis()
    frontend = t.frontend(redis, listen=(*LISTEN, "q3master=127.0.0.1:0"),
                          settings={**settings(verify="off"), "q3master.allow_loopback": "true"})
    Answering(t, frontend).add(description="name-lobby", extra="é \"x\"", players=4)
    quake = GameServer(frontend.address("q3master"), hostname="^1name-^7master", description="its own", clients="2")
    t.stack.callback(quake.close)
    quake.register()
    frontend.wait_for_metric("tracker_lobby_listed", 1)
    frontend.wait_for_metric("tracker_q3master_servers", 1)
    web = "http://%s:%d" % frontend.address("web")
    ways = [("--connect", players_port(frontend)), ("--connect", web), ("--connect", web + "/"), ("--redis", redis.url)]

    def listed(way):
        found = json.loads(t.run("trackerctl", *way, "--json", "servers").stdout)
        return {one["id"]: {key: value for key, value in one.items() if key != "ping_us"} for one in found}
    wanted = listed(ways[0])
    assert sorted(one["infos"]["description"] for one in wanted.values()) == ["name-lobby", "name-master"], wanted
    for way in ways[1:]:
        assert listed(way) == wanted, way
        table = t.run("trackerctl", *way, "--plain", "servers").stdout
        assert "name-lobby" in table and "name-master" in table, table


def test_a_screen_from_redis_is_live_and_survives_its_loss(t):
    redis = t.redis()
    frontend = t.frontend(redis, listen=LISTEN, settings=settings(verify="off"))
    servers = Answering(t, frontend)
    game = servers.add(description="name-one")
    terminal = Terminal(t, [t.program("trackerctl"), "--redis", redis.url, "servers"], 80, 24)
    terminal.wait_for(lambda lines: "name-one" in "\n".join(lines) and "Redis" in lines[0])
    servers.add(description="name-two")
    terminal.wait_for(lambda lines: "name-two" in "\n".join(lines))
    game.drop()
    terminal.wait_for(lambda lines: title(lines, "1 server ") and "name-one" not in "\n".join(lines))
    terminal.press("Escape")
    assert terminal.wait_for_end() == 0


def test_an_api_that_is_not_there(t):
    frontend = front_end(t)
    for target, code in (("http://127.0.0.1:1", 3), ("http://%s:%d" % frontend.address("lobby-clients"), 3)):
        result = t.run("trackerctl", "--timeout", "1s", "--connect", target, "--json", "servers", check=False)
        assert result.returncode == code and target in result.stderr and not result.stdout, result
