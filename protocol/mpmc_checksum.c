/*
 * mpmc: messages with checksums, where the creator wants them. A message's stands in the last word
 * of its slot and is published with it. Apart from mpmc.h, so that those without pay nothing.
 */
#include "protocol/checksum.h"
#include "protocol/mpmc.h"

static _Atomic uint64_t *word_of(const struct shmp_mpmc *queue, struct shmp_mpmc_slot *slot)
{
	return (void *)((uint8_t *)slot + queue->slot_bytes - sizeof(uint64_t));
}

void shmp_mpmc_commit_summed(struct shmp_mpmc *queue, uint64_t size)
{
	/* relaxed: published by the slot's word */
	atomic_store_explicit(word_of(queue, queue->hand.slot),
			      shmp_checksum(queue->hand.slot->payload, size), memory_order_relaxed);
	shmp_mpmc_commit(queue, size);
}

int shmp_mpmc_push_summed(struct shmp_mpmc *queue, const void *data, uint64_t size)
{
	uint8_t *room;
	int r = shmp_mpmc_reserve(queue, size, &room);

	if (r != SHMP_DONE)
		return r;
	shmp_copy(room, data, size);
	shmp_mpmc_commit_summed(queue, size);
	return SHMP_DONE;
}

/* Of what is in hand; skips it if it is damaged. */
static int check(struct shmp_mpmc *queue, const void *data, uint64_t size)
{
	/* relaxed: the slot's word published it */
	uint64_t sum = atomic_load_explicit(word_of(queue, queue->hand.slot), memory_order_relaxed);

	if (sum == shmp_checksum(data, size))
		return SHMP_DONE;
	shmp_mpmc_release(queue);
	return SHMP_DAMAGED;
}

int shmp_mpmc_peek_summed(struct shmp_mpmc *queue, uint64_t size_max,
			  struct shmp_mpmc_message *ret_message)
{
	int r = shmp_mpmc_peek(queue, size_max, ret_message);

	return r == SHMP_DONE ? check(queue, ret_message->data, ret_message->size) : r;
}

int shmp_mpmc_pop_summed(struct shmp_mpmc *queue, void *buffer, uint64_t buffer_bytes,
			 struct shmp_mpmc_message *ret_message)
{
	int r = shmp_mpmc_peek(queue, buffer_bytes, ret_message);

	if (r != SHMP_DONE)
		return r;
	/* the copy is checked, since a hostile producer may change the slot meanwhile */
	shmp_copy(buffer, ret_message->data, ret_message->size);
	ret_message->data = buffer;
	r = check(queue, buffer, ret_message->size);
	if (r == SHMP_DONE)
		shmp_mpmc_release(queue);
	return r;
}
