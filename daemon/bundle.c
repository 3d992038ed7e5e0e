#include "daemon/bundle.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "daemon/log.h"
#include "daemon/systemd.h"

#define NAME_PREFIX    "bundle-"
#define NAME_BYTES     32
#define TURNS_PER_DROP 8
#define TURNS_PER_PARK 256 /* where there is no room otherwise */
#define SPARE_MESSAGES 64  /* dropped ones that are not worth a turn */
/* Some 280 fit where nobody changed net.core.wmem_default. */
#define HALF_FULL_MESSAGES 100

/* Room for one more in an array of @count. 0 or -ENOMEM. */
static int make_room(void **array, size_t *room, size_t count, size_t bytes)
{
	size_t wanted = *room ? 2 * *room : 16;
	void *grown;

	if (count < *room)
		return 0;
	grown = realloc(*array, wanted * bytes);
	if (!grown)
		return -ENOMEM;
	*array = grown;
	*room = wanted;
	return 0;
}

static void close_fds(const int *fds, size_t count)
{
	for (size_t i = 0; i < count; i++)
		close(fds[i]);
}

void bundles_deinit(struct bundles *bundles)
{
	for (size_t i = 0; i < bundles->count; i++) {
		close(bundles->bundles[i].in);
		close(bundles->bundles[i].out);
	}
	free(bundles->bundles);
	free(bundles->items);
	*bundles = BUNDLES_NULL;
}

/* Items. */

/* Index of the first item whose number is not below @number. */
static size_t position_of(const struct bundles *bundles, uint64_t number)
{
	size_t low = 0, high = bundles->item_count;

	while (low < high) {
		size_t middle = (low + high) / 2;

		if (bundles->items[middle].number < number)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static struct bundle_item *find_item(const struct bundles *bundles, uint64_t number)
{
	size_t at = position_of(bundles, number);

	return at < bundles->item_count && bundles->items[at].number == number ?
		       &bundles->items[at] :
		       NULL;
}

/* One message of the item @number. */
static int count_item(struct bundles *bundles, uint64_t number)
{
	struct bundle_item *item = find_item(bundles, number);
	size_t at = position_of(bundles, number);
	int r;

	if (item) {
		item->copies++;
		return 0;
	}
	r = make_room((void **)&bundles->items, &bundles->item_room, bundles->item_count,
		      sizeof(*bundles->items));
	if (r < 0)
		return r;
	memmove(bundles->items + at + 1, bundles->items + at,
		(bundles->item_count - at) * sizeof(*bundles->items));
	bundles->items[at] = (struct bundle_item){ .number = number, .copies = 1 };
	bundles->item_count++;
	return 0;
}

/* Messages. */

union control {
	struct cmsghdr header;
	char bytes[CMSG_SPACE(BUNDLE_FDS_MAX * sizeof(int))];
};

static int send_item(const struct bundle *bundle, uint64_t number, const int *fds, size_t count)
{
	struct iovec part = { .iov_base = &number, .iov_len = sizeof(number) };
	union control control = { .bytes = { 0 } };
	struct msghdr message = { .msg_iov = &part,
				  .msg_iovlen = 1,
				  .msg_control = control.bytes,
				  .msg_controllen = CMSG_SPACE(count * sizeof(int)) };
	struct cmsghdr *header = CMSG_FIRSTHDR(&message);

	header->cmsg_level = SOL_SOCKET;
	header->cmsg_type = SCM_RIGHTS;
	header->cmsg_len = CMSG_LEN(count * sizeof(int));
	memcpy(CMSG_DATA(header), fds, count * sizeof(int));
	return sendmsg(bundle->in, &message, MSG_DONTWAIT | MSG_NOSIGNAL) < 0 ? -errno : 0;
}

/* The next to be peeked at; descriptors become the caller's. 1; 0 there is none; -errno. */
static int peek_item(const struct bundle *bundle, struct bundle_finding *ret_finding)
{
	struct bundle_finding finding = { .fd_count = 0 };
	struct iovec part = { .iov_base = &finding.number, .iov_len = sizeof(finding.number) };
	union control control;
	struct msghdr message = { .msg_iov = &part,
				  .msg_iovlen = 1,
				  .msg_control = control.bytes,
				  .msg_controllen = sizeof(control.bytes) };
	const struct cmsghdr *header;
	ssize_t bytes = recvmsg(bundle->out, &message, MSG_PEEK | MSG_DONTWAIT | MSG_CMSG_CLOEXEC);

	if (bytes <= 0)
		return bytes < 0 && errno != EAGAIN ? -errno : 0;
	header = CMSG_FIRSTHDR(&message);
	if (header && header->cmsg_type == SCM_RIGHTS) {
		finding.fd_count = (header->cmsg_len - CMSG_LEN(0)) / sizeof(int);
		memcpy(finding.fds, CMSG_DATA(header), finding.fd_count * sizeof(int));
	}
	if ((message.msg_flags & MSG_CTRUNC) != 0) {
		close_fds(finding.fds, finding.fd_count);
		return -EMFILE;
	}
	*ret_finding = finding;
	return 1;
}

/* The first message goes, and with it @fd_count descriptors. */
static void drop_first(struct bundles *bundles, struct bundle *bundle, size_t fd_count)
{
	char byte;

	if (recv(bundle->out, &byte, 1, MSG_DONTWAIT) <= 0)
		return;
	bundle->messages--;
	bundles->messages--;
	bundles->descriptors -= fd_count;
}

/* Making and filling. */

static void name_end(char *name, uint32_t number, const char *end)
{
	snprintf(name, NAME_BYTES, NAME_PREFIX "%u-%s", number, end);
}

static int store(uint32_t number, const int ends[2])
{
	char name[NAME_BYTES];
	int r;

	name_end(name, number, "in");
	r = systemd_store(name, ends[0]);
	if (r < 0)
		return r;
	name_end(name, number, "out");
	r = systemd_store(name, ends[1]);
	if (r < 0) {
		name_end(name, number, "in");
		systemd_unstore(name);
	}
	return r;
}

static int add_bundle(struct bundles *bundles)
{
	int ends[2];
	int r = make_room((void **)&bundles->bundles, &bundles->room, bundles->count,
			  sizeof(*bundles->bundles));

	if (r < 0)
		return r;
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends) < 0)
		return -errno;
	r = store(++bundles->number, ends);
	if (r < 0) {
		close_fds(ends, 2);
		return r;
	}
	bundles->bundles[bundles->count++] = (struct bundle){ .in = ends[0], .out = ends[1] };
	return 0;
}

static int send_to(struct bundles *bundles, size_t index, uint64_t number, const int *fds,
		   size_t count)
{
	int r = send_item(&bundles->bundles[index], number, fds, count);

	if (r < 0)
		return r;
	bundles->bundles[index].messages++;
	bundles->messages++;
	bundles->descriptors += count;
	return 0;
}

static bool has_spare(const struct bundles *bundles)
{
	for (size_t i = 0; i < bundles->count; i++)
		if (bundles->bundles[i].messages < HALF_FULL_MESSAGES)
			return true;
	return false;
}

/* There is always one that the manager has had for long: it takes new ones in its own time. */
static void have_spare(struct bundles *bundles)
{
	if (bundles->bundles[bundles->filling].messages >= HALF_FULL_MESSAGES &&
	    !has_spare(bundles))
		add_bundle(bundles);
}

/* Into whichever has room. */
static int send_somewhere(struct bundles *bundles, uint64_t number, const int *fds, size_t count)
{
	int r = -EAGAIN;

	for (size_t i = 0; i < bundles->count && r == -EAGAIN; i++) {
		size_t index = (bundles->filling + i) % bundles->count;

		r = send_to(bundles, index, number, fds, count);
		if (r == 0)
			bundles->filling = index;
	}
	if (r == -EAGAIN) {
		r = add_bundle(bundles);
		if (r == 0)
			r = send_to(bundles, bundles->count - 1, number, fds, count);
	}
	if (r == 0)
		have_spare(bundles);
	return r;
}

/* Turning over. */

/* What must be kept is at the end, too, before it goes from the head. */
static int turn_one(struct bundles *bundles, size_t index)
{
	struct bundle_finding finding;
	struct bundle_item *item;
	int r = peek_item(&bundles->bundles[index], &finding);

	if (r <= 0)
		return r;
	item = find_item(bundles, finding.number);
	r = 0;
	if (item && item->copies == 1)
		r = send_somewhere(bundles, finding.number, finding.fds, finding.fd_count);
	else if (item)
		item->copies--;
	if (r == 0)
		drop_first(bundles, &bundles->bundles[index], finding.fd_count);
	close_fds(finding.fds, finding.fd_count);
	return r < 0 ? r : 1;
}

/* One step on; false when there is none. */
static bool turn_on(struct bundles *bundles)
{
	if (bundles->messages <= bundles->item_count)
		return false;
	while (bundles->turned >= bundles->bundles[bundles->turning].messages) {
		bundles->turning = (bundles->turning + 1) % bundles->count;
		bundles->turned = 0;
	}
	/* no room in flight: another time */
	if (turn_one(bundles, bundles->turning) < 0)
		return false;
	bundles->turned++;
	return true;
}

/* Of the descriptors that may be in flight an eighth is for turning over and for answers. */
static size_t most_in_flight(void)
{
	struct rlimit limit = { .rlim_cur = RLIM_INFINITY };

	getrlimit(RLIMIT_NOFILE, &limit);
	return limit.rlim_cur > INT_MAX ? INT_MAX : (size_t)(limit.rlim_cur - limit.rlim_cur / 8);
}

static void turn(struct bundles *bundles)
{
	size_t most = most_in_flight();

	for (int i = 0; i < TURNS_PER_DROP; i++) {
		bool is_worth_it = bundles->messages > 2 * bundles->item_count + SPARE_MESSAGES ||
				   bundles->descriptors > most / 2;

		if (!is_worth_it || !turn_on(bundles))
			return;
	}
}

static bool have_room(struct bundles *bundles, size_t fd_count)
{
	size_t most = most_in_flight();

	for (int i = 0; bundles->descriptors + fd_count > most; i++)
		if (i == TURNS_PER_PARK || !turn_on(bundles))
			return false;
	return true;
}

int bundles_park(struct bundles *bundles, uint64_t number, const int *fds, size_t fd_count)
{
	int r;

	if (!have_room(bundles, fd_count))
		return -ETOOMANYREFS;
	r = count_item(bundles, number);
	if (r < 0)
		return r;
	r = send_somewhere(bundles, number, fds, fd_count);
	if (r < 0)
		bundles->item_count--; /* it is the last */
	return r;
}

void bundles_drop(struct bundles *bundles, uint64_t number)
{
	struct bundle_item *item = find_item(bundles, number);
	size_t at;

	if (!item)
		return;
	at = (size_t)(item - bundles->items);
	bundles->item_count--;
	memmove(item, item + 1, (bundles->item_count - at) * sizeof(*item));
	turn(bundles);
}

void bundle_empty_file(int fd)
{
	struct stat file;
	int r;

	if (fd < 0 || fstat(fd, &file) < 0 || !S_ISREG(file.st_mode))
		return;
	do {
		r = fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, file.st_size);
	} while (r < 0 && errno == EINTR);
}

/* Taking over. */

static int read_name(const char *name, uint32_t *ret_number, bool *ret_is_in)
{
	char end[4];
	uint32_t number;

	if (sscanf(name, NAME_PREFIX "%u-%3s", &number, end) != 2)
		return -ENOENT;
	*ret_is_in = strcmp(end, "in") == 0;
	if (!*ret_is_in && strcmp(end, "out") != 0)
		return -ENOENT;
	*ret_number = number;
	return 0;
}

static int find_passed(uint32_t number, bool is_in)
{
	for (size_t i = 0; i < systemd_passed_count(); i++) {
		const char *name;
		int fd = systemd_passed(i, &name);
		uint32_t other_number;
		bool other_is_in;

		if (read_name(name, &other_number, &other_is_in) == 0 && other_number == number &&
		    other_is_in == is_in)
			return fd;
	}
	return -1;
}

/* One end alone: who made it was killed before there was anything in it. */
static void discard(uint32_t number, int in, int out)
{
	char name[NAME_BYTES];

	name_end(name, number, "in");
	systemd_unstore(name);
	name_end(name, number, "out");
	systemd_unstore(name);
	if (in >= 0)
		close(in);
	if (out >= 0)
		close(out);
}

static int add_finding(struct bundle_findings *findings, const struct bundle_finding *finding)
{
	int r = make_room((void **)&findings->findings, &findings->room, findings->count,
			  sizeof(*findings->findings));

	if (r == 0)
		findings->findings[findings->count++] = *finding;
	return r;
}

/* What is taken over, while it is looked for. */
struct taking {
	struct bundles *bundles;
	struct bundle_findings *findings;
	bundle_known_fn *is_known;
	void *context;
};

/* Takes its descriptors. 0 or -ENOMEM. */
static int take_item(const struct taking *taking, const struct bundle_finding *finding)
{
	bool is_known = taking->is_known(taking->context, finding->number);
	bool is_new = is_known && !find_item(taking->bundles, finding->number);
	int r = is_known ? count_item(taking->bundles, finding->number) : 0;

	if (r == 0 && is_new)
		r = add_finding(taking->findings, finding);
	if (r == 0 && is_new)
		return 0;
	for (size_t i = 0; i < finding->fd_count && !is_known; i++)
		bundle_empty_file(finding->fds[i]);
	close_fds(finding->fds, finding->fd_count);
	return r;
}

/* Each look begins where the last one ended, from @offset on; -1: always at the head. 0 or -errno. */
static int set_peeking(const struct bundle *bundle, int offset)
{
	int r;

	do {
		r = setsockopt(bundle->out, SOL_SOCKET, SO_PEEK_OFF, &offset, sizeof(offset));
	} while (r < 0 && errno == EINTR);
	return r < 0 ? -errno : 0;
}

static int peek_all(const struct taking *taking, struct bundle *bundle)
{
	struct bundle_finding finding = { .fd_count = 0 };
	int r = set_peeking(bundle, 0), end;

	if (r < 0)
		return r;
	while ((r = peek_item(bundle, &finding)) > 0) {
		bundle->messages++;
		taking->bundles->messages++;
		taking->bundles->descriptors += finding.fd_count;
		r = take_item(taking, &finding);
		if (r < 0)
			break;
	}
	/* what is turned over later would be one message, what is dropped another */
	end = set_peeking(bundle, -1);
	return r < 0 ? r : end;
}

static int take_bundle(const struct taking *taking, uint32_t number)
{
	struct bundles *bundles = taking->bundles;
	int in = find_passed(number, true), out = find_passed(number, false);
	struct bundle *bundle;
	int r;

	if (in < 0 || out < 0) {
		discard(number, in, out);
		return 0;
	}
	r = make_room((void **)&bundles->bundles, &bundles->room, bundles->count,
		      sizeof(*bundles->bundles));
	if (r < 0)
		return r;
	bundle = &bundles->bundles[bundles->count++];
	*bundle = (struct bundle){ .in = in, .out = out };
	return peek_all(taking, bundle);
}

static int compare_findings(const void *a, const void *b)
{
	const struct bundle_finding *one = a, *other = b;

	return (one->number > other->number) - (one->number < other->number);
}

int bundles_take(struct bundles *bundles, bundle_known_fn *is_known, void *context,
		 struct bundle_findings *ret_findings)
{
	const struct taking taking = { bundles, ret_findings, is_known, context };
	int r = 0;

	*ret_findings = (struct bundle_findings){ .findings = NULL };
	for (size_t i = 0; i < systemd_passed_count() && r == 0; i++) {
		const char *name;
		uint32_t number;
		bool is_in;

		systemd_passed(i, &name);
		if (read_name(name, &number, &is_in) < 0)
			continue;
		if (number > bundles->number)
			bundles->number = number;
		/* with its other end, at whichever comes first */
		if (is_in || find_passed(number, true) < 0)
			r = take_bundle(&taking, number);
	}
	if (ret_findings->count > 1)
		qsort(ret_findings->findings, ret_findings->count, sizeof(*ret_findings->findings),
		      compare_findings);
	return r;
}

int bundle_findings_take(struct bundle_findings *findings, uint64_t number,
			 struct bundle_finding *ret_finding)
{
	struct bundle_finding wanted = { .number = number };
	struct bundle_finding *found = findings->count == 0 ?
					       NULL :
					       bsearch(&wanted, findings->findings, findings->count,
						       sizeof(*findings->findings),
						       compare_findings);

	if (!found || found->fd_count == 0)
		return -ENOENT;
	*ret_finding = *found;
	found->fd_count = 0;
	return 0;
}

void bundle_findings_drop(struct bundle_findings *findings, struct bundles *bundles)
{
	for (size_t i = 0; i < findings->count; i++) {
		const struct bundle_finding *finding = &findings->findings[i];

		if (finding->fd_count == 0)
			continue;
		for (size_t k = 0; k < finding->fd_count; k++)
			bundle_empty_file(finding->fds[k]);
		bundles_drop(bundles, finding->number);
	}
}

void bundle_findings_deinit(struct bundle_findings *findings)
{
	for (size_t i = 0; i < findings->count; i++)
		close_fds(findings->findings[i].fds, findings->findings[i].fd_count);
	free(findings->findings);
	*findings = (struct bundle_findings){ .findings = NULL };
}
