"""turntable's sharding rule: where users and rooms are placed, by the document's vectors; and any front-end
serves any of them."""
import zlib

from harness.turntable import Turntable

LISTEN = ("web=127.0.0.1:0",)
VECTORS = {"1:12345": 0x3b4e9852, "CStrike": 0x532633cf, "1:789": 0xac4bb908}


def shard(id, count):
    """abs((int32)crc32(id)) % count."""
    value = zlib.crc32(id.encode())
    return abs(value - (value >> 31 << 32)) % count


def test_the_vectors(_t):
    for id, value in VECTORS.items():
        assert zlib.crc32(id.encode()) == value
    assert [(shard(id, 5), shard(id, 7)) for id in VECTORS] == [(1, 2), (4, 3), (1, 5)]


def test_users_and_rooms_are_where_the_rule_says(t):
    for count in (1, 5, 7):
        redis = t.redis()
        a, b = t.frontends(2, redis, listen=LISTEN, settings={"map.partitions": count})
        one = t.connect(a, Turntable, kind="web", user="1:12345")
        two = t.connect(b, Turntable, kind="web", user="1:789")
        assert one.subscribe("1:789", "1:12345") == {"1:789": "online", "1:12345": "online"}
        assert one.join("CStrike", invite=["1:4"]) == ["1:12345"]
        assert two.join("CStrike") == ["1:12345", "1:789"]
        two.play("CStrike", 1)
        assert one.wait("game")["actions"][0]["from"] == "1:789"
        one.wait_statuses({"1:789": "busy"})
        for id, kind in (("1:12345", "user"), ("1:789", "user"), ("CStrike", "room"), ("1:4", "invites")):
            place = shard(id, count)
            assert redis("EXISTS", f"tracker:{{main/{count}/{place}}}:{kind}:{id}") == 1, (id, redis.keys("*"))
            assert t.ctl_json(redis, "shard", id)["shard"] == place
            status, _, body = a.http(f"/api/v1/shard?id={id}")
            assert status == 200 and f'"shard":{place}'.encode() in body.replace(b" ", b""), body
        # An entry lies beside its user.
        for key in redis.keys("*}:client:*"):
            user = redis("HGET", key, "user").decode()
            assert key.startswith(b"tracker:{main/%d/%d}:" % (count, shard(user, count))), (key, user)
        for client in (one, two):
            client.leave()
        for front_end in (a, b):
            front_end.stop()
