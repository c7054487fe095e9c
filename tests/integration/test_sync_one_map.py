"""One map: what Tracker clients open metadata-sync clients see, and the reverse, over two front-ends."""
import base64
import json

from harness import Original2014, Plain, Versioned
from harness.sync import Sync
from harness.turntable import Turntable
from harness.websocket import over_websocket

LISTEN = ("tracker=127.0.0.1:0", "web=127.0.0.1:0", "sync=127.0.0.1:0", "tracker=127.0.0.1:0,original=2014")


def start(t, **settings):
    redis = t.redis()
    return redis, *t.frontends(2, redis, listen=LISTEN, settings={"sync.tick": "50ms", **settings})


def text_of(properties):
    return json.dumps(properties, separators=(",", ":"), sort_keys=True, ensure_ascii=False).encode()


def test_a_sensor_as_a_browser_sees_it(t):
    redis, a, b = start(t)
    sensor = t.connect(a, Versioned)
    id = sensor.open(b"20.5 degrees").decode()
    browsers = [t.connect(node, Sync, kind="sync", delta=delta) for node in (a, b) for delta in (False, True)]
    states = [(b"21 degrees", {"state": "21 degrees"}), (b"", {"state": ""}),
              ("héllo \"there\"\n".encode(), {"state": "héllo \"there\"\n"}),
              (b"\xff\x00\x01", {"state64": base64.b64encode(b"\xff\x00\x01").decode()}),
              (b"nul\x00inside", {"state64": base64.b64encode(b"nul\x00inside").decode()}),
              (b"text again", {"state": "text again"})]
    for browser in browsers:
        browser.wait(lambda: browser.map.get(id) == {"state": "20.5 degrees"})
    for version, (state, expected) in enumerate(states, 1):
        assert sensor.update(sensor.id, version, state)
        for browser in browsers:
            browser.wait(lambda: browser.map[id] == expected)
    assert sensor.close()
    for browser in browsers:
        browser.wait(lambda: id not in browser.map)
        opened = [tick for tick in browser.ticks if id in tick["closed"]]
        assert len(opened) == 1
    t.fsck(redis)


def test_ids_that_are_not_utf8_are_left_out(t):
    _, a, b = start(t)
    sensor = t.connect(a, Versioned)
    browser = t.connect(b, Sync, kind="sync")
    assert sensor.update(b"\xff\xfe", 1, b"binary id") and sensor.update(b"a\x00b", 1, b"nul")
    assert sensor.update("ä\"\n".encode(), 1, b"text")
    browser.wait_map({browser.token: {}, "ä\"\n": {"state": "text"}})
    assert b.metric("tracker_pushes_omitted_total", protocol="sync") == 2


def test_a_browser_as_sensors_see_it(t):
    redis, a, b = start(t)
    pushed = [t.connect(node, Versioned) for node in (a, b)]
    pushed.append(t.connect(b, over_websocket(Versioned), kind="web"))
    asks = [t.connect(a, Plain), t.connect(b, Original2014, index=1)]
    for client in pushed:
        client.open(b"w")
    browser = t.connect(a, Sync, kind="sync")
    id = browser.token.encode()
    for properties in ({}, {"b": 1.5, "a": "ü"}, {"a": None, "c": True}, {"b": {"x": [1, None, {}]}, "d": []}):
        browser.set(**properties)
        browser.barrier()
        browser.wait_map(lambda received: all(received[browser.token].get(name) == value
                                          for name, value in properties.items()))
        expected = text_of(browser.map[browser.token])
        for client in pushed:
            client.wait_for_state(id, expected)
        assert asks[0].get()[id] == expected
        t.wait_until(lambda: asks[1].get()[id] == expected)
    # Longer than a packet of the versioned dialect: left out of pushes, and of the text of the plain one.
    browser.set(long="x" * 300)
    t.wait_until(lambda: b"x" * 300 in asks[1].get()[id])
    t.wait_until(lambda: asks[0].get_text() is None)
    assert a.metric("tracker_pushes_omitted_total", protocol="tracker") > 0
    browser.set(long=None)
    for client in pushed:
        client.wait_for_state(id, expected)
    browser.drop()
    for client in pushed:
        client.wait_for_state(id, None)
    t.wait_until(lambda: id not in asks[1].get())
    t.fsck(redis)


def test_a_player_as_others_see_it(t):
    """turntable: user and status, of each connection."""
    redis, a, b = start(t)
    browsers = [t.connect(node, Sync, kind="sync", delta=delta) for node in (a, b) for delta in (False, True)]
    sensor = t.connect(b, Versioned)
    sensor.open(b"w")
    player = t.connect(a, Turntable, kind="web", user="1:12345")
    players = lambda browser: [one for one in browser.map.values() if "user" in one]
    for status in ("online", "busy", "online"):
        player.say("status", status)
        for browser in browsers:
            browser.wait(lambda: players(browser) == [{"user": "1:12345", "status": status}])
    id, = (id for id, one in browsers[0].map.items() if "user" in one)
    assert len(id) == 7, id
    sensor.wait_for_state(id.encode(), b'{"user":"1:12345","status":"online"}')
    # Packets for it.
    for browser in browsers:
        browser.send(id, {"type": "hello", "hello": 1.50, "more": "x"})
        data = player.wait("packet")
        assert data == {"from": browser.token, "type": "hello", "hello": 1.5, "more": "x"}, data
        assert not browser.errors
    player.leave()
    for browser in browsers:
        browser.wait(lambda: not players(browser))
    sensor.wait_for_state(id.encode(), None)
    t.fsck(redis)


def test_a_large_map_of_both(t):
    """More than goes into one packet: the whole map, and then changes, in chunks."""
    redis, a, b = start(t)
    browsers = [t.connect(node, Sync, kind="sync") for node in (a, b) for _ in range(150)]
    for number, browser in enumerate(browsers):
        browser.set(number=number, text="x" * 100)
    expected = {browser.token.encode(): text_of({"number": number, "text": "x" * 100})
                for number, browser in enumerate(browsers)}
    watchers = [t.connect(node, Versioned) for node in (a, b)]
    for watcher in watchers:
        watcher.open(b"w")
        watcher.wait_for_map(lambda received: expected.items() <= received.items(), 20)
    reader = t.connect(b, Original2014, index=1)
    t.wait_until(lambda: expected.items() <= reader.get().items())


def test_a_trackers_client_cannot_write_a_browsers_entry(t):
    _, a, b = start(t)
    browser = t.connect(a, Sync, kind="sync")
    browser.set(x=1)
    browser.wait_map({browser.token: {"x": 1}})
    for node in (a, b):
        sensor = t.connect(node, Versioned)
        assert not sensor.update(browser.token.encode(), 250, b"mine")
        assert not sensor.close(browser.token.encode())
    browser.set(x=2)
    browser.wait_map({browser.token: {"x": 2}})


def test_what_others_write_into_redis_is_sent_as_far_as_it_is_properties(t):
    """Redis's contents are nobody's promise: what is no property there is left out."""
    redis, a, _ = start(t)
    browser = t.connect(a, Sync, kind="sync")
    key = f"tracker:{{main/1/0}}:client:{browser.token}"
    redis("HSET", key, "p:good", "1", "p:bad", "{\"a\":", "p:list", "[1,{\"x\":2}]",
          "p:two", "[],[]", "p:half", "[\"\\ud800\"]", "p:deep", "[" * 17 + "]" * 17, "p:\xff".encode("latin-1"), "1", "p:nan", "NaN", "p:", "2")
    late = t.connect(t.frontend(redis, listen=LISTEN), Sync, kind="sync")
    assert late.map[browser.token] == {"good": 1, "": 2, "list": [1, {"x": 2}]}, late.map


def test_nested_properties_in_the_api_and_in_trackerctl(t):
    redis, a, b = start(t)
    browser = t.connect(a, Sync, kind="sync")
    values = {"list": [1, None, {"x": []}], "object": {"a": {"b": "}"}}, "empty": [], "text": "[1]"}
    browser.set(**values)
    path = "/api/v1/clients/" + browser.token
    t.wait_until(lambda: json.loads(b.http(path)[2]).get("properties") == values)
    listed = json.loads(b.http("/api/v1/clients?q=" + browser.token[:8])[2])["clients"]
    assert [client["properties"] for client in listed] == [values]
    # What is in Redis: each value's JSON text.
    shown = t.ctl_json(redis, "get", browser.token)["properties"]
    assert {name: json.loads(value) for name, value in shown.items()} == values, shown
    assert shown["object"] == '{"a":{"b":"}"}}', shown
    player = t.connect(b, Turntable, kind="web", user="1:7")
    browser.wait(lambda: any(one.get("user") == "1:7" for one in browser.map.values()))
    connection = next(token for token, one in browser.map.items() if one.get("user") == "1:7")
    browser.say('{"to":"%s","packet":{"type":"x","x":["\\ud800"]}}' % connection)
    assert player.wait("packet") == {"from": browser.token, "type": "x", "x": ["\ud800"]}
