#!/usr/bin/env python3
"""Tests names.py. TAP."""

import sys

import names

HEADER = """
/* shmc_gone() is not here any more */
struct shmc_thing { int a; };
#define SHMC_FLAG 1u
#define SHMC_RESULTS(X) X(OK, 0, "done") X(TOO_BIG, -1003, "too big")
int shmc_thing_push(struct shmc_thing *thing);
typedef int (*shmc_item_fn)(void *context);
"""


def faults(page):
    return [what for _, what in names.faults_of(page, *names.names_of([HEADER]))]


TESTS = {
    "names of functions, types, flags and results are found": lambda: faults(
        "`shmc_thing_push()`, struct shmc_thing, SHMC_FLAG, `SHMC_TOO_BIG`, shmc_item_fn"
    )
    == [],
    "what is in no header is found out": lambda: faults("`shmc_thing_pull()`")
    == ["no public header has shmc_thing_pull"],
    "what is in a comment only is in no header": lambda: len(faults("shmc_gone")) == 1,
    "a type with parentheses is no function": lambda: faults("shmc_thing()")
    == ["shmc_thing is no function"],
    "a star and KIND stand for one or more names": lambda: faults(
        "shmc_*_push(), shmc_KIND_push(), SHMC_*"
    )
    == [],
    "but for one at least": lambda: len(faults("shmc_*_pull()")) == 1,
    "a flag that is cut short is found out": lambda: len(faults("SHMC_FLA")) == 1,
}


def main():
    failed = 0
    print(f"1..{len(TESTS)}")
    for number, (name, test) in enumerate(TESTS.items(), 1):
        is_right = test()
        failed += not is_right
        print(f"{'ok' if is_right else 'not ok'} {number} - {name}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
