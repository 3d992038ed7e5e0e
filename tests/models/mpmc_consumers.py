"""mpmc: consumers who are killed or stopped at every step, and repair, which may be killed, too.

Producers are ideal: they publish in one step what there is room for. See protocol/mpmc.h; the slots
here are (state, position, consumer, the last only when taken). An intent stays until the next one
takes its place. Variants: "chain", the one that is used, and three that must be refuted:

    intents   repair takes the intent for the claim, as if whoever intended had won
    epoch     repair raises the epoch only if this run of it has changed a slot
    careless  the intent is gone before the slot says what came of it
"""

from typing import NamedTuple, Optional

from explorer import explore, put

FREE, READY, REDELIVER, TAKEN = "free", "ready", "redeliver", "taken"
ALIVE, DEAD, STOPPED = "alive", "dead", "stopped"
SLOTS = 2
NOBODY = -1

# Where a consumer stands: a pop at head, then the scan for what repair handed back.
LOAD, LOOK, INTEND, CLAIM, FORGET, READ, ABOUT, RELEASE = range(8)
SCAN, RETAKE, RETAKE_CLAIM, REREAD, RERELEASE = range(8, 13)


class State(NamedTuple):
    head: tuple = (0, NOBODY)  # position, owner of the position before
    tail: int = SLOTS
    slot: tuple = tuple((READY, i, None) for i in range(SLOTS))
    before: tuple = (None,) * SLOTS  # of about: the owner of the position before
    epoch: int = 0
    # each consumer's
    intent: tuple = ()  # (is it a retake, position, owner of the position before)
    at: tuple = ()
    seen: tuple = ()  # the head it loaded, or the position it takes again
    known_epoch: tuple = ()
    scan: tuple = ()  # (epoch when the scan began, next slot)
    life: tuple = ()
    repaired: tuple = ()
    repair: Optional[tuple] = None
    # faults left
    kills: int = 0
    repair_kills: int = 0
    stops: int = 0
    # what only the judge knows
    owners: tuple = ()
    read: tuple = ()  # (position, is it flagged)
    released: tuple = ()
    wrong: str = ""


class Consumers:
    def __init__(self, count, messages, kills=0, repair_kills=0, stops=0, variant="chain"):
        self.count, self.messages, self.variant = count, messages, variant
        each = (None,) * count
        self.start = State(
            tail=min(SLOTS, messages),
            slot=tuple((READY if i < messages else FREE, i, None) for i in range(SLOTS)),
            intent=each,
            at=(LOAD,) * count,
            seen=each,
            known_epoch=(0,) * count,
            scan=((0, 0),) * count,
            life=(ALIVE,) * count,
            repaired=(False,) * count,
            kills=kills,
            repair_kills=repair_kills,
            stops=stops,
        )

    def explore(self):
        return explore(self.start, self.steps, self.judge)

    def pop(self, s, i):
        """The next step of consumer i, or None when it would sleep."""

        def go(at, **changes):
            return s._replace(at=put(s.at, i, at), **changes)

        def intend(intent):
            return put(s.intent, i, intent)

        def free(position):
            return {
                "slot": put(s.slot, position % SLOTS, (FREE, position + SLOTS, None)),
                "released": s.released + (position,),
            }

        at = s.at[i]
        if at == LOAD:
            if s.epoch != s.known_epoch[i]:
                return go(SCAN, scan=put(s.scan, i, (s.epoch, 0)))
            return go(LOOK, seen=put(s.seen, i, s.head))
        if at == SCAN:
            epoch, place = s.scan[i]
            if place == SLOTS:
                return go(LOAD, known_epoch=put(s.known_epoch, i, epoch))
            if s.slot[place][0] == REDELIVER:
                return go(RETAKE, seen=put(s.seen, i, (s.slot[place][1], None)))
            return go(SCAN, scan=put(s.scan, i, (epoch, place + 1)))
        position, before = s.seen[i]
        place = position % SLOTS
        ready = (READY, position, None)
        if at == LOOK:
            if s.slot[place] == ready:
                return go(INTEND)
            if s.head[0] != position or s.epoch != s.known_epoch[i]:
                return go(LOAD)
            return None
        if at == INTEND:
            return go(CLAIM, intent=intend((False, position, before)))
        if at == CLAIM:
            if s.head != s.seen[i]:
                return go(LOAD)
            after = FORGET if self.variant == "careless" else READ
            return go(after, head=(position + 1, i), owners=s.owners + (i,))
        if at == FORGET:
            return go(READ, intent=intend(None))
        if at == READ:
            if any(p == position for p, _ in s.read):
                return s._replace(wrong="delivered again without a flag")
            return go(ABOUT, read=s.read + ((position, False),))
        if at == ABOUT:
            return go(RELEASE, before=put(s.before, place, before))
        if at == RELEASE:
            if s.slot[place] != ready:
                return s._replace(wrong="a living consumer lost its slot")
            return go(LOAD, **free(position))
        if at == RETAKE:
            return go(RETAKE_CLAIM, intent=intend((True, position, None)))
        if at == RETAKE_CLAIM:
            if s.slot[place] != (REDELIVER, position, None):
                return go(LOAD)
            return go(REREAD, slot=put(s.slot, place, (TAKEN, position, i)))
        if at == REREAD:
            return go(RERELEASE, read=s.read + ((position, True),))
        if s.slot[place] != (TAKEN, position, i):
            return s._replace(wrong="a living consumer lost what it took again")
        return go(LOAD, **free(position))

    def push(self, s):
        place = s.tail % SLOTS
        if s.tail == self.messages or s.slot[place] != (FREE, s.tail, None):
            return None
        return s._replace(tail=s.tail + 1, slot=put(s.slot, place, (READY, s.tail, None)))

    def steps_of_repair(self, s):
        if s.repair is None:
            for i in range(self.count):
                if s.life[i] == DEAD and not s.repaired[i]:
                    yield s._replace(repair=("begin", i, None))
            return
        what, dead, known = s.repair
        again, position, before = s.intent[dead] or (False, 0, None)
        place, after = position % SLOTS, (position + 1) % SLOTS
        ready = (READY, position, None)

        def go(to, value=None, **changes):
            return s._replace(repair=(to, dead, value), **changes)

        def hand_back():
            return go("epoch", slot=put(s.slot, place, (REDELIVER, position, None)))

        def is_handed_back():
            return s.slot[place] == (REDELIVER, position, None)

        def is_settled():
            state, where, _ = s.slot[after]
            if state == FREE:
                return where == position + 1 + SLOTS
            return where == position + 1 and state in (REDELIVER, TAKEN)

        nothing = "clear" if self.variant == "epoch" else "look"
        if what == "begin":
            if s.intent[dead] is None:
                yield go("clear")
            elif again:
                yield hand_back() if s.slot[place] == (TAKEN, position, dead) else go(nothing)
            elif s.slot[place] != ready or s.head[0] <= position:
                yield go(nothing)
            elif self.variant == "intents":
                yield go("own")
            elif s.head[0] == position + 1:
                yield go("owner", s.head[1])
            else:
                yield go("slot")
        elif what == "slot":
            yield go("about") if is_settled() else go("intents", 0)
        elif what == "intents":
            if known == self.count:
                yield go("slot again")
            elif s.intent[known] is not None and s.intent[known][:2] == (False, position + 1):
                yield go("owner", s.intent[known][2])
            else:
                yield go("intents", known + 1)
        elif what == "slot again":
            if is_settled():
                yield go("about")
            elif s.slot[place] != ready:
                yield go(nothing)
            else:
                yield s._replace(wrong="nobody can tell the owner")
        elif what == "about":
            yield go("owner", s.before[after])
        elif what == "owner":
            yield go("own") if known == dead and s.slot[place] == ready else go(nothing)
        elif what == "own":
            yield go("give back", before=put(s.before, place, before))
        elif what == "give back":
            if s.slot[place] != ready:
                yield s._replace(wrong="repair wrote about, and the slot moved on")
            elif s.owners[position] != dead:
                yield s._replace(wrong="repair took a message out of another's hands")
            else:
                yield hand_back()
        elif what == "look":
            # what an earlier run handed back must be told of by this one
            yield go("epoch" if is_handed_back() else "clear")
        elif what == "epoch":
            yield go("clear", epoch=s.epoch + 1)
        elif what == "clear":
            yield go("end", intent=put(s.intent, dead, None))
        else:
            yield s._replace(repair=None, repaired=put(s.repaired, dead, True))

    def steps(self, s):
        for i in range(self.count):
            if s.life[i] != ALIVE:
                continue
            after = self.pop(s, i)
            if after:
                yield f"C{i}", after
            elif s.intent[i] is None:
                continue
            if s.kills:
                yield f"~kill{i}", s._replace(life=put(s.life, i, DEAD), kills=s.kills - 1)
            if s.stops:
                yield f"~stop{i}", s._replace(life=put(s.life, i, STOPPED), stops=s.stops - 1)
        after = self.push(s)
        if after:
            yield "P", after
        for after in self.steps_of_repair(s):
            yield f"R {s.repair[0] if s.repair else 'find'}", after
        if s.repair_kills and s.repair:
            yield "~kill repair", s._replace(repair=None, repair_kills=s.repair_kills - 1)

    def is_held_by_stopped(self, s, position):
        if position < len(s.owners) and s.life[s.owners[position]] == STOPPED:
            return True
        state, _, holder = s.slot[position % SLOTS]
        return state == TAKEN and s.life[holder] == STOPPED

    def judge(self, s):
        """Complains of a final state in which a message is nobody's, or was released twice."""
        if ALIVE not in s.life:
            return ""
        for position in range(self.messages):
            times = s.released.count(position)
            if times > 1:
                return "a message was released twice"
            if times == 0 and not self.is_held_by_stopped(s, position):
                if STOPPED in s.life and position >= s.tail:
                    continue  # no room for it behind what the stopped one holds
                return "a message is never delivered"
        return ""
