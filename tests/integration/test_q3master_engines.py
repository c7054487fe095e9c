"""Real game servers and a real browser: ioquake3 registers, quakestat lists."""
import re
import socket

from harness import engine
from harness.q3master_masters import Masters

TIMEOUT = 180


def free_port(host="127.0.0.1"):
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as probe:
        probe.bind((host, 0))
        return probe.getsockname()[1]


def browse(t, address):
    """What quakestat lists of Quake III, protocol 68: servers that answered it themselves."""
    text = t.run("quakestat", "-mi", "0.2", "-retry", "1", "-nh", "-q3m,68", f"{address[0]}:{address[1]}",
                 check=False, timeout=60).stdout
    found = re.findall(r"^Q3S\s+(127\.[\d.]+:\d+)\s+(?!DOWN)\S", text, re.M)
    return text, sorted(set(found))


def wait_for_browser(t, address, wanted, timeout=40):
    last = []

    def is_it():
        last[:] = browse(t, address)
        return last[1] == wanted
    t.wait_until(is_it, timeout, lambda: f"{last} instead of {wanted}", 0.2)


def test_an_engine_is_listed_by_a_browser_at_another_front_end(t):
    masters = Masters(t, "ipv4", 2, {"q3master.probe_interval": "500ms", "map.recovery_grace": "1s", "map.sweep": "200ms",
                                     "map.lease": "1s"})
    port = free_port()
    where = f"127.0.0.1:{port}"
    game = engine.start(t, port, ["%s:%d" % masters.address(0)], com_gamename="Quake3Arena")
    masters.player(1).wait_for("getservers 68 empty", [where], 30)
    wait_for_browser(t, masters.address(1), [where])
    key = f"tracker:{{lobby/1/0}}:client:{where}"
    assert masters.redis("HGET", key, "p:hostname") == b'"an engine"'
    assert masters.redis("HGET", key, "p:mapname") == b'"tiny"'
    masters.frontends[0].kill()
    wait_for_browser(t, masters.address(1), [where])
    game.kill()  # it says nothing: it is gone when its time ends, not before
    masters.player(1).wait_for("getservers 68 empty", [where])


def test_an_engine_that_stops_is_off_the_list_soon(t):
    masters = Masters(t, "ipv4", 2, {"q3master.probe_interval": "500ms", "map.recovery_grace": "0s", "map.sweep": "200ms"})
    port = free_port()
    game = engine.start(t, port, ["%s:%d" % masters.address(0)])
    # Its own front-end lists it, too, or a heartbeat would be that of a server not yet there.
    for index in (1, 0):
        masters.player(index).wait_for("getservers tiny 68 empty", [f"127.0.0.1:{port}"], 30)
    game.child.terminate()  # its last heartbeat is like every other
    masters.player(1).wait_for("getservers tiny 68 empty", [], 20)


def test_an_engine_that_is_killed_is_off_the_list_at_the_end_of_its_time(t):
    masters = Masters(t, "ipv4", 2, {"q3master.ttl": "3s", "q3master.probe_interval": "500ms", "map.recovery_grace": "0s",
                                     "map.sweep": "200ms"})
    port = free_port()
    game = engine.start(t, port, ["%s:%d" % masters.address(0)])
    where = [f"127.0.0.1:{port}"]
    masters.player(1).wait_for("getservers tiny 68 empty", where, 30)
    # It heartbeats every five minutes only: that it stays is by its answers to probes.
    t.wait_until(lambda: masters.metric("probes_total", 0) + masters.metric("probes_total", 1) >= 3, 30)
    assert masters.player(1).servers("getservers tiny 68 empty") == where
    game.kill()
    masters.player(1).wait_for("getservers tiny 68 empty", [], 20)


def test_engines_over_ipv6(t):
    masters = Masters(t, "ipv6", 2)
    port = free_port("::1")
    engine.start(t, port, ["[%s]:%d" % masters.address(0)], host="::1")
    masters.player(1).wait_for("getserversExt tiny 68 empty ipv6", [f"[::1]:{port}"], 30)


def test_two_engines_and_a_filter(t):
    masters = Masters(t)
    master = ["%s:%d" % masters.address()]
    ports = [free_port() for _ in range(2)]
    engine.start(t, ports[0], master)
    engine.start(t, ports[1], master, name="other", g_gametype="4")
    masters.player().wait_for("getservers tiny 68 empty", [f"127.0.0.1:{ports[0]}"], 30)
    masters.player().wait_for("getservers other 68 empty ctf", [f"127.0.0.1:{ports[1]}"], 30)
    masters.player().wait_for("getservers other 68 empty ffa", [])
