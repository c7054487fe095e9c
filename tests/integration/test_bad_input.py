"""What a peer may send wrong: a clear line, a metric, the connection closed, nothing applied, and the
others served."""
import struct

from harness import Versioned, packets

LONG = struct.Struct(">q").pack

# reason -> messages that must close the connection for it.
BAD = {
    "magic": (b"\x00", b"GET / HTTP/1.1\r\n\r\n", b"\x16\x03\x01\x02\x00"),
    "version": (b"\x42\x02\x00" + LONG(1) + b"x", b"\x42\x00", b"\x2a\x09"),
    "type": (b"\x2a\x01\x09\x01x", b"\x42\x01\x07" + LONG(0), b"\x2a\x01\x03\x01\x01"),
    "length": (b"\x2a\x01\x00\x05\x09abcd", b"\x2a\x01\x02\x04\x01\x09ab", b"\x42\x01\x00" + LONG(-1),
               b"\x42\x01\x02" + LONG(24) + LONG(1) + LONG(5) + b"abcde" + LONG(0),
               b"\x42\x01\x02" + LONG(-24), b"\x2a\x01\x02\x03\x01\x00\x00"),
    "limit": (b"\x42\x01\x00" + LONG(1 << 62), b"\x42\x01\x00" + LONG(70000), b"\x42\x01\x01" + LONG(5000)),
}


def test_malformed_messages(t):
    redis = t.redis()
    frontend = t.frontend(redis)
    healthy = t.connect(frontend, Versioned)
    id = healthy.open(b"healthy")
    for reason, messages in BAD.items():
        for message in messages:
            before = frontend.metric("tracker_malformed_total")
            named = frontend.metric("tracker_malformed_total", reason=reason)
            client = t.raw(frontend)
            client.send(message)
            assert client.closed(), message
            assert client.input == b"", (message, client.input)
            assert frontend.metric("tracker_malformed_total") == before + 1, message
            assert frontend.metric("tracker_malformed_total", reason=reason) == named + 1, (reason, message)
    lines = frontend.log_lines(r"level=warn.*127\.0\.0\.1")
    assert lines and any("reason=" in line for line in lines), frontend.log
    assert redis.keys("*client:*") == [b"tracker:{main/1/0}:client:" + id]
    assert healthy.update(id, 1, b"served all the time")
    t.fsck(redis)


def test_a_bad_message_behind_good_ones(t):
    """What came before it is done, and answered."""
    redis = t.redis()
    frontend = t.frontend(redis)
    client = t.connect(frontend, Versioned)
    client.send(packets.versioned.update(b"good", 1, b"done") + b"\x2a\x01\x09\x01x")
    assert client.read_acknowledgement()
    assert client.closed()
    assert redis("HGET", "tracker:{main/1/0}:client:good", "state") == b"done"


def test_many_bad_clients_write_few_log_lines(t):
    frontend = t.frontend(t.redis())
    for _ in range(300):
        client = t.raw(frontend)
        client.send(b"\xff")
        client.drop()
    frontend.wait_for_metric("tracker_malformed_total", 300, reason="magic")
    assert len(frontend.log_lines(r"level=warn")) < 100, len(frontend.log_lines("level=warn"))


def test_half_a_message_and_then_silence(t):
    frontend = t.frontend(t.redis(), settings={"net.handshake_timeout": "1s"})
    clients = []
    for data in (b"", b"\x2a", b"\x2a\x01\x00\x0a\x09the", b"\x42\x01\x00" + LONG(100) + b"x" * 50):
        clients.append(t.raw(frontend))
        clients[-1].send(data)
    healthy = t.connect(frontend, Versioned)
    healthy.open(b"x")
    for client in clients:
        assert client.closed()
    assert frontend.metric("tracker_connections_closed_total", reason="handshake") == len(clients)
    assert healthy.update(healthy.id, 1, b"y")


def test_a_silent_client_that_has_opened_stays(t):
    """No idle time-out by default: a sensor may be silent."""
    frontend = t.frontend(t.redis(), settings={"net.handshake_timeout": "1s"})
    client = t.connect(frontend, Versioned)
    client.open(b"x")
    for _ in range(2):
        assert t.connect(frontend, Versioned).closed(), "one that has not opened is not waited for any longer"
    assert client.update(client.id, 1, b"y")


def test_an_idle_timeout_where_it_is_set(t):
    frontend = t.frontend(t.redis(), listen=("tracker=127.0.0.1:0,idle_timeout=1s", "web=127.0.0.1:0"))
    client = t.connect(frontend, Versioned)
    client.open(b"x")
    assert client.closed()
    assert frontend.metric("tracker_connections_closed_total", reason="idle") == 1


def test_ten_thousand_connections_that_say_nothing(t):
    redis = t.redis()
    frontend = t.frontend(redis, settings={"net.max_connections": "12000", "net.handshake_timeout": "5m"})
    client = t.connect(frontend, Versioned)
    id = client.open(b"x")
    before = frontend.process.memory()
    silent = t.bulk(frontend, 10000, state=None)
    frontend.wait_for_metric("tracker_connections", 10001, 60)
    grown = frontend.process.memory() - before
    assert grown < 10000 * 1024 * (8 if t.sanitized else 1), f"{grown / 10000:.0f} bytes each"
    for version in range(1, 20):
        assert client.update(id, version, b"%d" % version)
    assert silent.alive() == 10000
    silent.drop()
    frontend.wait_for_metric("tracker_connections", lambda value: value < 10, 30)
    t.fsck(redis)


def test_connections_over_the_caps_are_refused(t):
    frontend = t.frontend(t.redis(), settings={"net.max_per_address": "5"})
    clients = [t.connect(frontend, Versioned, source="127.0.0.50") for _ in range(5)]
    for client in clients:
        client.open(b"x")
    assert t.raw(frontend, source="127.0.0.50").closed()
    t.connect(frontend, Versioned, source="127.0.0.51").open(b"another address")
    assert frontend.metric("tracker_connections_refused_total", reason="address_limit") == 1
    clients[0].drop()

    def served():
        try:
            t.connect(frontend, Versioned, source="127.0.0.50").open(b"a place is free")
            return True
        except ConnectionError:
            return False
    t.wait_until(served)


def test_the_cap_on_all_connections(t):
    frontend = t.frontend(t.redis(), settings={"net.max_connections": "10"})
    clients = [t.connect(frontend, Versioned) for _ in range(10)]
    for client in clients:
        client.open(b"x")
    assert t.raw(frontend).closed()
    clients[0].drop()
    # There is a place for a look at the metrics now.
    t.wait_until(frontend.ready)
    assert frontend.metric("tracker_connections_refused_total", reason="limit") >= 1


def test_more_ids_than_a_connection_may_create(t):
    redis = t.redis()
    frontend = t.frontend(redis)
    client = t.connect(frontend, Versioned)
    accepted = [client.update(b"id%d" % number, 1, b"x") for number in range(20)]
    assert accepted == [True] * 16 + [False] * 4, accepted
    assert frontend.metric("tracker_map_writes_total", result="limit") == 4
    assert len(redis.keys("*client:*")) == 16
