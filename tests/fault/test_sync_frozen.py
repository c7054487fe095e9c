"""Metadata sync while a front-end stands frozen: what clients put together from the messages that they were sent, whole or
in delta mode, is in the end what Redis holds."""
import json
import time

from harness import scaled
from harness.faults import end_hold, stored_fields, wait_ready
from harness.sync import Sync
from harness.turntable import Turntable

LISTEN = ("web=127.0.0.1:0", "sync=127.0.0.1:0")
# A freeze of two seconds is longer than the lease and the grace period together.
SETTINGS = {"map.lease": "900ms", "map.sweep": "200ms", "client.grace": "300ms", "presence.offline_delay": "500ms"}
FREEZE = 2.0
ROUNDS = 4


def truth(redis):
    """token -> properties of everybody, from what is in Redis."""
    found = {}
    for id, fields in stored_fields(redis).items():
        if fields[b"protocol"] == b"turntable":
            found[id.decode()] = {"user": fields[b"user"].decode(), "status": fields[b"status"].decode()}
        else:
            found[id.decode()] = {name[2:].decode(): json.loads(value) for name, value in fields.items()
                                  if name.startswith(b"p:")}
    return found


def wait_agreement(redis, receivers, count, timeout=20):
    """Until Redis has that many entries and each receiver's picture is the same."""
    end = time.monotonic() + scaled(timeout)
    while True:
        for receiver in receivers:
            receiver.pump()
            assert receiver.closed is None, receiver.closed
        expected = truth(redis)
        wrong = [(receiver.delta, token, receiver.map.get(token), expected.get(token)) for receiver in receivers
                 for token in expected.keys() | receiver.map.keys() if receiver.map.get(token) != expected.get(token)]
        if not wrong and len(expected) == count:
            return
        assert time.monotonic() < end, (len(expected), count, wrong[:10])
        time.sleep(0.05)


def test_pictures_after_a_freeze(t):
    """Clients open, change and close on both front-ends just before one of them freezes, and meanwhile."""
    redis = t.redis()
    frozen, other = nodes = t.frontends(2, redis, listen=LISTEN, settings=SETTINGS)
    end_hold(redis)
    receivers = [t.connect(node, Sync, kind="sync", delta=delta, is_listed=False) for node in nodes for delta in (False, True)]
    count = len(receivers)
    wait_agreement(redis, receivers, count)
    for round in range(ROUNDS):
        for node in nodes:
            for number in range(4):
                client = t.connect(node, Sync, kind="sync", enters=False)
                client.set(round=round, number=number)
                count += 1
        # The last that come before it freezes are in its map, and not delivered yet: no newcomer has been sent them.
        ticks = len(receivers[0].ticks)
        receivers[0].set(ticked=round)
        receivers[0].wait(lambda: len(receivers[0].ticks) > ticks)
        users = [t.connect(node, Turntable, kind="web", user=f"{round}:{number}")
                 for number in range(2) for node in nodes]
        count += len(users)
        receivers[0].set(round=round, a=1)
        receivers[1].set(round=round, b=1)
        time.sleep(0.05 * round)
        frozen.freeze()
        began = time.monotonic()
        for receiver in receivers[2:]:
            receiver.set(round=round, **{f"while{round}": True})
        leaving = t.connect(other, Sync, kind="sync")
        receivers[2].wait_map(lambda received: leaving.token in received)
        leaving.drop()
        for user in users[1::2]:
            user.say("status", "busy")
        while time.monotonic() < began + scaled(FREEZE):
            for receiver in receivers[2:]:
                receiver.pump(0.05)
        frozen.thaw()
        wait_ready(nodes)
        wait_agreement(redis, receivers, count)
    # Later changes are sent as changed properties only: they must have had the rest.
    for index, receiver in enumerate(receivers):
        receiver.set(last=index)
    for user in users:
        user.say("status", "busy")
    wait_agreement(redis, receivers, count)
    t.fsck(redis)
