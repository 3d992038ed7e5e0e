#!/usr/bin/env python3
"""Shows that edges.py finds what it should, and nothing else. TAP."""

import sys

import edges

GOOD = """
/*
 * A ring.
 * [A] head: push -> pop, publishes the payload
 */
static void ring_push(void)
{
	/* relaxed: only the pusher writes it */
	h = atomic_load_explicit(&head, memory_order_relaxed);
	/* [A] release; pairs with ring_pop */
	atomic_store_explicit(&head, h + 1, memory_order_release);
}
static void ring_pop(void)
{
	h = atomic_load_explicit(&head, memory_order_acquire); /* [A] acquire; pairs with ring_push */
}
"""

FENCED = """
/* Two fences.
 * [W] flag: sleeper -> waker, publishes the wish to be woken
 */
static void ring_sleep(void)
{
	/* [W] fence; pairs with ring_wake, a system call that the compiler does not see */
	syscall(SYS_membarrier);
}
static void ring_wake(void)
{
	atomic_signal_fence(memory_order_seq_cst); /* [W] fence; pairs with ring_sleep */
	/* [W] relaxed; ordered by the fence */
	return atomic_load_explicit(&flag,
				    memory_order_relaxed);
}
"""


def changed(text, old, new):
    assert text.count(old) >= 1, old
    return {"protocol/ring.h": text.replace(old, new)}


# (what, files, what the one complaint must contain; None: there must be none)
CASES = [
    ("a finished structure passes", {"protocol/ring.h": GOOD}, None),
    ("membarrier is an end of its edge", {"protocol/ring.h": FENCED}, None),
    ("nothing at all passes", {}, None),
    (
        "an access without a comment",
        changed(GOOD, "/* [A] release; pairs with ring_pop */", ""),
        ["cites no edge", "lacks an end"],
    ),
    (
        "a relaxed access without a reason",
        changed(GOOD, "/* relaxed: only the pusher writes it */", ""),
        ["relaxed without"],
    ),
    (
        "a reason with nothing in it",
        changed(GOOD, "relaxed: only the pusher writes it", "relaxed: "),
        ["relaxed without"],
    ),
    (
        "a comment behind the line above speaks of that line",
        changed(
            GOOD,
            "/* [A] acquire; pairs with ring_push */",
            "/* [A] acquire; pairs with ring_push */\n"
            "\tt = atomic_load_explicit(&tail, memory_order_acquire);",
        ),
        ["cites no edge"],
    ),
    (
        "a release that is relaxed in truth",
        changed(GOOD, "memory_order_release", "memory_order_relaxed"),
        ["says release, the code relaxed"],
    ),
    (
        "an acquire that is relaxed in truth",
        changed(GOOD, "memory_order_acquire", "memory_order_relaxed"),
        ["says acquire, the code relaxed"],
    ),
    (
        "an edge with two releasing ends",
        changed(
            changed(GOOD, "[A] acquire", "[A] release")["protocol/ring.h"],
            "memory_order_acquire",
            "memory_order_release",
        ),
        ["lacks an end"],
    ),
    (
        "an edge that nobody cites",
        changed(GOOD, " */\nstatic void ring_push", " * [B] tail: pop -> push\n */\nstatic void ring_push"),
        ["edge [B] lacks an end: it is cited by nothing"],
    ),
    (
        "a citation of an edge that is not listed",
        changed(GOOD, "[A] acquire", "[C] acquire"),
        ["[ring.C] is not listed", "lacks an end"],
    ),
    (
        "a citation whose access is gone",
        changed(GOOD, "h = atomic_load_explicit(&head, memory_order_acquire);", "h = 0;"),
        ["there is no access here", "lacks an end"],
    ),
    (
        "a partner that is gone",
        changed(GOOD, "pairs with ring_pop", "pairs with ring_take"),
        ["no ring_take to pair with"],
    ),
    (
        "an order left out",
        changed(GOOD, "h = atomic_load_explicit(&head, memory_order_relaxed);", "h = atomic_load(&head);"),
        ["atomic_load: the order is left out"],
    ),
    (
        "a compiler builtin",
        changed(GOOD, "h = atomic_load_explicit(&head, memory_order_relaxed);", "__sync_synchronize();"),
        ["use the C11 function"],
    ),
    (
        "volatile",
        changed(GOOD, "static void ring_push", "volatile int x;\nstatic void ring_push"),
        ["volatile without"],
    ),
    (
        "volatile with its reason, and asm volatile, pass",
        changed(
            GOOD,
            "static void ring_push",
            '/* volatile: a test changes it */\nvolatile int x;\n\n\n\n#define P() __asm__ volatile("pause")\n'
            "static void ring_push",
        ),
        None,
    ),
    (
        "an access that is only a comment or a string passes",
        changed(GOOD, "/* relaxed: only", '/* atomic_load(&x) */ f("atomic_load(");\n\t/* relaxed: only'),
        None,
    ),
    (
        "an edge cited from another folder",
        {
            "protocol/ring.h": GOOD,
            "daemon/look.c": "/* [ring.A] acquire; pairs with ring_push */\n"
            "x = atomic_load_explicit(&head, memory_order_acquire);\n",
        },
        None,
    ),
    (
        "a letter belongs to its own file",
        {
            "protocol/ring.h": GOOD,
            "daemon/look.c": "/* [A] acquire; pairs with ring_push */\n"
            "x = atomic_load_explicit(&head, memory_order_acquire);\n",
        },
        ["[look.A] is not listed"],
    ),
    (
        "a fence without an edge",
        changed(GOOD, "static void ring_pop(void)\n{", "static void ring_pop(void)\n{\n\tatomic_thread_fence(memory_order_seq_cst);"),
        ["atomic_thread_fence: cites no edge"],
    ),
]


def main():
    failed = 0
    print(f"1..{len(CASES)}")
    for number, (what, files, expected) in enumerate(CASES, 1):
        complaints = edges.check(files)
        wanted = expected or []
        good = len(complaints) == len(wanted) and all(
            any(want in complaint for complaint in complaints) for want in wanted
        )
        print(f"{'ok' if good else 'not ok'} {number} - {what}")
        if not good:
            failed += 1
            print(f"# wanted {wanted}, got {complaints}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
