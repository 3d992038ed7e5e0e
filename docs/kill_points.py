#!/usr/bin/env python3
"""Writes what the crash suite counted into docs/crash-contract.md.

    docs/kill_points.py BUILD_DIR [PROGRAM...]

Runs the programs of BUILD_DIR/tests/crash and replaces the table between the two markers; with
names of programs, `stream_stop`, only their rows. A program that fails changes nothing.
"""

import os
import pathlib
import re
import subprocess
import sys

DOCUMENT = pathlib.Path(__file__).parent / "crash-contract.md"
BEGIN, END = "<!-- kill points: begin -->\n", "<!-- kill points: end -->\n"
COUNT = re.compile(r"# (?P<what>.+): (?P<points>\d+) (?P<unit>[a-z ]+)$")
ROW = re.compile(r".* \| (?P<points>\d+) [a-z ]+ \|$")


def counts_of(program, broker):
    """The counted operations of one program, in the order it ran them."""
    environment = {**os.environ, "SHMBROKERD": str(broker)}
    run = subprocess.run(
        [program], stdout=subprocess.PIPE, text=True, check=True, env=environment
    )
    return [m.groupdict() for m in map(COUNT.match, run.stdout.splitlines()) if m]


def name_of(program):
    return program.name.removeprefix("crash-")


def rows_of(program, broker):
    return [
        f"| {name_of(program)} | {count['what']} | {count['points']} {count['unit']} |"
        for count in counts_of(program, broker)
    ]


def rows_there(table):
    """What the table says so far, by program."""
    rows = {}
    for line in table.splitlines():
        if line.startswith("| ") and not line.startswith("| program"):
            rows.setdefault(line.split(" | ")[0].removeprefix("| "), []).append(line)
    return rows


def table_of(rows):
    lines = [line for name in sorted(rows) for line in rows[name]]
    total = sum(int(ROW.match(line)["points"]) for line in lines)
    head = ["| program | operation | points |", "|---|---|---|"]
    return "\n".join([*head, *lines, "", f"{total} points in all.", ""])


def main():
    build, only = pathlib.Path(sys.argv[1]).resolve(), sys.argv[2:]
    broker = build / "daemon" / "shmbrokerd"
    programs = [p for p in build.glob("tests/crash/crash-*") if p.is_file()]
    programs = [p for p in programs if p.stat().st_mode & 0o111]
    text = DOCUMENT.read_text()
    before, rest = text.split(BEGIN)
    table, after = rest.split(END)
    rows = rows_there(table) if only else {}
    for program in programs:
        if not only or name_of(program) in only:
            rows[name_of(program)] = rows_of(program, broker)
    DOCUMENT.write_text(before + BEGIN + "\n" + table_of(rows) + "\n" + END + after)


if __name__ == "__main__":
    main()
