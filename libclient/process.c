#include "libclient/process.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdbool.h>
#include <sys/mman.h>
#include <unistd.h>

static pthread_mutex_t process_mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_once_t process_once = PTHREAD_ONCE_INIT;

/* Under process_mutex. */
static int process_once_error;
static struct shmc__holding *process_holdings;
static uint32_t *process_alive;

void shmc__process_lock(void)
{
	pthread_mutex_lock(&process_mutex);
}

void shmc__process_unlock(void)
{
	pthread_mutex_unlock(&process_mutex);
}

/* In the child, whose only thread this is. */
static void process_abandon(struct shmc__holding *holding)
{
	if (!holding->address)
		close(holding->fd);
	else if (mmap(holding->address, holding->bytes, PROT_NONE,
		      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED, -1, 0) == MAP_FAILED)
		munmap(holding->address, holding->bytes);
	holding->previous = NULL;
	holding->next = NULL;
}

static void process_in_child(void)
{
	struct shmc__holding *holding = process_holdings;

	while (holding) {
		struct shmc__holding *next = holding->next;

		process_abandon(holding);
		holding = next;
	}
	process_holdings = NULL;
	/* where the kernel knows no MADV_WIPEONFORK */
	if (process_alive)
		*process_alive = 0;
	process_alive = NULL;
	shmc__process_unlock();
}

static void process_watch_forks(void)
{
	process_once_error = pthread_atfork(shmc__process_lock, shmc__process_unlock,
					    process_in_child);
}

/* A child that came past the handlers (clone, _Fork) still has its parent's list and no right to
 * any of it; what is on it stays as it is. */
static void process_disown_list(void)
{
	process_holdings = NULL;
}

static int process_make_page(void)
{
	uint32_t *page = mmap(NULL, SHMP_PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
			      -1, 0);

	if (page == MAP_FAILED)
		return -errno;
	madvise(page, SHMP_PAGE, MADV_WIPEONFORK);
	*page = 1;
	process_alive = page;
	return 0;
}

int shmc__process_enter(const uint32_t **ret_alive)
{
	int r;

	/* without the mutex, which a child forked meanwhile would find locked for ever */
	pthread_once(&process_once, process_watch_forks);

	shmc__process_lock();
	/* what failed for want of memory is tried again */
	if (process_once_error)
		process_watch_forks();
	r = -process_once_error;
	if (r == 0 && (!process_alive || !*process_alive)) {
		process_disown_list();
		r = process_make_page();
	}
	if (r == 0)
		*ret_alive = process_alive;
	shmc__process_unlock();
	return r;
}

static void process_hold(struct shmc__holding *holding)
{
	holding->previous = NULL;
	holding->next = process_holdings;
	if (process_holdings)
		process_holdings->previous = holding;
	process_holdings = holding;
}

void shmc__process_hold_mapping(struct shmc__holding *holding, void *address, size_t bytes)
{
	holding->address = address;
	holding->bytes = bytes;
	holding->fd = -1;
	process_hold(holding);
}

void shmc__process_hold_fd(struct shmc__holding *holding, int fd)
{
	holding->address = NULL;
	holding->bytes = 0;
	holding->fd = fd;
	process_hold(holding);
}

void shmc__process_release(struct shmc__holding *holding)
{
	if (holding->previous)
		holding->previous->next = holding->next;
	else
		process_holdings = holding->next;
	if (holding->next)
		holding->next->previous = holding->previous;
	*holding = SHMC__HOLDING_NULL;
}

bool shmc__process_has_room(int fd)
{
	int first, second;

	shmc__process_lock();
	first = fcntl(fd, F_DUPFD_CLOEXEC, 0);
	second = fcntl(fd, F_DUPFD_CLOEXEC, 0);
	if (first >= 0)
		close(first);
	if (second >= 0)
		close(second);
	shmc__process_unlock();
	return first >= 0 && second >= 0;
}

void shmc__process_close_fd(struct shmc__holding *holding)
{
	int fd = holding->fd;

	if (fd < 0)
		return;
	shmc__process_lock();
	shmc__process_release(holding);
	close(fd);
	shmc__process_unlock();
}
