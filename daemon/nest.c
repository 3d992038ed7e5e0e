#include "daemon/nest.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

#include "daemon/ledger.h"
#include "daemon/segment.h"
#include "protocol/name.h"

static const struct shmp_holder *holder_of(const struct segment *parent)
{
	return parent->kind->holder;
}

static void tell_room(const struct segment *parent)
{
	const struct nest *nest = parent->nest;
	struct shmp_room room = {
		.control_free = nest->control.free_bytes,
		.control_largest = heap_largest(&nest->control),
		.data_free = nest->data.free_bytes,
		.data_largest = heap_largest(&nest->data),
	};

	holder_of(parent)->write_room(&nest->map, &room);
}

int nest_new(const struct segment *parent, struct nest **ret_nest)
{
	const struct shmp_plan *plan = &parent->plan;
	uint32_t count = (uint32_t)plan->option[holder_of(parent)->entries_option];
	struct nest *nest = calloc(1, sizeof(*nest) + count * sizeof(struct segment *));
	int r;

	if (!nest)
		return -ENOMEM;
	nest->entry_count = count;
	list_init(&nest->objects);
	r = heap_init(&nest->control, plan->objects_bytes);
	if (r == 0)
		r = heap_init(&nest->data, plan->data_bytes);
	if (r == 0)
		r = segment_map(parent, SHMP_ACCESS_WRITE, false, &nest->map);
	if (r < 0) {
		nest_free(nest);
		return r;
	}
	*ret_nest = nest;
	return 0;
}

struct nest *nest_free(struct nest *nest)
{
	if (!nest)
		return NULL;
	assert(nest->used == 0 && list_is_empty(&nest->objects));
	heap_deinit(&nest->control);
	heap_deinit(&nest->data);
	shmp_segment_unmap(&nest->map);
	free(nest);
	return NULL;
}

uint32_t nest_name_bytes(const struct segment *parent)
{
	return (uint32_t)parent->plan.option[holder_of(parent)->name_option];
}

static int take_memory(struct nest *nest, struct shmp_plan *plan)
{
	int r = heap_take(&nest->control, plan->ctl_bytes, &plan->ctl_offset);

	if (r != 0)
		return r > 0 ? NEST_LACK_CONTROL : r;
	if (plan->data_bytes == 0)
		return 0;
	r = heap_take(&nest->data, plan->data_bytes, &plan->data_offset);
	if (r == 0)
		return 0;
	heap_give(&nest->control, plan->ctl_offset, plan->ctl_bytes);
	return r > 0 ? NEST_LACK_DATA : r;
}

int nest_take(struct segment *object)
{
	struct nest *nest = object->parent->nest;
	uint32_t index = 0;
	int r;

	if (nest->used == nest->entry_count)
		return NEST_LACK_ENTRY;
	r = take_memory(nest, &object->plan);
	if (r != 0)
		return r;
	while (nest->entries[index])
		index++;
	nest->entries[index] = object;
	nest->used++;
	list_append(&nest->objects, &object->sibling);
	object->entry = index;
	tell_room(object->parent);
	return 0;
}

static struct shmp_holding holding_of(const struct segment *object)
{
	return (struct shmp_holding){ .generation = object->generation,
				      .index = object->entry,
				      .kind = object->kind->id,
				      .control_bytes = object->plan.ctl_bytes,
				      .data_offset = object->plan.data_offset,
				      .data_bytes = object->plan.data_bytes };
}

void nest_enlist(const struct segment *object)
{
	const struct segment *parent = object->parent;
	struct shmp_holding holding = holding_of(object);

	holder_of(parent)->enlist(&parent->nest->map, shmp_name_object(object->name), &holding);
}

static int restore_memory(struct nest *nest, const struct shmp_plan *plan)
{
	int r = heap_take_at(&nest->control, plan->ctl_offset, plan->ctl_bytes);

	if (r < 0 || plan->data_bytes == 0)
		return r;
	r = heap_take_at(&nest->data, plan->data_offset, plan->data_bytes);
	if (r < 0)
		heap_give(&nest->control, plan->ctl_offset, plan->ctl_bytes);
	return r;
}

int nest_restore(struct segment *object)
{
	struct nest *nest = object->parent->nest;
	int r;

	if (object->is_linked &&
	    (object->entry >= nest->entry_count || nest->entries[object->entry]))
		return -EBADMSG;
	r = restore_memory(nest, &object->plan);
	if (r < 0)
		return r;
	if (object->is_linked) {
		nest->entries[object->entry] = object;
		nest->used++;
	}
	list_append(&nest->objects, &object->sibling);
	return 0;
}

void nest_relist(const struct segment *parent)
{
	const struct nest *nest = parent->nest;

	holder_of(parent)->relist_begin(&nest->map);
	for (uint32_t i = 0; i < nest->entry_count; i++) {
		const struct segment *object = nest->entries[i];

		if (object) {
			struct shmp_holding holding = holding_of(object);

			holder_of(parent)->relist(&nest->map, shmp_name_object(object->name),
						  &holding);
		}
	}
	holder_of(parent)->relist_end(&nest->map);
	tell_room(parent);
}

void nest_delist(struct segment *object)
{
	struct segment *parent = object->parent;

	assert(parent->nest->entries[object->entry] == object);
	if (object->is_ready)
		holder_of(parent)->delist(&parent->nest->map, object->entry);
	parent->nest->entries[object->entry] = NULL;
	parent->nest->used--;
}

void nest_give(struct segment *object)
{
	struct nest *nest = object->parent->nest;
	const struct shmp_plan *plan = &object->plan;

	heap_give(&nest->control, plan->ctl_offset, plan->ctl_bytes);
	if (plan->data_bytes != 0)
		heap_give(&nest->data, plan->data_offset, plan->data_bytes);
	list_remove(&object->sibling);
	tell_room(object->parent);
}

static int beware(const struct segment *object)
{
	struct shmp_segment map;
	int r;

	if (!object->kind->require_pieces)
		return 0;
	r = segment_map(object, SHMP_ACCESS_WRITE, false, &map);
	if (r < 0)
		return r;
	object->kind->require_pieces(&map);
	shmp_segment_unmap(&map);
	return 0;
}

int nest_beware(struct segment *parent)
{
	struct nest *nest = parent->nest;
	int r = 0;

	if (nest->has_strangers)
		return 0;
	for (struct list *at = nest->objects.next; at != &nest->objects && r == 0; at = at->next) {
		struct segment *object = list_entry(at, struct segment, sibling);

		/* what is not ready yet will know when it is */
		if (object->is_ready)
			r = beware(object);
	}
	if (r == 0) {
		nest->has_strangers = true;
		ledger_strangers(parent);
	}
	return r;
}
