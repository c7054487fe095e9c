"""The time of day of one program, which a test shifts."""
import os
import struct


class Clock:
    """Programs that are started with its environment have it. Their monotonic clock stays as it is, and so does what
    waits by it. See clock_shift.c."""

    def __init__(self, t):
        self.path = os.path.join(t.directory("clock"), "shift")
        with open(self.path, "wb") as file:
            file.write(struct.pack("=q", 0))
        self.environment = {"LD_PRELOAD": os.path.join(t.build, "test", "clock_shift.so"), "CLOCK_SHIFT": self.path,
                            "ASAN_OPTIONS": "detect_leaks=0:exitcode=99:verify_asan_link_order=0"}

    def shift(self, seconds):
        """Against the machine's, from now on; also of programs that run."""
        with open(self.path, "r+b") as file:
            file.write(struct.pack("=q", int(seconds * 1000000)))
