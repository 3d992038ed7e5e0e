/* pool: who has how many objects, and who waits for one. See pool.h and hold.h. */
#include "protocol/pool.h"

/*
 * No more words than a piece of repair looks at, since somebody may be waiting for that. In a larger
 * pool what is found in them is told as the least there is.
 */
static uint64_t words_to_look_at(const struct shmp_pool_view *view)
{
	return view->count < SHMP_POOL_CHUNK ? view->count : SHMP_POOL_CHUNK;
}

void shmp_pool_holds(const struct shmp_segment *segment, uint32_t endpoint, shmp_hold_fn fn,
		     void *context)
{
	uint64_t incarnation = shmp_endpoint_incarnation(&segment->endpoints[endpoint]);
	uint64_t name = shmp_pool_name(endpoint, incarnation);
	uint64_t owned = 0, coming = 0, end;
	struct shmp_pool_view view;

	shmp_pool_view(segment, &view);
	end = words_to_look_at(&view);
	for (uint64_t index = 0; index < end; index++) {
		uint64_t word = shmp_pool_load(&view, index);

		if ((word & SHMP_POOL_NAME) != name)
			continue;
		owned += shmp_pool_state_of(word) == SHMP_POOL_OWNED;
		coming += shmp_pool_state_of(word) == SHMP_POOL_TRANSIT_TO;
	}
	if (owned > 0)
		fn(context, &(struct shmp_hold){ "objects", "freed", owned, end < view.count });
	if (coming > 0)
		fn(context, &(struct shmp_hold){ "objects on their way to it", "freed", coming,
						 end < view.count });
}

/* Who owns the most of them; -1 when nobody owns any. */
static int64_t find_richest(const struct shmp_segment *segment, uint64_t *ret_objects)
{
	uint64_t owned[SHMP_ENDPOINTS_MAX] = { 0 }, end;
	struct shmp_pool_view view;
	int64_t richest = -1;

	shmp_pool_view(segment, &view);
	end = words_to_look_at(&view);
	for (uint64_t index = 0; index < end; index++) {
		uint64_t word = shmp_pool_load(&view, index);
		uint32_t owner = shmp_pool_endpoint_of(word);

		if (shmp_pool_state_of(word) == SHMP_POOL_OWNED && owner < view.endpoint_count)
			owned[owner]++;
	}
	for (uint32_t i = 0; i < view.endpoint_count; i++) {
		if (owned[i] > (richest < 0 ? 0 : owned[richest]))
			richest = i;
	}
	*ret_objects = richest < 0 ? 0 : owned[richest];
	return richest;
}

void shmp_pool_waits_for(const struct shmp_segment *segment, shmp_wait_fn fn, void *context)
{
	const struct shmp_pool_control *control = segment->control;
	bool has_looked = false;
	struct shmp_wait wait = { .what = "object" };

	for (uint32_t i = 0; i < segment->plan.endpoint_count; i++) {
		if (!shmp_waiter_is_set(&control->freed, i))
			continue;
		if (!has_looked)
			wait.by = find_richest(segment, &wait.count);
		has_looked = true;
		wait.endpoint = i;
		wait.role = wait.by < 0 ? "user" : NULL;
		wait.why = wait.by < 0 ? "has all of them on their way to others" :
					 "has most of them";
		fn(context, &wait);
	}
}
