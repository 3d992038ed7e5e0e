/*
 * A broker that answers as a test wants: a thread behind a real socket in a private folder, for
 * what an honest broker never says. It serves one connection after the other.
 */
#ifndef SHMT_FAKE_BROKER_H
#define SHMT_FAKE_BROKER_H

#include <cjson/cJSON.h>
#include <pthread.h>
#include <stdbool.h>

#include "protocol/segment.h"
#include "protocol/varlink.h"
#include "protocol/wire.h"

struct shmt_fake;

/*
 * One call. It queues on fake->wire whatever it likes, by itself or with shmt_fake_answer(), and
 * returns false to hang up.
 */
typedef bool (*shmt_fake_fn)(struct shmt_fake *fake, const struct shmp_varlink_call *call);

struct shmt_fake {
	char folder[64];
	char address[96];
	/* of the test */
	shmt_fake_fn fn;
	void *context;
	/* of the thread */
	pthread_t thread;
	int listener;
	struct shmp_wire wire;
	struct shmp_segment_fds fds; /* of the segment that honest answers to Attach give */
	struct shmp_plan plan;
};

/* Listens; ends the test when it cannot. */
void shmt_fake_start(struct shmt_fake *fake, shmt_fake_fn fn, void *context);
/* Hangs up and removes the socket. */
void shmt_fake_stop(struct shmt_fake *fake);

/* What an honest broker with one spsc queue would answer: Hello, Create, Attach and the rest. */
bool shmt_fake_answer(struct shmt_fake *fake, const struct shmp_varlink_call *call);
/* The parameters of its answer to Attach, for a test to spoil. */
cJSON *shmt_fake_attachment(struct shmt_fake *fake, const struct shmp_varlink_call *call);

#endif
