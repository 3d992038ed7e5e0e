"""pool: one object, its word and its bit, users who are killed or stopped at every step, and repair.

See protocol/pool.h. Who finds no bit gives up: what is examined is whether the hint can come to say
nothing of an object that is free while everybody lives or has been repaired. Variants: "look again",
the one that is used, and those that must be refuted:

    forgetful  who finds the bit wrong clears it, and does not look at the word again
    hasty      who releases looks at the bit before the word is free
    unrepaired repair returns the object and does not look at the bit
"""

from typing import NamedTuple

from explorer import explore, put

FREE = -1
ALIVE, DEAD, STOPPED = "alive", "dead", "stopped"

# Where one stands.
BEGIN, FOUND, TAKEN, WRONG, CLEARED, OWNS, FREED, DONE = (
    "looks at the bit",
    "found the bit",
    "took it by the hint",
    "found it taken",
    "cleared the bit",
    "owns",
    "made it free",
    "done",
)


class State(NamedTuple):
    word: int = FREE
    bit: bool = True
    at: tuple = ()
    saw: tuple = ()  # hasty: the bit, before the release
    left: tuple = ()  # rounds
    last: tuple = ()  # took and released it before: may try it without the bit
    life: tuple = ()
    kills: int = 0
    stops: int = 0
    wrong: str = ""


class Pool:
    def __init__(self, users, rounds, kills=0, stops=0, variant="look again"):
        self.variant = variant
        self.start = State(
            at=(BEGIN,) * users,
            saw=(False,) * users,
            left=(rounds,) * users,
            last=(False,) * users,
            life=(ALIVE,) * users,
            kills=kills,
            stops=stops,
        )

    def go(self, state, user, to, **more):
        return state._replace(at=put(state.at, user, to), **more)

    def end_round(self, state, user, **more):
        left = state.left[user] - 1
        return self.go(
            state, user, BEGIN if left else DONE, left=put(state.left, user, left), **more
        )

    def take(self, state, user, to):
        return self.go(state, user, to, word=user)

    def move(self, state, user):
        """(label, state) of each step that the user may make now."""
        at = state.at[user]
        if at == BEGIN:
            if state.last[user] and state.word == FREE:
                yield "takes what it released last", self.take(state, user, OWNS)
            yield "looks", (
                self.go(state, user, FOUND) if state.bit else self.end_round(state, user)
            )
        elif at == FOUND:
            yield "tries", (
                self.take(state, user, TAKEN) if state.word == FREE else self.go(state, user, WRONG)
            )
        elif at == TAKEN:
            yield "clears the bit of its own", self.go(state, user, OWNS, bit=False)
        elif at == WRONG:
            forgets = self.variant == "forgetful"
            yield "clears the bit", (
                self.end_round(state, user, bit=False)
                if forgets
                else self.go(state, user, CLEARED, bit=False)
            )
        elif at == CLEARED:
            yield "looks again", self.end_round(
                state, user, bit=state.bit or state.word == FREE
            )
        elif at == OWNS and self.variant == "hasty":
            if not state.saw[user]:
                # -1 and 1: it has looked, and saw none or one
                yield "looks at the bit first", state._replace(
                    saw=put(state.saw, user, 1 if state.bit else -1)
                )
            else:
                yield "releases", self.go(state, user, FREED, word=FREE)
        elif at == OWNS:
            yield "releases", self.go(state, user, FREED, word=FREE)
        elif at == FREED:
            if self.variant == "hasty":
                bit = state.bit or state.saw[user] == -1
            else:
                bit = True
            yield "sets the bit if it is clear", self.end_round(
                state,
                user,
                bit=bit,
                last=put(state.last, user, True),
                saw=put(state.saw, user, False),
            )

    def repair(self, state, user):
        """The broker's, of one who is dead: his object is free, and its bit set."""
        word = FREE if state.word == user else state.word
        sets = self.variant != "unrepaired" and word == FREE
        return state._replace(
            word=word,
            bit=state.bit or sets,
            life=put(state.life, user, "repaired"),
            at=put(state.at, user, DONE),
        )

    def steps(self, state):
        for user, life in enumerate(state.life):
            if life == ALIVE and state.at[user] != DONE:
                for label, after in self.move(state, user):
                    yield f"{user} {label}", after
                if state.kills:
                    yield f"~kill {user}", state._replace(
                        life=put(state.life, user, DEAD), kills=state.kills - 1
                    )
                if state.stops:
                    yield f"~stop {user}", state._replace(
                        life=put(state.life, user, STOPPED), stops=state.stops - 1
                    )
            elif life == DEAD:
                yield f"repair {user}", self.repair(state, user)

    def judge(self, state):
        if STOPPED in state.life:
            return ""  # he may stand between the word and its bit
        if state.word != FREE:
            return "the object is still owned"
        return "" if state.bit else "a free object without its bit"

    def explore(self):
        return explore(self.start, self.steps, self.judge)
