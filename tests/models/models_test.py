#!/usr/bin/env python3
"""What the algorithms' models say, as TAP. The variants that are known to be wrong must be found.

usage: models_test.py [--full]		--full: larger bounds, some minutes
"""

import sys
import time

from broadcast import Broadcast
from lock import Lock
from mpmc_consumers import Consumers
from mpmc_producers import Producers
from pool import Pool
from rpc import Rpc

# A sentence, the model, and whether something must be found.
SMALL = [
    (
        "two producers of two messages, one killed, repair killed",
        Producers(2, 2, kills=1, repair_kills=1),
        False,
    ),
    ("two producers, one killed, one stopped", Producers(2, 2, kills=1, stops=1), False),
    (
        "two producers, one killed: the intent alone does not tell who won",
        Producers(2, 1, kills=1, variant="intents"),
        True,
    ),
    (
        "two producers, one killed: what a slot says that has moved on means nothing",
        Producers(2, 2, kills=1, variant="hasty"),
        True,
    ),
    (
        "two producers, one killed: an intent gone too early leaves nobody to tell the owner",
        Producers(2, 2, kills=1, variant="careless"),
        True,
    ),
    (
        "two consumers of two messages, one killed, repair killed",
        Consumers(2, 2, kills=1, repair_kills=1),
        False,
    ),
    ("two consumers, one killed, one stopped", Consumers(2, 2, kills=1, stops=1), False),
    (
        "two consumers, one killed: the intent alone does not tell who took it",
        Consumers(2, 2, kills=1, variant="intents"),
        True,
    ),
    (
        "two consumers, one killed: an epoch raised only by the run that changed something is lost",
        Consumers(2, 2, kills=1, repair_kills=1, variant="epoch"),
        True,
    ),
    (
        "two consumers, one killed: an intent gone too early leaves nobody to tell the owner",
        Consumers(2, 2, kills=1, variant="careless"),
        True,
    ),
    ("a reader and a writer, two turns each, one killed, repair killed", Lock("RW", 2, 1, 1), False),
    ("a reader and two writers, one killed", Lock("RWW", 1, kills=1), False),
    ("two readers and a writer, one killed, one stopped", Lock("RRW", 1, 1, 0, 1), False),
    (
        "a reader and a writer: a mark by a plain store comes too late",
        Lock("RW", 1, variant="plain"),
        True,
    ),
    (
        "a reader and a writer: marks looked at before the claim stands are out of date",
        Lock("RW", 1, variant="early"),
        True,
    ),
    (
        "a reader and two writers: one who backs out and tells nobody leaves the writer asleep",
        Lock("RWW", 1, variant="silent"),
        True,
    ),
    (
        "a reader and a writer, one killed: a dead reader's mark keeps writers out",
        Lock("RW", 1, kills=1, variant="unmarked"),
        True,
    ),
    (
        "a reader and two writers, one killed: who only claimed has changed nothing",
        Lock("RWW", 1, kills=1, variant="pending"),
        True,
    ),
    (
        "two writers of a broadcast, one killed, repair killed, a reader",
        Broadcast(2, [[1], [1, 1, 1]], 1, 1),
        False,
    ),
    (
        "two writers of a broadcast, one lapped: without the gate a reader takes garbage",
        Broadcast(2, [[1], [1, 1, 1]], variant="no gate"),
        True,
    ),
    (
        "two writers of a broadcast, one killed: the intent alone does not tell who won",
        Broadcast(4, [[1], [2]], 1, variant="intents"),
        True,
    ),
    (
        "two writers of a broadcast of two lengths, one killed, one stopped",
        Broadcast(4, [[1], [2, 1]], 1, 0, 1),
        False,
    ),
    (
        "a writer of a batch and one of two lengths, one killed, repair killed",
        Broadcast(4, [[(1, 2)], [2, 1]], 1, 1),
        False,
    ),
    (
        "a writer of a batch, killed: its first message alone does not tell that it is finished",
        Broadcast(4, [[(1, 1)]], 1, variant="first"),
        True,
    ),
    ("two users of a pool's object, one killed", Pool(2, 2, kills=1), False),
    ("three users of a pool's object", Pool(3, 2), False),
    (
        "two users of a pool's object: who clears a bit and does not look again loses it",
        Pool(2, 2, variant="forgetful"),
        True,
    ),
    (
        "two users of a pool's object: who looks at the bit before the word is free loses it",
        Pool(2, 2, variant="hasty"),
        True,
    ),
    (
        "two users of a pool's object, one killed: repair has to look at the bit, too",
        Pool(2, 2, kills=1, variant="unrepaired"),
        True,
    ),
    (
        "a client of two workers, one killed, repair killed, and repeated when others are there",
        Rpc(2, 1, kills=1, repair_kills=1, repeats=1),
        False,
    ),
    (
        "a client of a worker, two calls, one killed, without redelivery, repair repeated",
        Rpc(1, 2, kills=1, repair_kills=1, repeats=1, redelivers=False),
        False,
    ),
    ("a client of two workers, one killed, one stopped", Rpc(2, 1, kills=1, stops=1), False),
    (
        "a client of two workers, one killed: a repair by place takes from the successor",
        Rpc(2, 1, kills=1, repeats=1, variant="place"),
        True,
    ),
    (
        "a client of a worker: what is cancelled in hand is not free yet",
        Rpc(1, 2, variant="freeing"),
        True,
    ),
    (
        "a client of a worker, one killed: a repair that does not compare undoes a cancel",
        Rpc(1, 1, kills=1, variant="plain"),
        True,
    ),
]
LARGE = [
    ("a client of two workers, two killed, repair repeated", Rpc(2, 1, 2, repeats=1), False),
    (
        "a client of two workers, two calls, one killed, one stopped, repair killed and repeated",
        Rpc(2, 2, 1, 1, 1, 1),
        False,
    ),
    ("three users of a pool's object, two killed", Pool(3, 2, kills=2), False),
    (
        "three writers of a broadcast of two lengths, two killed",
        Broadcast(4, [[1], [2], [1]], 2),
        False,
    ),
    (
        "two writers of batches, one killed, one stopped",
        Broadcast(4, [[(1, 2)], [(1, 1), 1]], 1, 0, 1),
        False,
    ),
    ("two readers and two writers, one killed, repair killed", Lock("RRWW", 1, 1, 1), False),
    ("a reader and two writers, two turns each, two killed", Lock("RWW", 2, 2), False),
    ("two producers for two laps, two killed", Producers(2, 3, kills=2), False),
    ("three producers, two killed", Producers(3, 1, kills=2), False),
    ("three producers, one killed, one stopped", Producers(3, 1, kills=1, stops=1), False),
    (
        "three producers, two killed, repair killed",
        Producers(3, 1, kills=2, repair_kills=1),
        False,
    ),
    (
        "two consumers for two laps, one killed, repair killed",
        Consumers(2, 3, kills=1, repair_kills=1),
        False,
    ),
    ("three consumers, one killed, one stopped", Consumers(3, 2, kills=1, stops=1), False),
]


def main(models):
    failed = 0
    print(f"1..{len(models)}")
    for number, (sentence, model, must_find) in enumerate(models, 1):
        began = time.monotonic()
        result = model.explore()
        is_right = bool(result.found) == must_find
        failed += not is_right
        print(f"{'ok' if is_right else 'not ok'} {number} - {sentence}")
        seconds = time.monotonic() - began
        print(f"# {result.states} states, {result.finals} final, {seconds:.1f} s")
        for complaint, path in result.found.items():
            print(f"# found: {complaint}: {' '.join(path)}")
        sys.stdout.flush()
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(SMALL + LARGE if "--full" in sys.argv[1:] else SMALL))
