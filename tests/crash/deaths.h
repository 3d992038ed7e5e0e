/*
 * Deaths: an operation on a segment, and the end of who does it after every instruction of it; or he
 * is stopped there, and goes on when the world has changed.
 *
 * The segment is as it was when deaths_everywhere was called before each death, and again at the
 * end. The child acts with the handle it inherited; the parent then does, in `check`, what the
 * broker and the others do, with handles that it takes up anew or that lie in `own`.
 */
#ifndef SHMT_DEATHS_H
#define SHMT_DEATHS_H

#include <check.h>
#include <stdbool.h>
#include <stddef.h>

#include "tests/crash/stepper.h"
#include "tests/support/segment.h"

struct deaths {
	const char *name; /* as printed */
	const struct shmt_segment *segment;
	void *own; /* of the parent, put back before each death, too; may be NULL */
	size_t own_bytes;
	void *context;
	void (*operate)(void *context); /* in the child, stepped */
	void (*check)(void *context);	/* in the parent */
	/* NULL: the child dies. Otherwise it is stopped, this is done in the parent, and the child goes on
	 * to the end of the operation before `check`; what it changes of `own` is seen if that is shared */
	void (*meanwhile)(void *context);
	/* of the death that is being checked */
	unsigned long point;
	bool has_ended;
};

void deaths_everywhere(struct deaths *deaths);
/* As shmt_run, then the count of all points; skips where there is no stepping. */
int deaths_main(int argc, char **argv);

#define DEATHS_MAIN                             \
	int main(int argc, char **argv)         \
	{                                       \
		return deaths_main(argc, argv); \
	}

/* ck_assert without a note for each of so many successes, saying at which point. */
#define DEATHS_CHECK(deaths_, condition_)                                                      \
	do {                                                                                   \
		if (!(condition_))                                                             \
			ck_abort_msg("%s:%d: %s, %lu instructions of %s done%s", __FILE__,     \
				     __LINE__, #condition_, (deaths_)->point, (deaths_)->name, \
				     (deaths_)->has_ended ? ", all of them" : "");             \
	} while (0)

#endif
