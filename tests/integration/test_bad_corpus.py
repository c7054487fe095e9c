"""The corpora of malformed messages, sent to real connections: each is refused with its code and its text, the
connection stays, and nothing of it happens. They come whole, and in fragments with pongs in between."""
import random
import urllib.parse

from harness.sync import Sync
from harness.turntable import Turntable
from harness.websocket import CONTINUATION, PONG, TEXT

LISTEN = ("tracker=127.0.0.1:0", "web=127.0.0.1:0", "sync=127.0.0.1:0")
LIMITS = {"depth", "bytes", "keys", "values"}


def corpus(t, name):
    """(kind, text or place, bytes) of each line."""
    with open(t.path("tests/unit/codec/cases", name + "_bad.txt"), encoding="utf-8") as file:
        lines = [line.rstrip("\n") for line in file if line.strip() and not line.startswith("#")]
    return [(*line.split("\t")[:2], urllib.parse.unquote_to_bytes(line.split("\t")[2])) for line in lines]


def say(websocket, text, chance):
    """In one frame, or in several of any length, none included."""
    if chance.random() < 0.5:
        websocket.send_frame(TEXT, text)
        return
    cuts = sorted(chance.randint(0, len(text)) for _ in range(chance.randint(1, 4)))
    parts = [text[start:end] for start, end in zip([0, *cuts], [*cuts, len(text)])]
    for number, part in enumerate(parts):
        websocket.send_frame(CONTINUATION if number else TEXT, part, fin=number == len(parts) - 1)
        if number < len(parts) - 1:
            websocket.send_frame(PONG, b"between")


def is_utf8(text):
    try:
        text.decode()
        return True
    except UnicodeDecodeError:
        return False


class Player:
    """A user in the room a, who reports what refused a message."""

    def __init__(self, t, frontend):
        self.t, self.frontend = t, frontend
        self.begin()

    def begin(self):
        self.client = self.t.connect(self.frontend, Turntable, kind="web", user="1:2")
        self.client.join("a")

    @staticmethod
    def codes(code):
        return {{"surrogate": "bad_json", "large": "limit"}.get(code, code)}

    def refusal(self, text, chance):
        say(self.client.websocket, text, chance)
        data = self.client.expect("error")
        return data["code"], data["message"]

    def end(self, text, chance):
        say(self.client.websocket, text, chance)
        return self.client.read_end().code

    def check(self):
        assert self.client.sync() == []
        self.client.say("whothere")
        assert "1:2" in self.client.wait("there")
        assert self.client.rooms == {} and self.client.statuses == {} and not self.client.closed


class Browser:
    """The same of metadata sync."""

    def __init__(self, t, frontend):
        self.t, self.frontend = t, frontend
        self.begin()

    def begin(self):
        self.client = self.t.connect(self.frontend, Sync, kind="sync", delta=True)

    @staticmethod
    def codes(code):
        """Lone surrogates, and deeper and larger texts than elsewhere, may be relayed: the rest judges the packet."""
        return {"surrogate": {"bad_packet", "bad_json"}, "large": {"bad_packet", "limit"}}.get(code, {code})

    def refusal(self, text, chance):
        count = len(self.client.errors)
        say(self.client.websocket, text, chance)
        error = self.client.wait_error(count + 1)
        if b"properties" in text:  # those of them that are good have been set: the next case begins without any
            self.client.drop()
            self.begin()
        return error

    def end(self, text, chance):
        say(self.client.websocket, text, chance)
        return self.client.wait_closed()[0]

    def check(self):
        self.client.barrier()
        assert self.client.map[self.client.token] == {} and self.client.packets == [] and not self.client.closed


def check(speakers, cases):
    """cases: (code, text or None, bytes)"""
    chance = random.Random(7)
    for number, (code, text, message) in enumerate(cases):
        speaker = speakers[number % len(speakers)]
        if is_utf8(message):
            received = speaker.refusal(message, chance)
            assert received[0] in speaker.codes(code) and text in (None, received[1]), (message, received, code, text)
        else:
            assert speaker.end(message, chance) == 1007, message
            speaker.begin()
    for speaker in speakers:
        speaker.check()


def start(t):
    settings = {"turntable.max_errors": 100000, "sync.max_errors": 100000, "turntable.max_ids": 4, "turntable.max_invites": 4,
                "turntable.id_form": "strict", "turntable.validate": "form", "turntable.max_actions": 3, "sync.max_receivers": 4, "sync.max_properties": 3, "sync.max_total": 64}
    redis = t.redis()
    return redis, t.frontends(2, redis, listen=LISTEN, settings=settings)


def test_what_turntable_refuses(t):
    redis, (a, b) = start(t)
    # The limit of a token is no setting.
    cases = [(code, text, message.replace(b'"' + b"t" * 17 + b'"', b'"' + b"t" * 8193 + b'"'))
             for code, text, message in corpus(t, "turntable")]
    assert len(cases) > 300
    check([Player(t, a), Player(t, b)], cases)
    t.fsck(redis)


def test_what_metadata_sync_refuses(t):
    redis, (a, b) = start(t)
    cases = corpus(t, "sync")
    assert len(cases) > 200
    check([Browser(t, a), Browser(t, b)], cases)
    t.fsck(redis)


def test_texts_that_are_not_json(t):
    redis, (a, b) = start(t)
    cases = [("large" if kind in LIMITS else kind if kind == "surrogate" else "bad_json", None, message)
             for kind, _, message in corpus(t, "json")]
    assert len(cases) > 500
    check([Player(t, a), Browser(t, b)], cases)
    t.fsck(redis)
