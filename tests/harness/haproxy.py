"""HAProxy with a configuration file, on loopback."""
import os

from .process import Process, run
from .redis import free_port


class Haproxy:
    """config: the file's path. environment: for its "${NAME}"s; the ports named in `ports` are
    chosen here, as variables of those names, and stand in the dict of that name then."""

    def __init__(self, directory, config, environment, ports=()):
        for _ in range(10):
            self.ports = {name: free_port() for name in ports}
            values = {**environment, **{name: str(port) for name, port in self.ports.items()}}
            self.process = Process("haproxy", ["haproxy", "-db", "-f", config],
                                   os.path.join(directory, "haproxy.log"), values)
            if self._started():
                return
        raise AssertionError(f"haproxy does not start:\n{self.process.log}")

    def _started(self):
        """Bound its ports, or ended; -db keeps it in the foreground, and it says this line."""
        try:
            self.process.wait_for_log(r"New worker|Loading success|started", 10)
            return True
        except AssertionError:
            assert "cannot bind" in self.process.log, self.process.log
            return False

    @staticmethod
    def check(config, environment):
        """haproxy -c: the complaint, or an empty text."""
        done = run(["haproxy", "-c", "-q", "-f", config], environment=environment, check=False)
        return "" if done.returncode == 0 else done.stdout + done.stderr or "refused"

    def stop(self):
        self.process.kill()
