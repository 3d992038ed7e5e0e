/*
 * What the explorer sees, and what it does not: mistakes that everybody knows, in a few lines each.
 */
#include "tests/interleave/explorer.h"

#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <ucontext.h>
#include <unistd.h>

#include "protocol/copy.h"
#include "protocol/waiter.h"
#include "tests/support/runner.h"

static struct scene {
	struct shmt_segment segment;
	_Atomic uint64_t *word; /* of the segment */
	struct shmp_waiter *waiter;
	struct own {
		uint64_t got[2];
		struct shmp_waiter_memory memory;
		bool has_ended;
	} * own;
	struct explorer explorer;
} scene;

static void set(const char *name, stepper_fn first, stepper_fn second,
		const char *(*judge)(void *context))
{
	uint64_t option[SHMP_OPTIONS_MAX] = { 4096, 2 };

	shmt_segment_make(&scene.segment, "buffer", option);
	scene.word = (void *)scene.segment.map.data;
	scene.waiter = (void *)(scene.segment.map.data + 1024);
	scene.own = explorer_memory(sizeof(*scene.own));
	scene.explorer = (struct explorer){ .name = name,
					    .segment = &scene.segment,
					    .own = scene.own,
					    .own_bytes = sizeof(*scene.own),
					    .role = { { .name = "first", .operate = first },
						      { .name = "second", .operate = second } },
					    .judge = judge };
}

static uint64_t load(unsigned i)
{
	return atomic_load_explicit(&scene.word[i], memory_order_acquire);
}

static void store(unsigned i, uint64_t value)
{
	atomic_store_explicit(&scene.word[i], value, memory_order_release);
}

/* Counting */

static void adds_in_two_steps(void *context)
{
	store(0, load(0) + 1);
}

static void adds_at_once(void *context)
{
	atomic_fetch_add(&scene.word[0], 1);
}

static const char *both_are_counted(void *context)
{
	return load(0) == 2 ? NULL : "one is lost";
}

TEST(an_addition_in_two_steps_loses_one)
{
	set(__func__, adds_in_two_steps, adds_in_two_steps, both_are_counted);
	explore(&scene.explorer);
	EXPLORER_BREAKS(&scene.explorer);
	/* two orders; each preempted in the middle, going on at the end or in the other's middle */
	ck_assert_uint_eq(scene.explorer.schedules, 6);
}

TEST(an_addition_at_once_loses_none)
{
	set(__func__, adds_at_once, adds_at_once, both_are_counted);
	explore(&scene.explorer);
	EXPLORER_HOLDS(&scene.explorer);
	ck_assert_uint_eq(scene.explorer.schedules, 2);
}

/* What takes two preemptions: a value that is there, goes, and comes again. */

static void takes_if_unchanged(void *context)
{
	uint64_t seen = load(0);
	uint64_t next = load(1);

	scene.own->got[0] = next;
	scene.own->got[1] = atomic_compare_exchange_strong(&scene.word[0], &seen, 2);
}

static void changes_and_changes_back(void *context)
{
	store(0, 1);
	store(1, 5);
	store(0, 0);
}

static const char *nobody_saw_the_middle(void *context)
{
	return scene.own->got[1] == 0 && scene.own->got[0] == 5 ? "seen" : NULL;
}

TEST(two_preemptions_show_what_one_does_not, .timeout_s = 30)
{
	/* 0 and then 5 are seen, and the comparison fails: the other is in its middle twice */
	set(__func__, takes_if_unchanged, changes_and_changes_back, nobody_saw_the_middle);
	explore(&scene.explorer);
	EXPLORER_BREAKS(&scene.explorer);
}

/* Store buffers: each says that it is there, then looks for the other. */

static void tells_and_looks(unsigned i)
{
	store(i, 1);
	scene.own->got[i] = load(1 - i);
}

static void first_tells_and_looks(void *context)
{
	tells_and_looks(0);
}

static void second_tells_and_looks(void *context)
{
	tells_and_looks(1);
}

static void first_fences(void *context)
{
	store(0, 1);
	atomic_thread_fence(memory_order_seq_cst);
	scene.own->got[0] = load(1);
}

static void second_fences(void *context)
{
	store(1, 1);
	atomic_thread_fence(memory_order_seq_cst);
	scene.own->got[1] = load(0);
}

static void second_calls_membarrier(void *context)
{
	store(1, 1);
	shmp_membarrier();
	scene.own->got[1] = load(0);
}

static const char *one_saw_the_other(void *context)
{
	return scene.own->got[0] || scene.own->got[1] ? NULL : "neither saw the other";
}

static void explore_stores(const char *name, stepper_fn first, stepper_fn second, bool holds)
{
	set(name, first, second, one_saw_the_other);
	scene.explorer.holds_stores = holds;
	explore(&scene.explorer);
}

TEST(store_buffers_let_both_miss_each_other)
{
	explore_stores(__func__, first_tells_and_looks, second_tells_and_looks, true);
	EXPLORER_BREAKS(&scene.explorer);
	/* that takes the buffers */
	explore_stores(__func__, first_tells_and_looks, second_tells_and_looks, false);
	EXPLORER_HOLDS(&scene.explorer);
}

TEST(a_fence_on_one_side_is_not_enough)
{
	explore_stores(__func__, first_fences, second_tells_and_looks, true);
	EXPLORER_BREAKS(&scene.explorer);
	explore_stores(__func__, first_tells_and_looks, second_fences, true);
	EXPLORER_BREAKS(&scene.explorer);
}

/* The same where the compiler has made one instruction of loading, adding and storing. */
static void first_adds_and_looks(void *context)
{
#if ACCESS_WORKS
	__asm__ __volatile__("addq $1, %0" : "+m"(scene.word[0]));
#endif
	scene.own->got[0] = load(1);
}

TEST(what_adds_unlocked_stores_as_late)
{
	explore_stores(__func__, first_adds_and_looks, second_fences, true);
	EXPLORER_BREAKS(&scene.explorer);
}

TEST(fences_on_both_sides_are_enough)
{
	explore_stores(__func__, first_fences, second_fences, true);
	EXPLORER_HOLDS(&scene.explorer);
}

TEST(membarrier_on_one_side_is_enough)
{
	explore_stores(__func__, first_tells_and_looks, second_calls_membarrier, true);
	EXPLORER_HOLDS(&scene.explorer);
}

static void stores_two(void *context)
{
	store(0, 1);
	store(1, 1);
}

static void loads_two(void *context)
{
	scene.own->got[1] = load(1);
	scene.own->got[0] = load(0);
}

static const char *stores_come_in_order(void *context)
{
	return scene.own->got[1] > scene.own->got[0] ? "the second came first" : NULL;
}

TEST(what_is_held_back_comes_in_order)
{
	set(__func__, stores_two, loads_two, stores_come_in_order);
	scene.explorer.holds_stores = true;
	explore(&scene.explorer);
	EXPLORER_HOLDS(&scene.explorer);
}

/* Sleep */

static void waits_for_word(void *context)
{
	uint32_t key;

	while (load(0) == 0) {
		key = atomic_load(&scene.waiter->sequence);
		shmp_waiter_sleep(scene.waiter, key, UINT64_MAX);
	}
}

static void waits_with_the_key_first(void *context)
{
	uint32_t key;

	for (;;) {
		key = atomic_load(&scene.waiter->sequence);
		if (load(0) != 0)
			return;
		shmp_waiter_sleep(scene.waiter, key, UINT64_MAX);
	}
}

static void gives_word(void *context)
{
	store(0, 1);
	shmp_waiter_wake_all(scene.waiter);
}

static const char *nothing_is_wrong(void *context)
{
	return NULL;
}

TEST(who_takes_the_key_too_late_sleeps_for_ever, .timeout_s = 30)
{
	set(__func__, waits_for_word, gives_word, nothing_is_wrong);
	scene.explorer.role[0].may_sleep = true;
	explore(&scene.explorer);
	EXPLORER_BREAKS(&scene.explorer);
	ck_assert_ptr_nonnull(strstr(scene.explorer.first, "sleeps for ever"));
}

TEST(who_takes_the_key_first_is_woken, .timeout_s = 30)
{
	set(__func__, waits_with_the_key_first, gives_word, nothing_is_wrong);
	scene.explorer.role[0].may_sleep = true;
	explore(&scene.explorer);
	EXPLORER_HOLDS(&scene.explorer);
	ck_assert_uint_gt(scene.explorer.schedules, 10);
}

/* Death */

static void announces_and_does(void *context)
{
	store(0, 1);
	store(1, 1);
	store(0, 0);
}

static void believes_the_announcement(void *context)
{
	if (load(0) == 1)
		store(1, 1);
	scene.own->has_ended = true;
}

static const char *it_is_done_or_not_begun(void *context)
{
	if (!scene.own->has_ended)
		return "nobody buried the dead one";
	return load(1) == 1 ? NULL : "not done";
}

TEST(one_dies_before_each_of_its_points)
{
	set(__func__, announces_and_does, believes_the_announcement, it_is_done_or_not_begun);
	scene.explorer.role[0].dies = true;
	scene.explorer.role[1].buries = true;
	explore(&scene.explorer);
	/* before each of three points, and at the end; the first one has nothing announced */
	ck_assert_uint_eq(scene.explorer.schedules, 4);
	ck_assert_uint_eq(scene.explorer.found, 1);
}

#if ACCESS_WORKS

/* Points: every access to the segment, as the processor itself tells it, is known as one. */

static struct {
	unsigned long accesses, missed;
} * seen;

static void protect(int protection)
{
	SHMT_REQUIRE(mprotect(scene.segment.map.data, 4096, protection) == 0);
}

static void note_access(int signal, siginfo_t *info, void *context)
{
	greg_t *g = ((ucontext_t *)context)->uc_mcontext.gregs;
	struct user_regs_struct registers = {
		.rax = (uint64_t)g[REG_RAX],
		.rbx = (uint64_t)g[REG_RBX],
		.rcx = (uint64_t)g[REG_RCX],
		.rdx = (uint64_t)g[REG_RDX],
		.rsi = (uint64_t)g[REG_RSI],
		.rdi = (uint64_t)g[REG_RDI],
		.rbp = (uint64_t)g[REG_RBP],
		.rsp = (uint64_t)g[REG_RSP],
		.r8 = (uint64_t)g[REG_R8],
		.r9 = (uint64_t)g[REG_R9],
		.r10 = (uint64_t)g[REG_R10],
		.r11 = (uint64_t)g[REG_R11],
		.r12 = (uint64_t)g[REG_R12],
		.r13 = (uint64_t)g[REG_R13],
		.r14 = (uint64_t)g[REG_R14],
		.r15 = (uint64_t)g[REG_R15],
	};
	struct access access;
	bool is_told = false;

	seen->accesses++;
	if (access_decode((const uint8_t *)g[REG_RIP], &registers, &access))
		for (unsigned i = 0; i < access.count; i++)
			is_told |= (uintptr_t)info->si_addr - access.address[i] < access.bytes;
	seen->missed += !is_told;
	protect(PROT_READ | PROT_WRITE);
	g[REG_EFL] |= 0x100; /* a trap after the instruction */
}

static void note_end(int signal, siginfo_t *info, void *context)
{
	protect(PROT_NONE);
	((ucontext_t *)context)->uc_mcontext.gregs[REG_EFL] &= ~0x100;
}

/* Copies of every length, to it and from it, by all that there is for that; and atomics. */
static void touch_everything(void)
{
	uint8_t bytes[700], *to = scene.segment.map.data;

	memset(bytes, 1, sizeof(bytes));
	for (uint64_t size = 0; size < sizeof(bytes); size += 1 + size / 8) {
		shmp_copy(to + 64 + size % 16, bytes, size);
		shmp_copy(bytes, to + 64, size);
		memset(to + 64, 2, size);
		memmove(to + 100, to + 64, size);
		seen->missed += size > 0 && memcmp(to + 64, to + 64, size) != 0;
	}
	for (unsigned i = 0; i < 4; i++) {
		store(i, load(i) + 1);
		atomic_fetch_or(&scene.word[i], 6);
		atomic_exchange(&scene.word[i], 7);
		atomic_compare_exchange_strong(&scene.word[i], &(uint64_t){ 7 }, 8);
	}
	shmp_waiter_prepare(scene.waiter, &scene.segment.map.endpoints[0], 0, false);
	shmp_waiter_finish(scene.waiter, 0);
}

TEST(no_access_is_missed, .timeout_s = 60)
{
	struct sigaction action = { .sa_sigaction = note_access, .sa_flags = SA_SIGINFO };
	int status = 0;
	pid_t pid;

	set(__func__, NULL, NULL, NULL);
	seen = explorer_memory(sizeof(*seen));
	pid = fork();
	if (pid == 0) {
		shmt_be_child();
		sigaction(SIGSEGV, &action, NULL);
		action.sa_sigaction = note_end;
		sigaction(SIGTRAP, &action, NULL);
		protect(PROT_NONE);
		touch_everything();
		protect(PROT_READ | PROT_WRITE);
		_exit(0);
	}
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert_int_eq(status, 0);
	printf("# %lu accesses\n", seen->accesses);
	ck_assert_uint_gt(seen->accesses, 500);
	ck_assert_uint_eq(seen->missed, 0);
}

#endif

EXPLORER_MAIN
