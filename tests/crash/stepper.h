/*
 * Stepper: a child that dies, or stops, after exactly so many instructions of one operation.
 *
 *	stepper_start(), stepper_measure(), stepper_kill()	once: the path, instruction by instruction
 *	stepper_start(), stepper_go_to(path, n), ...		then for every n
 *	... stepper_kill(), or stepper_stop() and stepper_go_on()
 *
 * The child is a fork, so that it sees all that its parent prepared; it runs prepare(context) and
 * stands before the first instruction of operation(context). A system call is one instruction.
 * What it leaves behind is in shared mappings. The operation must take the same path every time.
 *
 * The path is found by single steps. They are slow on virtual machines, so that a point of it is
 * then reached by a breakpoint, and by steps only from there on.
 *
 * Who wants to lead it himself uses stepper_step(), stepper_run_to() and stepper_run(), and begins
 * again with stepper_rewind() at what stepper_save() noted: the stack below is nobody's.
 *
 * x86-64 and aarch64; elsewhere STEPPER_WORKS is 0.
 */
#ifndef SHMT_STEPPER_H
#define SHMT_STEPPER_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>
#include <sys/user.h>

#if defined(__x86_64__) || defined(__aarch64__)
#define STEPPER_WORKS 1
#else
#define STEPPER_WORKS 0
#endif

/*
 * Sanitizers multiply the instructions, and their own are not what is examined: only samples. So
 * many, too, where the option crash_points says it.
 */
#if defined(STEPPER_SAMPLES)
#elif defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define STEPPER_SAMPLES 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define STEPPER_SAMPLES 1
#endif
#endif
#ifndef STEPPER_SAMPLES
#define STEPPER_SAMPLES 0
#endif

typedef void (*stepper_fn)(void *context);

enum stepper_result {
	STEPPER_STOPPED, /* before an instruction */
	STEPPER_ENDED,	 /* the operation is done, its last instruction included */
	STEPPER_ASLEEP,	 /* in a system call that does not return by itself */
	STEPPER_STUCK,	 /* its patience is at an end */
};

struct stepper {
	pid_t pid;
	bool may_stray; /* what it does depends on others: points are near where they were */
	bool may_sleep; /* a system call of the operation may block for good; slower */
	unsigned int patience_s; /* in all; 0: for ever. Not together with may_sleep */
	/* While measuring, after each instruction: how many are done, and whether that was a system
	 * call. NULL: nothing. */
	void (*watch)(void *context, unsigned long done, bool is_call);
	void *watch_context;
};

struct stepper_path {
	uintptr_t *at;	    /* address of each instruction */
	unsigned long *via; /* for each, the last one up to it that had not been met before */
	unsigned long count;
	enum stepper_result end; /* behind the last of them */
};

/* The child stands before the first instruction of @operation. */
void stepper_start(struct stepper *stepper, stepper_fn prepare, stepper_fn operation,
		   void *context);
/* Goes through the operation step by step. */
void stepper_measure(struct stepper *stepper, struct stepper_path *ret_path);
void stepper_forget(struct stepper_path *path);
/* From the start until @point instructions are done. */
enum stepper_result stepper_go_to(struct stepper *stepper, const struct stepper_path *path,
				  unsigned long point);
/* SIGKILL, and it is reaped: the kernel has torn it down. */
void stepper_kill(struct stepper *stepper);

/* One instruction, or one round of one that repeats itself. */
enum stepper_result stepper_step(struct stepper *stepper);
/* Until it stands before the instruction at @at; at once if it stands there already. */
enum stepper_result stepper_run_to(struct stepper *stepper, uintptr_t at);
/* To the end, or to sleep. */
enum stepper_result stepper_run(struct stepper *stepper);
/* Whether it stands again after having slept in a call. */
bool stepper_has_woken(struct stepper *stepper);
/* Where it stands, to come back to within the same operation. Not while it sleeps. */
void stepper_save(const struct stepper *stepper, struct user_regs_struct *ret_registers);
void stepper_rewind(const struct stepper *stepper, const struct user_regs_struct *registers);

/* SIGSTOP where it stands; it is nobody's tracee any more. */
void stepper_stop(struct stepper *stepper);
/* SIGCONT, and waits until it has ended the operation. */
void stepper_go_on(struct stepper *stepper);

/* Waits until process @pid sleeps in the kernel. */
void stepper_await_sleep(pid_t pid);

#endif
