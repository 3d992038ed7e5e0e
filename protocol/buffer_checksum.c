/* Checksums of ranges of a buffer. Apart from buffer.c, since the broker needs none of it. */
#include "protocol/buffer.h"
#include "protocol/checksum.h"

static uint64_t load_word(const _Atomic uint64_t *word)
{
	/* relaxed: whoever reads the table holds the lock; what is hostile is only compared */
	return atomic_load_explicit(word, memory_order_relaxed);
}

static void store_word(_Atomic uint64_t *word, uint64_t value)
{
	/* relaxed: published by the lock, and to successors of the dead by program order */
	atomic_store_explicit(word, value, memory_order_relaxed);
	/* keeps the compiler from another order than this one: a death may come in between */
	atomic_signal_fence(memory_order_seq_cst); /* [lock.L] fence; for the dead, program order */
}

/* The entry of exactly this range. */
static struct shmp_buffer_checksum *find(const struct shmp_buffer *buffer, uint64_t offset,
					 uint64_t bytes)
{
	for (uint64_t i = 0; i < buffer->checksum_count; i++) {
		struct shmp_buffer_checksum *entry = &buffer->checksums[i];

		if (load_word(&entry->sum) != 0 && load_word(&entry->offset) == offset &&
		    load_word(&entry->bytes) == bytes)
			return entry;
	}
	return NULL;
}

static struct shmp_buffer_checksum *find_room(const struct shmp_buffer *buffer)
{
	for (uint64_t i = 0; i < buffer->checksum_count; i++)
		if (load_word(&buffer->checksums[i].sum) == 0)
			return &buffer->checksums[i];
	return NULL;
}

int shmp_buffer_store_checksum(struct shmp_buffer *buffer, uint64_t offset, uint64_t bytes)
{
	struct shmp_buffer_checksum *entry = find(buffer, offset, bytes);

	if (!entry)
		entry = find_room(buffer);
	if (!entry)
		return SHMP_FULL;
	store_word(&entry->sum, 0);
	store_word(&entry->offset, offset);
	store_word(&entry->bytes, bytes);
	store_word(&entry->sum,
		   shmp_checksum(shmp_buffer_at(buffer, offset), bytes) | SHMP_BUFFER_STORED);
	return SHMP_DONE;
}

int shmp_buffer_forget_checksum(struct shmp_buffer *buffer, uint64_t offset, uint64_t bytes)
{
	struct shmp_buffer_checksum *entry = find(buffer, offset, bytes);

	if (!entry)
		return SHMP_EMPTY;
	store_word(&entry->sum, 0);
	return SHMP_DONE;
}

bool shmp_buffer_checksum_range(const struct shmp_buffer *buffer, uint64_t index,
				uint64_t *ret_offset, uint64_t *ret_bytes)
{
	const struct shmp_buffer_checksum *entry = &buffer->checksums[index];
	uint64_t offset = load_word(&entry->offset), bytes = load_word(&entry->bytes);

	if (load_word(&entry->sum) == 0 || !shmp_buffer_has(buffer, offset, bytes))
		return false;
	*ret_offset = offset;
	*ret_bytes = bytes;
	return true;
}

int shmp_buffer_verify(const struct shmp_buffer *buffer, uint64_t offset, uint64_t bytes,
		       const void *copy)
{
	const struct shmp_buffer_checksum *entry = find(buffer, offset, bytes);
	const void *data = copy ? copy : shmp_buffer_at(buffer, offset);

	if (!entry)
		return SHMP_EMPTY;
	return load_word(&entry->sum) == (shmp_checksum(data, bytes) | SHMP_BUFFER_STORED) ?
		       SHMP_DONE :
		       SHMP_DAMAGED;
}
