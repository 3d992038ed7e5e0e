"""rpc: one slot, its word, a client and workers who are killed or stopped at every step, and repair.

See protocol/rpc.h. A client calls, waits, and releases or cancels, again and again; whoever finds the
slot open takes it. Places are used again, by others of the next incarnation. The broker may die in the
middle of a repair and begin anew, also of one that was done and whose place is in other hands since.
Variants: "named", the one that is used, and those that must be refuted:

    place      words name a place, and repair whoever has it: late, it takes from the successor
    freeing    who cancels what is in hand frees the slot at once
    plain      repair stores what follows from the word that it saw, and does not compare
"""

from typing import NamedTuple

from explorer import explore, put

FREE, OPEN, TAKEN, ORPHAN, DONE, DEAD = "free", "open", "taken", "orphan", "done", "dead"
NOBODY = (-1, 0)  # place and incarnation

# How a process is. GONE: repaired, its place may be used again.
ALIVE, KILLED, STOPPED, GONE = "alive", "killed", "stopped", "gone"

# Where a worker stands. He has his hands in the slot in the first two of the last four.
IDLE, SAW, WORKING, WRITING, WRITTEN, LETTING = (
    "idle",
    "saw it open",
    "has it in hand",
    "writes the answer",
    "wrote the answer",
    "lets go",
)
# And a client.
FILLING, WAITING, ENDING, FINISHED = "writes a request", "waits", "ends the call", "finished"


class Word(NamedTuple):
    number: int = 0
    name: tuple = NOBODY
    again: bool = False
    state: str = FREE


class Process(NamedTuple):
    at: str = IDLE
    saw: Word = Word()  # the word as he looked at it, or as he made it
    number: int = 0  # of the client's last call
    left: int = 0  # calls he still makes
    lives: int = 0  # incarnations that may still follow
    incarnation: int = 1
    life: str = ALIVE


class Repair(NamedTuple):
    place: int
    incarnation: int
    saw: object = None  # the word that it looked at
    is_again: bool = False  # it was done before


class State(NamedTuple):
    word: Word = Word()
    caller: int = 0  # incarnation of the client, beside the word
    room: tuple = ()  # who wrote the answer, and of which call
    all: tuple = ()  # processes: workers, then the client
    repairs: tuple = ()  # that the broker has to do, or may do again
    accepted: tuple = ()  # calls with an answer
    kills: int = 0
    stops: int = 0
    repair_kills: int = 0
    repeats: int = 0
    wrong: str = ""


class Rpc:
    def __init__(
        self, workers, calls, kills=0, stops=0, repair_kills=0, repeats=0, lives=1,
        redelivers=True, variant="named",
    ):
        self.variant = variant
        self.redelivers = redelivers
        self.client = workers
        some = (Process(lives=lives),) * workers
        self.calls = calls
        self.start = State(
            all=some + (Process(left=calls, lives=lives),),
            kills=kills,
            stops=stops,
            repair_kills=repair_kills,
            repeats=repeats,
        )

    def name(self, state, place):
        return (place, 0 if self.variant == "place" else state.all[place].incarnation)

    def go(self, state, place, at, **more):
        """The process stands elsewhere; what is its own of `more` is its, the rest everybody's."""
        own = {key: more.pop(key) for key in list(more) if key in Process._fields}
        who = state.all[place]._replace(at=at, **own)
        return self.watch(state._replace(all=put(state.all, place, who), **more))

    def watch(self, state):
        """Says what must not be."""
        hands = [
            who
            for who in state.all[: self.client]
            if who.life in (ALIVE, STOPPED) and who.at in (WORKING, WRITING)
        ]
        if len(hands) > 1:
            return state._replace(wrong="two workers have one request in hand")
        client = state.all[self.client]
        if hands and client.at == FILLING and client.life in (ALIVE, STOPPED):
            return state._replace(wrong="a request is written into what a worker has in hand")
        return state

    # Workers

    def work(self, state, place):
        me, word = state.all[place], state.word
        orphan = me.saw._replace(state=ORPHAN)
        if me.at == IDLE:
            if word.state == OPEN:
                yield "looks", self.go(state, place, SAW, saw=word)
        elif me.at == SAW:
            if word != me.saw:
                yield "takes too late", self.go(state, place, IDLE, saw=Word())
                return
            taken = word._replace(name=self.name(state, place), state=TAKEN)
            yield "takes", self.go(state, place, WORKING, saw=taken, word=taken)
        elif me.at == WORKING:
            if word == me.saw:
                yield "looks before it answers", self.go(state, place, WRITING)
            elif word == orphan:
                yield "finds it cancelled", self.go(state, place, LETTING)
            else:
                yield "finds it elsewhere", self.go(state, place, IDLE, saw=Word())
        elif me.at == WRITING:
            yield "writes", self.go(
                state, place, WRITTEN, room=(place, me.incarnation, me.saw.number)
            )
        elif me.at == WRITTEN:
            if word != me.saw:
                yield "answers too late", self.go(state, place, LETTING)
                return
            wrong = ""
            if state.room != (place, me.incarnation, word.number):
                wrong = "an answer that another one wrote"
            if word.number in state.accepted:
                wrong = "a call with two answers"
            yield "answers", self.go(
                state,
                place,
                IDLE,
                saw=Word(),
                word=word._replace(name=NOBODY, state=DONE),
                accepted=state.accepted + (word.number,),
            )._replace(wrong=wrong)
        elif me.at == LETTING:
            freed = word._replace(name=NOBODY, state=FREE) if word == orphan else word
            yield "lets go", self.go(state, place, IDLE, saw=Word(), word=freed)

    # The client

    def ended(self, word):
        """What a word becomes of which its caller wants to hear no more; None: it is over."""
        if word.state in (FREE, ORPHAN):
            return None
        if word.state == TAKEN and self.variant != "freeing":
            return word._replace(state=ORPHAN)
        return word._replace(name=NOBODY, state=FREE)

    def end_call(self, state, **more):
        left = state.all[self.client].left - 1
        return self.go(
            state, self.client, IDLE if left else FINISHED, saw=Word(), left=left, **more
        )

    def call(self, state):
        place, me, word = self.client, state.all[self.client], state.word
        if me.at == IDLE:
            if word.state == FREE:
                number = max(me.number, word.number) + 1
                yield "fills", self.go(state, place, FILLING, number=number)
        elif me.at == FILLING:
            yield "posts", self.go(
                state,
                place,
                WAITING,
                word=Word(number=me.number, state=OPEN),
                caller=me.incarnation,
            )
        elif me.at == WAITING:
            if word.number != me.number:
                wrong = "the word is another call's"
            elif word.state == DONE and state.room[2:] != (me.number,):
                wrong = "another call's answer"
            elif word.state in (FREE, ORPHAN):
                wrong = "a call that nobody ended is over"
            else:
                wrong = ""
            # releases what it has come to, or cancels it
            yield "looks to end it", self.go(state, place, ENDING, saw=word)._replace(wrong=wrong)
        elif me.at == ENDING:
            if word != me.saw:
                yield "ends too late", self.go(state, place, ENDING, saw=word)
                return
            after = self.ended(word)
            if after is None:
                yield "finds it over", self.end_call(state)
            else:
                yield "ends it", self.end_call(state, word=after)

    # The broker

    def is_of(self, state, repair, word):
        if repair.place == self.client:
            late = self.variant != "place" and state.caller > repair.incarnation
            return word.state not in (FREE, ORPHAN) and not late
        if word.state not in (TAKEN, ORPHAN) or word.name[0] != repair.place:
            return False
        return word.name[1] <= repair.incarnation

    def repaired(self, repair, word):
        if repair.place == self.client:
            return self.ended(word)
        if word.state == ORPHAN:
            return word._replace(name=NOBODY, state=FREE)
        if self.redelivers:
            return word._replace(name=NOBODY, again=True, state=OPEN)
        return word._replace(name=NOBODY, state=DEAD)

    def close(self, state, at):
        """This one is done; the broker may die before it knows that, and do it again."""
        repair = state.repairs[at]
        rest = state.repairs[:at] + state.repairs[at + 1 :]
        who = state.all[repair.place]
        if not repair.is_again:
            who = who._replace(life=GONE)
        done = state._replace(all=put(state.all, repair.place, who), repairs=rest)
        yield f"repair {repair.place} is done", done
        if state.repeats:
            again = repair._replace(saw=None, is_again=True)
            yield f"repair {repair.place} is done and forgotten", done._replace(
                repairs=rest + (again,), repeats=state.repeats - 1
            )

    def repair(self, state, at):
        repair = state.repairs[at]
        if repair.saw is None:
            if self.is_of(state, repair, state.word):
                looked = repair._replace(saw=state.word)
                yield f"repair {repair.place} looks", state._replace(
                    repairs=put(state.repairs, at, looked)
                )
            else:
                yield from self.close(state, at)
            return
        after = state
        if self.variant == "plain" or state.word == repair.saw:
            after = state._replace(word=self.repaired(repair, repair.saw))
        yield f"repair {repair.place} moves", after._replace(
            repairs=put(state.repairs, at, repair._replace(saw=None))
        )
        if state.repair_kills:
            yield "~kill the broker", state._replace(
                repairs=put(state.repairs, at, repair._replace(saw=None)),
                repair_kills=state.repair_kills - 1,
            )

    # All together

    def faults(self, state, place):
        who = state.all[place]
        if state.kills:
            dead = who._replace(life=KILLED)
            yield f"~kill {place}", state._replace(
                all=put(state.all, place, dead),
                repairs=state.repairs + (Repair(place, who.incarnation),),
                kills=state.kills - 1,
            )
        if state.stops:
            yield f"~stop {place}", state._replace(
                all=put(state.all, place, who._replace(life=STOPPED)), stops=state.stops - 1
            )

    def steps(self, state):
        for place, who in enumerate(state.all):
            if who.life == ALIVE:
                moves = self.call(state) if place == self.client else self.work(state, place)
                for label, after in moves:
                    yield f"{place} {label}", after
                yield from self.faults(state, place)
            elif who.life == GONE and who.lives:
                successor = Process(
                    lives=who.lives - 1,
                    incarnation=who.incarnation + 1,
                    left=self.calls if place == self.client else 0,
                )
                yield f"{place} has a successor", state._replace(
                    all=put(state.all, place, successor)
                )
        # one after the other, in any order
        busy = [at for at, repair in enumerate(state.repairs) if repair.saw is not None]
        for at in busy or range(len(state.repairs)):
            yield from self.repair(state, at)

    def judge(self, state):
        if any(who.life == STOPPED for who in state.all):
            return ""  # what he has in hand stays his
        client = state.all[self.client]
        if client.life == ALIVE and client.at != FINISHED:
            return "the client cannot call any more"
        return "" if state.word.state == FREE else f"the slot stays {state.word.state}"

    def explore(self):
        return explore(self.start, self.steps, self.judge)
