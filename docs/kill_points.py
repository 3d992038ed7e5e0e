#!/usr/bin/env python3
"""Writes what the crash suite counted, and what came of it, into docs/crash-contract.md.

    docs/kill_points.py BUILD_DIR [RUNS]

Runs the programs of BUILD_DIR/tests/crash RUNS times in a row (default 1) and replaces the
tables between the two markers. Ends with 1 if any run of any program failed; they say which.
"""

import collections
import concurrent.futures
import fnmatch
import os
import pathlib
import re
import subprocess
import sys

DOCUMENT = pathlib.Path(__file__).parent / "crash-contract.md"
BEGIN, END = "<!-- kill points: begin -->\n", "<!-- kill points: end -->\n"
COUNT = re.compile(r"# (?P<what>.+): (?P<points>\d+) (?P<unit>[a-z ]+)$")

# How one dies: a column of the first table, last one first, and the programs that belong there.
WAYS = {
    "stopped": ["*_stop"],
    "two at once": ["pair_*", "client_pair_*"],
    "beside running peers": ["*_running"],
    "in public calls": ["client_*"],
    "alone": ["*"],
}
# Programs that are not named after their kind.
KINDS = {"lock": "buffer", "broker": "the broker", "client_open": "(opening, any kind)"}


def place_of(name):
    """The kind and the way of a program."""
    way = next(w for w, patterns in WAYS.items() if any(fnmatch.fnmatch(name, p) for p in patterns))
    if name in KINDS:
        return KINDS[name], way
    kind = re.sub(r"^(client_pair|client|pair)_|_(stop|running)$", "", name).split("_")[0]
    return KINDS.get(kind, kind), way


def run(program, broker):
    """The counted operations of one run, in their order, and whether it passed."""
    environment = {**os.environ, "SHMBROKERD": str(broker), "RUNNING_ALL": "1"}
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


def matrix_of(points):
    """Kinds by ways; each cell has the programs and their points."""
    ways = list(reversed(WAYS))
    lines = ["| kind | " + " | ".join(ways) + " |", "|---|" + "---|" * len(ways)]
    cells = collections.defaultdict(list)
    for name, number in points.items():
        cells[place_of(name)].append(f"`{name}` {number}")
    for kind in sorted({kind for kind, _ in cells}):
        row = ["<br>".join(cells[kind, way]) or "-" for way in ways]
        lines.append(f"| {kind} | " + " | ".join(row) + " |")
    return lines


def tables_of(programs, broker, runs):
    results = collections.defaultdict(list)
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as workers:
        for _ in range(runs):
            for program, result in zip(programs, workers.map(lambda p: run(p, broker), programs)):
                results[program].append(result)
    rows, points = [], {}
    for program in programs:
        more, points[program.name.removeprefix("crash-")] = rows_of(program, results[program])
        rows += more
    passed = [passed for runs_of in results.values() for _, passed in runs_of]
    lines = [
        *matrix_of(points),
        "",
        f"{sum(points.values())} points in {len(programs)} programs, run {runs} times in a row: "
        f"{sum(passed)} of {len(passed)} runs passed.",
        "",
        "| program | operation | points | passed |",
        "|---|---|---|---|",
        *rows,
        "",
    ]
    return "\n".join(lines), all(passed)


def main():
    build = pathlib.Path(sys.argv[1]).resolve()
    runs = int(sys.argv[2]) if len(sys.argv) > 2 else 1
    programs = sorted(build.glob("tests/crash/crash-*"))
    programs = [p for p in programs if p.is_file() and p.stat().st_mode & 0o111]
    tables, passed = tables_of(programs, build / "daemon" / "shmbrokerd", runs)
    before, rest = DOCUMENT.read_text().split(BEGIN)
    after = rest.split(END)[1]
    DOCUMENT.write_text(before + BEGIN + "\n" + tables + "\n" + END + after)
    sys.exit(0 if passed else 1)


if __name__ == "__main__":
    main()
