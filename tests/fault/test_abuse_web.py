"""What one address asks of the API must hold up nobody: searches, lists that nobody reads, requests sent ahead."""
import json
import socket
import threading

from harness import Original2013, Versioned
from harness.abuse import ATTACKER, Watch
from harness.live import Stream
from harness.lobby import LISTEN, Game, settings

ENTRY = 65536  # bytes of a state, tracker.max_state


def fill(t, frontend, count, state, name):
    """So many entries of that state, over connections of the attacker's."""
    clients = []
    for number in range(count):
        if number % 16 == 0:
            clients.append(t.connect(frontend, Original2013))
        clients[-1].update(b"%s%04d" % (name, number), 1, state)
    return clients


def ask(frontend, request, receive=None, timeout=60):
    """A connection of the attacker's with a request under way."""
    connection = socket.socket()
    if receive:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive)
    connection.bind((ATTACKER, 0))
    connection.settimeout(timeout)
    connection.connect(frontend.address("web"))
    connection.sendall(request)
    return connection


def read_all(connection):
    answer = b""
    while True:
        data = connection.recv(1 << 16)
        if not data:
            return answer
        answer += data


def test_a_search_of_large_states(t):
    """It is refused when it is long; else it takes its time in pieces, and no lease is lost."""
    redis = t.redis()
    frontend, other = t.frontends(2, redis, settings={"web.max_searched": "64MiB"})
    victim = t.connect(frontend, Versioned).open(b"here").decode()
    fill(t, frontend, 64, "\u1e9e".encode() * (ENTRY // 3), b"x")
    t.wait_until(lambda: other.http(f"/api/v1/clients/{victim}")[0] == 200)
    watch = Watch(t, frontend)

    def search(query):
        with ask(frontend, b"GET /api/v1/clients?q=%s HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
                 % query) as connection:
            return read_all(connection)
    answers = []
    threads = [threading.Thread(target=lambda: answers.append(search(b"s" * 127 + b"b"))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(answers) == 8 and all(b'"clients":[]' in answer for answer in answers), answers
    for query in (b"a" * 129, b"a" * 15000 + b"b"):
        refused = search(query)
        assert b" 400 " in refused[:16] and b"at most 128 bytes" in refused, refused
    watch.stop().check()
    assert other.http(f"/api/v1/clients/{victim}")[0] == 200


def test_lists_that_nobody_reads(t):
    """Each holds one piece, not the answer."""
    frontend = t.frontend(t.redis(), settings={"client.max_ids": "1000"})
    fill(t, frontend, 1008, b"\x01" * 1024, b"h")
    whole = frontend.http("/api/v1/clients?limit=1000")[2]
    assert len(whole) > 6000000
    watch = Watch(t, frontend)
    request = b"GET /api/v1/clients?limit=1000 HTTP/1.1\r\nHost: localhost\r\n\r\n"
    connections = [ask(frontend, request, receive=4096) for _ in range(60)]
    t.wait_until(lambda: frontend.metric("tracker_output_queued_bytes") > 60 * 10000, 30)
    watch.stop().check()
    assert frontend.metric("tracker_output_queued_bytes") < 60 * 80000
    assert watch.grown() < t.allowed_memory(32 << 20), watch.grown()
    for connection in connections:
        connection.close()


def test_lists_of_servers_sent_ahead(t):
    """4,000 conditional requests for a list cost it once."""
    frontend = t.frontend(t.redis(), listen=LISTEN, settings=settings(verify="off"))
    for _ in range(8):
        t.connect(frontend, Game, kind="lobby-servers").be_listed(game="gltron", motto="m" * 400)
    t.wait_until(lambda: len(json.loads(frontend.http("/api/v1/servers")[2])["servers"]) == 8)
    one = b"GET /api/v1/servers HTTP/1.1\r\nHost: localhost\r\nIf-None-Match: *\r\n\r\n"
    last = b"GET /api/v1/servers HTTP/1.0\r\n\r\n"
    watch = Watch(t, frontend)
    connections = [ask(frontend, one * 200 + last) for _ in range(20)]
    for connection in connections:
        with connection:
            answer = read_all(connection)
        assert answer.count(b"HTTP/1.1 304 ") == 200 and answer.count(b"HTTP/1.1 200 ") == 1
        assert answer.count(b"ETag: ") == 201 and len(json.loads(answer[answer.index(b"{"):])["servers"]) == 8
    watch.stop().check()


def test_lists_of_servers_that_are_too_large_to_keep(t):
    """They are written for each request, in chunks and without a tag."""
    frontend = t.frontend(t.redis(), listen=LISTEN,
                          settings=settings(verify="off", **{"web.chunk": "1KiB", "web.max_lists": "2KiB"}))
    games = [t.connect(frontend, Game, kind="lobby-servers") for _ in range(24)]
    for game in games:
        game.be_listed(game="gltron", motto="m" * 400)
    t.wait_until(lambda: len(json.loads(frontend.http("/api/v1/servers")[2])["servers"]) == 24)
    status, headers, whole = frontend.http("/api/v1/servers")
    assert status == 200 and "ETag" not in headers and headers["Transfer-Encoding"] == "chunked", headers
    assert [server["id"] for server in json.loads(whole)["servers"]] == sorted(game.id for game in games)
    status, headers, small = frontend.http("/api/v1/servers?game=other")
    assert status == 200 and int(headers["Content-Length"]) == len(small) and headers["ETag"], headers


def test_live_streams_of_one_address(t):
    """However many it opens, others get theirs; and it keeps most of its own."""
    frontend = t.frontend(t.redis(), settings={"web.max_watchers": "6", "web.address_watchers": "5"})
    request = b"GET /api/v1/live HTTP/1.1\r\nHost: localhost\r\n\r\n"

    def status(connection):
        return connection.recv(1 << 16)[9:12]
    streams = [ask(frontend, request) for _ in range(7)]
    assert [status(stream) for stream in streams] == [b"200"] * 5 + [b"503"] * 2
    mine = [Stream(t, frontend) for _ in range(4)]
    for stream in mine[:3]:
        stream.until_live(t)
    # Two against four: the fourth takes none away.
    mine[3].read(5)
    assert " 503 " in mine[3].head[:16], mine[3].head
    assert len(frontend.log_lines("live_stream_displaced")) == 2
    assert frontend.metrics()["tracker_live_displaced_total"] == 2
    assert json.loads(frontend.http("/api/v1/stats")[2])["watchers"] == 6
    # The attacker's oldest ones have ended, the others go on.
    for stream in streams[:2]:
        read_all(stream)
    streams[2].settimeout(0.2)
    try:
        while streams[2].recv(1 << 16):
            pass
        raise AssertionError("ended")
    except TimeoutError:
        pass
    assert not any(stream.ended for stream in mine[:3])


def test_live_streams_of_one_ipv6_network(t):
    """Each is from another /64; the newcomer takes the place of its oldest one, not of who has two."""
    frontend = t.frontend(t.redis(), listen=("web=127.0.0.1:0", "web=127.0.0.1:0,proxy=true"),
                          settings={"web.max_watchers": "6"})

    def open_stream(source):
        connection = socket.create_connection(frontend.address("web", 1), timeout=20)
        t.stack.callback(connection.close)
        connection.sendall(f"PROXY TCP6 {source} 2001:db8::ff 40000 80\r\n".encode() +
                           b"GET /api/v1/live HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert connection.recv(1 << 16)[9:12] == b"200"
        return connection
    attackers = [open_stream(f"2001:db8:1:{number}::1") for number in range(4)]
    other = [open_stream("2001:db8:2::1") for _ in range(2)]
    open_stream("2001:db8:3::1")
    while attackers[0].recv(1 << 16):
        pass
    assert frontend.metrics()["tracker_live_displaced_total"] == 1
    assert json.loads(frontend.http("/api/v1/stats")[2])["watchers"] == 6
    for stream in [*attackers[1:], *other]:
        stream.setblocking(False)
        try:
            while True:
                assert stream.recv(1 << 16), "it goes on"
        except BlockingIOError:
            pass
