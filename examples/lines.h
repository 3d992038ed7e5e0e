/*
 * What producer and consumer agree on: a file travels as one message per line, each with its
 * number, so that the consumer can prove that nothing was lost, doubled or swapped.
 */
#ifndef EXAMPLES_LINES_H
#define EXAMPLES_LINES_H

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include <shmclient/shmclient.h>

#define QUEUE_BYTES	(256u << 10)
#define LINE_TEXT_BYTES (32u << 10) /* a longer line travels in pieces */

struct line {
	uint64_t number;  /* in the file, from 0 */
	uint64_t sent_ns; /* CLOCK_MONOTONIC, one clock for all processes of the machine */
	char text[];	  /* with its newline, if it has one */
};

static const struct shmc_spsc_options line_queue = {
	.capacity_bytes = QUEUE_BYTES,
	.message_bytes_max = sizeof(struct line) + LINE_TEXT_BYTES,
	.reuse = 1, /* whoever comes first makes it */
};

static inline uint64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

/* Connects to the broker and opens the queue in a role; says why not, and ends. */
static inline struct shmc_spsc *open_lines(const char *name, enum shmc_spsc_role role,
					   struct shmc_client **ret_client)
{
	struct shmc_spsc *queue;
	struct shmc_error error;

	if (shmc_connect(NULL, ret_client, &error) != SHMC_OK ||
	    shmc_spsc_create(*ret_client, name, &line_queue, &error) != SHMC_OK ||
	    shmc_spsc_open(*ret_client, name, role, &queue, &error) != SHMC_OK) {
		fprintf(stderr, "%s: %s\n", shmc_result_name(error.result), error.text);
		exit(1);
	}
	return queue;
}

#endif
