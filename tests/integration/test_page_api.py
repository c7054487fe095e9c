"""The API of web listeners: the map, the front-ends and numbers, as JSON; who may ask."""
import base64
import json
import socket
from urllib.parse import quote

from harness import Original2013, Versioned
from harness.websocket import WebSocket

TOKEN = "0123456789abcdef-token"


def get(frontend, path, headers=None):
    status, _, body = frontend.http(path, headers=headers)
    assert status == 200, (path, status, body)
    return json.loads(body)


def refused(frontend, path, headers=None):
    """Status and reason."""
    status, got, body = frontend.http(path, headers=headers)
    assert got["Content-Type"] == "application/json", got
    return status, json.loads(body)["error"]


def test_clients_of_all_front_ends_with_what_is_known_of_them(t):
    a, b = t.frontends(2, t.redis())
    one = t.connect(a, Versioned).open(b"first")
    two = t.connect(b, Versioned)
    two.open(b"second")
    t.wait_until(lambda: get(a, "/api/v1/clients")["count"] == 2)
    answer = get(a, "/api/v1/clients")
    assert answer["space"] == "main" and "next" not in answer
    ids = [client["id"] for client in answer["clients"]]
    assert ids == sorted(ids)
    client = next(client for client in answer["clients"] if client["id"] == one.decode())
    assert client["state"] == "first" and client["protocol"] == "tracker" and client["version"] == "0"
    assert client["node_name"] == "a" and client["shard"] == 0 and "address" not in client
    assert 0 <= get(a, "/api/v1/stats")["time"] - client["since"] < 60000
    assert {client["node_name"] for client in get(b, "/api/v1/clients")["clients"]} == {"a", "b"}


def test_one_client_by_its_id(t):
    frontend = t.frontend(t.redis())
    one = t.connect(frontend, Versioned).open(b"here")
    client = get(frontend, "/api/v1/clients/" + one.decode())
    assert client["id"] == one.decode() and client["state"] == "here"
    assert refused(frontend, "/api/v1/clients/nobody")[0] == 404
    assert refused(frontend, "/api/v1/clients/" + one.decode() + "?space=nowhere")[0] == 404


def test_ids_and_states_of_any_bytes(t):
    frontend = t.frontend(t.redis())
    client = t.connect(frontend, Original2013)
    binary, state = b"\xff\x00/ %\x80", bytes(range(256))
    client.update(binary, 1, state)
    client.update(b"a/b c?", 1, b"quoted \" \\ \n")
    answer = get(frontend, "/api/v1/clients")["clients"]
    assert [one.get("id") for one in answer] == ["a/b c?", None]
    assert base64.b64decode(answer[1]["id64"]) == binary and "state" not in answer[1]
    assert base64.b64decode(answer[1]["state64"]) == state
    assert answer[0]["state"] == "quoted \" \\ \n"
    assert get(frontend, "/api/v1/clients/" + quote(binary, safe=""))["state64"] == answer[1]["state64"]
    assert get(frontend, "/api/v1/clients/" + quote(b"a/b c?", safe=""))["id"] == "a/b c?"


def test_long_states_are_cut_in_lists_and_whole_by_id(t):
    frontend = t.frontend(t.redis(), settings={"web.max_state": "10"})
    client = t.connect(frontend, Original2013)
    text, binary = "ab€€€€€".encode(), b"\xff" * 100
    client.update(b"text", 1, text)
    client.update(b"binary", 1, binary)
    by_id = {one["id"]: one for one in get(frontend, "/api/v1/clients")["clients"]}
    assert by_id["text"]["state"] == "ab€€" and by_id["text"]["state_bytes"] == len(text)
    assert base64.b64decode(by_id["binary"]["state64"]) == binary[:10] and by_id["binary"]["state_bytes"] == 100
    whole = get(frontend, "/api/v1/clients/text")
    assert whole["state"] == text.decode() and "state_bytes" not in whole


def fill(t, frontend, ids, state=b"x"):
    client = t.connect(frontend, Original2013)
    for one in ids:
        client.update(one, 1, state)
    return client


def test_pages_of_a_list(t):
    frontend = t.frontend(t.redis(), settings={"client.max_ids": "100", "web.max_listed": "7"})
    ids = sorted(b"id %02d\xff" % number for number in range(25))
    fill(t, frontend, ids)
    found, after, pages = [], "", 0
    while True:
        answer = get(frontend, f"/api/v1/clients?limit=10{after}")
        assert answer["count"] == 25
        found += [base64.b64decode(one["id64"]) for one in answer["clients"]]
        pages += 1
        if "next" not in answer:
            break
        assert len(answer["clients"]) == 7
        after = "&after=" + answer["next"]
    assert found == ids and pages == 4
    assert len(get(frontend, "/api/v1/clients?limit=3")["clients"]) == 3
    for limit in ("0", "-1", "x", "", "01", "1e3", "9999999999"):
        assert refused(frontend, f"/api/v1/clients?limit={limit}")[0] == 400, limit
    assert get(frontend, "/api/v1/clients?after=zzz")["clients"] == []


def test_search(t):
    frontend = t.frontend(t.redis(), settings={"client.max_ids": "100"})
    client = fill(t, frontend, [b"one", b"two", b"three"])
    client.update(b"two", 2, b"Needle in the hay")
    assert [one["id"] for one in get(frontend, "/api/v1/clients?q=nEEdle")["clients"]] == ["two"]
    assert [one["id"] for one in get(frontend, "/api/v1/clients?q=THREE")["clients"]] == ["three"]
    assert len(get(frontend, "/api/v1/clients?q=tracker")["clients"]) == 3
    assert get(frontend, "/api/v1/clients?q=127.0.0.1")["clients"] == []
    assert get(frontend, "/api/v1/clients?q=%00")["clients"] == []


def test_search_ignores_case_as_unicode_folds_it(t):
    frontend = t.frontend(t.redis(), settings={"client.max_ids": "100"})
    states = {"street": "Stra\u00dfe", "greek": "\u039f\u03b4\u03cc\u03c2", "umlaut": "\u00dcBER", "cyrillic": "\u041c\u0438\u0440",
              "kelvin": "300 \u212a", "dotless": "\u0131", "bytes": b"\xc3 \xff\xc3\x9c"}
    client = t.connect(frontend, Original2013)
    for name, state in states.items():
        client.update(name.encode(), 1, state.encode() if isinstance(state, str) else state)
    found = {"STRASSE": ["street"], "stra\u1e9ee": ["street"], "\u03bf\u03b4\u03cc\u03c3": ["greek"], "\u039f\u0394\u038c\u03a3": ["greek"],
             "\u00fcber": ["umlaut"], "\u00fc": ["bytes", "umlaut"], "\u043c\u0418\u0440": ["cyrillic"], "300 k": ["kelvin"],
             "\u0131": ["dotless"], "\u00fb": []}
    for text, names in found.items():
        answer = get(frontend, "/api/v1/clients?q=" + quote(text))["clients"]
        assert [one["id"] for one in answer] == names, (text, answer)


def test_a_search_reads_a_bounded_number_of_bytes(t):
    frontend = t.frontend(t.redis(), settings={"client.max_ids": "100", "web.max_searched": "10000"})
    fill(t, frontend, [b"id%02d" % number for number in range(25)], b"x" * 1000)
    answer = get(frontend, "/api/v1/clients?q=nothing-like-it")
    assert answer["clients"] == [] and answer["next"] == "id09", answer
    # A list that searches nothing is not cut.
    assert len(get(frontend, "/api/v1/clients")["clients"]) == 25


def test_a_search_reads_a_bounded_number(t):
    frontend = t.frontend(t.redis(), settings={"client.max_ids": "100", "web.max_scanned": "10"})
    # Ids that no number or front-end's id among the other fields can hold.
    fill(t, frontend, [b"id%02d" % number for number in range(25)])
    answer = get(frontend, "/api/v1/clients?q=id24")
    assert answer["clients"] == [] and answer["next"] == "id09"
    answer = get(frontend, "/api/v1/clients?q=id24&after=id19")
    assert [one["id"] for one in answer["clients"]] == ["id24"] and "next" not in answer


def test_addresses_when_they_are_allowed(t):
    frontend = t.frontend(t.redis(), settings={"web.addresses": "true"})
    client = t.connect(frontend, Versioned)
    client.open(b"x")
    host, port = client.socket.getsockname()
    assert get(frontend, "/api/v1/clients")["clients"][0]["address"] == f"{host}:{port}"
    assert len(get(frontend, f"/api/v1/clients?q={port}")["clients"]) == 1


def test_spaces(t):
    frontend = t.frontend(t.redis(), listen=("tracker=127.0.0.1:0,space=other", "web=127.0.0.1:0"),
                          settings={"map.spaces": "main other", "map.partitions": "5"})
    one = t.connect(frontend, Versioned).open(b"x")
    assert get(frontend, "/api/v1/clients")["count"] == 0
    client = get(frontend, "/api/v1/clients?space=other")["clients"][0]
    assert client["id"] == one.decode()
    assert client["shard"] == get(frontend, f"/api/v1/shard?id={one.decode()}")["shard"]
    for path in ("clients", "stats", "live", "clients/x"):
        status, _, body = frontend.http(f"/api/v1/{path}?space=none")
        assert status == 404 and json.loads(body) == {"error": "no such space", "spaces": ["main", "other"]}
        assert refused(frontend, f"/api/v1/{path}?space=main%00")[0] == 404
        assert refused(frontend, f"/api/v1/{path}?space={'m' * 100}")[0] == 404


def test_nodes(t):
    a, b = t.frontends(2, t.redis())
    t.wait_until(lambda: len(get(a, "/api/v1/nodes")["nodes"]) == 2)
    nodes = {node["name"]: node for node in get(b, "/api/v1/nodes")["nodes"]}
    assert set(nodes) == {"a", "b"} and nodes["a"]["pid"] == a.process.pid
    assert nodes["a"]["listeners"].startswith("tracker=127.0.0.1:")
    b.stop()
    t.wait_until(lambda: [node["name"] for node in get(a, "/api/v1/nodes")["nodes"]] == ["a"], 15)


def test_stats(t):
    frontend = t.frontend(t.redis(), node="numbers")
    client = t.connect(frontend, Versioned)
    client.open(b"x")
    get(frontend, "/api/v1/clients")
    stats = get(frontend, "/api/v1/stats")
    assert stats["name"] == "numbers" and stats["ready"] and stats["redis"]
    assert stats["clients"] == 1 and stats["protocols"] == {"tracker": 1}
    assert stats["connections"] >= 1 and stats["sessions"] == 1 and stats["messages"] == 1
    assert stats["memory"] > 1 << 20 and stats["received_bytes"] > 0 and stats["cpu_us"] > 0


def test_entries_by_protocol(t):
    """Counted in pieces, also for several requests at once; and again when the map has changed."""
    frontend = t.frontend(t.redis(), settings={"client.max_ids": "1000"})
    fill(t, frontend, [b"id%04d" % number for number in range(700)])
    request = b"GET /api/v1/stats HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
    get(frontend, "/api/v1/clients?limit=1")
    for count in (700, 701):
        connections = [socket.create_connection(frontend.address("web")) for _ in range(5)]
        for connection in connections:
            connection.sendall(request)
        for connection in connections:
            with connection, connection.makefile("rb") as file:
                assert json.loads(file.read().split(b"\r\n\r\n")[1])["protocols"] == {"tracker": count}
        t.connect(frontend, Versioned).open(b"x")
        t.wait_until(lambda: get(frontend, "/api/v1/clients?limit=1")["count"] == count + 1)


def test_requests_while_redis_is_unreachable(t):
    """What is known is shown; numbers never wait; what was never known is said so."""
    redis = t.redis()
    a, b = t.frontends(2, redis, settings={"view.linger": "60s"})
    t.connect(a, Versioned).open(b"x")
    assert get(a, "/api/v1/clients")["count"] == 1
    redis.kill()
    t.wait_until(lambda: not get(a, "/api/v1/stats")["ready"], 10)
    stats = get(a, "/api/v1/stats")
    assert not stats["redis"] and stats["why"] and stats["clients"] == 1
    assert get(a, "/api/v1/clients")["count"] == 1
    assert refused(b, "/api/v1/clients") == (503, "the map has not been read yet")
    redis.start()
    t.wait_until(lambda: get(b, "/api/v1/clients")["count"] == 1, 15)


def test_an_asker_who_has_gone(t):
    """Answers to nobody, and at the end of the process, cost nothing but their memory."""
    redis = t.redis()
    frontend = t.frontend(redis)
    redis.freeze()
    for path in ("clients", "nodes", "clients/x", "live"):
        with socket.create_connection(frontend.address("web")) as connection:
            connection.sendall(f"GET /api/v1/{path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
    with socket.create_connection(frontend.address("web")) as connection:
        connection.sendall(b"GET /api/v1/clients HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert frontend.http("/healthz")[0] == 200
        redis.thaw()
    t.wait_until(frontend.ready, 15)
    assert get(frontend, "/api/v1/clients")["count"] == 0


def test_a_token(t):
    frontend = t.frontend(t.redis(), settings={"web.api": "token", "web.page": "token", "web.token": TOKEN})
    paths = ("clients", "clients/x", "nodes", "stats", "live", "shard?id=x")
    for path in paths:
        assert refused(frontend, f"/api/v1/{path}") == (401, "a token is required"), path
        for wrong in (TOKEN[:-1], TOKEN + "x", TOKEN.upper(), "", " "):
            assert refused(frontend, f"/api/v1/{path}", {"Authorization": f"Bearer {wrong}"})[0] == 401, path
    assert frontend.http("/api/v1/stats")[1]["WWW-Authenticate"].startswith("Bearer")
    assert refused(frontend, "/api/v1/stats?token=wrong") == (401, "wrong token")
    assert refused(frontend, "/api/v1/stats", {"Authorization": f"Basic {TOKEN}"})[0] == 401
    assert get(frontend, "/api/v1/stats", {"Authorization": f"Bearer {TOKEN}"})["ready"]
    assert get(frontend, f"/api/v1/stats?token={TOKEN}")["ready"]
    assert frontend.metric("tracker_http_unauthorized_total") > 0
    assert TOKEN not in frontend.log
    # What load balancers and Prometheus ask needs none.
    assert frontend.http("/readyz")[0] == 200 and frontend.http("/metrics")[0] == 200


def test_what_is_off(t):
    frontend = t.frontend(t.redis(), settings={"web.api": "off", "web.page": "off"})
    for path in ("clients", "clients/x", "nodes", "stats", "live", "shard?id=x"):
        assert refused(frontend, f"/api/v1/{path}") == (404, "this is disabled"), path
    assert frontend.http("/healthz")[0] == 200


def test_settings_that_do_not_fit(t):
    for settings, wanted in (({"web.api": "token"}, "web.token is empty"), ({"web.page": "token"}, "web.token is empty"),
                             ({"web.token": "short"}, "16 characters"), ({"web.token": "with spaces in it, long"}, "spaces")):
        arguments = [word for pair in settings.items() for word in ("--set", "=".join(pair))]
        done = t.run("trackerd", "--check", *arguments, check=False)
        assert done.returncode == 2 and wanted in done.stderr, (settings, done)


def test_a_listener_without_admin_has_none_of_it(t):
    frontend = t.frontend(t.redis(), listen=("web=127.0.0.1:0,admin=off",))
    for path in ("/", "/page.js", "/tracker.js", "/metrics", "/api/v1/clients", "/api/v1/live", "/api/v1/stats"):
        assert frontend.http(path)[0] == 404, path
    for path in ("/tracker", "/turntable", "/sync"):
        WebSocket(frontend.address("web"), path).drop()
    assert frontend.http("/healthz")[0] == 200
    assert frontend.http("/readyz")[0] == 200
