"""A real terminal: a command in a tmux server of its own, whose screen can be read and whose keys
can be pressed."""
import os
import subprocess

from .process import environment_for
from .waiting import wait_until


class Terminal:
    """width and height in characters. The tmux server ends with the test."""

    def __init__(self, t, command, width=80, height=24, environment=None):
        self.socket = os.path.join(t.directory("term"), "s")
        self.environment = environment_for(command, {"TERM": "xterm-256color", **(environment or {})})
        t.stack.callback(self.end)
        self._tmux("-f", "/dev/null", "new-session", "-d", "-s", "main", "-x", str(width), "-y", str(height),
                   "-c", "/", *command)
        # The screen stays to be looked at when the command has ended.
        self._tmux("set-option", "-g", "remain-on-exit", "on")

    def _tmux(self, *arguments, check=True):
        done = subprocess.run(["tmux", "-S", self.socket, *arguments], env=self.environment, text=True,
                              capture_output=True, timeout=20, check=False)
        if check:
            assert done.returncode == 0, f"tmux {' '.join(arguments)}: {done.stderr}"
        return done.stdout

    def end(self):
        self._tmux("kill-server", check=False)

    def screen(self):
        """The lines that are shown, without the spaces at their ends."""
        return [line.rstrip() for line in self._tmux("capture-pane", "-p", "-t", "main").split("\n")]

    def press(self, *keys):
        """Names as tmux has them ("Down", "Enter", "C-c"), or characters."""
        self._tmux("send-keys", "-t", "main", *keys)

    def type(self, text):
        self._tmux("send-keys", "-t", "main", "-l", text)

    def resize(self, width, height):
        self._tmux("resize-window", "-t", "main", "-x", str(width), "-y", str(height))

    def wait_for(self, predicate, what=None, timeout=20):
        """Waits until predicate(lines) is true; the lines."""
        seen = []

        def look():
            seen[:] = self.screen()
            return predicate(seen)
        wait_until(look, timeout, lambda: f"{what or predicate}; the screen:\n" + "\n".join(seen), interval=0.05)
        return list(seen)

    def wait_for_end(self):
        """Waits for the command's end; its exit code."""
        wait_until(lambda: self._tmux("display-message", "-p", "-t", "main", "#{pane_dead}").strip() == "1",
                   what="the command in the terminal has not ended")
        return int(self._tmux("display-message", "-p", "-t", "main", "#{pane_dead_status}").strip() or 0)
