"""What one address asks for while Redis does not answer, which waits: it takes a share of what may wait, so that
others can go on asking, and nobody waits in vain."""
import json
import socket

from harness.abuse import ATTACKER
from harness.sync import Sync
from harness.turntable import Turntable

LISTEN = ("tracker=127.0.0.1:0", "web=127.0.0.1:0", "sync=127.0.0.1:0")


def connect(t, frontend, kind, client, source="127.0.0.1", **options):
    client = client(socket.create_connection(frontend.address(kind), source_address=(source, 0)), **options)
    t.stack.callback(client.drop)
    return client


def numbers_of(client, room):
    """Of the messages that arrived, in their order."""
    return [json.loads(text)["data"]["actions"][0]["data"][0] for text in client.rooms[room]]


def check_room_is_left(redis, frontend, other, room):
    """Redis is stopped, and others have sent 20 messages: two of this client's are accepted nevertheless."""
    frontend.wait_for_metric("tracker_messages_total", 20, protocol="turntable", kind="game")
    for number in range(2):
        other.play(room, [number, "x" * 100000])
    frontend.wait_for_metric("tracker_messages_total", 22, protocol="turntable", kind="game")
    redis.thaw()
    other.play(room, ["after"])
    other.wait("game", lambda data: data["actions"][0]["data"][0] == "after")
    assert numbers_of(other, room) == [0, 1, "after"], numbers_of(other, room)


def test_messages_of_one_address_leave_room_for_those_of_others(t):
    redis = t.redis()
    frontend = t.frontend(redis, listen=LISTEN, settings={"map.max_pending_bytes": "1MiB", "redis.deadline": "20s"})
    attacker = connect(t, frontend, "web", Turntable, ATTACKER, user="1:a")
    other = connect(t, frontend, "web", Turntable, user="1:o")
    attacker.join("spam"), other.join("room")
    redis.freeze()
    for number in range(20):
        attacker.play("spam", [number, "x" * 100000])
    check_room_is_left(redis, frontend, other, "room")
    # The attacker got about half, in order, and an error for each of the others.
    attacker.play("spam", ["after"])
    attacker.wait("game", lambda data: data["actions"][0]["data"][0] == "after")
    accepted = numbers_of(attacker, "spam")[:-1]
    assert accepted == list(range(len(accepted))) and 4 <= len(accepted) <= 6, accepted
    errors = [message["data"]["code"] for _, message in attacker.messages if message["command"] == "error"]
    assert errors == ["unavailable"] * (20 - len(accepted)), errors
    assert attacker.closed is None and other.closed is None
    t.fsck(redis)


def test_packets_of_one_address_leave_room_for_those_of_others(t):
    redis = t.redis()
    front = t.frontends(2, redis, listen=LISTEN, settings={"relay.max_bytes": "4MiB", "redis.deadline": "20s"})
    attacker = connect(t, front[0], "sync", Sync, ATTACKER, delta=True)
    other, far = (connect(t, node, "sync", Sync, delta=True) for node in front)
    other.wait_map(lambda received: len(received) == 3)
    redis.freeze()
    for number in range(3):
        attacker.send([f"nobody {number}.{one}" for one in range(20)], {"type": "large", "large": "x" * 500000})
    front[0].wait_for_metric("tracker_messages_total", 3, protocol="sync", kind="relay")
    other.send(far.token, {"type": "small", "small": "x" * 500000})
    front[0].wait_for_metric("tracker_messages_total", 4, protocol="sync", kind="relay")
    redis.thaw()
    assert far.wait_packet()["type"] == "small"
    other.barrier()
    assert not other.errors, other.errors
    attacker.wait(lambda: {code for code, _ in attacker.errors} == {"unavailable", "undeliverable"})
    t.fsck(redis)


def test_an_ipv6_network_has_one_share(t):
    """Addresses of many /64 of one /48."""
    redis = t.redis()
    frontend = t.frontend(redis, listen=("web=127.0.0.1:0", "web=127.0.0.1:0,proxy=true"),
                          settings={"map.max_pending_bytes": "1MiB", "redis.deadline": "20s"})
    attackers = [connect_from(t, frontend, f"2001:db8:1:{number}::1", f"1:{number}") for number in range(4)]
    other = connect_from(t, frontend, "2001:db8:2::1", "1:o")
    for client in [*attackers, other]:
        client.join(client.user)
    redis.freeze()
    for attacker in attackers:
        for number in range(5):
            attacker.play(attacker.user, [number, "x" * 100000])
    check_room_is_left(redis, frontend, other, "1:o")


def connect_from(t, frontend, source, user):
    """Through a balancer that says where the client is."""
    connection = socket.create_connection(frontend.address("web", 1))
    connection.sendall(f"PROXY TCP6 {source} 2001:db8::ff 40000 80\r\n".encode())
    client = Turntable(connection, user=user)
    t.stack.callback(client.drop)
    return client
