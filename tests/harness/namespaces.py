"""Hosts on one machine: network namespaces around a router that can drop their packets.

    network = t.network()                 # before the test starts a thread
    a, b = network.host("a"), network.host("b")
    with a:
        frontend = t.frontend(...)        # what is started and opened in here is on host a
    network.drop(a)                       # nothing passes to and from it: no reset, no ICMP
    network.restore(a)
    network.limit(a, "256kbit")           # what goes to it, and what comes from it
    network.disk(directory, 1 << 20)      # a small disk, for what is started here
    network.resolve(redis=a.address)      # names, for what is started here
    network.nameserver(b.address)         # who is asked for all others

The test's process becomes root of a user namespace of its own, so that plain users can run such tests
too; the network namespace that it stays in is the router. `with host:` moves the calling thread into
the host; sockets and processes stay where they were made. Hosts are held by descriptors of the test's
process only: whatever happens to it, they end with it and with what runs in them.

What is dropped is what the router forwards: servers and clients belong on hosts, not on the router.
A unix socket with a path reaches through all hosts, and nothing can drop what passes there. Mounts are
the process's own, too.
"""
import ctypes
import os
import tempfile
import threading

from .process import run
from .waiting import stalls_unwatched

_LIBC = ctypes.CDLL(None, use_errno=True)
_CLONE_NEWNS, _CLONE_NEWUSER, _CLONE_NEWNET = 0x00020000, 0x10000000, 0x40000000


class NotPermitted(AssertionError):
    """The machine does not allow what is needed: the test fails with that reason."""


def _refused(what, why):
    return NotPermitted(f"{what}: {why}. Tests with several hosts need user and network namespaces: see "
                        "kernel.unprivileged_userns_clone and user.max_user_namespaces, and in a container "
                        "its seccomp profile")


def _unshare(flags):
    if _LIBC.unshare(flags) != 0:
        raise _refused("unshare", os.strerror(ctypes.get_errno()))


def _enter(descriptor):
    if _LIBC.setns(descriptor, _CLONE_NEWNET) != 0:
        raise _refused("setns", os.strerror(ctypes.get_errno()))


def _here():
    """The network namespace of the calling thread."""
    return os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)


def _write(path, text):
    try:
        with open(path, "w", encoding="ascii") as file:
            file.write(text)
    except OSError as error:
        raise _refused(path, os.strerror(error.errno)) from None


def _command(*arguments):
    done = run(list(arguments), check=False)
    if done.returncode != 0:
        raise _refused(" ".join(arguments), done.stderr.strip())


def _ip(*arguments):
    _command("ip", *arguments)


class _Place:
    """The network namespace that the calling thread is in now, to come back to: `with place:`."""

    def __init__(self):
        self.descriptor = _here()
        self._before = []

    def __enter__(self):
        self._before.append(_here())
        _enter(self.descriptor)

    def __exit__(self, *_):
        before = self._before.pop()
        _enter(before)
        os.close(before)

    def close(self):
        os.close(self.descriptor)


class Host:
    """address: what the other hosts reach it by. `with host:` is on it."""

    def __init__(self, name, index, router):
        self.name = name
        self.address = f"10.77.{index}.2"
        self.link = f"host{index}"
        self._gateway = f"10.77.{index}.1"
        self._router = router
        self._place = None
        self._build()

    def _build(self):
        with self._router:
            _unshare(_CLONE_NEWNET)
            self._place = _Place()
        with self._router:
            path = f"/proc/{os.getpid()}/fd/{self._place.descriptor}"
            _ip("link", "add", self.link, "type", "veth", "peer", "name", "eth0", "netns", path)
            _ip("address", "add", f"{self._gateway}/30", "dev", self.link)
            _ip("link", "set", self.link, "up")
        with self:
            _ip("link", "set", "lo", "up")
            _ip("address", "add", f"{self.address}/30", "dev", "eth0")
            _ip("link", "set", "eth0", "up")
            _ip("route", "add", "default", "via", self._gateway)

    def reboot(self):
        """Makes it anew, with its address and without limits: it knows nothing of its connections. Not for use
        on it; what ran on it must have been killed."""
        with self._router:
            _ip("link", "delete", self.link)
        self.close()
        self._build()

    def __enter__(self):
        self._place.__enter__()
        return self

    def __exit__(self, *_):
        self._place.__exit__()

    def close(self):
        self._place.close()


class Network:
    """The router, and the hosts around it."""

    def __init__(self):
        user, group = os.geteuid(), os.getegid()
        self.hosts = []
        self._names = None
        self._files = []
        with stalls_unwatched():
            assert threading.active_count() == 1, "a process of several threads cannot enter a user namespace"
            _unshare(_CLONE_NEWUSER | _CLONE_NEWNET | _CLONE_NEWNS)
        _write("/proc/self/setgroups", "deny")
        _write("/proc/self/uid_map", f"0 {user} 1")
        _write("/proc/self/gid_map", f"0 {group} 1")
        self._router = _Place()
        _ip("link", "set", "lo", "up")
        _write("/proc/sys/net/ipv4/ip_forward", "1")

    def host(self, name):
        """One more host."""
        host = Host(name, len(self.hosts) + 1, self._router)
        self.hosts.append(host)
        return host

    def drop(self, host, other=None, answers=True):
        """Drops all packets to and from the host; other: only those between the two, and with answers=False
        only those from `host` to `other`."""
        self._rules("add", host, other, answers)

    def restore(self, host, other=None, answers=True):
        """Ends what drop with the same arguments began."""
        self._rules("delete", host, other, answers)

    def _rules(self, action, host, other, answers):
        with self._router:
            for selector in self._selectors(host, other, answers):
                # The kernel takes a rule of one address for a repetition of one of two of its priority.
                priority = "10" if "from" in selector and "to" in selector else "9"
                _ip("rule", action, "priority", priority, "blackhole", *selector)

    @staticmethod
    def _selectors(host, other, answers):
        if other is None:
            return (("from", host.address), ("to", host.address))
        there = ("from", host.address, "to", other.address)
        return (there, ("from", other.address, "to", host.address)) if answers else (there,)

    def limit(self, host, rate, burst=16384, waiting=1 << 20):
        """Each way so many bits a second pass (as tc has them: "256kbit"); of what waits, more than `waiting`
        bytes are dropped. None: all passes again."""
        for device, place in ((host.link, self._router), ("eth0", host)):
            with place:
                if rate is None:
                    _command("tc", "qdisc", "delete", "dev", device, "root")
                else:
                    _command("tc", "qdisc", "replace", "dev", device, "root", "tbf", "rate", rate,
                             "burst", str(burst), "limit", str(waiting))

    # Files, as this process and what it starts see them.

    @staticmethod
    def disk(directory, size):
        """A disk of that many bytes at an empty directory."""
        _command("mount", "-t", "tmpfs", "-o", f"size={size},mode=0700", "tmpfs", directory)

    def resolve(self, **addresses):
        """From now on the names stand for these addresses (each one, or a list), and no others are known; again:
        for others."""
        if self._names is None:
            self._names = self._replace("/etc/hosts")
        with open(self._names, "w", encoding="ascii") as file:
            file.write("127.0.0.1 localhost\n")
            for name, found in addresses.items():
                file.writelines(f"{address} {name}\n" for address in ([found] if isinstance(found, str) else found))

    def nameserver(self, address):
        """Names that `resolve` does not know are asked of this address. Once."""
        for path, text in (("/etc/resolv.conf", f"nameserver {address}\n"), ("/etc/nsswitch.conf", "hosts: files dns\n")):
            with open(self._replace(path), "w", encoding="ascii") as file:
                file.write(text)

    def _replace(self, path):
        """A file of the test's own that this process and what it starts see there."""
        descriptor, own = tempfile.mkstemp(prefix="trkfile")
        os.close(descriptor)
        os.chmod(own, 0o644)
        _command("mount", "--bind", own, path)
        self._files.append(own)
        return own

    def close(self):
        for host in self.hosts:
            host.close()
        self._router.close()
        for file in self._files:
            os.unlink(file)
