#!/usr/bin/env python3
"""Writes what the crash suite counted into docs/crash-contract.md.

    docs/kill_points.py BUILD_DIR

Runs the programs of BUILD_DIR/tests/crash and replaces the table between the two markers. A
program that fails changes nothing.
"""

import os
import pathlib
import re
import subprocess
import sys

DOCUMENT = pathlib.Path(__file__).parent / "crash-contract.md"
BEGIN, END = "<!-- kill points: begin -->\n", "<!-- kill points: end -->\n"
COUNT = re.compile(r"# (?P<what>.+): (?P<points>\d+) (?P<unit>[a-z ]+)$")


def counts_of(program, broker):
    """The counted operations of one program, in the order it ran them."""
    environment = {**os.environ, "SHMBROKERD": str(broker)}
    run = subprocess.run(
        [program], stdout=subprocess.PIPE, text=True, check=True, env=environment
    )
    return [m.groupdict() for m in map(COUNT.match, run.stdout.splitlines()) if m]


def table_of(programs, broker):
    lines = ["| program | operation | points |", "|---|---|---|"]
    total = 0
    for program in programs:
        for count in counts_of(program, broker):
            total += int(count["points"])
            name = program.name.removeprefix("crash-")
            lines.append(f"| {name} | {count['what']} | {count['points']} {count['unit']} |")
    return "\n".join([*lines, "", f"{total} points in all.", ""])


def main():
    build = pathlib.Path(sys.argv[1]).resolve()
    programs = sorted(build.glob("tests/crash/crash-*"))
    programs = [p for p in programs if p.is_file() and p.stat().st_mode & 0o111]
    text = DOCUMENT.read_text()
    before, rest = text.split(BEGIN)
    after = rest.split(END)[1]
    DOCUMENT.write_text(before + BEGIN + "\n" + table_of(programs, build / "daemon" / "shmbrokerd") + "\n" + END + after)


if __name__ == "__main__":
    main()
