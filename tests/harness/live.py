"""The live stream of a front-end's web listener, followed as the page does."""
import json
import socket

from .waiting import readable


class Stream:
    """Reads the stream and follows it as the page does."""

    def __init__(self, t, frontend, query="", buffer=None):
        self.socket = socket.socket()
        if buffer:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer)
        t.stack.callback(self.socket.close)
        self.socket.connect(frontend.address("web"))
        self.socket.sendall(f"GET /api/v1/live{query} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
        self.rest = b""
        self.head = None
        self.events = []  # (name, data), all that came
        self.entries = {}
        self.met = None
        self.live = False
        self.ended = False

    def read(self, wait=0.05):
        """What is there now. False at the end."""
        if not readable(self.socket, wait):
            return True
        data = self.socket.recv(1 << 20)
        if not data:
            self.ended = True
            return False
        self.rest += data
        if self.head is None:
            if b"\r\n\r\n" not in self.rest:
                return True
            head, self.rest = self.rest.split(b"\r\n\r\n", 1)
            self.head = head.decode()
        *parts, self.rest = self.rest.split(b"\n\n")
        for part in parts:
            first, second = part.decode().split("\n")
            assert first.startswith("event: ") and second.startswith("data: "), part
            self.take(first[7:], json.loads(second[6:]))
        return True

    def take(self, name, data):
        self.events.append((name, data))
        if name == "begin":
            self.met, self.live = set(), False
        elif name == "entries":
            for entry in data:
                self.entries[key(entry)] = entry
                if self.met is not None:
                    self.met.add(key(entry))
        elif name == "closed":
            for one in data:
                self.entries.pop(key(one), None)
        elif name == "live":
            self.entries = {one: entry for one, entry in self.entries.items() if one in self.met}
            self.met, self.live = None, True

    def until(self, t, predicate, what="", timeout=15):
        def look():
            self.read(0.02)
            return predicate()
        t.wait_until(look, timeout, lambda: f"{what} {self.events[-3:]}", 0)

    def until_live(self, t):
        self.until(t, lambda: self.live, "live")

    def states(self):
        return {one: entry.get("state") for one, entry in self.entries.items()}


def key(entry):
    return entry if isinstance(entry, str) else entry.get("id") or "64:" + entry["id64"]
