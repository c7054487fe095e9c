"""Game servers and players of the Quake III / DarkPlaces master protocol, over UDP."""
import socket

from .waiting import readable, scaled, wait_until

HEADER = b"\xff\xff\xff\xff"
EOT = b"\\EOT\0\0\0"


def infostring(pairs):
    return b"".join(b"\\%s\\%s" % (key, value) for key, value in pairs)


class Peer:
    """A socket at an address of its own. master: (host, port)."""

    def __init__(self, master, host=None, port=0):
        ipv6 = ":" in master[0]
        self.socket = socket.socket(socket.AF_INET6 if ipv6 else socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind((host or ("::1" if ipv6 else "127.0.0.1"), port))
        self.master = master

    @property
    def port(self):
        return self.socket.getsockname()[1]

    @property
    def where(self):
        host, port = self.socket.getsockname()[:2]
        return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"

    def send(self, text, to=None):
        self.socket.sendto(HEADER + text, to or self.master)

    def send_raw(self, data):
        self.socket.sendto(data, self.master)

    def receive(self, timeout=5):
        """The next datagram's text and its sender; (None, None) when there is none."""
        if not readable(self.socket, scaled(timeout)):
            return None, None
        data, sender = self.socket.recvfrom(65536)
        assert data.startswith(HEADER), data
        return data[4:], sender

    def is_silent(self, timeout=0.3):
        return self.receive(timeout)[0] is None

    def close(self):
        self.socket.close()


class GameServer(Peer):
    """info: what it says of itself. None as a value leaves a key out."""

    INFO = {"gamename": "Xonotic", "protocol": "3", "clients": "2", "sv_maxclients": "8",
            "hostname": "a server", "mapname": "dance"}

    def __init__(self, master, host=None, port=0, tag="DarkPlaces", **info):
        super().__init__(master, host, port)
        self.tag = tag
        self.info = {**self.INFO, **info}

    def heartbeat(self, tag=None, to=None):
        self.send(b"heartbeat %s\n" % (tag or self.tag).encode(), to)

    def challenge(self, timeout=5):
        """The challenge of the next getinfo, and who asked."""
        text, sender = self.receive(timeout)
        assert text is not None, "no getinfo"
        assert text.startswith(b"getinfo "), text
        return text[len(b"getinfo "):].rstrip(b"\n\0"), sender

    def answer(self, challenge, to=None, **changes):
        info = {**self.info, **changes}
        pairs = [(key.encode(), value if isinstance(value, bytes) else value.encode("latin-1"))
                 for key, value in info.items() if value is not None]
        pairs = [("challenge".encode(), challenge)] * (challenge is not None) + pairs
        self.send(b"infoResponse\n" + infostring(pairs), to)

    def register(self, **changes):
        """Says that it is there, and answers; not whether that was taken."""
        self.heartbeat()
        challenge, sender = self.challenge()
        self.answer(challenge, sender, **changes)


class Player(Peer):
    """Asks for lists."""

    def ask(self, question, timeout=2):
        """The packets of the answer; None when there is none, or its end does not come."""
        while self.receive(0)[0] is not None:
            pass  # what came late of an answer before
        self.send(question.encode("latin-1") if isinstance(question, str) else question)
        packets = []
        while True:
            text, _ = self.receive(timeout)
            if text is None:
                return None
            packets.append(text)
            if text.endswith(EOT):
                return packets

    def servers(self, question, timeout=2):
        """The answer as texts of addresses, in their order; None when there is none."""
        packets = self.ask(question, timeout)
        return None if packets is None else [where for text in packets for where in parse(text)]

    def wait_for(self, question, wanted, timeout=10):
        """Asks until the answer has these and no others."""
        last = []

        def is_it():
            last[:] = [self.servers(question, 1)]
            return last[0] is not None and sorted(last[0]) == sorted(wanted)
        wait_until(is_it, timeout, lambda: f"{question}: {str(last[0])[:500]}, {len(last[0] or '')}, instead of {str(wanted)[:500]}", 0.03)


def parse(text):
    """The servers of one packet."""
    for name in (b"getserversExtResponse", b"getserversResponse"):
        if text.startswith(name):
            text = text[len(name):]
            break
    else:
        raise AssertionError(f"no list: {text[:40]}")
    found = []
    while text and text != EOT and text != b"\\":
        size = {b"\\": 4, b"/": 16}[text[:1]]
        address, port = text[1:1 + size], int.from_bytes(text[1 + size:3 + size], "big")
        assert port, text
        if size == 4:
            found.append(f"{socket.inet_ntop(socket.AF_INET, address)}:{port}")
        else:
            found.append(f"[{socket.inet_ntop(socket.AF_INET6, address)}]:{port}")
        text = text[3 + size:]
    return found


MASTER_SETTINGS = {"q3master.allow_loopback": "true", "q3master.query_rate": "0",
                   "q3master.heartbeat_rate": "0", "q3master.refresh": "0s"}
MASTER4 = ("q3master=127.0.0.1:0", "web=127.0.0.1:0")
MASTER6 = ("q3master=[::1]:0", "web=127.0.0.1:0")
FAMILIES = {"ipv4": MASTER4, "ipv6": MASTER6}
