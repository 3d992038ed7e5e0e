/*
 * org.shmbroker.control, its part for when something went wrong: who died, who waits for whom, what
 * is nearly used up. The other methods are in methods_control.c.
 */
#ifndef SHMBROKER_METHODS_POSTMORTEM_H
#define SHMBROKER_METHODS_POSTMORTEM_H

struct call;
struct segment;

void method_deaths(struct call *call);
void method_blocked(struct call *call);
void method_health(struct call *call);

/* methods_control.c: the segment, or NULL and NotFound is answered. */
struct segment *control_segment(struct call *call, const char *name);

#endif
