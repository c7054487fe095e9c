"""Packets from client to client, on one front-end and across two."""
import json
import time

from harness import Plain
from harness.sync import Sync, text_of
from harness.websocket import BINARY

LISTEN = ("tracker=127.0.0.1:0", "web=127.0.0.1:0", "sync=127.0.0.1:0")


def three(t, **options):
    """Clients on a, a and b, who know one another."""
    a, b = t.frontends(2, t.redis(), listen=LISTEN, **options)
    clients = [t.connect(node, Sync, kind="sync") for node in (a, a, b)]
    for client in clients:
        client.wait_map(lambda received: len(received) == 3)
    return clients


def test_what_arrives(t):
    one, near, far = three(t)
    cases = [
        ('{"type":"chat","chat":{"text": "hi"},"urgent": true}',
         '{"from":"TOKEN","type":"chat","chat":{"text": "hi"},"urgent":true}'),
        ('{}', '{"from":"TOKEN","type":"ping","ping":{}}'),
        ('{"type":"x"}', '{"from":"TOKEN","type":"x","x":{}}'),
        ('{"x":1,"type":"x"}', '{"from":"TOKEN","type":"x","x":1}'),
        ('{"ping":[1.50,"\\u00e9"],"to":"kept"}', '{"from":"TOKEN","type":"ping","ping":[1.50,"\\u00e9"],"to":"kept"}'),
        ('{"from":"server","type":"x","x":null,"a":9007199254740993}',
         '{"from":"TOKEN","type":"x","x":null,"a":9007199254740993}'),
        ('{"type":"properties","properties":{"not":["for","the","server"]}}',
         '{"from":"TOKEN","type":"properties","properties":{"not":["for","the","server"]}}'),
    ]
    for number, (packet, expected) in enumerate(cases, 1):
        one.say('{"to":["%s","%s"],"packet":%s}' % (near.token, far.token, packet))
        for client in (near, far):
            client.wait_packet(number)
            text = client.packet_texts[number - 1]
            assert text == expected.replace("TOKEN", one.token), text
    assert not one.errors and not one.packets, (one.errors, one.packets)


def test_each_receiver_once(t):
    one, near, far = three(t)
    one.send([near.token, far.token, near.token, one.token, one.token], {"type": "a"})
    one.send("*", {"type": "b"})
    one.send([near.token, "*", far.token], {"type": "c"})
    one.send([], {"type": "nobody"})
    one.send(["*", "no such token"], {"type": "d"})
    for client in (one, near, far):
        client.wait_packet(4)
        client.barrier()
        assert [packet["type"] for packet in client.packets] == ["a", "b", "c", "d"], client.packets
    assert not one.errors, one.errors


def test_the_order_is_kept(t):
    """Also with everyone's packets between those to one."""
    one, near, far = three(t)
    for number in range(300):
        to = "*" if number % 3 == 0 else [near.token, far.token, one.token] if number % 3 == 1 else near.token
        one.send(to, {"type": "n", "n": number})
    for client, mine in ((near, range(300)), (far, [n for n in range(300) if n % 3 < 2]),
                         (one, [n for n in range(300) if n % 3 < 2])):
        client.wait_packet(len(mine))
        assert [packet["n"] for packet in client.packets] == list(mine)


def test_what_is_said_before_the_first_metadata_came(t):
    """To everybody: the sender is among them, however early it spoke."""
    a, b = t.frontends(2, t.redis(), listen=LISTEN)
    other = t.connect(b, Sync, kind="sync")
    for number in range(20):
        early = t.connect(a, Sync, kind="sync", enters=False)
        early.send("*", {"type": "hello", "hello": number})
        early.wait(lambda: early.packets, what="its own packet")
        assert early.token and [packet["hello"] for packet in early.packets] == [number]
        other.wait(lambda: other.packets and other.packets[-1]["hello"] == number, what="the packet")
        early.drop()


def test_nobody_there(t):
    one, near, far = three(t)
    far.drop()
    one.wait_map(lambda received: far.token not in received)
    for number, to in enumerate((far.token, "nobody", [near.token, "f" * 32]), 1):
        one.send(to, {"type": "t%d" % number})
        code, message = one.wait_error(number)
        assert code == "undeliverable" and message.startswith((to if isinstance(to, str) else to[1]) + ": "), message
    assert near.wait_packet()["type"] == "t3", "connected receivers get it all the same"
    # They are no errors of the client's own.
    ids = [f"nobody {number}" for number in range(100)]
    one.send(ids, {})
    assert one.wait_error(4) == ("undeliverable", ", ".join(ids) + ": no receiver accepts packets")
    one.barrier()
    assert len(one.errors) == 4


def test_a_tracker_client_takes_no_packets(t):
    a, b = t.frontends(2, t.redis(), listen=LISTEN)
    sensors = [t.connect(node, Plain) for node in (a, b)]
    for sensor in sensors:
        sensor.open(b"state")
    one = t.connect(a, Sync, kind="sync")
    one.wait_map(lambda received: len(received) == 3)
    ids = [id for id in one.map if id != one.token]
    one.send(ids, {"type": "hello"})
    one.wait(lambda: sum(message.count(id) for _, message in one.errors for id in ids) == 2)
    assert all(code == "undeliverable" and message.endswith(": no receiver accepts packets")
               for code, message in one.errors), one.errors
    assert [sensor.get_text() for sensor in sensors], "and their stream is as it was"


def test_spaces_are_apart(t):
    frontend = t.frontend(t.redis(), settings={"map.spaces": "main games"}, listen=LISTEN)
    here = t.connect(frontend, Sync, kind="sync")
    there = t.connect(frontend, Sync, kind="sync", path="/sync/games")
    here.send(there.token, {"type": "secret"})
    assert here.wait_error()[0] == "undeliverable"
    here.send("*", {"type": "loud"})
    here.wait_packet()
    there.barrier()
    assert not there.packets, there.packets


def test_lone_surrogates_are_passed_on(t):
    """As they came, to any front-end and to players; nothing that a strict reader reads has them."""
    one, near, far = three(t)
    packet = r'"a":"\ud83d","\udC00":{"\ud800":["\udfff\ud800"]},"\ufffd":"\ud83d\ude00"'
    for number, type in enumerate(('"chat"', r'"\ud800"'), 1):
        one.say('{"to":["%s","%s"],"packet":{"type":%s,%s}}' % (near.token, far.token, type, packet))
        for other in (near, far):
            other.wait_packet(number)
            assert other.packet_texts[-1] == '{"from":"%s","type":%s,%s:{},%s}' % (one.token, type, type, packet)
    assert not one.errors


def test_refusals(t):
    """Each with its code; the connection stays, and nothing happens."""
    one, near, _ = three(t, settings={"sync.max_errors": "1000"})
    token = near.token
    cases = [
        ("", "bad_json"), ("{", "bad_json"), ("[]", "bad_packet"), ("{}", "bad_packet"), ("nul", "bad_json"),
        ('{"to":"%s"}' % token, "bad_packet"), ('{"packet":{}}', "bad_packet"),
        ('{"to":"%s","packet":[]}' % token, "bad_packet"), ('{"to":1,"packet":{}}', "bad_packet"),
        ('{"to":[1],"packet":{}}', "bad_packet"), ('{"to":{},"packet":{}}', "bad_packet"),
        ('{"to":"","packet":{}}', "bad_to"), ('{"to":"\\ud800","packet":{}}', "bad_to"),
        ('{"to":["%s",true],"packet":{}}' % token, "bad_packet"), ('{"to":"%s","packet":{}}' % ("x" * 256), "bad_to"),
        ('{"to":"%s","packet":{"type":1}}' % token, "bad_packet"),
        ('{"to":"%s","packet":{"type":""}}' % token, "bad_type"),
        ('{"to":"server","packet":{"type":"chat"}}', "bad_type"),
        ('{"to":"server","packet":{"type":"properties","properties":[]}}', "bad_packet"),
        ('{"to":"server","packet":{"type":"properties","properties":{"a":1,"a":2}}}', "bad_json"),
        ('{"to":"server","packet":{"type":"properties","properties":{"a":1e999}}}', "bad_json"),
        ('{"to":"server","packet":{"type":"properties","properties":{"a":"\\u0000"}}}', "bad_json"),
        ('{"to":"%s","packet":{"type":"%s"}}' % (token, "t" * 65), "limit"),
        ('{"to":[%s],"packet":{}}' % ",".join(['"x"'] * 1001), "limit"),
        ('{"to":"%s","packet":{"x":%s%s}}' % (token, "[" * 511, "]" * 511), "limit"),
        *(('{"to":"%s","packet":{"type":"%s"}}' % (token, type), "bad_type")
          for type in ("metadata", "changes", "error", "from")),
    ]
    for number, (text, code) in enumerate(cases, 1):
        one.say(text)
        assert one.wait_error(number)[0] == code, (text, one.errors[-1])
        answer = json.loads(one.error_texts[-1])
        assert answer["from"] == "server" and answer["type"] == "error" and answer["error"]["message"], answer
    one.say(text_of("server", {"type": "ping"}), BINARY)
    assert one.wait_error(len(cases) + 1) == ("bad_json", "a text message is expected")
    one.send("server", {})
    one.send("server", {"type": "ping", "ping": 1})
    one.barrier()
    near.barrier()
    assert len(one.errors) == len(cases) + 1 and not near.packets and near.map[one.token] == {}


def test_who_keeps_on_is_closed(t):
    a, b = t.frontends(2, t.redis(), listen=LISTEN)
    one, other = (t.connect(node, Sync, kind="sync") for node in (a, b))
    for _ in range(19):
        one.say("{")
    one.wait_error(19)
    one.set(still="here")
    other.wait_map(lambda received: received.get(one.token) == {"still": "here"})
    one.say("{")
    assert one.wait_closed() == (1008, "too many errors")
    assert len(one.errors) == 20
    other.wait_map(lambda received: one.token not in received)
    assert a.metric("tracker_errors_sent_total", protocol="sync", code="bad_json") == 20
    line = a.wait_for_log("msg=sync_packet_refused")
    assert "peer=127.0.0.1" in line and "code=bad_json" in line, line


def test_errors_are_forgotten_after_their_window(t):
    frontend = t.frontend(t.redis(), listen=LISTEN, settings={"sync.error_window": "100ms"})
    one = t.connect(frontend, Sync, kind="sync")
    for number in range(1, 41):
        one.say("{")
        one.wait_error(number)
        if number % 10 == 0:
            time.sleep(0.15)
    one.barrier()
