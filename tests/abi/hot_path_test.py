#!/usr/bin/env python3
"""Shows that hot_path.py finds what it should, and nothing else. TAP."""

import sys

import hot_path

GOOD = """
0000000000001000 <shmc_spsc_push>:
    1000:	mov    (%rdi),%rax
    1003:	test   %eax,%eax
    1005:	jne    1020 <shmc_spsc_push+0x20>
    1007:	mov    %r9,(%rsi)
    100a:	xchg   %ax,%ax
    100c:	ret
    1020:	jmp    2000 <spsc_push_long>

0000000000002000 <spsc_push_long>:
    2000:	call   500 <memcpy@plt>
    2005:	jne    3000 <spsc_push_long.cold>
    2007:	ret

0000000000003000 <spsc_push_long.cold>:
    3000:	call   4000 <shmc__wait>
    3005:	call   6000 <spsc_answer.part.0>
    300a:	jmp    2007 <spsc_push_long+0x7>

0000000000004000 <shmc__wait>:
    4000:	lock or %eax,(%rdx)
    4003:	syscall

0000000000006000 <spsc_answer.part.0>:
    6000:	mov    $0x1,%eax
    6005:	ret
"""

# (what, replaced, by, what the one complaint must contain; None: there must be none)
CASES = [
    ("a good path passes, waiting is beyond it", "", "", None),
    ("a lock in the root", "mov    %r9,(%rsi)", "lock xadd %r9,(%rsi)", "orders memory: lock xadd"),
    ("a fence in a function that is jumped to", "call   500 <memcpy@plt>", "mfence", "orders memory: mfence"),
    ("an exchange with memory, which locks", "mov    %r9,(%rsi)", "xchg   %r9,(%rsi)", "orders memory: xchg"),
    ("a system call in a cold part", "call   4000 <shmc__wait>", "syscall", "enters the kernel"),
    ("a lock behind a call out of a cold part", "mov    $0x1,%eax", "lock incl (%rax)", "spsc_answer.part.0: orders"),
    ("a call out of the library", "<memcpy@plt>", "<clock_gettime@plt>", "leaves the library"),
    ("a call of a function that is not there", "<spsc_answer.part.0>\n", "<elsewhere>\n", "leaves the library"),
    ("a jump by a table stays inside", "jmp    2000 <spsc_push_long>", "movslq (%rdx,%rax,4),%rax\n 1:\tjmp    *%rax", None),
    ("a jump that cannot be followed", "jmp    2000 <spsc_push_long>", "jmp    *%rax", "cannot be followed"),
    ("a root that is not there", "<shmc_spsc_push>:", "<shmc_spsc_shove>:", "is not there"),
]


def main():
    failed = 0
    print(f"1..{len(CASES)}")
    for number, (what, old, new, wanted) in enumerate(CASES, 1):
        assert GOOD.count(old) >= 1, old
        listing = GOOD.replace(old, new, 1) if old else GOOD
        walk = hot_path.Walk(hot_path.parse(listing)).run("shmc_spsc_push")
        said = walk.complaints
        good = (len(said) == 1 and wanted in said[0]) if wanted else not said
        print(f"{'ok' if good else 'not ok'} {number} - {what}")
        if not good:
            failed += 1
            print(f"# wanted {wanted}, got {said}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
