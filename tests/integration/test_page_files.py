"""The files of the page: how they are served."""
import gzip
import os
import re

TYPES = {".html": "text/html; charset=utf-8", ".js": "text/javascript; charset=utf-8", ".css": "text/css; charset=utf-8",
         ".svg": "image/svg+xml"}


def files(t):
    """Path in the address → file."""
    directory = t.path("pkg/admin/web")
    found = {"/" + name: os.path.join(directory, name) for name in os.listdir(directory)
             if os.path.isfile(os.path.join(directory, name))}
    found["/"] = found.pop("/index.html")
    return found


def test_every_file_as_it_is(t):
    frontend = t.frontend(t.redis())
    for path, file in files(t).items():
        status, headers, body = frontend.http(path)
        with open(file, "rb") as wanted:
            assert status == 200 and body == wanted.read(), path
        assert headers["Content-Type"] == TYPES[os.path.splitext(file)[1]], path
        assert headers["X-Content-Type-Options"] == "nosniff" and headers["Cache-Control"] == "no-cache"
        assert re.fullmatch(r'"[0-9a-f]{20}"', headers["ETag"])


def test_what_has_not_changed_is_not_sent_again(t):
    frontend = t.frontend(t.redis())
    for path in (*files(t), "/tracker.js"):
        tag = frontend.http(path)[1]["ETag"]
        for known in (tag, "W/" + tag, f'"other", {tag}', "*"):
            status, headers, body = frontend.http(path, headers={"If-None-Match": known})
            assert status == 304 and body == b"" and headers["ETag"] == tag and "Content-Length" not in headers, (path, known)
        for other in ('"other"', tag[:-2] + '"', tag.strip('"')):
            assert frontend.http(path, headers={"If-None-Match": other})[0] == 200, (path, other)


def test_compressed_for_who_takes_it(t):
    frontend = t.frontend(t.redis(), settings={"web.page": "on"})
    saved = 0
    for path in (*files(t), "/tracker.js"):
        status, plain, body = frontend.http(path)
        assert status == 200 and "Content-Encoding" not in plain and plain["Vary"] == "Accept-Encoding", path
        status, headers, short = frontend.http(path, headers={"Accept-Encoding": "gzip, deflate, br"})
        assert status == 200 and headers["Vary"] == "Accept-Encoding" and headers["Content-Type"] == plain["Content-Type"]
        if "Content-Encoding" in headers:
            assert headers["Content-Encoding"] == "gzip" and gzip.decompress(short) == body, path
            assert len(short) < len(body) and headers["ETag"] != plain["ETag"], path
        else:
            assert short == body and len(body) < 1000, path
        saved += len(body) - len(short)
        # Each form has a tag of its own: a cache that holds one is not answered as if it had the other.
        for coding, tag, status in (("gzip", headers["ETag"], 304), ("gzip", plain["ETag"], 200), ("identity", plain["ETag"], 304),
                                    ("identity", headers["ETag"], 200)):
            if headers["ETag"] == plain["ETag"]:
                status = 304
            got = frontend.http(path, headers={"Accept-Encoding": coding, "If-None-Match": tag})
            assert got[0] == status and got[1]["Vary"] == "Accept-Encoding", (path, coding, tag)
            assert status == 200 or ("Content-Encoding" not in got[1] and got[1]["ETag"] == tag), path
        got = frontend.http(path, method="HEAD", headers={"Accept-Encoding": "gzip"})
        assert got[1]["Content-Length"] == str(len(short)) and got[2] == b"", path
    assert saved > 60000
    for refused in ("gzip;q=0", "br", "identity, gzip;q=0.5", "*;q=0"):
        assert "Content-Encoding" not in frontend.http("/tracker.js", headers={"Accept-Encoding": refused})[1], refused


def test_head_and_other_methods(t):
    frontend = t.frontend(t.redis())
    status, headers, body = frontend.http("/", method="HEAD")
    assert status == 200 and body == b"" and int(headers["Content-Length"]) > 1000
    assert frontend.http("/", method="POST")[0] == 405
    assert frontend.http("/index.html")[0] == 404 and frontend.http("/web/page.js")[0] == 404


def test_the_policy_lets_nothing_in_from_elsewhere(t):
    frontend = t.frontend(t.redis())
    policy = frontend.http("/")[1]["Content-Security-Policy"]
    assert policy.startswith("default-src 'none'; ") and "unsafe" not in policy and "http" not in policy
    assert "frame-ancestors 'none'" in policy and "base-uri 'none'" in policy
    for path, file in files(t).items():
        with open(file, encoding="utf-8") as text:
            content = text.read()
        addresses = re.findall(r"(?:https?|wss?)://[^\s\"'`)<]+", content)
        assert set(addresses) <= {"http://www.w3.org/2000/svg"}, (path, addresses)
        assert not re.search(r"\binnerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\b|new Function", content), path
        if file.endswith(".html"):
            assert not re.search(r"<script>|<style|\sstyle=|\son\w+=", content), path


def test_the_client_is_one_module_for_pages_from_elsewhere(t):
    frontend = t.frontend(t.redis(), settings={"web.page": "off"})
    status, headers, body = frontend.http("/tracker.js")
    assert status == 200 and headers["Access-Control-Allow-Origin"] == "*"
    assert headers["Cross-Origin-Resource-Policy"] == "cross-origin"
    text = body.decode()
    assert not re.search(r"^\s*import\b", text, re.M) and "import(" not in text
    exported = set(re.findall(r"^export (?:class|const|function) (\w+)", text, re.M))
    assert exported >= {"ClientError", "TrackerClient", "TurntableClient", "SyncClient"}


def test_the_page_may_be_off_or_only_for_who_has_the_token(t):
    frontend = t.frontend(t.redis(), settings={"web.page": "off"})
    status, headers, body = frontend.http("/")
    assert status == 200 and headers["Content-Type"].startswith("text/plain") and b"/api/v1/clients" in body
    assert frontend.http("/page.js")[0] == 404
    assert frontend.http("/api/v1/live", method="HEAD")[0] == 200
    # With a token its files are served, which hold nothing; what it shows is not.
    frontend = t.frontend(t.redis(), settings={"web.page": "token", "web.token": "0123456789abcdef"})
    assert frontend.http("/")[0] == 200 and frontend.http("/api/v1/live")[0] == 401


def test_a_reload_changes_who_may(t):
    text = "[web]\npage = {}\ntoken = 0123456789abcdef\n"
    frontend = t.frontend(t.redis(), config=text.format("on"))
    assert frontend.http("/api/v1/live", method="HEAD")[0] == 200
    frontend.write_config(text.format("token"))
    frontend.reload()
    t.wait_until(lambda: frontend.http("/api/v1/live", method="HEAD")[0] == 401)
