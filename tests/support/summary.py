#!/usr/bin/env python3
"""Says what `meson test` found: the output of what failed, a line per suite, and the sum.

usage: summary.py BUILD_DIR [SUITE...]

Counts TAP lines where a test is TAP, and one per test where it is not. Exits with 0 when
something ran, nothing failed, and each named suite has run. Reads BUILD_DIR/meson-logs/testlog.json
(one JSON object per line) and meson's list of tests, because the log does not say which are TAP.
"""

import json
import pathlib
import re
import sys

SUITES = ["models", "unit", "process", "crash", "interleave", "failure", "stress", "soak", "fuzz",
          "abi", "wire", "examples", "lint"]
TAP_LINE = re.compile(r"\s{0,3}(not )?ok\b[^#]*(#\s*(skip|todo))?", re.IGNORECASE)


class Count:
    def __init__(self):
        self.passed = self.failed = self.skipped = 0

    def add(self, other):
        self.passed += other.passed
        self.failed += other.failed
        self.skipped += other.skipped

    def __str__(self):
        return f"{self.passed} passed, {self.failed} failed" + (
            f", {self.skipped} skipped" if self.skipped else ""
        )


def count_tap(text):
    count = Count()
    for line in text.splitlines():
        match = TAP_LINE.match(line)
        if not match:
            continue
        directive = (match.group(3) or "").lower()
        if directive == "skip":
            count.skipped += 1
        elif directive == "todo" or not match.group(1):
            count.passed += 1
        else:
            count.failed += 1
    return count


def count_test(result, is_tap):
    """One entry of the log. What meson calls failed is failed, whatever it printed."""
    count = count_tap(result.get("stdout", "")) if is_tap else Count()
    verdict = result["result"]
    if verdict == "SKIP":
        count.skipped = max(count.skipped, 1)
    elif verdict in ("OK", "EXPECTEDFAIL"):
        if not is_tap:
            count.passed = 1
    elif not count.failed:
        count.failed = 1  # died, hung, or broke off
    return count


def read_results(build):
    log = build / "meson-logs" / "testlog.json"
    if not log.exists():
        return []
    return [json.loads(line) for line in log.read_text(errors="replace").splitlines() if line]


def read_tests(build):
    """{(name, command): (suite, is it TAP)}. The log leaves the suite out when there is only one."""
    tests = json.loads((build / "meson-info" / "intro-tests.json").read_text())
    return {
        (test["name"], tuple(test["cmd"])): (
            test["suite"][0].split(":")[-1],
            test["protocol"] == "tap",
        )
        for test in tests
    }


def show_failure(suite, name, result):
    print(f"\n---- {suite}/{name}: {result['result']} (status {result.get('returncode')}) ----")
    for stream in ("stdout", "stderr"):
        text = result.get(stream, "").strip()
        if text:
            print(text)
    print(f"---- end of {suite}/{name} ----")


def main(build, wanted):
    tests = read_tests(build)
    counts = {}
    for result in read_results(build):
        name = result["name"].split(" / ")[-1]
        suite, is_tap = tests.get((name, tuple(result["command"])), ("other", False))
        count = count_test(result, is_tap)
        counts.setdefault(suite, Count()).add(count)
        if count.failed:
            show_failure(suite, name, result)

    total = Count()
    print()
    for suite in SUITES + sorted(set(counts) - set(SUITES)):
        if suite in counts:
            count = counts[suite]
            total.add(count)
            print(f"{suite:<9} {count.passed} passed, {count.failed} failed, {count.skipped} skipped")
    missing = [suite for suite in wanted if suite not in counts]
    for suite in missing:
        print(f"{suite:<9} has no tests here")
    print(total, flush=True)
    return 1 if total.failed or not total.passed or missing else 0


if __name__ == "__main__":
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    sys.exit(main(pathlib.Path(sys.argv[1]), sys.argv[2:]))
