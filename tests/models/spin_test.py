#!/usr/bin/env python3
"""What spin says of the models, as TAP. The variants that are known to be wrong must be found.

usage: spin_test.py [--full]		--full: larger bounds, some minutes
"""

import os
import re
import shutil
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))

# A sentence, the model, what is defined, and whether something must be found.
SMALL = [
    ("two waiters, two publishers with store buffers, one killed or stopped", "waiter", [], False),
    ("the same for who waits for the one that is killed", "waiter", ["FOR_FIRST"], False),
    ("a waiter's own barrier does not reach the publisher's store", "waiter", ["NO_MEMBARRIER"], True),
    ("a key that is taken after the look is one that nobody raises", "waiter", ["KEY_LATE"], True),
    (
        "bits that the publisher clears are missing when he is stopped",
        "waiter",
        ["SENDER_CLEARS"],
        True,
    ),
    (
        "a publisher killed before he wakes leaves sleepers, if repair does not wake them",
        "waiter",
        ["FOR_FIRST", "QUIET_REPAIR"],
        True,
    ),
    ("two producers of two messages, one killed, repair killed", "mpmc_repair", [], False),
    ("an intent does not tell who won", "mpmc_repair", ["INTENTS"], True),
    ("what a slot says that has moved on means nothing", "mpmc_repair", ["HASTY"], True),
    ("an intent gone too early leaves nobody to tell the owner", "mpmc_repair", ["CARELESS"], True),
]
LARGE = [
    ("three waiters, two publishers, one killed or stopped", "waiter", ["WAITERS=3"], False),
    ("two producers of three messages, one killed, repair killed", "mpmc_repair", ["MESSAGES=3"], False),
]


def run(command, folder):
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    if done.returncode != 0:
        raise RuntimeError(f"{' '.join(command)}: {done.stdout}{done.stderr}")
    return done.stdout


def verify(model, defines, folder):
    """The number of errors, that of states, and what the first error is."""
    source = os.path.join(HERE, f"{model}.pml")
    run(["spin", "-a"] + [f"-D{name}" for name in defines] + [source], folder)
    compiler = os.environ.get("CC", "cc").split()
    run(compiler + ["-O2", "-w", "-DSAFETY", "-o", "pan", "pan.c"], folder)
    told = run(["./pan", "-m1000000"], folder)
    errors = re.search(r"errors: (\d+)", told)
    states = re.search(r"(\d+) states, stored", told)
    if not errors or not states or "max search depth too small" in told:
        raise RuntimeError(told)
    first = re.search(r"^pan:\d+: (.*)", told, re.MULTILINE)
    return int(errors.group(1)), int(states.group(1)), first.group(1) if first else ""


def main(models):
    if not shutil.which("spin"):
        print("1..0 # SKIP spin is not installed")
        return 77
    failed = 0
    print(f"1..{len(models)}")
    for number, (sentence, model, defines, must_find) in enumerate(models, 1):
        began = time.monotonic()
        with tempfile.TemporaryDirectory() as folder:
            errors, states, first = verify(model, defines, folder)
        is_right = (errors > 0) == must_find
        failed += not is_right
        print(f"{'ok' if is_right else 'not ok'} {number} - {sentence}")
        print(f"# {states} states, {time.monotonic() - began:.1f} s")
        if first:
            print(f"# found: {first}")
        sys.stdout.flush()
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(SMALL + LARGE if "--full" in sys.argv[1:] else SMALL))
