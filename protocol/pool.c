/* pool: searching, handing over, and the broker's side. See pool.h. */
#include "protocol/pool.h"

#define OBJECT_BYTES_MAX (UINT64_C(1) << 36)
#define DATA_BYTES_MAX	 (UINT64_C(1) << 40)
#define NONE		 UINT64_MAX
#define SCANS		 4 /* of all words, while others release */
#define LOOKS		 4 /* at an object that changes hands */

static uint64_t bitmap_words(uint64_t count)
{
	return (count + 63) / 64;
}

static uint64_t summary_words(uint64_t count)
{
	return (bitmap_words(count) + 63) / 64;
}

void shmp_pool_view(const struct shmp_segment *segment, struct shmp_pool_view *ret_view)
{
	const uint64_t *option = segment->plan.option;
	struct shmp_pool_control *control = segment->control;
	uint64_t count = option[SHMP_POOL_OBJECTS];
	_Atomic uint64_t *summary = (_Atomic uint64_t *)(void *)(control + 1);
	_Atomic uint64_t *bitmap = summary + summary_words(count);

	*ret_view = (struct shmp_pool_view){
		.data = segment->data,
		.stride = shmp_round_up(option[SHMP_POOL_OBJECT_BYTES], SHMP_LINE),
		.count = count,
		.summary = summary,
		.bitmap = bitmap,
		.words = bitmap + bitmap_words(count),
		.control = control,
		.endpoints = segment->endpoints,
		.endpoint_count = segment->plan.endpoint_count,
	};
}

static uint64_t state_word(const struct shmp_pool_view *view, uint32_t endpoint)
{
	/* [endpoint.S] acquire; pairs with shmp_endpoint_set_state */
	return atomic_load_explicit(&view->endpoints[endpoint].state, memory_order_acquire);
}

static uint64_t load_door(const struct shmp_pool_view *view, uint32_t endpoint)
{
	/* [O] acquire; pairs with set_door */
	return atomic_load_explicit(&view->endpoints[endpoint].intent[SHMP_POOL_DOOR],
				    memory_order_acquire);
}

static void set_door(struct shmp_endpoint *endpoint, uint64_t name)
{
	/* [O] release; pairs with load_door */
	atomic_store_explicit(&endpoint->intent[SHMP_POOL_DOOR], name, memory_order_release);
}

int shmp_pool_attach(const struct shmp_segment *segment, uint32_t endpoint,
		     struct shmp_pool *ret_pool)
{
	struct shmp_pool_view view;
	uint64_t incarnation;
	const char *why;

	if (shmp_pool_kind.validate(segment, &why) < 0)
		return -EBADMSG;
	shmp_pool_view(segment, &view);
	incarnation = shmp_endpoint_incarnation(&view.endpoints[endpoint]);
	*ret_pool = (struct shmp_pool){
		.view = view,
		.self = &view.endpoints[endpoint],
		.owned = shmp_pool_name(endpoint, incarnation) | SHMP_POOL_OWNED,
		/* apart from the others, who would take from the same lines */
		.last = view.count * endpoint / view.endpoint_count,
		.home = summary_words(view.count) * endpoint / view.endpoint_count,
		.endpoint = endpoint,
		.attention = shmp_waiter_words(view.endpoint_count),
	};
	set_door(ret_pool->self, ret_pool->owned);
	return 0;
}

/* The hint */

static uint64_t load_bits(const _Atomic uint64_t *bits)
{
	/* [B] seq_cst; pairs with raise */
	return atomic_load_explicit(bits, memory_order_seq_cst);
}

static void raise(_Atomic uint64_t *bits, uint64_t bit)
{
	/* [B] seq_cst; pairs with load_bits */
	atomic_fetch_or_explicit(bits, UINT64_C(1) << bit, memory_order_seq_cst);
}

static void lower(_Atomic uint64_t *bits, uint64_t bit)
{
	/* [B] seq_cst; pairs with shmp_pool_hint_again */
	atomic_fetch_and_explicit(bits, ~(UINT64_C(1) << bit), memory_order_seq_cst);
}

static void raise_summary(const struct shmp_pool_view *view, uint64_t word)
{
	if ((load_bits(&view->summary[word / 64]) >> word % 64 & 1) == 0)
		raise(&view->summary[word / 64], word % 64);
}

void shmp_pool_hint(const struct shmp_pool_view *view, uint64_t index)
{
	raise(&view->bitmap[index / 64], index % 64);
	raise_summary(view, index / 64);
}

static bool is_free(const struct shmp_pool_view *view, uint64_t index)
{
	/* [B] seq_cst; pairs with shmp_pool_move: behind the bit that was cleared */
	return shmp_pool_state_of(atomic_load_explicit(&view->words[index],
						       memory_order_seq_cst)) == SHMP_POOL_FREE;
}

/* The bit was wrong when it was looked at; it may have become right since. */
static void shmp_pool_forget(const struct shmp_pool_view *view, uint64_t index)
{
	lower(&view->bitmap[index / 64], index % 64);
	if (is_free(view, index))
		shmp_pool_hint(view, index);
}

/* The same for a word of the bitmap without a bit. */
static void forget_word(const struct shmp_pool_view *view, uint64_t word)
{
	lower(&view->summary[word / 64], word % 64);
	if (load_bits(&view->bitmap[word]) != 0)
		raise_summary(view, word);
}

/* Searching */

static bool search_bitmap(struct shmp_pool *pool, uint64_t word, uint64_t *ret_handle)
{
	const struct shmp_pool_view *view = &pool->view;
	uint64_t bits = load_bits(&view->bitmap[word]);

	if (bits == 0)
		forget_word(view, word);
	for (; bits != 0; bits &= bits - 1) {
		uint64_t index = word * 64 + (uint64_t)__builtin_ctzll(bits);

		if (index >= view->count)
			return false;
		if (shmp_pool_take(pool, index, ret_handle)) {
			/* it is this one's, so nobody makes it free before it is released */
			lower(&view->bitmap[word], index % 64);
			return true;
		}
		shmp_pool_forget(view, index);
	}
	return false;
}

static bool search_hint(struct shmp_pool *pool, uint64_t *ret_handle)
{
	uint64_t words = summary_words(pool->view.count);

	for (uint64_t i = 0; i < words; i++) {
		uint64_t at = pool->home + i < words ? pool->home + i : pool->home + i - words;
		uint64_t bits = load_bits(&pool->view.summary[at]);

		for (; bits != 0; bits &= bits - 1) {
			uint64_t word = at * 64 + (uint64_t)__builtin_ctzll(bits);

			if (word >= bitmap_words(pool->view.count))
				break;
			if (search_bitmap(pool, word, ret_handle)) {
				pool->home = at;
				return true;
			}
		}
	}
	return false;
}

/* Who died or stopped left these without their bits. */
static void hint_neighbours(const struct shmp_pool_view *view, uint64_t index)
{
	uint64_t end = (index | 63) + 1 < view->count ? (index | 63) + 1 : view->count;

	raise_summary(view, index / 64);
	for (index++; index < end; index++)
		if (is_free(view, index))
			shmp_pool_hint_again(view, index);
}

static bool search_words(struct shmp_pool *pool, uint64_t *ret_handle)
{
	for (uint64_t index = 0; index < pool->view.count; index++) {
		if (!shmp_pool_take(pool, index, ret_handle))
			continue;
		hint_neighbours(&pool->view, index);
		return true;
	}
	return false;
}

/* Grows whenever something became free. */
static uint64_t count_releases(const struct shmp_pool_view *view)
{
	/* [C] acquire; pairs with pool_repair */
	uint64_t sum = atomic_load_explicit(&view->control->repaired, memory_order_acquire);

	for (uint32_t i = 0; i < view->endpoint_count; i++)
		/* [C] acquire; pairs with shmp_pool_count_release */
		sum += atomic_load_explicit(&view->endpoints[i].cursor, memory_order_acquire);
	return sum;
}

int shmp_pool_search(struct shmp_pool *pool, uint64_t *ret_handle)
{
	uint64_t before;

	if (search_hint(pool, ret_handle))
		return SHMP_DONE;
	for (int i = 0; i < SCANS; i++) {
		before = count_releases(&pool->view);
		if (search_words(pool, ret_handle))
			return SHMP_DONE;
		/* the words come before the second count */
		atomic_thread_fence(memory_order_acquire); /* [C] fence; pairs with pool_repair */
		if (count_releases(&pool->view) == before)
			break;
	}
	return SHMP_EMPTY;
}

int shmp_pool_refuse(const struct shmp_pool_view *view, uint64_t handle)
{
	uint64_t index = shmp_pool_index(handle);
	uint64_t word;

	if (index >= view->count)
		return -EINVAL;
	word = shmp_pool_load(view, index);
	if (shmp_pool_generation(word) != shmp_pool_generation(handle))
		return SHMP_POOL_STALE;
	/* nobody was given the handle of this generation yet */
	return shmp_pool_state_of(word) == SHMP_POOL_FREE ? -EINVAL : SHMP_POOL_DENIED;
}

/* Handing over */

/* Whether he whom @word names holds his place, by @state, its word. */
static bool holds_place(uint64_t word, uint64_t state)
{
	uint64_t name = shmp_pool_name(shmp_pool_endpoint_of(word),
				       shmp_endpoint_incarnation_of(state));

	return (word & SHMP_POOL_NAME) == name &&
	       !shmp_endpoint_is_open(shmp_endpoint_state_of(state));
}

static int why_gone(const struct shmp_pool_view *view, uint32_t endpoint)
{
	enum shmp_endpoint_state state = shmp_endpoint_look(&view->endpoints[endpoint]);

	return state == SHMP_ENDPOINT_DYING || state == SHMP_ENDPOINT_DEAD ? SHMP_PEER_DEAD :
									     SHMP_PEER_LEFT;
}

static int transfer_to(struct shmp_pool *pool, uint64_t index, uint64_t from, uint32_t to)
{
	const struct shmp_pool_view *view = &pool->view;
	uint64_t door = load_door(view, to);
	uint64_t word = shmp_pool_generation(from) | (door & SHMP_POOL_NAME) | SHMP_POOL_TRANSIT_TO;

	/* a peer wrote it */
	if (door == 0 || shmp_pool_endpoint_of(door) != to)
		return why_gone(view, to);
	if (!shmp_pool_move(view, index, from, word))
		return SHMP_POOL_DENIED;
	/* the word comes before the second look */
	atomic_thread_fence(memory_order_seq_cst); /* [O] fence; pairs with pool_repair */
	if (load_door(view, to) == door)
		return SHMP_DONE;
	/* unless he claimed it, or his repair has seen it */
	return shmp_pool_move(view, index, word, from) ? why_gone(view, to) : SHMP_DONE;
}

int shmp_pool_transfer(struct shmp_pool *pool, uint64_t handle, uint32_t to)
{
	uint64_t index, from = shmp_pool_generation(handle) | pool->owned;

	if (!shmp_pool_is_own(pool, handle, &index))
		return shmp_pool_refuse(&pool->view, handle);
	if (to != SHMP_POOL_ANYONE && to >= pool->view.endpoint_count)
		return -EINVAL;
	if (to != SHMP_POOL_ANYONE)
		return transfer_to(pool, index, from, to);
	return shmp_pool_move(&pool->view, index, from, from | SHMP_POOL_TRANSIT_ANY) ?
		       SHMP_DONE :
		       SHMP_POOL_DENIED;
}

int shmp_pool_claim(struct shmp_pool *pool, uint64_t handle)
{
	uint64_t index = shmp_pool_index(handle), word;
	bool is_to_me;

	if (index >= pool->view.count)
		return -EINVAL;
	word = shmp_pool_load(&pool->view, index);
	is_to_me = shmp_pool_state_of(word) == SHMP_POOL_TRANSIT_ANY ||
		   (shmp_pool_state_of(word) == SHMP_POOL_TRANSIT_TO &&
		    (word & SHMP_POOL_NAME) == (pool->owned & SHMP_POOL_NAME));
	if (!is_to_me || shmp_pool_generation(word) != shmp_pool_generation(handle) ||
	    !shmp_pool_move(&pool->view, index, word, shmp_pool_generation(word) | pool->owned))
		return shmp_pool_refuse(&pool->view, handle);
	return SHMP_DONE;
}

int shmp_pool_adopt(struct shmp_pool *pool, uint64_t handle)
{
	uint64_t index = shmp_pool_index(handle), word;

	if (index >= pool->view.count)
		return -EINVAL;
	word = shmp_pool_load(&pool->view, index);
	if (shmp_pool_state_of(word) != SHMP_POOL_FREE)
		return SHMP_POOL_DENIED;
	if (shmp_pool_generation(word) > shmp_pool_generation(handle))
		return SHMP_POOL_STALE;
	if (!shmp_pool_move(&pool->view, index, word, shmp_pool_generation(handle) | pool->owned))
		return SHMP_POOL_DENIED;
	shmp_endpoint_count(&pool->self->items, 1);
	return SHMP_DONE;
}

/* Makes it free, if it still is what was looked at. */
static bool give_back(const struct shmp_pool_view *view, uint64_t index, uint64_t word)
{
	if (!shmp_pool_move(view, index, word, shmp_pool_freed(word)))
		return false;
	shmp_pool_hint_again(view, index);
	return true;
}

static bool is_in_transit(uint64_t word)
{
	return shmp_pool_state_of(word) >= SHMP_POOL_TRANSIT_TO;
}

int shmp_pool_reclaim(struct shmp_pool *pool, uint64_t handle)
{
	uint64_t index = shmp_pool_index(handle), word;

	if (index >= pool->view.count)
		return -EINVAL;
	word = shmp_pool_load(&pool->view, index);
	if (!is_in_transit(word) || shmp_pool_generation(word) != shmp_pool_generation(handle) ||
	    !give_back(&pool->view, index, word))
		return shmp_pool_refuse(&pool->view, handle);
	shmp_pool_count_release(pool);
	return SHMP_DONE;
}

/* Of a place that there is: words are what peers wrote. */
static bool names_one_who_is_gone(const struct shmp_pool_view *view, uint64_t word)
{
	uint32_t endpoint = shmp_pool_endpoint_of(word);

	return endpoint >= view->endpoint_count || !holds_place(word, state_word(view, endpoint));
}

uint64_t shmp_pool_reclaim_abandoned(struct shmp_pool *pool)
{
	uint64_t count = 0;

	for (uint64_t index = 0; index < pool->view.count; index++) {
		uint64_t word = shmp_pool_load(&pool->view, index);

		if (shmp_pool_state_of(word) != SHMP_POOL_TRANSIT_ANY ||
		    !names_one_who_is_gone(&pool->view, word) ||
		    !give_back(&pool->view, index, word))
			continue;
		shmp_pool_count_release(pool);
		count++;
	}
	return count;
}

/* A statistic that others write, or wrote. */
static uint64_t load_counter(const _Atomic uint64_t *counter)
{
	/* relaxed: right for some moment, nothing follows from it */
	return atomic_load_explicit(counter, memory_order_relaxed);
}

void shmp_pool_count(const struct shmp_segment *segment, struct shmp_pool_counts *ret_counts)
{
	struct shmp_pool_counts counts = { .acquired = 0 };
	struct shmp_pool_view view;

	shmp_pool_view(segment, &view);
	for (uint64_t index = 0; index < view.count; index++)
		counts.of[shmp_pool_state_of(load_counter(&view.words[index]))]++;
	for (uint32_t i = 0; i < view.endpoint_count; i++) {
		counts.acquired += load_counter(&view.endpoints[i].items);
		counts.released += load_counter(&view.endpoints[i].cursor);
	}
	counts.returned = load_counter(&view.control->returned);
	*ret_counts = counts;
}

/* The broker's side */

static int pool_plan(const uint64_t *option, struct shmp_plan *ret_plan, const char **ret_why)
{
	uint64_t bytes = option[SHMP_POOL_OBJECT_BYTES], count = option[SHMP_POOL_OBJECTS];
	uint64_t stride = shmp_round_up(bytes, SHMP_LINE);
	uint64_t words = summary_words(count) + bitmap_words(count) + count;

	if (count > DATA_BYTES_MAX / stride) {
		*ret_why = "objects of object_bytes make more than 2^40 bytes";
		return SHMP_POOL_OBJECTS + 1;
	}
	*ret_plan = (struct shmp_plan){
		.data_bytes = shmp_round_up(count * stride, SHMP_PAGE),
		.control_bytes = shmp_round_up(sizeof(struct shmp_pool_control) + 8 * words,
					       2 * SHMP_LINE),
		.endpoint_count = (uint32_t)option[SHMP_POOL_ENDPOINTS_MAX],
		.option = { [SHMP_POOL_OBJECT_BYTES] = bytes,
			    [SHMP_POOL_OBJECTS] = count,
			    [SHMP_POOL_ENDPOINTS_MAX] = option[SHMP_POOL_ENDPOINTS_MAX] },
	};
	ret_plan->ctl_bytes = shmp_segment_ctl_bytes(ret_plan);
	return 0;
}

/* All zero are free objects of generation 0; what is missing is that the hint says so. */
static void pool_init(const struct shmp_segment *segment)
{
	struct shmp_pool_view view;

	shmp_pool_view(segment, &view);
	for (uint64_t index = 0; index < view.count; index++)
		shmp_pool_hint_again(&view, index);
}

static int pool_validate(const struct shmp_segment *segment, const char **ret_why)
{
	struct shmp_pool_view view;

	shmp_pool_view(segment, &view);
	for (uint64_t index = 0; index < view.count; index++) {
		uint64_t word = shmp_pool_load(&view, index);

		if (shmp_pool_endpoint_of(word) < view.endpoint_count)
			continue;
		*ret_why = "an object is in the hands of somebody whom there cannot be";
		return -EBADMSG;
	}
	return 0;
}

static void pool_attach(const struct shmp_segment *segment, uint32_t endpoint)
{
	struct shmp_endpoint *self = &segment->endpoints[endpoint];

	set_door(self, 0);
	/* [I] release; pairs with pool_repair */
	atomic_store_explicit(&self->intent[SHMP_POOL_PROGRESS], 0, memory_order_release);
	/* relaxed: the place is nobody's; the state's release publishes it to the new owner */
	atomic_store_explicit(&self->park_key, 0, memory_order_relaxed);
	/* relaxed: as above */
	atomic_store_explicit(&self->doorbell, 0, memory_order_relaxed);
}

/*
 * Whether it is on the way to one who is gone, or whose repair has closed his door and may have come
 * past it already.
 */
static bool is_for_nobody(const struct shmp_pool_view *view, uint64_t word)
{
	return names_one_who_is_gone(view, word) || (load_door(view, shmp_pool_endpoint_of(word)) &
						     SHMP_POOL_NAME) != (word & SHMP_POOL_NAME);
}

/*
 * What the dead one, named by @name, had; and what is on the way to others who are gone: its giver
 * may have died before he could see that.
 */
static bool is_to_be_returned(const struct shmp_pool_view *view, uint64_t word, uint64_t name)
{
	enum shmp_pool_state state = shmp_pool_state_of(word);

	if (state != SHMP_POOL_OWNED && state != SHMP_POOL_TRANSIT_TO)
		return false;
	return (word & SHMP_POOL_NAME) == name ||
	       (state == SHMP_POOL_TRANSIT_TO && is_for_nobody(view, word));
}

static void repair_object(const struct shmp_pool_view *view, uint64_t index, uint64_t name)
{
	uint64_t word = shmp_pool_load(view, index);

	/* a bit whose setter died before the summary's */
	if (index % 64 == 0 && load_bits(&view->bitmap[index / 64]) != 0)
		raise_summary(view, index / 64);
	if (shmp_pool_state_of(word) == SHMP_POOL_FREE)
		shmp_pool_hint_again(view, index);
	else if (is_to_be_returned(view, word, name) && give_back(view, index, word))
		/* relaxed: a statistic; one too few where the broker dies right here */
		atomic_fetch_add_explicit(&view->control->returned, 1, memory_order_relaxed);
}

static int pool_repair(const struct shmp_segment *segment, uint32_t endpoint, bool died)
{
	struct shmp_endpoint *self = &segment->endpoints[endpoint];
	uint64_t name = shmp_pool_name(endpoint, shmp_endpoint_incarnation(self));
	/* [I] acquire; pairs with pool_attach */
	uint64_t index = atomic_load_explicit(&self->intent[SHMP_POOL_PROGRESS],
					      memory_order_acquire);
	struct shmp_pool_view view;
	uint64_t end;

	(void)died; /* who left in good order may have had something in hand as well */
	shmp_pool_view(segment, &view);
	set_door(self, 0);
	/* the door comes before the words */
	atomic_thread_fence(memory_order_seq_cst); /* [O] fence; pairs with transfer_to */
	if (index >= view.count)
		index = 0;
	end = view.count - index > SHMP_POOL_CHUNK ? index + SHMP_POOL_CHUNK : view.count;
	for (; index < end; index++)
		repair_object(&view, index, name);
	if (end < view.count) {
		/* [I] release; pairs with pool_repair */
		atomic_store_explicit(&self->intent[SHMP_POOL_PROGRESS], end, memory_order_release);
		return 1;
	}
	/* [C] acq_rel; pairs with count_releases. Also when this run changed nothing: one before it
	 * may have been killed between the words and here */
	atomic_fetch_add_explicit(&view.control->repaired, 1, memory_order_acq_rel);
	shmp_waiter_finish(&view.control->freed, endpoint);
	pool_attach(segment, endpoint);
	return 0;
}

static void pool_wake(const struct shmp_segment *segment)
{
	struct shmp_pool_control *control = segment->control;

	shmp_waiter_wake_all(&control->freed);
}

static bool pool_waits(const struct shmp_segment *segment, uint32_t endpoint)
{
	const struct shmp_pool_control *control = segment->control;

	return shmp_waiter_is_set(&control->freed, endpoint);
}

static int pool_require_fence(const struct shmp_segment *segment)
{
	struct shmp_pool_control *control = segment->control;

	return shmp_waiter_require_fence(&control->freed);
}

static void pool_require_pieces(const struct shmp_segment *segment)
{
	struct shmp_pool_control *control = segment->control;

	shmp_waiter_require_pieces(&control->freed);
}

static void pool_figures(const struct shmp_segment *segment, shmp_figure_fn figure, void *context)
{
	struct shmp_pool_counts counts;

	shmp_pool_count(segment, &counts);
	figure(context, "objects", segment->plan.option[SHMP_POOL_OBJECTS]);
	figure(context, "object_bytes", segment->plan.option[SHMP_POOL_OBJECT_BYTES]);
	figure(context, "free_objects", counts.of[SHMP_POOL_FREE]);
	figure(context, "owned_objects", counts.of[SHMP_POOL_OWNED]);
	figure(context, "in_transit_to_one", counts.of[SHMP_POOL_TRANSIT_TO]);
	figure(context, "in_transit_to_anyone", counts.of[SHMP_POOL_TRANSIT_ANY]);
	figure(context, "acquired_objects", counts.acquired);
	figure(context, "released_objects", counts.released);
	figure(context, "returned_by_repair", counts.returned);
}

/*
 * Shows object @look->from in @ret_item. Nothing tells whether its owner writes into it meanwhile:
 * what is shown may be of two moments, but it is of this owner, unless it changes hands each time.
 */
static void look_at(const struct shmp_pool_view *view, struct shmp_look *look, uint64_t bytes,
		    struct shmp_item *ret_item)
{
	static const char *const states[] = { "free", "owned", "in transit",
					      "in transit to anyone" };

	for (int i = 0; i < LOOKS; i++) {
		uint64_t word = shmp_pool_load(view, look->from);
		enum shmp_pool_state state = shmp_pool_state_of(word);
		struct shmp_item item = { .what = "object",
					  .state = states[state],
					  .position = look->from,
					  .number = UINT64_MAX,
					  .endpoint = -1 };

		item.number = shmp_pool_handle(word, look->from);
		if (state != SHMP_POOL_FREE) {
			item.endpoint = shmp_pool_endpoint_of(word);
			shmp_look_take(look, shmp_pool_at(view, look->from), bytes, &item);
		}
		*ret_item = item;
		/* the bytes come before the second look at the word */
		atomic_thread_fence(
			memory_order_acquire); /* [W] fence; pairs with shmp_pool_move */
		if (shmp_pool_load(view, look->from) == word)
			return;
	}
}

static int pool_look(const struct shmp_segment *segment, struct shmp_look *look, shmp_item_fn fn,
		     void *context)
{
	uint64_t bytes = segment->plan.option[SHMP_POOL_OBJECT_BYTES], shown = 0;
	struct shmp_pool_view view;

	shmp_pool_view(segment, &view);
	if (look->from > view.count)
		look->from = view.count;
	for (; look->from < view.count && shown < look->max; look->from++, shown++) {
		struct shmp_item item;
		int r;

		look_at(&view, look, bytes, &item);
		r = fn(context, &item);
		if (r != 0)
			return r;
	}
	return 0;
}

static const struct shmp_role pool_roles[] = {
	{ .name = "user", .ctl = SHMP_ACCESS_WRITE, .data = SHMP_ACCESS_WRITE, .writes = true },
	SHMP_ROLE_OBSERVER,
};

static const struct shmp_option pool_options[] = {
	[SHMP_POOL_OBJECT_BYTES] = { .name = "object_bytes",
				     .help = "size of an object; takes up to the next multiple of 64",
				     .min = 1,
				     .max = OBJECT_BYTES_MAX,
				     .preset = 4096 },
	[SHMP_POOL_OBJECTS] = { .name = "objects",
				.help = "how many there are",
				.min = 1,
				.max = SHMP_POOL_OBJECTS_MAX,
				.preset = 64 },
	[SHMP_POOL_ENDPOINTS_MAX] = { .name = "endpoints_max",
				      .help = "users at the same time",
				      .min = 1,
				      .max = SHMP_ENDPOINTS_MAX,
				      .preset = 64 },
};

const struct shmp_kind shmp_pool_kind = {
	.name = "pool",
	.id = 11,
	.version = SHMP_POOL_VERSION,
	.ctl_suffices = true,
	.roles = pool_roles,
	.role_count = sizeof(pool_roles) / sizeof(pool_roles[0]),
	.options = pool_options,
	.option_count = sizeof(pool_options) / sizeof(pool_options[0]),
	.plan = pool_plan,
	.init = pool_init,
	.validate = pool_validate,
	.attach = pool_attach,
	.repair = pool_repair,
	.wake = pool_wake,
	.waits = pool_waits,
	.require_fence = pool_require_fence,
	.require_pieces = pool_require_pieces,
	.holds = shmp_pool_holds,
	.waits_for = shmp_pool_waits_for,
	.figures = pool_figures,
	.look = pool_look,
};
