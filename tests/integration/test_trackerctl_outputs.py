"""What trackerctl prints, byte for byte: scripts cut its tables and read its JSON. Only times, paths and ports are
replaced, and in three tables the gaps beside them."""
import json
import re

from harness.lobby import LISTEN, Game, settings

KEYS = "tracker:{main/1/0}:"
ALIVE, ENDED = "aaaaaaaaaaaa", "bbbbbbbbbbbb"
THREE_HOURS = 12600000  # and a half, in ms: still "3h" when the test is slow


def by_hand(t):
    """A map that no front-end changes."""
    redis = t.redis()
    seconds, _ = redis("TIME")
    now = int(seconds) * 1000
    redis("HSET", "tracker:spaces", "main", 1)
    redis("HSET", KEYS + "head", "epoch", "00000000000000e1", "revision", 10, "P", 1, "entries", 9, "seq", 1)
    redis("ZADD", KEYS + "nodes", now + THREE_HOURS, ALIVE, now - THREE_HOURS, ENDED)
    redis("HSET", "tracker:node:" + ALIVE, "name", "a\u0085", "version", "1.0", "host", "ex ample", "pid", 7,
          "connections", 2, "listeners", "tracker=127.0.0.1:1")
    entry(redis, b"one", b"hello", ALIVE, version=3, address="127.0.0.1:5", since=1700000000000)
    entry(redis, b"\xff\x00id", b"\xfe\xfd", ENDED, version=9223372036854775807)
    entry(redis, b"two", "na\u00efve\n\t\\".encode(), "", version=0, user="1:2", status="busy",
          **{"p:name": "x", "p:bytes": b"\x80"})
    redis("PERSIST", KEYS.encode() + b"client:two")
    redis("ZADD", KEYS + "deadlines", 9999999999999, "c:two")
    redis("HSET", KEYS + "user:1:2", ".status", "busy", ".seq", 3, "two", "busy", "d\x01", "online")
    redis("HSET", KEYS + "room:chess", ".born", 7, ".seq", 41, ".members", 2, "u:1:2", 1, "u:", 1,
          "m:two", f"{ALIVE} 5 1:2", "m:other", "cccccccccccc 0 ")
    redis("ZADD", "tracker:bans", "+inf", "10.0.0.0/8", now + THREE_HOURS, "192.0.2.1/32")
    return redis


def entry(redis, id, state, node, **fields):
    key = KEYS.encode() + b"client:" + id
    words = [word for pair in fields.items() for word in pair]
    redis("HSET", key, "node", node, "session", "0123456789abcdef" * 2, "protocol", "tracker", *words, "state", state)
    redis("PEXPIRE", key, THREE_HOURS)
    if node:
        redis("HSET", KEYS + "node:" + node, id, "")


def both(t, redis, *words, check=True):
    """The table and the JSON of a command."""
    return (t.ctl(redis, *words, check=check).stdout,
            re.sub(r'"(ttl|lease|left)_ms":(-?)\d+', r'"\1_ms":\2N', t.ctl(redis, "--json", *words, check=check).stdout))


def narrow(text):
    return re.sub(" {2,}", "  ", text)


OUTPUTS = (
    ("nodes", r"""
NAME          NODE          LEASE         ENTRIES  CONNECTIONS  VERSION  HOST      WORKER  PID  LISTEN
a\xc2\x85     aaaaaaaaaaaa  3h            1        2            1.0      ex ample  -       7    tracker=127.0.0.1:1
bbbbbbbbbbbb  bbbbbbbbbbbb  ended 3h ago  1        -            -        -         -       -    -
""",
     r'{"nodes":[{"node":"aaaaaaaaaaaa","name":"a\u0085","alive":true,"lease_ms":N,"entries":1,"info":{"name":"a\u0085",'
     r'"version":"1.0","host":"ex ample","pid":"7","connections":"2","listeners":"tracker=127.0.0.1:1"}},'
     r'{"node":"bbbbbbbbbbbb","name":"bbbbbbbbbbbb","alive":false,"lease_ms":-N,"entries":1,"info":{}}]}'),
    ("clients", r"""
ID          VERSION              PROTOCOL  NODE          ADDRESS      USER  STATUS  TTL   STATE
one         3                    tracker   a\xc2\x85     127.0.0.1:5  -     -       3h    hello
two         0                    tracker   -             -            1:2   busy    none  naïve\n\t\\
\xff\x00id  9223372036854775807  tracker   bbbbbbbbbbbb  -            -     -       3h    \xfe\xfd
""",
     r'{"space":"main","partitions":1,"clients":[{"id":"one","partition":0,"ttl_ms":N,"node":"aaaaaaaaaaaa","protocol":"tracker",'
     r'"version":3,"address":"127.0.0.1:5","since":1700000000000,"state":"hello"},{"id":"two","partition":0,"node":"",'
     r'"protocol":"tracker","version":0,"user":"1:2","status":"busy","state":"naïve\n\t\\","properties":{"name":"x",'
     r'"bytes64":"gA=="}},{"id64":"/wBpZA==","partition":0,"ttl_ms":N,"node":"bbbbbbbbbbbb","protocol":"tracker",'
     r'"version":9223372036854775807,"state64":"/v0="}]}'),
    ("get two", r"""
id           two
partition    0
node         -
protocol     tracker
version      0
user         1:2
status       busy
p:name       x
p:bytes      \x80
state        naïve\n\t\\
closes in    Nh
""",
     r'{"id":"two","partition":0,"deadline":9999999999999,"node":"","protocol":"tracker","version":0,"user":"1:2",'
     r'"status":"busy","state":"naïve\n\t\\","properties":{"name":"x","bytes64":"gA=="}}'),
    ("presence 1:2 one no", r"""
USER  STATUS   DEVICES
1:2   busy     two=busy d\x01=online
one   online   -
no    offline  -
""",
     r'{"space":"main","users":[{"user":"1:2","partition":0,"status":"busy","devices":[{"id":"two","status":"busy"},'
     r'{"id":"d\u0001","status":"online"}]},{"user":"one","partition":0,"status":"online","devices":[]},'
     r'{"user":"no","partition":0,"status":"offline","devices":[]}]}'),
    ("rooms", r"""
ROOM   MEMBERS  MESSAGES
chess  2        41
""",
     r'{"space":"main","rooms":[{"room":"chess","partition":0,"members":2,"seq":41}]}'),
    ("room chess", r"""
USER  ID     NODE          SAID
-     other  cccccccccccc  0
1:2   two    a\xc2\x85     5
""",
     r'{"room":"chess","space":"main","partition":0,"born":7,"seq":41,"members":[{"user":"","id":"other",'
     r'"node":"cccccccccccc","said":0},{"user":"1:2","id":"two","node":"aaaaaaaaaaaa","said":5}]}'),
    ("bans", r"""
PREFIX        LEFT
192.0.2.1/32  3h
10.0.0.0/8    -
""",
     r'[{"prefix":"192.0.2.1/32","left_ms":N},{"prefix":"10.0.0.0/8"}]'),
)


def test_tables_and_json(t):
    redis = by_hand(t)
    for command, table, document in OUTPUTS:
        texts = both(t, redis, *command.split())
        assert re.sub(r"(?m)^(closes in +)\d+h$", r"\1Nh", "\n" + texts[0]) == table, (command, texts[0])
        assert texts[1] == document + "\n", (command, texts[1])


FINDINGS = (
    (r"abandoned        0          \xff\x00id  bbbbbbbbbbbb  -         ...",
     '{"rule":"abandoned","partition":0,"id64":"/wBpZA==","node":"bbbbbbbbbbbb","repaired":false}'),
    ("count            0          -           -             -         ...: 9, not 3",
     '{"rule":"count","partition":0,"stored":9,"right":3,"repaired":false}'),
    ("device           0          1:2         -             -         ...",
     '{"rule":"device","partition":0,"id":"1:2","repaired":false}'),
    ("device           0          1:2         -             -         ...",
     '{"rule":"device","partition":0,"id":"1:2","repaired":false}'),
    ("member           0          chess       -             -         ...",
     '{"rule":"member","partition":0,"id":"chess","repaired":false}'),
    ("member-unlisted  0          chess       aaaaaaaaaaaa  -         ...",
     '{"rule":"member-unlisted","partition":0,"id":"chess","node":"aaaaaaaaaaaa","repaired":false}'),
    ("room-count       0          chess       -             -         ...",
     '{"rule":"room-count","partition":0,"id":"chess","repaired":false}'),
    ("ttl              0          two         -             -         ...",
     '{"rule":"ttl","partition":0,"id":"two","repaired":false}'),
)


def test_findings(t):
    """In any order, as Redis scans; without what the rules say in words."""
    table, document = both(t, by_hand(t), "fsck", check=False)
    counts, headings, *rows, found = re.sub("( -         )[a-z].*?(: 9, not 3)?\n", r"\1...\2\n", table).splitlines()
    assert counts == "space main: 3 entries, 2 listed by front-ends, 1 with a deadline, 1 users, 1 rooms, 1 partition"
    assert headings == "RULE             PARTITION  ID          NODE          REPAIRED  WHAT"
    assert sorted(rows) == [row for row, _ in FINDINGS], table
    assert found == "8 found, 0 repaired"
    findings = r'\{"rule"[^}]*\}'
    assert sorted(re.findall(findings, document)) == sorted(finding for _, finding in FINDINGS), document
    assert re.sub(findings, "F", document) == (
        '{"spaces":[{"space":"main","partitions":1,"entries":3,"listed":2,"deadlines":1,"users":1,"rooms":1,"suspects":5,'
        '"unattended":0,"holding":0,"findings":[F,F,F,F,F,F,F,F]}],"found":8,"repaired":0}\n'), document


def test_round_trips(t):
    redis = by_hand(t)
    where = "unix:" + redis.socket
    table, document = both(t, redis, "ping", check=False)
    assert re.sub(r"\d+\.\d\d ms", "N ms", "\n" + narrow(table)).replace(where, "REDIS") == r"""
WHAT  NAME  RESULT  ROUND TRIP
redis  REDIS  ok  N ms
front-end  a\xc2\x85  not there  -
front-end  bbbbbbbbbbbb  not there  -
""", table
    assert re.sub(r'"ms":\d+\.\d{3}', '"ms":N', document) == (
        '{"redis":{"where":"' + where + r'","ms":N},"nodes":[{"node":"aaaaaaaaaaaa","name":"a\u0085","result":"not there"},'
        '{"node":"bbbbbbbbbbbb","name":"bbbbbbbbbbbb","result":"not there"}]}\n'), document


def test_settings_in_force(t):
    redis = by_hand(t)
    redis.answer_requests(ALIVE, b'ok {"a.b":{"value":"x\\ny","source":"flag","default":"","reloadable":true},'
                                 b'"c":{"value":"5s","source":"default","default":"5s","reloadable":false,"newer":"z"}}')
    table, document = both(t, redis, "config", ALIVE)
    assert table == """\
front-end a\\xc2\\x85 (aaaaaaaaaaaa)
SETTING  VALUE  SOURCE   DEFAULT  RELOADABLE
a.b      x\\ny   flag     -        true
c        5s     default  5s       false
""", table
    assert document == (
        r'{"nodes":[{"node":"aaaaaaaaaaaa","name":"a\u0085","config":{'
        r'"a.b":{"value":"x\ny","source":"flag","default":"","reloadable":true},'
        '"c":{"value":"5s","source":"default","default":"5s","reloadable":false,"newer":"z"}}}]}\n'), document


def test_shared_settings(t):
    redis = t.redis()
    t.frontend(redis)
    table, document = both(t, redis, "shared")
    lines = narrow(table).splitlines()
    assert lines[0] == "SETTING  VALUE  USE" and lines[-1] == "map.partitions of main  1  fixed", table
    assert "client.ttl  30s  adopted" in lines, table
    assert re.match(r'\{"revision":\d+,"settings":\{"', document), document
    assert '"client.ttl":{"value":"30s","adopted":true}' in document, document
    assert document.endswith('}},"partitions":{"main":"1"}}\n'), document


def test_game_servers(t):
    frontend = t.frontend(t.redis(), listen=LISTEN, settings=settings(verify="off"))
    game = t.connect(frontend, Game, kind="lobby-servers")
    game.be_listed(description="a \\ b", version="1.0", speed="fast", extra="é \"x\"", players=4, max_players=8)
    command = ["trackerctl", "servers", "--ping", "tcp", "--connect", "%s:%d" % frontend.address("lobby-clients")]
    table = t.run(*command, "--plain").stdout.replace(game.id, "ID")
    document = t.run(*command, "--json").stdout
    [server] = json.loads(document)
    document = document.replace(game.id, "ID").replace(f'"port":{server["port"]}', '"port":N')
    document = re.sub(r'"since":\d+', '"since":N', document)
    assert "\n" + narrow(table) == r"""
PING  PLAYERS  SPEED  SIZE  ERASE  DESCRIPTION  GAME  MAP  VERSION  ADDRESS
-  4/8  fast  big  yes  a \\ b  -  -  1.0  ID
""", table
    assert document == (
        r'[{"id":"ID","ip":"127.0.0.1","port":N,"state":"live","since":N,"infos":{"speed":"fast","size":"big","erase":true,'
        r'"description":"a \\ b","version":"1.0","players":4,"extra":"\u00e9 \"x\"","max_players":8}}]' + "\n"), document
