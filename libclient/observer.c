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
