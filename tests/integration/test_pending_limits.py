"""What clients ask for while Redis does not answer is held in memory, up to a limit; the rest is refused, and
answered with an error."""
import json

from harness.sync import Sync
from harness.turntable import Turntable

LISTEN = ("tracker=127.0.0.1:0", "web=127.0.0.1:0", "sync=127.0.0.1:0")


def resident(frontend):
    """MiB of memory at its peak."""
    with open(f"/proc/{frontend.pid}/status", encoding="ascii") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmHWM:")) >> 10


def test_messages_of_rooms(t):
    redis = t.redis()
    a, b = t.frontends(2, redis, listen=LISTEN, settings={"map.max_pending_bytes": "1MiB", "redis.deadline": "20s",
                                                        "net.shared_addresses": "127.0.0.1"})
    one, two = (t.connect(node, Turntable, kind="web", user=user) for node, user in ((a, "1:1"), (b, "1:2")))
    one.join("room"), two.join("room")
    redis.freeze()
    for number in range(20):
        one.play("room", [number, "x" * 100000])
    a.wait_for_metric("tracker_messages_total", 20, protocol="turntable", kind="game")
    redis.thaw()
    for _ in range(10):
        error = one.wait("error", lambda data: data["code"] == "unavailable")
        assert "refuses" in error["message"], error
    assert one.closed is None, "what the map refuses is no error of the client's"
    one.play("room", ["after", "x" * 1000000])
    for client in (one, two):
        client.wait("game", lambda data: data["actions"][0]["data"][0] == "after")
        numbers = [json.loads(text)["data"]["actions"][0]["data"][0] for text in client.rooms["room"]]
        assert numbers == [*range(10), "after"], "one that is large alone is taken"
    t.fsck(redis)


def named(message):
    """How many receivers an error names."""
    ids, colon, _ = message.partition(": ")
    return len(ids.split(", ")) if colon else 0


def test_packets(t):
    """Also when they are for many, or for nobody: each receiver counts."""
    redis = t.redis()
    a, b = t.frontends(2, redis, listen=LISTEN, settings={"relay.max_bytes": "4MiB", "redis.deadline": "20s",
                                                        "net.shared_addresses": "127.0.0.1"})
    one, two = t.connect(a, Sync, kind="sync"), t.connect(b, Sync, kind="sync", delta=True)
    one.wait_map(lambda received: len(received) == 2)
    ids = [two.token] + [f"nobody {number}" for number in range(255)]
    before = resident(a)
    redis.freeze()
    for number in range(3):
        one.send(ids, {"type": "large", "large": "x" * 1000000, "number": number})
    one.send("*", {"type": "all", "all": "x" * 1000000})
    one.wait(lambda: sum(named(message) for _, message in one.errors) >= 3 * 256 - 4)
    one.wait(lambda: "too many packets wait, this one was not sent" in [message for _, message in one.errors],
             what="the one to all is refused, too")
    assert {code for code, _ in one.errors} == {"unavailable"}, set(one.errors)
    assert len(one.errors) == 4, "one for each packet"
    assert resident(a) - before < 100, "what was refused is not kept"
    redis.thaw()
    assert two.wait_packet()["number"] == 0
    one.wait(lambda: sum(named(message) for code, message in one.errors if code == "undeliverable") == 3)
    one.send([two.token, one.token], {"type": "small"})
    two.wait(lambda: two.packets[-1]["type"] == "small")
    one.barrier()
    t.fsck(redis)


def test_reconnecting_again_and_again_gets_no_more(t):
    """What a client that has gone asked for counts until it is settled."""
    redis = t.redis()
    frontend = t.frontend(redis, listen=LISTEN, settings={"relay.max_bytes": "4MiB", "redis.deadline": "20s",
                                                        "net.shared_addresses": "127.0.0.1"})
    sender = t.connect(frontend, Sync, kind="sync")
    others = [t.connect(frontend, Sync, kind="sync", delta=True) for _ in range(10)]
    before = resident(frontend)
    redis.freeze()
    for client in others:
        client.send([f"nobody {number}" for number in range(50)], {"type": "large", "large": "x" * 1000000})
        client.wait(lambda client=client: sum(named(message) for _, message in client.errors) >= 46)
        client.drop()
    sender.send("nobody", {"type": "x", "x": "x" * 200000})
    assert sender.wait_error()[0] == "unavailable"
    assert resident(frontend) - before < t.allowed_memory(100 << 20) >> 20
    redis.thaw()


def test_one_who_asks_for_much_waits_and_the_others_do_not(t):
    redis = t.redis()
    a, b = t.frontends(2, redis, listen=LISTEN,
                       settings={"sync.pipeline": "100", "relay.max_pending": "300", "redis.deadline": "20s"})
    greedy, other, far = (t.connect(node, Sync, kind="sync", delta=True) for node in (a, a, b))
    other.wait_map(lambda received: len(received) == 3)
    redis.freeze()
    for number in range(40):
        greedy.send([f"nobody {number} {one}" for one in range(50)], {"type": "many"})
    greedy.send(far.token, {"type": "last"})
    a.wait_for_metric("tracker_messages_total", 2, protocol="sync", kind="relay")
    other.send(far.token, {"type": "hello"})
    a.wait_for_metric("tracker_messages_total", 3, protocol="sync", kind="relay")
    assert a.metric("tracker_messages_total", protocol="sync", kind="relay") == 3, "the greedy one waits"
    redis.thaw()
    greedy.wait(lambda: sum(named(message) for _, message in greedy.errors) >= 2000, 30)
    assert {code for code, _ in greedy.errors} == {"undeliverable"}, "nothing is refused, nothing lost"
    far.wait(lambda: {packet["type"] for packet in far.packets} == {"hello", "last"}, 20)
    other.barrier()
    assert not other.errors
    t.fsck(redis)
