"""What an attack costs: how long /healthz waits meanwhile, and how far the memory of a front-end and of Redis grows.

Attackers come from ATTACKER, so that a front-end can distinguish them from the well-behaved peers of a test."""
import http.client
import os
import re
import signal
import sys
import time

try:
    from .waiting import scaled
except ImportError:  # as the program that asks
    scaled = float

ATTACKER = "127.0.0.66"
INTERVAL = 0.1  # seconds between two requests for /healthz
LIMIT = 90      # seconds until a request is given up


def peak(pid):
    """The most resident memory since forget_peak, in bytes."""
    with open(f"/proc/{pid}/status", encoding="utf-8") as file:
        return int(re.search(r"VmHWM:\s+(\d+) kB", file.read())[1]) * 1024


def forget_peak(pid):
    with open(f"/proc/{pid}/clear_refs", "w", encoding="utf-8") as file:
        file.write("5")


class Watch:
    """Asks a front-end for /healthz from now on, in a process of its own, and notes its memory and Redis's.

    t.frontend's listeners need web=. At the end of the attack, stop() gives the numbers."""

    def __init__(self, t, frontend, redis=None):
        host, port = frontend.address("web")
        self.frontend = frontend
        self.redis = redis
        self.memory = frontend.process.memory()
        self.redis_memory = int(redis.info("memory")["used_memory"]) if redis else 0
        forget_peak(frontend.pid)
        self.probe = t.start("probe", [sys.executable, os.path.abspath(__file__), host, str(port)])
        self.probe.wait_for_log("asking")
        self.waits = []
        self.failed = 0

    def stop(self):
        """Ends the probe. Afterwards: `waits` (seconds, each answer), `failed` (answers other than 200, or none)."""
        self.probe.signal(signal.SIGTERM)
        self.probe.wait(LIMIT)
        for line in self.probe.log.splitlines():
            word, *values = line.split()
            if word == "answer":
                self.waits.append(float(values[0]))
                self.failed += values[1] != "200"
        assert self.waits, self.probe.log
        return self

    @property
    def longest(self):
        return max(self.waits)

    def grown(self):
        """By how many bytes the front-end's resident memory has grown at most."""
        return peak(self.frontend.pid) - self.memory

    def redis_grown(self):
        return int(self.redis.info("memory")["used_memory"]) - self.redis_memory

    def check(self, seconds=1):
        """Every request was answered with 200, within so many seconds."""
        assert self.failed == 0 and self.longest <= scaled(seconds), \
            f"/healthz: {self.failed} of {len(self.waits)} failed, the longest took {self.longest:.2f} s"


def ask(host, port):
    """(seconds, status) of one request; status 0: no answer."""
    began = time.monotonic()
    connection = http.client.HTTPConnection(host, port, timeout=LIMIT)
    try:
        connection.request("GET", "/healthz")
        status = connection.getresponse().status
    except (OSError, http.client.HTTPException):
        status = 0
    finally:
        connection.close()
    return time.monotonic() - began, status


def main(host, port):
    ended = []
    signal.signal(signal.SIGTERM, lambda *_: ended.append(True))
    print("asking", flush=True)
    while not ended:
        seconds, status = ask(host, int(port))
        print(f"answer {seconds:.3f} {status}", flush=True)
        time.sleep(INTERVAL)


if __name__ == "__main__":
    main(*sys.argv[1:])
