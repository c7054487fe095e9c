"""What a forged source address is worth at the UDP master: bytes to a victim per byte of the attacker, with all headers,
and bytes a second to one network, over sockets and beside the figures of docs/protocol-master.md."""
import os
import re
import socket
import threading
import time

from figures import Finding, Ratio, figure
from harness.q3master import HEADER, GameServer, Player

LISTED = 4096
HEADERS = 28  # of IPv4 and UDP
KIB = 1024
SETTINGS = {"q3master.allow_loopback": "true", "q3master.max_per_address": "0", "q3master.heartbeat_rate": "0",
            "q3master.query_rate": "0"}
SHORT4, SHORT6 = "getservers 3", "getserversExt a 3"  # of the shortest that request a list
DOCUMENT = os.path.join(os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))), "docs",
                        "protocol-master.md")
FORGED = 50       # addresses of the victim's network that seem to ask
ASKED = 300       # queries a second from them together


def documented():
    """The two ratios, each (bytes sent, bytes of the query, ratio), then KiB a second and KiB at once."""
    with open(DOCUMENT, encoding="utf-8") as file:
        text = " ".join(file.read().split())
    number = r"([\d,]+)"
    four = re.search(rf"it is {number} to 1 \({number} bytes for {number}\)", text)
    six = re.search(rf"and {number} to 1 where all have IPv6 addresses \({number} bytes for {number}\)", text)
    limit = re.search(rf"at most {number} KiB a second of each front-end, after {number} KiB at once", text)
    value = lambda match, group: int(match[group].replace(",", ""))
    return (*((value(one, 2), value(one, 3), value(one, 1)) for one in (four, six)), value(limit, 1), value(limit, 2))


def start(t, family, listed, **settings):
    """A front-end that lists so many servers of one game, at addresses of the family."""
    node = t.frontend(t.redis(), node="a", listen=("q3master=*:0", "web=127.0.0.1:0"), settings={**SETTINGS, **settings})
    port, servers = node.address("q3master")[1], []
    for number in range(listed):
        master = ("::1", port) if family == "ipv6" else ("127.0.0.1", port)
        host = f"127.{number >> 10 & 63 | 64}.{number >> 5 & 31}.{number % 32 + 1}"
        servers.append(GameServer(master, None if family == "ipv6" else host, gamename="a"))
        servers[-1].register()
    t.wait_until(lambda: node.metric("tracker_q3master_servers") == listed, 60)
    for server in servers:
        server.close()
    return node, ("127.0.0.1", port)


def one_list(master, query):
    """(bytes of the answer, bytes of the query) with headers."""
    player = Player(master, "127.9.9.9")
    player.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
    packets = player.ask(query)
    player.close()
    return sum(len(one) + len(HEADER) + HEADERS for one in packets), len(query) + len(HEADER) + HEADERS


def ask_always(peers, query, ended):
    turn = 0
    while not ended.is_set():
        peers[turn % len(peers)].send(query.encode())
        turn += 1
        time.sleep(1 / ASKED)


def to_a_network(master, query, seconds):
    """(bytes at once, bytes a second afterwards) that all addresses of a /24 receive together."""
    peers = [Player(master, f"127.9.8.{number}") for number in range(1, FORGED + 1)]
    ended, got = threading.Event(), []
    asking = threading.Thread(target=ask_always, args=(peers, query, ended))
    asking.start()
    began = time.monotonic()
    while time.monotonic() < began + seconds + 2:
        for peer in peers:
            text, _ = peer.receive(0)
            if text is not None:
                got.append((time.monotonic() - began, len(text) + len(HEADER) + HEADERS))
        time.sleep(0.001)
    ended.set()
    asking.join()
    for peer in peers:
        peer.close()
    later = [(when, size) for when, size in got if when > 1]
    rate = sum(size for _, size in later[1:]) / (later[-1][0] - later[0][0])
    at_once = sum(size for when, size in got if when <= 1) - rate
    return at_once, rate


def amplification(bench, t):
    """bytes to a victim per byte of an attacker who forges its address, and a second to its network"""
    *ratios, most, burst = documented()
    findings, seen = [], {}
    for family, query, (sent, asked, ratio) in zip(("ipv4", "ipv6"), (SHORT4, SHORT6), ratios):
        # ::1 is all in one network, and registering counts towards its limit.
        node, master = start(t, family, LISTED, **{"q3master.max_output_per_prefix": "0"})
        size, cost = one_list(master, query)
        seen[f"{family}_bytes"], seen[f"{family}_query"] = size, cost
        findings.append(Finding(
            f"worst ratio, {LISTED:,} servers with {family.replace('ip', 'IP')} addresses: `{query}`",
            f"{size // cost:,} ({size:,} bytes for {cost})", f"documented: {ratio:,} ({sent:,} for {asked})",
            str(Ratio([size / cost], [ratio])), "≤ 1", size // cost <= ratio and (size, cost) <= (sent, asked),
            bench.commands))
        node.stop()
    at_once, rates = [], []
    for _ in range(bench.rounds):
        node, master = start(t, "ipv4", 300)
        one = to_a_network(master, SHORT4, max(bench.seconds, 5))
        at_once.append(one[0] / KIB)
        rates.append(one[1] / KIB)
        node.stop()
    seen.update(kib_at_once=at_once, kib_a_second=rates)
    bench.note("tests/bench/amplification.py", seen)
    for what, values, documented_kib in ((f"bytes a second to a /24 whose {FORGED} addresses seem to send {ASKED} requests a second", rates, most),
                                         ("bytes to it at once, after a rest", at_once, burst)):
        ratio = Ratio(values, [documented_kib] * len(values))
        findings.append(Finding(what, figure(values, "KiB", 1), f"documented: {documented_kib} KiB", str(ratio), "≤ 1.05",
                                ratio.median <= 1.05, bench.commands))
    return findings


ALL = {"amplification": amplification}
