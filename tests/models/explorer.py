"""Explores every interleaving of a small protocol: all states that its steps can reach.

A model is a start state, a function that lists the steps possible in a state, and one that judges
the states in which nobody can do anything any more. A state is a NamedTuple of values that can be
hashed; next to what the protocol knows it may keep what only the judge knows (who really owns what).
A step is (label, state). What a fault does (kill, stop) is a step whose label begins with "~": it
may happen or not, so that a state with no other step is final. A step into a state whose `wrong` is
not empty has found something.

    explore(start, steps, judge) -> Result(states, finals, found)

`found` maps each complaint to the shortest of the paths seen to it, a list of labels.
"""

from typing import NamedTuple


class Result(NamedTuple):
    states: int
    finals: int
    found: dict


def put(values, index, value):
    """The tuple with another value at `index`."""
    return values[:index] + (value,) + values[index + 1 :]


def explore(start, steps, judge, most=5_000_000):
    came_from = {start: None}
    open_states = [start]
    finals = 0
    found = {}

    def path_to(state):
        labels = []
        while came_from[state] is not None:
            state, label = came_from[state]
            labels.append(label)
        return labels[::-1]

    def note(complaint, path):
        if complaint not in found or len(path) < len(found[complaint]):
            found[complaint] = path

    while open_states:
        state = open_states.pop()
        is_final = True
        for label, after in steps(state):
            is_final = is_final and label.startswith("~")
            if after.wrong:
                note(after.wrong, path_to(state) + [label])
            elif after not in came_from:
                came_from[after] = (state, label)
                open_states.append(after)
        if is_final:
            finals += 1
            complaint = judge(state)
            if complaint:
                note(complaint, path_to(state))
        if len(came_from) > most:
            raise RuntimeError(f"more than {most} states: choose smaller bounds")
    return Result(len(came_from), finals, found)
