"""A child process with its output in a file: started so that it dies with the test, however the
test ends; its log can be waited for.
"""
import ctypes
import os
import re
import signal
import subprocess

from . import acl
from .waiting import scaled, wait_until

_LIBC = ctypes.CDLL(None, use_errno=True)
_PR_SET_PDEATHSIG = 1
_SANITIZER = re.compile(r"ERROR: \w+Sanitizer|WARNING: \w+Sanitizer|: runtime error: |Assertion .*failed")


def _die_with_parent():
    _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)


def clean_environment(extra=None):
    """The environment of every child: nothing of the caller's that could change a result."""
    kept = {key: os.environ[key] for key in ("PATH", "TMPDIR") if key in os.environ}
    kept["PATH"] = kept.get("PATH", "/usr/bin:/bin") + ":/usr/local/bin:/usr/sbin:/sbin"
    kept["LC_ALL"] = "C.UTF-8"
    kept["HOME"] = "/dev/null"
    kept["ASAN_OPTIONS"] = "detect_leaks=1:exitcode=99:detect_stack_use_after_return=0:quarantine_size_mb=64"
    kept["UBSAN_OPTIONS"] = "print_stacktrace=1:halt_on_error=1"
    kept.update(extra or {})
    return kept


def environment_for(arguments, extra=None):
    """The environment of a program of ours: with the user of Redis that it is to be."""
    return clean_environment({**acl.credentials(arguments, extra), **(extra or {})})


def logfmt(line):
    """The fields of a log line as a dict of text."""
    fields = {}
    for match in re.finditer(r'([\w.]+)=("(?:[^"\\]|\\.)*"|\S*)', line):
        value = match[2]
        if value.startswith('"'):
            value = re.sub(r"\\(.)", r"\1", value[1:-1])
        fields[match[1]] = value
    return fields


def run(arguments, timeout=20, input=None, environment=None, check=True):
    """Runs a command to its end; check: its exit must be 0. Returns the CompletedProcess, with
    text."""
    done = subprocess.run(arguments, input=input, stdin=subprocess.DEVNULL if input is None else None,
                          capture_output=True, text=True, errors="backslashreplace",
                          timeout=scaled(timeout), env=environment_for(arguments, environment),
                          preexec_fn=_die_with_parent, check=False)
    assert not _SANITIZER.search(done.stderr), done.stderr
    if check:
        assert done.returncode == 0, f"{arguments} exited with {done.returncode}:\n{done.stdout}{done.stderr}"
    return done


class Process:
    """name: for messages. log_path: where standard output and error go."""

    def __init__(self, name, arguments, log_path, environment=None, cwd=None):
        self.name = name
        self.arguments = arguments
        self.log_path = log_path
        self.frozen = False
        with open(log_path, "ab") as log:
            self.child = subprocess.Popen(arguments, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                          env=environment_for(arguments, environment),
                                          cwd=cwd, preexec_fn=_die_with_parent)
        self.pid = self.child.pid

    @property
    def log(self):
        with open(self.log_path, encoding="utf-8", errors="backslashreplace") as file:
            return file.read()

    def running(self):
        return self.child.poll() is None

    def log_position(self):
        """To be given as `since` to what reads the log, to leave out what was said before."""
        return len(self.log)

    def log_lines(self, pattern, since=0):
        """The lines of the log that match."""
        return [line for line in self.log[since:].splitlines() if re.search(pattern, line)]

    def wait_for_log(self, pattern, timeout=10, since=0):
        """The first line that matches, as soon as there is one; it fails at once when the process
        has ended without it."""
        def look():
            ended = not self.running()
            lines = self.log_lines(pattern, since)
            if not lines and ended:
                raise AssertionError(f"{self.name} ended ({self.child.returncode}) without a line "
                                     f"like {pattern!r}:\n{self.log}")
            return lines
        return wait_until(look, timeout, f"{self.name} logs {pattern!r}")[0]

    def signal(self, number):
        self.child.send_signal(number)

    def wait(self, timeout=20):
        """Waits for the end; the exit code, negative for a signal."""
        try:
            return self.child.wait(scaled(timeout))
        except subprocess.TimeoutExpired:
            raise AssertionError(f"{self.name} does not end; its log:\n{self.log[-4000:]}") from None

    def kill(self):
        """SIGKILL, and waits."""
        if self.running():
            self.child.kill()
        self.child.wait()

    def freeze(self):
        self.frozen = True
        self.signal(signal.SIGSTOP)
        wait_until(lambda: self.stat()[2] == "T", 5, f"{self.name} is stopped")

    def thaw(self):
        """Nothing where it was not frozen: the leak sanitizer hangs for ever when the signal finds it at
        its work."""
        if self.frozen:
            self.frozen = False
            self.signal(signal.SIGCONT)

    def stat(self):
        """The fields of /proc/PID/stat, the name without its parentheses."""
        with open(f"/proc/{self.pid}/stat", encoding="utf-8") as file:
            text = file.read()
        name_end = text.rindex(")")
        return [text.split()[0], text[text.index("(") + 1:name_end]] + text[name_end + 2:].split()

    def memory(self):
        """Resident memory in bytes."""
        with open(f"/proc/{self.pid}/status", encoding="utf-8") as file:
            return int(re.search(r"VmRSS:\s+(\d+) kB", file.read())[1]) * 1024

    def cpu(self):
        """Seconds of processor time so far."""
        fields = self.stat()
        return (int(fields[13]) + int(fields[14])) / os.sysconf("SC_CLK_TCK")

    def check_log_is_clean(self):
        found = _SANITIZER.search(self.log)
        assert not found, f"{self.name} has a sanitizer's report:\n{self.log[max(0, found.start() - 500):][:8000]}"
