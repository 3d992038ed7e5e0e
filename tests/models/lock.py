"""lock: readers and writers who are killed or stopped at every step, and repair, killed, too.

See protocol/lock.h. Sleeping is the event count's affair: a sleeper has set its bit and found the
lock taken once more; who changes something wakes all whose bit it then sees. Variants: "exchange",
the one that is used, and those that must be refuted:

    plain     a reader marks by a plain store, which may reach memory after its look at the word
    early     a writer looks at the marks before its claim stands
    silent    a reader that backs out tells nobody
    unmarked  repair leaves the dead reader's mark
    pending   repair takes a claim for a hold, and tells of a dead owner who changed nothing
"""

from typing import NamedTuple, Optional

from explorer import explore, put

FREE, PENDING, HELD = "free", "pending", "held"
ALIVE, DEAD, STOPPED = "alive", "dead", "stopped"
NOBODY = -1

# Where one stands. Readers and writers share the first two.
LOOK, SLEEP = "look", "sleep"
MARK, CHECK, READ, UNMARK, TELL_LEFT, BACK, TELL_BACK = (
    "mark",
    "check",
    "read",
    "unmark",
    "tell left",
    "back out",
    "tell of backing out",
)
CLAIM, SCAN, AWAIT, ENTER, HALF, WHOLE, UNLOCK, TELL_FREED, SCAN_FIRST = (
    "claim",
    "scan",
    "await readers",
    "enter",
    "half written",
    "whole",
    "unlock",
    "tell freed",
    "scan first",
)


class State(NamedTuple):
    word: tuple = (FREE, NOBODY)
    needs_recovery: bool = False
    data: int = 0  # odd: half written
    # each one's
    mark: tuple = ()
    buffered: tuple = ()  # a plain store of the mark that has not reached memory
    at: tuple = ()
    asleep: tuple = ()  # on "freed", on "left", or not
    told: tuple = ()  # that the owner before died
    done: tuple = ()
    life: tuple = ()
    repaired: tuple = ()
    repair: Optional[tuple] = None
    # faults left
    kills: int = 0
    repair_kills: int = 0
    stops: int = 0
    # what only the judge knows
    died_holding: bool = False
    wrong: str = ""


class Lock:
    def __init__(self, roles, turns, kills=0, repair_kills=0, stops=0, variant="exchange"):
        self.roles, self.turns, self.variant = roles, turns, variant
        each = (None,) * len(roles)
        self.start = State(
            mark=(False,) * len(roles),
            buffered=(False,) * len(roles),
            at=(LOOK,) * len(roles),
            asleep=each,
            told=(False,) * len(roles),
            done=(0,) * len(roles),
            life=(ALIVE,) * len(roles),
            repaired=(False,) * len(roles),
            kills=kills,
            repair_kills=repair_kills,
            stops=stops,
        )

    def explore(self):
        return explore(self.start, self.steps, self.judge)

    @staticmethod
    def wake(s, where):
        return s._replace(asleep=tuple(None if a == where else a for a in s.asleep))

    def read(self, s, i):
        """The next step of reader i, or None when it has nothing to do."""

        def go(at, **changes):
            return s._replace(at=put(s.at, i, at), **changes)

        at = s.at[i]
        if at == LOOK:
            return go(MARK) if s.word[0] == FREE else go(SLEEP)
        if at == SLEEP:
            # the second look, with the bit set
            if s.word[0] == FREE:
                return go(MARK)
            return go(LOOK, asleep=put(s.asleep, i, "freed"))
        if at == MARK:
            if self.variant == "plain":
                return go(CHECK, buffered=put(s.buffered, i, True))
            return go(CHECK, mark=put(s.mark, i, True))
        if at == CHECK:
            if s.word[0] != FREE:
                return go(BACK)
            if s.needs_recovery and not s.died_holding:
                return s._replace(wrong="a reader is told of an owner who held nothing")
            return go(READ, told=put(s.told, i, s.needs_recovery))
        if at == READ:
            if s.data % 2 and not s.told[i]:
                return s._replace(wrong="a reader sees what is half written")
            return go(UNMARK)
        if at in (UNMARK, BACK):
            s = s._replace(buffered=put(s.buffered, i, False))
            s = s._replace(mark=put(s.mark, i, False))
            return go(TELL_LEFT if at == UNMARK else TELL_BACK)._replace(
                mark=s.mark, buffered=s.buffered
            )
        if at == TELL_LEFT:
            return self.wake(go(LOOK, done=put(s.done, i, s.done[i] + 1)), "left")
        if self.variant == "silent":
            return go(LOOK)
        return self.wake(go(LOOK), "left")

    def write(self, s, i):
        def go(at, **changes):
            return s._replace(at=put(s.at, i, at), **changes)

        at = s.at[i]
        if at in (LOOK, SLEEP):
            if s.word[0] == FREE:
                if self.variant == "early":
                    return go(SCAN_FIRST)
                return go(SCAN, word=(PENDING, i))
            if at == LOOK:
                return go(SLEEP)
            return go(LOOK, asleep=put(s.asleep, i, "freed"))
        if at == SCAN_FIRST:
            if any(s.mark):
                return go(LOOK)
            return go(CLAIM)
        if at == CLAIM:
            return go(ENTER, word=(PENDING, i)) if s.word[0] == FREE else go(LOOK)
        if at == SCAN:
            return go(AWAIT) if any(s.mark) else go(ENTER)
        if at == AWAIT:
            if not any(s.mark):
                return go(ENTER)
            return go(SCAN, asleep=put(s.asleep, i, "left"))
        if at == ENTER:
            if s.needs_recovery and not s.died_holding:
                return s._replace(wrong="a writer is told of an owner who held nothing")
            if s.data % 2 and not s.needs_recovery:
                return s._replace(wrong="a writer finds what is half written and is not told")
            return go(HALF, word=(HELD, i))
        if at == HALF:
            if any(
                s.life[k] != DEAD and s.at[k] in (READ, HALF, WHOLE, UNLOCK) and k != i
                for k in range(len(self.roles))
            ):
                return s._replace(wrong="somebody else is in it with a writer")
            return go(WHOLE, data=s.data | 1)
        if at == WHOLE:
            # and marks it consistent
            return go(UNLOCK, data=(s.data | 1) + 1, needs_recovery=False)
        if at == UNLOCK:
            return go(TELL_FREED, word=(FREE, NOBODY))
        return self.wake(go(LOOK, done=put(s.done, i, s.done[i] + 1)), "freed")

    def steps_of_repair(self, s):
        if s.repair is None:
            for i, life in enumerate(s.life):
                if life == DEAD and not s.repaired[i]:
                    yield s._replace(repair=("word", i))
            return
        what, dead = s.repair
        if what == "word":
            after = s
            if s.word[1] == dead:
                held = s.word[0] == HELD or self.variant == "pending"
                after = s._replace(
                    word=(FREE, NOBODY), needs_recovery=s.needs_recovery or held
                )
            yield after._replace(repair=("mark", dead))
        elif what == "mark":
            mark = s.mark if self.variant == "unmarked" else put(s.mark, dead, False)
            yield s._replace(mark=mark, repair=("wake", dead))
        else:
            woken = self.wake(self.wake(s, "freed"), "left")
            yield woken._replace(repair=None, repaired=put(s.repaired, dead, True))

    def steps(self, s):
        for i, role in enumerate(self.roles):
            if s.life[i] == ALIVE and s.buffered[i]:
                yield f"flush {i}", s._replace(
                    mark=put(s.mark, i, True), buffered=put(s.buffered, i, False)
                )
            if s.life[i] != ALIVE or s.done[i] == self.turns:
                continue
            if s.asleep[i] is None:
                yield f"{role}{i} {s.at[i]}", (self.read if role == "R" else self.write)(s, i)
            if s.kills:
                held = s.word == (HELD, i)
                yield f"~kill {i}", s._replace(
                    life=put(s.life, i, DEAD),
                    buffered=put(s.buffered, i, False),
                    asleep=put(s.asleep, i, None),
                    died_holding=s.died_holding or held,
                    kills=s.kills - 1,
                )
            if s.stops:
                yield f"~stop {i}", s._replace(life=put(s.life, i, STOPPED), stops=s.stops - 1)
        for after in self.steps_of_repair(s):
            yield f"repair {s.repair[0] if s.repair else 'begins'}", after
        if s.repair_kills and s.repair:
            yield "~kill repair", s._replace(repair=None, repair_kills=s.repair_kills - 1)

    def holds_up(self, s, i):
        """Whether a stopped one has what excuses the others' waiting."""
        return s.life[i] == STOPPED and (
            s.mark[i] or s.word[1] == i or s.at[i] in (TELL_LEFT, TELL_BACK, TELL_FREED)
        )

    def judge(self, s):
        """Complains of a final state, in which nobody can go on."""
        if any(self.holds_up(s, i) for i in range(len(self.roles))):
            return ""
        for i, life in enumerate(s.life):
            if life == ALIVE and s.done[i] < self.turns:
                return f"{self.roles[i]} sleeps for ever"
        if STOPPED not in s.life and (s.word[0] != FREE or any(s.mark)):
            return "something stays held"
        return ""
