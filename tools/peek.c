/*
 * Commands peek and tail: what is in a segment of any kind, seen by an observer. Nothing shared is
 * written, and nobody waits for it.
 *
 * Following, where positions are never used again, means going on where the last look ended; where
 * they are, looking at all of it again and showing what has changed.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "shmclient/shmclient.h"
#include "tools/commands.h"
#include "tools/control.h"
#include "tools/item.h"
#include "tools/queue.h"
#include "tools/report.h"
#include "tools/stop.h"
#include "tools/text.h"
#include "tools/units.h"

#define ROOM_BYTES   (64u << 10) /* of one item; what is longer is cut */
#define TAIL_PRESET  10
#define PAUSE_MIN_NS INT64_C(1000000)
#define PAUSE_MAX_NS INT64_C(50000000)

struct viewer {
	const struct options *options;
	const char *name;
	struct shmc_client *client;
	struct shmc_observer *observer;
	struct shmc_look look;
	uint64_t shown; /* by this run */
	uint64_t told;	/* of look.missed */
	uint64_t skip;	/* items before the first that is wanted */
	bool follows;	/* what is not finished is waited for, not shown */
	int code;	/* why the look was ended, 0 = was not */
	/* where positions are used again: what was shown of each */
	uint64_t *seen;
	uint64_t seen_room;
	uint64_t index;
};

static int open_viewer(const struct options *options, struct viewer *viewer)
{
	char room[CONTROL_PATH_BYTES];
	struct shmc_client_options client = { .address = control_client_path(options, room),
					      .name = "shmbrokerctl" };
	struct shmc_error error;

	*viewer = (struct viewer){ .options = options, .name = options->arguments[0] };
	if (shmc_connect(&client, &viewer->client, &error) != SHMC_OK)
		return queue_report_error(&error);
	if (shmc_observer_open(viewer->client, viewer->name, &viewer->observer, &error) != SHMC_OK)
		return queue_report_error(&error);
	viewer->look.buffer = must(malloc(ROOM_BYTES));
	viewer->look.buffer_bytes = ROOM_BYTES;
	return 0;
}

static void close_viewer(struct viewer *viewer)
{
	shmc_observer_close(viewer->observer);
	if (viewer->client)
		shmc_disconnect(viewer->client);
	free(viewer->look.buffer);
	free(viewer->seen);
}

static int report_corrupt(const struct viewer *viewer)
{
	return report(EXIT_REFUSED, "CORRUPT",
		      "'%s' holds what no user of kind %s writes behind position %" PRIu64,
		      viewer->name, shmc_observer_kind(viewer->observer), viewer->look.from);
}

static uint64_t hash_of(const struct shmc_item *item)
{
	const unsigned char *data = item->data;
	uint64_t hash = UINT64_C(0xcbf29ce484222325) ^ item->size ^ (uintptr_t)item->state;

	for (uint64_t i = 0; i < item->data_bytes; i++)
		hash = (hash ^ data[i]) * UINT64_C(0x100000001b3);
	for (const char *c = item->text; c && *c; c++)
		hash = (hash ^ (unsigned char)*c) * UINT64_C(0x100000001b3);
	return hash | 1; /* 0 is: not seen yet */
}

/* Whether it is another one than when it was shown last. */
static bool has_changed(struct viewer *viewer, const struct shmc_item *item)
{
	uint64_t hash = hash_of(item);
	bool is_new;

	if (viewer->index >= viewer->seen_room) {
		uint64_t room = viewer->seen_room ? 2 * viewer->seen_room : 64;

		viewer->seen = must(realloc(viewer->seen, room * sizeof(*viewer->seen)));
		memset(viewer->seen + viewer->seen_room, 0,
		       (room - viewer->seen_room) * sizeof(*viewer->seen));
		viewer->seen_room = room;
	}
	is_new = viewer->seen[viewer->index] != hash;
	viewer->seen[viewer->index++] = hash;
	return is_new;
}

static int show(void *context, const struct shmc_item *item)
{
	struct viewer *viewer = context;
	const struct options *options = viewer->options;

	if (stop_code() || (options->count > 0 && viewer->shown >= options->count))
		return 1;
	if (viewer->follows && item->flags & SHMC_ITEM_UNFINISHED)
		return 1;
	if (viewer->follows && shmc_observer_positions(viewer->observer) == SHMC_POSITIONS_REUSED &&
	    !has_changed(viewer, item))
		return 0;
	if (viewer->skip > 0) {
		viewer->skip--;
		return 0;
	}
	viewer->shown++;
	viewer->code = item_print(options, item);
	return viewer->code != 0;
}

/* One look; 0 or the exit code. */
static int look(struct viewer *viewer, shmc_item_fn fn, void *context)
{
	enum shmc_result result = shmc_observer_look(viewer->observer, &viewer->look, fn, context);

	if (viewer->code)
		return viewer->code;
	if (result == SHMC_CORRUPT)
		return report_corrupt(viewer);
	if (result != SHMC_OK)
		return report(EXIT_REFUSED, shmc_result_name(result), "looking at '%s': %s",
			      viewer->name, shmc_result_text(result));
	return report_flush();
}

static int count_item(void *context, const struct shmc_item *item)
{
	if (item->what)
		*(uint64_t *)context += 1;
	return 0;
}

/* How many items there are before the last ones. */
static int skip_to_last(struct viewer *viewer, uint64_t last)
{
	void *buffer = viewer->look.buffer;
	uint64_t count = 0;
	int code;

	viewer->look.buffer = NULL;
	code = look(viewer, count_item, &count);
	viewer->look.buffer = buffer;
	viewer->look.from = SHMC_LOOK_OLDEST;
	viewer->look.missed = 0;
	viewer->skip = count > last ? count - last : 0;
	return code;
}

static void tell_missed(struct viewer *viewer)
{
	uint64_t missed = viewer->look.missed - viewer->told;
	bool counts_bytes = shmc_observer_positions(viewer->observer) == SHMC_POSITIONS_BYTES;

	if (missed == 0)
		return;
	viewer->told = viewer->look.missed;
	report(0, "Missed", "%" PRIu64 " %s of '%s' went by too fast to be shown", missed,
	       counts_bytes ? "bytes" : "items", viewer->name);
}

/* Waits until the next look: 0, or why there is none. */
static int pause_for(struct viewer *viewer, int64_t pause_ns)
{
	struct shmc_error error;
	int fd = -1;
	int r;

	if (shmc_client_fd(viewer->client, &fd, NULL) != SHMC_OK)
		fd = -1; /* found below */
	r = stop_or_readable(fd, pause_ns);
	if (r == -EINTR)
		return stop_code();
	if ((r == 0 || fd < 0) && queue_find_broker(viewer->client, &error) != SHMC_OK)
		return queue_report_error(&error);
	return 0;
}

static int report_quiet(const struct viewer *viewer)
{
	char text[UNITS_BYTES];

	return report(EXIT_TIMEOUT, "TIMEOUT", "'%s': nothing new within %s", viewer->name,
		      units_duration((uint64_t)viewer->options->timeout_ns, text));
}

static int follow(struct viewer *viewer)
{
	const struct options *options = viewer->options;
	bool streams = shmc_observer_positions(viewer->observer) != SHMC_POSITIONS_REUSED;
	int64_t pause_ns = PAUSE_MIN_NS, quiet_ns = 0;
	int code = 0;

	viewer->look.flags |= SHMC_LOOK_GONE;
	while (code == 0 && (options->count == 0 || viewer->shown < options->count)) {
		uint64_t before = viewer->shown;

		code = pause_for(viewer, pause_ns);
		if (code)
			return code;
		if (!streams)
			viewer->look.from = SHMC_LOOK_OLDEST;
		viewer->index = 0;
		code = look(viewer, show, viewer);
		tell_missed(viewer);
		quiet_ns = viewer->shown != before ? 0 : quiet_ns + pause_ns;
		pause_ns = viewer->shown != before ? PAUSE_MIN_NS : 2 * pause_ns;
		pause_ns = pause_ns < PAUSE_MAX_NS ? pause_ns : PAUSE_MAX_NS;
		if (code == 0 && options->timeout_ns >= 0 && quiet_ns >= options->timeout_ns)
			code = report_quiet(viewer);
	}
	return code;
}

static int view(struct viewer *viewer, bool from_end)
{
	const struct options *options = viewer->options;
	int code = 0;

	if (from_end)
		code = skip_to_last(viewer, options->max ? options->max : TAIL_PRESET);
	else
		viewer->look.max = options->max;
	viewer->follows = options->follow;
	if (code == 0)
		code = look(viewer, show, viewer);
	viewer->look.max = 0;
	viewer->skip = 0;
	if (code == 0 && options->follow)
		code = follow(viewer);
	return stop_code() ? stop_code() : code;
}

static int run(const struct options *options, bool from_end)
{
	struct viewer viewer;
	int code;

	stop_catch();
	code = open_viewer(options, &viewer);
	if (code == 0)
		code = view(&viewer, from_end);
	close_viewer(&viewer);
	return code;
}

int run_peek(const struct options *options)
{
	return run(options, false);
}

int run_tail(const struct options *options)
{
	return run(options, true);
}
