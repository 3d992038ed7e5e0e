#include "tests/interleave/actor.h"

#include <elf.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#if ACCESS_WORKS

enum {
	RED_ZONE = 128 /* bytes below the stack pointer that a function may use */
};

static void begin_anew(void *context)
{
	/* nothing: what a run needs has been prepared before the fork */
	(void)context;
}

void actor_start(struct actor *actor)
{
	actor->stepper = (struct stepper){ .may_sleep = false };
	stepper_start(&actor->stepper, begin_anew, actor->operate, actor->context);
	stepper_save(&actor->stepper, &actor->begin);
}

void actor_end(struct actor *actor)
{
	stepper_kill(&actor->stepper);
}

void actor_rewind(struct actor *actor)
{
	if (actor->state == ACTOR_SLEEPS) {
		stepper_kill(&actor->stepper);
		actor_start(actor);
	} else {
		stepper_rewind(&actor->stepper, &actor->begin);
	}
	actor->state = ACTOR_STANDS;
	actor->taken = 0;
	actor->holds = false;
	actor->held_count = 0;
}

int64_t actor_word(const struct actor *actor, uintptr_t address)
{
	const struct shmp_segment *map = &actor->segment->map;
	uintptr_t ctl = (uintptr_t)map->head, data = (uintptr_t)map->data;

	if (address >= ctl && address < ctl + map->plan.ctl_bytes)
		return (int64_t)((address - ctl) / 8);
	if (map->data && address >= data &&
	    address < data + shmp_segment_data_room(&map->plan, map->mirrored))
		/* its mirror is the same memory */
		return (int64_t)((map->plan.ctl_bytes + (address - data) % map->plan.data_bytes) /
				 8);
	return -1;
}

void actor_look(struct actor *actor)
{
	stepper_save(&actor->stepper, &actor->registers);
	/* a fork has its parent's code where its parent has it, and no breakpoint in there */
	if (!access_decode((const uint8_t *)actor->registers.rip, &actor->registers,
			   &actor->access)) {
		const uint8_t *at = (const uint8_t *)actor->registers.rip;

		fprintf(stderr, "actor: what instruction is %02x %02x %02x %02x %02x at %p?\n",
			at[0], at[1], at[2], at[3], at[4], (const void *)at);
		abort();
	}
}

static bool touches_segment(const struct actor *actor)
{
	const struct access *access = &actor->access;

	for (unsigned i = 0; i < access->count; i++)
		if (actor_word(actor, access->address[i]) >= 0)
			return true;
	return false;
}

bool actor_is_at_point(const struct actor *actor)
{
	return actor->access.is_barrier || actor->access.is_system_call || touches_segment(actor);
}

bool actor_is_at_membarrier(const struct actor *actor)
{
	return actor->access.is_system_call && actor->registers.rax == SYS_membarrier;
}

void actor_let_out(struct actor *actor)
{
	for (unsigned i = 0; i < actor->held_count; i++)
		memcpy(actor->held[i].at, actor->held[i].value, actor->held[i].bytes);
	actor->held_count = 0;
	actor->holds = false;
}

static void note(struct actor *actor, enum stepper_result result)
{
	if (result == STEPPER_ENDED)
		actor->state = ACTOR_ENDED;
	else if (result == STEPPER_ASLEEP)
		actor->state = ACTOR_SLEEPS;
	else if (++actor->taken > ACTOR_FOREVER)
		actor->state = ACTOR_LOST;
}

/* It sees its own stores while it takes the step, and nobody does after that. */
static void step_holding(struct actor *actor)
{
	const struct access *access = &actor->access;
	struct actor_store *store = NULL;

	for (unsigned i = 0; i < actor->held_count; i++) {
		memcpy(actor->held[i].under, actor->held[i].at, actor->held[i].bytes);
		memcpy(actor->held[i].at, actor->held[i].value, actor->held[i].bytes);
	}
	if (access->is_store && touches_segment(actor)) {
		SHMT_REQUIRE(actor->held_count < ACTOR_HELD_MAX);
		store = &actor->held[actor->held_count++];
		store->at = (uint8_t *)access->address[0];
		store->bytes = access->bytes;
		memset(store->value, 0, sizeof(store->value));
		memcpy(store->under, store->at, store->bytes);
	}
	note(actor, stepper_step(&actor->stepper));
	if (store)
		memcpy(store->value, store->at, store->bytes);
	for (unsigned i = actor->held_count; i-- > 0;)
		memcpy(actor->held[i].at, actor->held[i].under, actor->held[i].bytes);
}

/* All rounds of what clears or copies memory that is the actor's alone. */
static bool is_private_loop(const struct actor *actor)
{
	const struct access *access = &actor->access;
	uint64_t bytes = actor->registers.rcx * access->bytes;

	if (access->rounds_length == 0 || touches_segment(actor))
		return false;
	return actor_word(actor, access->address[0] + bytes) < 0 &&
	       actor_word(actor, access->address[1] + bytes) < 0;
}

void actor_step(struct actor *actor)
{
	if (is_private_loop(actor)) {
		note(actor, stepper_run_to(&actor->stepper,
					   actor->registers.rip + actor->access.rounds_length));
		return;
	}
	if (actor->holds && (actor->access.is_barrier || actor->access.is_system_call))
		actor_let_out(actor);
	if (actor->holds) {
		step_holding(actor);
		return;
	}
	/* finding out whether it sleeps takes long, and only calls do */
	actor->stepper.may_sleep = actor->may_sleep && actor->access.is_system_call;
	note(actor, stepper_step(&actor->stepper));
	actor->stepper.may_sleep = false;
}

void actor_run_to(struct actor *actor, uintptr_t pc, unsigned long times)
{
	SHMT_REQUIRE(stepper_run_to(&actor->stepper, pc) == STEPPER_STOPPED);
	while (--times > 0) {
		SHMT_REQUIRE(stepper_step(&actor->stepper) == STEPPER_STOPPED);
		SHMT_REQUIRE(stepper_run_to(&actor->stepper, pc) == STEPPER_STOPPED);
	}
	actor_look(actor);
}

/* Where the C library's syscall() enters the kernel: nothing else here sleeps. */
static uintptr_t system_call(void)
{
	const uint8_t *at = (const uint8_t *)(uintptr_t)syscall;

	for (int i = 0; i < 64; i++, at++)
		if (at[0] == 0x0f && at[1] == 0x05)
			return (uintptr_t)at;
	fprintf(stderr, "actor: where does syscall() enter the kernel?\n");
	abort();
}

/* What a sleeper does when he is woken must wait for his turn, so he goes to sleep by a step. */
static void run_to_sleep(struct actor *actor)
{
	uintptr_t call = system_call();
	enum stepper_result result;

	while (actor->state == ACTOR_STANDS) {
		actor->stepper.may_stray = true;
		result = stepper_run_to(&actor->stepper, call);
		actor->stepper.may_stray = false;
		if (result == STEPPER_ENDED) {
			actor->state = ACTOR_ENDED;
		} else {
			actor_look(actor);
			actor_step(actor);
		}
	}
}

void actor_run(struct actor *actor)
{
	SHMT_REQUIRE(!actor->holds);
	if (actor->may_sleep)
		run_to_sleep(actor);
	else
		note(actor, stepper_run(&actor->stepper));
}

uint64_t actor_hash_bytes(uint64_t hash, const void *bytes, size_t count)
{
	uint64_t word;

	for (size_t i = 0; i < count; i += sizeof(word)) {
		memcpy(&word, (const uint8_t *)bytes + i, sizeof(word));
		hash = (hash ^ word) * UINT64_C(0x9e3779b97f4a7c15);
		hash ^= hash >> 29;
	}
	return hash;
}

/* Registers, also those of vectors, and the stack from the red zone up to where it began. */
static uint64_t hash_place(const struct actor *actor, uint64_t hash)
{
	static uint64_t vectors[1024], stack[8192];
	struct iovec all = { vectors, sizeof(vectors) };
	struct user_regs_struct registers;
	struct iovec from, to = { stack, sizeof(stack) };

	stepper_save(&actor->stepper, &registers);
	SHMT_REQUIRE(ptrace(PTRACE_GETREGSET, actor->stepper.pid, NT_X86_XSTATE, &all) == 0);
	from.iov_base = (void *)(registers.rsp - RED_ZONE);
	from.iov_len = actor->begin.rsp - registers.rsp + RED_ZONE;
	SHMT_REQUIRE(from.iov_len <= sizeof(stack));
	to.iov_len = from.iov_len;
	SHMT_REQUIRE(process_vm_readv(actor->stepper.pid, &to, 1, &from, 1, 0) ==
		     (ssize_t)from.iov_len);
	hash = actor_hash_bytes(hash, &registers, sizeof(registers));
	hash = actor_hash_bytes(hash, vectors, all.iov_len);
	return actor_hash_bytes(hash, stack, from.iov_len);
}

uint64_t actor_hash(const struct actor *actor, uint64_t hash)
{
	hash = actor_hash_bytes(hash, &(uint64_t){ actor->state }, sizeof(uint64_t));
	if (actor->state == ACTOR_STANDS)
		hash = hash_place(actor, hash);
	else if (actor->state == ACTOR_SLEEPS)
		hash = actor_hash_bytes(hash, &actor->registers, sizeof(actor->registers));
	for (unsigned i = 0; i < actor->held_count; i++) {
		hash = actor_hash_bytes(hash, &actor->held[i].at, sizeof(actor->held[i].at));
		hash = actor_hash_bytes(hash, actor->held[i].value, sizeof(actor->held[i].value));
	}
	return hash;
}

void actor_rouse(struct actor *actor)
{
	if (actor->state != ACTOR_SLEEPS || !stepper_has_woken(&actor->stepper))
		return;
	actor->state = ACTOR_STANDS;
}

#endif
