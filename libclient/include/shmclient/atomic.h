/*
 * atomic: one named value that many processes load, store and change by atomic operations, and can
 * wait on: a counter, a switch, a state, a high-water mark.
 *
 * Types: bool, 32 and 64-bit integers with and without sign, double. Values travel as 64-bit words:
 * cast signed ones to and from int64_t, a bool is 0 or 1; a double has calls of its own. A value
 * that the type cannot hold is INVALID; sums and differences wrap around in the type.
 *
 * Progress: every call but wait is wait-free (adding to a double: lock-free), and none of them
 * fences or enters the kernel while nobody waits. Crash: the value is as before the operation or as
 * after it; whoever sleeps is woken if a writer dies before telling.
 *
 * A handle serves one thread at a time; open one for each thread. In a forked child every call
 * returns FORKED. vfork and CLONE_VM children must not use handles.
 */
#ifndef SHMCLIENT_ATOMIC_H
#define SHMCLIENT_ATOMIC_H

#include <stdint.h>

#include "shmclient/client.h"
#include "shmclient/type.h"

#ifdef __cplusplus
extern "C" {
#endif

struct shmc_atomic;

enum shmc_atomic_role {
	SHMC_ATOMIC_WRITER = 0,
	SHMC_ATOMIC_READER = 1,	  /* loads and waits; the value is mapped read-only */
	SHMC_ATOMIC_OBSERVER = 2, /* loads; takes no endpoint and maps everything read-only */
};

/** Memory orders, as in C11. A change may be stronger than asked for, never weaker. */
enum shmc_order {
	SHMC_ORDER_RELAXED = 0,
	SHMC_ORDER_ACQUIRE = 1,
	SHMC_ORDER_RELEASE = 2,
	SHMC_ORDER_ACQ_REL = 3,
	SHMC_ORDER_SEQ_CST = 4,
};

/** How to make an atomic. Zero-filled is the default for everything. */
struct shmc_atomic_options {
	/** SHMC_TYPE_BOOL, I32, I64, U32, U64 or DOUBLE; 0: I64. */
	uint64_t type;
	/** Writers and readers together, 1 to 255; 0: 64. */
	uint64_t endpoints_max;
	/** Rights as in chmod; 0: SHMC_MODE_PRIVATE. */
	uint32_t mode;
	/** Not 0: an existing atomic of the same options is as good as a new one. */
	uint32_t reuse;
	/** Owner, group, huge pages, prefault, mlock; NULL: the defaults. */
	const struct shmc_create_options *common;
};

/**
 * Makes an atomic of value 0, false or 0.0. It stays until shmc_unlink() or the broker's end.
 *
 * @param name		1 to 255 bytes, parts of [A-Za-z0-9_.-] joined by '/'
 * @param options	NULL for the defaults
 *
 * Return: OK; EXISTS; MISMATCH (reuse: exists with other kind or options; names both); INVALID
 * (names the argument); TOO_BIG; DENIED; QUOTA; NO_SPACE; BROKER_LOST; FORKED.
 * Threads: any; control calls of one client take turns. Context: blocks up to the control timeout.
 * Crash: the atomic exists whole or not at all.
 * Since: 0.1
 */
enum shmc_result shmc_atomic_create(struct shmc_client *client, const char *name,
				    const struct shmc_atomic_options *options,
				    struct shmc_error *error);

/**
 * Opens an atomic.
 *
 * @param type		what it must be; SHMC_TYPE_BYTES: whatever it is
 * @param ret_atomic	the handle, given back with shmc_atomic_close()
 *
 * Return: OK; NOT_FOUND; MISMATCH (another kind or type: names both); BUSY (all endpoints are
 * taken); DENIED; QUOTA; NO_SPACE; INVALID; BROKER_LOST; FORKED.
 * Threads: any; control calls of one client take turns. Context: blocks up to the control timeout.
 * Crash: the endpoint is free again as soon as the broker sees the process end.
 * Since: 0.1
 */
enum shmc_result shmc_atomic_open(struct shmc_client *client, const char *name,
				  enum shmc_atomic_role role, enum shmc_type type,
				  struct shmc_atomic **ret_atomic, struct shmc_error *error);

/**
 * Gives the endpoint back and frees the handle; the value stays.
 *
 * Return: NULL, always; NULL is taken.
 * Threads: the handle's. Context: blocks up to the control timeout.
 * Crash: the same as never having called it.
 * Since: 0.1
 */
struct shmc_atomic *shmc_atomic_close(struct shmc_atomic *atomic);

/** Its type; SHMC_TYPE_BYTES in a forked child. Threads: any. Since: 0.1 */
enum shmc_type shmc_atomic_type(const struct shmc_atomic *atomic);

/**
 * The value.
 *
 * @param order		RELAXED, ACQUIRE or SEQ_CST
 *
 * Return: OK; INVALID (order; a double); FORKED.
 * Threads: the handle's. Context: does not block or allocate; signal-safe.
 * Crash: nothing.
 * Since: 0.1
 */
enum shmc_result shmc_atomic_load(const struct shmc_atomic *atomic, enum shmc_order order,
				  uint64_t *ret_value);

/**
 * Sets the value and tells those who wait.
 *
 * @param order		RELAXED, RELEASE or SEQ_CST
 *
 * Return: OK; INVALID (order, not a writer, a double, not a value of the type); FORKED.
 * Threads: the handle's. Context: does not block or allocate; not signal-safe.
 * Crash: done or not done; whoever waits is woken in either case.
 * Since: 0.1
 */
enum shmc_result shmc_atomic_store(struct shmc_atomic *atomic, uint64_t value,
				   enum shmc_order order);

/**
 * Changes the value in one step and tells those who wait. and, or, xor: also of a bool; add and
 * subtract not.
 *
 * @param ret_before	what it was; may be NULL
 *
 * Return, threads, context, crash: as shmc_atomic_store(); every order is legal.
 * Since: 0.1
 */
enum shmc_result shmc_atomic_exchange(struct shmc_atomic *atomic, uint64_t value,
				      enum shmc_order order, uint64_t *ret_before);
enum shmc_result shmc_atomic_add(struct shmc_atomic *atomic, uint64_t value, enum shmc_order order,
				 uint64_t *ret_before);
enum shmc_result shmc_atomic_subtract(struct shmc_atomic *atomic, uint64_t value,
				      enum shmc_order order, uint64_t *ret_before);
enum shmc_result shmc_atomic_and(struct shmc_atomic *atomic, uint64_t value, enum shmc_order order,
				 uint64_t *ret_before);
enum shmc_result shmc_atomic_or(struct shmc_atomic *atomic, uint64_t value, enum shmc_order order,
				uint64_t *ret_before);
enum shmc_result shmc_atomic_xor(struct shmc_atomic *atomic, uint64_t value, enum shmc_order order,
				 uint64_t *ret_before);

/**
 * Sets the value to @value if it is *@expected. Acts as SEQ_CST.
 *
 * @param expected	afterwards what the value was
 * @param ret_done	1 if it was as expected and is @value now, else 0
 *
 * Return, threads, context, crash: as shmc_atomic_store(). OK says nothing about ret_done.
 * Since: 0.1
 */
enum shmc_result shmc_atomic_compare_exchange(struct shmc_atomic *atomic, uint64_t *expected,
					      uint64_t value, uint32_t *ret_done);

/**
 * The same of a double: compared by its bits, so that NaN is found and -0.0 is not 0.0; INVALID for
 * any other type. Adding acts as SEQ_CST.
 *
 * Since: 0.1
 */
enum shmc_result shmc_atomic_load_double(const struct shmc_atomic *atomic, enum shmc_order order,
					 double *ret_value);
enum shmc_result shmc_atomic_store_double(struct shmc_atomic *atomic, double value,
					  enum shmc_order order);
enum shmc_result shmc_atomic_exchange_double(struct shmc_atomic *atomic, double value,
					     enum shmc_order order, double *ret_before);
enum shmc_result shmc_atomic_add_double(struct shmc_atomic *atomic, double value,
					double *ret_before);
enum shmc_result shmc_atomic_compare_exchange_double(struct shmc_atomic *atomic, double *expected,
						     double value, uint32_t *ret_done);

/**
 * Waits until the value is not @old. A change that is changed back meanwhile may be missed.
 *
 * @param old		for a double: wait_double
 * @param timeout_ns	SHMC_TRY, SHMC_FOREVER or nanoseconds
 * @param ret_value	what it is now, loaded with ACQUIRE; may be NULL
 *
 * Return: OK; EMPTY (SHMC_TRY: it still is @old); TIMEOUT; INVALID; FORKED.
 * Threads: the handle's. Context: blocks; no allocation; not signal-safe.
 * Crash: nothing stays behind.
 * Since: 0.1
 */
enum shmc_result shmc_atomic_wait(struct shmc_atomic *atomic, uint64_t old, int64_t timeout_ns,
				  uint64_t *ret_value);
enum shmc_result shmc_atomic_wait_double(struct shmc_atomic *atomic, double old, int64_t timeout_ns,
					 double *ret_value);

/**
 * Has everybody who waits look again, though nothing has changed. No call of this library needs it.
 *
 * Return: OK; INVALID (not a writer); FORKED.
 * Threads: the handle's. Context: one system call. Crash: done or not done. Since: 0.1
 */
enum shmc_result shmc_atomic_wake(struct shmc_atomic *atomic);

/**
 * A descriptor that is readable when the value may have changed: for poll, epoll, libuv. When it
 * is, or at first, call shmc_atomic_wait() with SHMC_TRY until it says EMPTY; that arms it again.
 *
 * @param ret_fd	the handle's; not to be closed, read or written
 *
 * Return: OK; NO_SPACE; BROKER_LOST; STALE; FORKED.
 * Threads: the handle's. Context: blocks up to the control timeout the first time.
 * Crash: nothing stays behind.
 * Since: 0.1
 */
enum shmc_result shmc_atomic_fd(struct shmc_atomic *atomic, int *ret_fd, struct shmc_error *error);

/**
 * What all endpoints did: changes as messages, sleeps as waits.
 *
 * Return: OK; FORKED. Threads: any. Context: does not block. Since: 0.1
 */
enum shmc_result shmc_atomic_statistics(const struct shmc_atomic *atomic,
					struct shmc_statistics *ret_statistics);

#ifdef __cplusplus
}
#endif

#endif
