"""docs/run-a-master.md: its own command, and its four checks, word by word but for ports."""
import os
import re
import shlex
import time

from harness import scaled
from harness.q3master import GameServer


def read(t):
    with open(os.path.join(t.root, "docs/run-a-master.md"), encoding="utf-8") as file:
        return file.read()


def command_of(text):
    """The options of the guide's command."""
    return shlex.split(re.search(r"^trackerd (--redis .*--listen .*)$", text, re.M).group(1))


def block_of(text, begins):
    """The code block whose first line begins so."""
    return next(block for block in re.findall(r"^```\n(.*?)^```", text, re.M | re.S) if block.startswith(begins))


def test_the_four_checks_of_its_own_command(t):
    text = read(t)
    options = command_of(text)
    assert options[:2] == ["--redis", "redis://127.0.0.1"], options
    listen = [re.sub(r"(\*|127\.0\.0\.1):\d+", "127.0.0.1:0", options[at + 1])
              for at, option in enumerate(options) if option == "--listen"]
    redis = t.redis()
    frontend = t.frontend(redis, listen=tuple(listen), settings={"q3master.allow_loopback": "true"})
    quake = GameServer(frontend.address("q3master"), tag="QuakeArena-1", gamename=None, protocol="68", hostname="quake-name")
    arena = GameServer(frontend.address("q3master"), tag="QuakeArena-1", gamename="Quake3Arena", protocol="71")
    mine = GameServer(frontend.address("q3master"), gamename="MyGame", protocol="7")
    for game in (quake, arena, mine):
        t.stack.callback(game.close)
        game.register()
    frontend.wait_for_metric("tracker_q3master_servers", 3)
    checks = block_of(text, "quakestat -mi").splitlines()
    assert quake.where in asked(t, frontend, checks[0]) and arena.where not in asked(t, frontend, checks[0])
    assert arena.where in asked(t, frontend, checks[0].replace("q3m,68", "q3m,71"))
    config = os.path.join(t.directory(), "mygame.cfg")
    with open(config, "w", encoding="utf-8") as file:
        file.write(block_of(text, "gametype MYGAMES"))
    assert mine.where in asked(t, frontend, block_of(text, "quakestat -cfg").strip().replace("mygame.cfg", config))
    assert checks[1] == "trackerctl servers --plain"
    assert "--connect" not in checks[1] and any(one.startswith("lobby-clients=127.0.0.1:23470") for one in options)
    plain = t.run("trackerctl", "servers", "--plain", "--connect", "%s:%d" % frontend.address("lobby-clients")).stdout
    assert "quake-name" in plain and mine.where in plain, plain
    command = shlex.split(checks[2])
    assert command[0] == "redis-cli"
    assert redis(*command[1:]) == 3
    assert checks[3].startswith("curl -s http://127.0.0.1:8080/metrics | grep q3master")
    assert b"tracker_q3master_servers 3" in frontend.http("/metrics")[2]


def asked(t, frontend, line):
    """What quakestat says, by the guide's line, with this front-end's port."""
    words = shlex.split(line.replace("127.0.0.1:27950", "%s:%d" % frontend.address("q3master")))
    end = time.monotonic() + scaled(20)
    while True:
        said = t.run(*words, check=False, timeout=60).stdout
        if "127.0.0.1:" in said or time.monotonic() > end:
            return said
