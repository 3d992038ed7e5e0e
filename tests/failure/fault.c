#include "tests/failure/fault.h"

#include <cjson/cJSON.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <linux/membarrier.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <sys/vfs.h>
#include <sys/wait.h>
#include <unistd.h>

#ifndef MFD_NOEXEC_SEAL
#define MFD_NOEXEC_SEAL 8u
#endif
#ifndef SO_PEERPIDFD
#define SO_PEERPIDFD 77
#endif

#define ERRORS_MAX 6

static struct fault own;
struct fault *fault = &own;

void fault_share(void)
{
	void *shared = mmap(NULL, sizeof(*fault), PROT_READ | PROT_WRITE,
			    MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	if (shared == MAP_FAILED)
		abort();
	fault = memcpy(shared, fault, sizeof(*fault));
}

void fault_arm(unsigned long chosen, unsigned error)
{
	fault->points = 0;
	fault->chosen = chosen;
	fault->error = error;
	fault->error_count = 0;
	fault->has_failed = false;
	fault->is_armed = true;
}

bool fault_disarm(void)
{
	fault->is_armed = false;
	return fault->has_failed;
}

bool fault_next(struct fault_round *round)
{
	if (!round->has_begun) {
		round->has_begun = true;
		round->chosen = 1;
		return true;
	}
	if (!fault->has_failed)
		return false;
	round->failures++;
	if (++round->error >= fault->error_count || FAULT_HASTENS) {
		round->chosen++;
		/* which one changes from call to call */
		round->error = FAULT_HASTENS ? (unsigned)round->chosen : 0;
	}
	return true;
}

const char *fault_text(void)
{
	static char text[128];

	snprintf(text, sizeof(text), "%s: %s", fault->call, strerror(fault->number));
	return text;
}

static bool is_meant(bool with_children)
{
	return fault->owner == 0 || fault->owner == getpid() ||
	       (with_children && fault->owner == getppid());
}

bool fault_fails(const char *call, const int *errors)
{
	unsigned count = 0;

	if (!fault->is_armed || !is_meant(true) ||
	    atomic_fetch_add(&fault->points, 1) + 1 != fault->chosen)
		return false;
	while (errors[count])
		count++;
	fault->error_count = count;
	fault->number = errors[fault->error % count];
	snprintf(fault->call, sizeof(fault->call), "%s", call);
	fault->has_failed = true;
	if (getenv("SHMT_FAULT_STOP"))
		raise(SIGTRAP); /* for a debugger: how it came here */
	errno = fault->number;
	return true;
}

#define FAILS(call_, ...) fault_fails(call_, (const int[]){ __VA_ARGS__, 0 })

static bool is_refused(enum fault_without what)
{
	if (!(fault->lacks & what) || !is_meant(true))
		return false;
	fault->refusals++;
	return true;
}

/* ---- memory ---------------------------------------------------------------------------------- */

void *__real_malloc(size_t bytes);
void *__real_calloc(size_t count, size_t bytes);
void *__real_realloc(void *old, size_t bytes);
void __real_free(void *block);
char *__real_strdup(const char *text);
char *__real_strndup(const char *text, size_t bytes);

void *__wrap_malloc(size_t bytes);
void *__wrap_calloc(size_t count, size_t bytes);
void *__wrap_realloc(void *old, size_t bytes);
void __wrap_free(void *block);
char *__wrap_strdup(const char *text);
char *__wrap_strndup(const char *text, size_t bytes);

static void *counted(void *block)
{
	if (block && is_meant(false))
		fault->blocks++;
	return block;
}

void *__wrap_malloc(size_t bytes)
{
	return FAILS("malloc", ENOMEM) ? NULL : counted(__real_malloc(bytes));
}

void *__wrap_calloc(size_t count, size_t bytes)
{
	return FAILS("calloc", ENOMEM) ? NULL : counted(__real_calloc(count, bytes));
}

void *__wrap_realloc(void *old, size_t bytes)
{
	if (FAILS("realloc", ENOMEM))
		return NULL;
	return old ? __real_realloc(old, bytes) : counted(__real_malloc(bytes));
}

char *__wrap_strdup(const char *text)
{
	return FAILS("strdup", ENOMEM) ? NULL : counted(__real_strdup(text));
}

char *__wrap_strndup(const char *text, size_t bytes)
{
	return FAILS("strndup", ENOMEM) ? NULL : counted(__real_strndup(text, bytes));
}

void (*fault_after_free)(void);

void __wrap_free(void *block)
{
	if (block && is_meant(false))
		fault->blocks--;
	__real_free(block);
	if (block && fault_after_free)
		fault_after_free();
}

/* It is a shared library: asked for, it allocates as the program does. */
__attribute__((constructor)) static void lead_cjson(void)
{
	cJSON_InitHooks(&(cJSON_Hooks){ .malloc_fn = __wrap_malloc, .free_fn = __wrap_free });
}

void (*fault_at_atfork)(void);

/* It allocates, in the C library. Return: an error's number, as of all of pthread. */
int __real_pthread_atfork(void (*prepare)(void), void (*parent)(void), void (*child)(void));
int __wrap_pthread_atfork(void (*prepare)(void), void (*parent)(void), void (*child)(void));

int __wrap_pthread_atfork(void (*prepare)(void), void (*parent)(void), void (*child)(void))
{
	if (fault_at_atfork)
		fault_at_atfork();
	return FAILS("pthread_atfork", ENOMEM) ? ENOMEM :
						 __real_pthread_atfork(prepare, parent, child);
}

/* ---- the kernel ------------------------------------------------------------------------------ */

#define WRAP(type_, name_, declared_, passed_, ...)                                     \
	type_ __real_##name_ declared_;                                                 \
	type_ __wrap_##name_ declared_;                                                 \
	type_ __wrap_##name_ declared_                                                  \
	{                                                                               \
		return FAILS(#name_, __VA_ARGS__) ? (type_)-1 : __real_##name_ passed_; \
	}

WRAP(int, ftruncate64, (int fd, off_t bytes), (fd, bytes), EINTR, ENOSPC)
WRAP(int, fallocate64, (int fd, int mode, off_t at, off_t bytes), (fd, mode, at, bytes), EINTR,
     ENOSPC, ENOMEM)
WRAP(int, fchmod, (int fd, mode_t mode), (fd, mode), EPERM)
WRAP(int, madvise, (void *at, size_t bytes, int advice), (at, bytes, advice), EINVAL, ENOMEM)
WRAP(int, mlock, (const void *at, size_t bytes), (at, bytes), ENOMEM, EPERM)
WRAP(int, socket, (int domain, int type, int protocol), (domain, type, protocol), EMFILE, ENFILE,
     ENOMEM)
WRAP(int, socketpair, (int domain, int type, int protocol, int *ends),
     (domain, type, protocol, ends), EMFILE, ENFILE, ENOMEM)
WRAP(int, connect, (int fd, const struct sockaddr *name, socklen_t bytes), (fd, name, bytes),
     ECONNREFUSED, EPERM, ENOENT)
WRAP(int, accept4, (int fd, struct sockaddr *name, socklen_t *bytes, int flags),
     (fd, name, bytes, flags), EMFILE, ENFILE, ENOMEM, ECONNABORTED, EINTR, EAGAIN)
WRAP(int, setsockopt, (int fd, int level, int option, const void *value, socklen_t bytes),
     (fd, level, option, value, bytes), ENOPROTOOPT, ENOMEM, EINTR)
WRAP(ssize_t, sendmsg, (int fd, const struct msghdr *message, int flags), (fd, message, flags),
     EINTR, EAGAIN, ENOBUFS, ENOMEM, ETOOMANYREFS, EPIPE)
WRAP(ssize_t, send, (int fd, const void *bytes, size_t count, int flags), (fd, bytes, count, flags),
     EINTR, EAGAIN, EPIPE)
WRAP(ssize_t, recv, (int fd, void *bytes, size_t count, int flags), (fd, bytes, count, flags),
     EINTR, EAGAIN)
WRAP(int, ppoll,
     (struct pollfd * fds, nfds_t count, const struct timespec *timeout, const sigset_t *mask),
     (fds, count, timeout, mask), EINTR)
WRAP(int, pipe2, (int *ends, int flags), (ends, flags), EMFILE, ENFILE)
WRAP(pid_t, fork, (void), (), EAGAIN, ENOMEM)
WRAP(int, bind, (int fd, const struct sockaddr *name, socklen_t bytes), (fd, name, bytes),
     EADDRINUSE, EACCES, ENOSPC, ENOMEM)
WRAP(int, listen, (int fd, int backlog), (fd, backlog), EADDRINUSE, ENOMEM)
WRAP(int, getsockname, (int fd, struct sockaddr *name, socklen_t *bytes), (fd, name, bytes),
     ENOBUFS)
WRAP(int, flock, (int fd, int operation), (fd, operation), ENOLCK, ENOMEM)
WRAP(int, mkdir, (const char *path, mode_t mode), (path, mode), EACCES, ENOSPC)
WRAP(int, chmod, (const char *path, mode_t mode), (path, mode), EPERM, EROFS)
WRAP(int, unlink, (const char *path), (path), EACCES, EROFS)
WRAP(int, stat64, (const char *path, struct stat64 *status), (path, status), ENOMEM, EACCES)
WRAP(int, lstat64, (const char *path, struct stat64 *status), (path, status), ENOMEM, EACCES)
WRAP(int, fstatfs64, (int fd, struct statfs64 *status), (fd, status), EINTR, ENOSYS)
WRAP(ssize_t, read, (int fd, void *bytes, size_t count), (fd, bytes, count), EINTR, EAGAIN)
WRAP(ssize_t, write, (int fd, const void *bytes, size_t count), (fd, bytes, count), EINTR, EAGAIN,
     ENOSPC)
WRAP(ssize_t, pwrite64, (int fd, const void *bytes, size_t count, off_t at), (fd, bytes, count, at),
     EINTR, ENOSPC)
WRAP(int, dup2, (int fd, int number), (fd, number), EINTR, EBUSY)
WRAP(int, execv, (const char *path, char *const *argv), (path, argv), ENOMEM, EACCES, ENOENT)
WRAP(int, signalfd, (int fd, const sigset_t *signals, int flags), (fd, signals, flags), EMFILE,
     ENFILE, ENOMEM)
WRAP(int, setenv, (const char *name, const char *value, int replaces), (name, value, replaces),
     ENOMEM)

ssize_t __real_recvmsg(int fd, struct msghdr *message, int flags);
ssize_t __wrap_recvmsg(int fd, struct msghdr *message, int flags);

/* Who peeks without waiting is told by EAGAIN alone that there is nothing: the kernel does not lie. */
ssize_t __wrap_recvmsg(int fd, struct msghdr *message, int flags)
{
	bool fails = flags & MSG_PEEK ? FAILS("recvmsg", EINTR, ENOMEM) :
					FAILS("recvmsg", EINTR, ENOMEM, ECONNRESET, EAGAIN);

	return fails ? -1 : __real_recvmsg(fd, message, flags);
}

/* Nothing to wait for, nothing to be interrupted: the broker's log asks so before each line. */
int __real_poll(struct pollfd *fds, nfds_t count, int timeout_ms);
int __wrap_poll(struct pollfd *fds, nfds_t count, int timeout_ms);

int __wrap_poll(struct pollfd *fds, nfds_t count, int timeout_ms)
{
	return timeout_ms != 0 && FAILS("poll", EINTR, ENOMEM) ?
		       -1 :
		       __real_poll(fds, count, timeout_ms);
}

/* The same. */
int __real_waitid(idtype_t type, id_t id, siginfo_t *info, int options);
int __wrap_waitid(idtype_t type, id_t id, siginfo_t *info, int options);

int __wrap_waitid(idtype_t type, id_t id, siginfo_t *info, int options)
{
	return !(options & WNOHANG) && FAILS("waitid", EINTR) ?
		       -1 :
		       __real_waitid(type, id, info, options);
}

void *__real_mmap64(void *at, size_t bytes, int protection, int flags, int fd, off_t offset);
void *__wrap_mmap64(void *at, size_t bytes, int protection, int flags, int fd, off_t offset);
int __real_munmap(void *at, size_t bytes);
int __wrap_munmap(void *at, size_t bytes);

static void count_mapped(size_t bytes, int sign)
{
	if (is_meant(false))
		fault->mapped_bytes += sign * (long)((bytes + 4095) & ~(size_t)4095);
}

void *__wrap_mmap64(void *at, size_t bytes, int protection, int flags, int fd, off_t offset)
{
	void *base = FAILS("mmap", ENOMEM, EAGAIN, EPERM) ?
			     MAP_FAILED :
			     __real_mmap64(at, bytes, protection, flags, fd, offset);

	/* what goes over something is in the place of as much */
	if (base != MAP_FAILED && !(flags & MAP_FIXED))
		count_mapped(bytes, 1);
	return base;
}

int __wrap_munmap(void *at, size_t bytes)
{
	int r = __real_munmap(at, bytes);

	if (r == 0)
		count_mapped(bytes, -1);
	return r;
}

int __real_memfd_create(const char *name, unsigned flags);
int __wrap_memfd_create(const char *name, unsigned flags);

int __wrap_memfd_create(const char *name, unsigned flags)
{
	if ((flags & MFD_NOEXEC_SEAL) && is_refused(FAULT_WITHOUT_NOEXEC_SEAL)) {
		errno = EINVAL;
		return -1;
	}
	return FAILS("memfd_create", EMFILE, ENFILE, ENOMEM, EINVAL) ?
		       -1 :
		       __real_memfd_create(name, flags);
}

int __real_getsockopt(int fd, int level, int option, void *value, socklen_t *bytes);
int __wrap_getsockopt(int fd, int level, int option, void *value, socklen_t *bytes);

int __wrap_getsockopt(int fd, int level, int option, void *value, socklen_t *bytes)
{
	if (option == SO_PEERPIDFD && is_refused(FAULT_WITHOUT_PEER_PIDFD)) {
		errno = ENOPROTOOPT;
		return -1;
	}
	/* whether a socket listens is always told */
	return option != SO_ACCEPTCONN && FAILS("getsockopt", EMFILE, ENFILE, ENOMEM, ENOPROTOOPT) ?
		       -1 :
		       __real_getsockopt(fd, level, option, value, bytes);
}

int __real_fcntl64(int fd, int command, ...);
int __wrap_fcntl64(int fd, int command, ...);

int __wrap_fcntl64(int fd, int command, ...)
{
	va_list arguments;
	long value;

	va_start(arguments, command);
	value = va_arg(arguments, long);
	va_end(arguments);
	if (command == F_DUPFD_CLOEXEC && FAILS("fcntl(F_DUPFD_CLOEXEC)", EMFILE))
		return -1;
	if (command == F_ADD_SEALS && FAILS("fcntl(F_ADD_SEALS)", EPERM, EBUSY))
		return -1;
	return __real_fcntl64(fd, command, value);
}

int __real_open64(const char *path, int flags, ...);
int __wrap_open64(const char *path, int flags, ...);

int __wrap_open64(const char *path, int flags, ...)
{
	va_list arguments;
	unsigned mode;

	va_start(arguments, flags);
	mode = va_arg(arguments, unsigned);
	va_end(arguments);
	return FAILS("open", EMFILE, ENFILE, ENOMEM) ? -1 : __real_open64(path, flags, mode);
}

int __real_openat64(int folder, const char *path, int flags, ...);
int __wrap_openat64(int folder, const char *path, int flags, ...);

int __wrap_openat64(int folder, const char *path, int flags, ...)
{
	va_list arguments;
	unsigned mode;

	va_start(arguments, flags);
	mode = va_arg(arguments, unsigned);
	va_end(arguments);
	return FAILS("openat", EMFILE, ENFILE, ENOMEM) ? -1 :
							 __real_openat64(folder, path, flags, mode);
}

long __real_syscall(long number, ...);
long __wrap_syscall(long number, ...);

long __wrap_syscall(long number, ...)
{
	long value[6];
	va_list arguments;

	va_start(arguments, number);
	for (int i = 0; i < 6; i++)
		value[i] = va_arg(arguments, long);
	va_end(arguments);
	if (number == SYS_membarrier && is_refused(FAULT_WITHOUT_MEMBARRIER)) {
		errno = ENOSYS;
		return -1;
	}
	/* a barrier that was promised is not taken back, a registration may be refused */
	if (number == SYS_membarrier && value[0] == MEMBARRIER_CMD_REGISTER_GLOBAL_EXPEDITED &&
	    FAILS("membarrier", EPERM, ENOSYS))
		return -1;
	/* who sleeps may be woken for nothing; waking itself cannot fail */
	if (number == SYS_futex && (value[1] & FUTEX_CMD_MASK) == FUTEX_WAIT_BITSET &&
	    FAILS("futex", EINTR, EAGAIN))
		return -1;
	if (number == SYS_pidfd_open && FAILS("pidfd_open", EMFILE, ENFILE, ENOMEM, ENOSYS))
		return -1;
	return __real_syscall(number, value[0], value[1], value[2], value[3], value[4], value[5]);
}
