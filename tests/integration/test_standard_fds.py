"""Programs that were started with descriptors 0, 1 or 2 closed: no connection or file gets these numbers, so what is
logged or printed goes nowhere else."""
import os
import socket

from harness.redis import free_port

CLOSED = ("0", "1", "2", "01", "12", "02", "012")


def closing(which, arguments):
    """The command with these descriptors closed."""
    return ["sh", "-c", "exec \"$@\" " + " ".join(f"{fd}>&-" for fd in which), "sh", *arguments]


def answers(port, path="/healthz"):
    try:
        with socket.create_connection(("127.0.0.1", port), 5) as connection:
            connection.sendall(f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode())
            data = b""
            while part := connection.recv(1 << 16):
                data += part
            return data
    except OSError:
        return b""


def test_a_front_end(t):
    redis = t.redis()
    for which in CLOSED:
        port = free_port()
        process = t.start("closed", closing(which, [t.program("trackerd"), "--redis", redis.url, "--set",
                                                    "log.level=debug", "--listen", f"web=127.0.0.1:{port}"]))
        t.wait_until(lambda port=port: answers(port).startswith(b"HTTP/1.1 200 "), 20, f"without {which} it serves")
        for fd in which:
            assert os.readlink(f"/proc/{process.child.pid}/fd/{fd}") == "/dev/null", (which, fd)
        answer = answers(port, "/api/v1/nodes")
        assert answer.startswith(b"HTTP/1.1 200 ") and b"msg=" not in answer, (which, answer)
        process.child.terminate()
        t.wait_until(lambda process=process: not process.running(), 20, "it ends")


def test_the_tool(t):
    redis = t.redis()
    t.frontend(redis, node="only")
    for which in CLOSED:
        done = t.run(*closing(which, [t.program("trackerctl"), "--redis", redis.url, "nodes"]), check=False)
        if "1" in which:  # what it could not print it does not report as printed
            assert done.returncode == 1 and not done.stdout, (which, done)
        else:
            assert done.returncode == 0 and "only" in done.stdout, (which, done)
    assert redis("PING") == b"PONG" or redis("PING") == "PONG"


def test_other_programs(t):
    for which in CLOSED:
        for arguments in (("trackerd", "--version"), ("trackerctl", "--version"), ("tracker-bench", "--help")):
            done = t.run(*closing(which, [t.program(arguments[0]), *arguments[1:]]), check=False)
            assert done.returncode in (0, 1) and (("1" in which) or done.stdout), (which, arguments, done)
