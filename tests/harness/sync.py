"""A client of metadata sync, written after its document and not from the server's code."""
import collections
import json
import time

from .waiting import readable, scaled
from .websocket import CLOSE, PING, PONG, TEXT, WebSocket

Closed = collections.namedtuple("Closed", "code reason")


def text_of(to, packet):
    """A packet's bytes, as JavaScript's JSON.stringify writes them."""
    return json.dumps({"to": to, "packet": packet}, separators=(",", ":"), ensure_ascii=False).encode()


class Sync:
    """For Context.connect with kind="sync" or kind="web". delta, resume: as in the query; resume may be
    True, or the secret. The first metadata is read at once. is_listed: the client's own token is in all
    metadata; not so while its front-end, which was frozen, puts its entry back.

    Packets are read when they are asked for. `map` is token -> properties as the client received them;
    `texts` has all that came, `ticks` the changes packets, `packets` those of others and `packet_texts` their
    texts, `errors` the errors' (code, message) and `error_texts` their texts.
    """

    def __init__(self, address, path="/sync", delta=False, resume=None, enters=True, pongs=True, is_listed=True,
                 **options):
        query = (["mode=delta"] if delta else []) + (
            ["resume"] if resume is True else [f"resume={resume}"] if resume is not None else [])
        self.websocket = WebSocket(address, path + ("?" + "&".join(query) if query else ""), (), **options)
        self._begin(delta, pongs, is_listed)
        if enters:
            self.wait(lambda: self.token or self.closed, what="the first metadata")

    def _begin(self, delta, pongs, is_listed):
        self.delta, self.pongs, self.is_listed = delta, pongs, is_listed
        self.token = self.secret = self.version = self.closed = None
        self.map = {}
        self.texts, self.ticks, self.packets, self.errors = [], [], [], []
        self.packet_texts, self.error_texts = [], []
        self.metadata = 0

    def drop(self):
        """Ends the connection without a Close."""
        self.websocket.drop()

    def fileno(self):
        return self.websocket.fileno()

    # Speaking.

    def say(self, text, opcode=TEXT):
        self.websocket.send_frame(opcode, text.encode() if isinstance(text, str) else text)

    def send(self, to, packet):
        self.say(text_of(to, packet))

    def set(self, **properties):
        self.send("server", {"type": "properties", "properties": properties})

    # Hearing.

    def _take(self):
        try:
            got = self.websocket.read_frame()
        except ConnectionError:
            self.closed = self.closed or Closed(1006, "")
            return
        if got.opcode == PING and self.pongs:
            self.websocket.send_frame(PONG, got.payload)
        elif got.opcode == CLOSE:
            self.closed = Closed(int.from_bytes(got.payload[:2], "big"), got.payload[2:].decode())
        elif got.opcode != PING:
            assert got.opcode == TEXT and got.fin and not got.rsv, got
            self.texts.append(got.payload)
            self._note(json.loads(got.payload), got.payload.decode())

    def _note(self, packet, text):
        assert list(packet)[:2] == ["from", "type"] and packet["type"] in packet, packet
        value = packet[packet["type"]]
        if packet["from"] != "server":
            assert self.token, "a packet before the first metadata"
            self.packets.append(packet)
            self.packet_texts.append(text)
        elif packet["type"] == "metadata":
            self._note_metadata(value)
        elif packet["type"] == "changes":
            self._note_changes(value)
        else:
            assert packet["type"] == "error", packet
            self.errors.append((value["code"], value["message"]))
            self.error_texts.append(text)

    def _note_metadata(self, value):
        assert self.token in (None, value["index"]), value
        assert not self.delta or not self.metadata, "the map a second time"
        assert sorted(value["indexes"]) == sorted(value["properties"]), value
        assert len(set(value["indexes"])) == len(value["indexes"]), value
        assert value["index"] in value["indexes"] or not self.is_listed, value
        self.token, self.version = value["index"], value["version"]
        self.secret = value.get("resume", self.secret)
        self.map = value["properties"]
        self.metadata += 1

    def _note_changes(self, value):
        assert self.token, "changes before the first metadata"
        for tokens in (value["opened"], value["closed"], value["properties"]):
            assert len(set(tokens)) == len(tokens), value
        assert value["opened"] or value["closed"] or value["properties"], "changes without a change"
        assert ("values" in value) == self.delta, value
        self.ticks.append(value)
        if not self.delta:
            return
        assert sorted(value["values"]) == sorted(value["properties"]), value
        for token in value["closed"]:
            self.map.pop(token, None)
        for token in value["opened"]:
            self.map.setdefault(token, {})
        for token, properties in value["values"].items():
            self.map[token].update(properties)
            self.map[token] = {name: one for name, one in self.map[token].items() if one is not None}

    def pump(self, timeout=0):
        """Takes what is there, waiting at most that long for the first; whether there was any."""
        found = False
        while self.closed is None:
            if not self.websocket.input and not readable(self.websocket, 0 if found else timeout):
                return found
            self._take()
            found = True
        return found

    def wait(self, predicate, timeout=10, what=None):
        """Reads until the predicate holds; returns what it returned."""
        end = time.monotonic() + scaled(timeout)
        while True:
            result = predicate()
            if result:
                return result
            left = end - time.monotonic()
            assert left > 0 and self.closed is None, (
                f"{self.token}: {what or 'what was waited for'} did not come; closed: {self.closed}; "
                f"map: {self.map}; errors: {self.errors}; last: {self.texts[-4:]}")
            self.pump(min(left, 1))

    def wait_map(self, expected, timeout=10):
        """Until the map is this: token -> properties, or a function of the map."""
        wanted = expected if callable(expected) else lambda received: received == expected
        return self.wait(lambda: wanted(self.map), timeout, f"the map {expected}")

    def wait_packet(self, count=1, timeout=10):
        """Until that many packets of others have come in all; the last of them."""
        self.wait(lambda: len(self.packets) >= count, timeout, f"packet {count}")
        return self.packets[count - 1]

    def wait_error(self, count=1, timeout=10):
        self.wait(lambda: len(self.errors) >= count, timeout, f"error {count}")
        return self.errors[count - 1]

    def wait_closed(self, timeout=10):
        """Until the server has said Close, or the connection has ended: (code, reason)."""
        end = time.monotonic() + scaled(timeout)
        while self.closed is None:
            assert time.monotonic() < end, f"{self.token}: it is still open"
            self.pump(0.2)
        return self.closed

    def barrier(self):
        """All that was said before has been taken: a packet to oneself has come back."""
        self.barriers = getattr(self, "barriers", 0) + 1
        mark = f"barrier {self.barriers}"
        self.send(self.token, {"type": mark})
        self.wait(lambda: any(one["type"] == mark for one in self.packets), what=mark)
        self.packets = [one for one in self.packets if not one["type"].startswith("barrier ")]
