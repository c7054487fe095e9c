"""docker/install-packages, with an apt-get that only says what it was asked for; and who asks for which group."""
import os
import re
import shutil

from harness.process import run

NEEDED = ("sh", "cat", "basename", "dirname")
# Where Debian has its own programs, and nothing more.
PLAIN_PATH = "/usr/bin:/bin"


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


def call(t, line, path):
    """A line of shell with the functions of the script."""
    with open(t.path("docker/install-packages"), encoding="utf-8") as file:
        functions, _, _ = file.read().partition('if [ "${1-}" = --as-root ]')
    return run(["/bin/sh", "-c", f"{functions}\n{line}"], environment={"PATH": path}).stderr


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


def test_no_directory_of_path_is_presupposed(t):
    """What is in /usr/local/bin and in /usr/sbin is found without them in PATH."""
    done = install(t, PLAIN_PATH, "build", "test")
    assert (done.returncode, done.stderr) == (0, ""), done
    found = run(["make", "-s", "-C", t.path(), "--eval", "found: ; @command -v redis-server && command -v haproxy",
                 "found"], environment={"PATH": PLAIN_PATH})
    assert len(found.stdout.split()) == 2, found


def test_each_command_asks_for_its_groups(t):
    for target, groups in {"run": "build", "test": "build test", "chaos": "build test", "conformance": "build test",
                           "lint": "build lint", "fuzz": "build fuzz", "bench": "build bench",
                           "bench-check": "build counts"}.items():
        # Without the build and what comes after it.
        planned = run(["make", "-n", "-C", t.path(), "MAKE=:", target]).stdout
        asked_for = re.findall(r"^docker/install-packages (.*)$", planned, re.M)
        assert asked_for == [groups], (target, planned)


def test_what_running_needs_has_nothing_of_the_tests(t):
    """No package of the test, lint, fuzz, bench and counts groups is also one of the build group, where that one does not
    need another file of it."""
    with open(t.path("docker/install-packages"), encoding="utf-8") as file:
        rows = [line.split() for line in re.findall(r"^(?:build|test|lint|fuzz|bench|counts) .*$", file.read(), re.M)]
    build = {row[-1] for row in rows if row[0] == "build"}
    shared = build & {row[-1] for row in rows if row[0] != "build"}
    assert shared == {"redis-tools"}, shared
    programs = {row[2] for row in rows if row[0] == "build" and row[1] == "command"}
    assert programs == {"gcc", "redis-cli", "redis-server", "python3"}, programs


def test_how_much_is_printed_before(t):
    fakes = commands(t, **{"apt-get": """cat <<END
0 upgraded, 80 newly installed, 0 to remove and 10 not upgraded.
Need to get 64.7 MB/70.1 MB of archives.
After this operation, 258 MB of additional disk space will be used.
END
exit 1"""})
    os.symlink(shutil.which("awk"), os.path.join(fakes, "awk"))
    said = call(t, "say_how_much gcc", fakes)
    assert said == "install-packages: 80 packages: 64.7 MB to download, 258 MB on disk\n", said


def test_services_of_new_packages_are_disabled(t):
    """Units and init scripts of packages that came new, not of those that were there, nor of systemd itself."""
    log, record = recording(t)
    fakes = commands(t, **{"deb-systemd-helper": record, "update-rc.d": record, "systemctl": record, "dpkg-query": """
case $1 in
-W) printf 'ii  old\\nii  new\\nrc  gone\\nii  systemd\\n' ;;
-L) printf '/etc/init.d\\n/etc/init.d/%s\\n/lib/systemd/system/%s.service\\n' "$2" "$2"
    printf '/usr/lib/systemd/system/%s.timer\\n/usr/lib/systemd/system/%s@.service\\n' "$2" "$2" ;;
esac"""})
    for name in ("sed", "sort"):
        os.symlink(shutil.which(name), os.path.join(fakes, name))
    call(t, "before=' old '; disable_new_services", fakes)
    lines = [line for line in asked(log).splitlines() if not line.startswith("systemctl")]
    assert lines == ["update-rc.d new disable", "deb-systemd-helper --quiet disable new.service",
                     "deb-systemd-helper --quiet disable new.timer"], lines


def test_builds_are_quiet(t):
    """One line for each file; V=1 shows the commands, and -s nothing."""
    printed = {}
    for words in ("", "V=0", "V=1", "-s"):
        build = t.directory("build")
        printed[words] = run(["make", "-C", t.path(), f"B={build}", *words.split(), f"{build}/lib/libmetrics.a"],
                             timeout=120).stdout
    for quiet in ("", "V=0"):
        lines = [line for line in printed[quiet].splitlines() if not line.startswith("make")]
        assert "  CC   metrics/metrics.c" in lines and lines[-1] == "  AR   libmetrics.a", lines
        assert all(re.fullmatch(r"  (CC|AR)   \S+", line) for line in lines), lines
    assert "-std=c11" in printed["V=1"] and "  CC " not in printed["V=1"], printed
    assert printed["-s"] == "", printed
