"""The recipe of docs/who-is-online.md, as it stands there, in the page of a small site with sessions."""
import http.server
import json
import re
import threading
import urllib.parse

from harness import Original2013
from harness.jwt import Issuer
from harness.node import run_script

USERS = {"ada": "1:1", "bob": "1:2", "nameless": "1:3"}
NAMES = {"1:1": "Ada", "1:2": "<b>Bob</b>", "1:666": "Eve"}
LIMITS = {"access.connect_rate": "0", "map.recovery_grace": "0s"}
PAGE = b'<!doctype html><meta charset="utf-8"><link rel="icon" href="data:,"><ul id="online"></ul><script type="module" src="/online.js"></script>'


def code(t):
    """The module of the document: at most thirty lines, but for empty ones."""
    with open(t.path("docs/who-is-online.md"), encoding="utf-8") as file:
        text, = re.findall(r"^```js\n(.*?)^```", file.read(), re.M | re.S)
    assert len([line for line in text.splitlines() if line.strip()]) <= 30
    assert "wss://tracker.example.org" in text
    return text


class Site:
    """What the document asks of a site: /me for the user of the session, /names for ids, and the page's files."""

    def __init__(self, t, frontend, issuer):
        host, port = frontend.address("web")
        files = {"/": ("text/html", PAGE), "/tracker.js": ("text/javascript", frontend.http("/tracker.js")[2]),
                 "/online.js": ("text/javascript", code(t).replace("wss://tracker.example.org", f"ws://{host}:{port}").encode())}

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                path, _, query = self.path.partition("?")
                user = USERS.get(self.headers.get("Cookie", "").removeprefix("session="))
                if path in files:
                    self.answer(200, *files[path])
                elif path == "/me" and user:
                    self.answer(200, "application/json", json.dumps({"user": user, "token": issuer.token(user=user)}).encode())
                elif path == "/names":
                    ids = urllib.parse.parse_qs(query)["ids"][0].split(",")
                    self.answer(200, "application/json", json.dumps({one: NAMES[one] for one in ids if one in NAMES}).encode())
                else:
                    self.answer(401, "text/plain", b"")

            def answer(self, status, kind, body):
                self.send_response(status)
                self.send_header("Content-Type", kind)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_):
                pass
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        t.stack.callback(self.server.server_close)
        t.stack.callback(self.server.shutdown)
        self.address = f"http://127.0.0.1:{self.server.server_port}"


def visit(t, check, frontend, issuer, actions=None):
    host, port = frontend.address("web")
    site = Site(t, frontend, issuer)
    run_script(t, "who_is_online.mjs", check, site.address, f"http://{host}:{port}", issuer.token(user="1:666"), actions=actions,
               timeout=150)


def start(t, redis, issuer, **options):
    return t.frontend(redis, settings=issuer.settings(**{"ws.origins": "same", **LIMITS}), **options)


def test_who_is_online(t):
    issuer = Issuer()
    visit(t, "who is online", start(t, t.redis(), issuer), issuer)


def test_what_can_be_forged(t):
    issuer = Issuer()
    frontend = start(t, t.redis(), issuer)
    visit(t, "what can be forged", frontend, issuer,
          {"entry": lambda: t.connect(frontend, Original2013).update(b"1:2", 1, b"Ada") and None})


def test_its_front_end_is_killed(t):
    issuer, redis = Issuer(), t.redis()
    frontend = start(t, redis, issuer)
    host, port = frontend.address("web")
    visit(t, "its front-end is killed", frontend, issuer, {
        "kill": frontend.kill,
        "start": lambda: start(t, redis, issuer, listen=(f"web={host}:{port}",)) and None})
