"""What an idle turntable connection costs."""

from harness.turntable import Turntable

BEFORE = 200  # connections that make the front-end allocate what it needs once


def cost(t, frontend, count, prepare):
    """Bytes of memory for each of so many connections, prepared by prepare(client, number)."""
    def connect(first, number):
        for index in range(first, first + number):
            client = t.connect(frontend, Turntable, kind="web")
            client.expect("idyou")
            prepare(client, index)

    connect(0, BEFORE)
    before = frontend.process.memory()
    connect(BEFORE, count)
    assert frontend.metric("tracker_websocket_connections") >= BEFORE + count
    return (frontend.process.memory() - before) / count


def start(t):
    return t.frontend(t.redis(), settings={"net.max_per_address": "0", "access.connect_rate": "0"},
                      listen=("web=127.0.0.1:0",))


def limit(t, size):
    """Sanitizers surround each allocation with space, and hold back what is freed."""
    return size * (60 if t.sanitized else 1)


def test_a_connection_that_says_nothing_is_small(t):
    plain = cost(t, start(t), 4000, lambda client, number: client.sync())
    print(f"{plain:.0f} bytes")
    assert plain <= limit(t, 1024), f"{plain:.0f} bytes"


def test_a_user_who_watches_nobody_is_small(t):
    def idme(client, number):
        client.say("idme", "1:%d" % number)
        client.sync()
    user = cost(t, start(t), 4000, idme)
    print(f"{user:.0f} bytes")
    assert user <= limit(t, 2048), f"{user:.0f} bytes"


def test_a_watched_name_is_small_where_others_watch_it(t):
    ids = ["1:%d" % number for number in range(200)]

    def subscribe(client, number):
        client.say("subscribe", ids)
        assert len(client.expect("userchange")) == 200
    each = cost(t, start(t), 1000, subscribe) / 200
    print(f"{each:.0f} bytes")
    assert each <= limit(t, 80), f"{each:.0f} bytes"
