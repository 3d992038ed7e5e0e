#include "tests/crash/stepper.h"

#include <elf.h>
#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/uio.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/support/segment.h"

/* Stops for the tracer, and tells it by something that no step says. */
static inline __attribute__((always_inline)) void mark(void)
{
#if defined(__x86_64__)
	__asm__ __volatile__("int3" ::: "memory");
#elif defined(__aarch64__)
	__asm__ __volatile__("brk #0" ::: "memory");
#endif
}

static bool is_mark(pid_t pid)
{
	siginfo_t info;

	SHMT_REQUIRE(ptrace(PTRACE_GETSIGINFO, pid, NULL, &info) == 0);
#if defined(__aarch64__)
	return info.si_code == TRAP_BRKPT;
#else
	return info.si_code == SI_KERNEL;
#endif
}

#if defined(__aarch64__)
#define PC(registers)	((registers)->pc)
#define TRAP_CODE	UINT64_C(0xd4200000) /* brk #0 */
#define TRAP_MASK	UINT64_C(0xffffffff)
#define TRAP_STEPS_OVER 0 /* it stops before itself */
#else
#define PC(registers)	((registers)->rip)
#define TRAP_CODE	UINT64_C(0xcc) /* int3 */
#define TRAP_MASK	UINT64_C(0xff)
#define TRAP_STEPS_OVER 1
#endif

static void get_registers(pid_t pid, struct user_regs_struct *ret_registers)
{
	struct iovec all = { ret_registers, sizeof(*ret_registers) };

	SHMT_REQUIRE(ptrace(PTRACE_GETREGSET, pid, NT_PRSTATUS, &all) == 0);
}

static void set_registers(pid_t pid, struct user_regs_struct registers)
{
	struct iovec all = { &registers, sizeof(registers) };

	SHMT_REQUIRE(ptrace(PTRACE_SETREGSET, pid, NT_PRSTATUS, &all) == 0);
}

static uintptr_t get_pc(pid_t pid)
{
	struct user_regs_struct registers;

	get_registers(pid, &registers);
	return PC(&registers);
}

static void set_pc(pid_t pid, uintptr_t to)
{
	struct user_regs_struct registers;

	get_registers(pid, &registers);
	PC(&registers) = to;
	set_registers(pid, registers);
}

/* Behind a mark, so that it can go on. */
static void skip_mark(pid_t pid)
{
	if (!TRAP_STEPS_OVER)
		set_pc(pid, get_pc(pid) + 4);
}

/* What a mark does when nobody traces. */
static void leave(int number)
{
	_exit(0);
}

static void run_child(unsigned int patience_s, stepper_fn prepare, stepper_fn operation,
		      void *context)
{
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	signal(SIGTRAP, leave);
	prepare(context);
	SHMT_REQUIRE(ptrace(PTRACE_TRACEME, 0, NULL, NULL) == 0);
	alarm(patience_s);
	mark();
	operation(context);
	mark();
	abort();
}

/* The child has stopped, by a step or a mark; all else is a failure. */
static void expect_trap(int status)
{
	if (WIFSTOPPED(status) && WSTOPSIG(status) == SIGTRAP)
		return;
	fprintf(stderr, "stepper: the child did something else, status 0x%x\n", (unsigned)status);
	abort();
}

/* False: stopped by its alarm instead. */
static bool await_trap(pid_t pid, bool has_alarm)
{
	int status = 0;

	SHMT_REQUIRE(waitpid(pid, &status, 0) == pid);
	if (has_alarm && WIFSTOPPED(status) && WSTOPSIG(status) == SIGALRM)
		return false;
	expect_trap(status);
	return true;
}

void stepper_start(struct stepper *stepper, stepper_fn prepare, stepper_fn operation, void *context)
{
	fflush(NULL);
	stepper->pid = fork();
	SHMT_REQUIRE(stepper->pid >= 0);
	if (stepper->pid == 0)
		run_child(stepper->patience_s, prepare, operation, context);
	await_trap(stepper->pid, false);
	SHMT_REQUIRE(ptrace(PTRACE_SETOPTIONS, stepper->pid, NULL, PTRACE_O_EXITKILL) == 0);
	skip_mark(stepper->pid);
}

/* The state letter of /proc/PID/stat. */
static char state_of(pid_t pid)
{
	char path[64], text[256] = "", *end;
	FILE *file;

	snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
	file = fopen(path, "re");
	SHMT_REQUIRE(file && fgets(text, sizeof(text), file));
	fclose(file);
	end = strrchr(text, ')');
	SHMT_REQUIRE(end && end[1] == ' ');
	return end[2];
}

void stepper_await_sleep(pid_t pid)
{
	while (state_of(pid) != 'S')
		sched_yield();
}

static bool await_trap_or_sleep(pid_t pid)
{
	int status = 0;
	pid_t r;

	while ((r = waitpid(pid, &status, WNOHANG)) == 0) {
		if (state_of(pid) == 'S')
			return false;
		sched_yield(); /* it may share the tracer's core */
	}
	SHMT_REQUIRE(r == pid);
	expect_trap(status);
	return true;
}

static enum stepper_result resume(struct stepper *stepper, enum __ptrace_request how)
{
	SHMT_REQUIRE(ptrace(how, stepper->pid, NULL, NULL) == 0);
	if (stepper->may_sleep) {
		if (!await_trap_or_sleep(stepper->pid))
			return STEPPER_ASLEEP;
	} else if (!await_trap(stepper->pid, stepper->patience_s > 0)) {
		return STEPPER_STUCK;
	}
	return is_mark(stepper->pid) ? STEPPER_ENDED : STEPPER_STOPPED;
}

/* One instruction, whole: what repeats itself, as "rep stos" does, traps after every round. */
static enum stepper_result step(struct stepper *stepper, uintptr_t at)
{
	enum stepper_result result;

	do
		result = resume(stepper, PTRACE_SINGLESTEP);
	while (result == STEPPER_STOPPED && get_pc(stepper->pid) == at);
	return result;
}

static bool is_call(pid_t pid, uintptr_t at)
{
	unsigned long word = (unsigned long)ptrace(PTRACE_PEEKTEXT, pid, at, NULL);

#if defined(__aarch64__)
	return (word & UINT64_C(0xffffffff)) == UINT64_C(0xd4000001); /* svc #0 */
#else
	return (word & 0xffff) == 0x050f; /* syscall */
#endif
}

enum stepper_result stepper_step(struct stepper *stepper)
{
	return resume(stepper, PTRACE_SINGLESTEP);
}

enum stepper_result stepper_run(struct stepper *stepper)
{
	return resume(stepper, PTRACE_CONT);
}

bool stepper_has_woken(struct stepper *stepper)
{
	return await_trap_or_sleep(stepper->pid);
}

void stepper_save(const struct stepper *stepper, struct user_regs_struct *ret_registers)
{
	get_registers(stepper->pid, ret_registers);
}

void stepper_rewind(const struct stepper *stepper, const struct user_regs_struct *registers)
{
	set_registers(stepper->pid, *registers);
}

/* Addresses that were met; 0 is none. Paths are long where a library's are stepped through. */
struct met {
	uintptr_t *at;
	size_t room; /* a power of two, at least twice the count */
	size_t count;
};

static uintptr_t *slot_of(const struct met *met, uintptr_t at)
{
	size_t slot = (size_t)(at * UINT64_C(0x9e3779b97f4a7c15) >> 32) & (met->room - 1);

	while (met->at[slot] != 0 && met->at[slot] != at)
		slot = (slot + 1) & (met->room - 1);
	return &met->at[slot];
}

static void make_room(struct met *met)
{
	struct met before = *met;

	met->room = before.room ? 2 * before.room : 1024;
	met->at = calloc(met->room, sizeof(*met->at));
	SHMT_REQUIRE(met->at);
	for (size_t i = 0; i < before.room; i++)
		if (before.at[i] != 0)
			*slot_of(met, before.at[i]) = before.at[i];
	free(before.at);
}

static bool is_new(struct met *met, uintptr_t at)
{
	uintptr_t *slot;

	if (met->room < 2 * (met->count + 1))
		make_room(met);
	slot = slot_of(met, at);
	if (*slot == at)
		return false;
	*slot = at;
	met->count++;
	return true;
}

void stepper_measure(struct stepper *stepper, struct stepper_path *ret_path)
{
	struct stepper_path path = { .end = STEPPER_STOPPED };
	struct met met = { .at = NULL };
	unsigned long room = 0;
	bool was_call;

	while (path.end == STEPPER_STOPPED) {
		if (path.count == room) {
			room = room ? 2 * room : 256;
			path.at = realloc(path.at, room * sizeof(*path.at));
			path.via = realloc(path.via, room * sizeof(*path.via));
			SHMT_REQUIRE(path.at && path.via);
		}
		path.at[path.count] = get_pc(stepper->pid);
		path.via[path.count] = is_new(&met, path.at[path.count]) ? path.count :
									   path.via[path.count - 1];
		was_call = stepper->watch && is_call(stepper->pid, path.at[path.count]);
		path.end = step(stepper, path.at[path.count++]);
		if (stepper->watch)
			stepper->watch(stepper->watch_context, path.count, was_call);
	}
	/* the mark is no instruction of the operation, and the sleeping call is not done */
	path.count--;
	free(met.at);
	*ret_path = path;
}

/* By a breakpoint that is taken away again; who strays may come to the end or fall asleep instead. */
static enum stepper_result run_to(struct stepper *stepper, uintptr_t at)
{
	enum stepper_result result;
	unsigned long word;

	errno = 0;
	word = (unsigned long)ptrace(PTRACE_PEEKTEXT, stepper->pid, at, NULL);
	SHMT_REQUIRE(errno == 0);
	SHMT_REQUIRE(ptrace(PTRACE_POKETEXT, stepper->pid, at, (word & ~TRAP_MASK) | TRAP_CODE) ==
		     0);
	result = resume(stepper, PTRACE_CONT);
	if (result == STEPPER_ASLEEP) {
		SHMT_REQUIRE(stepper->may_stray);
		return result;
	}
	if (result == STEPPER_STUCK)
		return result;
	SHMT_REQUIRE(ptrace(PTRACE_POKETEXT, stepper->pid, at, word) == 0);
	if (get_pc(stepper->pid) != at + TRAP_STEPS_OVER) {
		SHMT_REQUIRE(stepper->may_stray);
		return STEPPER_ENDED;
	}
	set_pc(stepper->pid, at);
	return STEPPER_STOPPED;
}

enum stepper_result stepper_run_to(struct stepper *stepper, uintptr_t at)
{
	return run_to(stepper, at);
}

enum stepper_result stepper_go_to(struct stepper *stepper, const struct stepper_path *path,
				  unsigned long point)
{
	enum stepper_result result = STEPPER_STOPPED;
	unsigned long at;

	if (point >= path->count) {
		result = resume(stepper, PTRACE_CONT);
		SHMT_REQUIRE(result == path->end);
		return result;
	}
	at = path->via[point];
	if (at > 0)
		result = run_to(stepper, path->at[at]);
	for (; at < point && result == STEPPER_STOPPED; at++)
		result = step(stepper, path->at[at]);
	if (!stepper->may_stray)
		SHMT_REQUIRE(result == STEPPER_STOPPED && get_pc(stepper->pid) == path->at[point]);
	return result;
}

void stepper_forget(struct stepper_path *path)
{
	free(path->at);
	free(path->via);
}

static void reap(struct stepper *stepper)
{
	int status = 0;
	pid_t r;

	do
		r = waitpid(stepper->pid, &status, 0);
	while (r < 0 && errno == EINTR);
	SHMT_REQUIRE(r == stepper->pid);
	if (WIFSTOPPED(status)) /* a stop from before the kill */
		reap(stepper);
}

void stepper_kill(struct stepper *stepper)
{
	SHMT_REQUIRE(kill(stepper->pid, SIGKILL) == 0);
	reap(stepper);
}

void stepper_stop(struct stepper *stepper)
{
	int status = 0;

	SHMT_REQUIRE(ptrace(PTRACE_DETACH, stepper->pid, NULL, SIGSTOP) == 0);
	SHMT_REQUIRE(waitpid(stepper->pid, &status, WUNTRACED) == stepper->pid);
	SHMT_REQUIRE(WIFSTOPPED(status) && WSTOPSIG(status) == SIGSTOP);
}

void stepper_go_on(struct stepper *stepper)
{
	int status = 0;

	SHMT_REQUIRE(kill(stepper->pid, SIGCONT) == 0);
	SHMT_REQUIRE(waitpid(stepper->pid, &status, 0) == stepper->pid);
	SHMT_REQUIRE(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}
