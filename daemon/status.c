#include "daemon/status.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "daemon/attachment.h"
#include "daemon/client.h"
#include "daemon/deaths.h"
#include "daemon/segment.h"
#include "protocol/varlink.h"

const char *status_of_place(const struct place *place)
{
	if (place->holder)
		return "active";
	if (place->is_repairing)
		return place->has_died ? "dying" : "active";
	if (place->incarnation == 0)
		return "free";
	return place->has_died ? "dead" : "left";
}

void status_add_time(cJSON *object, const char *key, uint64_t realtime_ns)
{
	time_t seconds = (time_t)(realtime_ns / 1000000000u);
	struct tm parts;
	char text[64];
	size_t used;

	gmtime_r(&seconds, &parts);
	used = strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%S", &parts);
	snprintf(text + used, sizeof(text) - used, ".%06uZ",
		 (unsigned)(realtime_ns % 1000000000u / 1000));
	shmp_json_add_text(object, key, text);
}

void status_add_end(cJSON *object, uint32_t end, uint32_t value)
{
	static const char *const names[] = {
		[DEATH_END_UNKNOWN] = "unknown",
		[DEATH_END_EXITED] = "exited",
		[DEATH_END_KILLED] = "killed",
	};

	shmp_json_add_text(object, "end", names[end]);
	if (end == DEATH_END_EXITED)
		shmp_json_add_u64(object, "code", value);
	if (end == DEATH_END_KILLED)
		shmp_json_add_u64(object, "signal", value);
}

static void add_counter(cJSON *object, const char *key, const _Atomic uint64_t *counter)
{
	/* relaxed: a statistic, right for some moment; anything may stand in it */
	shmp_json_add_u64(object, key, atomic_load_explicit(counter, memory_order_relaxed));
}

static void add_shared(cJSON *object, const struct shmp_endpoint *record)
{
	/* relaxed: as in add_counter */
	uint32_t waits = atomic_load_explicit(&record->waits, memory_order_relaxed);

	shmp_json_add_u64(object, "since_ns", record->since_ns);
	add_counter(object, "items", &record->items);
	add_counter(object, "bytes", &record->bytes);
	add_counter(object, "refused", &record->refused);
	shmp_json_add_u64(object, "waits", waits);
}

/* Whoever has it open without a place. */
static uint32_t observers_of(const struct segment *segment)
{
	uint32_t count = segment->attachments;

	for (uint32_t i = 0; i < segment->plan.endpoint_count; i++)
		count -= segment->places[i].holder != NULL;
	return count;
}

static cJSON *endpoint_object(const struct segment *segment, const struct shmp_segment *map,
			      uint32_t index)
{
	const struct place *place = &segment->places[index];
	const struct shmp_role *role = segment_role_at(segment, index);
	bool waits = place->holder && segment->kind->waits(map, index);
	cJSON *object = cJSON_CreateObject();

	shmp_json_add_u64(object, "index", index);
	shmp_json_add_text(object, "role", role ? role->name : "");
	shmp_json_add_text(object, "state", status_of_place(place));
	shmp_json_add_i64(object, "pid", place->pid);
	shmp_json_add_u64(object, "uid", place->uid);
	shmp_json_add_u64(object, "incarnation", place->incarnation);
	add_shared(object, &map->endpoints[index]);
	shmp_json_add_bool(object, "waiting", waits);
	shmp_json_add_u64(object, "deaths", place->deaths);
	return object;
}

static void add_figure(void *context, const char *name, uint64_t value)
{
	shmp_json_add_u64(context, name, value);
}

static void add_created(cJSON *object, uint64_t created_ns)
{
	time_t seconds = (time_t)(created_ns / 1000000000u);
	struct tm parts;
	char text[64];

	gmtime_r(&seconds, &parts);
	strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%SZ", &parts);
	shmp_json_add_text(object, "created", text);
}

static void add_health(cJSON *object, const struct segment *segment, const struct shmp_segment *map)
{
	const char *ailment = segment->kind->ailment ? segment->kind->ailment(map) : NULL;
	const char *why = "";
	uint64_t missing = 0;
	char text[128] = "good";

	if (segment->kind->validate(map, &why) < 0)
		snprintf(text, sizeof(text), "corrupt: %s", why);
	else if (!segment->parent &&
		 shmp_segment_holes(&segment->fds, &segment->plan, &missing) == 0 && missing > 0)
		snprintf(text, sizeof(text), "corrupt: a peer punched out %" PRIu64 " bytes",
			 missing);
	else if (ailment)
		snprintf(text, sizeof(text), "%s", ailment);
	shmp_json_add_text(object, "health", text);
}

/* What must be read from the segment itself. */
static void add_inside(cJSON *object, const struct segment *segment)
{
	cJSON *figures = shmp_json_add_object(object, "figures");
	struct shmp_segment map;
	cJSON *list;

	if (segment_map(segment, SHMP_ACCESS_READ, false, &map) < 0) {
		shmp_json_add_text(object, "health", "cannot be mapped");
		shmp_json_add_array(object, "endpoints");
		return;
	}
	segment->kind->figures(&map, add_figure, figures);
	add_health(object, segment, &map);
	list = shmp_json_add_array(object, "endpoints");
	for (uint32_t i = 0; i < segment->plan.endpoint_count; i++)
		shmp_json_append(list, endpoint_object(segment, &map, i));
	shmp_segment_unmap(&map);
}

cJSON *status_of_segment(const struct segment *segment)
{
	cJSON *object = cJSON_CreateObject();

	shmp_json_add_text(object, "name", segment->name);
	shmp_json_add_text(object, "kind", segment->kind->name);
	shmp_json_add_u64(object, "kind_version", segment->kind->version);
	shmp_json_add_u64(object, "generation", segment->generation);
	shmp_json_add_u64(object, "uid", segment->ownership.uid);
	shmp_json_add_u64(object, "gid", segment->ownership.gid);
	shmp_json_add_u64(object, "mode", segment->ownership.mode);
	add_created(object, segment->created_ns);
	shmp_json_add_u64(object, "ctl_bytes",
			  segment->plan.ctl_bytes + segment->plan.objects_bytes);
	shmp_json_add_u64(object, "data_bytes", segment->plan.data_bytes);
	shmp_json_add_u64(object, "observers", observers_of(segment));
	segment_add_memory(object, segment);
	segment_add_options(object, segment);
	add_inside(object, segment);
	return object;
}
