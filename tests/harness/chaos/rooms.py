"""What members of rooms were sent. A stay is what one member was sent of a room from its coming, or from a
`lost`, until it left, lost again, or its connection ended.

Two stays that share messages had the same between the first and the last of them, in the same order; none
had a message twice; what was said without an error comes back to who said it, and to all who stay.
"""
import bisect
import collections


class Stay:
    def __init__(self, rooms, member, room, now):
        self.rooms, self.member, self.room = rooms, member, room
        self.begin = now
        self.finish, self.why = None, None
        self.messages = []
        self.times = []
        self.places = {}
        self.said = []  # (message, when) of its own
        self.front_end = None

    def note_message(self, message, now):
        if message in self.places:
            self.rooms.violate(f"{self.name()} was sent {message} twice")
            return
        self.places[message] = len(self.messages)
        self.messages.append(message)
        self.times.append(now)
        self.rooms.arrived(self.room, message, now)

    def end(self, now, why):
        self.finish, self.why = now, why

    def name(self):
        return f"{self.member.name} ({self.member.user.name}) in {self.room} from {self.begin:.2f}"


class Rooms:
    def __init__(self, run):
        self.run = run
        self.stays = collections.defaultdict(list)
        self.first = collections.defaultdict(dict)  # room -> message -> when anybody was first sent it
        self.found = []
        self.forgiven = set()  # messages whose sender got an error

    def violate(self, text, about=None):
        self.found.append(text)
        self.run.oracle.violate("room", about or text, text)

    def stay(self, member, room, now):
        found = Stay(self, member, room, now)
        self.stays[room].append(found)
        return found

    def said(self, room, stay, message, now):
        stay.said.append((message, now))

    def refused(self, member, _now):
        """One of its messages; which one is not said."""
        for stay in self.stays_of(member):
            self.forgiven.update(message for message, _ in stay.said if message not in stay.places)

    def stays_of(self, member):
        return [stay for stays in self.stays.values() for stay in stays if stay.member is member]

    def arrived(self, room, message, now):
        self.first[room].setdefault(message, now)

    # The end.

    def judge(self, now, bound):
        """All of it; bound: after what time a message that anybody was sent has reached all."""
        for room, stays in self.stays.items():
            for number, one in enumerate(stays):
                for other in stays[number + 1:]:
                    self._compare(one, other)
            self._reached(room, stays, now, bound)

    def _compare(self, one, other):
        common = [message for message in one.messages if message in other.places]
        if len(common) < 2:
            return
        mine = one.messages[one.places[common[0]]:one.places[common[-1]] + 1]
        places = sorted(other.places[message] for message in common)
        theirs = other.messages[places[0]:places[-1] + 1]
        if mine == theirs:
            return
        missing = [message for message in theirs if message not in one.places]
        extra = [message for message in mine if message not in other.places]
        if missing:
            self.violate(f"{one.name()} missed {missing[:5]} without `lost`, which {other.name()} was sent "
                         f"at {[round(other.times[other.places[message]], 2) for message in missing[:5]]}")
        if extra:
            self.violate(f"{other.name()} missed {extra[:5]} without `lost`, which {one.name()} was sent "
                         f"at {[round(one.times[one.places[message]], 2) for message in extra[:5]]}")
        if not missing and not extra:
            self.violate(f"{one.name()} and {other.name()} were sent the same in another order: {mine[:8]} {theirs[:8]}")

    def _reached(self, room, stays, now, bound):
        """Who stayed was sent everything that was said while it stayed."""
        first = sorted((when, message) for message, when in self.first[room].items())
        times = [when for when, _ in first]
        for stay in stays:
            end = now if stay.finish is None else stay.finish
            missing = []
            for when, message in first[bisect.bisect_left(times, stay.begin + bound):]:
                late = self.run.disturbances.last_end(when, end, {None}) + bound
                if late >= end:
                    break
                if message not in stay.places:
                    missing.append(message)
            # What was said before it came may have been sent to others late.
            if missing:
                self.violate(f"{stay.name()} (until {stay.why or 'the end'}) was not sent {missing[:6]}, of "
                             f"{len(missing)}, which others were sent")
            for message, when in stay.said:
                due = self.run.disturbances.last_end(when, end, {None}) + bound
                if message not in stay.places and message not in self.forgiven and due < end:
                    self.violate(f"{stay.name()} said {message} at {when:.2f}; it came back neither as a message nor "
                                 "as an error")
