"""The harness of the integration, conformance and fault tests. A test is a function test_*(t)
in a file test_*.py; t is a harness.context.Context, which starts what the test needs and takes
it down again, whatever happens.
"""
from . import acl, certificates
from .context import Context
from .process import logfmt
from .resp import RedisError
from .tracker import Original2014, Original2013, Plain, Push, Versioned, Wide, packets
from .waiting import SCALE, scaled, stolen, wait_until

__all__ = ["Context", "certificates", "Original2014", "Original2013", "Plain", "Push", "RedisError", "SCALE",
           "Versioned", "Wide", "acl", "logfmt", "packets", "scaled", "stolen", "wait_until"]
