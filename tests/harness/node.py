"""Programs in Node: the scripts of tests/conformance with the npm packages that its lock file names.

A script is run with the name of one of its checks and addresses. It asks for what only the test can do (kill
a front-end, cut Redis) by a line "@what" on its standard output, and goes on when a line comes back.
"""
import fcntl
import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading

from .process import _die_with_parent, clean_environment
from .waiting import scaled

HERE = os.path.dirname(os.path.abspath(__file__))
SCRIPTS = os.path.join(os.path.dirname(HERE), "conformance")
# About what the packages take on disk: said before they are installed.
MEGABYTES = 13


def install(build):
    """The directory with the packages as locked; only once for each lock file."""
    directory = os.path.join(build, "conformance")
    os.makedirs(directory, exist_ok=True)
    with open(os.path.join(directory, "lock"), "w", encoding="utf-8") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        _install_packages(directory)
        for name in os.listdir(SCRIPTS):
            if name.endswith((".mjs", ".html")):
                _copy(os.path.join(SCRIPTS, name), os.path.join(directory, name))
    return directory


def _read(path):
    with open(path, "rb") as file:
        return file.read()


def _copy(source, target):
    """Whole or not at all: another test may be running it."""
    if os.path.exists(target) and _read(source) == _read(target):
        return
    shutil.copy(source, target + ".new")
    os.rename(target + ".new", target)


def _install_packages(directory):
    lock, done = os.path.join(SCRIPTS, "package-lock.json"), os.path.join(directory, "installed.json")
    if os.path.exists(done) and _read(done) == _read(lock):
        return
    for name in ("package.json", "package-lock.json"):
        shutil.copy(os.path.join(SCRIPTS, name), directory)
    packages = [name for name in json.loads(_read(lock))["packages"] if name]
    print(f"installing {len(packages)} npm packages, {MEGABYTES} MB on disk", file=sys.stderr, flush=True)
    subprocess.run(["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--prefer-offline",
                    "--loglevel=error"], cwd=directory, check=True)
    shutil.copy(lock, done)


def run_script(t, script, check, *addresses, actions=None, timeout=90):
    """Runs one check of a script; it must end with 0. actions: what it may ask for, name → function."""
    directory = install(t.build)
    home = tempfile.mkdtemp(prefix="node", dir=t.directory("home"))
    child = subprocess.Popen(["node", script, check, *addresses], cwd=directory, text=True, errors="backslashreplace",
                             stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                             env=clean_environment({"HOME": home}), preexec_fn=_die_with_parent, start_new_session=True)
    late = threading.Timer(scaled(timeout), child.kill)
    late.start()
    output = []
    try:
        for line in child.stdout:
            output.append(line)
            if line.startswith("@"):
                result = (actions or {})[line[1:].strip()]()
                child.stdin.write(f"{'' if result is None else result}\n")
                child.stdin.flush()
        code = child.wait()
    finally:
        late.cancel()
        child.kill()
        child.wait()
        child.stdin.close()
        child.stdout.close()
    assert code == 0, f"{script} {check} ended with {code}:\n{''.join(output)}"
    return "".join(output)
