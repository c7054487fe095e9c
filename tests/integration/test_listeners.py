"""Where a front-end listens, and what comes before the protocol there."""
import os
import socket
import ssl
import struct

from harness import Versioned, certificates, packets

PROXY_V2 = b"\r\n\r\n\x00\r\nQUIT\n"


def proxy_v2(source, destination=("127.0.0.1", 6789)):
    if ":" in source[0]:
        family, body = 0x21, socket.inet_pton(socket.AF_INET6, source[0]) + socket.inet_pton(socket.AF_INET6, "::1")
    else:
        family, body = 0x11, socket.inet_aton(source[0]) + socket.inet_aton(destination[0])
    body += struct.pack(">HH", source[1], destination[1])
    return PROXY_V2 + bytes([0x21, family]) + struct.pack(">H", len(body)) + body


def address_in_map(redis, id):
    return redis("HGET", b"tracker:{main/1/0}:client:" + id, "address")


def test_ipv6(t):
    redis = t.redis()
    frontend = t.frontend(redis, listen=("tracker=[::1]:0", "web=[::1]:0"))
    client = t.connect(frontend, Versioned)
    id = client.open(b"six")
    assert b"::1" in address_in_map(redis, id)
    assert frontend.http("/healthz")[0] == 200


def test_all_addresses(t):
    frontend = t.frontend(listen=("tracker=*:0", "web=127.0.0.1:0"))
    port = frontend.address()[1]
    for host in ("127.0.0.1", "127.0.0.2", "::1"):
        t.connect((host, port), Versioned).open(host.encode())


def test_unix_socket(t):
    path = os.path.join(t.directory(), "t.sock")
    frontend = t.frontend(listen=(f"tracker=unix:{path}", "web=127.0.0.1:0"))
    client = t.connect(frontend, Versioned)
    client.open(b"local")
    assert frontend.address() == path
    client.drop()
    frontend.stop()
    assert not os.path.exists(path)


def test_a_stale_unix_socket_is_replaced(t):
    path = os.path.join(t.directory(), "t.sock")
    with socket.socket(socket.AF_UNIX) as stale:
        stale.bind(path)
    frontend = t.frontend(listen=(f"tracker=unix:{path}",))
    t.connect(frontend, Versioned).open(b"local")


def test_a_taken_port_is_an_error(t):
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        frontend = t.frontend(listen=(f"tracker=127.0.0.1:{port}",), wait=False)
        assert frontend.process.wait() == 1
    assert frontend.log_lines(rf"level=error.*127\.0\.0\.1:{port}"), frontend.log
    assert not frontend.log_lines(r"msg=ready"), frontend.log


def test_reuse_port(t):
    """Two front-ends on one port; without the option the second cannot."""
    redis = t.redis()
    first = t.frontend(redis, listen=("tracker=127.0.0.1:0,reuse_port=true", "web=127.0.0.1:0"))
    port = first.address()[1]
    second = t.frontend(redis, listen=(f"tracker=127.0.0.1:{port},reuse_port=true", "web=127.0.0.1:0"))
    for _ in range(30):
        t.connect(first, Versioned).open(b"x")
    assert first.metric("tracker_connections_accepted_total") > 1
    assert second.metric("tracker_connections_accepted_total") > 1


def test_proxy_v1(t):
    redis = t.redis()
    frontend = t.frontend(redis, listen=("tracker=127.0.0.1:0,proxy=true", "web=127.0.0.1:0"))
    client = t.connect(frontend, Versioned, before=b"PROXY TCP4 198.51.100.7 192.0.2.1 40000 6789\r\n")
    assert address_in_map(redis, client.open(b"x")).startswith(b"198.51.100.7")
    client = t.connect(frontend, Versioned, before=b"PROXY TCP6 2001:db8::7 2001:db8::1 40000 6789\r\n")
    assert b"2001:db8::7" in address_in_map(redis, client.open(b"x"))
    client = t.connect(frontend, Versioned, before=b"PROXY UNKNOWN\r\n")
    assert address_in_map(redis, client.open(b"x")).startswith(b"127.0.0.1")


def test_proxy_v2(t):
    redis = t.redis()
    frontend = t.frontend(redis, listen=("tracker=127.0.0.1:0,proxy=true", "web=127.0.0.1:0"))
    client = t.connect(frontend, Versioned, before=proxy_v2(("198.51.100.7", 40000)))
    assert address_in_map(redis, client.open(b"x")).startswith(b"198.51.100.7")
    client = t.connect(frontend, Versioned, before=proxy_v2(("2001:db8::7", 40000)))
    assert b"2001:db8::7" in address_in_map(redis, client.open(b"x"))
    # LOCAL: a health check of the proxy's own.
    client = t.connect(frontend, Versioned, before=PROXY_V2 + b"\x20\x00\x00\x00")
    assert address_in_map(redis, client.open(b"x")).startswith(b"127.0.0.1")


def test_proxy_header_byte_by_byte_with_the_open_behind_it(t):
    redis = t.redis()
    frontend = t.frontend(redis, listen=("tracker=127.0.0.1:0,proxy=true", "web=127.0.0.1:0"))
    client = t.connect(frontend, Versioned)
    for byte in proxy_v2(("198.51.100.7", 40000)) + packets.versioned.open(b"x"):
        client.send(bytes([byte]))
    assert address_in_map(redis, client.read_id()).startswith(b"198.51.100.7")


def test_a_missing_or_bad_proxy_header_is_refused(t):
    frontend = t.frontend(listen=("tracker=127.0.0.1:0,proxy=true", "web=127.0.0.1:0"))
    bad = (packets.versioned.open(b"no header"), b"PROXY TCP4 1.2.3.4 5.6.7.8 99999 1\r\n",
           b"PROXY " + b"x" * 200, PROXY_V2 + b"\x31\x11\x00\x0c" + b"\0" * 12,
           PROXY_V2 + b"\x21\x11\x00\x03abc")
    for data in bad:
        client = t.raw(frontend)
        client.send(data)
        assert client.closed(), data
    assert frontend.wait_for_metric("tracker_connections_refused_total", len(bad), reason="proxy_header") == len(bad)
    assert frontend.log_lines(r"level=warn.*127\.0\.0\.1"), frontend.log
    t.connect(frontend, Versioned, before=b"PROXY UNKNOWN\r\n").open(b"others are served")


def test_tls(t):
    certificate, key = certificates.make(t.directory())
    redis = t.redis()
    frontend = t.frontend(redis, listen=(f"tracker=127.0.0.1:0,tls=true,tls_certificate={certificate},tls_key={key}",
                                         "tracker=127.0.0.1:0", "web=127.0.0.1:0"))
    context = certificates.client_context(certificate)
    secret = t.connect(frontend, Versioned, tls=context)
    id = secret.open(b"secret")
    plain = t.connect(frontend, Versioned, index=1)
    plain.open(b"plain")
    plain.wait_for_state(id, b"secret")
    # Much in both directions: records are split and joined.
    for number in range(1, 100):
        assert secret.update(id, number, b"%d" % number * 50)
    plain.wait_for_state(id, b"99" * 50)
    other = plain.open(b"z")
    for number in range(1, 100):
        assert plain.update(other, number, b"%d" % number * 50)
    secret.wait_for_state(other, b"99" * 50)
    t.fsck(redis)


def test_tls_refuses_what_is_not_tls(t):
    certificate, key = certificates.make(t.directory())
    frontend = t.frontend(listen=(f"tracker=127.0.0.1:0,tls=true,tls_certificate={certificate},tls_key={key}",
                                  "web=127.0.0.1:0"))
    client = t.raw(frontend)
    client.send(packets.versioned.open(b"in the clear"))
    assert client.closed()
    frontend.wait_for_metric("tracker_connections_refused_total", 1, reason="tls")
    t.connect(frontend, Versioned, tls=certificates.client_context(certificate)).open(b"x")


def test_tls_with_client_certificates(t):
    directory = t.directory()
    certificate, key = certificates.make(directory)
    own = certificates.make(directory, "client", "client")
    frontend = t.frontend(listen=(f"tracker=127.0.0.1:0,tls=true,tls_certificate={certificate},tls_key={key},"
                                  f"tls_client_ca={own[0]}", "web=127.0.0.1:0"))
    t.connect(frontend, Versioned, tls=certificates.client_context(certificate, own)).open(b"known")
    try:
        t.connect(frontend, Versioned, tls=certificates.client_context(certificate)).open(b"unknown")
    except (ssl.SSLError, OSError):
        pass
    else:
        raise AssertionError("a client without a certificate was served")


def test_a_bad_certificate_is_an_error_at_start(t):
    frontend = t.frontend(listen=("tracker=127.0.0.1:0,tls=true,tls_certificate=/nonexistent.crt,tls_key=/nonexistent.key",),
                          wait=False)
    assert frontend.process.wait() not in (0, -6, -11)
    assert frontend.log_lines(r"level=error.*nonexistent"), frontend.log
