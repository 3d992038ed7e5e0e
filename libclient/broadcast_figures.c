/* What a broadcast is, holds and has done. */
#include "libclient/broadcast.h"
#include "protocol/broadcast_scan.h"

enum shmc_result shmc_broadcast_look(const struct shmc_broadcast *broadcast, struct shmc_look *look,
				     shmc_item_fn fn, void *context)
{
	return shmc__object_look(&broadcast->object, look, fn, context);
}

enum shmc_result shmc_broadcast_options_of(const struct shmc_broadcast *broadcast,
					   struct shmc_broadcast_options *ret_options)
{
	const uint64_t *option;

	if (shmc__object_is_forked(&broadcast->object))
		return SHMC_FORKED;
	option = broadcast->object.mapping->segment.plan.option;
	*ret_options = (struct shmc_broadcast_options){
		.capacity_bytes = option[SHMP_BROADCAST_CAPACITY_BYTES],
		.message_bytes_max = option[SHMP_BROADCAST_MESSAGE_BYTES_MAX],
		.writers_max = option[SHMP_BROADCAST_WRITERS_MAX],
		.readers_max = option[SHMP_BROADCAST_READERS_MAX],
		.policy = (uint32_t)option[SHMP_BROADCAST_BLOCK],
		.exclusive = (uint32_t)option[SHMP_BROADCAST_EXCLUSIVE],
	};
	return SHMC_OK;
}

/* How far the reader at @index is behind @tail; 0 when there is none. */
static uint64_t broadcast_behind(const struct shmp_segment *segment, uint32_t index, uint64_t tail)
{
	uint64_t position;

	if (!shmp_broadcast_load_cursor(&segment->endpoints[index], &position) || position >= tail)
		return 0;
	return (tail - position) << SHMP_BROADCAST_UNIT_SHIFT;
}

static uint64_t broadcast_tail(const struct shmp_segment *segment)
{
	struct shmp_broadcast ring;

	(void)shmp_broadcast_view(segment, &ring); /* a statistic, sane or not */
	return shmp_broadcast_load_tail(&ring) >> 8;
}

static void broadcast_add(const struct shmc__object *object, uint32_t index,
			  struct shmc_statistics *sum)
{
	struct shmc_statistics one;

	shmc__object_statistics(object, index, &one);
	sum->messages += one.messages;
	sum->bytes += one.bytes;
	sum->refused += one.refused;
	sum->waits += one.waits;
}

enum shmc_result shmc_broadcast_statistics(const struct shmc_broadcast *broadcast,
					   struct shmc_broadcast_statistics *ret_statistics)
{
	struct shmc_broadcast_statistics all = { .lost = 0 };
	const struct shmp_segment *segment;
	uint32_t writers;

	if (shmc__object_is_forked(&broadcast->object))
		return SHMC_FORKED;
	segment = &broadcast->object.mapping->segment;
	writers = (uint32_t)segment->plan.option[SHMP_BROADCAST_WRITERS_MAX];
	all.position = broadcast_tail(segment);
	/* the readers first: nothing is read before it is sent */
	for (uint32_t i = writers; i < segment->plan.endpoint_count; i++) {
		uint64_t behind = broadcast_behind(segment, i, all.position);

		broadcast_add(&broadcast->object, i, &all.readers);
		all.lost += shmp_broadcast_total_lost(&segment->endpoints[i]);
		all.behind_bytes = behind > all.behind_bytes ? behind : all.behind_bytes;
	}
	for (uint32_t i = 0; i < writers; i++)
		broadcast_add(&broadcast->object, i, &all.writers);
	*ret_statistics = all;
	return SHMC_OK;
}

enum shmc_result shmc_broadcast_endpoint(const struct shmc_broadcast *broadcast, uint32_t index,
					 struct shmc_broadcast_endpoint *ret_endpoint)
{
	struct shmc_broadcast_endpoint endpoint = { .role = SHMC_BROADCAST_WRITER };
	const struct shmp_segment *segment;

	if (shmc__object_is_forked(&broadcast->object))
		return SHMC_FORKED;
	segment = &broadcast->object.mapping->segment;
	if (index >= segment->plan.endpoint_count)
		return SHMC_INVALID;
	endpoint.state = shmc__object_peer(&broadcast->object, index);
	endpoint.is_own = index == broadcast->object.endpoint;
	shmc__object_statistics(&broadcast->object, index, &endpoint.moved);
	if (index >= segment->plan.option[SHMP_BROADCAST_WRITERS_MAX]) {
		endpoint.role = SHMC_BROADCAST_READER;
		endpoint.lost = shmp_broadcast_total_lost(&segment->endpoints[index]);
		endpoint.behind_bytes = broadcast_behind(segment, index, broadcast_tail(segment));
	}
	*ret_endpoint = endpoint;
	return SHMC_OK;
}
