"""Metadata sync over two front-ends: tokens, metadata, changes, properties, as the document says."""
import http.client
import json
import re

from harness import Versioned, acl, scaled
from harness.sync import Sync
from harness.websocket import Refused, WebSocket

LISTEN = ("tracker=127.0.0.1:0", "web=127.0.0.1:0", "sync=127.0.0.1:0")


def frontends(t, count=2, redis=None, **options):
    return t.frontends(count, redis or t.redis(), listen=LISTEN, **options)


def join(t, frontend, **options):
    return t.connect(frontend, Sync, kind="sync", **options)


def of(*clients, **properties):
    """The map of these clients, all without properties but the last."""
    return {**{client.token: {} for client in clients[:-1]}, clients[-1].token: properties}


def test_the_first_packet_is_metadata_with_the_own_token(t):
    a, b = frontends(t)
    first = join(t, a)
    assert re.fullmatch("[0-9a-f]{32}", first.token), first.token
    expected = ('{"from":"server","type":"metadata","metadata":{"index":"TOKEN","indexes":["TOKEN"],'
                '"properties":{"TOKEN":{}},"version":"VERSION"}}')
    version = t.run("trackerd", "--version").stdout.split()[1]
    assert first.texts[0].decode() == expected.replace("TOKEN", first.token).replace("VERSION", version)
    second = join(t, b)
    assert second.map == of(first, second), "a newcomer receives all clients"
    assert second.token != first.token


def test_the_documents_example(t):
    """The document's own packets, byte for byte but for the token and the version."""
    a, b = frontends(t)
    alone = join(t, a)
    alone.wait(lambda: alone.ticks, what="the tick that carries it")
    alone.send("server", {"type": "properties", "properties": {"example": "Value of 'example' property\ufe0f",
                                                               "example2": "example!"}})
    alone.wait(lambda: len(alone.ticks) == 2 and alone.metadata == 3)
    changes, metadata = (text.decode() for text in alone.texts[-2:])
    assert changes == ('{"from":"server","type":"changes","changes":{"opened":[],"closed":[],"properties":["%s"]}}'
                       % alone.token)
    assert metadata == ('{"from":"server","type":"metadata","metadata":{"index":"%s","indexes":["%s"],"properties":'
                        '{"%s":{"example":"Value of \'example\' property\ufe0f","example2":"example!"}},"version":"%s"}}'
                        % (alone.token, alone.token, alone.token, alone.version))
    other = join(t, b)
    assert other.map[alone.token] == {"example": "Value of 'example' property\ufe0f", "example2": "example!"}


def test_opened_and_properties_in_one_tick(t):
    """As in the document's changes packet: the token is in both lists."""
    a, b = frontends(t, settings={"sync.tick": "5s"})
    watcher = join(t, a)
    watcher.wait(lambda: watcher.ticks, 15)
    newcomer = join(t, b)
    newcomer.set(example=1)
    received = watcher.wait(lambda: watcher.ticks[1:], 15)[0]
    assert received == {"opened": [newcomer.token], "closed": [], "properties": [newcomer.token]}, received


def test_changes_come_before_metadata_and_only_when_something_changed(t):
    a, b = frontends(t, settings={"sync.tick": "50ms"})
    one, two = join(t, a), join(t, b)
    one.wait_map(of(one, two))
    two.wait_map(of(one, two))
    two.set(n=1)
    one.wait_map(of(one, two, n=1))
    kinds = [json.loads(text)["type"] for text in one.texts]
    assert kinds[0] == "metadata" and kinds[1:] == ["changes", "metadata"] * ((len(kinds) - 1) // 2), kinds
    # A change to what is there already is none; ticks go by.
    two.set(n=1)
    two.barrier()
    before = len(one.texts)
    assert not one.pump(scaled(0.3)), one.texts[before:]
    two.drop()
    received = one.wait(lambda: one.ticks[-1]["closed"] and one.ticks[-1])
    assert received == {"opened": [], "closed": [two.token], "properties": []}
    one.wait_map({one.token: {}})


def test_a_client_that_comes_and_goes_within_a_tick_is_not_sent(t):
    a, b = frontends(t, settings={"sync.tick": "4s"})
    watcher = join(t, a)
    watcher.wait(lambda: watcher.ticks, 15)
    # A tick has just been: the next is far away.
    short = join(t, b)
    short.set(x=1)
    short.barrier()
    short.websocket.close()
    stays = join(t, b)
    received = watcher.wait(lambda: watcher.ticks[1:], 15)
    assert received == [{"opened": [stays.token], "closed": [], "properties": []}], received
    watcher.wait_map(of(watcher, stays))


def test_a_close_is_sent_within_a_second(t):
    a, b = frontends(t)
    one, two = join(t, a), join(t, b)
    one.wait_map(of(one, two))
    two.drop()
    one.wait_map({one.token: {}}, 5)
    t.wait_until(lambda: a.redis("EXISTS", f"tracker:{{main/1/0}}:client:{two.token}") == 0)


def test_properties_are_merged_and_deleted(t):
    redis = t.redis()
    a, b = frontends(t, redis=redis, settings={"sync.tick": "50ms"})
    one, two = join(t, a), join(t, b)
    one.set(text="x", number=1.5, yes=True, no=False, gone="y")
    two.wait_map(of(two, one, text="x", number=1.5, yes=True, no=False, gone="y"))
    one.set(gone=None, text="z", never_there=None, more="")
    two.wait_map(of(two, one, text="z", number=1.5, yes=True, no=False, more=""))
    one.say('{"to":"server","packet":{"type":"properties"}}')
    one.say('{"to":"server","packet":{"type":"properties","properties":{}}}')
    one.barrier()
    assert not one.errors, one.errors
    fields = redis("HGETALL", f"tracker:{{main/1/0}}:client:{one.token}")
    fields = dict(zip(fields[::2], fields[1::2]))
    assert fields[b"p:text"] == b'"z"' and fields[b"p:yes"] == b"true" and b"p:gone" not in fields, fields
    t.fsck(redis)


def test_values_are_sent_as_they_were_written(t):
    a, b = frontends(t, settings={"sync.tick": "50ms"})
    one, two = join(t, a), join(t, b)
    one.say(r'{"to":"server","packet":{"type":"properties","properties":{"a": 1.50 ,"b":9007199254740993,'
            r'"c":"\u00e9\/","d":1E+2,"\u0065":"e","":"empty"}}}')
    two.wait(lambda: two.map.get(one.token))
    text = two.texts[-1].decode()
    assert r'{"":"empty","a":1.50,"b":9007199254740993,"c":"\u00e9\/","d":1E+2,"e":"e"}' in text, text


def test_limits_leave_out_what_has_no_room(t):
    """Each property over a limit is left out and named; the others of its packet are set, and nothing is lost."""
    a, b = frontends(t, settings={"sync.tick": "50ms"})
    full = {f"p{number:02}": number for number in range(25)}
    for properties, what, taken in (({"p00": "changed", "one_more": 1}, ["one_more: more properties"], {"p00": "changed"}),
                                    ({"n" * 65: 1, "p00": "changed"}, ["nnnn", "a name longer"], {"p00": "changed"}),
                                    ({"p00": "x" * 4096, "p01": [1]}, ["p00: more bytes"], {"p01": [1]})):
        one, two = join(t, a), join(t, b)
        one.set(**full)
        two.wait_map(lambda received: received.get(one.token) == full)
        one.set(**properties)
        two.wait_map(lambda received: received.get(one.token) == {**full, **taken})
        code, message = one.wait_error()
        assert code == "limit" and all(word in message for word in what), (code, message)
        # At the limit all is well.
        one.set(p00=None, one_more=1)
        two.wait_map(lambda received: "one_more" in received[one.token] and "p00" not in received[one.token])
        one.set(**{name: None for name in full}, one_more=None)
        one.set(**{"n" * 64: "x" * (4096 - 64 - 2)})
        two.wait_map(lambda received: received[one.token] == {"n" * 64: "x" * 4030})
        assert len(one.errors) == 1, one.errors
        one.drop()


def test_properties_in_the_order_of_their_packet(t):
    """Deletions come first, then the others as far as there is room."""
    a, b = frontends(t, settings={"sync.tick": "50ms"})
    one, two = join(t, a), join(t, b)
    one.set(**{f"p{number:02}": "" for number in range(30)})
    two.wait_map(of(two, one, **{f"p{number:02}": "" for number in range(25)}))
    code, message = one.wait_error()
    assert code == "limit" and all(f"p{number}: more properties" in message for number in range(25, 30)), message
    one.set(**{f"new{number}": number for number in range(4)}, **{f"p{number:02}": None for number in range(3)})
    two.wait_map(of(two, one, **{f"p{number:02}": "" for number in range(3, 25)}, new0=0, new1=1, new2=2))


NESTED = {"arr": [1, "two", None, {"x": 2.5}], "obj": {"a": {"b": []}}, "empty": {}, "text": "}],[{", "deep": None,
          "ключ": {"}": "{", "\"": ["\\", "]"]}}
NESTED["deep"] = json.loads("[" * 16 + "]" * 16)


def test_values_of_any_type_are_sent_to_all(t):
    """In the whole map, in delta mode and after a resume; a change replaces a value, null deletes one."""
    redis = t.redis()
    a, b = frontends(t, redis=redis, settings={"sync.tick": "50ms"})
    one = join(t, a, resume=True)
    others = [join(t, node, delta=delta) for node in (a, b) for delta in (False, True)]
    expected = {}
    for change in (NESTED, {"obj": {"c": [None]}, "arr": None}, {"obj": {"c": [None], "d": 1}}, {"obj": 1, "empty": []}):
        one.set(**change)
        expected = {name: value for name, value in {**expected, **change}.items() if value is not None}
        for other in others:
            other.wait(lambda: other.map.get(one.token) == expected, what="the values")
    one.drop()
    back = join(t, b, resume=one.secret)
    assert back.token == one.token and back.map[back.token] == expected, back.map
    assert not one.errors
    assert join(t, a).map[one.token] == expected, "a newcomer has them"
    t.fsck(redis)


def test_values_are_sent_minified(t):
    a, b = frontends(t, settings={"sync.tick": "50ms"})
    one, two, three = join(t, a), join(t, b), join(t, b, delta=True)
    one.say('{"to":"server","packet":{"type":"properties","properties":{"v":[ 1.50 , "a  b\\"  c",\n{ "x" : 1E+2\t} ]}}}')
    two.wait(lambda: two.map.get(one.token))
    three.wait(lambda: three.map.get(one.token))
    for received in (two.texts[-1].decode(), three.texts[-1].decode()):
        assert r'{"v":[1.50,"a  b\"  c",{"x":1E+2}]}' in received, received
    # Spaces alone are no change.
    ticks = len(three.ticks)
    one.say('{"to":"server","packet":{"type":"properties","properties":{"v":[1.50,"a  b\\"  c",{"x":1E+2}]}}}')
    one.say('{"to":"server","packet":{"type":"properties","properties":{"w":[]}}}')
    three.wait(lambda: "w" in three.map[one.token])
    assert all("v" not in tick["values"][one.token] for tick in three.ticks[ticks:]), three.ticks


def test_one_bad_property_loses_no_other(t):
    """What cannot be taken is named, at once or with what came within a second; nobody is closed for it."""
    a, b = frontends(t, settings={"sync.tick": "50ms", "sync.max_errors": "2"})
    one, two = join(t, a), join(t, b)
    bad = [('"low":"\\udc00"', "low: a lone surrogate"), ('"inside":[{"x":"\\ud800"}]', "inside: a lone surrogate"),
           ('"key":{"\\ud800":1}', "key: a lone surrogate"), ('"na\\ud800me":1', "na\\ud800me\"]: a lone surrogate"),
           ('"deep":%s%s' % ("[" * 17, "]" * 17), "deep: containers nested too deeply"),
           ('"deepest":%s%s' % ("[" * 500, "]" * 500), "deepest: containers nested too deeply"),
           ('"large":"%s"' % ("x" * 5000), "large: more bytes")]
    for number, (member, _) in enumerate(bad):
        one.say('{"to":"server","packet":{"type":"properties","properties":{"a%d":1,%s,"b%d":2}}}'
                % (number, member, number))
    good = {f"{name}{number}": value for number in range(len(bad)) for name, value in (("a", 1), ("b", 2))}
    two.wait_map(of(two, one, **good))
    one.wait(lambda: all(any(what in message for _, message in one.errors) for _, what in bad), what="all names")
    assert len(one.errors) == 2, "the first at once, the others together"
    assert one.errors[0][0] == "bad_property" and one.closed is None, one.errors


def test_the_server_in_an_array(t):
    a, b = frontends(t, settings={"sync.tick": "50ms"})
    one, two = join(t, a), join(t, b)
    one.send(["server"], {"type": "properties", "properties": {"viaArray": "yes"}})
    two.wait_map(of(two, one, viaArray="yes"))
    one.send([None, "server", two.token, None], {"type": "properties", "properties": {"both": [1]}})
    assert two.wait_packet() == {"from": one.token, "type": "properties", "properties": {"both": [1]}}
    two.wait_map(of(two, one, viaArray="yes", both=[1]))
    one.send(["server", "*"], {"type": "chat", "chat": 1})
    assert two.wait_packet(2)["chat"] == 1
    assert one.wait_error()[0] == "bad_type", "the server does not know it"
    one.send([None], {"type": "chat"})
    one.barrier()
    assert len(one.errors) == 1, one.errors


def test_settings_of_the_limits(t):
    redis = t.redis()
    frontend = t.frontend(redis, listen=("sync=127.0.0.1:0,max_properties=2,max_name=3,max_total=20,max_receivers=2",
                                         "web=127.0.0.1:0,sync.max_errors=3"))
    one = join(t, frontend)
    one.set(a=1, b=2)
    for properties in ({"c": 3}, {"long": 1, "a": None}, {"a": "x" * 20}):
        one.set(**properties)
    one.send([one.token, "a", "b"], {})
    one.wait(lambda: all(any(what in message for _, message in one.errors) for what in
                         ("c: more properties", "long: a name longer", "a: more bytes", "more receivers")))
    assert {code for code, _ in one.errors} == {"limit"}, one.errors
    one.wait_map(of(one, b=2))
    strict = t.connect(frontend, Sync, kind="web")
    for _ in range(3):
        strict.say("not JSON")
    assert strict.wait_closed() == (1008, "too many errors")


def test_paths_and_spaces(t):
    redis = t.redis()
    frontend = t.frontend(redis, settings={"map.spaces": "main games", "sync.tick": "50ms"},
                          listen=(*LISTEN, "sync=127.0.0.1:0,space=games", "web=127.0.0.1:0,space=games"))
    main = [join(t, frontend, path=path) for path in ("/", "/sync", "/any/where", "/sync/", "/sync/main")]
    main += [t.connect(frontend, Sync, kind="web", path=path) for path in ("/sync", "/sync/main")]
    main.append(t.connect(frontend, Sync, kind="web", index=1, path="/sync/main"))
    games = [join(t, frontend, path="/sync/games"), join(t, frontend, index=1, path="/"),
             t.connect(frontend, Sync, kind="web", path="/sync/games"),
             t.connect(frontend, Sync, kind="web", index=1)]
    for clients in (main, games):
        for client in clients:
            client.wait_map({other.token: {} for other in clients})
    for kind, path in (("web", "/sync/nowhere"), ("web", "/synk"), ("sync", "/sync/nowhere"), ("web", "/")):
        try:
            WebSocket(frontend.address(kind), path).drop()
            raise AssertionError(f"{kind} {path} was accepted")
        except Refused as refused:
            assert refused.status == 404, (kind, path, refused)
    offered = t.connect(frontend, Sync, kind="sync")
    assert offered.websocket.protocol is None


def test_a_request_without_upgrade_is_answered_with_what_to_do(t):
    frontend = t.frontend(t.redis(), listen=(*LISTEN, "turntable=127.0.0.1:0"))
    for kind in ("sync", "turntable"):
        connection = http.client.HTTPConnection(*frontend.address(kind), timeout=scaled(10))
        connection.request("GET", "/healthz")
        answer = connection.getresponse()
        assert answer.status == 426 and answer.headers["Upgrade"] == "websocket", answer.headers
        assert b"WebSocket" in answer.read()
        connection.close()


def test_many_clients_on_three_frontends_see_the_same(t):
    redis = t.redis()
    nodes = frontends(t, 3, redis)
    clients = [join(t, nodes[index % 3], delta=index % 2 == 1) for index in range(30)]
    for index, client in enumerate(clients):
        client.set(index=index, text="x" * index)
    expected = {client.token: {"index": index, "text": "x" * index} for index, client in enumerate(clients)}
    for client in clients:
        client.wait_map(expected)
    for client in clients[::3]:
        client.drop()
        del expected[client.token]
    for index, client in enumerate(clients):
        if index % 3:
            client.wait_map(expected)
    t.fsck(redis)


def test_a_space_too_large_to_be_sent(t):
    """Newcomers are asked to try later; connected clients are sent the space again when it has shrunk."""
    redis = t.redis()
    a, b = frontends(t, redis=redis, settings={"view.max_entries": "100", "view.linger": "0s", "sync.tick": "50ms"})
    one, two = join(t, a), join(t, b)
    one.wait_map(of(one, two))
    many = [t.connect(a, Versioned) for _ in range(7)]
    for client in many:
        for number in range(15):
            assert client.update(client_id(client, many, number), 1, b"x")
    t.wait_until(lambda: a.metric("tracker_view_entries") > 100 and b.metric("tracker_view_entries") > 100)
    late = join(t, b, enters=False)
    code, reason = late.wait_closed()
    assert code == 1013 and "view.max_entries" in reason, (code, reason)
    # So is the first one of a front-end that has no copy of the map yet.
    c = t.frontend(redis, listen=LISTEN, settings={"view.max_entries": "100"})
    code, reason = join(t, c, enters=False).wait_closed()
    assert code == 1013 and "view.max_entries" in reason, (code, reason)
    two.set(unseen=1)
    for client in many[:3]:
        for number in range(15):
            assert client.close(client_id(client, many, number))
    one.wait_map(lambda received: received.get(two.token) == {"unseen": 1} and len(received) == 2 + 60)
    assert a.log_lines("msg=snapshot_refused") or b.log_lines("msg=snapshot_refused")
    newcomer = join(t, b)
    assert len(newcomer.map) == 63, "and newcomers come in again"


def client_id(client, many, number):
    return b"%d-%d" % (many.index(client), number)


def test_a_kicked_client_receives_the_reason_and_is_gone(t):
    redis = t.redis()
    a, b = frontends(t, redis=redis, settings={"sync.tick": "50ms"})
    one, rude = join(t, a), join(t, b, resume=True)
    one.wait_map(of(one, rude))
    t.ctl(redis, "kick", rude.token)
    assert rude.wait_closed() == (1008, "kicked")
    one.wait_map({one.token: {}}, 3)
    again = join(t, b, resume=rude.secret)
    assert again.token != rude.token, "a kicked client cannot come back to its entry"
    t.fsck(redis)


def test_a_client_that_answers_no_ping_is_reported_as_gone(t):
    redis = t.redis()
    a, b = frontends(t, redis=redis, settings={"ws.ping_interval": "300ms", "ws.timeout": "6s"})
    one, silent = join(t, a), join(t, b, pongs=False)
    one.wait_map(of(one, silent))
    one.wait_map({one.token: {}}, 20)
    assert b.metric("tracker_connections_closed_total", reason="silent") == 1
    one.barrier()


def test_a_reload_applies_to_open_connections(t):
    frontend = t.frontend(t.redis(), listen=LISTEN, config="[sync]\nmax_properties = 3\ntick = 1m\n")
    one = join(t, frontend)
    one.set(a=1, b=2, c=3)
    one.barrier()
    frontend.write_config("[sync]\nmax_properties = 2\ntick = 50ms\n")
    frontend.reload()
    frontend.wait_for_log("setting_changed.*sync.max_properties")
    one.set(d=4)
    assert one.wait_error()[0] == "limit"
    one.set(a=None)
    one.barrier()
    assert len(one.errors) == 1


def test_who_enters_while_the_map_cannot_be_read(t):
    """Entries can be opened, and no events come: who enters is not kept waiting."""
    redis = t.redis()
    user = acl.front_end()
    redis.expect_refusals(f"{user}: subscribe")
    redis("ACL", "SETUSER", user, "-subscribe")
    node = t.frontend(redis, listen=("web=127.0.0.1:0", "sync=127.0.0.1:0"),
                      settings={"redis.deadline": "1s", "view.wait": "500ms"})
    client = t.connect(node, Sync, kind="sync", enters=False)
    code, reason = client.wait_closed(10)
    assert code == 1013 and reason == "the map does not answer", (code, reason)
    redis("ACL", "SETUSER", user, "+subscribe")
    t.wait_until(node.ready, 20, "events come again")
    t.connect(node, Sync, kind="sync").wait_map(lambda received: len(received) == 1)


def test_the_longest_of_each_value(t):
    """What the document allows is taken, and one more is not."""
    client = join(t, *frontends(t, 1))
    number = "1" * 63
    client.say('{"to":"server","packet":{"type":"properties","properties":{"number":%s}}}' % number)
    client.wait(lambda: client.map.get(client.token) == {"number": int(number)})
    for text, code in (('{"to":"server","packet":{"type":"properties","properties":{"number":%s1}}}' % number, "bad_json"),
                       ('{"to":"%s","packet":{"type":"%s"}}' % (client.token, "t" * 65), "limit"),
                       ('{"to":"%s","packet":{"a":%s}}' % (client.token, "[" * 511 + "]" * 511), "limit"),
                       ('{"to":"%s","packet":{"a":[%s]}}' % (client.token, ",".join("1" * 16384)), "limit")):
        errors = len(client.errors)
        client.say(text)
        client.wait_error(errors + 1)
        assert client.errors[-1][0] == code, (text[:100], client.errors[-1])
    for text in ('{"to":"%s","packet":{"type":"%s"}}' % (client.token, "t" * 64),
                 '{"to":"%s","packet":{"a":%s}}' % (client.token, "[" * (512 - 2) + "]" * (512 - 2)),
                 '{"to":"%s","packet":{"a":[%s]}}' % (client.token, ",".join("1" * (16384 - 4)))):
        packets = len(client.packets)
        client.say(text)
        client.wait_packet(packets + 1)
