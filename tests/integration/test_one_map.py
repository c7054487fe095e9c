"""One map of all protocols, in all directions, over two front-ends: whole, and in four partitions with two spaces."""
import re
import zlib

from harness import Plain, Versioned
from harness.sync import Sync
from harness.turntable import Turntable

LISTEN = ("tracker=127.0.0.1:0", "web=127.0.0.1:0", "sync=127.0.0.1:0")
PARTS = {"map.partitions": "4", "map.spaces": "main games"}


def start(t, **settings):
    redis = t.redis()
    settings = {"presence.offline_delay": "500ms", "map.recovery_grace": "0s", **settings}
    return redis, t.frontends(2, redis, listen=LISTEN, settings=settings)


def player(t, frontend, user, **options):
    return t.connect(frontend, Turntable, kind="web", user=user, **options)


def check_directions(t, redis, a, b):
    """A sensor and a player on a, a browser on b; and one of each who look from the other front-end."""
    sensor, browser, game = t.connect(a, Versioned), t.connect(b, Sync, kind="sync"), player(t, a, "1:1")
    id = sensor.open(b"warm").decode()
    browser.set(name="b", n=1)
    far_sensor, far_browser, far_game = t.connect(b, Plain), t.connect(a, Sync, kind="sync"), player(t, b, "1:9")
    browser.wait_map(lambda received: len(received) == 5)
    device = next(one for one, has in browser.map.items() if has.get("user") == "1:1")

    def shown():
        return dict(pair.split("=", 1) for pair in re.split(r", (?=\w+=)", far_sensor.get_text().decode()[1:-1]))
    # As a browser sees a sensor and a player, and another browser.
    for one in (browser, far_browser):
        one.wait_map(lambda received: received.get(browser.token) == {"name": "b", "n": 1} and received[id] == {"state": "warm"}
                     and received[device] == {"user": "1:1", "status": "online"})
    # As a sensor sees a browser and a player.
    t.wait_until(lambda: len(shown()) == 5, 10, shown)
    assert shown()[id] == "warm" and shown()[browser.token] == '{"n":1,"name":"b"}', shown()
    assert shown()[device] == '{"user":"1:1","status":"online"}', shown()
    # As a player sees a sensor and a browser; a connection's id is nobody's name.
    assert far_game.subscribe(id, browser.token, "1:1", device) == {
        id: "online", browser.token: "online", "1:1": "online", device: "offline"}
    far_game.say("whothere")
    assert far_game.wait("there") == sorted([id, browser.token, far_browser.token, "1:1", "1:9"])
    game.say("status", "busy")
    far_game.wait_statuses({"1:1": "busy"})
    browser.wait_map(lambda received: received[device] == {"user": "1:1", "status": "busy"})
    t.wait_until(lambda: shown()[device] == '{"user":"1:1","status":"busy"}', 10, shown)
    # Packets of a browser.
    browser.send([id, device, far_browser.token], {"type": "x", "x": 1})
    assert game.wait("packet") == {"from": browser.token, "type": "x", "x": 1} == far_browser.wait_packet()
    assert browser.wait_error() == ("undeliverable", f"{id}: no receiver accepts packets")
    # A leaving client is reported to all.
    assert sensor.close(id.encode())
    browser.websocket.close(1000)
    game.leave()
    far_game.wait_statuses({id: "offline", browser.token: "offline", "1:1": "offline"})
    far_browser.wait_map(lambda received: len(received) == 2)
    t.wait_until(lambda: len(shown()) == 2, 10, shown)
    t.fsck(redis)


def test_all_directions(t):
    redis, (a, b) = start(t)
    check_directions(t, redis, a, b)


def test_all_directions_in_four_partitions(t):
    redis, (a, b) = start(t, **PARTS)
    check_directions(t, redis, a, b)


def place(name):
    value = zlib.crc32(name)
    return abs(value - (1 << 32) if value >= 1 << 31 else value) % 4


def test_rooms_and_users_in_four_partitions_and_two_spaces(t):
    redis, (a, b) = start(t, **PARTS)
    users = [f"1:{number}" for number in range(8)]
    rooms = ["Counter Strike", "ü{x}", 'q"\\', "}", "{main/4/0}", "four", "five"]
    assert len({place(name.encode()) for name in users}) == len({place(name.encode()) for name in rooms}) == 4
    here = [player(t, (a, b)[number % 2], user) for number, user in enumerate(users)]
    there = [player(t, (b, a)[number % 2], user, path="/turntable/games") for number, user in enumerate(users)]
    watcher, stranger = player(t, a, "2:1"), player(t, b, "2:1", path="/turntable/games")
    for one in (watcher, stranger):
        one.subscribe(*users)
    for room in rooms:
        for client in here:
            client.join(room)
        for client in here:
            client.wait_members(room, users)
    for number, room in enumerate(rooms):
        here[number].play(room, number)
    for client in here:
        for number, room in enumerate(rooms):
            t.wait_until(lambda: client.pump() or client.rooms[room], 10, room)
            assert len(client.rooms[room]) == 1 and b'"data":%d' % number in client.rooms[room][0]
    watcher.wait_statuses({user: "busy" for user in users})
    stranger.sync()
    assert set(stranger.statuses.values()) == {"online"}, "it is another space"
    stranger.say("whothere", {"channel": "four"})
    assert stranger.wait("there") == []
    watcher.say("whothere", {"channel": "four"})
    assert watcher.wait("there") == users
    here[0].say("joingame", {"channel": "four", "self": "1:0", "invite": ["2:1"]})
    assert watcher.wait("invite")["channel"] == "four"
    assert not any(message["command"] == "invite" for message in stranger.sync())
    for key in redis.keys("*client:*"):
        part, id = re.fullmatch(rb"tracker:\{\w+/4/(\d)\}:client:(.*)", key).groups()
        assert place(id) == place(redis.hash(key.decode())[b"user"]) == int(part), key
    t.fsck(redis)
    a.kill()
    watcher = player(t, b, "2:2")
    watcher.subscribe(*users)
    watcher.wait_statuses({user: "busy" if number % 2 else "offline" for number, user in enumerate(users)}, 30)
    for room in rooms:
        here[1].wait_members(room, users[1::2])
    assert all(client.closed is None for client in there[::2]), "those on the other front-end"
    t.fsck(redis)
