"""The ceiling of updates: redis-benchmark -P 16 with the very call that the front-end makes.

A call of the apply script with as many operations as the front-end's batches have on average is
taken from MONITOR, word for word. It is repeated on a second Redis with the same settings and a
copy of the data, where nothing else runs. Two of the script's checks would refuse a repeated call,
so it runs from a copy of the script (pkg/schema/scripts/apply*.lua) in which they are evaluated but let everything
through: that a batch follows the one before, and that a version is newer than the stored one. NUL
bytes of the arguments become "x", as redis-benchmark takes them from its command line.
"""
import re
import subprocess
import threading
import time

from harness.process import clean_environment

FOREVER = "99999999999999"
MONITOR_SECONDS = 2.5  # the load warms up for one
# The script's parts, as the Makefile joins them.
PARTS = ("prelude.lua", "apply.lua", "apply_entries.lua", "apply_judge.lua", "apply_read.lua", "users.lua",
         "events.lua", "apply_users.lua", "apply_rooms.lua", "apply_registry.lua", "apply_write.lua")
# What is replaced in the script: each must be there exactly once.
EDITS = ((re.compile(r"if (h\[3\] ~= link \.\. ' ' \.\. ARGV\[4\]) then"), r"if (\1) and false then"),
         (re.compile(r"^local function is_newer\(a, b\) return (.*) end$", re.M),
          r"local function is_newer(a, b) return (\1) or b ~= '9223372036854775807' end"))
ESCAPES = {"n": b"\n", "r": b"\r", "t": b"\t", "a": b"\a", "b": b"\b"}
WORD = re.compile(rb'"((?:[^"\\]|\\.)*)"', re.S)
ESCAPE = re.compile(rb"\\(x[0-9a-f]{2}|.)", re.S)


def repeatable(source):
    """The script with both checks letting everything through."""
    for pattern, replacement in EDITS:
        source, count = pattern.subn(replacement, source)
        assert count == 1, f"apply.lua has no longer a place like {pattern.pattern}"
    return source


def words(line):
    """The words of a line of MONITOR."""
    def unescape(match):
        text = match[1].decode("latin-1")
        if text[0] == "x" and len(text) == 3:
            return bytes([int(text[1:], 16)])
        return ESCAPES.get(text, match[1])
    return [ESCAPE.sub(unescape, one) for one in WORD.findall(line)]


class Ceiling:
    """of: the Redis that the front-end uses."""

    def __init__(self, bench, t, of):
        self.bench = bench
        self.t = t
        self.of = of
        self.redis = t.redis()
        self.size = 0
        self.call = None
        self.rate = 0

    @property
    def is_ready(self):
        return self.call is not None

    def prepare(self, size, load):
        """size: operations wanted; load: makes the front-end send its batches for some seconds."""
        loading = threading.Thread(target=load)
        loading.start()
        try:
            self.call = self._capture(size)
            # While it goes on, the entries are still their connections'.
            self._copy_data()
        finally:
            loading.join()
        self.size = self._operations(self.call)
        self.call[1] = self.redis("SCRIPT", "LOAD", repeatable("".join(map(self._script, PARTS))))
        for _ in range(2):
            results = self.redis(*self.call).decode().splitlines()
            assert results[0].startswith("ok ") and results[1:].count("ok") == self.size, results[:9]

    def _script(self, name):
        with open(self.t.path("pkg", "schema", "scripts", name), encoding="utf-8") as file:
            return file.read()

    @staticmethod
    def _operations(call):
        return sum(b"}:client:" in key for key in call[3:3 + int(call[2])])

    def _capture(self, size):
        """Reads MONITOR while the load runs; the call whose size is nearest."""
        path = f"{self.of.directory}/monitor"
        with open(path, "wb") as output:
            with subprocess.Popen(["redis-cli", "-s", self.of.socket, "monitor"], stdout=output,
                                  env=clean_environment()) as monitor:
                time.sleep(MONITOR_SECONDS)
                monitor.terminate()
        best = None
        with open(path, "rb") as file:
            for line in file:
                # The last line may be cut.
                if b'"EVALSHA"' not in line or not line.endswith(b'"\n') or line.count(b'"update"') < 1:
                    continue
                distance = abs(line.count(b'"update"') - size)
                if best is None or distance < best[0]:
                    best = (distance, line)
        assert best, "the front-end made no batch of updates"
        return [word.replace(b"\0", b"x") for word in words(best[1])]

    def _copy_data(self):
        keys = self.call[3:3 + int(self.call[2])]
        for key in set(keys):
            data = self.of("DUMP", key)
            if data is not None:
                self.redis("RESTORE", key, 0, data)
        node, link, before = self.call[3 + len(keys) + 1:][:3]
        self.redis("HSET", keys[0], b"link:" + node, link + b" " + before, "hold_until", 0)
        self.redis("ZADD", keys[1], FOREVER, node)

    def _run(self, calls):
        arguments = ["redis-benchmark", "-s", self.redis.socket, "-P", "16", "-c", "4", "-n", str(calls), "--csv"]
        done = subprocess.run([*arguments, *self.call], capture_output=True, check=True, timeout=120,
                              env=clean_environment())
        # A line of names, then one of values: "command","calls a second",…; the command has commas.
        line = done.stdout.decode("latin-1").rstrip("\n").splitlines()[-1]
        return float(re.findall(r'"([0-9.]+)"', line)[-7])

    def measure(self, seconds):
        if not self.rate:
            self.rate = self._run(500)
        calls = max(500, int(self.rate * seconds))
        cpu, began = self.redis.process.cpu(), time.monotonic()
        self.rate = self._run(calls)
        passed = time.monotonic() - began
        cpu = self.redis.process.cpu() - cpu
        figures = {"updates": self.rate * self.size, "redis_cpu_us_per_update": cpu * 1e6 / (calls * self.size),
                   "redis_cpu_percent": 100 * cpu / passed, "batch": self.size}
        self.bench.say(f"  redis-benchmark updates={figures['updates']:.0f} "
                       f"redis_cpu_us_per_update={figures['redis_cpu_us_per_update']:.3f}")
        self.bench.note(f"redis-benchmark -P 16 -c 4 -n {'N'} EVALSHA … (apply, {self.size} updates a call)", figures)
        return figures
