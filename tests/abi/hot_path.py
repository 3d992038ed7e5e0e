#!/usr/bin/env python3
"""Shows in the compiled library that the data path holds no lock, no fence and no system call. TAP.

usage: hot_path.py LIBRARY

Disassembles the library and walks from each call of the data path into everything that it calls
or jumps to, cold parts included, but for the few functions in which a process waits or wakes
another (BEYOND): those are the other path. On what it walked there may be no instruction that
locks the bus, orders memory or enters the kernel, and no call to a function outside the library
but those that only copy or sum. What cannot be followed is a complaint, too.
"""

import re
import subprocess
import sys

ROOTS = [
    "shmc_spsc_push",
    "shmc_spsc_try_push",
    "shmc_spsc_push_batch",
    "shmc_spsc_reserve",
    "shmc_spsc_commit",
    "shmc_spsc_pop",
    "shmc_spsc_try_pop",
    "shmc_spsc_peek",
    "shmc_spsc_peek_batch",
    "shmc_spsc_release",
    "shmc_stream_write",
    "shmc_stream_reserve",
    "shmc_stream_commit",
    "shmc_stream_read",
    "shmc_stream_borrow",
    "shmc_stream_release",
    "shmc_arena_find",
    "shmc_arena_check",
    "shmc_pipe_send",
    "shmc_pipe_try_send",
    "shmc_pipe_send_batch",
    "shmc_pipe_reserve",
    "shmc_pipe_commit",
    "shmc_pipe_receive",
    "shmc_pipe_try_receive",
    "shmc_pipe_call",
    "shmc_pipe_peek",
    "shmc_pipe_release",
    "shmc_array_get",
    "shmc_array_set",
    "shmc_array_read",
    "shmc_array_write",
    "shmc_atomic_load",
    "shmc_record_snapshot",
    "shmc_record_read",
    "shmc_ring_push",
    "shmc_ring_push_overwrite",
    "shmc_ring_reserve",
    "shmc_ring_commit",
    "shmc_ring_pop",
    "shmc_ring_peek",
    "shmc_ring_release",
    "shmc_ring_skip",
    "shmc_ring_read",
    "shmc_ring_last",
]

# What is done again and again while waiting: called through a pointer by these functions, and
# walked by itself where the compiler kept it.
MOVES = ("pipe_move_", "ring_move_", "spsc_move_", "stream_move_")
MOVERS = {"shmc__move_receive"}

# Not walked, and why.
BEYOND = {
    "pipe_call_long": "there was no room at once: what is left of the time is counted",
    "shmc__bell_arm": "a try found nothing and there is a doorbell: from now on it is rung",
    "shmc__bell_disarm": "a message came by another way than the doorbell",
    "shmc__wait": "nothing can be done now: spins, then sleeps",
    "shmp_waiter_notify": "the other side asked to be woken",
    "move_arm_and_look": "as shmc__bell_arm",
    "spsc_tell_consumer": "the other side asked to be woken",
    "spsc_tell_producer": "the other side asked to be woken",
    "stream_tell_reader": "the other side asked to be woken",
    "stream_tell_writer": "the other side asked to be woken",
    "ring_tell_consumer": "the other side asked to be woken",
    "ring_tell_producer": "the other side asked to be woken",
}

# What only reads and writes the bytes it is given.
COPIES = {"crc32_iscsi", "memcpy", "memmove", "strnlen"}

FUNCTION = re.compile(r"^[0-9a-f]+ <([^>]+)>:$")
INSTRUCTION = re.compile(r"^\s+[0-9a-f]+:\s+(.*?)\s*$")
TARGET = re.compile(r"<([^>+]+)(?:\+0x[0-9a-f]+)?>$")
CLONE = re.compile(r"\.(?:cold|part|constprop|isra|lto_priv)(?:\.\d+)?")
BRANCH = re.compile(r"^(?:notrack |bnd )*(call|jmp|j[a-z]+|loop\w*)\b")
ORDERS = re.compile(r"^(?:lock|mfence|lfence|sfence|serialize|cpuid)\b")
ENTERS = re.compile(r"^(?:syscall|sysenter|int)\b")
CALL_BY_POINTER = re.compile(r"^call\s+\*")
JUMP_BY_TABLE = re.compile(r"^(?:notrack )?jmp\s+\*%")
EXCHANGE = re.compile(r"^xchg\b.*\(")  # with memory: locked without saying so


def parse(listing):
    """{function: [instruction]} of what objdump -d printed."""
    functions, body = {}, None
    for line in listing.split("\n"):
        start = FUNCTION.match(line)
        if start:
            body = functions.setdefault(start.group(1), [])
            continue
        instruction = INSTRUCTION.match(line)
        if instruction and body is not None:
            body.append(re.sub(r"\s+#.*$", "", instruction.group(1)))
    return functions


def plain(name):
    """The name of which the compiler made this part or clone."""
    return CLONE.sub("", name)


class Walk:
    """From one function to all that it reaches."""

    def __init__(self, functions):
        self.functions = functions
        self.seen = set()
        self.instructions = 0
        self.complaints = []

    def run(self, root):
        if root not in self.functions:
            self.complaints.append(f"{root}: is not there")
            return self
        todo = [root]
        while todo:
            name = todo.pop()
            if name in self.seen:
                continue
            self.seen.add(name)
            body = self.functions[name]
            self.instructions += len(body)
            for at, instruction in enumerate(body):
                todo += self.look(name, instruction, body[max(0, at - 4) : at])
        return self

    def look(self, name, instruction, before):
        """The functions that one instruction leads to; `before`: those ahead of it."""
        if ORDERS.match(instruction) or EXCHANGE.match(instruction):
            self.complaints.append(f"{name}: orders memory: {instruction}")
        elif ENTERS.match(instruction):
            self.complaints.append(f"{name}: enters the kernel: {instruction}")
        elif BRANCH.match(instruction):
            return self.follow(name, instruction, before)
        return []

    def follow(self, name, instruction, before):
        target = TARGET.search(instruction)
        if target is None:
            if JUMP_BY_TABLE.match(instruction) and any(b.startswith("movslq") for b in before):
                return [part for part in self.functions if plain(part) == plain(name)]
            if not (CALL_BY_POINTER.match(instruction) and plain(name) in MOVERS):
                self.complaints.append(f"{name}: cannot be followed: {instruction}")
            return []
        to = target.group(1).split("@")[0]
        if plain(to) in BEYOND or to in COPIES:
            return []
        if to not in self.functions:
            self.complaints.append(f"{name}: leaves the library: {instruction}")
            return []
        return [to]


def check(listing):
    """[(root, walk)] for every root, and every move that is a function by itself."""
    functions = parse(listing)
    moves = sorted(name for name in functions if name.startswith(MOVES) and name == plain(name))
    return [(root, Walk(functions).run(root)) for root in ROOTS + moves]


def disassemble(path):
    command = ["objdump", "-d", "--no-show-raw-insn", "-M", "att", path]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def main(path):
    results = check(disassemble(path))
    failed = 0
    print(f"1..{len(results)}")
    for number, (root, walk) in enumerate(results, 1):
        good = not walk.complaints
        failed += not good
        count = f"{walk.instructions} instructions of {len(walk.seen)} functions"
        print(f"{'ok' if good else 'not ok'} {number} - {root}: no lock, fence or system call in {count}")
        for complaint in walk.complaints:
            print(f"# {complaint}")
    return 1 if failed else 0


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    sys.exit(main(sys.argv[1]))
