/*
 * Programs as a test starts them: three pipes, an exit code, and nothing outlives the test.
 */
#ifndef SHMT_PROCESS_H
#define SHMT_PROCESS_H

#include <stddef.h>
#include <sys/types.h>

struct shmt_process {
	pid_t pid;
	int in; /* -1 = closed */
	int out;
	int err;
};

struct shmt_result {
	int code;  /* exit code, or 128 and the signal */
	char *out; /* NUL-ended, to be freed by shmt_result_free */
	size_t out_bytes;
	char *err;
	size_t err_bytes;
};

/* Starts argv[0], a path; it is killed when the test ends. @argv ends with NULL. */
struct shmt_process shmt_process_start(const char *const *argv);
/* Writes @bytes to its stdin, and only then closes it, while collecting what it says. */
struct shmt_result shmt_process_finish(struct shmt_process *process, const void *input,
				       size_t bytes);
/* Its stdin stays open: for talking to it. */
void shmt_process_write(struct shmt_process *process, const char *text);
/* Reads its stdout until @text was seen; ends the test when it ends before that. */
void shmt_process_expect(struct shmt_process *process, const char *text);
/* SIGKILL, and reaped. */
void shmt_process_kill(struct shmt_process *process);

void shmt_result_free(struct shmt_result *result);

/* The program that the build names in environment variable @name; ends the test when it is not. */
const char *shmt_program(const char *name);

#endif
