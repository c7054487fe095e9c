"""Every example packet of the two Tracker documents, byte for byte, against a running front-end;
their errata stand at the packets."""
from harness import Plain, Versioned, packets

STATE = b"theState1"


def test_versioned_open_with_the_right_length(t):
    client = t.raw(t.frontend())
    client.send(bytes([42, 1, 0, 10, 9]) + STATE)
    reply = client.take(8)
    assert reply[0] == 7 and reply[1:].isalnum() and reply[1:].isascii(), reply


def test_versioned_open_with_the_documents_length(t):
    """The document says 11 where 10 is right; the inner length decides, and the next message is
    found."""
    client = t.raw(t.frontend())
    client.send(bytes([42, 1, 0, 11, 9]) + STATE)
    id = client.take(8)[1:]
    client.send(packets.versioned.close(id))
    versioned = t.connect(client.socket.getpeername())
    versioned.socket.close()
    versioned.socket, versioned.input = client.socket, client.input
    assert versioned.read_acknowledgement()


def test_versioned_update_and_close(t):
    """02 07 someId1 09 theState1, length 19 (as the document says), then the Close of that id."""
    client = t.connect(t.frontend(), Versioned)
    client.send(bytes([42, 1, 2, 19, 2, 7]) + b"someId1" + bytes([9]) + STATE)
    assert client.read_acknowledgement()
    client.send(bytes([42, 1, 1, 8, 7]) + b"someId1")
    assert client.read_acknowledgement()


def test_versioned_update_all(t):
    """The document's three entries, as one packet from the server: 03, then version, id and state
    of each. The map's version is the server's, and so is the order."""
    frontend = t.frontend()
    owner = t.connect(frontend, Versioned)
    for number in (1, 2, 3):
        assert owner.update(b"someId%d" % number, number, b"theState%d" % number)
    watcher = t.connect(frontend, Versioned)
    own = watcher.open(b"x")
    watcher.wait_for_map(lambda states: len(states) >= 4 or own not in states and len(states) == 3)
    received = {id: entry for id, entry in watcher.map.items() if id != own}
    assert received == {b"someId%d" % n: (n, b"theState%d" % n) for n in (1, 2, 3)}, received


def test_versioned_update_one_from_the_server(t):
    """The server's packet has the bytes of the client's."""
    frontend = t.frontend()
    watcher = t.connect(frontend, Versioned)
    watcher.open(b"x")
    owner = t.connect(frontend, Versioned)
    assert owner.update(b"someId1", 1, b"before")
    watcher.wait_for_state(b"someId1", b"before")
    watcher.drain()
    packet = bytes([42, 1, 2, 19, 2, 7]) + b"someId1" + bytes([9]) + STATE
    owner.send(packet)
    assert owner.read_acknowledgement()
    assert watcher.take(len(packet)) == packet


def test_plain_packets(t):
    """All four packets of the second document, on one connection."""
    client = t.raw(t.frontend())
    client.send(bytes([42, 0, 3, 97, 98, 99]))
    assert client.take(1) == b"\x01"
    client.send(bytes([42, 2, 4, 3, 97, 98, 99]))
    client.send(bytes([42, 3]))
    length = client.take(1)[0]
    text = client.take(length)
    assert text.startswith(b"{") and text.endswith(b"=abc}"), text
    client.send(bytes([42, 1]))
    assert client.take(1) == b"\x01"


def test_plain_get_reply(t):
    """{a=b, c=d, e=f}: the document's bytes spell another order than its text; ids come in byte
    order here, so the text is the one."""
    frontend = t.frontend()
    owner = t.connect(frontend, Versioned)
    for id, state in ((b"e", b"f"), (b"a", b"b"), (b"c", b"d")):
        assert owner.update(id, 1, state)
    reader = t.connect(frontend, Plain)
    text = t.wait_until(lambda: (lambda x: x if x.count(b"=") == 3 else None)(reader.get_text()))
    assert text == b"{a=b, c=d, e=f}", text
    reader.send(bytes([42, 3]))
    assert reader.take(16) == bytes([15]) + text
