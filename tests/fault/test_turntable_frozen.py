"""The front-end of some members of a room stands frozen for longer than its lease: they are taken out of the room, and are back
when it wakes. Every member receives every message in order, or a notice that it may have missed some."""
import json
import time

from harness.faults import end_hold, wait_ready, wait_swept
from harness.turntable import Turntable
from harness.waiting import scaled

LISTEN = ("web=127.0.0.1:0",)
SETTINGS = {"map.lease": "900ms", "map.sweep": "200ms", "client.grace": "300ms", "presence.offline_delay": "300ms", "ws.rate": 0}
# The shorter ones end before the links to Redis are doubted, the longer ones after that.
FREEZES = (2.0, 2.5, 3.2, 4.0)


def check_received(client, room, said):
    """What came is what was said, in its order and without a gap but where `lost` stands. Returns the last of it."""
    places = {number: place for place, number in enumerate(said)}
    last, lost = None, False
    for _, message in client.messages:
        data = message["data"]
        if message["command"] == "error" and data["code"] == "lost" and data["channel"] == room:
            lost = True
        elif message["command"] == "game" and data["channel"] == room:
            number = tuple(data["actions"][0]["data"])
            place = places[number]
            if last is not None:
                assert place > last, f"{client.user}: {number} after {said[last]}"
                assert lost or place == last + 1, f"{client.user}: not notified of {said[last + 1:place]} before {number}"
            last, lost = place, False
    return last


class Room:
    """Members that speak in turn; what is said is numbered."""

    def __init__(self, name, members):
        self.name, self.members = name, members
        self.number = 0
        self.spoken = {}  # user -> the last that it said

    def speak(self, member):
        self.number += 1
        self.spoken[member.user] = self.number
        member.play(self.name, [member.user, self.number])

    def talk(self, speakers, seconds):
        end = time.monotonic() + scaled(seconds)
        while time.monotonic() < end:
            for speaker in speakers:
                self.speak(speaker)
            for member in self.members:
                member.pump(0.005)

    def said(self, redis_channel):
        """All messages in the room's order, as Redis published them."""
        found = []
        for _, message in redis_channel.messages():
            if message.split(b" ", 5)[4] == b"say":
                found.append(tuple(json.loads(message.split(b"\n", 1)[1])["data"]["actions"][0]["data"]))
        return found


def losses(member, room):
    return sum(message["command"] == "error" and message["data"]["code"] == "lost" and message["data"]["channel"] == room
               for _, message in member.messages)


def freeze_and_wake(t, frontend, seconds, room, others):
    """The others send on; then all who were taken out are in the room again, and have received the notice of loss."""
    frozen = [member for member in room.members if member not in others]
    before = [losses(member, room.name) for member in frozen]
    users = {member.user for member in room.members}
    frontend.freeze()
    room.talk(others, seconds)
    for other in others:
        other.wait_members(room.name, {member.user for member in others}, 15)
    room.talk(others, 0.2)
    frontend.thaw()
    room.talk(others, 1)
    for member in room.members:
        assert member.closed is None, (member.user, member.closed)
        member.wait_members(room.name, users, 15)
    for member, count in zip(frozen, before):
        t.wait_until(lambda: member.pump() or losses(member, room.name) > count, 10, "the notice of loss arrives")


def check_all(t, room, published):
    """The last message reaches all members, and all earlier ones have arrived or are reported as lost."""
    said = []

    def is_published():
        said.extend(room.said(published))
        for member in room.members:
            member.pump()
        return set(room.spoken.items()) <= set(said)
    t.wait_until(is_published, 10, lambda: f"all is published: {room.spoken}, {said[-3:]}")
    room.speak(room.members[-1])

    def all_came():
        return is_published() and all(
            json.loads(member.rooms[room.name][-1])["data"]["actions"][0]["data"] == list(said[-1])
            for member in room.members)
    t.wait_until(all_came, 10, lambda: f"the last of {room.number} came to all: {said[-3:]}")
    for member in room.members:
        assert check_received(member, room.name, said) == len(said) - 1


def start(t):
    redis = t.redis()
    frontends = t.frontends(3, redis, listen=LISTEN, settings=SETTINGS)
    end_hold(redis)
    wait_swept(redis)
    return redis, frontends, redis.subscribe(b"tracker:{main/1/0}:room:room")


def test_members_of_a_frozen_front_end_miss_nothing_silently(t):
    redis, (a, b, c), published = start(t)
    frozen = [t.connect(a, Turntable, kind="web", user=f"1:{number}") for number in range(2)]
    others = [t.connect(node, Turntable, kind="web", user=f"2:{number}") for number, node in enumerate((b, c))]
    for client in frozen + others:
        client.join("room")
    room = Room("room", frozen + others)
    for seconds in FREEZES:
        freeze_and_wake(t, a, seconds, room, others)
        wait_ready([a, b, c])
        for member in frozen:
            room.speak(member)
    check_all(t, room, published)
    t.fsck(redis)


def test_what_is_said_between_a_forced_leave_and_the_return_is_not_missed_silently(t):
    """The frozen front-end puts its member back before it has the events of the leave and of what was said then."""
    redis = t.redis()
    other, = t.frontends(1, redis, listen=LISTEN, settings=SETTINGS)
    links = t.links(redis)
    frozen = t.frontend(links.url, node="frozen", listen=LISTEN, settings=SETTINGS)
    end_hold(redis)
    wait_swept(redis)
    published = redis.subscribe(b"tracker:{main/1/0}:room:room")
    members = [t.connect(node, Turntable, kind="web", user=f"1:{number}") for number, node in enumerate((frozen, other))]
    for member in members:
        member.join("room")
    member, speaker = members
    room = Room("room", members)
    room.speak(speaker)
    for round in range(1, 3):
        links.delay = 1.5  # shorter than what resets a link
        frozen.freeze()
        speaker.wait_members("room", {speaker.user}, 15)
        room.speak(speaker)
        t.wait_until(lambda: speaker.pump() or room.number == json.loads(speaker.rooms["room"][-1])["data"]["actions"][0]["data"][1],
                     10, "it is said")
        frozen.thaw()
        speaker.wait_members("room", {one.user for one in members}, 15)
        room.speak(speaker)
        links.delay = 0
        t.wait_until(lambda: member.pump() or losses(member, "room") >= round, 15, "the notice of loss arrives")
        member.wait_members("room", {one.user for one in members}, 15)
    check_all(t, room, published)
    t.fsck(redis)
