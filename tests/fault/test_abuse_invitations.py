"""Invitations that nobody takes: how many Redis keeps of a sender, of an address and in total, whichever front-end
they are sent through; and that everybody else's go on."""
import socket

from harness.abuse import ATTACKER, Watch
from harness.turntable import Turntable

LISTEN = ("web=127.0.0.1:0",)
SPACE = "tracker:{main/1/0}:"


def connect(t, frontend, user, source="127.0.0.1"):
    connection = socket.create_connection(frontend.address("web"), source_address=(source, 0))
    client = Turntable(connection, user=user)
    t.stack.callback(client.drop)
    return client


def invite(client, users, room="room"):
    """The errors that answer it."""
    before = len(client.messages)
    client.say("joingame", {"channel": room, "self": client.user, "invite": users})
    client.sync()
    client.sync()  # results are sent at the end of an iteration
    return [message["data"] for _, message in client.messages[before:] if message["command"] == "error"]


def codes(errors):
    return [error["code"] for error in errors]


def strangers(count, name="x"):
    return [f"2:{name}{number}" for number in range(count)]


def waiting(redis):
    return len(redis.keys(SPACE + "invites:*"))


def counts(redis):
    return {name.decode(): int(value) for name, value in redis.hash(SPACE + "inviters").items()}


def test_a_sender_who_invites_strangers_fills_neither_redis_nor_the_front_end(t):
    redis = t.redis()
    frontend = t.frontend(redis, listen=LISTEN)
    attacker, host, guest = connect(t, frontend, "1:a", ATTACKER), connect(t, frontend, "1:h"), \
        connect(t, frontend, "1:g")
    watch = Watch(t, frontend, redis)
    assert codes(invite(attacker, strangers(101))) == ["limit"] and waiting(redis) == 0
    refused = []
    for number in range(30):
        refused += invite(attacker, strangers(100, f"{number}." + "u" * 50))
    assert waiting(redis) == 1000, (waiting(redis), counts(redis))
    # One error for each message, whose text says how many.
    assert codes(refused) == ["limit"] * 20, refused
    assert refused[-1]["message"].startswith("100 users may not have been invited"), refused[-1]
    # Others are not concerned, here and now or later.
    assert invite(host, ["1:g", "1:late"]) == []
    assert guest.expect("invite")["from"] == "1:h"
    late = connect(t, frontend, "1:late")
    assert [message["data"]["from"] for _, message in late.messages if message["command"] == "invite"] == ["1:h"]
    watch.stop().check()
    assert watch.redis_grown() < 4 << 20 and watch.grown() < t.allowed_memory(32 << 20), (watch.redis_grown(), watch.grown())
    assert frontend.metrics()['tracker_invitations_refused_total{limit="max_per_sender"}'] == 2000


def test_what_is_delivered_or_dropped_makes_room_again(t):
    redis = t.redis()
    first, second = t.frontends(2, redis, listen=LISTEN, settings={"invite.max_per_sender": 5, "invite.max": 3})
    host = connect(t, first, "1:h")
    assert invite(host, strangers(5)) == []
    assert codes(invite(connect(t, second, "1:h"), strangers(1, "y"))) == ["limit"]
    guest = connect(t, second, "2:x3")
    assert [message["command"] for _, message in guest.messages].count("invite") == 1
    t.wait_until(lambda: counts(redis) == {"all": 4, "u:1:h": 4, "a:127.0.0.1": 4}, 10, "it is counted off")
    assert invite(host, strangers(1, "y")) == []
    assert codes(invite(host, strangers(2, "z"))) == ["limit"]
    # Of more than invite.max for one user, the oldest are dropped, and no longer counted.
    for number in range(5):
        assert invite(connect(t, second, f"1:{number}"), ["2:y0"]) == []
    assert counts(redis)["u:1:h"] == 4 and counts(redis)["all"] == 4 + 3
    # An invitation that is delivered takes none of the places.
    for number in range(10):
        assert invite(host, ["2:x3"], f"room{number}") == []
        t.wait_until(lambda: counts(redis)["u:1:h"] == 4, 10, "it is counted off")


def test_what_expires_makes_room_again(t):
    redis = t.redis()
    frontend = t.frontend(redis, listen=LISTEN, settings={"invite.max_per_sender": 5, "invite.ttl": "2s"})
    host = connect(t, frontend, "1:h")
    assert codes(invite(host, strangers(7))) == ["limit"]
    t.wait_until(lambda: invite(host, strangers(1, "y")) == [], 15, "they have expired")
    t.wait_until(lambda: not redis.keys(SPACE + "invit*"), 15, "nothing is left of them")
    assert invite(host, strangers(5)) == []


def test_many_senders_of_one_address_and_all_together(t):
    redis = t.redis()
    front = t.frontends(2, redis, listen=LISTEN,
                        settings={"invite.max_per_address": 20, "invite.max_total": 30})
    refused = []
    for number in range(4):
        attacker = connect(t, front[number % 2], f"1:a{number}", ATTACKER)
        refused += codes(invite(attacker, strangers(8, f"a{number}.")))
    assert refused == ["limit", "limit"] and waiting(redis) == 20
    host = connect(t, front[0], "1:h")
    assert invite(host, strangers(10, "h")) == []
    assert codes(invite(connect(t, front[1], "1:i", "127.0.0.2"), strangers(1, "i"))) == ["limit"]
    assert waiting(redis) == 30
    front[1].wait_for_log("msg=invitation_refused .*limit=invite.max_total")


def test_an_ipv6_sender_is_counted_by_its_network(t):
    redis = t.redis()
    frontend = t.frontend(redis, listen=("web=[::1]:0",))
    host = connect(t, frontend, "1:h", "::1")
    assert invite(host, strangers(2)) == []
    assert counts(redis) == {"all": 2, "u:1:h": 2, "a:::": 2}


def test_addresses_of_many_clients_have_no_limit_of_their_own(t):
    redis = t.redis()
    settings = {"invite.max_per_address": 2, "presence.max_per_address": "64KiB",
                "net.shared_addresses": ATTACKER + "/32"}
    frontend = t.frontend(redis, listen=LISTEN, settings=settings)
    host, alone = connect(t, frontend, "1:h", ATTACKER), connect(t, frontend, "1:a")
    assert invite(host, strangers(9)) == [] and codes(invite(alone, strangers(9, "y"))) == ["limit"]
    assert counts(redis) == {"all": 11, "u:1:h": 9, "u:1:a": 2, "a:127.0.0.1": 2}
    for client, expected in ((host, []), (alone, ["limit"])):
        client.messages.clear()
        client.say("subscribe", strangers(200, client.user))
        client.sync()
        client.sync()
        assert codes([message["data"] for _, message in client.messages if message["command"] == "error"]) == expected
