"""The comparison of two builds by a replayed session (replay): the same build twice gives no difference, and one that
differs in a byte gives one, wherever that byte goes."""
import os
import shutil

TIMEOUT = 300


def replay(t, old, new):
    return t.run(t.path("tests/conformance/replay"), "--old", old, "--new", new,
                 "--tools", os.path.join(t.build, "test"), check=False, timeout=240)


def changed_build(t, changes):
    """The build with other bytes in trackerd, as many as before."""
    directory = t.directory("changed")
    os.mkdir(os.path.join(directory, "bin"))
    with open(t.program("trackerd"), "rb") as file:
        data = file.read()
    for before, after in changes:
        assert before in data and len(before) == len(after), before
        data = data.replace(before, after)
    path = os.path.join(directory, "bin", "trackerd")
    with open(path, "wb") as file:
        file.write(data)
    shutil.copymode(t.program("trackerd"), path)
    return directory


def test_the_same_build_gives_no_difference(t):
    done = replay(t, t.build, t.build)
    assert done.returncode == 0 and "no difference" in done.stdout, done.stdout[-4000:] + done.stderr[-4000:]


def test_a_changed_byte_is_found(t):
    """In an error's code, in a field of Redis and of events, and in an answer of the API."""
    done = replay(t, t.build, changed_build(t, [(b"bad_status", b"bax_status"), (b"protocol", b"protokol"),
                                                (b"node_name", b"node_nome")]))
    assert done.returncode == 1, done.stdout[-4000:] + done.stderr[-4000:]
    lines = done.stdout.splitlines()
    assert any(line.startswith('-< frame 81 {"command":"error","data":{"code":"bad_status"') for line in lines), lines[:200]
    assert any(line.startswith('+< frame 81 {"command":"error","data":{"code":"bax_status"') for line in lines), lines[:200]
    assert any(line.startswith("+    protokol = tracker") for line in lines), lines[:200]
    assert any(line.startswith("+tracker:{main/1/0}:events") and " protokol=tracker" in line for line in lines), lines[:200]
    assert any(" == api: GET clients?limit=1" in line for line in lines), [line for line in lines if line.startswith("@@")]
