"""The page in headless Chromium."""
import json
import sys
import unicodedata

from harness import Original2013, Versioned, packets
from harness.node import run_script

TIMEOUT = 180
LIMITS = {"client.max_ids": "10000", "tracker.rate": "0", "budget.rate": "0", "budget.address_rate": "0", "access.connect_rate": "0"}


def web(frontend):
    host, port = frontend.address("web")
    return f"http://{host}:{port}"


def browse(t, check, *frontends, actions=None):
    run_script(t, "page.mjs", check, *map(web, frontends), actions=actions, timeout=TIMEOUT - 30)


def write(client, messages):
    """All at once, then all replies."""
    client.send(b"".join(messages))
    assert client.take(len(messages)) == b"\x01" * len(messages)


def update(id, version, state):
    return packets.original.update(id, version, state)


def test_nobody_is_here(t):
    browse(t, "the empty map", t.frontend(t.redis()))


def test_who_is_here_and_what_changes(t):
    a, b = t.frontends(2, t.redis())
    client = t.connect(b, Original2013)
    for name, state in ((b"gate", b"closed"), (b"roof", b"7.9"), (b"sensor", b"21.4")):
        client.update(name, 1, state)
    browse(t, "clients and their changes", a, actions={
        "update gate": lambda: client.update(b"gate", 2, b"now open") and None,
        "close roof": lambda: client.close(b"roof") and None,
        "open attic": lambda: client.update(b"attic", 1, b"") and None,
        "close attic": lambda: client.close(b"attic") and None})


def ten_thousand(t):
    frontend = t.frontend(t.redis(), settings=LIMITS)
    client = t.connect(frontend, Original2013)
    write(client, [update(b"id%05d" % number, 1, b"state %d of many" % number) for number in range(10000)])
    return frontend, client


def test_ten_thousand(t):
    browse(t, "ten thousand clients", ten_thousand(t)[0])


def test_ten_thousand_that_change(t):
    frontend, client = ten_thousand(t)

    def storm():
        for version in range(2, 5):
            for first in range(0, 10000, 500):
                write(client, [update(b"id%05d" % number, version, b"stormy %d" % number)
                               for number in range(first, first + 500)])
    browse(t, "ten thousand clients that change", frontend, actions={"storm": storm})


def test_case_does_not_matter(t):
    frontend = t.frontend(t.redis())
    client = t.connect(frontend, Original2013)
    for name, state in (("street", "Stra\u00dfe"), ("greek", "\u039f\u03b4\u03cc\u03c2"), ("kelvin", "Kelvin")):
        client.update(name.encode(), 1, state.encode())

    def folds():
        known = (chr(code) for code in range(sys.maxunicode + 1))
        return json.dumps([(one, one.casefold()) for one in known if unicodedata.category(one) not in ("Cn", "Cs", "Co")])
    browse(t, "case does not matter", frontend, actions={"folds": folds})


def test_hostile_ids_and_states(t):
    frontend = t.frontend(t.redis())
    client = t.connect(frontend, Original2013)
    hostile = [b"<img src=x onerror=alert(1)>", b"</script><script>globalThis.hacked = 1</script>",
               b"<b>bold</b><iframe src=javascript:alert(2)>", "\u202e\u0007 \u2028 {{7*7}} ${alert(3)}".encode()]
    for text in hostile:
        client.update(text, 1, text)
    browse(t, "hostile ids and states", frontend, actions={
        "update": lambda: [client.update(text, 2, text + b"!") for text in hostile] and None})


def test_all_of_one_client(t):
    frontend = t.frontend(t.redis())
    client = t.connect(frontend, Original2013)
    client.update(b"\xff\x00", 1, bytes(range(200)))
    client.update(b"json", 1, b'{"deep": [1, 2, {"deeper": true}]}')
    client.update(b"long", 1, b"a long story, " * 500 + b"the end of it")
    browse(t, "the details of a client", frontend, actions={"close": lambda: client.close(b"\xff\x00") and None})


def test_the_token(t):
    browse(t, "the token", t.frontend(t.redis(), settings={"web.page": "token", "web.token": "0123456789abcdef"}))


def test_its_front_end_goes_and_comes_back(t):
    redis = t.redis()
    frontend, other = t.frontends(2, redis)
    host, port = frontend.address("web")
    client = t.connect(other, Original2013)
    client.update(b"stays", 1, b"")
    client.update(b"goes", 1, b"")

    def kill():
        frontend.kill()
        client.close(b"goes")

    def start():
        t.frontend(redis, listen=(f"web={host}:{port}",))
    browse(t, "its front-end is restarted", frontend, actions={"kill": kill, "start": start})


def test_redis_goes_and_comes_back(t):
    redis = t.redis()
    browse(t, "Redis is restarted", t.frontend(redis), actions={"kill": redis.kill, "start": redis.start})


def test_spaces(t):
    frontend = t.frontend(t.redis(), settings={"map.spaces": "main other"},
                          listen=("tracker=127.0.0.1:0", "tracker=127.0.0.1:0,space=other", "web=127.0.0.1:0"))
    t.connect(frontend, Original2013).update(b"in-main", 1, b"")
    t.connect(frontend, Original2013, index=1).update(b"in-other", 1, b"")
    browse(t, "spaces", frontend)


def test_the_console_of_tracker(t):
    a, b = t.frontends(2, t.redis())

    def states():
        return ",".join(client["state"] for client in json.loads(b.http("/api/v1/clients")[2])["clients"])
    browse(t, "the console of Tracker", a, actions={"states": states})


def test_the_console_of_turntable(t):
    browse(t, "the console of turntable", t.frontend(t.redis()))


def test_the_console_of_metadata_sync(t):
    browse(t, "the console of metadata sync", t.frontend(t.redis()))


def test_the_client_in_a_browser(t):
    browse(t, "the client in a browser", *t.frontends(2, t.redis()))


def test_phones_darkness_contrast_and_labels(t):
    frontend = t.frontend(t.redis())
    client = t.connect(frontend, Original2013)
    client.update(b"an id that is so long that it cannot fit into its column on any screen that there is" * 2, 1, b"x" * 2000)
    client.update(b"two", 1, b"\xff")
    t.connect(frontend, Versioned).open(b"three")
    browse(t, "phones, darkness, contrast and labels", frontend)
