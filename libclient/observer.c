/* Observers: handles on segments of any kind that make no move. */
#include "shmclient/observer.h"

#include <errno.h>
#include <stdlib.h>

#include "libclient/error.h"
#include "libclient/object.h"

struct shmc_observer {
	struct shmc__object object;
};

enum shmc_result shmc_observer_open(struct shmc_client *client, const char *name,
				    struct shmc_observer **ret_observer, struct shmc_error *error)
{
	struct shmc_observer *observer = calloc(1, sizeof(*observer));
	enum shmc_result result;

	if (!observer)
		return shmc__error_from_errno(error, "open the segment", ENOMEM);
	result = shmc__object_open(&observer->object, client, name, NULL, "observer", error);
	if (result == SHMC_OK)
		*ret_observer = observer;
	else
		free(observer);
	return result;
}

struct shmc_observer *shmc_observer_close(struct shmc_observer *observer)
{
	if (observer) {
		shmc__object_close(&observer->object);
		free(observer);
	}
	return NULL;
}

const char *shmc_observer_kind(const struct shmc_observer *observer)
{
	return observer->object.kind->name;
}

enum shmc_positions shmc_observer_positions(const struct shmc_observer *observer)
{
	const struct shmp_kind *kind = observer->object.kind;

	if (!kind->streams)
		return SHMC_POSITIONS_REUSED;
	return kind->byte_positions ? SHMC_POSITIONS_BYTES : SHMC_POSITIONS_ITEMS;
}

enum shmc_result shmc_observer_look(const struct shmc_observer *observer, struct shmc_look *look,
				    shmc_item_fn fn, void *context)
{
	return shmc__object_look(&observer->object, look, fn, context);
}

enum shmc_result shmc_observer_figures(const struct shmc_observer *observer, shmc_figure_fn fn,
				       void *context)
{
	if (shmc__object_is_forked(&observer->object))
		return SHMC_FORKED;
	observer->object.kind->figures(&observer->object.mapping->segment, fn, context);
	return SHMC_OK;
}

enum shmc_result shmc_observer_info(const struct shmc_observer *observer,
				    struct shmc_observer_info *ret_info)
{
	const struct shmc__rights *rights = &observer->object.rights;

	if (shmc__object_is_forked(&observer->object))
		return SHMC_FORKED;
	*ret_info = (struct shmc_observer_info){
		.kind_version = observer->object.kind->version,
		.mode = rights->mode,
		.owner = rights->owner,
		.group = rights->group,
	};
	if ((rights->memory & SHMP_MEMORY_HUGE_PAGES) != 0)
		ret_info->flags |= SHMC_CREATE_HUGE_PAGES;
	if ((rights->memory & SHMP_MEMORY_PREFAULT) != 0)
		ret_info->flags |= SHMC_CREATE_PREFAULT;
	if ((rights->memory & SHMP_MEMORY_MLOCK) != 0)
		ret_info->flags |= SHMC_CREATE_MLOCK;
	return SHMC_OK;
}

enum shmc_result shmc_observer_options(const struct shmc_observer *observer, shmc_figure_fn fn,
				       void *context)
{
	const struct shmp_kind *kind = observer->object.kind;
	const uint64_t *option;

	if (shmc__object_is_forked(&observer->object))
		return SHMC_FORKED;
	option = observer->object.mapping->segment.plan.option;
	for (size_t i = 0; i < kind->option_count; i++)
		fn(context, kind->options[i].name, option[i]);
	return SHMC_OK;
}
