"""What an idle WebSocket connection costs."""

from harness import certificates
from harness.websocket import PING, WebSocket

BEFORE = 100  # connections that make the front-end allocate what it needs once


def cost(t, frontend, count, index, tls=None):
    """Bytes of memory for each of so many connections that have spoken and are idle."""
    address = frontend.address("web", index)

    def connect(number):
        for _ in range(number):
            one = WebSocket(address, "/tracker", ("tracker",), tls=tls)
            t.stack.callback(one.drop)
            one.send_frame(PING, b"x" * 100)
            assert one.read_frame().payload == b"x" * 100

    connect(BEFORE)
    before = frontend.process.memory()
    connect(count)
    assert frontend.metric("tracker_websocket_connections") >= BEFORE + count
    return (frontend.process.memory() - before) / count


def limit(t, size):
    """Sanitizers surround each allocation with space, and hold back what is freed."""
    return size * (60 if t.sanitized else 1)


def test_idle_connections_are_small(t):
    certificate, key = certificates.make(t.directory())
    frontend = t.frontend(t.redis(), settings={"net.max_per_address": "0", "access.connect_rate": "0"},
                          listen=("web=127.0.0.1:0",
                                  f"web=127.0.0.1:0,tls=true,tls_certificate={certificate},tls_key={key}"))
    plain = cost(t, frontend, 5000, 0)
    assert plain <= limit(t, 1024), f"{plain:.0f} bytes"
    secure = cost(t, frontend, 500, 1, certificates.client_context(certificate))
    assert secure <= limit(t, 18 * 1024), f"{secure:.0f} bytes"
