"""A client that says all it wants, closes its half, and reads the answers: as shell tools do."""
import socket

from harness import packets


def say_and_read(t, frontend, request):
    """Everything that comes until the server's end."""
    with socket.create_connection(frontend.address(), timeout=10) as connection:
        connection.sendall(request)
        connection.shutdown(socket.SHUT_WR)
        answer = b""
        while chunk := connection.recv(65536):
            answer += chunk
    return answer


def test_the_answers_come_all_the_same(t):
    frontend = t.frontend()
    answer = say_and_read(t, frontend, packets.versioned.open(b"state"))
    assert len(answer) >= 8 and answer[0] == 7, answer
    assert say_and_read(t, frontend, packets.plain.open(b"a") + packets.plain.get).startswith(b"\x01")


def test_many_requests_are_all_answered(t):
    frontend = t.frontend()
    requests = b"".join(packets.versioned.update(b"sensor", 1 + i % 120, b"x") for i in range(120))
    assert say_and_read(t, frontend, requests)[:120] == b"\x01" * 120


def test_a_close_of_nothing(t):
    """2A 01 and the end are the plain dialect's Close as the only message; so are they with
    eight-byte lengths."""
    assert say_and_read(t, t.frontend(), packets.plain.close) == b"\x01"
    wide = t.frontend(listen=("tracker=127.0.0.1:0,form=wide",))
    assert say_and_read(t, wide, packets.wide.close) == b"\x01"


def test_half_a_message_is_no_close(t):
    frontend = t.frontend()
    for half in (b"\x2a", b"\x2a\x01\x01", b"\x2a\x01\x00\x05"):
        assert say_and_read(t, frontend, half) == b""
