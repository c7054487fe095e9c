"""Packets to many receivers, from one address: what they cost a front-end and Redis, and what the others notice."""
import json
import socket

from harness.abuse import ATTACKER, Watch
from harness.sync import Sync, text_of
from harness.websocket import TEXT, frame

LISTEN = ("tracker=127.0.0.1:0", "web=127.0.0.1:0", "sync=127.0.0.1:0")
MIB = 1 << 20
RECEIVERS = 120
SENDERS = 8


def attacker(t, frontend, reads=True, **options):
    """A client from the attacker's address; one that does not read has small buffers, too."""
    one = socket.socket()
    if not reads:
        one.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    one.bind((ATTACKER, 0))
    one.connect(frontend.address("sync"))
    client = Sync(one, delta=True, enters=False, **options)
    t.stack.callback(client.drop)
    return client


def entered(clients):
    for client in clients:
        client.wait(lambda client=client: client.token, what="the first metadata")
    return clients


def send_at_once(clients, message):
    """Each sends the message, and all become complete at the same time."""
    data = frame(TEXT, message, mask=bytes(4))
    for client in clients:
        client.websocket.socket.sendall(data[:-1])
    for client in clients:
        client.websocket.socket.sendall(data[-1:])


def commands(redis, name):
    stats = redis.info("commandstats").get(f"cmdstat_{name}", "calls=0")
    return int((stats["calls"] if isinstance(stats, dict) else stats.split("calls=")[1].split(",")[0]))


def start(t):
    """A front-end, two well-behaved clients, receivers who do not read, and senders."""
    redis = t.redis()
    frontend = t.frontend(redis, listen=LISTEN, settings={"net.send_buffer": "16KiB"})
    reader, speaker = (t.connect(frontend, Sync, kind="sync", delta=True) for _ in range(2))
    receivers = entered([attacker(t, frontend, reads=False) for _ in range(RECEIVERS)])
    senders = entered([attacker(t, frontend) for _ in range(SENDERS)])
    return redis, frontend, reader, speaker, receivers, senders


def wait_closed(reader, frontend, count):
    reader.wait(lambda: frontend.metric("tracker_websocket_closed_total", code="1013") >= count,
                what="those who do not read are closed", timeout=20)


def test_large_packets_to_receivers_who_do_not_read(t):
    """One copy for all receivers; a receiver with too much unread is closed before it gets more."""
    redis, frontend, reader, speaker, receivers, senders = start(t)
    to = [client.token for client in receivers]
    watch = Watch(t, frontend, redis)
    send_at_once(senders, text_of(to, {"type": "x", "x": "x" * (MIB - 80 * RECEIVERS)}))
    speaker.send(reader.token, {"type": "hello"})
    reader.wait(lambda: reader.packets and reader.packets[-1]["type"] == "hello")
    wait_closed(reader, frontend, RECEIVERS)
    watch.stop().check()
    assert watch.grown() < t.allowed_memory(128 * MIB), f"{watch.grown() / MIB:.0f} MiB more"
    for sender in senders:
        sender.pump(0.1)
        # Those that were closed before are looked up first.
        assert len(sender.errors) <= 2, "an error names all of whom it became known at the same time"
    t.fsck(redis)


def test_packets_to_all_when_many_do_not_read(t):
    """Who reads gets all, in one order; who does not is closed with too much unread, and no later."""
    redis, frontend, reader, _, _, senders = start(t)
    watch = Watch(t, frontend, redis)
    for number in range(3):
        send_at_once(senders, text_of("*", {"type": "x", "number": number, "x": "x" * (MIB // 9)}))
        for client in [reader] + senders:
            client.wait(lambda client=client, number=number: len(client.packets) == SENDERS * (number + 1))
    wait_closed(reader, frontend, RECEIVERS)
    watch.stop().check()
    assert watch.grown() < t.allowed_memory(64 * MIB), f"{watch.grown() / MIB:.0f} MiB more"
    orders = {tuple((packet["from"], packet["number"]) for packet in client.packets) for client in [reader] + senders}
    assert len(orders) == 1, "all see one order"
    t.fsck(redis)


def test_receivers_that_do_not_exist(t):
    """All of a packet are one command to Redis and one error, not longer than the packet was."""
    redis = t.redis()
    a, b = t.frontends(2, redis, listen=LISTEN)
    other, far = (t.connect(node, Sync, kind="sync", delta=True) for node in (a, b))
    sender = entered([attacker(t, a)])[0]
    count, asked = 60, 0
    before = commands(redis, "evalsha")
    singles = commands(redis, "hget")
    watch = Watch(t, a, redis)
    for number in range(count):
        ids = [f"{number:03}{one:029}" for one in range(255)] + [far.token]
        asked += len(text_of(ids, {}))
        sender.send(ids, {"type": "x", "x": number})
    named = []
    sender.wait(lambda: len(sender.errors) == count, 20)
    for code, message in sender.errors:
        assert code == "undeliverable" and message.endswith(": no receiver accepts packets"), message[-80:]
        named += message[:message.index(":")].split(", ")
    assert named == [f"{number:03}{one:029}" for number in range(count) for one in range(255)]
    assert sum(map(len, sender.error_texts)) < asked * 1.1
    far.wait(lambda: len(far.packets) == count)
    assert [packet["x"] for packet in far.packets] == list(range(count)), "the one that exists gets all, in order"
    watch.stop().check()
    # Besides those that front-ends send all the time.
    assert commands(redis, "evalsha") - before < count + 30 * len(watch.waits)
    assert commands(redis, "hget") - singles <= count * 255 + 30 * len(watch.waits)
    other.send(far.token, {"type": "hello"})
    far.wait(lambda: far.packets[-1]["type"] == "hello")
    t.fsck(redis)


def test_more_receivers_than_allowed(t):
    """The packet is refused as a whole, with an error that names the setting; the connection stays."""
    frontend = t.frontend(t.redis(), listen=LISTEN)
    reader = t.connect(frontend, Sync, kind="sync", delta=True)
    sender = entered([attacker(t, frontend)])[0]
    sender.send([reader.token] + [str(number) for number in range(256)], {"type": "x"})
    code, message = sender.wait_error()
    assert code == "limit" and "sync.max_receivers" in message, message
    sender.send([reader.token] + [str(number) for number in range(255)], {"type": "y"})
    assert reader.wait_packet()["type"] == "y"
    assert len(json.loads(sender.texts[-1])) == 3 and sender.closed is None


def test_many_small_packets_to_a_crowd(t):
    """Their sender waits for its budget, and nobody else does; all arrive, in the order in which they were sent."""
    redis, count = t.redis(), 500
    frontend = t.frontend(redis, listen=LISTEN)
    speaker = t.connect(frontend, Sync, kind="sync", delta=True)
    entered([attacker(t, frontend) for _ in range(600)])
    sender = entered([attacker(t, frontend)])[0]
    reader = t.connect(frontend, Sync, kind="sync", delta=True)
    watch = Watch(t, frontend, redis)
    flood = b"".join(frame(TEXT, text_of(to, {"type": "n", "n": number, "to": to}), mask=bytes(4))
                     for number in range(count) for to in ("*", reader.token))
    sender.websocket.socket.sendall(flood)
    speaker.send(reader.token, {"type": "hello"})
    reader.wait(lambda: [packet for packet in reader.packets if packet["type"] == "hello"], 1)
    reader.wait(lambda: len(reader.packets) == 2 * count + 1, 30)
    ours = [packet for packet in reader.packets if packet["type"] == "n"]
    assert [(packet["n"], packet["to"]) for packet in ours] == [
        (number, to) for number in range(count) for to in ("*", reader.token)]
    watch.stop().check()
    assert frontend.metric("tracker_budget_units_total") > count * 600 // 8
    assert frontend.metric("tracker_budget_waits_total", of="connection") > 0
    assert sender.closed is None and reader.closed is None and speaker.closed is None


def test_a_packet_that_would_cost_too_much(t):
    """A large one to many on other front-ends is refused before anything of it is sent."""
    redis = t.redis()
    a, b = t.frontends(2, redis, listen=LISTEN)
    far = entered([attacker(t, b) for _ in range(60)])
    sender = entered([attacker(t, a)])[0]
    sender.wait_map(lambda received: all(client.token in received for client in far))
    sender.send([client.token for client in far], {"type": "x", "x": "x" * (MIB - 5000)})
    code, message = sender.wait_error()
    assert code == "limit" and "budget.rate" in message, message
    sender.send(far[0].token, {"type": "x", "x": "x" * (MIB - 5000)})
    sender.send([client.token for client in far], {"type": "y"})
    for client in far:
        client.wait(lambda client=client: client.packets and client.packets[-1]["type"] == "y")
        assert len(client.packets) == (2 if client is far[0] else 1)
    assert len(sender.errors) == 1
