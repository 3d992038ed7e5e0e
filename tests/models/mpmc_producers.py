"""mpmc: producers who are killed or stopped at every step, and repair, which may be killed, too.

The consumer is ideal: it takes what is published at head in one step. See protocol/mpmc.h for the
algorithm; the slots here are (state, position). An intent stays until the next one takes its
place. Of the variants, "chain" is the one that is used:

    chain     repair asks who owns the position: index word, then the claim of the next position
    careless  the intent is gone before the slot says what came of it: must be refuted
    intents   repair takes the intent for the claim, as if whoever intended had won: must be refuted
    hasty     repair believes what a slot says without looking at its own once more: must be refuted
"""

from typing import NamedTuple, Optional

from explorer import explore, put

FREE, READY, TOMB = "free", "ready", "tomb"
ALIVE, DEAD, STOPPED = "alive", "dead", "stopped"
SLOTS = 2
NOBODY = -1

# Where a producer stands.
LOAD, LOOK, INTEND, CLAIM, FORGET, PAYLOAD, ABOUT, PUBLISH = range(8)


class State(NamedTuple):
    tail: tuple = (0, NOBODY)  # position, owner of the position before
    head: int = 0
    slot: tuple = tuple((FREE, i) for i in range(SLOTS))
    before: tuple = (None,) * SLOTS  # of about: the owner of the position before
    data: tuple = (None,) * SLOTS
    # each producer's
    intent: tuple = ()
    at: tuple = ()
    seen: tuple = ()  # the tail it loaded
    done: tuple = ()
    life: tuple = ()
    repaired: tuple = ()
    # the broker's: what it is doing, for whom, and what it knows
    repair: Optional[tuple] = None
    # faults left
    kills: int = 0
    repair_kills: int = 0
    stops: int = 0
    # what only the judge knows
    owners: tuple = ()
    published: tuple = ()
    delivered: tuple = ()
    wrong: str = ""


class Producers:
    def __init__(self, count, messages, kills=0, repair_kills=0, stops=0, variant="chain"):
        self.count, self.messages, self.variant = count, messages, variant
        each = (None,) * count
        self.start = State(
            intent=each,
            at=(LOAD,) * count,
            seen=each,
            done=(0,) * count,
            life=(ALIVE,) * count,
            repaired=(False,) * count,
            kills=kills,
            repair_kills=repair_kills,
            stops=stops,
        )

    def explore(self):
        return explore(self.start, self.steps, self.judge)

    def push(self, s, i):
        """The next step of producer i, or None when it has nothing to do."""

        def go(at, **changes):
            return s._replace(at=put(s.at, i, at), **changes)

        if s.done[i] == self.messages:
            return None
        at, tail = s.at[i], s.seen[i]
        if at == LOAD:
            return go(LOOK, seen=put(s.seen, i, s.tail))
        position, _ = tail
        place = position % SLOTS
        if at == LOOK:
            if s.slot[place] == (FREE, position):
                return go(INTEND)
            return go(LOAD) if s.tail[0] != position else None
        if at == INTEND:
            return go(CLAIM, intent=put(s.intent, i, tail))
        if at == CLAIM:
            if s.tail != tail:
                return go(LOAD)
            after = FORGET if self.variant == "careless" else PAYLOAD
            return go(after, tail=(position + 1, i), owners=s.owners + (i,))
        if at == FORGET:
            return go(PAYLOAD, intent=put(s.intent, i, None))
        if at == PAYLOAD:
            return go(ABOUT, data=put(s.data, place, (i, s.done[i])))
        if at == ABOUT:
            return go(PUBLISH, before=put(s.before, place, tail[1]))
        if s.slot[place] != (FREE, position):
            return s._replace(wrong="a living producer lost its slot")
        return go(
            LOAD,
            slot=put(s.slot, place, (READY, position)),
            published=s.published + ((i, s.done[i]),),
            done=put(s.done, i, s.done[i] + 1),
        )

    def pop(self, s):
        place = s.head % SLOTS
        state, position = s.slot[place]
        if position != s.head or state == FREE:
            return None
        taken = (s.data[place],) if state == READY else ()
        return s._replace(
            head=s.head + 1,
            delivered=s.delivered + taken,
            slot=put(s.slot, place, (FREE, s.head + SLOTS)),
        )

    def steps_of_repair(self, s):
        if s.repair is None:
            for i in range(self.count):
                if s.life[i] == DEAD and not s.repaired[i]:
                    yield s._replace(repair=("begin", i, None))
            return
        what, dead, known = s.repair
        intent = s.intent[dead]
        position, before = intent or (0, None)
        place, after = position % SLOTS, (position + 1) % SLOTS

        def go(to, value=None, **changes):
            return s._replace(repair=(to, dead, value), **changes)

        def is_settled():
            return s.slot[after][1] == position + 1 and s.slot[after][0] != FREE

        if what == "begin":
            if intent is None or s.tail[0] <= position:
                yield go("clear")
            elif self.variant == "intents":
                yield go("own")
            elif s.tail[0] == position + 1:
                yield go("owner", s.tail[1])
            else:
                yield go("slot")
        elif what == "slot":
            yield go("about") if is_settled() else go("intents", 0)
        elif what == "intents":
            if known == self.count:
                yield go("slot again")
            elif s.intent[known] is not None and s.intent[known][0] == position + 1:
                yield go("owner", s.intent[known][1])
            else:
                yield go("intents", known + 1)
        elif what == "slot again":
            if is_settled():
                yield go("about")
            elif s.slot[place] != (FREE, position):
                yield go("clear")
            else:
                yield s._replace(wrong="nobody can tell the owner")
        elif what == "about":
            yield go("owner", s.before[after])
        elif what == "owner":
            is_open = self.variant == "hasty" or s.slot[place] == (FREE, position)
            yield go("own") if known == dead and is_open else go("clear")
        elif what == "own":
            if self.variant == "intents" and s.slot[place] != (FREE, position):
                yield go("clear")
            else:
                yield go("give back", before=put(s.before, place, before))
        elif what == "give back":
            if s.slot[place] != (FREE, position):
                yield s._replace(wrong="repair wrote about, and the slot moved on")
            elif s.owners[position] != dead:
                yield s._replace(wrong="repair took a slot that is another's")
            else:
                yield go("clear", slot=put(s.slot, place, (TOMB, position)))
        elif what == "clear":
            yield go("end", intent=put(s.intent, dead, None))
        else:
            yield s._replace(repair=None, repaired=put(s.repaired, dead, True))

    def steps(self, s):
        for i in range(self.count):
            if s.life[i] != ALIVE:
                continue
            after = self.push(s, i)
            if after:
                yield f"P{i}", after
            if s.done[i] == self.messages and s.at[i] == LOAD and s.intent[i] is None:
                continue
            if s.kills:
                yield f"~kill{i}", s._replace(life=put(s.life, i, DEAD), kills=s.kills - 1)
            if s.stops:
                yield f"~stop{i}", s._replace(life=put(s.life, i, STOPPED), stops=s.stops - 1)
        after = self.pop(s)
        if after:
            yield "C", after
        for after in self.steps_of_repair(s):
            yield f"R {s.repair[0] if s.repair else 'find'}", after
        if s.repair_kills and s.repair:
            yield "~kill repair", s._replace(repair=None, repair_kills=s.repair_kills - 1)

    def judge(self, s):
        """Complains of a final state; a stopped owner of head excuses what stands behind it."""
        if len(set(s.delivered)) != len(s.delivered):
            return "a message was delivered twice"
        if s.head < len(s.owners) and s.life[s.owners[s.head]] == STOPPED:
            return ""
        if sorted(s.delivered) != sorted(s.published):
            return "a published message is not delivered"
        for i in range(self.count):
            if s.life[i] == ALIVE and s.done[i] < self.messages:
                return "a living producer is stuck"
        return ""
