"""The JavaScript client, in Node with npm's ws, between two front-ends."""
import json

from harness.node import run_script


def web(frontend):
    host, port = frontend.address("web")
    return f"http://{host}:{port}"


def pair(t, **options):
    options.setdefault("settings", {}).update({"access.connect_rate": "0"})
    return [web(frontend) for frontend in t.frontends(2, t.redis(), **options)]


def test_tracker_entries_of_one_client_are_told_to_another(t):
    run_script(t, "client_tracker.mjs", "entries of one client are told to another", *pair(t))


def test_tracker_states_of_any_bytes(t):
    run_script(t, "client_tracker.mjs", "states of any bytes, and up to the largest", *pair(t))


def test_tracker_updates_are_joined(t):
    run_script(t, "client_tracker.mjs", "many updates are joined, and the last counts", *pair(t))


def test_tracker_ids_of_ones_own(t):
    run_script(t, "client_tracker.mjs", "an id of one's own, and one that somebody has", *pair(t))


def test_tracker_a_large_map(t):
    run_script(t, "client_tracker.mjs", "a large map, with others' entries that come and go", *pair(t))


def test_tracker_adopts_its_entries(t):
    run_script(t, "client_tracker.mjs", "it comes back and adopts its entries", *pair(t))


def test_tracker_requests_without_a_connection(t):
    run_script(t, "client_tracker.mjs", "requests without a connection are kept", *pair(t))


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
    run_script(t, "client_tracker.mjs", "an entry that somebody else took meanwhile gets a new id", *pair(t))


def test_the_end(t):
    run_script(t, "client_tracker.mjs", "the end, and what it rejects", *pair(t))


def test_without_a_websocket(t):
    run_script(t, "client_tracker.mjs", "without a WebSocket it says so", *pair(t))


def test_backoff(t):
    run_script(t, "client_tracker.mjs", "it waits longer each time, and never the same", *pair(t))
