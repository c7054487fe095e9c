"""What a replayed session has recorded, as lines of text that do not depend on chance or time: see replay.

Values that differ from run to run are numbered by their first appearance: <id 1>, <hex 2>, <port 3>. Where Redis
has them in no order of its own, lines are first sorted by what is left without them. Redis's clock is the session's;
times of a front-end's own clock are <time>. Texts for people are left out.
"""
import re
import struct

from harness.events import parse
from harness.waiting import readable
from harness.websocket import CLOSE

# What a machine or a moment decides; its numbers are not compared.
FIGURES = (rb"pid|memory|(?:redis|input|output)_memory|(?:input|output)_memory_limit|cpu_us|started|received_bytes|"
           rb"sent_bytes|time|host")
FIGURE = re.compile(FIGURES)
TEXTS = [
    # `error` is the API's.
    (re.compile(rb'"(message|error)":"(?:[^"\\]|\\.)*"'), rb'"\1":"<text>"'),
    (re.compile(rb"^([1-5]\d\d [A-Z][A-Za-z ]+): .*"), rb"\1: <text>"),
    (re.compile(rb'"(' + FIGURES + rb')":(?:\d+|"[^"]*")'), rb'"\1":<figure>'),
    (re.compile(rb"(?im)^(date|last-modified): [^\r\n]*"), rb"\1: <time>"),
]
# Those of today, and not Redis's in the session (replay_session.py).
TIME = re.compile(rb"(?<![0-9a-zA-Z])(?:1[7-9]|2\d)\d{8}(?:\d{3}){1,2}(?:\.\d+)?(?![0-9a-zA-Z])")
HEX = re.compile(rb"(?<![0-9a-zA-Z])(?=[0-9]*[a-f])[0-9a-f]{12,}(?![0-9a-zA-Z])")
HEADERS_END = b"\r\n\r\n"


def printable(data):
    return "".join(chr(byte) if 32 <= byte < 127 and byte != 92 else f"\\x{byte:02x}" for byte in data)


class Names:
    """Numbers for values. learn() has those that have no form by which they could be found."""

    def __init__(self):
        self.numbers = {}  # value -> its name
        self.counts = {}
        self.learned = []

    def name(self, kind, value):
        if value not in self.numbers:
            self.counts[kind] = self.counts.get(kind, 0) + 1
            self.numbers[value] = b"<%s %d>" % (kind.encode(), self.counts[kind])
        return self.numbers[value]

    def learn(self, kind, value):
        if value and value not in self.learned:
            self.learned.append(value)
        return self.name(kind, value)

    def learn_port(self, port):
        name = self.learn("port", b"%d" % port)
        # In packets: behind 127.0.0.1, whose bytes some have in the other order.
        for host in (bytes([127, 0, 0, 1]), bytes([1, 0, 0, 127]), bytes([9] * 4)):
            value = host + struct.pack(">H", port)
            self.learned.insert(0, value)
            self.numbers[value] = b"<address of %s>" % name

    def replace(self, data, numbers=True):
        """numbers: false only marks where a value was."""
        for pattern, instead in TEXTS:
            data = pattern.sub(instead, data)
        data = TIME.sub(b"<time>", data)
        for value in self.learned:
            if value in data:
                edge = rb"(?<![0-9a-zA-Z])%s(?![0-9a-zA-Z])" if value.isdigit() else rb"%s"
                data = re.sub(edge % re.escape(value), self.numbers[value].replace(b"\\", b"\\\\"), data)
        return HEX.sub((lambda match: self.name("hex", match[0])) if numbers else b"<hex>", data)

    def sorted(self, parts):
        """Tuples of bytes, in the order of what they are without their values."""
        return sorted(parts, key=lambda one: [self.replace(part, numbers=False) for part in one])


def frames(data):
    """What a front-end has sent over WebSocket, as lines; the reasons of closes are texts for people."""
    while data:
        first, length, at = data[0], data[1], 2
        if length == 126:
            length, at = struct.unpack_from(">H", data, 2)[0], 4
        elif length == 127:
            length, at = struct.unpack_from(">Q", data, 2)[0], 10
        payload, data = data[at:at + length], data[at + length:]
        if first & 15 == CLOSE and len(payload) > 2:
            yield f"close {struct.unpack('>H', payload[:2])[0]} <text>", b""
        else:
            yield f"frame {first:02x} ", payload


def http_body(head, body):
    """The header with a length that is right as such, as what is left out of the body changes it."""
    length = re.search(rb"(?i)content-length: (\d+)", head)
    if length and int(length[1]) == len(body):
        head = head.replace(length[0], b"Content-Length: <right>")
    return head, body


def event_group(event):
    """The live stream has three sources, whose events come in any order of their own: the map, nodes and stats."""
    return 1 if event.startswith(b"event: nodes") else 2 if event.startswith(b"event: stats") else 0


class Transcript:
    """One peer's: what it has sent and received, in parts. kind: bytes, websocket, http or datagrams."""

    def __init__(self, name, kind):
        self.name, self.kind = name, kind
        self.parts = []  # (direction, bytes)
        self.is_open = kind == "bytes"

    def add(self, direction, data):
        if self.parts and self.parts[-1][0] == direction and direction in "<" and self.kind != "datagrams":
            data = self.parts.pop()[1] + data
        self.parts.append((direction, data))

    def received(self):
        return b"".join(data for direction, data in self.parts if direction == "<")

    def lines(self, names):
        yield f"== {self.name}"
        for direction, data in self.parts:
            for text, part in self.taken_apart(direction, data):
                yield f"{direction} {text}{printable(names.replace(part))}"

    def taken_apart(self, direction, data):
        if direction != "<" or self.kind in ("bytes", "datagrams"):
            yield "", data
            return
        head = whole_head = b" 101 "
        if data.startswith(b"HTTP/1.1 "):
            head, _, rest = data.partition(HEADERS_END)
            whole_head = head
            if self.kind == "http":
                head, rest = http_body(head, rest)
            for line in head.split(b"\r\n"):
                yield "", line
            data = rest
        if b"text/event-stream" in whole_head:
            data = b"\n\n".join(sorted(data.split(b"\n\n"), key=event_group))
        if self.kind == "websocket" and b" 101 " in head:
            yield from frames(data)
        else:
            for line in data.split(b"\n"):
                yield "| ", line


def read_key(redis, key):
    """(type, its parts, each a tuple of bytes; whether they have an order of their own)"""
    kind = redis("TYPE", key).decode()
    if kind == "hash":
        return kind, list(redis.hash(key).items()), False
    if kind == "zset":
        flat = redis("ZRANGE", key, 0, -1, "WITHSCORES")
        return kind, list(zip(flat[::2], flat[1::2])), False
    if kind == "list":
        return kind, [(one,) for one in redis("LRANGE", key, 0, -1)], True
    if kind == "set":
        return kind, [(one,) for one in redis("SMEMBERS", key)], False
    return kind, [(redis("GET", key),)], True


class Content:
    """All that Redis has at one moment."""

    def __init__(self, redis, when):
        self.when = when
        self.keys = [(key, int(redis("PTTL", key)), *read_key(redis, key)) for key in redis.keys()
                     if redis("TYPE", key) != b"none"]  # it has expired

    def lines(self, names):
        yield f"== Redis {self.when}"
        keys = {key: rest for key, *rest in self.keys}
        for key, in names.sorted([(key,) for key in keys]):
            ttl, kind, parts, is_ordered = keys[key]
            yield f"{printable(names.replace(key))}: {kind}, " + (f"expires in {ttl} ms" if ttl >= 0 else "never expires")
            for part in parts if is_ordered else names.sorted(parts):
                if FIGURE.fullmatch(part[0]):
                    part = (part[0], b"<figure>")
                yield "    " + " = ".join(printable(names.replace(one)) for one in part)


class Published:
    """What is published, in its order."""

    def __init__(self, redis):
        self.subscriber = redis.subscribe()
        self.subscriber.connection("PSUBSCRIBE", "*")
        self.messages = []

    def read(self):
        connection = self.subscriber.connection
        while connection.input or readable(connection.socket, 0):
            _, _, channel, message = connection.reply()
            self.messages.append((channel, message))

    def learn(self, names, chosen):
        """The ids that front-ends have given to entries."""
        for channel, message in self.messages:
            if channel.endswith(b":events"):
                for event in parse(message):
                    if len(event.id) == 7 and event.id not in chosen:
                        names.learn("id", event.id)

    def lines(self, names):
        yield "== published"
        for channel, message in self.messages:
            where = printable(names.replace(channel))
            if not channel.endswith(b":events"):
                yield f"{where}  {printable(names.replace(message))}"
                continue
            # Taken apart, as there is nothing between one value and the next. Fields are in any order.
            for event in parse(message) or [message]:
                yield f"{where}  " + self.event_line(names, event)

    @staticmethod
    def event_line(names, event):
        if isinstance(event, bytes):
            return printable(names.replace(event))
        words = [event.epoch.encode(), b"%d" % event.revision, event.op.encode(), event.id, event.version]
        words += [name + b"=" + (b"(deleted)" if value is None else value) for name, value in sorted(event.fields.items())]
        return " ".join(printable(names.replace(word)) for word in words)
