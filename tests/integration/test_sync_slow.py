"""Clients that do not read: they receive later what changed meanwhile, joined, and nobody waits."""
import json
import socket

from harness import scaled
from harness.sync import Sync

LISTEN = ("tracker=127.0.0.1:0", "web=127.0.0.1:0", "sync=127.0.0.1:0", "sync=127.0.0.1:0,send_buffer=4KiB")
QUICK = {"sync.tick": "20ms", "net.write_timeout": "60s"}


def slow(t, frontend, **options):
    """A client whose kernel, and the front-end's, keep little for it."""
    connection = socket.socket()
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    connection.connect(frontend.address("sync", 1))
    return t.connect(connection, Sync, path="/", **options)


def fill(client, number):
    """Nearly as much as a client may have."""
    client.set(number=number, text="x" * 3900)


def make_slow_client_miss(t, delta):
    a, b = t.frontends(2, t.redis(), listen=LISTEN, settings=QUICK)
    writers = [t.connect(b, Sync, kind="sync") for _ in range(10)]
    leaves, changes = (t.connect(b, Sync, kind="sync") for _ in range(2))
    changes.set(kept=1, deleted=2)
    fast = t.connect(a, Sync, kind="sync", delta=delta)
    reader = slow(t, a, delta=delta)
    for client in (fast, reader, changes):
        client.wait_map(lambda received: len(received) == 14 and received[changes.token] == {"kept": 1, "deleted": 2})
    received_before = len(reader.ticks)
    number, before = 0, a.metric("tracker_conflations_total")
    # Twice what its buffers hold, and until a tick has been left out for it: not one of those above.
    while number < 2 or a.metric("tracker_conflations_total") == before:
        number += 1
        for writer in writers:
            fill(writer, number)
        fast.wait_map(lambda received: all(received[writer.token].get("number") == number for writer in writers), 20)
    # It has a backlog: it receives what happens now in one message.
    vanishes, stays = (t.connect(b, Sync, kind="sync") for _ in range(2))
    vanishes.set(x=1)
    changes.set(deleted=None, new=3)
    leaves.drop()
    fast.wait_map(lambda received: vanishes.token in received and stays.token in received and leaves.token not in received)
    vanishes.drop()
    stays.set(here=True)
    for _ in range(20):
        number += 1
        for writer in writers:
            fill(writer, number)
        fast.wait_map(lambda received: all(received[writer.token]["number"] == number for writer in writers), 20)
    fast.wait_map(lambda received: vanishes.token not in received and received[stays.token] == {"here": True}
                  and received[changes.token] == {"kept": 1, "new": 3})
    reader.wait_map(fast.map, 30)
    received = reader.ticks[received_before:]
    assert len(received) < len(fast.ticks) / 2, (len(received), len(fast.ticks))
    assert not [tick for tick in received if vanishes.token in json.dumps(tick)], "it came and went meanwhile"
    assert sum(tick["closed"].count(leaves.token) for tick in received) == 1
    assert sum(tick["opened"].count(stays.token) for tick in received) == 1
    # From now on it receives every tick, as all others.
    changes.set(new=4)
    reader.wait_map(lambda received: received[changes.token] == {"kept": 1, "new": 4})
    return a


def test_a_slow_reader_of_the_whole_map(t):
    make_slow_client_miss(t, False)


def test_a_slow_reader_in_delta_mode(t):
    make_slow_client_miss(t, True)


def test_packets_for_who_does_not_read(t):
    """They wait up to a limit; then the connection is closed, and the sender is notified."""
    a, b = t.frontends(2, t.redis(), settings=QUICK,
                       listen=(*LISTEN[:3], "sync=127.0.0.1:0,send_buffer=4KiB,max_backlog=64KiB"))
    sender, other = (t.connect(b, Sync, kind="sync") for _ in range(2))
    reader = slow(t, a)
    sender.wait_map(lambda received: reader.token in received)
    while not sender.errors:
        sender.send([reader.token, other.token], {"type": "much", "much": "x" * 2000})
        sender.pump()
    code, message = sender.errors[0]
    assert code == "undeliverable" and message.startswith(reader.token), message
    sender.wait_map(lambda received: reader.token not in received)
    code, _ = reader.wait_closed(20)
    assert code in (1013, 1006), code
    sender.send(other.token, {"type": "last"})
    other.wait(lambda: other.packets and other.packets[-1]["type"] == "last")
    assert a.metric("tracker_websocket_closed_total", code="1013") == 1


def test_everyones_packets_and_who_does_not_read(t):
    frontend = t.frontend(t.redis(), settings=QUICK,
                          listen=(*LISTEN[:3], "sync=127.0.0.1:0,send_buffer=4KiB,max_backlog=64KiB"))
    sender = t.connect(frontend, Sync, kind="sync")
    reader = slow(t, frontend)
    sender.wait_map(lambda received: reader.token in received)
    sent = 0
    while reader.token in sender.map:
        sent += 1
        sender.send("*", {"type": "loud", "loud": "x" * 2000})
        sender.wait_packet(sent)
        assert sent < 100000
    assert reader.wait_closed(20).code in (1013, 1006)
    assert not sender.errors


def test_who_reads_nothing_at_all_is_closed_in_the_end(t):
    a, b = t.frontends(2, t.redis(), listen=LISTEN, settings={**QUICK, "net.write_timeout": "1s"})
    writers = [t.connect(b, Sync, kind="sync") for _ in range(5)]
    reader = slow(t, a)
    writers[0].wait_map(lambda received: reader.token in received)
    number = 0
    while reader.token in writers[0].map:
        number += 1
        for writer in writers:
            fill(writer, number)
            writer.pump(scaled(0.02))
    assert a.metric("tracker_connections_closed_total", reason="write_timeout") == 1
