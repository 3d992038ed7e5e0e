/* atomic: every operation in both widths, several threads at once, and hostile bytes. */
#include "protocol/atomic.h"

#include <pthread.h>

#include "tests/support/runner.h"
#include "tests/support/segment.h"

enum {
	THREADS = 4,
	ROUNDS = 20000
};

static struct shmt_segment segment;

static void open_atomic(uint64_t type, struct shmp_atomic *ret_atomic)
{
	uint64_t option[SHMP_OPTIONS_MAX] = {
		[SHMP_ATOMIC_TYPE] = type, [SHMP_ATOMIC_ENDPOINTS_MAX] = 4
	};

	shmt_segment_make(&segment, "atomic", option);
	shmp_atomic_view(&segment.map, ret_atomic);
}

static uint64_t load(const struct shmp_atomic *atomic)
{
	return shmp_atomic_load(atomic, memory_order_seq_cst);
}

static void check_operations(const struct shmp_atomic *atomic, uint64_t most)
{
	static const memory_order orders[] = { memory_order_relaxed, memory_order_acquire,
					       memory_order_release, memory_order_acq_rel,
					       memory_order_seq_cst };

	for (size_t i = 0; i < sizeof(orders) / sizeof(orders[0]); i++) {
		memory_order order = orders[i];

		shmp_atomic_store(atomic, most, memory_order_relaxed);
		ck_assert_uint_eq(shmp_atomic_change(atomic, SHMP_ATOMIC_ADD, 3, order), most);
		ck_assert_uint_eq(shmp_atomic_change(atomic, SHMP_ATOMIC_SUB, 1, order), 2);
		ck_assert_uint_eq(shmp_atomic_change(atomic, SHMP_ATOMIC_OR, 6, order), 1);
		ck_assert_uint_eq(shmp_atomic_change(atomic, SHMP_ATOMIC_AND, 5, order), 7);
		ck_assert_uint_eq(shmp_atomic_change(atomic, SHMP_ATOMIC_XOR, 1, order), 5);
		ck_assert_uint_eq(shmp_atomic_change(atomic, SHMP_ATOMIC_EXCHANGE, 9, order), 4);
		ck_assert_uint_eq(load(atomic), 9);
	}
}

TEST(every_operation_works_in_both_widths)
{
	struct shmp_atomic atomic;
	uint64_t expected = 8;

	open_atomic(SHMP_TYPE_U64, &atomic);
	check_operations(&atomic, UINT64_MAX);
	ck_assert(!shmp_atomic_compare_exchange(&atomic, &expected, 1));
	ck_assert_uint_eq(expected, 9);
	ck_assert(shmp_atomic_compare_exchange(&atomic, &expected, UINT64_MAX));
	ck_assert_uint_eq(load(&atomic), UINT64_MAX);
	shmt_segment_free(&segment);
	open_atomic(SHMP_TYPE_U32, &atomic);
	check_operations(&atomic, UINT32_MAX);
	expected = 8;
	ck_assert(!shmp_atomic_compare_exchange(&atomic, &expected, 1));
	ck_assert_uint_eq(expected, 9);
	ck_assert(shmp_atomic_compare_exchange(&atomic, &expected, UINT32_MAX));
	ck_assert_uint_eq(load(&atomic), UINT32_MAX);
	shmt_segment_free(&segment);
}

TEST(a_narrow_value_leaves_the_wide_one_alone)
{
	struct shmp_atomic atomic;

	open_atomic(SHMP_TYPE_I32, &atomic);
	shmp_atomic_store(&atomic, UINT64_MAX, memory_order_seq_cst);
	ck_assert_uint_eq(atomic_load(&atomic.value->wide), 0);
	ck_assert_uint_eq(atomic.value->narrow_reserved, 0);
	shmt_segment_free(&segment);
}

struct part {
	struct shmp_atomic atomic;
	uint64_t type;
	pthread_t thread;
};

static void *work(void *context)
{
	struct part *part = context;

	for (int i = 0; i < ROUNDS; i++) {
		if (part->type == SHMP_TYPE_DOUBLE)
			shmp_atomic_add_double(&part->atomic, 0.5);
		else
			shmp_atomic_change(&part->atomic, SHMP_ATOMIC_ADD, 1, memory_order_relaxed);
		if (shmp_atomic_is_watched(&part->atomic))
			shmp_atomic_tell(&part->atomic, NULL, NULL);
	}
	return NULL;
}

TEST(threads_lose_no_addition, .timeout_s = 60)
{
	static const uint64_t types[] = { SHMP_TYPE_I32, SHMP_TYPE_U64, SHMP_TYPE_DOUBLE };
	double half = THREADS * ROUNDS / 2.0;
	uint64_t bits;

	memcpy(&bits, &half, sizeof(bits));
	for (int i = 0; i < 3; i++) {
		struct part part[THREADS];
		struct shmp_atomic atomic;

		open_atomic(types[i], &atomic);
		for (int k = 0; k < THREADS; k++) {
			part[k] = (struct part){ .atomic = atomic, .type = types[i] };
			pthread_create(&part[k].thread, NULL, work, &part[k]);
		}
		for (int k = 0; k < THREADS; k++)
			pthread_join(part[k].thread, NULL);
		ck_assert_uint_eq(load(&atomic),
				  types[i] == SHMP_TYPE_DOUBLE ? bits : THREADS * ROUNDS);
		shmt_segment_free(&segment);
	}
}

TEST(types_without_atomic_operations_are_refused)
{
	for (uint64_t type = SHMP_TYPE_BOOL; type <= SHMP_TYPE_DOUBLE; type++) {
		uint64_t option[SHMP_OPTIONS_MAX] = {
			[SHMP_ATOMIC_TYPE] = type, [SHMP_ATOMIC_ENDPOINTS_MAX] = 1
		};
		bool is_good = type == SHMP_TYPE_BOOL || type == SHMP_TYPE_I32 ||
			       type == SHMP_TYPE_I64 || type == SHMP_TYPE_U32 ||
			       type == SHMP_TYPE_U64 || type == SHMP_TYPE_DOUBLE;
		struct shmp_plan plan;
		const char *why = NULL;

		ck_assert_int_eq(shmp_atomic_kind.plan(option, &plan, &why),
				 is_good ? 0 : SHMP_ATOMIC_TYPE + 1);
	}
}

static void ignore(void *context, const char *name, uint64_t value)
{
	(void)context;
	(void)name;
	(void)value;
}

TEST(whatever_bytes_a_peer_writes_are_a_value)
{
	static const int fills[] = { 0xff, 0x00, 0x5a };
	struct shmp_atomic atomic;
	const char *why;

	for (int i = 0; i < 3; i++) {
		open_atomic(SHMP_TYPE_DOUBLE, &atomic);
		memset(segment.map.head, fills[i], segment.map.plan.ctl_bytes);
		memset(segment.map.data, fills[i], segment.map.plan.data_bytes);
		ck_assert_int_eq(shmp_atomic_kind.validate(&segment.map, &why), 0);
		shmp_atomic_kind.figures(&segment.map, ignore, NULL);
		shmp_atomic_add_double(&atomic, 1);
		if (shmp_atomic_is_watched(&atomic))
			shmp_atomic_kind.wake(&segment.map);
		shmp_waiter_sleep(&atomic.control->changed, 7, 1);
		ck_assert_int_eq(shmp_atomic_kind.repair(&segment.map, 1, true), 0);
		ck_assert(!shmp_atomic_kind.waits(&segment.map, 1));
		shmt_segment_free(&segment);
	}
}

SHMT_MAIN
