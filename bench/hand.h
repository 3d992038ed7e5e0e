/*
 * Hand: a small process on the other processor that brings up one victim after the other and kills
 * it. Victims inherit nothing of what they are in but this: it is made before anything is connected.
 */
#ifndef BENCH_HAND_H
#define BENCH_HAND_H

#include <stdint.h>
#include <sys/types.h>

struct bench_death;
struct bench_hand;

/* Victims die in the segment @name. */
struct bench_hand *bench_hand_new(const char *name);
/* Ends it, and a victim that it has. */
struct bench_hand *bench_hand_free(struct bench_hand *hand);

/* Returns when the victim is in the middle of what it dies in. */
pid_t bench_hand_raise(struct bench_hand *hand, const struct bench_death *death);
/* Returns at once; the blow falls a little after the calling process has gone to sleep. */
void bench_hand_strike(struct bench_hand *hand);
/* When it fell. */
uint64_t bench_hand_struck_ns(const struct bench_hand *hand);

#endif
