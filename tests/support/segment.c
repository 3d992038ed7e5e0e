#include "tests/support/segment.h"

#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

void shmt_segment_make(struct shmt_segment *segment, const char *kind, const uint64_t *option)
{
	shmt_segment_make_with(segment, kind, option, NULL, 0);
}

void shmt_segment_make_with(struct shmt_segment *segment, const char *kind, const uint64_t *option,
			    const void *init, size_t bytes)
{
	const char *why = NULL;
	int proc = open("/proc/self/fd", O_PATH | O_DIRECTORY | O_CLOEXEC);

	*segment = (struct shmt_segment){ .kind = shmp_kind_find(kind) };
	SHMT_REQUIRE(proc >= 0 && segment->kind);
	SHMT_REQUIRE(segment->kind->plan(option, &segment->plan, &why) == 0);
	SHMT_REQUIRE(!segment->kind->check_init ||
		     segment->kind->check_init(&segment->plan, init, bytes, &why) == 0);
	SHMT_REQUIRE(shmp_segment_make(&segment->plan, "test", proc, &segment->fds) == 0);
	SHMT_REQUIRE(shmp_segment_reserve(&segment->fds, &segment->plan) == 0);
	SHMT_REQUIRE(shmp_segment_seal(&segment->fds) == 0);
	SHMT_REQUIRE(shmp_segment_map(&segment->plan, segment->kind->mirrored, segment->fds.ctl,
				      SHMP_ACCESS_WRITE, segment->fds.data, SHMP_ACCESS_WRITE,
				      &segment->map) == 0);
	segment->kind->init(&segment->map);
	if (segment->kind->load_init)
		segment->kind->load_init(&segment->map, init, bytes);
	close(proc);
}

void shmt_segment_free(struct shmt_segment *segment)
{
	shmp_segment_unmap(&segment->map);
	shmp_segment_close(&segment->fds);
}

void shmt_segment_map(const struct shmt_segment *segment, const char *role,
		      struct shmp_segment *ret_map)
{
	const struct shmp_role *as = shmp_kind_role(segment->kind, role);
	int data = segment->fds.data_readonly;

	SHMT_REQUIRE(as);
	if (as->data == SHMP_ACCESS_WRITE)
		data = segment->fds.data;
	SHMT_REQUIRE(shmp_segment_map(&segment->plan, segment->kind->mirrored, segment->fds.ctl,
				      as->ctl, data, as->data, ret_map) == 0);
}

/* @parts of @fd, each @times in a row, with an untouchable page on either side. */
static uint8_t *map_guarded(int fd, uint64_t bytes, uint64_t parts, uint64_t times, int protection)
{
	uint8_t *room = mmap(NULL, bytes * times + 2 * SHMP_PAGE, PROT_NONE,
			     MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	SHMT_REQUIRE(room != MAP_FAILED);
	for (uint64_t i = 0; i < parts * times; i++)
		SHMT_REQUIRE(mmap(room + SHMP_PAGE + i * (bytes / parts), bytes / parts, protection,
				  MAP_SHARED | MAP_FIXED, fd,
				  (off_t)(i / times * (bytes / parts))) != MAP_FAILED);
	return room + SHMP_PAGE;
}

static uint8_t *map_data_guarded(const struct shmt_segment *segment, int protection)
{
	const struct shmp_plan *plan = &segment->plan;

	return map_guarded(segment->fds.data, plan->data_bytes, plan->rings != 0 ? plan->rings : 1,
			   segment->kind->mirrored ? 2 : 1, protection);
}

struct shmp_segment shmt_segment_map_guarded(const struct shmt_segment *segment, int protection)
{
	const struct shmp_plan *plan = &segment->plan;
	uint8_t *ctl = map_guarded(segment->fds.ctl, plan->ctl_bytes, 1, 1, protection);
	struct shmp_segment view = { .mirrored = segment->kind->mirrored, .plan = *plan };

	view.head = (void *)ctl;
	view.control = ctl + sizeof(struct shmp_head);
	view.endpoints = (void *)(ctl + sizeof(struct shmp_head) + plan->control_bytes);
	if (plan->data_bytes > 0)
		view.data = map_data_guarded(segment, protection);
	if (plan->rings > 1)
		view.read_data = map_data_guarded(segment, PROT_READ);
	return view;
}

static uint64_t state_word(const struct shmp_endpoint *endpoint)
{
	return atomic_load_explicit(&endpoint->state, memory_order_acquire);
}

void shmt_place_assign(const struct shmt_segment *segment, uint32_t place)
{
	struct shmp_endpoint *endpoint = &segment->map.endpoints[place];
	uint64_t word = state_word(endpoint);
	const char *why = NULL;

	SHMT_REQUIRE(shmp_endpoint_is_open(shmp_endpoint_state_of(word)));
	SHMT_REQUIRE(segment->kind->validate(&segment->map, &why) == 0);
	segment->kind->attach(&segment->map, place);
	shmp_endpoint_set_state(endpoint, shmp_endpoint_incarnation_of(word) + 1,
				SHMP_ENDPOINT_ACTIVE);
}

void shmt_place_vacate(const struct shmt_segment *segment, uint32_t place, bool died, int times)
{
	struct shmp_endpoint *endpoint = &segment->map.endpoints[place];
	uint64_t incarnation = shmp_endpoint_incarnation_of(state_word(endpoint));

	while (times-- > 0) {
		if (died)
			shmp_endpoint_set_state(endpoint, incarnation, SHMP_ENDPOINT_DYING);
		SHMT_REQUIRE(segment->kind->repair(&segment->map, place, died) == 0);
	}
	atomic_fetch_add_explicit(&endpoint->deaths, died, memory_order_relaxed);
	shmp_endpoint_set_state(endpoint, incarnation,
				died ? SHMP_ENDPOINT_DEAD : SHMP_ENDPOINT_LEFT);
	segment->kind->wake(&segment->map);
}
