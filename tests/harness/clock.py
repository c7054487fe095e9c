"""The time of day of one program, which a test shifts."""
import os
import struct


class Clock:
    """Programs that are started with its environment have it. Their monotonic clock stays as it is, and so does what
    waits by it. With a time (in seconds since 1970) it is stopped there, and shift() moves it. See clock_shift.c."""

    def __init__(self, t, stopped_at=None):
        self.now = stopped_at
        self.path = os.path.join(t.directory("clock"), "shift")
        with open(self.path, "wb") as file:
            file.write(struct.pack("=q", (stopped_at or 0) * 1000000))
        self.environment = {"LD_PRELOAD": os.path.join(t.build, "test", "clock_shift.so"), "CLOCK_SHIFT": self.path,
                            "ASAN_OPTIONS": "detect_leaks=0:exitcode=99:verify_asan_link_order=0",
                            **({} if stopped_at is None else {"CLOCK_STOPPED": "1"})}

    def shift(self, seconds):
        """Against the machine's, from now on; of a stopped one against its present time. Also of programs that
        run."""
        if self.now is not None:
            self.now += seconds
            seconds = self.now
        with open(self.path, "r+b") as file:
            file.write(struct.pack("=q", int(seconds * 1000000)))
