#!/usr/bin/env python3
"""Writes what the crash suite counted, and what came of it, into docs/crash-contract.md.

    docs/kill_points.py BUILD_DIR [RUNS]

Runs the programs of BUILD_DIR/tests/crash RUNS times in a row (default 1) and replaces the table
between the two markers. Ends with 1 if any run of any program failed; the table says which.
"""

import collections
import concurrent.futures
import os
import pathlib
import re
import subprocess
import sys

DOCUMENT = pathlib.Path(__file__).parent / "crash-contract.md"
BEGIN, END = "<!-- kill points: begin -->\n", "<!-- kill points: end -->\n"
COUNT = re.compile(r"# (?P<what>.+): (?P<points>\d+) (?P<unit>[a-z ]+)$")


def run(program, broker):
    """The counted operations of one run, in their order, and whether it passed."""
    environment = {**os.environ, "SHMBROKERD": str(broker)}
    done = subprocess.run(
        [program], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment
    )
    found = [m for m in map(COUNT.match, done.stdout.splitlines()) if m]
    passed = done.returncode == 0
    if not passed:
        print(f"{program.name} ended with {done.returncode}:\n{done.stdout}", file=sys.stderr)
    return [((m["what"], m["unit"]), int(m["points"])) for m in found], passed


def rows_of(program, runs):
    """The rows of one program, and its points. Who runs beside others may die at more or fewer."""
    points = collections.defaultdict(list)
    for counts, _ in runs:
        seen = collections.Counter()
        for key, count in counts:  # an operation may be counted in more than one state
            points[key, seen[key]].append(count)
            seen[key] += 1
    result = f"{sum(passed for _, passed in runs)} of {len(runs)}"
    name = program.name.removeprefix("crash-")
    rows = []
    for ((what, unit), _), counts in points.items():
        least, most = min(counts), max(counts)
        number = f"{least}" if least == most else f"{least} to {most}"
        rows.append(f"| {name} | {what} | {number} {unit} | {result} |")
    return rows, sum(min(counts) for counts in points.values())


def table_of(programs, broker, runs):
    lines = ["| program | operation | points | passed |", "|---|---|---|---|"]
    results = collections.defaultdict(list)
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as workers:
        for _ in range(runs):
            for program, result in zip(programs, workers.map(lambda p: run(p, broker), programs)):
                results[program].append(result)
    total = 0
    for program in programs:
        rows, points = rows_of(program, results[program])
        lines += rows
        total += points
    passed = [passed for runs_of in results.values() for _, passed in runs_of]
    lines += ["", f"{total} points in {len(programs)} programs. Of {len(passed)} runs {sum(passed)} passed.", ""]
    return "\n".join(lines), all(passed)


def main():
    build = pathlib.Path(sys.argv[1]).resolve()
    runs = int(sys.argv[2]) if len(sys.argv) > 2 else 1
    programs = sorted(build.glob("tests/crash/crash-*"))
    programs = [p for p in programs if p.is_file() and p.stat().st_mode & 0o111]
    table, passed = table_of(programs, build / "daemon" / "shmbrokerd", runs)
    before, rest = DOCUMENT.read_text().split(BEGIN)
    after = rest.split(END)[1]
    DOCUMENT.write_text(before + BEGIN + "\n" + table + "\n" + END + after)
    sys.exit(0 if passed else 1)


if __name__ == "__main__":
    main()
