/* arena: the directory, as everybody reads it and the broker changes it. See arena.h. */
#include "protocol/arena.h"

#include <errno.h>
#include <string.h>

#define TRIES	       4u
#define BUCKETS_MIN    16u
#define CONTROL_PRESET (10u << 10) /* for each entry: a structure with the usual 64 places */
#define HEAP_BYTES_MAX (UINT64_C(1) << 40)

/* A name as words, for one comparison or copy. */
struct name {
	uint64_t word[SHMP_ARENA_NAME_WORDS_MAX + 1];
	uint32_t words; /* that are not all zeroes, and one that ends it if there is room */
	uint32_t hash;
};

static uint64_t bucket_count(uint64_t entries)
{
	uint64_t count = BUCKETS_MIN;

	while (count < entries)
		count *= 2;
	return count;
}

uint64_t shmp_arena_directory_bytes(uint64_t name_bytes, uint64_t entries)
{
	return sizeof(struct shmp_arena_control) + bucket_count(entries) * sizeof(uint32_t) +
	       entries * (sizeof(struct shmp_arena_entry) + name_bytes);
}

void shmp_arena_view(const struct shmp_segment *segment, struct shmp_arena *ret_arena)
{
	uint64_t name_bytes = segment->plan.option[SHMP_ARENA_NAME_BYTES];
	uint64_t entries = segment->plan.option[SHMP_ARENA_ENTRIES];
	uint64_t buckets = bucket_count(entries);
	uint8_t *at = (uint8_t *)segment->control + sizeof(struct shmp_arena_control);

	*ret_arena = (struct shmp_arena){
		.control = segment->control,
		.buckets = (_Atomic uint32_t *)(void *)at,
		.entries = at + buckets * sizeof(uint32_t),
		.bucket_mask = (uint32_t)buckets - 1,
		.entry_count = (uint32_t)entries,
		.entry_bytes = (uint32_t)(sizeof(struct shmp_arena_entry) + name_bytes),
		.name_words = (uint32_t)name_bytes / 8,
	};
}

static struct shmp_arena_entry *entry_at(const struct shmp_arena *arena, uint32_t index)
{
	return (void *)(arena->entries + (size_t)index * arena->entry_bytes);
}

/* Whether it can be one of this arena at all. */
static bool name_make(const struct shmp_arena *arena, const char *text, struct name *ret_name)
{
	size_t bytes = strnlen(text, arena->name_words * 8u + 1u);
	uint64_t hash = bytes;

	if (bytes == 0 || bytes > arena->name_words * 8u)
		return false;
	ret_name->words = (uint32_t)bytes / 8 + 1;
	ret_name->word[bytes / 8] = 0;
	if (ret_name->words > arena->name_words)
		ret_name->words = arena->name_words;
	memcpy(ret_name->word, text, bytes);
	for (size_t i = 0; i * 8 < bytes; i++) {
		hash = (hash ^ ret_name->word[i]) * UINT64_C(0x9e3779b97f4a7c15);
		hash ^= hash >> 32;
	}
	ret_name->hash = (uint32_t)(hash ^ hash >> 15);
	return true;
}

/* Reading. */

static bool name_is(const struct shmp_arena_entry *entry, const struct name *name)
{
	uint64_t difference;

	/* relaxed: judged by the generation afterwards */
	if (atomic_load_explicit(&entry->hash, memory_order_relaxed) != name->hash)
		return false;
	difference = 0;
	for (uint32_t i = 0; i < name->words; i++)
		/* relaxed: as above */
		difference |= atomic_load_explicit(&entry->name[i], memory_order_relaxed) ^
			      name->word[i];
	return difference == 0;
}

static void read_fields(const struct shmp_arena_entry *entry, struct shmp_arena_object *ret_object)
{
	/* relaxed: judged by the generation afterwards */
	ret_object->kind = atomic_load_explicit(&entry->kind, memory_order_relaxed);
	/* relaxed: as above */
	ret_object->control_bytes = (uint64_t)atomic_load_explicit(&entry->control_lines,
								   memory_order_relaxed) *
				    SHMP_SEGMENT_PACKING;
	/* relaxed: as above */
	ret_object->data_offset =
		(uint64_t)atomic_load_explicit(&entry->data_page, memory_order_relaxed) * SHMP_PAGE;
	/* relaxed: as above */
	ret_object->data_bytes = (uint64_t)atomic_load_explicit(&entry->data_pages,
								memory_order_relaxed) *
				 SHMP_PAGE;
}

/* Before the fields are read: 0 when there is nothing. */
static uint64_t entry_open(const struct shmp_arena_entry *entry)
{
	/* [G] acquire; pairs with shmp_arena_enlist */
	return atomic_load_explicit(&entry->generation, memory_order_acquire);
}

/* Afterwards: whether they are all of that generation. */
static bool entry_is_whole(const struct shmp_arena_entry *entry, uint64_t generation)
{
	/* [E] fence; pairs with entry_close */
	atomic_thread_fence(memory_order_acquire);
	/* relaxed: ordered behind the fields by the fence */
	return atomic_load_explicit(&entry->generation, memory_order_relaxed) == generation;
}

static bool entry_matches(const struct shmp_arena *arena, uint32_t index, const struct name *name,
			  struct shmp_arena_object *ret_object)
{
	const struct shmp_arena_entry *entry = entry_at(arena, index);
	struct shmp_arena_object object = { .index = index, .generation = entry_open(entry) };

	if (object.generation == 0 || !name_is(entry, name))
		return false;
	read_fields(entry, &object);
	if (!entry_is_whole(entry, object.generation))
		return false;
	*ret_object = object;
	return true;
}

static bool find_in_chain(const struct shmp_arena *arena, const struct name *name,
			  struct shmp_arena_object *ret_object)
{
	/* relaxed: what is behind a link is judged by generation and version */
	uint32_t link = atomic_load_explicit(&arena->buckets[name->hash & arena->bucket_mask],
					     memory_order_relaxed);

	for (uint32_t i = 0; i < arena->entry_count; i++) {
		if (link == 0 || link > arena->entry_count)
			return false;
		if (entry_matches(arena, link - 1, name, ret_object))
			return true;
		/* relaxed: as above */
		link = atomic_load_explicit(&entry_at(arena, link - 1)->next, memory_order_relaxed);
	}
	return false;
}

static SHMP_COLD bool find_anywhere(const struct shmp_arena *arena, const struct name *name,
				    struct shmp_arena_object *ret_object)
{
	for (uint32_t i = 0; i < arena->entry_count; i++)
		if (entry_matches(arena, i, name, ret_object))
			return true;
	return false;
}

bool shmp_arena_find(const struct shmp_arena *arena, const char *name,
		     struct shmp_arena_object *ret_object)
{
	struct name wanted;

	if (!name_make(arena, name, &wanted))
		return false;
	for (unsigned int i = 0; i < TRIES; i++) {
		/* [V] acquire; pairs with change_end */
		uint64_t version = atomic_load_explicit(&arena->control->version,
							memory_order_acquire);

		if (find_in_chain(arena, &wanted, ret_object))
			return true;
		/* [C] fence; pairs with change_begin */
		atomic_thread_fence(memory_order_acquire);
		/* relaxed: ordered behind the links by the fence */
		if (version % 2 == 0 &&
		    atomic_load_explicit(&arena->control->version, memory_order_relaxed) == version)
			return false;
	}
	return find_anywhere(arena, &wanted, ret_object);
}

bool shmp_arena_is_current(const struct shmp_arena *arena, uint32_t index, uint64_t generation)
{
	return index < arena->entry_count && generation != 0 &&
	       entry_open(entry_at(arena, index)) == generation;
}

bool shmp_arena_read(const struct shmp_arena *arena, uint32_t index, char *ret_name,
		     struct shmp_arena_object *ret_object)
{
	const struct shmp_arena_entry *entry = entry_at(arena, index);
	struct shmp_arena_object object = { .index = index, .generation = entry_open(entry) };
	uint64_t word[SHMP_ARENA_NAME_WORDS_MAX];

	if (object.generation == 0)
		return false;
	read_fields(entry, &object);
	for (uint32_t i = 0; i < arena->name_words; i++)
		/* relaxed: judged by the generation afterwards */
		word[i] = atomic_load_explicit(&entry->name[i], memory_order_relaxed);
	if (!entry_is_whole(entry, object.generation))
		return false;
	memcpy(ret_name, word, arena->name_words * 8u);
	ret_name[arena->name_words * 8u] = '\0';
	*ret_object = object;
	return true;
}

/* Changing: the broker. */

static void change_begin(const struct shmp_arena *arena)
{
	/* relaxed: the broker's own word; ordered before the links by the fence */
	uint64_t version = atomic_load_explicit(&arena->control->version, memory_order_relaxed);

	/* relaxed: as above */
	atomic_store_explicit(&arena->control->version, version | 1, memory_order_relaxed);
	/* [C] fence; pairs with shmp_arena_find */
	atomic_thread_fence(memory_order_release);
}

static void change_end(const struct shmp_arena *arena)
{
	/* relaxed: the broker's own word */
	uint64_t version = atomic_load_explicit(&arena->control->version, memory_order_relaxed);

	/* [V] release; pairs with shmp_arena_find */
	atomic_store_explicit(&arena->control->version, version + 1, memory_order_release);
}

/* From here on nobody takes for whole what he reads in it. */
static void entry_close(struct shmp_arena_entry *entry)
{
	/* relaxed: ordered before the fields by the fence */
	atomic_store_explicit(&entry->generation, 0, memory_order_relaxed);
	/* [E] fence; pairs with entry_is_whole */
	atomic_thread_fence(memory_order_release);
}

static void write_fields(struct shmp_arena_entry *entry, const struct shmp_arena_object *object)
{
	/* relaxed: published by the generation */
	atomic_store_explicit(&entry->kind, object->kind, memory_order_relaxed);
	/* relaxed: as above */
	atomic_store_explicit(&entry->control_lines,
			      (uint32_t)(object->control_bytes / SHMP_SEGMENT_PACKING),
			      memory_order_relaxed);
	/* relaxed: as above */
	atomic_store_explicit(&entry->data_page, (uint32_t)(object->data_offset / SHMP_PAGE),
			      memory_order_relaxed);
	/* relaxed: as above */
	atomic_store_explicit(&entry->data_pages, (uint32_t)(object->data_bytes / SHMP_PAGE),
			      memory_order_relaxed);
}

static void write_name(const struct shmp_arena *arena, struct shmp_arena_entry *entry,
		       const struct name *name)
{
	/* relaxed: published by the generation */
	atomic_store_explicit(&entry->hash, name->hash, memory_order_relaxed);
	for (uint32_t i = 0; i < arena->name_words; i++)
		/* relaxed: as above */
		atomic_store_explicit(&entry->name[i], i < name->words ? name->word[i] : 0,
				      memory_order_relaxed);
}

static void count_used(const struct shmp_arena *arena, uint64_t more)
{
	/* relaxed: a statistic, and the broker's own word */
	uint64_t used = atomic_load_explicit(&arena->control->used, memory_order_relaxed);

	/* relaxed: as above */
	atomic_store_explicit(&arena->control->used, used + more, memory_order_relaxed);
}

static void write_entry(const struct shmp_arena *arena, struct shmp_arena_entry *entry,
			const struct name *words, const struct shmp_arena_object *object)
{
	entry_close(entry);
	write_fields(entry, object);
	write_name(arena, entry, words);
	/* [G] release; pairs with entry_open */
	atomic_store_explicit(&entry->generation, object->generation, memory_order_release);
}

/* Puts it at the head of its chain. */
static void link_entry(const struct shmp_arena *arena, struct shmp_arena_entry *entry,
		       uint32_t index, uint32_t hash)
{
	_Atomic uint32_t *bucket = &arena->buckets[hash & arena->bucket_mask];

	/* relaxed: the broker's own words; whoever follows them judges by generation and version */
	atomic_store_explicit(&entry->next, atomic_load_explicit(bucket, memory_order_relaxed),
			      memory_order_relaxed);
	/* relaxed: as above */
	atomic_store_explicit(bucket, index + 1, memory_order_relaxed);
	count_used(arena, 1);
}

void shmp_arena_enlist(const struct shmp_arena *arena, const char *name,
		       const struct shmp_arena_object *object)
{
	struct shmp_arena_entry *entry = entry_at(arena, object->index);
	struct name words;

	if (!name_make(arena, name, &words))
		return;
	change_begin(arena);
	write_entry(arena, entry, &words, object);
	link_entry(arena, entry, object->index, words.hash);
	change_end(arena);
}

void shmp_arena_relist_begin(const struct shmp_arena *arena)
{
	change_begin(arena);
	for (uint32_t i = 0; i <= arena->bucket_mask; i++)
		/* relaxed: whoever follows them judges by generation and version */
		atomic_store_explicit(&arena->buckets[i], 0, memory_order_relaxed);
	/* relaxed: a statistic, and the broker's own word */
	atomic_store_explicit(&arena->control->used, 0, memory_order_relaxed);
}

void shmp_arena_relist(const struct shmp_arena *arena, const char *name,
		       const struct shmp_arena_object *object)
{
	struct shmp_arena_entry *entry = entry_at(arena, object->index);
	struct name words;

	if (!name_make(arena, name, &words))
		return;
	if (entry_open(entry) != object->generation)
		write_entry(arena, entry, &words, object);
	link_entry(arena, entry, object->index, words.hash);
}

static bool is_linked(const struct shmp_arena *arena, uint32_t index)
{
	const struct shmp_arena_entry *entry = entry_at(arena, index);
	/* relaxed: the broker's own words, here and below */
	uint32_t hash = atomic_load_explicit(&entry->hash, memory_order_relaxed);
	/* relaxed: as above */
	uint32_t at = atomic_load_explicit(&arena->buckets[hash & arena->bucket_mask],
					   memory_order_relaxed);

	for (uint32_t i = 0; i < arena->entry_count && at != 0 && at != index + 1; i++)
		/* relaxed: as above */
		at = atomic_load_explicit(&entry_at(arena, at - 1)->next, memory_order_relaxed);
	return at == index + 1;
}

void shmp_arena_relist_end(const struct shmp_arena *arena)
{
	for (uint32_t i = 0; i < arena->entry_count; i++)
		if (entry_open(entry_at(arena, i)) != 0 && !is_linked(arena, i))
			entry_close(entry_at(arena, i));
	change_end(arena);
}

void shmp_arena_delist(const struct shmp_arena *arena, uint32_t index)
{
	struct shmp_arena_entry *entry = entry_at(arena, index);
	/* relaxed: the broker's own words, here and below */
	uint32_t hash = atomic_load_explicit(&entry->hash, memory_order_relaxed);
	_Atomic uint32_t *link = &arena->buckets[hash & arena->bucket_mask];
	uint32_t at;

	change_begin(arena);
	entry_close(entry);
	for (uint32_t i = 0; i < arena->entry_count; i++) {
		/* relaxed: as above */
		at = atomic_load_explicit(link, memory_order_relaxed);
		if (at == 0 || at > arena->entry_count || at == index + 1)
			break;
		link = &entry_at(arena, at - 1)->next;
	}
	/* relaxed: as above */
	if (atomic_load_explicit(link, memory_order_relaxed) == index + 1)
		/* relaxed: who follows them judges by generation and version */
		atomic_store_explicit(link,
				      atomic_load_explicit(&entry->next, memory_order_relaxed),
				      memory_order_relaxed);
	count_used(arena, UINT64_MAX);
	change_end(arena);
}

/* The broker's side: the kind. */

static int arena_plan(const uint64_t *option, struct shmp_plan *ret_plan, const char **ret_why)
{
	uint64_t name_bytes = shmp_round_up(option[SHMP_ARENA_NAME_BYTES], 8);
	uint64_t entries = option[SHMP_ARENA_ENTRIES];
	uint64_t control = option[SHMP_ARENA_CONTROL_BYTES];
	uint64_t data = shmp_round_up(option[SHMP_ARENA_DATA_BYTES], SHMP_PAGE);

	(void)ret_why;
	control = shmp_round_up(control != 0 ? control : entries * CONTROL_PRESET, SHMP_PAGE);
	*ret_plan = (struct shmp_plan){
		.data_bytes = data,
		.objects_bytes = control,
		.control_bytes = shmp_round_up(shmp_arena_directory_bytes(name_bytes, entries),
					       128),
		.option = { [SHMP_ARENA_NAME_BYTES] = name_bytes,
			    [SHMP_ARENA_ENTRIES] = entries,
			    [SHMP_ARENA_CONTROL_BYTES] = control,
			    [SHMP_ARENA_DATA_BYTES] = data },
	};
	ret_plan->ctl_bytes = shmp_segment_ctl_bytes(ret_plan);
	return 0;
}

static void write_room(const struct shmp_segment *segment, const struct shmp_room *room)
{
	struct shmp_arena_control *control = segment->control;

	/* relaxed: statistics, each right for some moment */
	atomic_store_explicit(&control->control_free, room->control_free, memory_order_relaxed);
	/* relaxed: as above */
	atomic_store_explicit(&control->control_largest, room->control_largest,
			      memory_order_relaxed);
	/* relaxed: as above */
	atomic_store_explicit(&control->data_free, room->data_free, memory_order_relaxed);
	/* relaxed: as above */
	atomic_store_explicit(&control->data_largest, room->data_largest, memory_order_relaxed);
}

static void arena_init(const struct shmp_segment *segment)
{
	uint64_t control = segment->plan.option[SHMP_ARENA_CONTROL_BYTES];
	uint64_t data = segment->plan.option[SHMP_ARENA_DATA_BYTES];

	write_room(segment, &(struct shmp_room){ control, control, data, data });
}

static int arena_validate(const struct shmp_segment *segment, const char **ret_why)
{
	const struct shmp_arena_control *control = segment->control;

	/* relaxed: a statistic */
	if (atomic_load_explicit(&control->used, memory_order_relaxed) <=
	    segment->plan.option[SHMP_ARENA_ENTRIES])
		return 0;
	*ret_why = "more entries are used than there are";
	return -EBADMSG;
}

static void arena_attach(const struct shmp_segment *segment, uint32_t endpoint)
{
	/* it has no places: whoever opens it looks on */
	(void)segment;
	(void)endpoint;
}

static int arena_repair(const struct shmp_segment *segment, uint32_t endpoint, bool died)
{
	(void)segment;
	(void)endpoint;
	(void)died;
	return 0;
}

static void arena_wake(const struct shmp_segment *segment)
{
	(void)segment; /* nobody waits */
}

static int arena_require_fence(const struct shmp_segment *segment)
{
	(void)segment;
	return 0;
}

static bool arena_waits(const struct shmp_segment *segment, uint32_t endpoint)
{
	(void)segment;
	(void)endpoint;
	return false;
}

static void arena_figures(const struct shmp_segment *segment, shmp_figure_fn figure, void *context)
{
	const struct shmp_arena_control *control = segment->control;

	/* relaxed: statistics, each right for some moment, here and below */
	figure(context, "objects", atomic_load_explicit(&control->used, memory_order_relaxed));
	figure(context, "control_free_bytes",
	       /* relaxed: as above */
	       atomic_load_explicit(&control->control_free, memory_order_relaxed));
	figure(context, "control_largest_bytes",
	       /* relaxed: as above */
	       atomic_load_explicit(&control->control_largest, memory_order_relaxed));
	figure(context, "data_free_bytes",
	       /* relaxed: as above */
	       atomic_load_explicit(&control->data_free, memory_order_relaxed));
	figure(context, "data_largest_bytes",
	       /* relaxed: as above */
	       atomic_load_explicit(&control->data_largest, memory_order_relaxed));
}

static const char *kind_name(uint32_t id)
{
	for (size_t i = 0; i < shmp_kind_count; i++)
		if (shmp_kinds[i]->id == id)
			return shmp_kinds[i]->name;
	return NULL;
}

static int arena_look(const struct shmp_segment *segment, struct shmp_look *look, shmp_item_fn fn,
		      void *context)
{
	char name[SHMP_ARENA_NAME_BYTES_MAX + 1];
	struct shmp_arena_object object;
	struct shmp_arena arena;
	uint64_t shown = 0;

	shmp_arena_view(segment, &arena);
	if (look->from > arena.entry_count)
		look->from = arena.entry_count;
	for (; look->from < arena.entry_count && shown < look->max; look->from++) {
		struct shmp_item item = { .what = "object",
					  .position = look->from,
					  .endpoint = -1 };
		int r;

		if (!shmp_arena_read(&arena, (uint32_t)look->from, name, &object))
			continue;
		item.name = name;
		item.text = kind_name(object.kind);
		item.number = object.generation;
		item.size = object.data_bytes;
		r = fn(context, &item);
		if (r != 0)
			return r;
		shown++;
	}
	return 0;
}

static struct shmp_arena_object object_of(const struct shmp_holding *holding)
{
	return (struct shmp_arena_object){ .generation = holding->generation,
					   .index = holding->index,
					   .kind = holding->kind,
					   .control_bytes = holding->control_bytes,
					   .data_offset = holding->data_offset,
					   .data_bytes = holding->data_bytes };
}

static void enlist(const struct shmp_segment *segment, const char *name,
		   const struct shmp_holding *holding)
{
	const struct shmp_arena_object object = object_of(holding);
	struct shmp_arena arena;

	shmp_arena_view(segment, &arena);
	shmp_arena_enlist(&arena, name, &object);
}

static void delist(const struct shmp_segment *segment, uint32_t index)
{
	struct shmp_arena arena;

	shmp_arena_view(segment, &arena);
	shmp_arena_delist(&arena, index);
}

static void relist_begin(const struct shmp_segment *segment)
{
	struct shmp_arena arena;

	shmp_arena_view(segment, &arena);
	shmp_arena_relist_begin(&arena);
}

static void relist(const struct shmp_segment *segment, const char *name,
		   const struct shmp_holding *holding)
{
	const struct shmp_arena_object object = object_of(holding);
	struct shmp_arena arena;

	shmp_arena_view(segment, &arena);
	shmp_arena_relist(&arena, name, &object);
}

static void relist_end(const struct shmp_segment *segment)
{
	struct shmp_arena arena;

	shmp_arena_view(segment, &arena);
	shmp_arena_relist_end(&arena);
}

static const struct shmp_holder arena_holder = {
	.name_option = SHMP_ARENA_NAME_BYTES,
	.entries_option = SHMP_ARENA_ENTRIES,
	.enlist = enlist,
	.delist = delist,
	.relist_begin = relist_begin,
	.relist = relist,
	.relist_end = relist_end,
	.write_room = write_room,
};

/* Nobody maps the heaps but who opens an object in them. */
static const struct shmp_role arena_roles[] = {
	{ .name = "observer", .ctl = SHMP_ACCESS_READ, .observes = true },
};

static const struct shmp_option arena_options[] = {
	[SHMP_ARENA_NAME_BYTES] = { .name = "name_bytes",
				    .help = "longest name of an object; a multiple of 8",
				    .min = 1,
				    .max = SHMP_ARENA_NAME_BYTES_MAX,
				    .preset = 32 },
	[SHMP_ARENA_ENTRIES] = { .name = "entries",
				 .help = "how many objects at most",
				 .min = 1,
				 .max = SHMP_ARENA_ENTRIES_MAX,
				 .preset = 64 },
	[SHMP_ARENA_CONTROL_BYTES] = { .name = "control_bytes",
				       .help = "room for what objects need beside their data; 0 = "
					       "10 KiB for each entry",
				       .min = 0,
				       .max = HEAP_BYTES_MAX },
	[SHMP_ARENA_DATA_BYTES] = { .name = "data_bytes",
				    .help = "room for the objects' data, whole pages each",
				    .min = 1,
				    .max = HEAP_BYTES_MAX,
				    .preset = 1u << 20 },
};

const struct shmp_kind shmp_arena_kind = {
	.name = "arena",
	.id = 13,
	.version = SHMP_ARENA_VERSION,
	.ctl_suffices = true,
	.roles = arena_roles,
	.role_count = sizeof(arena_roles) / sizeof(arena_roles[0]),
	.options = arena_options,
	.option_count = sizeof(arena_options) / sizeof(arena_options[0]),
	.holder = &arena_holder,
	.plan = arena_plan,
	.init = arena_init,
	.validate = arena_validate,
	.attach = arena_attach,
	.repair = arena_repair,
	.wake = arena_wake,
	.waits = arena_waits,
	.require_fence = arena_require_fence,
	.figures = arena_figures,
	.look = arena_look,
};
