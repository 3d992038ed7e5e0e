#!/usr/bin/env python3
"""Makes C strings of the interface files: embed.py OUT NAME=FILE..."""

import sys


def literal(text):
    lines = text.splitlines(keepends=True)
    quoted = (
        line.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n") for line in lines
    )
    return "\n".join(f'\t"{line}"' for line in quoted)


def main(out, *pairs):
    with open(out, "w", encoding="ascii") as c:
        c.write("/* Made by embed.py. */\n")
        for pair in pairs:
            name, path = pair.split("=", 1)
            with open(path, encoding="ascii") as text:
                c.write(f"\nconst char {name}[] =\n{literal(text.read())};\n")


main(*sys.argv[1:])
