"""broadcast: writers who are killed or stopped at every step, and repair, which may be killed, too.

Positions count units; a header and each unit of payload cover one, and payload wipes the header of
an earlier lap. See protocol/broadcast.h for the algorithm. Of the variants, "chain" is the one that
is used:

    chain    repair asks who owns the claim: tail, then the next claim's intent, then its header
    intents  repair takes the intent for the claim: must be refuted
    no gate  nobody waits for what is not finished a lap behind: must be refuted
    first    repair takes a batch for published when its first message is: must be refuted

What a writer sends is a need, or a tuple of needs, which is a batch: one claim, a header for each.
"""

from typing import NamedTuple, Optional

from explorer import explore, put

ALIVE, DEAD, STOPPED = "alive", "dead", "stopped"
NOBODY = -1

# Where a writer stands.
LOAD, SCAN, INTEND, CLAIM, LOST, PAYLOAD, TAG, CLEAR = range(8)


class State(NamedTuple):
    tail: tuple = (0, NOBODY)  # position, owner of what ends there
    header: tuple = ()  # (position, need, writer, previous owner, is a message)
    payload: tuple = ()  # (position of the unit, writer)
    # each writer's
    intent: tuple = ()  # (position, need, previous owner)
    at: tuple = ()
    seen: tuple = ()  # tail loaded, next to scan or to write, gate so far
    done: tuple = ()
    life: tuple = ()
    repaired: tuple = ()
    # the broker's: whom it repairs
    repair: Optional[int] = None
    # the reader's: position, header found, units copied
    reader: tuple = (0, None, ())
    # faults left
    kills: int = 0
    repair_kills: int = 0
    stops: int = 0
    # what only the judge knows
    claims: tuple = ()
    wrong: str = ""


class Broadcast:
    def __init__(self, capacity, needs, kills=0, repair_kills=0, stops=0, variant="chain"):
        self.capacity, self.variant = capacity, variant
        # every claim as a tuple of what is in it
        self.needs = [[n if isinstance(n, tuple) else (n,) for n in own] for own in needs]
        count = len(needs)
        self.count = count
        self.start = State(
            header=(None,) * capacity,
            payload=(None,) * capacity,
            intent=(None,) * count,
            at=(LOAD,) * count,
            seen=(None,) * count,
            done=(0,) * count,
            life=(ALIVE,) * count,
            repaired=(False,) * count,
            kills=kills,
            repair_kills=repair_kills,
            stops=stops,
        )

    def explore(self):
        return explore(self.start, self.steps, self.judge)

    def is_tagged(self, state, position):
        header = state.header[position % self.capacity]
        return header is not None and header[0] == position

    def writer(self, state, i):
        """The one step that writer i can do; None: it waits."""
        at, seen = state.at[i], state.seen[i]
        parts = self.needs[i][state.done[i]]
        need = sum(parts)

        def go(to, **changes):
            return state._replace(at=put(state.at, i, to), **changes)

        def sees(*what):
            return put(state.seen, i, what)

        if at == LOAD:
            to = INTEND if self.variant == "no gate" else SCAN
            return go(to, seen=sees(state.tail, 0, state.tail[0]))
        if at == SCAN:
            return self.scan(state, i, need, go, sees)
        tail, number, _ = seen
        if at == INTEND:
            return go(CLAIM, intent=put(state.intent, i, (tail[0], need, tail[1])))
        if at == CLAIM:
            if state.tail != tail:
                return go(LOST)
            claims = state.claims + ((tail[0], need, i),)
            return go(PAYLOAD, tail=(tail[0] + need, i), claims=claims, seen=sees(tail, 0, 0))
        if at == LOST:
            return go(LOAD, intent=put(state.intent, i, None), seen=put(state.seen, i, None))
        begins = [sum(parts[:k]) for k in range(len(parts))]
        if at == PAYLOAD:
            unit = (tail[0] + number) % self.capacity
            header = put(state.header, unit, None) if number not in begins else state.header
            payload = put(state.payload, unit, (tail[0] + number, i))
            to = TAG if number + 1 == need or number + 1 in begins else PAYLOAD
            return go(to, header=header, payload=payload, seen=sees(tail, number + 1, 0))
        if at == TAG:
            begin = max(x for x in begins if x < number)
            before = tail[1] if begin == 0 else i
            header = (tail[0] + begin, number - begin, i, before, True)
            headers = put(state.header, (tail[0] + begin) % self.capacity, header)
            return go(CLEAR if number == need else PAYLOAD, header=headers)
        return go(
            LOAD,
            intent=put(state.intent, i, None),
            seen=put(state.seen, i, None),
            done=put(state.done, i, state.done[i] + 1),
        )

    def scan(self, state, i, need, go, sees):
        tail, number, gate = state.seen[i]
        if number < self.count:
            other = state.intent[number]
            # one that far back has failed, or the tail could not be where it is
            if other and number != i and other[0] + self.capacity >= tail[0]:
                gate = min(gate, other[0])
            return go(SCAN, seen=sees(tail, number + 1, gate))
        if tail[0] + need <= gate + self.capacity:
            return go(INTEND, seen=sees(tail, 0, 0))
        # full: again when something has changed
        now = [x[0] for k, x in enumerate(state.intent) if k != i and x]
        now = [x for x in now if x + self.capacity >= state.tail[0]]
        if state.tail == tail and min([tail[0]] + now) == gate:
            return None
        return go(LOAD, seen=put(state.seen, i, None))

    def owner_of(self, state, position, end):
        """Who claimed [position, end); intents and headers are looked at in one step."""
        tail = state.tail
        if tail[0] <= position or tail[0] < end:
            return NOBODY
        if tail[0] == end:
            return tail[1]
        for intent in state.intent:
            if intent and intent[0] == end:
                return intent[2]
        return state.header[end % self.capacity][3] if self.is_tagged(state, end) else NOBODY

    def repairs(self, state):
        """The broker's steps: begin, pad, clear; killed, it begins anew."""
        dead = state.repair
        if dead is None:
            for i in range(self.count):
                if state.life[i] == DEAD and not state.repaired[i]:
                    yield f"repair {i}", state._replace(repair=i)
            return
        intent = state.intent[dead]
        if intent is not None and not self.is_padded(state, dead):
            yield f"pad {dead}", self.pad(state, dead)
        else:
            yield f"clear {dead}", state._replace(
                intent=put(state.intent, dead, None),
                repaired=put(state.repaired, dead, True),
                repair=None,
            )
        if state.repair_kills:
            yield "~kill repair", state._replace(repair=None, repair_kills=state.repair_kills - 1)

    def skip_published(self, state, position, end):
        """Where what is not published of a claim begins."""
        while position < end and self.is_tagged(state, position):
            position += state.header[position % self.capacity][1]
        return position

    def is_padded(self, state, dead):
        position, need, _ = state.intent[dead]
        if self.variant == "intents":
            return state.tail[0] <= position or self.is_tagged(state, position)
        if self.owner_of(state, position, position + need) != dead:
            return True
        if self.variant == "first":
            return self.is_tagged(state, position)
        return self.skip_published(state, position, position + need) == position + need

    def pad(self, state, dead):
        position, need, before = state.intent[dead]
        claim = next((c for c in state.claims if c[0] == position), None)
        wrong = ""
        if claim is None or claim[1] != need:
            wrong = "padding is not what was claimed"
        elif state.life[claim[2]] != DEAD:
            wrong = "padding over a living writer's claim"
        elif state.tail[0] > position + self.capacity:
            wrong = "padding over a later lap"
        at = self.skip_published(state, position, position + need)
        header = (at, position + need - at, dead, before if at == position else dead, False)
        headers = put(state.header, at % self.capacity, header)
        return state._replace(header=headers, wrong=wrong)

    def read(self, state):
        position, header, copied = state.reader
        if header is None:
            if self.is_tagged(state, position):
                found = state.header[position % self.capacity]
                return state._replace(reader=(position, found, ()))
            if state.tail[0] > position + self.capacity:
                return state._replace(reader=(state.tail[0], None, ()))
            return None
        need = header[1]
        if header[4] and len(copied) < need:
            unit = state.payload[(position + len(copied)) % self.capacity]
            return state._replace(reader=(position, header, copied + (unit,)))
        if state.tail[0] > position + self.capacity:
            return state._replace(reader=(state.tail[0], None, ()))
        wrong = ""
        if header[4] and copied != tuple((position + k, header[2]) for k in range(need)):
            wrong = "a reader takes garbage for a message"
        return state._replace(reader=(position + need, None, ()), wrong=wrong)

    def steps(self, state):
        for i in range(self.count):
            if state.life[i] != ALIVE or state.done[i] >= len(self.needs[i]):
                continue
            after = self.writer(state, i)
            if after:
                yield f"writer {i}", after
            for fault, left, life in (("kills", state.kills, DEAD), ("stops", state.stops, STOPPED)):
                if left:
                    changes = {fault: left - 1, "life": put(state.life, i, life)}
                    yield f"~{fault} {i}", state._replace(**changes)
        yield from self.repairs(state)
        after = self.read(state)
        if after:
            yield "reader", after

    def judge(self, state):
        for position, need, owner in state.claims:
            begins = self.skip_published(state, position, position + need)
            is_there = begins == position + need or position + self.capacity < state.tail[0]
            is_covered = state.tail[0] > position + self.capacity
            if not is_there and not is_covered and state.life[owner] != STOPPED:
                return "a claim is never published"
        if STOPPED in state.life:
            return ""
        for i in range(self.count):
            if state.life[i] == ALIVE and state.done[i] < len(self.needs[i]):
                return "a living writer waits for ever"
        return ""
