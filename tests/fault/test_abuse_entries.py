"""One address that opens entries without end: it takes a share of the space, so that others always find room."""
import socket

from harness import Original2013
from harness.abuse import ATTACKER
from harness.turntable import Turntable

# Each client has one entry, and an address may always have as many as one client.
SMALL = {"map.max_entries": 24, "client.max_ids": 1}
LISTEN = ("web=127.0.0.1:0", "web=127.0.0.1:0,proxy=true")


def login(t, frontend, user, source="127.0.0.1", network=None):
    """The client, and the code of the error that answers it, or None. network: an IPv6 address, through a proxy."""
    connection = socket.create_connection(frontend.address("web", 1 if network else 0), source_address=(source, 0))
    if network:
        connection.sendall(f"PROXY TCP6 {network} 2001:db8::ff 40000 80\r\n".encode())
    client = Turntable(connection)
    t.stack.callback(client.drop)
    client.expect("idyou")
    client.say("idme", user)
    answers = client.sync()
    return client, answers[0]["data"]["code"] if answers else None


def test_entries_of_one_address_leave_room_for_those_of_others(t):
    redis = t.redis()
    first, second = t.frontends(2, redis, listen=LISTEN, settings=SMALL)
    attackers = [login(t, first, f"6:{number}", ATTACKER) for number in range(20)]
    assert [code for _, code in attackers] == [None] * 12 + ["limit"] * 8
    # Here, and at a front-end that knows what there is from Redis.
    assert [login(t, first, f"1:{number}")[1] for number in range(6)] == [None] * 6
    first.wait_for_metric("tracker_owned_entries", 18)
    assert [login(t, second, f"2:{number}", "127.0.0.2")[1] for number in range(2)] == [None] * 2
    # What leaves makes room for the same address.
    attackers[0][0].leave()
    first.wait_for_metric("tracker_owned_entries", 17)
    assert login(t, first, "6:100", ATTACKER)[1] == "limit", "it has more than is free"
    for client, code in attackers[1:12]:
        client.leave()
    first.wait_for_metric("tracker_owned_entries", 6)
    t.wait_until(lambda: login(t, first, "6:101", ATTACKER)[1] is None, 10, "there is room for it again")
    t.fsck(redis)


def test_entries_of_an_ipv6_network_are_counted_together(t):
    redis = t.redis()
    frontend = t.frontend(redis, listen=LISTEN, settings=SMALL)
    codes = [login(t, frontend, f"6:{number}", network=f"2001:db8:1:{number // 2:x}::1")[1] for number in range(20)]
    assert codes.count(None) == 12, codes
    assert login(t, frontend, "1:1", network="2001:db8:2::1")[1] is None


def test_shared_addresses_have_no_share(t):
    redis = t.redis()
    frontend = t.frontend(redis, listen=LISTEN, settings={**SMALL, "map.max_entries": 12, "net.shared_addresses": ATTACKER})
    codes = [login(t, frontend, f"6:{number}", ATTACKER)[1] for number in range(13)]
    assert codes == [None] * 12 + ["limit"], codes


def test_what_one_client_may_have_any_address_may(t):
    """In a space for fewer entries than that, it may have all of them."""
    redis = t.redis()
    frontend = t.frontend(redis, listen=("tracker=127.0.0.1:0",), settings={"map.max_entries": 5})
    client = t.connect(frontend, Original2013)
    assert [client.update(b"e%d" % number, 1, b"x") for number in range(6)] == [True] * 5 + [False]
    t.fsck(redis)
