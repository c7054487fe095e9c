"""A front-end: trackerd on free ports."""
import http.client
import os
import re
import signal
import socket

from .process import Process, logfmt
from .waiting import scaled, wait_until

# With TRACKER_TEST_WORKERS=N every front-end has so many workers, unless the test gives a number itself.
WORKERS = os.environ.get("TRACKER_TEST_WORKERS") or None
LOOPBACK = ("tracker=127.0.0.1:0", "web=127.0.0.1:0")


class Frontend:
    """redis: a Redis, a URL, or None for an embedded one. listen: the listeners, options included
    (a port 0 is replaced by a free one). settings: as for --set. wrapper: words before the command. workers: under a
    supervisor. Returns when it is ready."""

    def __init__(self, program, directory, redis=None, node=None, listen=LOOPBACK, settings=None,
                 config=None, environment=None, arguments=(), wait=True, timeout=20, wrapper=(), workers=None):
        # A drain that takes its usual time would only make the tests slow.
        self.settings = {"drain.time": "0s", **(settings or {})}
        self.redis = redis
        command = [*wrapper, program]
        if config is not None:
            self.config_path = os.path.join(directory, "trackerd.ini")
            self.write_config(config)
            command += ["--config", self.config_path]
        if node is not None:
            command += ["--node", node]
        if redis is not None:
            command += ["--redis", redis if isinstance(redis, str) else redis.url]
        for one in listen:
            command += ["--listen", one]
        for key, value in self.settings.items():
            command += ["--set", f"{key}={value}"]
        # A test that does not know of workers sees the metrics of one front-end.
        self.is_merged = workers is None and WORKERS is not None
        workers = WORKERS if workers is None else workers
        if workers is not None:
            command += ["--workers", str(workers)]
        command += arguments
        self.node = node
        self.name = f"trackerd {node or os.path.basename(directory)}"
        self.listeners = []
        self.draining = False
        self.process = Process(self.name, command, os.path.join(directory, "trackerd.log"), environment)
        if wait:
            self.wait_ready(timeout)

    def write_config(self, text):
        """Replaces the configuration file; reload() makes it known."""
        with open(self.config_path, "w", encoding="utf-8") as file:
            file.write(text)

    def wait_ready(self, timeout=20):
        self.take_listeners(self.process.wait_for_log(r"\bmsg=ready\b", timeout))

    def take_listeners(self, line):
        """From a line of the log."""
        self.listeners = [tuple(one.split("=", 1)) for one in logfmt(line)["listen"].split(",")]

    # Where it listens.

    def where(self, kind="tracker", index=0):
        """The text of a listener's address as the ready line has it."""
        return [where for name, where in self.listeners if name == kind][index]

    def address(self, kind="tracker", index=0):
        """(host, port), or the path of a unix socket."""
        where = self.where(kind, index)
        if where.startswith("unix:"):
            return where[5:]
        host, port = where.rsplit(":", 1)
        return host.strip("[]"), int(port)

    # HTTP.

    def http(self, path, method="GET", headers=None, body=None, timeout=10, source=None):
        """(status, headers, body) of a request to the web listener; source: the address to come from."""
        host, port = self.address("web")
        connection = http.client.HTTPConnection(host, port, timeout=scaled(timeout),
                                                source_address=(source, 0) if source else None)
        try:
            connection.request(method, path, body=body, headers=headers or {})
            answer = connection.getresponse()
            return answer.status, dict(answer.getheaders()), answer.read()
        finally:
            connection.close()

    def metrics(self):
        """All metrics: "tracker_name" or 'tracker_name{label="value"}' -> number."""
        status, _, body = self.http("/metrics")
        assert status == 200, (status, body)
        found = {}
        for line in body.decode().splitlines():
            if line and not line.startswith("#"):
                name, value = line.rsplit(" ", 1)
                if self.is_merged:
                    self._merge(found, re.sub(r'\{worker="\d+"\}|,worker="\d+"', "", name), float(value))
                else:
                    found[name] = float(value)
        return found

    @staticmethod
    def _merge(found, name, value):
        """The same of another worker: what is 0 or 1 is so if it is of all, what they share is one, the rest is
        added."""
        merge = sum
        if re.match(r"tracker_(ready|\w+_up|cut_off)\b", name):
            merge = min
        elif re.match(r"tracker_(q3master_servers|view_entries)\b", name):
            merge = max
        found[name] = merge((found[name], value)) if name in found else value

    def metric(self, name, **labels):
        """The sum of the metric's lines whose labels include these."""
        return sum(value for line, value in self.metrics().items()
                   if re.match(rf"{name}(\{{|$)", line)
                   and all(f'{key}="{wanted}"' in line for key, wanted in labels.items()))

    def wait_for_metric(self, name, predicate, timeout=10, **labels):
        """Waits until predicate(value) holds; returns the value. predicate: or the least value."""
        wanted = predicate if callable(predicate) else lambda value: value >= predicate
        wait_until(lambda: wanted(self.metric(name, **labels)), timeout,
                   lambda: f"{self.name}: {name}{labels} is {self.metric(name, **labels)}", 0.02)
        return self.metric(name, **labels)

    def ready(self):
        """Whether /readyz says so."""
        try:
            return self.http("/readyz")[0] == 200
        except (OSError, http.client.HTTPException):
            return False

    # Its life.

    @property
    def pid(self):
        return self.process.pid

    def worker_pids(self):
        """Of each worker that was started: its number -> the latest pid."""
        fields = [logfmt(line) for line in self.log_lines(r"\bmsg=worker_started\b")]
        return {int(one["worker"]): int(one["pid"]) for one in fields}

    @property
    def log(self):
        return self.process.log

    def log_lines(self, pattern, since=0):
        return self.process.log_lines(pattern, since)

    def wait_for_log(self, pattern, timeout=10, since=0):
        return self.process.wait_for_log(pattern, timeout, since)

    def running(self):
        return self.process.running()

    def reload(self):
        """SIGHUP."""
        self.process.signal(signal.SIGHUP)

    def drain(self):
        """SIGTERM, without waiting. A second one ends it at once."""
        self.draining = True
        self.process.signal(signal.SIGTERM)

    def stop(self, timeout=30):
        """SIGTERM; it must end by itself with exit code 0, and without a leak."""
        if self.running():
            self.process.thaw()
            if not self.draining:
                self.drain()
        code = self.process.wait(timeout)
        self.process.check_log_is_clean()
        assert code == 0, f"{self.name} exited with {code}; its log:\n{self.log[-6000:]}"

    def kill(self):
        """kill -9."""
        self.process.kill()
        self.process.check_log_is_clean()

    def freeze(self):
        self.process.freeze()

    def thaw(self):
        self.process.thaw()

    def accepts(self, kind="tracker"):
        """Whether the listener takes a connection."""
        try:
            socket.create_connection(self.address(kind), timeout=scaled(5)).close()
            return True
        except OSError:
            return False
