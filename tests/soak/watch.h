/*
 * Watch: the broker's events as they come, over one broker after the other, and how long it took
 * from a kill to the repair of what was held, or to the next broker's first answer.
 */
#ifndef SOAK_WATCH_H
#define SOAK_WATCH_H

#include <stdint.h>
#include <sys/types.h>

enum {
	SOAK_SAMPLES_MAX = 1 << 14,
	SOAK_KILLS_MAX = 256,
	SOAK_BROKER = 31, /* beside the kinds: the sort of a broker's kill */
};

struct soak_samples {
	uint32_t count;
	uint32_t us[SOAK_SAMPLES_MAX];
};

struct soak_watch {
	const char *control;
	int fd;
	pid_t broker; /* 0: it has not answered yet */
	uint64_t broker_killed_ns;
	size_t bytes;
	char text[1 << 16];
	uint32_t kill_count;
	struct {
		pid_t pid;
		uint32_t kind;
		uint64_t ns;
	} kills[SOAK_KILLS_MAX];
	struct soak_samples samples[SOAK_BROKER + 1]; /* by kind */
};

struct soak_watch *soak_watch_new(const char *control);
struct soak_watch *soak_watch_free(struct soak_watch *watch);

/* Reads what has come, waits up to @ms for more. */
void soak_watch_look(struct soak_watch *watch, int ms);
void soak_watch_killed(struct soak_watch *watch, pid_t pid, uint32_t kind);
void soak_watch_broker_killed(struct soak_watch *watch);

/* @share of them, in per mille, took no longer than that; 0 when there are none. */
uint32_t soak_samples_us(struct soak_samples *samples, uint32_t share);

#endif
