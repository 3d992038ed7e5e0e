#!/usr/bin/env python3
"""Says which scenarios of docs/scenarios.md have no test.

usage: scenarios.py SOURCE_DIR

A row names files, `process/array`, each followed by tests in it; in a shell script they are its
functions. All of them must exist.
"""

import pathlib
import re
import sys

TESTS = {
    "c": re.compile(r"^TEST\((\w+)", re.MULTILINE),
    "sh": re.compile(r"^(\w+)\(\) \{", re.MULTILINE),
}


def tests_of(source, name):
    for ending, test in TESTS.items():
        path = source / "tests" / f"{name}.{ending}"
        if path.exists():
            return set(test.findall(path.read_text()))
    return None


def faults_of(source, row):
    """What is wrong with the second cell of a row."""
    tests, named = None, 0
    for name in re.findall(r"`([^`]+)`", row):
        if "/" in name:
            tests = tests_of(source, name)
            if tests is None:
                yield f"there is no tests/{name}.c or .sh"
        elif tests is None:
            yield f"{name} is in no file"
        elif name not in tests:
            yield f"there is no test {name}"
        else:
            named += 1
    if named == 0:
        yield "no test is named"


def main(source):
    faults = rows = 0
    page = source / "docs" / "scenarios.md"
    for number, line in enumerate(page.read_text().splitlines(), 1):
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if not line.startswith("|") or cells[0] in ("scenario", "---"):
            continue
        rows += 1
        for fault in faults_of(source, cells[1] if len(cells) == 2 else ""):
            print(f"docs/scenarios.md:{number}: {cells[0]}: {fault}")
            faults += 1
    print(f"{rows} scenarios, {faults} faults")
    return 1 if faults or rows == 0 else 0


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    sys.exit(main(pathlib.Path(sys.argv[1])))
