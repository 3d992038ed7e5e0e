#!/usr/bin/env python3
"""Compiles the memory layouts of protocol/ for eight kinds of machine. TAP.

usage: targets.py SOURCE_ROOT

Their asserts hold everywhere or the compilation fails: sizes, offsets and the width of atomics are
the same for 32 and 64 bits, little and big end, strict and lax alignment. Needs clang, which
knows all targets; what else a header includes comes from freestanding/.
"""

import pathlib
import shutil
import subprocess
import sys

TARGETS = [
    "x86_64-linux-gnu",
    "i686-linux-gnu",
    "aarch64-linux-gnu",
    "armv7a-linux-gnueabihf",
    "riscv64-linux-gnu",
    "powerpc64le-linux-gnu",
    "s390x-linux-gnu",
    "mips64el-linux-gnuabi64",
]

# The rest of protocol/ is the wire, which is text.
HEADERS = [
    "abi.h",
    "arena.h",
    "array.h",
    "atomic.h",
    "broadcast.h",
    "buffer.h",
    "checksum.h",
    "copy.h",
    "doorbell.h",
    "endpoint.h",
    "hash.h",
    "kinds.h",
    "lock.h",
    "mpmc.h",
    "outcome.h",
    "pipe.h",
    "record.h",
    "schema.h",
    "segment.h",
    "spsc.h",
    "stream.h",
    "type.h",
    "waiter.h",
]


def compile_for(clang, root, target):
    include = pathlib.Path(__file__).parent / "freestanding"
    source = "".join(f'#include "protocol/{header}"\n' for header in HEADERS)
    command = [clang, f"--target={target}", "-ffreestanding", "-fsyntax-only", "-std=c11"]
    command += ["-Wall", "-Wextra", "-Werror", "-Wno-unused-parameter", "-Wno-atomic-alignment"]
    command += [f"-I{root}", f"-isystem{include}", "-x", "c", "-"]
    return subprocess.run(command, input=source, capture_output=True, text=True, check=False)


def main(root):
    clang = shutil.which("clang")
    if clang is None:
        print("1..0 # SKIP there is no clang")
        return 0
    failed = 0
    print(f"1..{len(TARGETS)}")
    for number, target in enumerate(TARGETS, 1):
        run = compile_for(clang, root, target)
        failed += run.returncode != 0
        print(f"{'ok' if run.returncode == 0 else 'not ok'} {number} - {target}")
        for line in run.stderr.splitlines():
            print(f"# {line}")
    return 1 if failed else 0


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    sys.exit(main(sys.argv[1]))
