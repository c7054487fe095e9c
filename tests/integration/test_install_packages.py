"""docker/install-packages, with an apt-get that only says what it was asked for."""
import os
import shutil

from harness.process import run

NEEDED = ("sh", "cat", "basename", "dirname")


def commands(t, **scripts):
    """A directory of commands for PATH: a few of the system's, and these scripts."""
    directory = t.directory("bin")
    for name in NEEDED:
        os.symlink(shutil.which(name), os.path.join(directory, name))
    for name, text in scripts.items():
        path = os.path.join(directory, name)
        with open(path, "w", encoding="utf-8") as file:
            file.write("#!/bin/sh\n" + text + "\n")
        os.chmod(path, 0o755)
    return directory


def install(t, path, *groups):
    return run(["/bin/sh", t.path("docker/install-packages"), *groups], environment={"PATH": path}, check=False)


def recording(t):
    log = os.path.join(t.directory(), "asked")
    return log, f'echo "${{0##*/}} $*" >>{log}'


def asked(log):
    if not os.path.exists(log):
        return ""
    with open(log, encoding="utf-8") as file:
        return file.read()


def test_nothing_missing_is_silent_and_asks_nobody(t):
    log, record = recording(t)
    fakes = commands(t, **{"apt-get": record, "sudo": record, "id": record})
    done = install(t, f"{fakes}:{os.environ['PATH']}", "build")
    assert (done.returncode, done.stdout, done.stderr, asked(log)) == (0, "", "", ""), (done, asked(log))


def test_missing_packages_are_asked_for_with_sudo(t):
    """Without their commands, the packages are wanted, by a user by way of sudo; what is still
    missing after that is an error."""
    log, record = recording(t)
    fakes = commands(t, **{"apt-get": record, "sudo": record, "id": "echo 1000"})
    done = install(t, fakes, "build")
    assert done.returncode == 1 and "still missing" in done.stderr, done
    words = asked(log).split()
    assert words[:2] == ["sudo", "sh"] and "--as-root" in words, words
    assert {"gcc", "redis-tools", "python3"} <= set(words), words
    # Running needs nothing that only tests do.
    assert not {"openssl", "haproxy", "libcmocka-dev", "pkgconf"} & set(words), words
    assert "redis-server" not in words and "libevent-dev" not in words, words
    assert len(words) == len(set(words)), words


def test_neither_root_nor_sudo(t):
    fakes = commands(t, **{"apt-get": "exit 1", "id": "echo 1000"})
    done = install(t, fakes, "build")
    assert done.returncode == 1 and "as root, run: apt-get install" in done.stderr, done


def test_an_unknown_group(t):
    assert install(t, os.environ["PATH"], "everything").returncode == 2
