/*
 * Handles of atomics. The operations are protocol/atomic.h's; here are types, orders and waiting.
 */
#include "shmclient/atomic.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

#include "libclient/bell.h"
#include "libclient/error.h"
#include "libclient/move.h"
#include "libclient/object.h"
#include "libclient/wait.h"
#include "protocol/atomic.h"

struct shmc_atomic {
	const uint32_t *read_gate;
	const uint32_t *write_gate;
	enum shmc_type type;
	struct shmp_atomic view;
	struct shmc__object object;
};

/* Opening and closing. */

enum shmc_result shmc_atomic_create(struct shmc_client *client, const char *name,
				    const struct shmc_atomic_options *options,
				    struct shmc_error *error)
{
	static const struct shmc_atomic_options none;
	uint64_t option[SHMP_OPTIONS_MAX] = { 0 };

	if (!options)
		options = &none;
	option[SHMP_ATOMIC_TYPE] = options->type;
	option[SHMP_ATOMIC_ENDPOINTS_MAX] = options->endpoints_max;
	return shmc__object_create_as(client, name, &shmp_atomic_kind, option, options->mode,
				      options->reuse != 0, options->common, error);
}

static const char *value_type_name(enum shmc_type type)
{
	switch (type) {
	case SHMC_TYPE_BOOL:
		return "bool";
	case SHMC_TYPE_I32:
		return "i32";
	case SHMC_TYPE_I64:
		return "i64";
	case SHMC_TYPE_U32:
		return "u32";
	case SHMC_TYPE_U64:
		return "u64";
	case SHMC_TYPE_DOUBLE:
		return "double";
	default:
		return "of no type that an atomic can have";
	}
}

static enum shmc_result value_attach(struct shmc_atomic *atomic, const char *name,
				     enum shmc_atomic_role role, enum shmc_type type,
				     struct shmc_error *error)
{
	const struct shmp_segment *segment = &atomic->object.mapping->segment;

	atomic->type = (enum shmc_type)segment->plan.option[SHMP_ATOMIC_TYPE];
	if (type != SHMC_TYPE_BYTES && type != atomic->type) {
		shmc__object_close(&atomic->object);
		return shmc__error(error, SHMC_MISMATCH, "%s is %s, not %s", name,
				   value_type_name(atomic->type), value_type_name(type));
	}
	shmp_atomic_view(segment, &atomic->view);
	atomic->read_gate = atomic->object.alive;
	atomic->write_gate = role == SHMC_ATOMIC_WRITER ? atomic->object.alive : &shmc__gate_closed;
	return SHMC_OK;
}

enum shmc_result shmc_atomic_open(struct shmc_client *client, const char *name,
				  enum shmc_atomic_role role, enum shmc_type type,
				  struct shmc_atomic **ret_atomic, struct shmc_error *error)
{
	static const char *const names[] = {
		[SHMC_ATOMIC_WRITER] = "writer",
		[SHMC_ATOMIC_READER] = "reader",
		[SHMC_ATOMIC_OBSERVER] = "observer",
	};
	struct shmc_atomic *atomic;
	enum shmc_result result;

	if ((unsigned int)role > SHMC_ATOMIC_OBSERVER)
		return shmc__error(error, SHMC_INVALID,
				   "role: neither writer nor reader nor observer");
	atomic = calloc(1, sizeof(*atomic));
	if (!atomic)
		return shmc__error_from_errno(error, "open the atomic", ENOMEM);
	result = shmc__object_open(&atomic->object, client, name, &shmp_atomic_kind, names[role],
				   error);
	if (result == SHMC_OK)
		result = value_attach(atomic, name, role, type, error);
	if (result != SHMC_OK) {
		free(atomic);
		return result;
	}
	*ret_atomic = atomic;
	return SHMC_OK;
}

struct shmc_atomic *shmc_atomic_close(struct shmc_atomic *atomic)
{
	if (atomic) {
		shmc__object_close(&atomic->object);
		free(atomic);
	}
	return NULL;
}

enum shmc_type shmc_atomic_type(const struct shmc_atomic *atomic)
{
	return shmc__object_is_forked(&atomic->object) ? SHMC_TYPE_BYTES : atomic->type;
}

/* Words and types. */

/* What is in memory, as the caller sees it. */
static inline uint64_t value_from_word(const struct shmc_atomic *atomic, uint64_t word)
{
	if (atomic->type == SHMC_TYPE_I32)
		return (uint64_t)(int64_t)(int32_t)(uint32_t)word;
	/* a peer may have written anything */
	return atomic->type == SHMC_TYPE_BOOL ? word != 0 : word;
}

/* Whether the type can hold it. */
static inline bool value_holds(const struct shmc_atomic *atomic, uint64_t value)
{
	switch (atomic->type) {
	case SHMC_TYPE_BOOL:
		return value <= 1;
	case SHMC_TYPE_I32:
		return (int64_t)value >= INT32_MIN && (int64_t)value <= INT32_MAX;
	case SHMC_TYPE_U32:
		return value <= UINT32_MAX;
	case SHMC_TYPE_DOUBLE:
		return false; /* has calls of its own */
	default:
		return true;
	}
}

static inline bool value_order(enum shmc_order order, memory_order *ret_order)
{
	static const memory_order orders[] = {
		[SHMC_ORDER_RELAXED] = memory_order_relaxed,
		[SHMC_ORDER_ACQUIRE] = memory_order_acquire,
		[SHMC_ORDER_RELEASE] = memory_order_release,
		[SHMC_ORDER_ACQ_REL] = memory_order_acq_rel,
		[SHMC_ORDER_SEQ_CST] = memory_order_seq_cst,
	};

	if ((unsigned int)order > SHMC_ORDER_SEQ_CST)
		return false;
	*ret_order = orders[order];
	return true;
}

static uint64_t value_bits(double value)
{
	uint64_t bits;

	memcpy(&bits, &value, sizeof(bits));
	return bits;
}

static double value_number(uint64_t bits)
{
	double value;

	memcpy(&value, &bits, sizeof(value));
	return value;
}

static SHMP_COLD enum shmc_result value_tell(struct shmc_atomic *atomic)
{
	shmp_atomic_tell(&atomic->view, shmc__bell_ring, &atomic->object);
	return SHMC_OK;
}

/* After a change. */
static inline enum shmc_result value_changed(struct shmc_atomic *atomic)
{
	if (SHMP_UNLIKELY(shmp_atomic_is_watched(&atomic->view)))
		value_tell(atomic);
	shmp_endpoint_count(&shmc__object_self(&atomic->object)->items, 1);
	return SHMC_OK;
}

/* Words, whatever the type: the public calls have checked that. */

static enum shmc_result value_load(const struct shmc_atomic *atomic, enum shmc_order order,
				   uint64_t *ret_word)
{
	memory_order how;

	if (!shmc__gate_is_open(atomic->read_gate) || !value_order(order, &how) ||
	    order == SHMC_ORDER_RELEASE || order == SHMC_ORDER_ACQ_REL)
		return shmc__move_refuse(&atomic->object);
	*ret_word = shmp_atomic_load(&atomic->view, how);
	return SHMC_OK;
}

static enum shmc_result value_store(struct shmc_atomic *atomic, uint64_t word,
				    enum shmc_order order)
{
	memory_order how;

	if (!shmc__gate_is_open(atomic->write_gate) || !value_order(order, &how) ||
	    order == SHMC_ORDER_ACQUIRE || order == SHMC_ORDER_ACQ_REL)
		return shmc__move_refuse(&atomic->object);
	shmp_atomic_store(&atomic->view, word, how);
	return value_changed(atomic);
}

static enum shmc_result value_change(struct shmc_atomic *atomic, enum shmp_atomic_op op,
				     uint64_t word, enum shmc_order order, uint64_t *ret_before)
{
	uint64_t before = 0;
	memory_order how;

	if (!shmc__gate_is_open(atomic->write_gate) || !value_order(order, &how))
		return shmc__move_refuse(&atomic->object);
	before = shmp_atomic_change(&atomic->view, op, word, how);
	if (ret_before)
		*ret_before = value_from_word(atomic, before);
	return value_changed(atomic);
}

static enum shmc_result value_compare_exchange(struct shmc_atomic *atomic, uint64_t *expected,
					       uint64_t word, uint32_t *ret_done)
{
	bool is_done;

	if (!shmc__gate_is_open(atomic->write_gate))
		return shmc__move_refuse(&atomic->object);
	is_done = shmp_atomic_compare_exchange(&atomic->view, expected, word);
	*ret_done = is_done;
	return is_done ? value_changed(atomic) : SHMC_OK;
}

/* Integers and bools. */

SHMC__HOT enum shmc_result shmc_atomic_load(const struct shmc_atomic *atomic, enum shmc_order order,
					    uint64_t *ret_value)
{
	uint64_t word = 0;
	enum shmc_result result;

	if (atomic->type == SHMC_TYPE_DOUBLE)
		return shmc__move_refuse(&atomic->object);
	result = value_load(atomic, order, &word);
	if (result == SHMC_OK)
		*ret_value = value_from_word(atomic, word);
	return result;
}

SHMC__HOT enum shmc_result shmc_atomic_store(struct shmc_atomic *atomic, uint64_t value,
					     enum shmc_order order)
{
	if (!value_holds(atomic, value))
		return shmc__move_refuse(&atomic->object);
	return value_store(atomic, value, order);
}

SHMC__HOT enum shmc_result shmc_atomic_exchange(struct shmc_atomic *atomic, uint64_t value,
						enum shmc_order order, uint64_t *ret_before)
{
	if (!value_holds(atomic, value))
		return shmc__move_refuse(&atomic->object);
	return value_change(atomic, SHMP_ATOMIC_EXCHANGE, value, order, ret_before);
}

/* Sums wrap around, so that any difference may be added: of 32 bits, its lower half counts. */
static inline bool value_adds(const struct shmc_atomic *atomic, uint64_t value)
{
	if (atomic->type == SHMC_TYPE_BOOL || atomic->type == SHMC_TYPE_DOUBLE)
		return false;
	return !atomic->view.is_narrow ||
	       ((int64_t)value >= INT32_MIN && (int64_t)value <= (int64_t)UINT32_MAX);
}

SHMC__HOT enum shmc_result shmc_atomic_add(struct shmc_atomic *atomic, uint64_t value,
					   enum shmc_order order, uint64_t *ret_before)
{
	if (!value_adds(atomic, value))
		return shmc__move_refuse(&atomic->object);
	return value_change(atomic, SHMP_ATOMIC_ADD, value, order, ret_before);
}

SHMC__HOT enum shmc_result shmc_atomic_subtract(struct shmc_atomic *atomic, uint64_t value,
						enum shmc_order order, uint64_t *ret_before)
{
	if (!value_adds(atomic, value))
		return shmc__move_refuse(&atomic->object);
	return value_change(atomic, SHMP_ATOMIC_SUB, value, order, ret_before);
}

static inline enum shmc_result value_combine(struct shmc_atomic *atomic, enum shmp_atomic_op op,
					     uint64_t value, enum shmc_order order,
					     uint64_t *ret_before)
{
	if (!value_holds(atomic, value))
		return shmc__move_refuse(&atomic->object);
	return value_change(atomic, op, value, order, ret_before);
}

enum shmc_result shmc_atomic_and(struct shmc_atomic *atomic, uint64_t value, enum shmc_order order,
				 uint64_t *ret_before)
{
	return value_combine(atomic, SHMP_ATOMIC_AND, value, order, ret_before);
}

enum shmc_result shmc_atomic_or(struct shmc_atomic *atomic, uint64_t value, enum shmc_order order,
				uint64_t *ret_before)
{
	return value_combine(atomic, SHMP_ATOMIC_OR, value, order, ret_before);
}

enum shmc_result shmc_atomic_xor(struct shmc_atomic *atomic, uint64_t value, enum shmc_order order,
				 uint64_t *ret_before)
{
	return value_combine(atomic, SHMP_ATOMIC_XOR, value, order, ret_before);
}

SHMC__HOT enum shmc_result shmc_atomic_compare_exchange(struct shmc_atomic *atomic,
							uint64_t *expected, uint64_t value,
							uint32_t *ret_done)
{
	enum shmc_result result;

	if (!value_holds(atomic, value) || !value_holds(atomic, *expected))
		return shmc__move_refuse(&atomic->object);
	result = value_compare_exchange(atomic, expected, value, ret_done);
	if (result == SHMC_OK)
		*expected = value_from_word(atomic, *expected);
	return result;
}

/* Doubles. */

enum shmc_result shmc_atomic_load_double(const struct shmc_atomic *atomic, enum shmc_order order,
					 double *ret_value)
{
	uint64_t word = 0;
	enum shmc_result result;

	if (atomic->type != SHMC_TYPE_DOUBLE)
		return shmc__move_refuse(&atomic->object);
	result = value_load(atomic, order, &word);
	if (result == SHMC_OK)
		*ret_value = value_number(word);
	return result;
}

enum shmc_result shmc_atomic_store_double(struct shmc_atomic *atomic, double value,
					  enum shmc_order order)
{
	if (atomic->type != SHMC_TYPE_DOUBLE)
		return shmc__move_refuse(&atomic->object);
	return value_store(atomic, value_bits(value), order);
}

enum shmc_result shmc_atomic_exchange_double(struct shmc_atomic *atomic, double value,
					     enum shmc_order order, double *ret_before)
{
	uint64_t before = 0;
	enum shmc_result result;

	if (atomic->type != SHMC_TYPE_DOUBLE)
		return shmc__move_refuse(&atomic->object);
	result = value_change(atomic, SHMP_ATOMIC_EXCHANGE, value_bits(value), order, &before);
	if (result == SHMC_OK && ret_before)
		*ret_before = value_number(before);
	return result;
}

enum shmc_result shmc_atomic_add_double(struct shmc_atomic *atomic, double value,
					double *ret_before)
{
	double before;

	if (atomic->type != SHMC_TYPE_DOUBLE || !shmc__gate_is_open(atomic->write_gate))
		return shmc__move_refuse(&atomic->object);
	before = shmp_atomic_add_double(&atomic->view, value);
	if (ret_before)
		*ret_before = before;
	return value_changed(atomic);
}

enum shmc_result shmc_atomic_compare_exchange_double(struct shmc_atomic *atomic, double *expected,
						     double value, uint32_t *ret_done)
{
	uint64_t bits = value_bits(*expected);
	enum shmc_result result;

	if (atomic->type != SHMC_TYPE_DOUBLE)
		return shmc__move_refuse(&atomic->object);
	result = value_compare_exchange(atomic, &bits, value_bits(value), ret_done);
	if (result == SHMC_OK)
		*expected = value_number(bits);
	return result;
}

/* Waiting. */

struct value_look {
	struct shmc_atomic *atomic;
	uint64_t old;
	uint64_t now;
};

static int value_move_look(void *context)
{
	struct value_look *look = context;
	uint64_t word = shmp_atomic_load(&look->atomic->view, memory_order_acquire);

	look->now = value_from_word(look->atomic, word);
	return look->now != look->old ? SHMP_DONE : SHMP_EMPTY;
}

static enum shmc_result value_wait(struct shmc_atomic *atomic, struct value_look *look,
				   int64_t timeout_ns)
{
	int r;

	if (!shmc__gate_is_open(atomic->read_gate) || shmc__object_observes(&atomic->object))
		return shmc__move_refuse(&atomic->object);
	r = shmc__move_receive(&atomic->object, &atomic->view.control->changed, timeout_ns,
			       value_move_look, look);
	return r == SHMP_DONE ? SHMC_OK : shmc__move_answer(&atomic->object, r);
}

enum shmc_result shmc_atomic_wait(struct shmc_atomic *atomic, uint64_t old, int64_t timeout_ns,
				  uint64_t *ret_value)
{
	struct value_look look = { .atomic = atomic, .old = old };
	enum shmc_result result;

	if (atomic->type == SHMC_TYPE_DOUBLE)
		return shmc__move_refuse(&atomic->object);
	result = value_wait(atomic, &look, timeout_ns);
	if (result == SHMC_OK && ret_value)
		*ret_value = look.now;
	return result;
}

enum shmc_result shmc_atomic_wait_double(struct shmc_atomic *atomic, double old, int64_t timeout_ns,
					 double *ret_value)
{
	struct value_look look = { .atomic = atomic, .old = value_bits(old) };
	enum shmc_result result;

	if (atomic->type != SHMC_TYPE_DOUBLE)
		return shmc__move_refuse(&atomic->object);
	result = value_wait(atomic, &look, timeout_ns);
	if (result == SHMC_OK && ret_value)
		*ret_value = value_number(look.now);
	return result;
}

enum shmc_result shmc_atomic_wake(struct shmc_atomic *atomic)
{
	if (!shmc__gate_is_open(atomic->write_gate))
		return shmc__move_refuse(&atomic->object);
	shmp_waiter_wake_all(&atomic->view.control->changed);
	return SHMC_OK;
}

enum shmc_result shmc_atomic_fd(struct shmc_atomic *atomic, int *ret_fd, struct shmc_error *error)
{
	enum shmc_result result;

	if (shmc__object_is_forked(&atomic->object))
		return shmc__error(error, SHMC_FORKED, "this atomic is the parent process's");
	if (shmc__object_observes(&atomic->object))
		return shmc__error(error, SHMC_INVALID, "an observer has no descriptor");
	result = shmc__bell_open(&atomic->object, error);
	if (result == SHMC_OK)
		*ret_fd = atomic->object.bell.poll.fd;
	return result;
}

enum shmc_result shmc_atomic_statistics(const struct shmc_atomic *atomic,
					struct shmc_statistics *ret_statistics)
{
	if (shmc__object_is_forked(&atomic->object))
		return SHMC_FORKED;
	shmc__object_statistics_of_all(&atomic->object, ret_statistics);
	return SHMC_OK;
}
