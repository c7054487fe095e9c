"""Delta mode: the map once, then what changed, which gives the same map."""
import json
import random

from harness import Versioned
from harness.sync import Sync

LISTEN = ("tracker=127.0.0.1:0", "web=127.0.0.1:0", "sync=127.0.0.1:0")


def test_what_is_sent(t):
    a, b = t.frontends(2, t.redis(), listen=LISTEN, settings={"sync.tick": "100ms"})
    delta, other = t.connect(a, Sync, kind="sync", delta=True), t.connect(b, Sync, kind="sync")
    other.set(a=1, b="x")
    delta.wait_map({delta.token: {}, other.token: {"a": 1, "b": "x"}})
    delta.wait(lambda: len(delta.ticks) >= 1)
    before = len(delta.ticks)
    other.set(a=2, b=None, c=True)
    tick = delta.wait(lambda: delta.ticks[before:])[0]
    assert tick == {"opened": [], "closed": [], "properties": [other.token],
                    "values": {other.token: {"a": 2, "b": None, "c": True}}}, tick
    text = delta.texts[-1].decode()
    assert text == ('{"from":"server","type":"changes","changes":{"opened":[],"closed":[],"properties":["TOKEN"],'
                    '"values":{"TOKEN":{"a":2,"c":true,"b":null}}}}').replace("TOKEN", other.token), text
    other.drop()
    assert delta.wait(lambda: delta.ticks[before + 1:])[0] == {
        "opened": [], "closed": [other.token], "properties": [], "values": {}}
    assert delta.metadata == 1


def test_other_modes_are_the_usual_one(t):
    frontend = t.frontend(t.redis(), listen=LISTEN)
    for query in ("?mode=", "?mode=full", "?mode=deltas", "?other=delta"):
        client = t.connect(frontend, Sync, kind="sync", path="/" + query)
        client.set(x=1)
        client.wait(lambda: client.metadata > 1)
        client.drop()


def test_a_client_that_joins_within_a_tick_misses_nothing(t):
    """What is opened, changed and closed between a newcomer's metadata and the next tick."""
    a, b = t.frontends(2, t.redis(), listen=LISTEN, settings={"sync.tick": "4s"})
    full = t.connect(a, Sync, kind="sync")
    gone, stays = (t.connect(b, Sync, kind="sync") for _ in range(2))
    stays.set(kept=1, deleted=2, changed=3)
    for client in (full, stays, gone):
        client.wait_map(lambda received: received.get(stays.token) == {"kept": 1, "deleted": 2, "changed": 3}
                        and gone.token in received and full.token in received, 15)
    # A tick has just been: the next is far away.
    vanishes = t.connect(b, Sync, kind="sync")
    vanishes.set(x=1)
    stays.set(short=5, more=6)
    stays.barrier()
    vanishes.barrier()
    delta = t.connect(a, Sync, kind="sync", delta=True)
    # It may be sent before the changes have come from b: wait until they have.
    while vanishes.token not in delta.map or "short" not in delta.map[stays.token]:
        delta.drop()
        delta = t.connect(a, Sync, kind="sync", delta=True)
    assert gone.token in delta.map
    vanishes.drop()
    gone.drop()
    stays.set(deleted=None, changed=4, short=None)
    expected = {full.token: {}, delta.token: {}, stays.token: {"kept": 1, "changed": 4, "more": 6}}
    delta.wait_map(expected, 15)
    full.wait_map(expected, 15)
    received = [tick for tick in full.ticks if vanishes.token in json.dumps(tick)]
    assert not received, "to the others it was never there"


def test_both_modes_see_the_same_in_a_randomised_run(t):
    redis = t.redis()
    nodes = t.frontends(3, redis, listen=LISTEN, settings={"sync.tick": "20ms"})
    chance = random.Random(4711)
    watchers = [t.connect(node, Sync, kind="sync", delta=delta) for node in nodes for delta in (False, True)]
    sensor = t.connect(nodes[0], Versioned)
    sensor.open(b"s")
    clients, states = [], {}
    for step in range(400):
        what = chance.random()
        if what < 0.15 or not clients:
            clients.append(t.connect(chance.choice(nodes), Sync, kind="sync", delta=chance.random() < 0.5))
            states[clients[-1].token] = {}
        elif what < 0.25:
            client = clients.pop(chance.randrange(len(clients)))
            del states[client.token]
            client.drop()
        elif what < 0.3:
            sensor.update(sensor.id, step, b"%d" % step)
        elif what < 0.35:
            watchers.append(t.connect(chance.choice(nodes), Sync, kind="sync", delta=True))
        else:
            client = chance.choice(clients)
            properties = {f"p{chance.randrange(6)}": chance.choice([None, step, "x" * chance.randrange(5), True])
                          for _ in range(chance.randrange(1, 4))}
            client.set(**properties)
            state = states[client.token]
            state.update(properties)
            states[client.token] = {name: value for name, value in state.items() if value is not None}
        for client in (*watchers, *clients):
            client.pump()
    expected = {**states, **{watcher.token: {} for watcher in watchers}}
    ours = lambda received: {token: one for token, one in received.items() if token != sensor.id.decode()} == expected
    for watcher in (*watchers, *clients):
        watcher.wait_map(ours)
        assert watcher.map[sensor.id.decode()].keys() == {"state"}
    t.fsck(redis)
