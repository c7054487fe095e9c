"""What every HTTP client may count on: the form of errors, HEAD and OPTIONS, what is malformed, slashes."""
import json
import os
import socket

from harness import Versioned

KINDS = ("web=127.0.0.1:0", "web=127.0.0.1:0,admin=off", "sync=127.0.0.1:0", "turntable=127.0.0.1:0")
API = ("clients", "clients/x", "servers", "nodes", "stats", "shard", "live")


def answer(t, frontend, request, kind="web", index=0):
    """(status, headers in lower case, body) of a request as it stands, on a connection of its own."""
    client = t.raw(frontend, kind=kind, index=index)
    client.send(request)
    client.socket.shutdown(socket.SHUT_WR)
    assert client.closed(), client.input
    head, _, body = client.input.partition(b"\r\n\r\n")
    lines = head.decode().split("\r\n")
    headers = {name.lower(): value for name, value in (line.split(": ", 1) for line in lines[1:])}
    return int(lines[0].split(" ")[1]), headers, body


def test_every_answer_below_api_is_json(t):
    frontend = t.frontend(t.redis(), listen=KINDS)
    host = b"Host: x\r\n"
    for index in (0, 1):
        for status, request in (
                (404, b"GET /api/v1/nothing HTTP/1.1\r\n" + host), (404, b"GET /api/ HTTP/1.1\r\n" + host),
                (404, b"GET /api HTTP/1.1\r\n" + host), (404, b"GET /api/v2/clients HTTP/1.1\r\n" + host),
                (404, b"GET /%61pi/v2 HTTP/1.1\r\n" + host),
                (400, b"GET /api/v1/clients?q=%zz HTTP/1.1\r\n" + host),
                (400, b"GET /api/v1/clients/%zz HTTP/1.1\r\n" + host),
                (400, b"GET /api/v1/clients HTTP/1.1\r\nHost: a b\r\n"), (400, b"GET /api/v1/clients HTTP/1.1\r\n"),
                (400, b"GET /api/v1/clients HTTP/1.1\r\nHost: a\nX: y\r\n"),
                (431, b"GET /api/v1/clients HTTP/1.1\r\n" + host + b"X: y\r\n" * 500),
                (414, b"GET /api/v1/clients?" + b"q" * 17000 + b" HTTP/1.1\r\n" + host),
                (417, b"GET /api/v1/clients HTTP/1.1\r\nExpect: x\r\n" + host),
                (505, b"GET /api/v1/clients HTTP/1.7\r\n" + host),
                (404, b"GET /api/v1/live HTTP/1.1\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n" + host)):
            got, headers, body = answer(t, frontend, request + b"\r\n", index=index)
            assert got == status, (request[:60], got)
            assert headers["content-type"] == "application/json", (request[:60], headers)
            assert list(json.loads(body)) == ["error"], (request[:60], body)
        # Elsewhere errors are lines of text.
        got, headers, body = answer(t, frontend, b"GET /apis HTTP/1.1\r\n" + host + b"\r\n", index=index)
        assert got == 404 and headers["content-type"].startswith("text/plain") and body == b"404 Not Found\n"
    for path in API:
        status, headers, body = frontend.http(f"/api/v1/{path}", method="DELETE")
        assert status == 405 and headers["Allow"] == "GET, HEAD, OPTIONS", path
        assert headers["Content-Type"] == "application/json" and json.loads(body)["error"], (path, body)


def test_head_is_get_without_the_body(t):
    frontend = t.frontend(t.redis(), settings={"lobby.space": "main"})
    t.connect(frontend, Versioned).open(b"x")
    frontend.http("/api/v1/clients")
    for path in ("/", "/page.css", "/tracker.js", "/healthz", "/readyz", "/api/v1/clients", "/api/v1/clients/none",
                 "/api/v1/shard?id=x", "/api/v1/none", "/none"):
        got, wanted = frontend.http(path, method="HEAD"), frontend.http(path)
        assert got[0] == wanted[0] and got[2] == b"", path
        for headers in (got[1], wanted[1]):
            del headers["Date"]
        assert got[1] == wanted[1], path
    status, headers, body = frontend.http("/api/v1/live", method="HEAD")
    assert status == 200 and headers["Content-Type"] == "text/event-stream" and body == b""
    assert "Content-Length" not in headers and headers["Cache-Control"] == "no-store"
    # Also when it is refused before it has been understood: a body would be taken for the next answer.
    for request in (b"HEAD /api/v1/clients?q=% HTTP/1.1\r\nHost: x\r\n\r\n", b"HEAD / HTTP/1.1\r\nHost: x\nA: b\r\n\r\n"):
        status, headers, body = answer(t, frontend, request)
        assert status == 400 and int(headers["content-length"]) > 0 and body == b"", request


def test_options_names_the_methods(t):
    frontend = t.frontend(t.redis())
    for path in ["/", "/page.js", "/healthz", "/metrics"] + [f"/api/v1/{path}" for path in API]:
        status, headers, body = frontend.http(path, method="OPTIONS")
        assert status == 204 and headers["Allow"] == "GET, HEAD, OPTIONS" and body == b"", (path, status, headers)
        assert "Content-Length" not in headers, path
    status, headers, _ = answer(t, frontend, b"OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n")
    assert status == 204 and headers["allow"] == "GET, HEAD, OPTIONS"
    assert frontend.http("/none", method="OPTIONS")[0] == 404


def test_a_balancers_simplest_check(t):
    """HAProxy's `option httpchk` without anything else, of each kind of listener that speaks HTTP."""
    frontend = t.frontend(t.redis(), listen=KINDS)
    addresses = [frontend.address(kind.split("=")[0], index) for kind, index in zip(KINDS, (0, 1, 0, 0))]
    config = os.path.join(t.directory("haproxy"), "haproxy.cfg")
    servers = "".join(f"    server s{i} {host}:{port} check inter 200ms\n" for i, (host, port) in enumerate(addresses))
    with open(config, "w", encoding="utf-8") as file:
        file.write("defaults\n    mode http\n    timeout connect 5s\n    timeout client 5s\n    timeout server 5s\n"
                   "    timeout check 5s\n    option log-health-checks\n"
                   'listen all\n    bind "${BIND}"\n    option httpchk\n' + servers)
    proxy = t.haproxy(config, {}, ["BIND"])
    for i in range(len(addresses)):
        proxy.process.wait_for_log(rf"all/s{i} (succeeded|failed)")
    assert "failed" not in proxy.process.log and "is DOWN" not in proxy.process.log, proxy.process.log


def test_a_malformed_query_is_refused(t):
    frontend = t.frontend(t.redis())
    for query in ("q=%zz", "%", "q=a%4", "q=%C3%A9&limit=%", "nobody=%gg"):
        for path in ("/api/v1/clients", "/api/v1/live", "/healthz", "/", "/tracker.js"):
            assert frontend.http(f"{path}?{query}")[0] == 400, (path, query)
    for query in ("q=%C3%A9", "q=+%25", "&&", "q", "q=%00"):
        assert frontend.http(f"/api/v1/clients?{query}")[0] == 200, query
    for query in ("servers=maybe", "servers=2"):
        status, _, body = frontend.http(f"/api/v1/live?{query}", method="HEAD")
        assert status == 400, query


def test_a_slash_at_the_end_means_nothing(t):
    frontend = t.frontend(t.redis())
    client = t.connect(frontend, Versioned)
    name = client.open(b"x").decode()
    for path in ("/healthz", "/readyz", "/metrics", "/page.js", "/tracker.js", "/api/v1/clients", "/api/v1/nodes",
                 f"/api/v1/clients/{name}", "/none", "/api/v1/none", "/api/v1/clients/none"):
        one, other = frontend.http(path), frontend.http(path + "/")
        assert one[0] == other[0] and one[1]["Content-Type"] == other[1]["Content-Type"], path
        if path != "/metrics":
            assert one[2] == other[2], path
    assert frontend.http("/api/v1/shard/?id=x")[2] == frontend.http("/api/v1/shard?id=x")[2]
    upgrade = b" HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n" \
              b"Sec-WebSocket-Key: MDEyMzQ1Njc4OWFiY2RlZg==\r\n\r\n"
    for path, status in ((b"/tracker", 101), (b"/tracker/", 101), (b"/sync/main", 101), (b"/sync/main/", 101), (b"/sync/main%2F", 404),
                         (b"/sync/?mode=%", 400)):
        assert answer(t, frontend, b"GET " + path + upgrade)[0] == status, path
    # One that is encoded belongs to an id.
    assert json.loads(frontend.http("/api/v1/shard?id=x/")[2])["id"] == "x/"
    assert frontend.http(f"/api/v1/clients/{name}%2F")[0] == 404


def test_a_malformed_host_is_refused(t):
    frontend = t.frontend(t.redis(), listen=KINDS)
    for kind, index in (("web", 0), ("web", 1), ("sync", 0), ("turntable", 0)):
        for host in (b"a b", b"a/b", b"user@a", b"a:http", b"a:65536", b"[::1", b"a, b", b"\xff"):
            request = b"GET /healthz HTTP/1.1\r\nHost: " + host + b"\r\n\r\n"
            assert answer(t, frontend, request, kind, index)[0] == 400, (kind, host)
    for host in (b"a", b"A.example.:80", b"[::1]:8080", b"127.0.0.1", b""):
        assert answer(t, frontend, b"GET /healthz HTTP/1.1\r\nHost: " + host + b"\r\n\r\n")[0] == 200, host
