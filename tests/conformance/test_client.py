"""The JavaScript client, in Node with npm's ws, between two front-ends."""
import json
import os
import re

from harness.jwt import SECRET, Issuer
from harness.node import run_script


def web(frontend):
    host, port = frontend.address("web")
    return f"http://{host}:{port}"


def pair(t, **options):
    options.setdefault("settings", {}).update({"access.connect_rate": "0"})
    return [web(frontend) for frontend in t.frontends(2, t.redis(), **options)]


def test_tracker_entries_of_one_client_reach_another(t):
    run_script(t, "client_tracker.mjs", "entries of one client reach another", *pair(t))


def test_tracker_states_of_any_bytes(t):
    run_script(t, "client_tracker.mjs", "states of any bytes, and up to the largest", *pair(t))


def test_tracker_updates_are_joined(t):
    run_script(t, "client_tracker.mjs", "waiting updates are merged, and the last counts", *pair(t))


def test_tracker_ids_of_ones_own(t):
    run_script(t, "client_tracker.mjs", "a chosen id, and one that is taken", *pair(t))


def test_tracker_a_large_map(t):
    run_script(t, "client_tracker.mjs", "a large map, with entries opened and closed", *pair(t))


def test_tracker_adopts_its_entries(t):
    run_script(t, "client_tracker.mjs", "it reconnects and adopts its entries", *pair(t))


def test_tracker_requests_without_a_connection(t):
    run_script(t, "client_tracker.mjs", "requests without a connection are queued", *pair(t))


def test_tracker_its_front_end_is_killed(t):
    redis = t.redis()
    settings = {"access.connect_rate": "0"}
    first = t.frontend(redis, settings=settings)
    host, port = first.address("web")
    other = t.frontend(redis, settings=settings)

    def state():
        clients = json.loads(other.http("/api/v1/clients")[2])["clients"]
        return ",".join(client["state"] for client in clients)

    def start():
        t.frontend(redis, listen=("tracker=127.0.0.1:0", f"web={host}:{port}"), settings=settings)
    run_script(t, "client_tracker.mjs", "its front-end is killed", f"http://{host}:{port}",
               actions={"kill": first.kill, "start": start, "state": state})


def test_tracker_an_entry_that_was_taken(t):
    run_script(t, "client_tracker.mjs", "an entry whose id was taken gets a new id", *pair(t))


def test_tracker_redis_stalls(t):
    redis = t.redis()
    frontend = t.frontend(redis, settings={"redis.deadline": "2600ms", "map.recovery_grace": "0s"})

    def states():
        clients = json.loads(frontend.http("/api/v1/clients")[2])["clients"]
        return ",".join(sorted(f"{client['id']}={client['state']}" for client in clients))
    run_script(t, "client_tracker.mjs", "Redis stalls for longer than the deadline", web(frontend),
               actions={"freeze": redis.freeze, "thaw": redis.thaw, "states": states})


def test_tracker_special_names(t):
    run_script(t, "client_tracker.mjs", "names that objects treat specially", *pair(t))


def test_the_end(t):
    run_script(t, "client_tracker.mjs", "the end, and what it rejects", *pair(t))


def test_without_a_websocket(t):
    run_script(t, "client_tracker.mjs", "without a WebSocket it reports an error", *pair(t))


def test_backoff(t):
    run_script(t, "client_tracker.mjs", "the backoff grows, with jitter", *pair(t))


# Metadata sync.

def test_sync_properties(t):
    run_script(t, "client_sync.mjs", "properties, in both modes", *pair(t))


def test_sync_special_names(t):
    run_script(t, "client_sync.mjs", "names that objects treat specially", *pair(t, settings={"sync.tick": "100ms"}))


def test_sync_packets(t):
    run_script(t, "client_sync.mjs", "packets", *pair(t))


def test_sync_comes_back(t):
    run_script(t, "client_sync.mjs", "it reconnects as the same client", *pair(t))


def test_sync_what_was_lost_is_sent_again(t):
    run_script(t, "client_sync.mjs", "changes sent over a lost connection", *pair(t))


def test_sync_without_resume_and_too_late(t):
    run_script(t, "client_sync.mjs", "without resume, or too late, it is a new client",
               *pair(t, settings={"client.grace": "1s", "map.recovery_grace": "0s"}))


def test_sync_refused_properties(t):
    run_script(t, "client_sync.mjs", "refused properties", *pair(t))


def test_sync_its_front_end_is_killed(t):
    redis = t.redis()
    settings = {"access.connect_rate": "0", "map.recovery_grace": "0s"}
    first, other = t.frontends(2, redis, settings=settings)
    host, port = first.address("web")

    def start():
        t.frontend(redis, listen=(f"web={host}:{port}",), settings=settings)
    run_script(t, "client_sync.mjs", "its front-end is killed", web(first), web(other),
               actions={"kill": first.kill, "start": start})


def test_sync_one_map_with_tracker(t):
    run_script(t, "client_sync.mjs", "one map with Tracker", *pair(t))


def test_sync_both_modes_agree(t):
    run_script(t, "client_sync.mjs", "both modes agree after random operations",
               *pair(t, settings={"sync.tick": "50ms", "client.grace": "2s"}))


def test_sync_tokens(t):
    frontend = t.frontend(t.redis(), settings={"auth.mode": "on", "auth.key": SECRET})
    run_script(t, "client_sync.mjs", "an invalid token, and one from a function", web(frontend),
               Issuer().token())


# turntable.

def test_turntable_presence(t):
    run_script(t, "client_turntable.mjs", "presence", *pair(t, settings={"presence.offline_delay": "200ms", "map.recovery_grace": "0s"}))


def test_turntable_rooms(t):
    run_script(t, "client_turntable.mjs", "rooms", *pair(t))


def test_the_names_of_0_1(t):
    run_script(t, "client_turntable.mjs", "the names of 0.1", *pair(t))


def test_turntable_what_is_refused(t):
    run_script(t, "client_turntable.mjs", "refusals", *pair(t))


def test_turntable_comes_back(t):
    run_script(t, "client_turntable.mjs", "it reconnects", *pair(t, settings={"map.recovery_grace": "0s"}))


def test_turntable_what_waits_is_asked_again(t):
    run_script(t, "client_turntable.mjs", "requests without an answer are repeated", *pair(t))


def test_turntable_what_is_asked_early(t):
    run_script(t, "client_turntable.mjs", "requests before the connection opens", *pair(t))


def test_turntable_its_front_end_is_killed(t):
    redis = t.redis()
    settings = {"access.connect_rate": "0", "map.recovery_grace": "0s"}
    first, other = t.frontends(2, redis, settings=settings)
    host, port = first.address("web")

    def start():
        t.frontend(redis, listen=(f"web={host}:{port}",), settings=settings)
    run_script(t, "client_turntable.mjs", "its front-end is killed", web(first), web(other),
               actions={"kill": first.kill, "start": start})


def test_turntable_redis_is_cut(t):
    redis = t.redis()
    frontends = t.frontends(2, redis, settings={"access.connect_rate": "0"})

    def cut():
        redis.kill()
        redis.start()
    run_script(t, "client_turntable.mjs", "Redis is disconnected during a game", *map(web, frontends), actions={"cut": cut})


def test_turntable_special_names(t):
    run_script(t, "client_turntable.mjs", "names that objects treat specially", *pair(t))


def test_turntable_redis_stalls(t):
    redis = t.redis()
    frontends = t.frontends(2, redis, settings={"access.connect_rate": "0", "map.recovery_grace": "0s"})
    run_script(t, "client_turntable.mjs", "Redis stalls while clients connect", *map(web, frontends),
               actions={"freeze": redis.freeze, "thaw": redis.thaw})


def test_turntable_duplicate_login(t):
    run_script(t, "client_turntable.mjs", "a second connection that is refused",
               *pair(t, settings={"turntable.duplicate_login": "reject", "map.recovery_grace": "0s"}))


def test_turntable_tokens(t):
    issuer = Issuer()
    frontend = t.frontend(t.redis(), settings=issuer.settings())
    run_script(t, "client_turntable.mjs", "tokens", web(frontend), issuer.token(user="1:12345"))


def example(t, name, *patterns):
    """The example of the document that makes this client prints lines like these."""
    with open(t.path("docs/web.md"), encoding="utf-8") as file:
        blocks = re.findall(r"^```js\n(.*?)^```", file.read(), re.M | re.S)
    text, = [block for block in blocks if f'new {name}("ws://127.0.0.1:8080' in block and "import" not in block]
    path = os.path.join(t.directory("example"), "example.js")
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)
    run_script(t, "client_docs.mjs", "an example", web(t.frontend(t.redis())), path, *patterns)


def test_the_example_of_tracker(t):
    example(t, "TrackerClient", r"^\w{7} 21.4 → 21.5$", r"^\[ '\w{7}' \]$", r"^\w{7} has left$")


def test_the_example_of_turntable(t):
    example(t, "TurntableClient", "^{ '1:2345': 'offline', '1:789': 'offline' }$", r"^\[ '1:3456' \]$", "strike_one")


def test_the_example_of_metadata_sync(t):
    example(t, "SyncClient", "name: 'Ada', mood: 'good'|mood: 'good', name: 'Ada'", "^[0-9a-f]{32} chat { text: 'hi' }$")
