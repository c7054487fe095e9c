"""Subscriptions to names that nobody has: what they cost a front-end and Redis, and how often they are read again."""
import json
import re
import socket
import time

from harness.abuse import ATTACKER, Watch
from harness.turntable import Turntable
from harness.websocket import TEXT, frame

LISTEN = ("web=127.0.0.1:0",)
CHUNK = 4000


def connect(t, frontend, user=None, source="127.0.0.1"):
    connection = socket.create_connection(frontend.address("web"), source_address=(source, 0))
    client = Turntable(connection, user=user)
    t.stack.callback(client.drop)
    if user is None:
        client.expect("idyou")
    return client


def names(name, count, length=0):
    return [f"{name}.{number}.".ljust(length, "n") for number in range(count)]


def subscribe(client, ids, command="subscribe"):
    text = json.dumps({"command": command, "data": ids}).encode()
    # Without a mask that Python would have to apply.
    head = frame(TEXT, length=len(text), mask=b"\0\0\0\0")
    client.websocket.socket.sendall(head + text)


def answer(t, client, count):
    """Waits for what answers it; the error's code, or None when all of them were answered."""
    found = []

    def look():
        while client.pump():
            pass
        found[:] = [message["data"]["code"] for _, message in client.messages if message["command"] == "error"]
        return found or len(client.statuses) >= count

    t.wait_until(look, 30, "subscribe is answered")
    return found[0] if found else None


def test_long_names_of_one_address_take_a_bounded_amount_of_memory(t):
    redis = t.redis()
    frontend = t.frontend(redis, listen=LISTEN)
    friend = connect(t, frontend, "1:friend")
    watch = Watch(t, frontend, redis)
    clients = [connect(t, frontend, source=ATTACKER) for _ in range(20)]
    for number, client in enumerate(clients):
        for half in range(2):
            subscribe(client, names(f"{number}.{half}", CHUNK, 245))
    results = [answer(t, client, 2 * CHUNK) for client in clients]
    assert results.count("limit") >= 17, results
    # Another address has its own share.
    other = connect(t, frontend, "1:other")
    other.say("subscribe", ["1:friend"] + names("other", 100))
    assert answer(t, other, 101) is None and other.statuses["1:friend"] == "online"
    watch.stop().check()
    assert watch.grown() <= t.allowed_memory(64 << 20) and watch.redis_grown() <= 32 << 20, (watch.grown(), watch.redis_grown())
    metrics = frontend.metrics()
    assert metrics["tracker_watched_bytes"] <= (32 << 20) + 200000
    assert metrics['tracker_subscriptions_refused_total{limit="max_per_address"}'] >= 20
    # What is unsubscribed, or ends with its connection, makes room.
    for client in clients[1:]:
        client.drop()
    t.wait_until(lambda: frontend.metrics()["tracker_watched_bytes"] < 16 << 20, 10, "there is room again")
    again = connect(t, frontend, source=ATTACKER)
    subscribe(again, names("again", CHUNK, 245))
    assert answer(t, again, CHUNK) is None
    taken = frontend.metrics()["tracker_watched_bytes"]
    for at in range(0, CHUNK, 1000):
        subscribe(again, names("again", CHUNK, 245)[at:at + 1000:2], "unsubscribe")
    t.wait_until(lambda: frontend.metrics()["tracker_watched_bytes"] < taken - (2 << 20), 10, "half of them are gone")
    friend.leave()
    other.wait("userchange", lambda data: data.get("1:friend") == "offline", 20)
    for client in (clients[0], again, other):
        client.drop()
    t.wait_until(lambda: frontend.metrics()["tracker_watched_bytes"] == 0, 10, "nothing is counted any more")
    assert frontend.metrics()["tracker_watched_names"] == 0


def test_names_that_others_keep_watching_are_paid_for_by_them(t):
    redis = t.redis()
    frontend = t.frontend(redis, listen=LISTEN, settings={"presence.max_per_address": "64KiB"})
    first, second = connect(t, frontend, source=ATTACKER), connect(t, frontend, source="127.0.0.2")
    shared = names("shared", 60, 100)
    for client in (first, second):
        subscribe(client, shared)
        assert answer(t, client, 60) is None
    # The first pays for all, and has no room for more; the second only watches.
    subscribe(first, names("more", 60, 100))
    assert answer(t, first, 120) == "limit"
    first.drop()
    t.wait_until(lambda: frontend.metrics()['tracker_subscriptions{protocol="turntable"}'] == 60, 10, "it has gone")
    subscribe(second, names("more", 60, 100))
    assert answer(t, second, 120) == "limit"


def test_all_addresses_together_have_a_limit(t):
    frontend = t.frontend(t.redis(), listen=LISTEN, settings={"presence.max_total": "128KiB"})
    refused = []
    for number in range(4):
        client = connect(t, frontend, source=f"127.0.1.{number + 1}")
        subscribe(client, names(str(number), 40, 100))
        refused.append(answer(t, client, 40))
    assert refused == [None, None, None, "limit"], refused
    frontend.wait_for_log("msg=subscriptions_refused .*limit=presence.max_total")


def script_time(redis):
    """Microseconds that Redis has spent in scripts."""
    return int(re.search(rb"cmdstat_evalsha:calls=\d+,usec=(\d+)", redis("INFO", "commandstats"))[1])


def test_rereads_are_spread_and_grow_with_the_names(t):
    """What one, two and four times as many names cost in the time in which all are read again."""
    costs, seconds = [], 6
    for factor in (1, 2, 4):
        redis = t.redis()
        frontend = t.frontend(redis, listen=LISTEN, settings={"presence.reread": f"{seconds}s"})
        count = 2000 * factor
        client = connect(t, frontend)
        subscribe(client, names("some", count))
        assert answer(t, client, count) is None
        scripts = script_time(redis)
        began, before = time.monotonic(), frontend.metrics()["tracker_presence_reads_total"]
        last, largest = before, 0
        while time.monotonic() < began + seconds / 2:
            now = frontend.metrics()["tracker_presence_reads_total"]
            largest, last = max(largest, now - last), now
            time.sleep(0.02)
        share = (last - before) / count / ((time.monotonic() - began) / seconds)
        costs.append((count, round(share, 2), largest / count, (script_time(redis) - scripts) / (last - before)))
        client.drop()
        frontend.kill()
        redis.kill()
    print("names, reads of each in its time, largest share at once, microseconds of Redis for each:", costs)
    for _, share, largest, each in costs:
        assert share <= 1.3, costs
        assert largest <= 0.25, costs
        assert each <= 3 * costs[0][3], costs
