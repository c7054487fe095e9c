"""Pages of other sites in the browser of somebody who can reach a front-end: with the defaults they neither open a
WebSocket, nor read the page or the API under a name of theirs that was made to lead here (DNS rebinding)."""
import json
import socket

from harness.websocket import Refused, WebSocket

UPGRADES = ("/turntable", "/sync", "/tracker")
RESTRICTED = ("/", "/page.js", "/page.css", "/api/v1/clients", "/api/v1/clients/x", "/api/v1/nodes", "/api/v1/stats",
              "/api/v1/shard?id=x", "/api/v1/servers", "/api/v1/live")
OPEN = ("/healthz", "/readyz", "/metrics", "/tracker.js")
FOREIGN = ("evil.example", "localhost.evil.example", "127.0.0.1.evil.example", "evil.example:8080")


def ask(t, frontend, host, path="/api/v1/clients", target="", version="1.1", method="GET", kind="web", index=0):
    """(status, headers in lower case, body) of a request with that Host; None: with no such line."""
    client = t.raw(frontend, kind=kind, index=index)
    line = "" if host is None else f"Host: {host}\r\n"
    client.send(f"{method} {target}{path} HTTP/{version}\r\n{line}Connection: close\r\n\r\n".encode())
    assert client.closed(), client.input
    head, _, body = client.input.partition(b"\r\n\r\n")
    lines = head.decode().split("\r\n")
    return int(lines[0].split(" ")[1]), dict(line.lower().split(": ", 1) for line in lines[1:]), body


def upgrade(frontend, path, *headers):
    """The status of a handshake with Host: localhost."""
    try:
        with_socket = WebSocket(frontend.address("web"), path, headers=headers)
    except Refused as refused:
        return refused.status
    with_socket.close()
    return 101


def test_a_foreign_page_opens_no_websocket(t):
    frontend = t.frontend(t.redis())
    for path in UPGRADES:
        for origin in ("https://evil.example", "http://localhost.evil.example", "http://evil.example:8080", "null", ""):
            assert upgrade(frontend, path, f"Origin: {origin}") == 403, (path, origin)
        # Its own page, whatever the port and the scheme; a program, which sends no Origin.
        for origin in ("http://localhost", "https://localhost:3000", "http://LOCALHOST:8080"):
            assert upgrade(frontend, path, f"Origin: {origin}") == 101, (path, origin)
        assert upgrade(frontend, path) == 101, path
    assert frontend.metric("tracker_websocket_refused_total", reason="origin") == 5 * len(UPGRADES)


def test_the_former_default_and_lists_of_origins_still_work(t):
    redis = t.redis()
    anybody = t.frontend(redis, settings={"ws.origins": ""})
    for origin in ("https://evil.example", "null"):
        assert upgrade(anybody, "/sync", f"Origin: {origin}") == 101, origin
    listed = t.frontend(redis, settings={"ws.origins": "https://example.org null"})
    for origin, status in (("https://example.org", 101), ("null", 101), ("http://example.org", 403),
                           ("http://localhost", 403)):
        assert upgrade(listed, "/sync", f"Origin: {origin}") == status, origin


def test_the_page_and_the_api_are_served_under_known_names_only(t):
    frontend = t.frontend(t.redis(), settings={"lobby.space": "main"})
    port = frontend.address("web")[1]
    for path in RESTRICTED:
        for host in FOREIGN:
            status, headers, body = ask(t, frontend, host, path)
            assert status == 421 and headers["content-type"] == "application/json", (path, host, status, headers)
            assert "http.hosts" in json.loads(body)["error"] and len(body) < 300, (path, host, body)
        for host in ("localhost", f"LocalHost:{port}", "127.0.0.1", f"127.0.0.1:{port}", "[::1]:80", "10.9.8.7", "",
                     socket.gethostname()):
            status = ask(t, frontend, host, path, method="HEAD")[0]
            assert status == (404 if path == "/api/v1/clients/x" else 200), (path, host, status)
    assert ask(t, frontend, None, version="1.0")[0] == 200
    # The target's host counts, as RFC 9112 has it.
    assert ask(t, frontend, "localhost", target="http://evil.example")[0] == 421
    assert ask(t, frontend, "evil.example", target="http://localhost:1")[0] == 200
    assert ask(t, frontend, "evil.example", target="http://[::1]:1")[0] == 200
    assert ask(t, frontend, "evil.example", method="HEAD")[0] == 421
    for path in OPEN:
        for host in FOREIGN:
            assert ask(t, frontend, host, path)[0] == 200, (path, host)
    assert frontend.log_lines("msg=request_refused.*status=421.*http.hosts"), frontend.log


def test_names_of_the_configuration(t):
    """Those of http.hosts, and of node.advertise."""
    redis = t.redis()
    frontend = t.frontend(redis, listen=("web=127.0.0.1:0", "web=127.0.0.1:0,hosts=*"),
                          settings={"http.hosts": "page.example.org .lan", "node.advertise": "front-a:8080"})
    for host, status in (("page.example.org", 200), ("PAGE.example.org.:8081", 200), ("b.lan", 200), ("front-a", 200),
                         ("front-a:8080", 200), ("FRONT-A", 200), ("a.page.example.org", 421), ("lan", 421),
                         ("front-a.evil.example", 421), ("*", 421)):
        assert ask(t, frontend, host)[0] == status, host
    assert ask(t, frontend, "any.example", index=1)[0] == 200


def test_the_names_are_reloadable(t):
    frontend = t.frontend(t.redis(), config="[http]\nhosts = a.example\n")
    assert [ask(t, frontend, host)[0] for host in ("a.example", "b.example")] == [200, 421]
    frontend.write_config("[http]\nhosts = b.example\n")
    frontend.reload()
    frontend.wait_for_log(r"msg=reload.*")
    assert [ask(t, frontend, host)[0] for host in ("a.example", "b.example")] == [421, 200]


def test_a_name_that_is_none_is_refused_at_the_start(t):
    for value in ("http://page.example.org", "page.example.org:8080", "*.example.org", "[::1]"):
        result = t.run("trackerd", "--check", "--set", f"http.hosts={value}", check=False)
        assert result.returncode == 2 and "http.hosts" in result.stderr, (value, result)
