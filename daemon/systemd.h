/*
 * Systemd: the small protocols by which a service manager starts and watches a service and keeps
 * descriptors for it. Written out here: they are a handful of lines each, a library would be more
 * to carry than to use. shmbrokerd --supervise (keeper.h) speaks the other side of them.
 *
 * There is one manager per process, so all of this is the process's and not an object's. The
 * manager takes messages one by one and its queue is short (ten by default): what does not fit
 * waits here in order and is sent by the loop. One thread, the loop's.
 */
#ifndef SHMBROKER_SYSTEMD_H
#define SHMBROKER_SYSTEMD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <uv.h>

/*
 * Reads what was passed and finds the manager; what is below does so by itself, but takes what it has
 * no memory or descriptor for to be not there. Return: 0, also when there is none; -errno when that
 * could not be found out. Who would go on without its state or its manager asks here first.
 */
int systemd_meet(void);

/* Has the queue sent by @loop. Who has none calls systemd_flush again and again. */
void systemd_init(uv_loop_t *loop);
/* Drops what still waits. The loop has to run until its handles are closed. */
void systemd_deinit(void);

/*
 * Descriptors that the manager passed: sockets, and after them what it kept in its store, in any
 * order. Close-on-exec. A name can stand several times; whoever takes a descriptor closes it.
 */
size_t systemd_passed_count(void);
/* @ret_name, which may be NULL: valid until systemd_listen_done, "unknown" if the manager gave
 * none. Return: the descriptor, -1 when there is none of this index or it is not open. */
int systemd_passed(size_t index, const char **ret_name);
/* The first that was passed under @name (FileDescriptorName=), -1 when there is none. */
int systemd_listen_fd(const char *name);
/* After all were taken: takes the variables away, so that no child believes them. */
void systemd_listen_done(void);

/*
 * "READY=1", "STATUS=..."; nothing happens without NOTIFY_SOCKET. Never blocks; comes behind what
 * already waits. A manager that is gone is logged once, and from then on there is none.
 */
void systemd_notify(const char *state);

/*
 * True while the manager keeps descriptors for us: NOTIFY_SOCKET is set and somebody listens, and
 * FDSTORE says how many (systemd 254 and keeper.h set it, for an older systemd our unit does).
 */
bool systemd_has_store(void);
/* Who keeps descriptors for us. */
enum systemd_keeper {
	SYSTEMD_KEEPER_NOBODY, /* nobody ever did */
	SYSTEMD_KEEPER_SYSTEMD,
	SYSTEMD_KEEPER_PARENT, /* shmbrokerd --supervise */
	SYSTEMD_KEEPER_LOST,   /* there was one, and it is gone */
};
/*
 * Looks whether a parent still lives: its death says nothing to us until the next message. @ret_pid:
 * the keeper's, also of one that is gone; 0 = it is systemd or nobody.
 */
enum systemd_keeper systemd_keeper(pid_t *ret_pid);
/*
 * Has @fd kept under @name (ASCII, no ':', at most 255 bytes) until systemd_unstore, also when it
 * hangs up. The caller's own descriptor stays his; he may close it at once.
 * Return: 0, also without a store; -ENOMEM, or -EMFILE when it had to wait and could not.
 * A process killed afterwards has stored it if it was sent: see systemd_is_flushed.
 */
int systemd_store(const char *name, int fd);
/* Everything kept under @name is given up. Return: 0 or -ENOMEM. */
int systemd_unstore(const char *name);
/* Sends what it can of what waits. */
void systemd_flush(void);
/* Nothing waits here: the kernel has it all, and the manager gets it whatever becomes of us. */
bool systemd_is_flushed(void);

/* Called from the loop, once. */
typedef void systemd_barrier_fn(void *context);
/*
 * Calls @fn when the manager has worked off all that came before, or is gone; never from within
 * this call. Not called any more after systemd_deinit. Return: 0 or -errno.
 */
int systemd_barrier(systemd_barrier_fn *fn, void *context);

/* Microseconds between two signs of life that the manager wants, 0 = none. */
uint64_t systemd_watchdog_us(void);

#endif
