"""What the measurements share: settings, rows of the table, figures."""
import collections
import statistics

# Limits that a benchmark exceeds, as all of it comes from few addresses and connections.
LIMITS = {"net.max_per_address": "0", "net.handshake_timeout": "1h", "access.connect_rate": "0",
          "tracker.rate": "0", "budget.rate": "0", "budget.address_rate": "0", "tracker.pipeline": "1024",
          "client.max_ids": "100000", "ws.rate": "0"}
KIB = 1024

# One row of the table. met: whether the aim is reached, None where there is none.
Finding = collections.namedtuple("Finding", "what ours reference ratio aim met commands")


class Ratio:
    """Of values that were measured in turn."""

    def __init__(self, ours, reference):
        self.values = [one / other for one, other in zip(ours, reference)]
        self.median = statistics.median(self.values)

    def __str__(self):
        return f"{self.median:.2f} ({min(self.values):.2f}–{max(self.values):.2f})"


def figure(values, unit, decimals=0):
    """The median, as text."""
    return f"{statistics.median(values):,.{decimals}f} {unit}"
