"""A Redis that is nearly full: what is new is refused with a reason, what exists goes on; also where Redis does not
say how full it is, and when it is full. And rooms, of which there are only so many."""
import json
import socket

from harness.abuse import Watch
from harness.q3master import GameServer
from harness.tracker import Original2013
from harness.turntable import Turntable

LISTEN = ("tracker=127.0.0.1:0", "web=127.0.0.1:0", "q3master=127.0.0.1:0")
SETTINGS = {"redis.memory_interval": "100ms", "q3master.allow_loopback": "true"}


def connect(t, frontend, user):
    connection = socket.create_connection(frontend.address("web"))
    client = Turntable(connection, user=user)
    t.stack.callback(client.drop)
    return client


def last_error(client):
    client.sync()
    client.sync()
    errors = [message["data"] for _, message in client.messages if message["command"] == "error"]
    return (errors[-1]["code"], errors[-1]["message"]) if errors else None


def metric(frontend, name):
    return frontend.metrics()["tracker_" + name]


def fill(redis, frontend, t):
    """Leaves it less than a tenth of its memory."""
    used = int(redis.info("memory")["used_memory"])
    redis("CONFIG", "SET", "maxmemory", int(used / 0.95))
    t.wait_until(lambda: metric(frontend, "redis_memory_full") == 1, 10, "it is noticed")


def relieve(redis, frontend, t):
    redis("CONFIG", "SET", "maxmemory", 1 << 30)
    t.wait_until(lambda: metric(frontend, "redis_memory_full") == 0, 10, "it is noticed")


def test_what_is_new_is_refused_and_what_exists_goes_on(t):
    redis = t.redis()
    frontend = t.frontend(redis, listen=LISTEN, settings=SETTINGS)
    old = t.connect(frontend, Original2013)
    assert old.update(b"old", 1, b"x")
    a, b = connect(t, frontend, "1:a"), connect(t, frontend, "1:b")
    a.join("room", invite=[])
    a.say("subscribe", ["1:b"])
    a.sync()
    watch = Watch(t, frontend, redis)
    fill(redis, frontend, t)
    frontend.wait_for_log("msg=redis_memory_full .*limit_percent=90")
    # What is new: an entry, a user, a room, an invitation that waits, a name to watch.
    new = t.connect(frontend, Original2013)
    assert not new.update(b"new", 1, b"x")
    stranger = Turntable(socket.create_connection(frontend.address("web")))
    t.stack.callback(stranger.drop)
    stranger.say("idme", "1:c")
    assert stranger.wait("error")["code"] == "limit"
    for command, data in (("joingame", {"channel": "other", "self": "1:a"}),
                          ("joingame", {"channel": "room", "self": "1:a", "invite": ["1:nobody"]}),
                          ("subscribe", ["1:nobody"])):
        a.messages.clear()
        a.say(command, data)
        code, text = last_error(a)
        assert code == "limit" and "memory of Redis is nearly full" in text, (command, code, text)
    server = GameServer(frontend.address("q3master"))
    t.stack.callback(server.close)
    server.register()
    frontend.wait_for_log("msg=server_not_registered .*why=full")
    # What exists.
    assert old.update(b"old", 2, b"y")
    b.join("room")
    a.wait_members("room", ["1:a", "1:b"])
    b.play("room", "hello")
    a.wait("game")
    b.say("leavegame", {"channel": "room"})
    a.wait("userchange", lambda data: data == {"1:b": "online"})
    # Health, the API and metrics say it; readiness is not concerned.
    assert frontend.http("/readyz")[0] == 200
    stats = json.loads(frontend.http("/api/v1/stats")[2])
    assert stats["redis_full"] is True and stats["redis_memory"] / stats["redis_maxmemory"] > 0.9
    assert metric(frontend, 'map_writes_total{result="full"}') >= 3
    relieve(redis, frontend, t)
    frontend.wait_for_log("msg=redis_memory_available")
    assert new.update(b"new", 1, b"x")
    watch.stop().check()
    t.fsck(redis)


def test_entries_that_redis_has_lost_are_restored_although_it_is_nearly_full(t):
    redis = t.redis()
    frontend = t.frontend(redis, listen=LISTEN, settings=SETTINGS)
    old, a = t.connect(frontend, Original2013), connect(t, frontend, "1:a")
    assert old.update(b"old", 1, b"x")
    a.join("room")
    fill(redis, frontend, t)
    redis("FLUSHALL")
    used = int(redis.info("memory")["used_memory"])
    redis("CONFIG", "SET", "maxmemory", int(used / 0.93))
    t.wait_until(lambda: redis.hash("tracker:{main/1/0}:client:old") and redis.hash("tracker:{main/1/0}:room:room"),
                 20, "both are restored")
    assert metric(frontend, "redis_memory_full") == 1
    assert old.update(b"old", 2, b"y")


def test_without_the_right_to_read_it_nothing_is_refused(t):
    redis = t.redis()
    redis.expect_refusals("tracker: info")
    redis("ACL", "SETUSER", "tracker", "on", ">secret", "~*", "&*", "+@all", "-info", "+info|server")
    url = redis.url.replace("unix:", "unix://tracker:secret@")
    frontend = t.frontend(url, listen=LISTEN, settings=SETTINGS)
    frontend.wait_for_log("msg=redis_memory_unknown .*why=noperm")
    redis("CONFIG", "SET", "maxmemory", 8 << 20)
    one = t.connect(frontend, Original2013)
    for number in range(10):
        assert one.update(b"new%d" % number, 1, b"x")
    assert len(frontend.log_lines("msg=redis_memory_unknown")) == 1


def test_no_limit_is_in_force_without_maxmemory_or_with_the_setting_zero(t):
    redis = t.redis()
    frontend = t.frontend(redis, listen=LISTEN, settings={**SETTINGS, "redis.memory_limit": 0})
    one = t.connect(frontend, Original2013)
    assert one.update(b"old", 1, b"x")  # Redis has its scripts and buffers: little is left below
    used = int(redis.info("memory")["used_memory"])
    redis("CONFIG", "SET", "maxmemory", int(used / 0.95))
    t.wait_until(lambda: metric(frontend, "redis_memory_max_bytes") > 0, 10, "it is read")
    assert metric(frontend, "redis_memory_full") == 0
    assert one.update(b"new", 1, b"x")


def test_rooms_have_a_limit_that_closed_ones_do_not_fill(t):
    redis = t.redis()
    first, second = t.frontends(2, redis, listen=("web=127.0.0.1:0",), settings={"room.max_rooms": 30})
    clients = [connect(t, (first, second)[number % 2], f"1:{number}") for number in range(3)]
    for number in range(30):
        clients[number % 2].join(f"room{number}")
    clients[2].say("joingame", {"channel": "more", "self": "1:2"})
    assert last_error(clients[2])[0] == "limit"
    clients[2].join("room0")
    clients[0].say("leavegame", {"channel": "room2"})
    clients[0].sync()
    clients[2].join("more")
    assert redis("HLEN", "tracker:{main/1/0}:open_rooms") == 30
    # Names that an older release has left there.
    clients[2].say("leavegame", {"channel": "more"})
    clients[2].sync()
    redis("HSET", "tracker:{main/1/0}:open_rooms", "left", "1")

    def joins():  # each attempt checks some of the names
        clients[2].messages.clear()
        clients[2].say("joingame", {"channel": "again", "self": "1:2"})
        return last_error(clients[2]) is None

    t.wait_until(joins, 10, "the name of the closed room is dropped")
    assert redis("HGET", "tracker:{main/1/0}:open_rooms", "left") is None
