"""A front-end that runs in lockstep with a script: each thing that is sent to it is handled to the end before
the next one is sent, and its monotonic clock is stopped. See lockstep.c for the front-end's side.

Redis is a real one, as the scripts that it runs are part of what is counted. The front-end reaches it through
two links that are held here: a command's answer is delivered first, when it is complete, and what was published
meanwhile after that. So the order of what arrives is the same each time.
"""
import fcntl
import glob
import mmap
import os
import re
import select
import socket
import struct
import subprocess
import termios
import threading
import time

from harness.process import run
from harness.waiting import scaled

FIELDS = ("is_locked", "now_us", "in_gate", "allocations", "allocated_bytes", "live_bytes")
CALLS = 1024
SIZE = 8 * (len(FIELDS) + CALLS)
BEGIN_US = 10**12
FREE_US = 500000  # as in lockstep.c
# Commands of the driver's own.
OURS = ("ping", "info")
# What the allocator asks of the kernel depends on where memory happens to be; and without lockstep.so the kernel
# is not asked for the time.
UNCOUNTED = {"brk", "mmap", "munmap", "mremap", "madvise", "clock_gettime"}


# A sanitized program accepts a library before its own.
SANITIZED = {"ASAN_OPTIONS": "detect_leaks=0:exitcode=99:verify_asan_link_order=0"}


class Memory:
    """The shared file, struct lockstep_state."""

    def __init__(self, path):
        with open(path, "w+b") as file:
            file.truncate(SIZE)
            self.map = mmap.mmap(file.fileno(), SIZE)

    def get(self, name):
        return struct.unpack_from("=q", self.map, 8 * FIELDS.index(name))[0]

    def put(self, name, value):
        struct.pack_into("=q", self.map, 8 * FIELDS.index(name), value)

    def calls(self):
        """number -> how often."""
        counts = struct.unpack_from(f"={CALLS}Q", self.map, 8 * len(FIELDS))
        return {number: count for number, count in enumerate(counts) if count}


def call_names():
    """number -> name, of this machine's system calls."""
    text = subprocess.run(["gcc", "-E", "-dM", "-include", "sys/syscall.h", "-x", "c", "/dev/null"],
                          capture_output=True, text=True, check=True).stdout
    return {int(number): name for name, number in re.findall(r"#define __NR_(\w+) (\d+)$", text, re.M)}


class HeldLink:
    """One connection of the front-end to Redis."""

    def __init__(self, front, back):
        self.front, self.back = front, back
        self.unread = b""
        self.commands = 0
        self.bytes = 0

    def forward(self):
        """What the front-end has written goes to Redis; whether there was any."""
        data = receive(self.front)
        if data:
            self.back.sendall(data)
            self.bytes += len(data)
            self._count(data)
            # Redis reads what is long in several parts, and answers others meanwhile.
            while struct.unpack("i", fcntl.ioctl(self.back, termios.TIOCOUTQ, bytes(4)))[0]:
                time.sleep(0.0001)
        return bool(data)

    def deliver(self):
        """What Redis has written goes to the front-end; whether there was any."""
        data = receive(self.back)
        if data:
            self.front.sendall(data)
            self.bytes += len(data)
        return bool(data)

    def close(self):
        self.front.close()
        self.back.close()

    def _count(self, data):
        """Counts the commands that are complete: arrays of bulk strings."""
        self.unread += data
        at = 0
        while True:
            end = command_end(self.unread, at)
            if end is None:
                break
            self.commands += 1
            at = end
        self.unread = self.unread[at:]


def command_end(data, at):
    """Where the command at that place ends; None when it is not complete."""
    line = data.find(b"\r\n", at)
    if line < 0:
        return None
    words, at = int(data[at + 1:line]), line + 2
    for _ in range(words):
        line = data.find(b"\r\n", at)
        if line < 0:
            return None
        at = line + 2 + int(data[at + 1:line]) + 2
    return at if at <= len(data) else None


def receive(one):
    """All that is there to be read, without waiting."""
    data = b""
    while True:
        try:
            part = one.recv(1 << 18, socket.MSG_DONTWAIT)
        except BlockingIOError:
            return data
        if not part:
            if data:
                return data
            raise ConnectionError("a link to Redis was closed")
        data += part


class HeldLinks:
    """Listens at `path` in place of Redis. Until hold() a thread passes on whatever comes."""

    def __init__(self, path, redis):
        self.path, self.redis = path, redis
        self.links = []
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(path)
        self.listener.listen()
        self.is_held = threading.Event()
        self.thread = threading.Thread(target=self._pass_on, daemon=True)
        self.thread.start()

    def _pass_on(self):
        while not self.is_held.is_set():
            ends = {link.front: (link, link.forward) for link in self.links}
            ends.update({link.back: (link, link.deliver) for link in self.links})
            ready, _, _ = select.select([self.listener, *ends], [], [], 0.02)
            for one in ready:
                if one is self.listener:
                    self._accept()
                    continue
                link, pass_on = ends[one]
                try:
                    pass_on()
                except OSError:
                    self._drop(link)

    def _drop(self, link):
        """One that was closed; its other end may be ready too."""
        if link in self.links:
            self.links.remove(link)
            link.close()

    def _accept(self):
        front, _ = self.listener.accept()
        back = socket.socket(socket.AF_UNIX)
        back.connect(self.redis.socket)  # without a time-out: receive() could not but wait then
        self.links.append(HeldLink(front, back))

    def hold(self):
        self.is_held.set()
        self.thread.join()

    def close(self):
        self.hold()
        for one in (self.listener, *self.links):
            one.close()


class World:
    """A Redis, and a front-end. kind: "calls" counts all but instructions, "instructions" those by callgrind, and
    "plain" counts nothing. redis: one that several share. extra: more of its environment. Everything runs freely until lock()."""

    def __init__(self, t, kind, tools, listen, settings, redis=None, node="a", extra=None):
        self.t, self.kind = t, kind
        directory = t.directory("count")
        self.redis = redis or t.redis()
        self.links = HeldLinks(os.path.join(directory, "redis.sock"), self.redis)
        t.stack.callback(self.links.close)
        self.memory = Memory(os.path.join(directory, "state"))
        # A plain program's clock is ours from its start, so that its timers do not depend on when it is locked.
        self.memory.put("now_us", BEGIN_US)
        self.dumps = os.path.join(directory, "instructions")
        self.names = call_names()
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(os.path.join(directory, "control.sock"))
        listener.listen()
        # The C library's plain routines, not those for this processor: the same instructions everywhere.
        environment = {"GLIBC_TUNABLES": "glibc.cpu.hwcaps=-AVX,-AVX2,-AVX512F,-AVX512VL,-AVX512BW,-ERMS,-FSRM,-BMI2",
                       "LD_PRELOAD": os.path.join(tools, "lockstep_plain.so" if kind == "plain" else "lockstep.so"),
                       **(SANITIZED if kind == "plain" else {}),
                       "LOCKSTEP_SEED": str(ord(node) - ord("a") + 1),
                       "LOCKSTEP_STATE": os.path.join(directory, "state"),
                       "LOCKSTEP_SOCKET": os.path.join(directory, "control.sock"), **(extra or {})}
        wrapper = {"calls": (os.path.join(tools, "count_calls"), os.path.join(directory, "state")),
                   "instructions": ("valgrind", "-q", "--tool=callgrind", f"--callgrind-out-file={self.dumps}",
                                    "--combine-dumps=no"), "plain": ()}[kind]
        self.frontend = t.frontend(f"unix:{self.links.path}", node=node, listen=listen, settings=settings,
                                   environment=environment, wrapper=wrapper, timeout=60)
        self.control, _ = listener.accept()
        self.control.settimeout(scaled(90))
        t.stack.callback(self.control.close)
        listener.close()

    # The front-end's steps.

    def lock(self):
        """From now on the front-end does nothing by itself."""
        self.t.wait_until(self.frontend.ready, 30, "the front-end is ready")
        now = BEGIN_US + FREE_US if self.kind == "plain" else time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
        self.memory.put("now_us", now)
        self.memory.put("is_locked", 1)
        self._wait_idle()
        self.links.hold()
        self.deliver_replies()
        self.settle()
        self._keep_leases()

    def _keep_leases(self):
        """Redis's clock goes on, and the front-end does not renew its lease now."""
        for key in self.redis.keys("*:nodes"):
            for node in self.redis("ZRANGE", key, 0, -1):
                self.redis("ZADD", key, "XX", "INCR", 10**9, node)

    def end(self):
        self.frontend.kill()

    def _wait_idle(self):
        report = self.control.recv(1)
        assert report == b".", {b"e": "what was sent did not arrive", b"": "the front-end has ended"}[report]

    def command(self, letter):
        self.control.sendall(letter)
        self._wait_idle()

    def send(self, one, data=None):
        """Sends to the front-end on a socket of a client (a connected one without data: it is to be accepted), and
        lets it handle that and all that Redis has to say to it."""
        if data is not None:
            assert one.send(data) == len(data)
        self.command(b"i")
        self.settle()

    def advance(self, milliseconds):
        """Moves the clock, and lets the front-end do what is due."""
        self.memory.put("now_us", self.memory.get("now_us") + milliseconds * 1000)
        self.command(b"t")
        self.settle()

    def settle(self):
        while [link for link in self.links.links if link.forward()]:
            self.deliver_replies()

    def deliver_replies(self):
        """Behind the answer to the second PING, Redis has written all answers before it, and what was published."""
        self.redis("PING")
        self.redis("PING")
        for link in self.links.links:
            if link.deliver():
                self.command(b"i")

    def requests(self):
        return sum(link.commands for link in self.links.links)

    # Counting.

    def window(self, operation, count):
        """Counts for one of so many operations: name -> number; under "by name" the system calls."""
        if self.kind == "instructions":
            self.command(b"z")
            for _ in range(count):
                operation()
            self.command(b"d")
            return {"instructions": self._dumped() / count}
        before = self._counts()
        for _ in range(count):
            operation()
        after = self._counts()
        changed = {name: (after[name] - before.get(name, 0)) / count for name in after}
        calls = {name[5:]: value for name, value in changed.items() if name.startswith("call ") and value}
        return {**{name: value for name, value in changed.items() if not name.startswith("call ")},
                "system calls": sum(calls.values()), "by name": calls}

    def _counts(self):
        calls = {self.names.get(number, str(number)): count for number, count in self.memory.calls().items()}
        found = {f"call {name}": count for name, count in calls.items() if name not in UNCOUNTED}
        found["allocations"] = self.memory.get("allocations")
        found["allocated bytes"] = self.memory.get("allocated_bytes")
        found["bytes kept"] = self.memory.get("live_bytes")
        found["Redis requests"] = self.requests()
        found["Redis bytes"] = sum(link.bytes for link in self.links.links)
        stats = self.redis.info("commandstats")
        found["Redis commands"] = sum(int(re.match(r"calls=(\d+)", text)[1]) for name, text in stats.items()
                                      if name.startswith("cmdstat_") and name[8:] not in OURS)
        return found

    def _dumped(self):
        """The instructions of the newest dump."""
        paths = glob.glob(self.dumps + ".*")
        newest = max(paths, key=lambda path: int(path.rpartition(".")[2]))
        with open(newest, encoding="utf-8", errors="replace") as file:
            return int(re.search(r"^(?:summary|totals): (\d+)", file.read(), re.M)[1])


def can_count_calls(tools, path):
    """Whether a process may be traced here."""
    Memory(path)
    return run([os.path.join(tools, "count_calls"), path, "true"], check=False).returncode != 126
