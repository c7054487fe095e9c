"""The Tracker protocol in the binary messages of WebSocket connections: the same map, the same dialects,
whatever the bounds of the messages."""
import struct

from harness import Original2013, Original2014, Plain, Versioned, certificates, packets
from harness.websocket import (BINARY, CLOSE, CONTINUATION, PING, TEXT, Refused, WebSocket, close_payload,
                               over_websocket, wait_for_frame)

WebVersioned = over_websocket(Versioned)


def web(t, frontend, dialect=WebVersioned, **options):
    return t.connect(frontend, dialect, kind="web", **options)


def websocket(t, frontend, *arguments, **options):
    opened = WebSocket(frontend.address("web"), *arguments, **options)
    t.stack.callback(opened.drop)
    return opened


def refusal(frontend, *arguments, **options):
    """The status and text of the answer to a handshake that is to be refused."""
    try:
        WebSocket(frontend.address("web"), *arguments, **options).drop()
    except Refused as refused:
        return refused.status, refused.body.decode()
    raise AssertionError("the handshake was accepted")


def test_two_transports_on_two_frontends(t):
    redis = t.redis()
    a, b = t.frontends(2, redis)
    tcp, browser = t.connect(a, Versioned), web(t, b)
    first, second = tcp.open(b"over TCP"), browser.open(b"over WebSocket")
    tcp.wait_for_state(second, b"over WebSocket")
    browser.wait_for_state(first, b"over TCP")
    for number in range(1, 30):
        assert tcp.update(first, number, b"tcp %d" % number)
        assert browser.update(second, number, b"web %d" % number)
    tcp.wait_for_state(second, b"web 29")
    browser.wait_for_state(first, b"tcp 29")
    assert not [push for push in browser.pushes if push.kind == "one" and push.id == second]
    assert redis("HGET", b"tracker:{main/1/0}:client:" + second, "protocol") == b"tracker"
    assert browser.close()
    tcp.wait_for_state(second, None)
    for reader in (t.connect(b, Plain), web(t, a, over_websocket(Plain))):
        t.wait_until(lambda: reader.get() == {first: b"tcp 29"}, what=reader.get_text)
    t.fsck(redis)


def test_every_dialect(t):
    frontend = t.frontend(t.redis(), listen=("tracker=127.0.0.1:0", "web=127.0.0.1:0",
                                             "web=127.0.0.1:0,original=2014"))
    plain = web(t, frontend, over_websocket(Plain))
    plain.open(b"a")
    plain.update(b"b")
    assert list(plain.get().values()) == [b"b"]
    assert plain.close()
    first = web(t, frontend, over_websocket(Original2013))
    id = first.open(b"state")
    assert first.update(id, 1, b"newer") and first.type_3() and first.close(id)
    second = web(t, frontend, over_websocket(Original2014), index=1)
    second.open(b"a")
    assert list(second.get().values()) == [b"a"]


def test_the_bounds_of_messages_mean_nothing(t):
    """Each byte in a message of its own; all packets in one; one in fragments."""
    frontend = t.frontend(t.redis(), settings={"tracker.push": "off"})
    bytewise = web(t, frontend, over_websocket(Versioned, parts=1))
    id = bytewise.open(b"byte by byte")
    assert bytewise.update(id, 1, b"still")
    together = websocket(t, frontend)
    updates = [packets.versioned.update(b"own", number, b"x" * number) for number in range(1, 100)]
    together.send_frame(BINARY, b"".join(updates))
    answer = b""
    while len(answer) < 99:
        answer += wait_for_frame(together, BINARY).payload
    assert answer == b"\x01" * 99
    third = packets.versioned.update(b"own", 100, b"fragments")
    together.send_frame(BINARY, third[:5], fin=False)
    together.send_frame(PING, b"between")
    together.send_frame(CONTINUATION, b"", fin=False)
    together.send_frame(CONTINUATION, third[5:])
    assert together.read_frame()[2:] == (10, b"between")
    assert together.read_frame()[2:] == (BINARY, b"\x01")
    reader = t.connect(frontend, Plain)
    t.wait_until(lambda: reader.get()[b"own"] == b"fragments", what=reader.get_text)


def test_pushes_of_a_large_map(t):
    """More than goes into one message; what an event-loop iteration brings is shared by both transports."""
    redis = t.redis()
    a, b = t.frontends(2, redis)
    owner = t.connect(a, Versioned)
    states = {}
    for number in range(16):
        id = b"%03d" % number + b"i" * 90
        assert owner.update(id, 1, b"s" * 120)
        states[id] = b"s" * 120
    many = [t.connect(a, Versioned) for _ in range(40)]
    for index, client in enumerate(many):
        for number in range(16):
            id = b"%02d-%02d" % (index, number) + b"i" * 80
            client.send(packets.versioned.update(id, 1, b"t" * 120))
            states[id] = b"t" * 120
    clients = [web(t, b), web(t, b), t.connect(b, Versioned), web(t, b)]
    for client in clients:
        client.open(b"watcher")
    for client in clients:
        client.wait_for_map(lambda received: states.items() <= received.items(), 20)
    for number in range(2, 20):
        assert owner.update(b"000" + b"i" * 90, number, b"%d" % number * 60)
    for client in clients:
        client.wait_for_state(b"000" + b"i" * 90, b"19" * 60)


def test_spaces_and_paths(t):
    frontend = t.frontend(t.redis(), settings={"map.spaces": "main games"},
                          listen=("tracker=127.0.0.1:0", "tracker=127.0.0.1:0,space=games", "web=127.0.0.1:0",
                                  "web=127.0.0.1:0,space=games"))
    for path, protocols, index, space in (
            ("/tracker", ("tracker",), 0, 0), ("/tracker", (), 0, 0), ("/tracker/", (), 0, 0),
            ("/tracker/main", ("tracker",), 0, 0), ("/tracker/games", ("tracker",), 0, 1),
            ("/tracker/games?a=b", (), 0, 1), ("/anything/at/all", ("tracker",), 0, 0),
            ("/", ("other", "tracker"), 0, 0), ("/tracker", ("other",), 0, 0),
            ("/tracker", ("tracker",), 1, 1), ("/tracker/main", (), 1, 0), ("/", ("tracker",), 1, 1)):
        opened = WebSocket(frontend.address("web", index), path, protocols)
        assert opened.protocol == ("tracker" if "tracker" in protocols else None), (path, opened.headers)
        state = f"{path} {len(protocols)} {index}".encode()
        opened.send_frame(BINARY, packets.plain.open(state))
        assert wait_for_frame(opened, BINARY).payload == b"\x01"
        reader = t.connect(frontend, Plain, index=space)
        t.wait_until(lambda: list(reader.get().values()) == [state],
                     what=lambda: (path, index, reader.get_text()))
        opened.send_frame(BINARY, packets.plain.close)
        assert wait_for_frame(opened, BINARY).payload == b"\x01"
        opened.close()


def test_handshakes_that_are_refused(t):
    frontend = t.frontend(t.redis(), settings={"ws.origins": "https://example.org, same"})
    for path in ("/nowhere", "/", "/trackers", "/tracker/nowhere", "/tracker/main/more", "/tracker/%00", "/healthz"):
        status, text = refusal(frontend, path)
        assert status == 404, (path, status, text)
    assert refusal(frontend, "/tracker/nowhere", ("tracker",))[0] == 404
    for origin in ("https://elsewhere.example", "https://example.org.elsewhere.example", "null", "http://example.org"):
        status, text = refusal(frontend, headers=(f"Origin: {origin}",))
        assert (status, "Origin" in text) == (403, True), (origin, status, text)
    for origin in ("https://example.org", "HTTPS://Example.Org", "http://localhost", "https://localhost"):
        websocket(t, frontend, headers=(f"Origin: {origin}",)).close()
    assert frontend.metric("tracker_websocket_refused_total", reason="path") == 8
    assert frontend.metric("tracker_websocket_refused_total", reason="origin") == 4
    assert frontend.log_lines("msg=request_refused.*Origin"), frontend.log


def test_what_is_refused_in_messages(t):
    frontend = t.frontend(t.redis())
    text = websocket(t, frontend)
    text.send_frame(TEXT, b"hello")
    assert text.read_close()[0] == 1003
    malformed = websocket(t, frontend)
    malformed.send_frame(BINARY, packets.versioned.update(b"id", 1, b"good") + b"\x2a\x01\x09")
    assert wait_for_frame(malformed, BINARY).payload == b"\x01"
    while True:
        got = malformed.read_frame()
        if got.opcode == CLOSE:
            break
    assert got.payload == close_payload(1008, b"protocol"), got
    malformed.read_end()
    assert frontend.metric("tracker_malformed_total", reason="type") == 1
    assert frontend.metric("tracker_websocket_closed_total", code="1008") == 1
    unmasked = websocket(t, frontend)
    unmasked.send_frame(BINARY, packets.plain.get, masked=False)
    code, reason = unmasked.read_close()
    assert code == 1002 and b"mask" in reason, (code, reason)
    line = frontend.wait_for_log("msg=websocket_closed.*code=1002")
    assert "peer=127.0.0.1" in line and "mask" in line, line


def test_a_dropped_connection_leaves_its_entry_to_whoever_returns(t):
    redis = t.redis()
    a, b = t.frontends(2, redis)
    lost = web(t, a)
    id = lost.open(b"here")
    lost.drop()
    t.wait_until(lambda: redis("ZSCORE", "tracker:{main/1/0}:deadlines", b"c:" + id), what="an orphan")
    heir = web(t, b)
    assert heir.update(id, 1, b"back")
    assert redis("HGET", b"tracker:{main/1/0}:client:" + id, "state") == b"back"
    assert redis("ZSCORE", "tracker:{main/1/0}:deadlines", b"c:" + id) is None
    t.fsck(redis)


def test_drain_says_going_away(t):
    redis = t.redis()
    frontend, other = t.frontends(2, redis, settings={"drain.time": "1s"})
    clients = [websocket(t, frontend) for _ in range(5)]
    for client in clients:
        client.send_frame(BINARY, packets.plain.open(b"x"))
        assert wait_for_frame(client, BINARY).payload == b"\x01"
    frontend.drain()
    t.wait_until(lambda: not frontend.accepts(), 5, "it stops accepting")
    assert refusal(frontend)[0] == 503
    for client in clients:
        got = wait_for_frame(client, CLOSE)
        assert got.payload == close_payload(1001, b"drain"), got
        client.send_frame(CLOSE, got.payload)
        client.read_end()
    frontend.stop()
    assert len(t.connect(other, Plain).get_text()) > 2
    t.fsck(redis)


def test_a_kicked_client_receives_the_reason(t):
    redis = t.redis()
    frontend = t.frontend(redis)
    client = websocket(t, frontend)
    client.send_frame(BINARY, packets.versioned.update(b"rude", 1, b"x"))
    assert wait_for_frame(client, BINARY).payload == b"\x01"
    t.ctl(redis, "kick", "rude")
    assert wait_for_frame(client, CLOSE).payload == close_payload(1008, b"kicked")


def test_who_answers_no_ping_is_closed_and_who_does_lives(t):
    redis = t.redis()
    frontend = t.frontend(redis, settings={"ws.ping_interval": "300ms", "ws.timeout": "6s",
                                           "client.grace": "1s", "map.recovery_grace": "0s"})
    alive, silent = web(t, frontend), web(t, frontend, over_websocket(Versioned, pongs=False))
    alive.open(b"alive")
    gone = silent.open(b"silent")
    t.wait_until(lambda: (alive.drain(), frontend.metric("tracker_connections_closed_total", reason="silent"))[1],
                 20, "the silent one is closed")
    alive.wait_for_state(gone, None, 20)
    assert alive.update(alive.id, 1, b"still there")
    assert silent.closed()
    assert frontend.metric("tracker_websocket_connections") == 1


def test_pongs_keep_an_entry_in_the_map(t):
    """The kernel's acknowledgements do not: the TTL of a client's entry is renewed by what it says."""
    redis = t.redis()
    frontend = t.frontend(redis, settings={"ws.ping_interval": "500ms", "ws.timeout": "0", "client.ttl": "6s",
                                           "client.grace": "1s", "net.keepalive": "1s"})
    alive, frozen = web(t, frontend), web(t, frontend, over_websocket(Versioned, pongs=False))
    alive.open(b"alive")
    id = frozen.open(b"frozen")
    alive.wait_for_state(id, b"frozen")
    alive.wait_for_state(id, None, 20)
    assert redis("EXISTS", b"tracker:{main/1/0}:client:" + alive.id) == 1
    assert redis("EXISTS", b"tracker:{main/1/0}:client:" + id) == 0


def test_under_tls(t):
    directory = t.directory()
    certificate, key = certificates.make(directory)
    frontend = t.frontend(t.redis(), listen=("tracker=127.0.0.1:0", "web=127.0.0.1:0",
                                             f"web=127.0.0.1:0,tls=true,tls_certificate={certificate},tls_key={key}"))
    context = certificates.client_context(certificate)
    client = web(t, frontend, index=1, tls=context)
    id = client.open(b"under TLS")
    other = t.connect(frontend, Versioned)
    other.open(b"plain")
    other.wait_for_state(id, b"under TLS")
    for number in range(1, 50):
        assert other.update(other.id, number, b"x" * 200)
    client.wait_for_state(other.id, b"x" * 200)
    client.send(struct.pack("B", 1))
    assert client.close()


def test_a_reload_applies_to_open_connections(t):
    frontend = t.frontend(t.redis(), config="[ws]\nmax_message = 1KiB\n")
    client = websocket(t, frontend)
    frontend.write_config("[ws]\nmax_message = 200\n")
    frontend.reload()
    frontend.wait_for_log("setting_changed.*ws.max_message")
    client.send_frame(BINARY, b"\x01" * 201)
    assert client.read_close()[0] == 1009
