#!/usr/bin/env python3
"""Shows that summary.py never calls green what is not. TAP."""

import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))

import summary  # noqa: E402

# (what, meson's result, stdout, is it TAP, (passed, failed, skipped))
CASES = [
    ("a plain test is one", "OK", "ok 1 - not TAP\nok 2", False, (1, 0, 0)),
    ("a plain failure is one", "FAIL", "", False, (0, 1, 0)),
    ("a plain skip is one", "SKIP", "", False, (0, 0, 1)),
    ("TAP counts its lines", "OK", "1..2\nok 1 - a\nok 2 - b\n# ok 3\n", True, (2, 0, 0)),
    ("TAP failures are counted", "ERROR", "1..2\nok 1\nnot ok 2 - b\n", True, (1, 1, 0)),
    ("a line may skip", "OK", "1..2\nok 1 - a # SKIP no\nok 2\n", True, (1, 0, 1)),
    ("a program may skip", "SKIP", "1..0 # SKIP no membarrier\n", True, (0, 0, 1)),
    ("TAP that breaks off has failed", "ERROR", "1..3\nok 1 - a\n", True, (1, 1, 0)),
    ("TAP that hangs has failed", "TIMEOUT", "1..3\nok 1 - a\n", True, (1, 1, 0)),
    ("a word that begins with ok is none", "OK", "1..1\nokay\nok 1\n", True, (1, 0, 0)),
]


def main():
    failed = 0
    print(f"1..{len(CASES)}")
    for number, (what, result, stdout, is_tap, wanted) in enumerate(CASES, 1):
        count = summary.count_test({"result": result, "stdout": stdout}, is_tap)
        got = (count.passed, count.failed, count.skipped)
        print(f"{'ok' if got == wanted else 'not ok'} {number} - {what}")
        if got != wanted:
            failed += 1
            print(f"# wanted {wanted}, got {got}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
