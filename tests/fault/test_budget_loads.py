"""Loads that shall never exceed the budget: a game, a chat, and a network of sensors, each behind one address."""
import time

from harness.sync import Sync
from harness.tracker import Versioned, packets
from harness.turntable import Turntable

LISTEN = ("web=127.0.0.1:0", "tracker=127.0.0.1:0", "sync=127.0.0.1:0")


def units(frontend):
    return frontend.metrics()["tracker_budget_units_total"]


def exceeded(frontend):
    return [frontend.metric("tracker_budget_waits_total", of=of) for of in ("connection", "address", "network")]


def paced(seconds, rate, step):
    """Calls step(number) so many times a second."""
    began = time.monotonic()
    for number in range(int(seconds * rate)):
        step(number)
        time.sleep(max(0, began + (number + 1) / rate - time.monotonic()))


def report(frontend, load, seconds, before):
    print(f"{load}: {(units(frontend) - before) / seconds:.0f} units a second of 50,000")


def test_a_game_never_exceeds_the_budget(t):
    """32 players in one space, each of whom sends its position 30 times a second."""
    frontend = t.frontend(t.redis(), listen=LISTEN)
    players = [t.connect(frontend, Versioned) for _ in range(32)]
    ids = [player.open(b"start") for player in players]
    before = units(frontend)

    def move(number):
        for player, id in zip(players, ids):
            player.send(packets.versioned.update(id, number + 1, b"p" * 60))

    paced(3, 30, move)
    report(frontend, "game", 3, before)
    assert exceeded(frontend) == [0, 0, 0]


def test_a_chat_never_exceeds_the_budget(t):
    """A room of 50 behind one NAT, each of whom subscribes to the others; ten messages a second."""
    frontend = t.frontend(t.redis(), listen=LISTEN)
    users = [f"1:u{number}" for number in range(50)]
    before = units(frontend)
    clients = [Turntable(frontend.address("web"), user=user) for user in users]
    for client in clients:
        t.stack.callback(client.drop)
        client.subscribe(*users)
        client.join("room")
    paced(3, 10, lambda number: clients[number % 50].play("room", {"text": "hello " * 20}))
    report(frontend, "chat", 3, before)
    assert exceeded(frontend) == [0, 0, 0]


def test_a_sensor_network_never_exceeds_the_budget(t):
    """300 sensors behind one gateway that send a value each second, and a monitor with all of them."""
    frontend = t.frontend(t.redis(), listen=LISTEN)
    monitor = t.connect(frontend, Sync, kind="sync", delta=True)
    sensors = [t.connect(frontend, Versioned) for _ in range(300)]
    ids = [sensor.open(b"{}") for sensor in sensors]
    before = units(frontend)

    def measure(number):
        for index in range(number % 10, 300, 10):
            sensors[index].send(packets.versioned.update(ids[index], number + 1, b"value=%d" % number))
        monitor.pump()

    paced(3, 10, measure)
    report(frontend, "sensors", 3, before)
    assert exceeded(frontend) == [0, 0, 0]
