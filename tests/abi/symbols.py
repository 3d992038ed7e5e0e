#!/usr/bin/env python3
"""Compares what the shared library exports with the checked-in list and the headers. TAP.

usage: symbols.py LIBRARY LIST INCLUDE_DIR_OR_HEADER

The list is one symbol with its version per line, sorted. A symbol that goes, or whose version
changes, breaks every program linked to it: such a change has to be made there, too.
"""

import pathlib
import re
import subprocess
import sys


def exported(library):
    """name@@version of every defined dynamic symbol but the versions themselves."""
    command = ["nm", "-D", "--defined-only", "--with-symbol-versions", library]
    lines = subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()
    return sorted(line.split()[-1] for line in lines if line.split()[-2] != "A")


def declared(include):
    """Every function that a public header declares: shmc_...( at the end of a declarator."""
    include = pathlib.Path(include)
    headers = [include] if include.is_file() else sorted(include.rglob("*.h"))
    text = "".join(p.read_text() for p in headers)
    text = re.sub(r"/\*.*?\*/", "", text, flags=re.DOTALL)
    return sorted(set(re.findall(r"\b(shmc_\w+)\s*\((?![)*])", text)))


def differences(expected, got):
    return [f"missing: {s}" for s in sorted(set(expected) - set(got))] + [
        f"not listed: {s}" for s in sorted(set(got) - set(expected))
    ]


def main(library, listed, include):
    symbols = exported(library)
    names = [s.split("@")[0] for s in symbols]
    tests = {
        "the library exports what is listed": differences(
            pathlib.Path(listed).read_text().split(), symbols
        ),
        "the library exports what the headers declare": differences(declared(include), names),
        "all exported names begin with shmc_ and one underscore": [
            s for s in names if not re.match(r"shmc_[a-z]", s)
        ],
    }
    failed = 0
    print(f"1..{len(tests)}")
    for number, (name, complaints) in enumerate(tests.items(), 1):
        failed += bool(complaints)
        print(f"{'not ok' if complaints else 'ok'} {number} - {name}")
        for complaint in complaints:
            print(f"# {complaint}")
    return 1 if failed else 0


if __name__ == "__main__":
    if len(sys.argv) != 4:
        sys.exit(__doc__)
    sys.exit(main(*sys.argv[1:]))
