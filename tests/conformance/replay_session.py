"""The session that replay plays: every protocol, over two front-ends in lockstep (replay_steps.py). Each part is a
function; what one of the builds does not have is played in none.
"""
import json
import struct

from replay_steps import GETINFO, GRACE, Datagrams, WebSocketPeer

from harness.lobby import INFOS, PASSWORD
from harness.q3master import infostring
from harness.tracker import packets
from harness.websocket import BINARY, PING, frame

UNKNOWN = b"nobody"


# Tracker.

def tracker(s):
    versioned, plain, original = packets.versioned, packets.plain, packets.original
    watcher = s.tcp("tracker: watcher on a", s.a)
    watcher.send(versioned.open(b"w"))
    other = s.tcp("tracker: watcher on b", s.b)
    other.send(versioned.open(b"\0\xff"))
    v = s.tcp("tracker: versioned", s.a)
    reply = v.send(versioned.open(b"theState1"))
    mine = reply[1:8]
    v.send(versioned.update(mine, 2, b"theState2"))
    v.send(versioned.update(mine, 2, b"theState2"))
    v.send(versioned.update(mine, 1, b"older"))
    v.send(versioned.update(b"someId1", 1, b"by name"))
    v.send(versioned.update(b"an id of \xff bytes", 7, b"\0" * 100))
    v.send(versioned.open(b"l" * 254))
    v.send(versioned.open(b""))
    v.send(versioned.close(UNKNOWN))
    v.send(versioned.close(b"someId1"))
    v.send(versioned.update(mine, 3, b"one") + versioned.update(mine, 4, b"two") + versioned.open(b"three"))
    for byte in versioned.update(mine, 5, b"byte by byte")[:-1]:
        v.post(bytes([byte]))
    v.send(b"e")
    thief = s.tcp("tracker: thief", s.b)
    thief.post(versioned.update(mine, 9, b"not mine"))
    s.renew()
    thief.post(versioned.close(mine))
    s.renew()
    v.drop()
    thief.send(versioned.update(mine, 10, b"adopted"))
    p = s.tcp("tracker: plain", s.a)
    p.send(plain.open(b"abc"))
    p.post(plain.update(b"def"))
    p.post(plain.update_without_outer(b"ghi"))
    p.send(plain.get)
    p.send(plain.close)
    o = s.tcp("tracker: 2013", s.a)
    id_2013 = o.send(original.open(b"s" * 300))
    o.send(original.update(id_2013, 5, b"newer"))
    o.send(original.update(id_2013, 5 << 32, b"a large version"))
    o.send(original.get)
    o.send(original.close(id_2013))
    f = s.tcp("tracker: 2014", s.b, index=1)
    f.send(original.open(b"2014"))
    f.post(original.update_2014(b"2014 changed"))
    f.send(original.get)
    f.send(original.close_2014)
    if "tracker.form" in s.known:
        wide = s.tcp("tracker: wide", s.a, index=2)
        wide.send(packets.wide.open(b"wide"))
        wide.post(packets.wide.update(b"wider"))
        wide.send(packets.wide.get)
        wide.send(packets.wide.close)
    for name, data in (("a first byte", b"\x00"), ("a type", b"\x2a\x01\x07"), ("a length", b"\x2a\x01\x02\x01\x01"),
                       ("a negative length", b"\x42\x01\x00" + struct.pack(">q", -1))):
        s.tcp(f"tracker: with {name} that is wrong", s.a).send(data)
    s.keep("before the orphans end")
    s.later(GRACE + 2)
    watcher.drop()
    s.later(GRACE + 2)


def tracker_over_websocket(s):
    client = WebSocketPeer(s, "tracker over WebSocket", s.a, "/tracker", ("tracker",))
    client.say(packets.versioned.open(b"over WebSocket"), opcode=BINARY)
    client.say(packets.versioned.update(b"ws-id", 1, b"x" * 200), opcode=BINARY)
    client.say(b"are you there", opcode=PING)
    client.say(packets.versioned.close(b"ws-id"), opcode=BINARY)
    client.close()
    old = WebSocketPeer(s, "tracker 2013 over WebSocket", s.b, "/tracker", ("tracker",))
    old.say(packets.original.open(b"old"), opcode=BINARY)
    text = WebSocketPeer(s, "tracker over WebSocket, text", s.a, "/tracker", ("tracker",))
    text.say(b"text")
    bare = WebSocketPeer(s, "tracker over WebSocket, unmasked", s.a, "/tracker", ("tracker",))
    bare.send(frame(BINARY, b"\x2a", masked=False))
    for name, path, protocols in (("path", "/nowhere", ()), ("subprotocol", "/tracker", ("nonsense",))):
        WebSocketPeer(s, f"WebSocket with an unknown {name}", s.a, path, protocols)


# turntable.

def turntable(s):
    one = WebSocketPeer(s, "turntable: 1:1 on a", s.a, "/turntable", ("turntable",))
    two = WebSocketPeer(s, "turntable: 1:2 on b", s.b, "/", ("turntable",))
    own = WebSocketPeer(s, "turntable: on its own listener", s.a, "/", (), kind="turntable")
    one.turntable("subscribe", ["1:1", "1:2", "1:3", "someone"])
    one.turntable("joingame", {"channel": "early"})
    one.turntable("idme", "1:1")
    one.turntable("idme", "1:1")
    two.turntable("idme", "1:2", answers=False)
    s.advance(100)
    two.turntable("subscribe", ["1:1"])
    one.turntable("status", "busy", answers=False)
    s.advance(100)
    one.turntable("status", "online", answers=False)
    s.advance(100)
    one.turntable("status", "away")
    one.turntable("joingame", {"channel": "arena", "self": "1:1", "invite": ["1:2", "1:4", "1:5"]})
    two.turntable("joingame", {"channel": "arena", "self": "1:2"})
    own.turntable("joingame", {"channel": "arena", "self": "1:3"})
    s.advance(100)
    for action in ({"data": {"strike": "1:2"}}, {"data": 1.50, "from": "1:1", "more": [None, "\u00e9"]},
                   {"data": {}, "from": "1:2"}, {"data": {"x": "1:"}}, {"data": {"x": "007:a b"}}, {}):
        one.turntable("game", {"channel": "arena", "actions": [action]})
    one.say(b'{"data":{"channel":"arena", "actions":[ {"data":1.500, "timestamp":1} ]},"command":"game"}')
    two.turntable("game", {"channel": "nowhere", "actions": [{"data": 1}]})
    two.turntable("invite", {"channel": "arena", "user": "1:5", "from": "1:2"}, answers=False)
    two.turntable("invite", {"channel": "arena", "user": "1:1", "from": "1:2"}, answers=False)
    two.turntable("invite", {"channel": "arena", "user": "1:1", "from": "1:9"})
    for data in ({"channel": "arena"}, {"channel": "nowhere"}, {}):
        one.turntable("whothere", data)
    s.keep("with a room")
    for text in (b"{", b"[]", b'{"command":"nonsense"}', b'{"command":"idme"}', b'{"command":"joingame","data":{"channel":""}}',
                 b'{"command":"subscribe","data":[""]}', b'{"command":"subscribe","data":{"a":1}}', b'{"command":1}',
                 b'{"command":"subscribe","data":[1.5]}', b'{"a":1,"a":2}', b"[" * 30,
                 b'{"command":"joingame","data":{"channel":"arena","self":"1:9"}}'):
        one.say(text)
    one.say(b"binary", opcode=BINARY)
    one.turntable("unsubscribe", ["1:2"], answers=False)
    second = WebSocketPeer(s, "turntable: 1:1 again, on b", s.b, "/turntable", ("turntable",))
    second.turntable("idme", "1:1", answers=False)
    second.turntable("joingame", {"channel": "arena", "self": "1:1"})
    one.turntable("leavegame", {"channel": "arena"}, answers=False)
    one.turntable("leavegame", {"channel": "arena"}, answers=False)
    own.say(b"\xff")
    s.advance(100)
    invited = WebSocketPeer(s, "turntable: 1:5, who was invited", s.a, "/turntable", ("turntable",))
    invited.turntable("idme", "1:5")
    late = WebSocketPeer(s, "turntable: 1:4, who was invited", s.a, "/turntable", ("turntable",))
    late.turntable("idme", "1:4")
    second.drop()
    s.later(3)
    two.close()
    s.later(3)


# Metadata sync.

def token_of(received):
    data = json.loads(received[received.index(b'{"from"'):].split(b'"indexes"')[0].rstrip(b",") + b"}}")
    return data["metadata"]


def sync(s):
    one = WebSocketPeer(s, "sync: on a", s.a, "/sync")
    two = WebSocketPeer(s, "sync: on b", s.b, "/", kind="sync")
    delta = WebSocketPeer(s, "sync: delta, on b", s.b, "/sync?mode=delta")
    resumes = WebSocketPeer(s, "sync: resume, on a", s.a, "/sync?resume")
    s.advance(500)
    one.sync("server", {"type": "properties", "properties": {"place": "here", "n": [1.50, {"a": None}], "x": "\u00e9"}})
    s.advance(500)
    s.keep("with properties")
    one.sync("server", {"type": "properties", "properties": {"place": None, "n": 2}})
    resumes.sync("server", {"type": "properties", "properties": {"kept": True}})
    s.advance(500)
    token = {peer: token_of(peer.transcript.received())["index"] for peer in (one, two, resumes)}
    secret = token_of(resumes.transcript.received())["resume"]
    one.sync(token[two], {"type": "chat", "chat": {"text": "hi"}, "urgent": True, "from": "me"})
    two.sync([token[one], "server", None, token[one]], {"a": 1})
    two.sync("*", {"type": "all", "all": [1, 2]}, answers=True)
    two.sync("server", {"type": "ping"})
    two.sync("nobody", {"type": "lost"}, answers=True)
    two.sync("0123456789abcdef0123456789abcdef", {"type": "lost"}, answers=True)
    for text in (b"{", b"[]", b"{}", b'{"to":1,"packet":{}}', b'{"to":"","packet":{}}', b'{"to":"*"}', b'{"to":"*","packet":1}',
                 b'{"to":"*","packet":{"type":"metadata"}}', b'{"to":"server","packet":{"type":"nonsense"}}',
                 b'{"to":"server","packet":{"type":"properties","properties":[]}}', b'{"to":"*","to":"*","packet":{}}',
                 b'{"to":"server","packet":{"type":"properties","properties":{"a":"\\ud800","deep":' + b"[" * 20 + b"]" * 20
                 + b',"' + b"n" * 70 + b'":1,"fine":1}}}'):
        one.say(text)
    one.say(b"binary", opcode=BINARY)
    s.advance(500)
    resumes.drop()
    s.advance(500)
    again = WebSocketPeer(s, "sync: resumed, on b", s.b, f"/sync?resume={secret}")
    s.advance(500)
    last = WebSocketPeer(s, "sync: resumed elsewhere, on a", s.a, f"/sync?resume={secret}")
    s.advance(500)
    again.drop()
    last.drop()
    WebSocketPeer(s, "sync: with a wrong secret", s.a, "/sync?resume=" + "0" * 64)
    two.close()
    s.later(3)
    delta.close()


def across_protocols(s):
    """One map: what each protocol shows of the others' entries."""
    user = WebSocketPeer(s, "one map: turntable", s.a, "/turntable", ("turntable",))
    user.turntable("idme", "7:7", answers=False)
    watcher = s.tcp("one map: tracker", s.b)
    watcher.send(packets.versioned.open(b"plain text"))
    meta = WebSocketPeer(s, "one map: sync", s.b, "/sync")
    meta.sync("server", {"type": "properties", "properties": {"colour": "red"}})
    s.advance(500)
    meta.sync("*", {"type": "hello", "hello": 1}, answers=True)
    user.turntable("subscribe", [token_of(meta.transcript.received())["index"]])
    user.turntable("whothere", {})
    plain = s.tcp("one map: plain", s.a)
    plain.send(packets.plain.get)
    s.keep("one map")
    taken = s.tcp("one map: an id that is taken", s.a)
    taken.send(packets.versioned.update(b"7:7", 1, b"x"))
    for peer in (user, watcher, meta, plain):
        peer.drop()
    s.later(GRACE + 2)


# Game servers.

def line(**message):
    return json.dumps(message).encode() + b"\n"


def lobby(s):
    games = s.sockets[:4]
    ports = [game.getsockname()[1] for game in games]
    udp = [Datagrams(s, f"lobby: a game's UDP port, {number + 1}", s.a, game) for number, game in enumerate(games)]
    player = s.tcp("lobby: player on b", s.b, "lobby-clients")
    player.send(line(type="login"))
    server = s.tcp("lobby: server on a", s.a, "lobby-servers")
    server.send(line(type="infos", **INFOS))
    server.send(line(type="login", passwd=PASSWORD, port=ports[0]))
    s.collect()
    number = int(udp[0].transcript.received().split()[2])
    s.names.learn("number", b"%d" % number)
    server.post(line(type="infos", **INFOS))
    server.send(line(type="verify", number=1))
    server.post(line(type="verify", number=number))
    server.post(line(type="infos", **{**INFOS, "players": 4, "map": "arena", "flag": True, "size": None}))
    for text in (b"{\n", b"[]\n", b'{"type":"nonsense"}\n', line(type="infos", players=-1), line(type="login", passwd="x", port=1),
                 line(type="pong", n=5), line(type="infos", port=1), b"\n\r\n{}\n"):
        server.send(text)
    player.send(line(type="infos", **INFOS))
    s.keep("with a server")
    s.later(10)
    s.later(10)
    server.post(line(type="pong", n=1))
    late = s.tcp("lobby: player on a", s.a, "lobby")
    late.send(line(type="login"))
    wrong = s.tcp("lobby: server with a wrong password", s.a, "lobby-servers")
    wrong.send(line(type="login", passwd="wrong", port=ports[1]))
    old = s.tcp("lobby: the original's server", s.b, "lobby")
    old.post(struct.pack(">HHH9s", 0, 0, 0, PASSWORD.encode()) + bytes(61))
    record = struct.pack(">HHHHH32s9s4sHH", 1, 0, 2, 2, 1, b"An original \xe9", b"0.70", b"\x09" * 4, ports[2], 3) + bytes(17)
    old.post(record[:40])
    old.post(record[40:])
    original = s.tcp("lobby: the original's client", s.a, "lobby")
    original.send(struct.pack(">HHH", 0, 0, 1) + bytes(70))
    server.drop()
    s.keep("with the original's server")
    old.drop()
    s.later(GRACE + 2)
    s.later(GRACE + 2)
    s.tcp("lobby: with a wrong first byte", s.a, "lobby").send(b"x")


def answer(game, challenge, to=None, **info):
    pairs = [(b"challenge", challenge)] + [(key.encode(), value.encode()) for key, value in info.items()]
    game.send(b"infoResponse\n" + infostring(pairs), answers=False)


def q3master(s):
    info = {"gamename": "Xonotic", "protocol": "3", "clients": "2", "sv_maxclients": "8", "hostname": "^1a server", "mapname": "dance"}
    games = [Datagrams(s, f"master: game {number + 1}", s.a, one) for number, one in enumerate(s.sockets[4:7])]
    for number, game in enumerate(games):
        asked = game.send(b"heartbeat DarkPlaces\n")
        answer(game, asked[len(GETINFO):].strip(b"\n\0"), **{**info, "clients": ("2", "0", "8")[number]})
    games[0].send(b"infoResponse\n" + infostring([(b"challenge", b"wrong"), *((k.encode(), v.encode()) for k, v in info.items())]),
                  answers=False)
    s.advance(1000)
    player = Datagrams(s, "master: player", s.b, s.sockets[7])
    s.keep("with the master's servers")
    for question in ("getservers Xonotic 3", "getservers Xonotic 3 empty full", "getservers Xonotic 3 empty full gametype=1",
                     "getserversExt Xonotic 3 empty full ipv4 ipv6", "getserversExt Xonotic 3 ipv6", "getservers 3 empty",
                     "getservers Xonotic 4 empty"):
        player.send(question.encode(), answers=False)
    games[1].send(b"heartbeat DarkPlaces\n")
    games[2].send(b"nonsense", answers=False)
    s.later(1)


# HTTP.

def get(path, *headers, method="GET"):
    return "\n".join([f"{method} {path} HTTP/1.1", "Host: localhost", *headers, "", ""])


def api(s):
    v = s.tcp("api: a Tracker client", s.a)
    v.send(packets.versioned.update(b"tracked", 3, b"state"))
    v.send(packets.versioned.update(b"\xff\xfe", 1, b"\0binary"))
    v.send(packets.versioned.update(b"third", 1, b"STRASSE"))
    meta = WebSocketPeer(s, "api: a sync client", s.b, "/sync?mode=delta")
    meta.sync("server", {"type": "properties", "properties": {"a": 1.50}})
    s.advance(500)
    live = s.http("api: live", s.a, get("/api/v1/live"))
    live_servers = s.http("api: live servers", s.b, get("/api/v1/live?servers=1"))
    s.advance(10)
    s.advance(1000)
    v.send(packets.versioned.update(b"tracked", 4, b"changed"))
    v.send(packets.versioned.close(b"third"))
    s.advance(1000)
    live.drop()
    live_servers.drop()
    for path in ("clients", "clients?limit=1", "clients?limit=1&after=tracked", "clients?q=stra%C3%9Fe", "clients?q=nothing", "clients?limit=x",
                 "clients?space=nowhere", "clients?consistent=1", "clients/tracked", "clients/nobody", "servers", "servers?game=Xonotic&empty=false",
                 "servers?full=only", "servers?empty=nonsense", "nodes", "shard?id=tracked", "shard", "nothing", "clients/%zz"):
        for method in ("GET",) if path != "clients" else ("GET", "HEAD", "POST", "OPTIONS"):
            s.http(f"api: {method} {path}", s.a, get("/api/v1/" + path, method=method)).drop()
    kept = s.http("api: a connection that is kept", s.b, get("/healthz"))
    kept.send(get("/api/v1/shard?id=a").replace("\n", "\r\n").encode())
    kept.send(get("/api/v1/shard?id=b", "Connection: close").replace("\n", "\r\n").encode())
    s.http("api: not HTTP", s.a, "nonsense\n\n")
    s.http("api: HTTP without a host", s.a, "GET /healthz HTTP/1.1\n\n")


PARTS = (tracker, tracker_over_websocket, turntable, sync, across_protocols, lobby, q3master, api)
