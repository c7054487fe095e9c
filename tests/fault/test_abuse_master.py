"""Queries with forged source addresses: the bytes that one network can be sent are limited, whichever of its addresses
are named; others are answered, whole lists at a time."""
import re
import time

from harness.q3master_masters import Masters

LISTED = 300
BURST, RATE = 256 << 10, 64 << 10
# What a test from loopback would exceed by itself, with few addresses of its own.
LIFTED = {"q3master.query_rate": "0", "q3master.max_per_address": "0", "q3master.heartbeat_rate": "0"}
HEADERS = 28


def with_servers(t, count, **settings):
    masters = Masters(t, settings={**LIFTED, **settings})
    for number in range(count):
        masters.server(host=f"127.202.{number // 200}.{number % 200 + 1}", gamename="Quake3Arena", protocol="68").register()
    t.wait_until(lambda: masters.metric("q3master_servers") == count, 20)
    return masters


def received(player):
    """(bytes with headers, lists, lists that are not whole) of all that has been sent to it."""
    size, lists, parts, broken = 0, 0, 0, 0
    while True:
        text, _ = player.receive(0.3)
        if text is None:
            return size, lists, broken + (parts > 0)
        size += len(text) + 4 + HEADERS
        parts += text.count(b"\\") - text.endswith(b"\\")
        if text.endswith(b"\\EOT\0\0\0"):
            lists, broken, parts = lists + 1, broken + (size == 0), 0


def test_a_network_gets_so_many_bytes_and_no_more(t):
    masters = with_servers(t, LISTED)
    players = [masters.player(host=f"127.9.8.{number}") for number in range(1, 41)]
    began = time.monotonic()
    for _ in range(10):
        for player in players:
            player.send(b"getservers 68 empty full")
            time.sleep(0.002)
    t.wait_until(lambda: masters.metric("messages_total", kind="getservers") >= 350, 10)
    seconds = time.monotonic() - began
    got = [received(player) for player in players]
    size, lists = sum(one[0] for one in got), sum(one[1] for one in got)
    assert size <= BURST + RATE * seconds, (size, seconds)
    assert size >= 100 << 10, size  # the burst is usable
    assert not any(one[2] for one in got), "a list was sent in part"
    assert masters.metric("q3master_dropped_total", reason="max_output_per_prefix") >= 350 - lists - 50
    # The network beside it is answered at once; and a game server of the network itself can register.
    assert len(masters.player(host="127.9.9.1").servers("getservers 68 empty full")) == LISTED
    late = masters.server(host="127.9.8.200", gamename="Quake3Arena", protocol="68")
    late.register()
    t.wait_until(lambda: masters.metric("q3master_servers") == LISTED + 1, 10)
    # The network is answered again when it has paid.
    t.wait_until(lambda: len(players[0].servers("getservers 68 empty full") or ()) == LISTED + 1, 20)


def test_forged_addresses_of_many_networks_do_not_free_it(t):
    masters = with_servers(t, LISTED, **{"q3master.addresses": "16", "q3master.query_rate": "2"})
    victim = masters.player(host="127.9.8.7")
    others = [masters.player(host=f"127.20.{number}.1") for number in range(120)]
    began, asked = time.monotonic(), 0
    for turn in range(1200):
        # After as many others, a table of the addresses that asked last has forgotten it.
        others[turn % len(others)].send(b"getservers 68 empty full")
        if turn % 4 == 0:
            victim.send(b"getservers 68 empty full")
            asked += 1
        time.sleep(0.001)
    seconds = time.monotonic() - began
    size, lists, broken = received(victim)
    assert size <= BURST + RATE * (seconds + 1) and not broken, (size, lists, asked, seconds)


def test_the_limit_is_a_setting(t):
    masters = with_servers(t, LISTED, **{"q3master.max_output_per_prefix": "0"})
    player = masters.player(host="127.9.8.7")
    for _ in range(200):
        assert len(player.servers("getservers 68 empty full")) == LISTED
    assert masters.metric("q3master_dropped_total", reason="max_output_per_prefix") == 0


def test_browsers_get_a_thousand_servers_whole(t):
    """quakestat, and the queries of Quake III's and DarkPlaces' clients, with default limits of output."""
    masters = with_servers(t, 1000)
    wanted = 1000
    host, port = masters.address()
    text = t.run("quakestat", "-nh", "-mi", "2", "-maxsim", "500", "-interval", "0.2", "-retry", "1", "-q3m,68", f"{host}:{port}",
                 check=False, timeout=60).stdout
    found = set(re.findall(r"(127\.202\.\d+\.\d+:\d+)", text)) | set(re.findall(r"\b(\d+) servers", text))
    assert len(found) >= wanted or str(wanted) in found, (len(found), text[:400])
    for query in ("getservers 68 empty full", "getservers Quake3Arena 68 empty full",
                  "getserversExt Quake3Arena 68 empty full ipv4 ipv6"):
        for _ in range(5):
            assert len(set(masters.player(host="127.0.0.9").servers(query))) == wanted, query
    assert masters.metric("q3master_dropped_total", reason="max_output_per_prefix") == 0


def test_made_up_kinds_of_queries_stop_no_others(t):
    masters = with_servers(t, 20, **{"q3master.new_kinds_rate": "20", "q3master.new_kinds_burst": "10",
                                     "q3master.filters": "8", "q3master.max_output_per_prefix": "0"})
    player, forger = masters.player(host="127.9.8.1"), masters.player(host="127.9.9.1")
    for _ in range(2):
        assert len(player.servers("getservers 68 empty full")) == 20
    began, made = time.monotonic(), masters.metric("q3master_lists_made_total")
    for number in range(1000):
        forger.send(b"getservers Quake3Arena 68 empty full gametype=%d" % number)
        time.sleep(0.001)
        if number % 100 == 99:
            # It is kept, and so answered, as it was requested more than once.
            assert len(player.servers("getservers 68 empty full")) == 20
    t.wait_until(lambda: masters.metric("messages_total", kind="getservers") >= 1000, 10)
    seconds = time.monotonic() - began
    assert masters.metric("q3master_lists_made_total") - made <= 10 + 20 * seconds + 1
    assert masters.metric("q3master_dropped_total", reason="new_kinds_rate") >= 1000 - 10 - 20 * seconds - 1


def flood_of_servers(masters, hosts, each):
    """Game servers that register and answer, as honest ones do."""
    games = [masters.server(number % len(masters.frontends), host=host, gamename="Quake3Arena", protocol="68")
             for number, host in enumerate(hosts * each)]
    for game in games:
        game.register()
    return games


def listed_at(masters, index):
    return set(masters.player(index, host="127.9.9.1").servers("getservers 68 empty full") or ())


def test_addresses_of_one_network_do_not_fill_the_list_for_others(t):
    most = 64
    masters = Masters(t, count=2, settings={"q3master.max_servers": str(most)})
    old = flood_of_servers(masters, [f"127.8.{number}.1" for number in range(4)], 1)
    t.wait_until(lambda: len(listed_at(masters, 0)) == len(old), 10)
    flood_of_servers(masters, [f"127.0.66.{number}" for number in range(1, 129)], 2)
    t.wait_until(lambda: len(listed_at(masters, 1)) >= most, 10)
    newcomers = []
    for number in range(8):
        newcomer = masters.server(number % 2, host=f"127.9.{number}.1", gamename="Quake3Arena", protocol="68")
        newcomer.register()
        newcomers.append(newcomer)
        wanted = {game.where for game in (*old, *newcomers)}
        for index in range(2):
            t.wait_until(lambda at=index, who=wanted: who <= listed_at(masters, at), 10,
                         f"newcomer {number} is listed, and all before it remain")
    # The network registers again and again, and gets no place of others back.
    flood_of_servers(masters, [f"127.0.66.{number}" for number in range(1, 129)], 1)
    t.wait_until(lambda: sum(masters.metric("q3master_dropped_total", index, reason="max_servers") for index in range(2)) >= 128, 10)
    for index in range(2):
        here = listed_at(masters, index)
        # Each front-end counts what it knows, not what is under way on the other.
        assert wanted <= here and len(here) <= most * len(masters.frontends), (len(here), wanted - here)
    t.fsck(masters.redis)


def test_a_server_that_answers_and_was_first_is_evicted_last(t):
    masters = Masters(t, settings={"q3master.max_servers": "12"})
    network = [f"127.0.66.{number}" for number in range(1, 13)]
    games = []
    for host in network:
        games += flood_of_servers(masters, [host], 1)
        t.wait_until(lambda: len(listed_at(masters, 0)) == len(games), 10)
    for number in range(6):
        newcomer = masters.server(host=f"127.9.{number}.1", gamename="Quake3Arena", protocol="68")
        newcomer.register()
        t.wait_until(lambda who=newcomer.where: who in listed_at(masters, 0), 10)
    remaining = {game.where for game in games} & listed_at(masters, 0)
    assert remaining == {game.where for game in games[:6]}, "the newest of the largest network were evicted"
    assert masters.metric("q3master_evicted_total") == 6
