"""WebSocket after RFC 6455, section by section: a table of raw frames against a running front-end, each
conversation in one write and byte by byte.

The messages are the Tracker protocol's Get in its plain dialect, whose answer on an empty map is
known; text messages are not of that protocol, so valid text is refused as such (1003), at its end,
and invalid text as invalid (1007), at once.
"""
import base64
import struct
import threading

from harness import packets
from harness.websocket import (BINARY, CLOSE, CONTINUATION, PING, PONG, TEXT, WebSocket, close_payload, frame,
                               handshake)

GET, ANSWER = b"\x2a\x03", b"\x02{}"
BYE = frame(CLOSE, close_payload(1000, b"bye"))

# (section, name, what the client writes, frames that answer, code of the Close that follows).
# A code of None: the client says Close 1000, which is answered alike.
TABLE = [
    ("5.1", "unmasked message", frame(BINARY, GET, masked=False), [], 1002),
    ("5.1", "unmasked ping", frame(PING, b"a", masked=False), [], 1002),
    ("5.1", "unmasked Close", frame(CLOSE, close_payload(1000), masked=False), [], 1002),
    ("5.1", "unmasked behind a good message", frame(BINARY, GET) + frame(BINARY, GET, masked=False),
     [(BINARY, ANSWER)], 1002),
    ("5.2", "reserved bit 1", frame(BINARY, GET, rsv=4), [], 1002),
    ("5.2", "reserved bit 2", frame(BINARY, GET, rsv=2), [], 1002),
    ("5.2", "reserved bit 3", frame(BINARY, GET, rsv=1), [], 1002),
    ("5.2", "reserved bits of a ping", frame(PING, rsv=7), [], 1002),
    ("5.2", "reserved bit of a continuation", frame(BINARY, GET[:1], fin=False) + frame(CONTINUATION, GET[1:], rsv=4),
     [], 1002),
    *[("5.2", f"opcode {opcode}", frame(opcode, b"a"), [], 1002) for opcode in (3, 4, 5, 6, 7, 11, 12, 13, 14, 15)],
    ("5.2", "empty message", frame(BINARY) + frame(BINARY, GET), [(BINARY, ANSWER)], None),
    ("5.2", "125 bytes", frame(PING, b"p" * 125), [(PONG, b"p" * 125)], None),
    ("5.2", "126 bytes, all 16 bits", frame(BINARY, GET * 63), [(BINARY, ANSWER * 63)], None),
    ("5.2", "2 bytes as 16 bits", frame(BINARY, GET, form=16), [], 1002),
    ("5.2", "125 bytes as 16 bits", frame(BINARY, b"a" * 125, form=16), [], 1002),
    ("5.2", "2 bytes as 64 bits", frame(BINARY, GET, form=64), [], 1002),
    ("5.2", "65,535 bytes as 64 bits", frame(BINARY, b"", form=64, length=65535), [], 1002),
    ("5.2", "a length of 2^63", frame(BINARY, b"", form=64, length=1 << 63), [], 1002),
    ("5.2", "a length of 2^64 - 1", frame(BINARY, b"", form=64, length=(1 << 64) - 1), [], 1002),
    ("5.2", "a length over the limit", frame(BINARY, b"", form=64, length=(1 << 20) + 1), [], 1009),
    ("5.3", "a mask of zeros", frame(BINARY, GET, mask=b"\0\0\0\0"), [(BINARY, ANSWER)], None),
    ("5.3", "a mask of ones", frame(BINARY, GET, mask=b"\xff\xff\xff\xff"), [(BINARY, ANSWER)], None),
    ("5.4", "two fragments", frame(BINARY, GET[:1], fin=False) + frame(CONTINUATION, GET[1:]), [(BINARY, ANSWER)], None),
    ("5.4", "empty fragments", frame(BINARY, b"", fin=False) + frame(CONTINUATION, GET, fin=False) + frame(CONTINUATION),
     [(BINARY, ANSWER)], None),
    ("5.4", "a continuation of nothing", frame(CONTINUATION, GET), [], 1002),
    ("5.4", "a continuation of nothing, not final", frame(CONTINUATION, GET, fin=False), [], 1002),
    ("5.4", "a continuation of a whole message", frame(BINARY, GET) + frame(CONTINUATION, GET), [(BINARY, ANSWER)], 1002),
    ("5.4", "a message within another", frame(BINARY, GET[:1], fin=False) + frame(BINARY, GET), [], 1002),
    ("5.4", "a text message within another", frame(BINARY, GET[:1], fin=False) + frame(TEXT, b"a"), [], 1002),
    ("5.4", "more fragments than the limit", frame(BINARY, b"", fin=False) + frame(CONTINUATION, b"", fin=False) * 1024,
     [], 1008),
    ("5.5", "a control frame of 126 bytes", frame(PING, b"p" * 126), [], 1002),
    ("5.5", "a ping in fragments", frame(PING, b"p", fin=False) + frame(CONTINUATION, b"q"), [], 1002),
    ("5.5", "a pong in fragments", frame(PONG, b"p", fin=False), [], 1002),
    ("5.5", "a Close in fragments", frame(CLOSE, close_payload(1000), fin=False), [], 1002),
    ("5.5", "a ping between fragments", frame(BINARY, GET[:1], fin=False) + frame(PING, b"p") + frame(CONTINUATION, GET[1:]),
     [(PONG, b"p"), (BINARY, ANSWER)], None),
    ("5.5", "several between fragments", frame(BINARY, GET[:1], fin=False) + frame(PING, b"1") + frame(PONG, b"2")
     + frame(PING, b"3") + frame(CONTINUATION, GET[1:]), [(PONG, b"1"), (PONG, b"3"), (BINARY, ANSWER)], None),
    ("5.5", "a Close between fragments", frame(BINARY, GET[:1], fin=False), [], None),
    ("5.5.1", "a Close of one byte", frame(CLOSE, b"\x03"), [], 1002),
    ("5.5.1", "a Close with text that is not UTF-8", frame(CLOSE, close_payload(1000, b"\xff")), [], 1007),
    ("5.5.1", "nothing is read behind a Close", BYE + frame(BINARY, GET, masked=False), [], None),
    ("5.5.2", "a ping", frame(PING), [(PONG, b"")], None),
    ("5.5.2", "a ping of any bytes", frame(PING, bytes(range(125))), [(PONG, bytes(range(125)))], None),
    ("5.5.2", "pings and messages in order", frame(PING, b"1") + frame(BINARY, GET) + frame(PING, b"2"),
     [(PONG, b"1"), (BINARY, ANSWER), (PONG, b"2")], None),
    ("5.5.3", "a pong that nobody asked for", frame(PONG, b"a") + frame(BINARY, GET), [(BINARY, ANSWER)], None),
    ("5.6", "a text message", frame(TEXT, b"a"), [], 1003),
    ("5.6", "an empty text message", frame(TEXT), [], 1003),
    ("5.6", "a text message in fragments", frame(TEXT, b"a", fin=False) + frame(CONTINUATION, b"b"), [], 1003),
]

# 8.1, and the places where UTF-8 decoders are known to fail.
VALID = ["\u03ba\u1f79\u03c3\u03bc\u03b5".encode(), b"\0", b"\x7f", b"\xc2\x80", b"\xdf\xbf", b"\xe0\xa0\x80",
         b"\xed\x9f\xbf", b"\xee\x80\x80", b"\xef\xbf\xbd", b"\xef\xbf\xbe", b"\xef\xbf\xbf", b"\xf0\x90\x80\x80",
         b"\xf3\xbf\xbf\xbf", b"\xf4\x8f\xbf\xbf", "a\u00e9\u20ac\U0001f600z".encode()]
INVALID = [b"\x80", b"\xbf", b"a\x80", b"\xc3\x28", b"\xc0\xaf", b"\xc1\xbf", b"\xe0\x80\xaf", b"\xe0\x9f\xbf",
           b"\xed\xa0\x80", b"\xed\xaf\xbf", b"\xed\xb0\x80", b"\xed\xbf\xbf", b"\xf0\x80\x80\xaf", b"\xf0\x8f\xbf\xbf",
           b"\xf4\x90\x80\x80", b"\xf5\x80\x80\x80", b"\xf8\x88\x80\x80\x80", b"\xfc\x84\x80\x80\x80\x80", b"\xfe", b"\xff",
           b"\xce\xba\xe1\xbd\xb9\xcf\x83\xce\xbc\xce\xb5\xed\xa0\x80edited"]
UNFINISHED = [b"\xc2", b"\xe2\x82", b"\xf0\x9f\x98", b"abc\xe2"]


def opened(t, frontend):
    websocket = WebSocket(frontend.address("web"), "/tracker")
    t.stack.callback(websocket.drop)
    return websocket


def frontend_of(t):
    return t.frontend(t.redis(), settings={"access.connect_rate": "0", "ws.rate": "0"})


def write(websocket, data, step):
    for at in range(0, len(data), step):
        try:
            websocket.send(data[at:at + step])
        except ConnectionError:
            return


def converse(t, frontend, data, answers, code, step):
    """What one conversation does wrong, or None."""
    websocket = opened(t, frontend)
    write(websocket, data if code else data + BYE, step)
    expected = b"".join(payload for opcode, payload in answers if opcode == BINARY)
    pongs = [payload for opcode, payload in answers if opcode == PONG]
    got = []
    while True:
        answer = websocket.read_frame()
        assert answer.fin and not answer.rsv, answer
        got.append(answer)
        if answer.opcode == CLOSE:
            break
    websocket.read_end()
    websocket.drop()
    data = b"".join(one.payload for one in got if one.opcode == BINARY)
    if data != expected or [one.payload for one in got if one.opcode == PONG] != pongs:
        return f"answered {got}"
    if {one.opcode for one in got} - {BINARY, PONG, CLOSE}:
        return f"answered {got}"
    last = got[-1].payload
    if code is None:
        return None if last == close_payload(1000, b"bye") else f"closed with {last!r}"
    if len(last) < 3 or struct.unpack(">H", last[:2])[0] != code:
        return f"closed with {last!r}, not {code} and a reason"
    last[2:].decode()
    return None


def check_table(t, step):
    frontend = frontend_of(t)
    wrong = []
    for section, name, data, answers, code in TABLE:
        if step < len(data) and len(data) > 2000:
            continue
        found = converse(t, frontend, data, answers, code, step)
        if found:
            wrong.append(f"{section} {name}: {found}")
    assert not wrong, "\n".join(wrong)
    assert frontend.metric("tracker_websocket_connections") == 0


def test_frames_in_one_write(t):
    check_table(t, 1 << 20)


def test_frames_byte_by_byte(t):
    check_table(t, 1)


def test_text(t):
    """Whole, byte by byte, and in two fragments divided at each byte."""
    frontend = frontend_of(t)
    wrong = []
    for texts, code in ((VALID, 1003), (INVALID, 1007), (UNFINISHED, 1007)):
        for text in texts:
            conversations = [(frame(TEXT, text), 1 << 20), (frame(TEXT, text), 1)]
            conversations += [(frame(TEXT, text[:at], fin=False) + frame(CONTINUATION, text[at:]), 1 << 20)
                              for at in range(len(text) + 1)]
            for data, step in conversations:
                found = converse(t, frontend, data, [], code, step)
                if found:
                    wrong.append(f"{text!r}: {found}")
    assert not wrong, "\n".join(wrong)


def test_invalid_text_is_refused_before_its_end(t):
    frontend = frontend_of(t)
    for text in INVALID:
        assert converse(t, frontend, frame(TEXT, text, fin=False), [], 1007, 1 << 20) is None, text
        # A frame of which more is announced than comes.
        whole = frame(TEXT, text + b"x" * 50)
        assert converse(t, frontend, whole[:6 + len(text)], [], 1007, 1 << 20) is None, text


def test_close_codes(t):
    """7.4: those that may be sent are answered alike, the others with 1002."""
    frontend = frontend_of(t)
    for code in (1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 3000, 3999, 4000, 4999):
        for step in (1 << 20, 1):
            websocket = opened(t, frontend)
            write(websocket, frame(CLOSE, close_payload(code, "r\u00e9ason".encode())), step)
            assert websocket.read_close() == (code, "r\u00e9ason".encode())
    for code in (0, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65535):
        assert converse(t, frontend, frame(CLOSE, close_payload(code)), [], 1002, 1 << 20) is None, code
    websocket = opened(t, frontend)
    websocket.send_frame(CLOSE)
    assert websocket.read_close() == (None, b"")
    reason = b"r" * 123
    websocket = opened(t, frontend)
    websocket.send_frame(CLOSE, close_payload(1000, reason))
    assert websocket.read_close() == (1000, reason)


def test_large_messages(t):
    """Each form of a length, up to the limit. A client's 01 is an acknowledgement that has no answer, so
    what is sent for the sake of its size is an Update, those, and another Update."""
    frontend = frontend_of(t)
    first, last = packets.versioned.update(b"id", 1, b"first"), packets.versioned.update(b"id", 2, b"last")
    for length in (125, 126, 127, 4095, 4096, 4097, 65535, 65536, 65537, (1 << 20) - 1, 1 << 20):
        websocket = opened(t, frontend)
        payload = first + b"\x01" * (length - len(first) - len(last)) + last
        assert len(payload) == length
        third = length // 3
        for data in (frame(BINARY, payload),
                     frame(BINARY, payload[:third], fin=False) + frame(PING, b"p") + frame(CONTINUATION, payload[third:])):
            websocket.send(data)
        answers = b""
        while len(answers) < 4:
            answer = websocket.read_frame()
            answers += answer.payload if answer.opcode == BINARY else b""
        assert len(answers) == 4, (length, answers)
        websocket.close()


def test_a_large_message_of_small_packets(t):
    """What is sent while it is read: both sides write at once."""
    frontend = frontend_of(t)
    for count in (62, 63, 64, 2047, 2048, 2049, 32768):
        websocket = opened(t, frontend)
        writer = threading.Thread(target=websocket.send, args=(frame(BINARY, GET * count) + BYE,))
        writer.start()
        got = b""
        while (answer := websocket.read_frame()).opcode == BINARY:
            got += answer.payload
        writer.join()
        assert answer.opcode == CLOSE and got == ANSWER * count, (count, len(got))
        websocket.drop()


def test_handshakes(t):
    """4.2: what is no handshake is answered in HTTP, read out to its end, and nothing behind it is taken."""
    frontend = frontend_of(t)
    good = {"Host": "localhost", "Upgrade": "websocket", "Connection": "Upgrade",
            "Sec-WebSocket-Key": base64.b64encode(b"0123456789abcdef").decode(), "Sec-WebSocket-Version": "13"}

    def ask(line="GET /tracker HTTP/1.1", **changes):
        client = t.raw(frontend, kind="web")
        headers = {**good, **{name.replace("_", "-"): value for name, value in changes.items()}}
        text = line + "\r\n" + "".join(f"{name}: {value}\r\n" for name, value in headers.items() if value is not None)
        client.send(text.encode() + b"\r\n" + frame(BINARY, GET))
        while b"\r\n\r\n" not in client.input:
            client.need(len(client.input) + 1)
        status = int(client.input.split(b" ", 2)[1])
        if status != 101:
            assert client.closed() and b"connection: close" in client.input.lower(), client.input
        return status

    assert ask() == 101
    assert ask(Upgrade="WebSocket", Connection="keep-alive, UPGRADE") == 101
    assert ask(Sec_WebSocket_Version=None) == 426
    assert ask(Sec_WebSocket_Version="8") == 426
    assert ask(Sec_WebSocket_Key=None) == 400
    assert ask(Sec_WebSocket_Key="short") == 400
    assert ask(Sec_WebSocket_Key=base64.b64encode(b"0123456789abcde").decode()) == 400
    assert ask(Connection="keep-alive") == 400
    assert ask("POST /tracker HTTP/1.1") == 405
    assert ask("GET /tracker HTTP/1.0") == 400
    assert ask("GET /nothing HTTP/1.1") == 404


def test_every_split_of_the_handshake(t):
    """The request in two writes, and the first frame behind it."""
    frontend = frontend_of(t)
    request, accept = handshake("localhost", "/tracker", ("tracker",))
    for at in range(1, len(request), 7):
        client = t.raw(frontend, kind="web")
        client.send(request[:at])
        client.send(request[at:] + frame(BINARY, GET))
        while not client.input.endswith(ANSWER):
            client.need(len(client.input) + 1)
        head, _, answer = client.input.partition(b"\r\n\r\n")
        assert accept.encode() in head and answer == b"\x82\x03" + ANSWER, client.input
        client.drop()
