/*
 * Atomic: one named value that many processes change by single atomic operations and can wait on.
 *
 *	ctl:	where those wait who want to be told of a change (128)
 *	data:	the value (64)
 *
 * A value of 64 bits, integer or double, is `wide`; one of 32 bits and a bool are `narrow`. Every
 * operation is one access of the processor, but the addition of doubles, which is repeated while
 * others come in between. The value lies in data, so that who may only read cannot write it, and
 * the waiter in ctl, so that he may wait nevertheless.
 *
 * Whoever changed the value looks whether somebody waits: two loads of a line that nobody writes
 * while nobody waits, no fence (see waiter.h). Crash: the value is as before or as after; a writer
 * dead between the change and the telling leaves nobody asleep, since repair wakes all.
 *
 * Nothing in it bounds or leads anything: any bytes are a value.
 *
 * Edges:
 * [V] value: any operation -> any operation, publishes what the application's order says; the
 *     order is the caller's, a read-modify-write may be stronger than asked for
 *
 * Calls that may run together: all. Progress: wait-free; addition of doubles lock-free; waiting
 * blocks.
 */
#ifndef SHMP_ATOMIC_H
#define SHMP_ATOMIC_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "protocol/abi.h"
#include "protocol/endpoint.h"
#include "protocol/kinds.h"
#include "protocol/outcome.h"
#include "protocol/segment.h"
#include "protocol/type.h"
#include "protocol/waiter.h"

#define SHMP_ATOMIC_VERSION 1u

enum shmp_atomic_option {
	SHMP_ATOMIC_TYPE = 0,
	SHMP_ATOMIC_ENDPOINTS_MAX = 1,
};

enum shmp_atomic_op {
	SHMP_ATOMIC_EXCHANGE = 0,
	SHMP_ATOMIC_ADD = 1,
	SHMP_ATOMIC_SUB = 2,
	SHMP_ATOMIC_AND = 3,
	SHMP_ATOMIC_OR = 4,
	SHMP_ATOMIC_XOR = 5,
};

struct shmp_atomic_control {
	_Alignas(128) struct shmp_waiter changed;
	uint64_t reserved[8];
};
SHMP_FREEZE(shmp_atomic_control, 128);
SHMP_FIELD(shmp_atomic_control, changed, 0);
SHMP_FIELD(shmp_atomic_control, reserved, 64);

struct shmp_atomic_value {
	_Alignas(64) _Atomic uint64_t wide;
	_Atomic uint32_t narrow;
	uint32_t narrow_reserved;
	uint64_t reserved[6];
};
SHMP_FREEZE(shmp_atomic_value, 64);
SHMP_FIELD(shmp_atomic_value, wide, 0);
SHMP_FIELD(shmp_atomic_value, narrow, 8);
SHMP_FIELD(shmp_atomic_value, narrow_reserved, 12);
SHMP_FIELD(shmp_atomic_value, reserved, 16);

extern const struct shmp_kind shmp_atomic_kind;

/* Private to the process that holds the endpoint. */
struct shmp_atomic {
	struct shmp_atomic_value *value;
	struct shmp_atomic_control *control;
	const struct shmp_endpoint *endpoints;
	uint32_t endpoint_count;
	uint32_t words; /* of attention */
	bool is_narrow;
	struct shmp_waiter_memory telling;
	struct shmp_waiter_memory ringing[SHMP_ENDPOINTS_MAX];
};

void shmp_atomic_view(const struct shmp_segment *segment, struct shmp_atomic *ret_atomic);

/* Values are words: of a narrow one, the lower half. */

static inline uint64_t shmp_atomic_load_wide(const struct shmp_atomic_value *value,
					     memory_order order)
{
	if (order == memory_order_relaxed)
		/* relaxed: the caller's wish */
		return atomic_load_explicit(&value->wide, memory_order_relaxed);
	if (order == memory_order_acquire)
		/* [V] acquire; pairs with shmp_atomic_store */
		return atomic_load_explicit(&value->wide, memory_order_acquire);
	/* [V] seq_cst; pairs with shmp_atomic_store */
	return atomic_load_explicit(&value->wide, memory_order_seq_cst);
}

static inline uint32_t shmp_atomic_load_narrow(const struct shmp_atomic_value *value,
					       memory_order order)
{
	if (order == memory_order_relaxed)
		/* relaxed: the caller's wish */
		return atomic_load_explicit(&value->narrow, memory_order_relaxed);
	if (order == memory_order_acquire)
		/* [V] acquire; pairs with shmp_atomic_store */
		return atomic_load_explicit(&value->narrow, memory_order_acquire);
	/* [V] seq_cst; pairs with shmp_atomic_store */
	return atomic_load_explicit(&value->narrow, memory_order_seq_cst);
}

static inline uint64_t shmp_atomic_load(const struct shmp_atomic *atomic, memory_order order)
{
	return atomic->is_narrow ? shmp_atomic_load_narrow(atomic->value, order) :
				   shmp_atomic_load_wide(atomic->value, order);
}

static inline void shmp_atomic_store_wide(struct shmp_atomic_value *value, uint64_t word,
					  memory_order order)
{
	if (order == memory_order_relaxed)
		/* relaxed: the caller's wish */
		atomic_store_explicit(&value->wide, word, memory_order_relaxed);
	else if (order == memory_order_release)
		/* [V] release; pairs with shmp_atomic_load */
		atomic_store_explicit(&value->wide, word, memory_order_release);
	else
		/* [V] seq_cst; pairs with shmp_atomic_load */
		atomic_store_explicit(&value->wide, word, memory_order_seq_cst);
}

static inline void shmp_atomic_store_narrow(struct shmp_atomic_value *value, uint32_t word,
					    memory_order order)
{
	if (order == memory_order_relaxed)
		/* relaxed: the caller's wish */
		atomic_store_explicit(&value->narrow, word, memory_order_relaxed);
	else if (order == memory_order_release)
		/* [V] release; pairs with shmp_atomic_load */
		atomic_store_explicit(&value->narrow, word, memory_order_release);
	else
		/* [V] seq_cst; pairs with shmp_atomic_load */
		atomic_store_explicit(&value->narrow, word, memory_order_seq_cst);
}

static inline void shmp_atomic_store(const struct shmp_atomic *atomic, uint64_t word,
				     memory_order order)
{
	if (atomic->is_narrow)
		shmp_atomic_store_narrow(atomic->value, (uint32_t)word, order);
	else
		shmp_atomic_store_wide(atomic->value, word, order);
}

/* The word before. The order is a variable, which compilers may take for the strongest one. */
#define SHMP_ATOMIC_CHANGE(name_, type_, field_)                                           \
	static inline type_ name_(struct shmp_atomic_value *value, enum shmp_atomic_op op, \
				  type_ word, memory_order order)                          \
	{                                                                                  \
		switch (op) {                                                              \
		case SHMP_ATOMIC_ADD:                                                      \
			/* [V] acq_rel; pairs with shmp_atomic_load */                     \
			return atomic_fetch_add_explicit(&value->field_, word, order);     \
		case SHMP_ATOMIC_SUB:                                                      \
			/* [V] acq_rel; pairs with shmp_atomic_load */                     \
			return atomic_fetch_sub_explicit(&value->field_, word, order);     \
		case SHMP_ATOMIC_AND:                                                      \
			/* [V] acq_rel; pairs with shmp_atomic_load */                     \
			return atomic_fetch_and_explicit(&value->field_, word, order);     \
		case SHMP_ATOMIC_OR:                                                       \
			/* [V] acq_rel; pairs with shmp_atomic_load */                     \
			return atomic_fetch_or_explicit(&value->field_, word, order);      \
		case SHMP_ATOMIC_XOR:                                                      \
			/* [V] acq_rel; pairs with shmp_atomic_load */                     \
			return atomic_fetch_xor_explicit(&value->field_, word, order);     \
		default:                                                                   \
			/* [V] acq_rel; pairs with shmp_atomic_load */                     \
			return atomic_exchange_explicit(&value->field_, word, order);      \
		}                                                                          \
	}

SHMP_ATOMIC_CHANGE(shmp_atomic_change_wide, uint64_t, wide)
SHMP_ATOMIC_CHANGE(shmp_atomic_change_narrow, uint32_t, narrow)
#undef SHMP_ATOMIC_CHANGE

static inline uint64_t shmp_atomic_change(const struct shmp_atomic *atomic, enum shmp_atomic_op op,
					  uint64_t word, memory_order order)
{
	return atomic->is_narrow ?
		       shmp_atomic_change_narrow(atomic->value, op, (uint32_t)word, order) :
		       shmp_atomic_change_wide(atomic->value, op, word, order);
}

/* True when it was *@expected and is now @word; else *@expected is what it was. */
static inline bool shmp_atomic_compare_exchange(const struct shmp_atomic *atomic,
						uint64_t *expected, uint64_t word)
{
	uint32_t narrow = (uint32_t)*expected;
	bool is_done;

	if (!atomic->is_narrow)
		/* [V] seq_cst; pairs with shmp_atomic_load */
		return atomic_compare_exchange_strong_explicit(&atomic->value->wide, expected, word,
							       memory_order_seq_cst,
							       memory_order_seq_cst);
	/* [V] seq_cst; pairs with shmp_atomic_load */
	is_done = atomic_compare_exchange_strong_explicit(&atomic->value->narrow, &narrow,
							  (uint32_t)word, memory_order_seq_cst,
							  memory_order_seq_cst);
	*expected = narrow;
	return is_done;
}

/* Of doubles; the sum's predecessor. */
double shmp_atomic_add_double(const struct shmp_atomic *atomic, double more);

/* After a change: whether somebody wants to know. */
static inline bool shmp_atomic_is_watched(const struct shmp_atomic *atomic)
{
	return shmp_waiter_wanted(&atomic->control->changed, atomic->words);
}

/* ... and telling all of them. */
SHMP_COLD void shmp_atomic_tell(struct shmp_atomic *atomic, shmp_ring_fn ring, void *ringer);

#endif
