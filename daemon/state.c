#include "daemon/state.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "config.h"

#define STATE_MAGIC	0x0031746174736273u /* "sbstat1" */
#define STATE_BYTES_MAX (UINT64_C(1) << 30) /* of addresses; the file grows below */
#define GROWTH_BYTES	(16u << 10)

#ifndef MFD_NOEXEC_SEAL
#define MFD_NOEXEC_SEAL 0x0008U /* Linux 6.3; older headers lack it */
#endif

static struct state_mark *mark_at(const struct state *state, uint32_t number)
{
	return (struct state_mark *)(void *)(state->base + (size_t)number * STATE_BLOCK_BYTES);
}

struct state_head *state_head(const struct state *state)
{
	return (struct state_head *)(void *)state->base;
}

/* Whoever stops this process for a moment, or looks at it, interrupts that. 0 or -errno. */
static int allocate(int fd, uint64_t at, size_t bytes)
{
	int r;

	do {
		r = fallocate(fd, 0, (off_t)at, (off_t)bytes);
	} while (r < 0 && errno == EINTR);
	return r < 0 ? -errno : 0;
}

static int make_file(const char *name, size_t bytes, int *ret_fd)
{
	int fd = memfd_create(name, MFD_CLOEXEC | MFD_NOEXEC_SEAL);
	int r;

	if (fd < 0 && errno == EINVAL)
		fd = memfd_create(name, MFD_CLOEXEC);
	if (fd < 0)
		return -errno;
	r = fchmod(fd, 0600) < 0 ? -errno : 0;
	if (r == 0 && bytes > 0)
		r = allocate(fd, 0, bytes);
	if (r < 0) {
		close(fd);
		return r;
	}
	*ret_fd = fd;
	return 0;
}

/* All that it may ever have, so that what is in it stays where it is. */
static int map(struct state *state)
{
	void *base = mmap(NULL, STATE_BYTES_MAX, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE,
			  state->fd, 0);

	if (base == MAP_FAILED)
		return -errno;
	madvise(base, STATE_BYTES_MAX, MADV_DONTDUMP);
	madvise(base, STATE_BYTES_MAX, MADV_DONTFORK);
	state->base = base;
	return 0;
}

static void enlist_free(struct state *state, uint32_t number)
{
	mark_at(state, number)->owner = state->free;
	state->free = number;
}

/* The pages are had before anybody writes to them: shortage is an error and no signal. */
static int grow(struct state *state)
{
	uint64_t bytes = (uint64_t)state->count * STATE_BLOCK_BYTES;
	uint32_t more = GROWTH_BYTES / STATE_BLOCK_BYTES;
	int r;

	if (bytes + GROWTH_BYTES > STATE_BYTES_MAX)
		return -ENOSPC;
	r = allocate(state->fd, bytes, GROWTH_BYTES);
	if (r < 0)
		return r;
	state->count += more;
	/* the lowest first; the head is never one */
	for (uint32_t i = 1; i <= more; i++)
		if (state->count - i > 0)
			enlist_free(state, state->count - i);
	return 0;
}

int state_make(const char *epoch, struct state *ret_state)
{
	struct state state = STATE_NULL;
	struct state_head *head;
	int r = make_file("shmbroker:state", 0, &state.fd);

	if (r < 0)
		return r;
	r = map(&state);
	if (r == 0)
		r = grow(&state);
	if (r < 0) {
		state_close(&state);
		return r;
	}
	head = state_head(&state);
	head->version = STATE_VERSION;
	head->block_bytes = STATE_BLOCK_BYTES;
	snprintf(head->epoch, sizeof(head->epoch), "%s", epoch);
	snprintf(head->broker, sizeof(head->broker), "%s", SHMBROKER_VERSION);
	state_write(&head->magic, STATE_MAGIC);
	*ret_state = state;
	return 0;
}

static int check_head(const struct state *state, uint64_t bytes, struct state_origin *ret_origin)
{
	const struct state_head *head = state_head(state);

	if (bytes < STATE_BLOCK_BYTES || state_read(&head->magic) != STATE_MAGIC)
		return -EBADMSG;
	ret_origin->version = head->version;
	snprintf(ret_origin->broker, sizeof(ret_origin->broker), "%.*s",
		 (int)sizeof(head->broker) - 1, head->broker);
	if (head->version != STATE_VERSION || head->block_bytes != STATE_BLOCK_BYTES)
		return -EPROTONOSUPPORT;
	return memchr(head->epoch, '\0', sizeof(head->epoch)) ? 0 : -EBADMSG;
}

int state_take(int fd, struct state *ret_state, struct state_origin *ret_origin)
{
	struct state state = STATE_NULL;
	struct stat file;
	int r;

	if (fstat(fd, &file) < 0)
		return -errno;
	if (!S_ISREG(file.st_mode))
		return -EBADMSG;
	state.fd = fd;
	r = map(&state);
	if (r < 0)
		return r;
	r = check_head(&state, (uint64_t)file.st_size, ret_origin);
	if (r < 0) {
		state.fd = -1; /* the caller's */
		state_close(&state);
		return r;
	}
	state.count = (uint32_t)((uint64_t)file.st_size / STATE_BLOCK_BYTES);
	for (uint32_t i = state.count - 1; i > 0; i--)
		if (state_type_of(mark_at(&state, i)) == STATE_FREE)
			enlist_free(&state, i);
	*ret_state = state;
	return 0;
}

int state_freeze(struct state *state)
{
	if (state->base &&
	    mmap(state->base, STATE_BYTES_MAX, PROT_READ | PROT_WRITE,
		 MAP_PRIVATE | MAP_NORESERVE | MAP_FIXED, state->fd, 0) == MAP_FAILED)
		return -errno;
	return 0;
}

void state_close(struct state *state)
{
	if (state->base)
		munmap(state->base, STATE_BYTES_MAX);
	if (state->fd >= 0)
		close(state->fd);
	*state = STATE_NULL;
}

int state_add(struct state *state, void **ret_block)
{
	struct state_mark *mark;
	int r;

	*ret_block = NULL;
	if (!state_is_there(state))
		return 0;
	if (state->free == 0) {
		r = grow(state);
		if (r < 0)
			return r;
	}
	mark = mark_at(state, state->free);
	state->free = (uint32_t)mark->owner;
	memset((void *)mark, 0, STATE_BLOCK_BYTES);
	*ret_block = mark;
	return 0;
}

void state_commit(struct state_mark *mark, enum state_type type, uint64_t owner, uint32_t part)
{
	if (!mark)
		return;
	mark->owner = owner;
	state_write(&mark->word, (uint64_t)part << 8 | type);
}

void state_drop(struct state *state, struct state_mark *mark)
{
	if (!mark || !state_is_there(state))
		return;
	state_write(&mark->word, STATE_FREE);
	enlist_free(state, (uint32_t)((size_t)((uint8_t *)mark - state->base) / STATE_BLOCK_BYTES));
}

void state_each(const struct state *state, enum state_type type,
		void (*fn)(void *context, struct state_mark *mark), void *context)
{
	for (uint32_t i = 1; i < state->count; i++)
		if (state_type_of(mark_at(state, i)) == type)
			fn(context, mark_at(state, i));
}

int state_file_make(const char *name, size_t bytes, struct state_file *ret_file)
{
	struct state_file file = { .bytes = bytes };
	int r = make_file(name, bytes, &file.fd);

	if (r < 0)
		return r;
	file.base = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, file.fd, 0);
	if (file.base == MAP_FAILED) {
		r = -errno;
		close(file.fd);
		return r;
	}
	madvise(file.base, bytes, MADV_DONTFORK);
	*ret_file = file;
	return 0;
}

static int map_over(const struct state_file *file, int fd, int flags)
{
	void *base = mmap(file->base, file->bytes, PROT_READ | PROT_WRITE, flags | MAP_FIXED, fd,
			  0);

	return base == MAP_FAILED ? -errno : 0;
}

int state_file_take(struct state_file *file, int fd)
{
	struct stat status;
	int r;

	if (fstat(fd, &status) < 0)
		return -errno;
	if (!S_ISREG(status.st_mode) || (uint64_t)status.st_size != file->bytes)
		return -EBADMSG;
	r = map_over(file, fd, MAP_SHARED);
	if (r < 0)
		return r;
	madvise(file->base, file->bytes, MADV_DONTFORK);
	close(file->fd);
	file->fd = fd;
	return 0;
}

int state_file_freeze(struct state_file *file)
{
	return file->base ? map_over(file, file->fd, MAP_PRIVATE) : 0;
}

void state_file_close(struct state_file *file)
{
	if (file->base)
		munmap(file->base, file->bytes);
	if (file->fd >= 0)
		close(file->fd);
	*file = STATE_FILE_NULL;
}
