"""The two connections of front-ends are on two servers for a while, as when a replica is promoted: rooms receive again when they
are on one, and nobody is left unaware of what was lost."""
import json
import os
import time

from harness.faults import end_hold, wait_ready
from harness.turntable import Turntable
from harness.waiting import scaled

LISTEN = ("web=127.0.0.1:0",)


def numbers(client):
    return [json.loads(text)["data"]["actions"][0]["data"] for text in client.rooms["room"]]


def wait_replica(t, replica):
    t.wait_until(lambda: b"master_link_status:up" in replica("INFO", "replication"), 15, "the replica follows")


def wait_all_receive(sender, members, number, timeout=15):
    """Until what is said reaches all again."""
    end = time.monotonic() + scaled(timeout)
    first = number
    while any(not numbers(member) or numbers(member)[-1] < first for member in members):
        assert time.monotonic() < end, [(member.user, numbers(member)[-3:]) for member in members]
        sender.play("room", number)
        number += 1
        for member in members:
            member.pump(0.05)


def test_events_from_the_new_server_and_commands_to_the_old(t):
    old, new = t.redis(tcp=True), t.redis(tcp=True)
    new("REPLICAOF", "127.0.0.1", old.port)
    wait_replica(t, new)
    name = os.path.join(t.directory("name"), "redis.sock")
    os.symlink(old.socket, name)
    nodes = t.frontends(2, f"unix:{name}", listen=LISTEN)
    end_hold(old)
    members = [t.connect(node, Turntable, kind="web", user=f"1:{number}") for number, node in enumerate((*nodes, *nodes))]
    for member in members:
        member.join("room")
    sender = members[0]
    wait_all_receive(sender, members, 0)
    new("REPLICAOF", "NO", "ONE")
    os.symlink(new.socket, name + ".new")
    os.replace(name + ".new", name)
    logs = [len(node.log) for node in nodes]
    old("CLIENT", "KILL", "TYPE", "pubsub")
    for node, since in zip(nodes, logs):
        node.wait_for_log("msg=redis_connected .*link=events", since=since)
    # Two seconds on two servers: less than it takes to doubt the connection for events.
    end = time.monotonic() + scaled(2)
    while time.monotonic() < end:
        sender.play("room", 500)
        for member in members:
            member.pump(0.02)
    old.kill()
    wait_ready(nodes, 30)
    wait_all_receive(sender, members, 1000)
    newcomers = [t.connect(node, Turntable, kind="web", user=f"2:{number}") for number, node in enumerate(nodes)]
    for newcomer in newcomers:
        newcomer.join("room")
    wait_all_receive(sender, members + newcomers, 2000)
    for member in members:
        assert any(message["command"] == "error" and message["data"]["code"] == "lost" for _, message in member.messages)
        member.wait_members("room", {one.user for one in members + newcomers}, 10)
    t.fsck(new)
