#include "protocol/endpoint.h"

#include "protocol/kinds.h"
#include "protocol/spsc.h"
#include "tests/support/runner.h"

TEST(a_state_word_holds_incarnation_and_state)
{
	struct shmp_endpoint endpoint = { 0 };
	uint64_t most = UINT64_MAX >> 8;

	ck_assert_int_eq(shmp_endpoint_look(&endpoint), SHMP_ENDPOINT_FREE);
	ck_assert_uint_eq(shmp_endpoint_incarnation(&endpoint), 0);
	for (int state = SHMP_ENDPOINT_FREE; state <= SHMP_ENDPOINT_DEAD; state++) {
		shmp_endpoint_set_state(&endpoint, most, (enum shmp_endpoint_state)state);
		ck_assert_int_eq(shmp_endpoint_look(&endpoint), state);
		ck_assert_uint_eq(shmp_endpoint_incarnation(&endpoint), most);
	}
}

TEST(only_free_left_and_dead_places_are_open)
{
	ck_assert(shmp_endpoint_is_open(SHMP_ENDPOINT_FREE));
	ck_assert(shmp_endpoint_is_open(SHMP_ENDPOINT_LEFT));
	ck_assert(shmp_endpoint_is_open(SHMP_ENDPOINT_DEAD));
	ck_assert(!shmp_endpoint_is_open(SHMP_ENDPOINT_ACTIVE));
	ck_assert(!shmp_endpoint_is_open(SHMP_ENDPOINT_DYING));
	ck_assert(!shmp_endpoint_is_open((enum shmp_endpoint_state)77));
}

TEST(owner_and_broker_do_not_share_a_line)
{
	ck_assert_uint_eq(sizeof(struct shmp_endpoint), 128);
	ck_assert_uint_eq(offsetof(struct shmp_endpoint, state) % SHMP_LINE, 0);
	ck_assert_uint_lt(offsetof(struct shmp_endpoint, owner_reserved), SHMP_LINE);
}

/* The kinds' table */

TEST(kinds_are_found_by_name_and_sorted_by_id)
{
	ck_assert_ptr_eq(shmp_kind_find("spsc"), &shmp_spsc_kind);
	ck_assert_ptr_null(shmp_kind_find("spsd"));
	ck_assert_ptr_null(shmp_kind_find(""));
	for (size_t i = 1; i < shmp_kind_count; i++)
		ck_assert_uint_lt(shmp_kinds[i - 1]->id, shmp_kinds[i]->id);
}

TEST(every_kind_can_do_everything)
{
	for (size_t i = 0; i < shmp_kind_count; i++) {
		const struct shmp_kind *kind = shmp_kinds[i];

		ck_assert(kind->plan && kind->init && kind->validate && kind->attach &&
			  kind->repair && kind->wake && kind->require_fence && kind->figures);
		ck_assert_uint_gt(kind->id, 0);
		ck_assert_uint_gt(kind->version, 0);
		ck_assert_uint_le(kind->option_count, SHMP_OPTIONS_MAX);
	}
}

TEST(presets_are_within_their_range_and_make_a_plan)
{
	for (size_t i = 0; i < shmp_kind_count; i++) {
		const struct shmp_kind *kind = shmp_kinds[i];
		uint64_t option[SHMP_OPTIONS_MAX] = { 0 };
		struct shmp_plan plan;
		const char *why;

		for (size_t j = 0; j < kind->option_count; j++) {
			const struct shmp_option *one = &kind->options[j];

			ck_assert(one->min <= one->preset && one->preset <= one->max);
			ck_assert_int_eq(shmp_kind_option(kind, one->name), (int)j);
			option[j] = one->preset;
		}
		ck_assert_int_eq(kind->plan(option, &plan, &why), 0);
		ck_assert_uint_le(plan.endpoint_count, SHMP_ENDPOINTS_MAX);
	}
}

TEST(roles_are_found_by_name)
{
	const struct shmp_role *producer = shmp_kind_role(&shmp_spsc_kind, "producer");
	const struct shmp_role *consumer = shmp_kind_role(&shmp_spsc_kind, "consumer");

	ck_assert_uint_eq(producer->first, SHMP_SPSC_PRODUCER);
	ck_assert_uint_eq(consumer->first, SHMP_SPSC_CONSUMER);
	ck_assert(producer->writes && !consumer->writes);
	ck_assert_int_eq(consumer->data, SHMP_ACCESS_READ);
	ck_assert_ptr_null(shmp_kind_role(&shmp_spsc_kind, "writer"));
	ck_assert_int_eq(shmp_kind_option(&shmp_spsc_kind, "capacity"), -1);
}

SHMT_MAIN
