"""docs/tutorial.md: every line of it, typed as it says, in its order: a shell, a sensor, the consoles of two
tabs in headless Chromium. What it says is printed is printed; an ellipsis stands for anything."""
import json
import os
import re
import signal
import types

from harness import logfmt
from harness.events import EventLog
from harness.node import run_script
from harness.resp import Subscriber

TIMEOUT = 180
BLOCK = re.compile(r"^```([^\n]*)\n(.*?)^```$", re.M | re.S)


class Tutorial:
    """Goes through the text: each block in its place, and what the text asks one to do between them."""

    def __init__(self, t):
        self.t = t
        with open(t.path("docs/tutorial.md"), encoding="utf-8") as file:
            self.text = file.read()
        self.directory = t.directory("tutorial")
        self.sensor = None
        self.front_end = None
        self.done = []
        self.expected = None
        self.steps = self.walk()

    # The steps, in the text's order: of the consoles' blocks what is to be typed, of all else nothing.

    def walk(self):
        at = 0
        for block in BLOCK.finditer(self.text):
            self.between(self.text[at:block.start()])
            at = block.end()
            what, _, name = block[1].strip().partition(" ")
            self.done.append(block[1].strip())
            if what == "js":
                yield {"tab": name, "code": block[2]}
            else:
                getattr(self, f"do_{what or 'output'}")(name, block[2])
        self.between(self.text[at:])

    def between(self, text):
        if "Stop the sensor" in text:
            self.sensor.signal(signal.SIGINT)
            self.sensor.wait()
        if "Start it again" in text:
            self.do_sh("sensor", "python3 sensor.py\n")

    def with_ports(self, text):
        """The front-end of the test has other ports than one of `make run`."""
        where = self.where
        for kind, usual in (("tracker", 6789), ("web", 8080)):
            text = text.replace(str(usual), where[kind].rpartition(":")[2])
        return text

    def do_python(self, name, code):
        with open(os.path.join(self.directory, name), "w", encoding="utf-8") as file:
            file.write(self.with_ports(code))

    def do_sh(self, name, commands):
        if name == "front-end":
            assert commands == "make run\n", commands
            self.start_front_end()
        elif name == "sensor":
            self.sensor = self.t.start("sensor", ["/bin/sh", "-c", f"exec {commands}"], cwd=self.directory)
            self.wait_for_state()
        else:
            self.printed = "".join(self.run(line) for line in commands.splitlines())

    def start_front_end(self):
        run = self.t.start("run-local", [
            self.t.path("docker/run-local"), self.t.program("trackerd"), "--listen", "tracker=127.0.0.1:0",
            "--listen", "web=127.0.0.1:0", "--set", "drain.time=0s"])
        self.front_end = run
        run.wait_for_log("sleep 60")
        ready = logfmt(run.log_lines("msg=ready")[0])
        self.where = dict(one.split("=", 1) for one in ready["listen"].split(","))
        self.redis = logfmt(run.log_lines("msg=redis_started")[0])["join"]
        path = self.redis.removeprefix("unix:")
        self.events = EventLog(types.SimpleNamespace(subscribe=lambda *channels: Subscriber(path, *channels)))
        self.t.stack.callback(self.events.close)

    def run(self, line):
        if line.startswith("export TRACKER_REDIS_URL="):
            return ""
        command = self.with_ports(line).replace("build/bin/", os.path.join(self.t.build, "bin", ""))
        return self.t.run("/bin/sh", "-c", command, environment={"TRACKER_REDIS_URL": self.redis}).stdout

    def wait_for_state(self):
        """The reader has looked at the page by now, and has seen it there."""
        self.t.wait_until(lambda: "roof" in self.run("build/bin/trackerctl --quiet clients"), 20)

    def do_output(self, _name, text):
        self.check(self.printed, text)

    @staticmethod
    def check(printed, wanted):
        pattern = ".*".join(re.escape(part) for part in wanted.strip().split("…"))
        assert re.fullmatch(pattern, printed.strip(), re.S), f"printed:\n{printed}\nnot:\n{wanted}"

    # What the script asks for: the next block, when it has read what the last one printed.

    def __getitem__(self, line):
        def answer():
            if line.startswith("printed "):
                printed = json.loads(line.removeprefix("printed "))
                assert len(printed) == len(self.expected), f"{printed}, not {self.expected}"
                for one, wanted in zip(printed, self.expected):
                    self.check(one, wanted)
            step = next(self.steps, None)
            if step:
                self.expected = [code.partition("// ")[2] for code in step["code"].splitlines()
                                 if code.startswith("console.log(")]
            return json.dumps(step)
        return answer


def test_every_line_of_it(t):
    tutorial = Tutorial(t)
    first = next(tutorial.steps)  # up to the first line for a console
    tutorial.steps = iter_from(first, tutorial.steps)
    run_script(t, "tutorial.mjs", "consoles", "http://" + tutorial.where["web"], actions=tutorial, timeout=150)
    assert len(tutorial.done) == tutorial.text.count("\n```") // 2, tutorial.done
    check_the_end(t, tutorial)
    tutorial.front_end.signal(signal.SIGINT)
    assert tutorial.front_end.wait() == 0, tutorial.front_end.log


def check_the_end(t, tutorial):
    """The tabs have ended. The browser's entry waits for client.grace, 5 s, before it is closed; the game's user is
    offline at last, and the room is gone."""
    token = next(event.id for event in tutorial.events.read() if event.fields.get(b"protocol") == b"sync")
    t.wait_until(lambda: tutorial.events.of(token, "close"), 20, "the end of the browser's entry")
    assert [event.op for event in tutorial.events.of(token)][-2:] == ["orphan", "close"], tutorial.events.of(token)
    assert tutorial.events.of(token, "close")[0].fields[b"reason"] == b"expired"
    t.wait_until(lambda: re.search("1:42 +offline", tutorial.run("build/bin/trackerctl --quiet presence 1:42")), 20)
    tutorial.run("! build/bin/trackerctl --quiet room arena")


def iter_from(first, rest):
    yield first
    yield from rest
