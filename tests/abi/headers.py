#!/usr/bin/env python3
"""Compiles every header by itself. TAP.

usage: headers.py SOURCE_ROOT CC CFLAGS...

Public headers must please the strictest reader, in C and in C++ (where there is a C++ compiler);
those of protocol/ must include what they use.
"""

import pathlib
import shutil
import subprocess
import sys

STRICT = ["-Wall", "-Wextra", "-pedantic", "-Werror", "-fsyntax-only"]
PUBLIC = [
    ("c", "c99", []),
    ("c", "c11", []),
    ("c++", "c++11", ["-Wold-style-cast"]),
    ("c++", "c++20", ["-Wold-style-cast"]),
]


def complaints_of(command, header):
    # As a program includes it: warnings in what is given on the command line are others.
    source = f'#include "{header}"\nint main(void);\nint main(void) {{ return 0; }}\n'
    run = subprocess.run(command, input=source, capture_output=True, text=True, check=False)
    return [] if run.returncode == 0 else run.stderr.splitlines() or ["failed"]


def cases(root, cc, flags):
    """(name, command, header) of every compilation."""
    cxx = next(filter(None, map(shutil.which, ["g++", "clang++", "c++"])), None)
    includes = [root / "libclient" / "include", root / "codecs" / "include"]
    for include, path in [(i, p) for i in includes for p in sorted(i.rglob("*.h"))]:
        header = str(path.relative_to(include))
        for language, standard, more in PUBLIC:
            compiler = [cxx] if language == "c++" else cc
            name = f"{header} as {standard}"
            command = None
            if compiler[0]:
                command = [*compiler, *STRICT, *more, f"-std={standard}"]
                command += [f"-I{i}" for i in includes]
                command += ["-x", language, "-"]
            yield name, command, header
    for path in sorted((root / "protocol").glob("*.h")):
        header = str(path.relative_to(root))
        command = [*cc, *flags, "-Wall", "-Wextra", "-Werror", "-fsyntax-only", "-std=c11"]
        command += ["-Wno-unused-parameter", "-D_GNU_SOURCE", f"-I{root}", "-x", "c", "-"]
        yield f"{header} by itself", command, header


def main(root, cc, flags):
    all_cases = list(cases(pathlib.Path(root), cc, flags))
    failed = 0
    print(f"1..{len(all_cases)}")
    for number, (name, command, header) in enumerate(all_cases, 1):
        if command is None:
            print(f"ok {number} - {name} # SKIP there is no C++ compiler")
            continue
        complaints = complaints_of(command, header)
        failed += bool(complaints)
        print(f"{'not ok' if complaints else 'ok'} {number} - {name}")
        for complaint in complaints:
            print(f"# {complaint}")
    return 1 if failed else 0


if __name__ == "__main__":
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    sys.exit(main(sys.argv[1], [sys.argv[2]], sys.argv[3:]))
