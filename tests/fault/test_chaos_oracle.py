"""The oracle of the fault harness itself: what it must find, and what it must forgive. Each line here is what some
client was sent; nothing is started."""
import collections
import types

from harness.chaos.oracle import Bounds, Oracle
from harness.chaos.rooms import Rooms
from harness.chaos.run import Run
from harness.chaos.schedule import DEFAULTS, SHORT, RandomSchedule
from harness.chaos.tracker import Tracker
from harness.chaos.truth import Disturbances
from harness.chaos.views import Views


class Client:
    """Of any protocol."""

    def __init__(self, name, front_end="a"):
        self.name, self.front_end = name, front_end
        self.watched = []
        self.user, self.devices = self, []

    def subjects(self):
        return []


class Trial:
    """An observer, and the time, which the test moves."""

    def __init__(self, kind="get", documented=False):
        self.time = 0.0
        self.disturbances = Disturbances(self.now)
        self.bounds = Bounds(DEFAULTS, 0, True) if documented else Bounds(SHORT, 0)
        self.oracle = Oracle(self, self.bounds)
        self.views = Views(self, self.oracle, self.bounds)
        self.rooms = Rooms(self)
        self.clients = []
        self.watch, self.events = self, collections.defaultdict(list)
        self.view = self.views.open(Client("observer"), kind)
        self.view.whole(0, {})

    def now(self):
        return self.time

    @staticmethod
    def describe(_name):
        """There is no Redis."""
        return ""

    def there(self, name="x", text="1", home="b"):
        """A client that is there and seen."""
        subject = self.views.subject(name, Client(f"client {name}", home))
        subject.want(text, self.time).acknowledged = self.time
        subject.present(self.time)
        subject.at_home(self.time, home)
        self.view.put(self.time, name, text)
        return subject

    def found(self, seconds=0):
        """The kinds of violations, as it is looked at that much later."""
        end = self.time + seconds
        while self.time < end:
            self.time += 0.25
            self.views.look(self.time)
            self.views.judge(self.time)
        self.views.judge(self.time, True)
        return sorted({one.kind for one in self.oracle.violations})


def test_a_client_that_is_there_is_shown_as_gone(t):
    trial = Trial()
    trial.there()
    trial.time = 5
    trial.view.gone(5, "x")
    trial.time = 5.3
    trial.view.put(5.3, "x", "1")
    assert trial.found(4) == ["false offline"]
    assert 0.29 < trial.oracle.worst["false offline"][0] < 0.31


def test_a_redis_that_is_gone_forgives_no_false_offline(t):
    trial = Trial()
    trial.there()
    trial.time = 4
    trial.disturbances.note(4, 9, "redis unreachable")
    trial.view.gone(6, "x")
    trial.view.put(7, "x", "1")
    assert trial.found(9) == ["false offline"]


def test_its_own_frozen_frontend_forgives_it(t):
    trial = Trial()
    trial.there(home="b")
    trial.disturbances.note(4, 9, "freeze", "b")
    trial.view.gone(6, "x")
    trial.view.put(9.5, "x", "1")
    trial.time = 9.5
    assert trial.found(4) == []
    assert trial.oracle.worst["false offline, own front-end"][0] == 3.5
    # Another's does not.
    trial = Trial()
    trial.there(home="b")
    trial.disturbances.note(4, 9, "freeze", "c")
    trial.view.gone(6, "x")
    trial.view.put(9.5, "x", "1")
    trial.time = 9.5
    assert trial.found(4) == ["false offline"]


def test_its_frontend_is_in_trouble_again_before_it_has_recovered(t):
    def found(again):
        trial = Trial()
        trial.there(home="b")
        trial.disturbances.note(4, 6, "cut off", "b")
        trial.disturbances.note(again, again + 6, "freeze", "b")
        trial.view.gone(5, "x")
        trial.view.put(again + 6.5, "x", "1")
        trial.time = again + 6.5
        return trial.found(4)
    own = Trial().bounds.own
    assert found(6 + own - 0.1) == []
    assert found(6 + own + 0.1) == ["false offline"], "it had had the time to say that it is there"


def test_a_frozen_observer_receives_the_end_later(t):
    trial = Trial()
    trial.there(home="b")
    trial.disturbances.note(4, 6, "cut off", "b")
    trial.disturbances.note(5, 12, "freeze", "a")  # the observer's
    trial.view.gone(5, "x")
    trial.time = 12.5
    trial.view.put(12.5, "x", "1")
    assert trial.found(4) == []


def test_a_client_that_comes_back_within_the_grace_was_never_gone(t):
    trial = Trial()
    subject = trial.there()
    subject.absent(5)
    trial.view.gone(5.2, "x")
    subject.present(5.6)
    trial.view.put(5.7, "x", "1")
    trial.time = 5.7
    assert trial.found(4) == ["false offline"]
    # After the grace it may have been.
    trial = Trial()
    subject = trial.there()
    subject.absent(5)
    trial.view.gone(6.6, "x")
    subject.present(8)
    trial.view.put(8.5, "x", "1")
    trial.time = 8.5
    assert trial.found(4) == []


def returns_while_the_observer_is_in_trouble(trouble, front_end, moves=False):
    """A client was gone from 2 to 5, which the observer is sent at 7, and at 8 that it is back."""
    trial = Trial()
    subject = trial.there()
    trial.disturbances.note(*trouble, front_end)
    subject.absent(2)
    subject.present(5)
    trial.view.gone(7, "x")
    trial.view.put(8, "x", "1")
    trial.time = 8
    if moves:
        trial.view.client.front_end = "c"
    return trial.found(4)


def test_an_observer_in_trouble_is_sent_late_of_an_end_before_the_return(t):
    assert returns_while_the_observer_is_in_trouble((1, 6.5, "slow"), "a") == []
    # Wherever the observer is connected afterwards.
    assert returns_while_the_observer_is_in_trouble((1, 6.5, "slow"), "a", moves=True) == []
    assert returns_while_the_observer_is_in_trouble((1, 6.5, "slow"), "c", moves=True) == ["false offline"]
    # Not so where another one's was in trouble, or its own only after the return, or long before.
    assert returns_while_the_observer_is_in_trouble((1, 6.5, "slow"), "c") == ["false offline"]
    assert returns_while_the_observer_is_in_trouble((6, 7, "slow"), "a") == ["false offline"]
    assert returns_while_the_observer_is_in_trouble((0, 1, "slow"), "a") == ["false offline"]
    # Redis's troubles are everybody's.
    assert returns_while_the_observer_is_in_trouble((1, 6.5, "redis unreachable"), "") == ["false offline"]


def test_a_user_is_seen_by_another_device_as_soon_as_that_one_is(t):
    def handed_over(identified_at, kind="get"):
        """A device is gone at 5, and with it the user for half a second."""
        trial = Trial(kind)
        trial.view.client.watched = ["1:1"]
        subject = trial.there("@1:1")
        subject.rest(0, 0)
        subject.rest(5, identified_at)
        trial.view.gone(5.1, "@1:1")
        trial.view.put(5.6, "@1:1", "1")
        trial.time = 5.6
        return trial.found(4)
    assert handed_over(4.8) == []
    # The other one has been there for long; and who watches the user knows no devices.
    assert handed_over(1) == ["false offline"]
    assert handed_over(4.8, "presence") == ["false offline"]


def test_a_client_that_is_gone_is_shown_for_too_long(t):
    trial = Trial()
    trial.there().end(2, "left")
    trial.time = 2
    assert trial.found(trial.bounds.ghost - 0.5) == []
    assert trial.found(1) == ["ghost"]


def ghost_by_the_documents(seconds, trouble=(), of="", more=()):
    """What is found of a client of b that leaves at 2, and is still shown that much later at a; trouble: (from, until,
    what), of: of whom."""
    trial = Trial(documented=True)
    trial.there(home="b")
    for one in filter(None, (trouble and (*trouble, of), more)):
        trial.disturbances.note(*one)
    trial.views.subjects["x"].end(2, "left")
    trial.time = 2
    return trial.found(seconds)


def test_with_the_standard_settings_the_documents_are_the_bounds(t):
    """docs/operations.md: a ghost is shown for 10 s, or for 10 s after an outage of Redis, or of the front-end that
    shows it; not of its own front-end, as others take over what that has. Of a crashed one, without Redis: 6 s more."""
    assert ghost_by_the_documents(9.75) == []
    assert ghost_by_the_documents(10.5) == ["ghost"]
    outage = (1, 6, "redis killed")
    assert ghost_by_the_documents(4 + 9.75, outage) == []
    assert ghost_by_the_documents(4 + 10.5, outage) == ["ghost"]
    assert ghost_by_the_documents(4 + 9.75, (1, 6, "freeze"), "a") == []
    assert ghost_by_the_documents(4 + 10.5, (1, 6, "freeze"), "a") == ["ghost"]
    for what in ("freeze", "vanish", "kill"):
        assert ghost_by_the_documents(10.5, (1, 6, what), "b") == ["ghost"], what
    crashed = (1.5, 4.5, "kill", "b")
    assert ghost_by_the_documents(4 + 15.75, outage, more=crashed) == []
    assert ghost_by_the_documents(4 + 16.5, outage, more=crashed) == ["ghost"]


def offline_by_the_documents(what, after):
    """What is found of a client of b that is shown as gone until that long after 16 s of b's trouble."""
    trial = Trial(documented=True)
    trial.there(home="b")
    trial.disturbances.note(4, 20, what, "b")
    trial.view.gone(12, "x")
    trial.view.put(20 + after, "x", "1")
    trial.time = 20 + after
    return trial.found(9)


def test_with_the_standard_settings_a_front_ends_trouble_excuses_what_is_documented(t):
    """A sweep after a freeze; 3 s, a quarter of the loss and a sweep after it was cut off; nothing for the clients of a
    crashed or drained one, who return elsewhere."""
    assert offline_by_the_documents("freeze", 0.9) == []
    assert offline_by_the_documents("freeze", 1.2) == ["false offline"]
    assert offline_by_the_documents("cut off", 3 + 4 + 0.9) == []
    assert offline_by_the_documents("cut off", 3 + 4 + 1.2) == ["false offline"]
    for what in ("kill", "drain", "vanish"):
        assert offline_by_the_documents(what, -2) == ["false offline"], what


def test_a_client_that_was_shown_as_gone_is_shown_again(t):
    trial = Trial()
    trial.there().end(2, "left")
    trial.view.gone(3, "x")
    trial.time = 4
    trial.disturbances.note(3.5, 4, "redis older")
    trial.view.put(4.2, "x", "1")
    assert trial.found() == [], "for a moment, until all have said what they remember"
    assert trial.found(trial.bounds.stale + 1) == ["returned"]
    # With nothing lost, not even for a moment.
    trial = Trial()
    trial.there().end(2, "left")
    trial.view.gone(3, "x")
    trial.view.put(4.2, "x", "1")
    assert trial.found() == ["returned"]
    # Unless who remembered it may have died since.
    trial = Trial()
    trial.there().end(2, "left")
    trial.view.gone(3, "x")
    trial.time = 4
    trial.disturbances.note(3.2, 3.3, "kill", "c")
    trial.disturbances.note(3.5, 4, "redis older")
    trial.view.put(4.2, "x", "1")
    assert trial.found(trial.bounds.stale + 1) == []


def test_what_ended_twice_is_shown_late_by_a_slow_link(t):
    def found(front_end):
        trial = Trial()
        trial.view.client.front_end = trial.view.connected_to = "a"
        trial.disturbances.note(3, 9, "slow", front_end)
        trial.there().end(5, "left")
        trial.view.gone(5.2, "x")
        trial.view.put(5.6, "x", "1")
        trial.time = 5.6
        trial.view.gone(6.5, "x")
        return trial.found(4)
    assert found("a") == []
    assert found("c") == ["returned"]


def test_a_user_whose_device_is_another_one_was_never_gone(t):
    trial = Trial()
    device = '{"user":"1:0","status":"online"}'
    subject = trial.there("@1:0", "online")
    trial.view.whole(1, {"first": device})
    trial.time = 2
    subject.end(2, "left")
    trial.view.whole(2.1, {"second": device})
    assert "@1:0" in trial.view.names
    trial.view.whole(2.2, {})
    trial.time = 2.2
    assert trial.found() == []
    # But then it is.
    trial.view.whole(2.3, {"third": device})
    assert trial.found() == ["returned"]


def update_all(version, *ids):
    content = bytes([version]) + b"".join(bytes([0, len(id)]) + id + b"\1s" for id in ids)
    return bytes([0x2A, 1, 3, len(content)]) + content


def test_a_map_in_several_packets_by_a_slow_link(t):
    trial = Trial()
    trial.world, trial.schedule = types.SimpleNamespace(clients_host=None), types.SimpleNamespace(seed=1)
    client = Tracker(trial, 0, "a", watches=True)
    client.begin()
    client.front_end, client.wire = "a", types.SimpleNamespace(opened=False)

    def sent(at, *packets):
        trial.time = at
        client.on_bytes(b"".join(packets))
        trial.time = at + 0.5
        client.pursue(trial.time)
        return set(client.view.names)
    assert sent(1, update_all(1, b"x"), update_all(1, b"y")) == {"x", "y"}
    slow = trial.disturbances.begin("slow", "a")
    assert sent(2, update_all(2, b"x")) == {"x", "y"}
    assert sent(3, update_all(2, b"y")) == {"x", "y"}
    trial.disturbances.end(slow)
    assert sent(10, update_all(3, b"x")) == {"x"}


def test_an_old_state_is_shown_for_too_long(t):
    trial = Trial("delta")
    subject = trial.there()
    trial.time = 2
    subject.want("2", 2).acknowledged = 2
    assert trial.found(trial.bounds.stale - 0.5) == []
    assert trial.found(1) == ["stale"]


def test_an_entry_of_nobody(t):
    trial = Trial("delta")
    trial.view.put(0, "y", "{}", as_json=True)
    assert trial.found(trial.bounds.after - 0.5) == []
    assert trial.found(1) == ["unknown"]


def test_a_fault_that_does_not_end(t):
    trial = Trial()
    trial.faults = types.SimpleNamespace(busy=1)
    trial.disturbances.begin("start", "c")

    def turn():
        trial.time += 1
        assert trial.time < 1000, "it is waited for without end"
    trial.turn = turn
    Run.end_faults(trial)
    assert trial.found() == ["fault"]
    assert trial.disturbances.last_end(0, trial.time, {"c"}) <= trial.time, "it still excuses what is not ready"


def test_a_stall_is_noticed_when_something_is_due_after_it(t):
    trial = Trial()
    trial.schedule = types.SimpleNamespace(faults=[], actions=[(at, 0, "change", None) for at in range(5)], seconds=6)
    trial.clients, trial._act, trial.note = [None], lambda *_: None, lambda *_: None
    trial.last_round = trial.slept = 0
    trial.notice_stall = lambda: Run.notice_stall(trial)

    def turn():
        trial.notice_stall()
        trial.time += 3.5 if trial.time == 1 else 0.25
    trial.turn = turn
    Run.play(trial)
    assert [(one.what, one.begin, one.end) for one in trial.disturbances.all] == [("machine stalls", 1, 4.5)]


def judge_room(trial, *sequences):
    """Members that were sent these messages each second; None: it lost some."""
    for number, sequence in enumerate(sequences):
        member = Client(f"member{number}")
        stay = trial.rooms.stay(member, "room", 0)
        for second, message in enumerate(sequence):
            if message is None:
                stay.end(second, "lost")
                stay = trial.rooms.stay(member, "room", second)
            else:
                stay.note_message((message, 1), second)
    trial.time = 20
    trial.rooms.judge(20, 2)
    return trial.found()


def test_messages_of_a_room(t):
    assert judge_room(Trial(), [1, 2, 3, 4], [1, 2, 3, 4]) == []
    assert judge_room(Trial(), [1, 2, 3, 4], [1, 2, 4]) == ["room"], "one is missing"
    assert judge_room(Trial(), [1, 2, 3, 4], [1, 2, None, 4]) == [], "it was sent the loss"
    assert judge_room(Trial(), [1, 2, 3, 4], [1, 3, 2, 4]) == ["room"], "another order"
    assert judge_room(Trial(), [1, 2, 2, 3], [1, 2, 3]) == ["room"], "one twice"
    assert judge_room(Trial(), [1, 2, 3, 4, 5, 6], [1, 2]) == ["room"], "it receives nothing any more"


def test_a_seed_says_what_happens(t):
    for seed in range(1, 40):
        one, other = RandomSchedule(seed), RandomSchedule(seed)
        assert str(one) == str(other) and one.actions == other.actions, seed
        assert one.faults and one.actions, seed
    assert str(RandomSchedule(1)) != str(RandomSchedule(2))
