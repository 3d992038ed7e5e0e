/*
 * traffic: messages through an spsc, an mpmc and a broadcast, and control calls beside them, by a
 * process each. Every message is numbered and summed, by its sender and by its receivers; all of
 * them must arrive, whole, once and in order, and no call may fail. See restart.sh.
 *
 *	traffic run FILE	until SIGTERM; then says what went, and ends with 0 if all arrived
 *	traffic moves FILE	waits until everybody of that run has done more than now, and says how
 *				many calls found no broker so far; these are made again
 *	traffic flows FILE	the same, but of who makes calls: there may be no broker
 */
#include <fcntl.h>
#include <inttypes.h>
#include <shmclient/shmclient.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define MS_NS	    INT64_C(1000000)
#define PATIENCE_NS (20000 * MS_NS) /* somebody who waits so long has been forgotten */
#define SENDERS_MAX 2
#define BURST	    50 /* messages between two rests: receivers sleep and are woken */
#define REST_NS	    (2 * MS_NS)

struct message {
	uint64_t sender;
	uint64_t number; /* its sender's, from 0 */
	uint64_t is_last;
	uint64_t sum; /* of the fields above */
	uint8_t body[64];
};

#define HEAD_BYTES offsetof(struct message, body)

/* ---- the board: what everybody has done, in a file ------------------------------------------- */

struct lane {
	_Atomic uint64_t count; /* messages, or rounds of calls */
	_Atomic uint64_t sum;
	_Atomic uint64_t longest_ns; /* between two messages, or of one round */
};

#define WORKERS_MAX 16

struct board {
	_Atomic uint32_t ready;
	_Atomic uint32_t is_over;
	_Atomic uint32_t complaints;
	_Atomic uint32_t refused; /* calls */
	char complaint[256];	  /* the first */
	struct lane lanes[WORKERS_MAX];
};

static struct board *board;
static const char *self = "traffic"; /* who complains */

static void open_board(const char *path)
{
	int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);

	if (fd < 0 || ftruncate(fd, sizeof(*board)) < 0) {
		perror(path);
		exit(1);
	}
	board = mmap(NULL, sizeof(*board), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (board == MAP_FAILED)
		exit(1);
}

static void complain(const char *what, enum shmc_result result, const char *text)
{
	/* what is said elsewhere may be in a journal that ends with the container */
	if (board->complaints++ == 0)
		snprintf(board->complaint, sizeof(board->complaint), "%s: %s: %s %s", self, what,
			 shmc_result_name(result), text);
	fprintf(stderr, "%s: %s: %s %s\n", self, what, shmc_result_name(result), text);
	exit(1);
}

static void expect(const char *what, enum shmc_result result)
{
	if (result != SHMC_OK)
		complain(what, result, "");
}

static void expect_call(const char *what, enum shmc_result result, const struct shmc_error *error)
{
	if (result != SHMC_OK)
		complain(what, result, error->text);
}

static uint64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

static void rest(int64_t ns)
{
	nanosleep(&(struct timespec){ .tv_nsec = ns }, NULL);
}

/* Says how long it took since *@since_ns, which becomes now. */
static void note_pause(struct lane *lane, uint64_t *since_ns)
{
	uint64_t now = now_ns();

	if (now - *since_ns > lane->longest_ns)
		lane->longest_ns = now - *since_ns;
	*since_ns = now;
}

/* ---- kinds ----------------------------------------------------------------------------------- */

struct kind {
	const char *name;
	uint32_t senders;
	uint32_t receivers;
	bool to_all; /* each message to each receiver, not to one of them */
	enum shmc_result (*create)(struct shmc_client *client, struct shmc_error *error);
	enum shmc_result (*open)(struct shmc_client *client, bool sends, void **ret_handle,
				 struct shmc_error *error);
	enum shmc_result (*push)(void *handle, const void *data, uint64_t size);
	enum shmc_result (*pop)(void *handle, struct message *message, uint64_t *ret_size,
				uint32_t *ret_flags);
	void (*close)(void *handle);
};

static enum shmc_result spsc_create(struct shmc_client *client, struct shmc_error *error)
{
	return shmc_spsc_create(client, "traffic/spsc", &(struct shmc_spsc_options){ .reuse = 1 },
				error);
}

static enum shmc_result spsc_open(struct shmc_client *client, bool sends, void **ret_handle,
				  struct shmc_error *error)
{
	return shmc_spsc_open(client, "traffic/spsc",
			      sends ? SHMC_SPSC_PRODUCER : SHMC_SPSC_CONSUMER,
			      (struct shmc_spsc **)ret_handle, error);
}

static enum shmc_result spsc_push(void *handle, const void *data, uint64_t size)
{
	return shmc_spsc_push(handle, data, size, PATIENCE_NS);
}

static enum shmc_result spsc_pop(void *handle, struct message *message, uint64_t *ret_size,
				 uint32_t *ret_flags)
{
	struct shmc_message got = { .size = 0 };
	enum shmc_result result = shmc_spsc_pop(handle, message, sizeof(*message), PATIENCE_NS,
						&got);

	*ret_size = got.size;
	*ret_flags = got.flags;
	return result;
}

static void spsc_close(void *handle)
{
	shmc_spsc_close(handle);
}

static enum shmc_result mpmc_create(struct shmc_client *client, struct shmc_error *error)
{
	struct shmc_mpmc_options options = { .message_bytes_max = sizeof(struct message),
					     .reuse = 1 };

	return shmc_mpmc_create(client, "traffic/mpmc", &options, error);
}

static enum shmc_result mpmc_open(struct shmc_client *client, bool sends, void **ret_handle,
				  struct shmc_error *error)
{
	return shmc_mpmc_open(client, "traffic/mpmc",
			      sends ? SHMC_MPMC_PRODUCER : SHMC_MPMC_CONSUMER,
			      (struct shmc_mpmc **)ret_handle, error);
}

static enum shmc_result mpmc_push(void *handle, const void *data, uint64_t size)
{
	return shmc_mpmc_push(handle, data, size, PATIENCE_NS);
}

static enum shmc_result mpmc_pop(void *handle, struct message *message, uint64_t *ret_size,
				 uint32_t *ret_flags)
{
	struct shmc_message got = { .size = 0 };
	enum shmc_result result = shmc_mpmc_pop(handle, message, sizeof(*message), PATIENCE_NS,
						&got);

	*ret_size = got.size;
	*ret_flags = got.flags;
	return result;
}

static void mpmc_close(void *handle)
{
	shmc_mpmc_close(handle);
}

/* Writers wait for readers: nothing is lost because somebody was slow. */
static enum shmc_result broadcast_create(struct shmc_client *client, struct shmc_error *error)
{
	struct shmc_broadcast_options options = { .policy = SHMC_BROADCAST_BLOCK, .reuse = 1 };

	return shmc_broadcast_create(client, "traffic/broadcast", &options, error);
}

static enum shmc_result broadcast_open(struct shmc_client *client, bool sends, void **ret_handle,
				       struct shmc_error *error)
{
	return shmc_broadcast_open(client, "traffic/broadcast",
				   sends ? SHMC_BROADCAST_WRITER : SHMC_BROADCAST_READER,
				   (struct shmc_broadcast **)ret_handle, error);
}

static enum shmc_result broadcast_push(void *handle, const void *data, uint64_t size)
{
	return shmc_broadcast_push(handle, data, size, PATIENCE_NS);
}

static enum shmc_result broadcast_pop(void *handle, struct message *message, uint64_t *ret_size,
				      uint32_t *ret_flags)
{
	struct shmc_broadcast_message got = { .size = 0 };
	enum shmc_result result = shmc_broadcast_pop(handle, message, sizeof(*message), PATIENCE_NS,
						     &got);

	*ret_size = got.size;
	*ret_flags = got.flags;
	return result;
}

static void broadcast_close(void *handle)
{
	shmc_broadcast_close(handle);
}

static const struct kind kinds[] = {
	{ "spsc", 1, 1, false, spsc_create, spsc_open, spsc_push, spsc_pop, spsc_close },
	{ "mpmc", 2, 2, false, mpmc_create, mpmc_open, mpmc_push, mpmc_pop, mpmc_close },
	{ "broadcast", 2, 2, true, broadcast_create, broadcast_open, broadcast_push, broadcast_pop,
	  broadcast_close },
};

#define KINDS (sizeof(kinds) / sizeof(kinds[0]))

/* ---- workers --------------------------------------------------------------------------------- */

static uint32_t worker_count(void)
{
	uint32_t count = 1; /* the caller */

	for (size_t i = 0; i < KINDS; i++)
		count += kinds[i].senders + kinds[i].receivers;
	return count;
}

/* A sum that no two messages share by accident. */
static uint64_t sum_of(const struct message *message)
{
	uint64_t x = message->sender * UINT64_C(0x9e3779b97f4a7c15) + message->number * 2 +
		     message->is_last;

	x = (x ^ x >> 31) * UINT64_C(0xbf58476d1ce4e5b9);
	return x ^ x >> 29;
}

static uint64_t body_bytes(const struct message *message)
{
	return message->number % (sizeof(message->body) + 1);
}

static struct shmc_client *connect_worker(void)
{
	/* as long as others wait for a message */
	struct shmc_client_options options = { .control_timeout_ns = PATIENCE_NS };
	struct shmc_client *client = NULL;
	struct shmc_error error;

	expect_call("connect", shmc_connect(&options, &client, &error), &error);
	return client;
}

/* A reader gets what is sent after it came, so all come before anything is sent. */
static void wait_for_all(void)
{
	board->ready++;
	while (board->ready < worker_count())
		rest(MS_NS);
}

static void send_one(const struct kind *kind, void *handle, struct lane *lane,
		     struct message *message)
{
	message->sum = sum_of(message);
	memset(message->body, (int)(message->sum & 0xff), body_bytes(message));
	expect("push", kind->push(handle, message, HEAD_BYTES + body_bytes(message)));
	lane->sum += message->sum;
	lane->count++;
	message->number++;
}

static void run_sender(const struct kind *kind, struct lane *lane, uint32_t index, void *handle)
{
	struct message message = { .sender = index };
	uint64_t since_ns = now_ns();

	while (!board->is_over) {
		send_one(kind, handle, lane, &message);
		note_pause(lane, &since_ns);
		if (message.number % BURST == 0)
			rest(REST_NS);
	}
	message.is_last = 1;
	send_one(kind, handle, lane, &message);
}

static bool is_whole(const struct message *message, uint64_t size)
{
	if (size < HEAD_BYTES || message->sender >= SENDERS_MAX ||
	    message->sum != sum_of(message) || size != HEAD_BYTES + body_bytes(message))
		return false;
	for (uint64_t i = 0; i < body_bytes(message); i++)
		if (message->body[i] != (message->sum & 0xff))
			return false;
	return true;
}

static void receive_one(const struct kind *kind, void *handle, struct message *message,
			uint64_t *next)
{
	uint64_t size = 0;
	uint32_t flags = 0;
	char text[128];

	expect("pop", kind->pop(handle, message, &size, &flags));
	if (!is_whole(message, size))
		complain("pop", SHMC_OK, "a message that nobody sent");
	snprintf(text, sizeof(text),
		 "message %" PRIu64 " of sender %" PRIu64 " after %" PRIu64 ", flags %" PRIu32,
		 message->number, message->sender, next[message->sender], flags);
	/* with others that take some, there are gaps */
	if (flags != 0 || message->number < next[message->sender])
		complain("pop", SHMC_OK, text);
	if ((kind->to_all || kind->receivers == 1) && message->number != next[message->sender])
		complain("pop", SHMC_OK, text);
	next[message->sender] = message->number + 1;
}

/* Where each message goes to one of several, there is a last one for each of them. */
static void run_receiver(const struct kind *kind, struct lane *lane, void *handle)
{
	uint32_t lasts = kind->to_all || kind->receivers == 1 ? kind->senders : 1;
	uint64_t next[SENDERS_MAX] = { 0 };
	uint64_t since_ns = now_ns();
	struct message message;

	while (lasts > 0) {
		receive_one(kind, handle, &message, next);
		note_pause(lane, &since_ns);
		lane->sum += message.sum;
		lane->count++;
		lasts -= message.is_last ? 1 : 0;
	}
}

static void run_at(const struct kind *kind, struct lane *lane, bool sends, uint32_t index)
{
	struct shmc_client *client = connect_worker();
	struct shmc_error error;
	void *handle = NULL;
	char name[64];

	snprintf(name, sizeof(name), "%s %s %" PRIu32, kind->name, sends ? "sender" : "receiver",
		 index);
	self = name;
	expect_call("create", kind->create(client, &error), &error);
	expect_call("open", kind->open(client, sends, &handle, &error), &error);
	wait_for_all();
	if (sends)
		run_sender(kind, lane, index, handle);
	else
		run_receiver(kind, lane, handle);
	kind->close(handle);
	shmc_disconnect(client);
}

/* True if the call has to be made again: nobody listened, in which case nothing was done. */
static bool is_refused(const char *what, enum shmc_result result, const struct shmc_error *error)
{
	if (result != SHMC_BROKER_LOST)
		expect_call(what, result, error);
	else if (board->refused++ > 10000)
		complain(what, result, error->text);
	else
		rest(MS_NS);
	return result == SHMC_BROKER_LOST;
}

static struct shmc_spsc *open_one(struct shmc_client *client, enum shmc_spsc_role role)
{
	struct shmc_spsc *queue = NULL;
	struct shmc_error error;

	while (is_refused("open", shmc_spsc_open(client, "traffic/calls", role, &queue, &error),
			  &error))
		;
	return queue;
}

/* Everything that is asked of a broker, with a message through what it gave. */
static void make_calls(struct shmc_client *client)
{
	/* the first try may have been answered, and the answer lost */
	struct shmc_spsc_options options = { .reuse = 1 };
	struct shmc_spsc *producer, *consumer;
	enum shmc_result result;
	struct shmc_message message;
	struct shmc_error error;
	char byte = 0;
	int fd;

	while (is_refused("create", shmc_spsc_create(client, "traffic/calls", &options, &error),
			  &error))
		;
	producer = open_one(client, SHMC_SPSC_PRODUCER);
	consumer = open_one(client, SHMC_SPSC_CONSUMER);
	while (is_refused("fd", shmc_spsc_fd(consumer, &fd, &error), &error))
		;
	expect("push", shmc_spsc_try_push(producer, "x", 1));
	expect("pop", shmc_spsc_try_pop(consumer, &byte, 1, &message));
	shmc_spsc_close(producer);
	shmc_spsc_close(consumer);
	result = shmc_unlink(client, "traffic/calls", &error);
	while (result == SHMC_BROKER_LOST && is_refused("unlink", result, &error)) {
		result = shmc_unlink(client, "traffic/calls", &error);
		if (result == SHMC_NOT_FOUND)
			return;
	}
	expect_call("unlink", result, &error);
}

static void run_caller(struct lane *lane)
{
	struct shmc_client *client = connect_worker();

	self = "caller";
	wait_for_all();
	while (!board->is_over) {
		uint64_t since_ns = now_ns();

		make_calls(client);
		note_pause(lane, &since_ns);
		lane->count++;
		rest(5 * MS_NS);
	}
	shmc_disconnect(client);
}

static void run_worker(uint32_t number)
{
	struct lane *lane = &board->lanes[number];

	for (size_t i = 0; i < KINDS; i++) {
		const struct kind *kind = &kinds[i];
		uint32_t count = kind->senders + kind->receivers;

		if (number < count) {
			bool sends = number < kind->senders;

			run_at(kind, lane, sends, sends ? number : number - kind->senders);
			return;
		}
		number -= count;
	}
	run_caller(lane);
}

/* ---- the run --------------------------------------------------------------------------------- */

/* True if as much, and the same, came as went. */
static bool settle_kind(const struct kind *kind, const struct lane *lanes)
{
	const struct lane *receivers = lanes + kind->senders;
	uint64_t sent = 0, sent_sum = 0, received = 0, received_sum = 0, longest_ns = 0;
	uint64_t copies = kind->to_all ? kind->receivers : 1;

	for (uint32_t i = 0; i < kind->senders; i++) {
		sent += lanes[i].count;
		sent_sum += lanes[i].sum;
	}
	for (uint32_t i = 0; i < kind->receivers; i++) {
		received += receivers[i].count;
		received_sum += receivers[i].sum;
		if (receivers[i].longest_ns > longest_ns)
			longest_ns = receivers[i].longest_ns;
	}
	printf("%s: %" PRIu64 " sent, %" PRIu64 " received by %s %" PRIu32
	       ", longest pause %" PRIu64 " ms\n",
	       kind->name, sent, received, kind->to_all ? "each of" : "one of", kind->receivers,
	       longest_ns / 1000000);
	return received == copies * sent && received_sum == copies * sent_sum;
}

static bool settle(void)
{
	const struct lane *lanes = board->lanes;
	bool is_good = board->complaints == 0;

	for (size_t i = 0; i < KINDS; i++) {
		is_good = settle_kind(&kinds[i], lanes) && is_good;
		lanes += kinds[i].senders + kinds[i].receivers;
	}
	printf("control: %" PRIu64 " rounds of calls, the longest took %" PRIu64
	       " ms, refused %" PRIu32 " times\n",
	       lanes->count, lanes->longest_ns / 1000000, board->refused);
	puts(is_good ? "all has arrived" : "NOT all has arrived");
	return is_good;
}

/* Ended in good order, and not before its time. */
static bool is_good_end(int status)
{
	return board->is_over && WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

/* Until all have ended; one that should not have ends the others. */
static void watch(const pid_t *pids, uint32_t count)
{
	uint32_t left = count;
	sigset_t signals;
	int number;

	sigemptyset(&signals);
	sigaddset(&signals, SIGTERM);
	sigaddset(&signals, SIGCHLD);
	while (left > 0 && sigwait(&signals, &number) == 0) {
		int status = 0;

		if (number == SIGTERM)
			board->is_over = 1;
		while (left > 0 && waitpid(-1, &status, WNOHANG) > 0) {
			left--;
			if (is_good_end(status))
				continue;
			board->complaints++;
			board->is_over = 1;
			for (uint32_t i = 0; i < count; i++)
				kill(pids[i], SIGKILL); /* none is waited for before all are */
		}
	}
}

static int run(void)
{
	uint32_t count = worker_count();
	pid_t pids[WORKERS_MAX];
	sigset_t signals;

	sigemptyset(&signals);
	sigaddset(&signals, SIGTERM);
	sigaddset(&signals, SIGCHLD);
	sigprocmask(SIG_BLOCK, &signals, NULL);
	for (uint32_t i = 0; i < count; i++) {
		pids[i] = fork();
		if (pids[i] == 0) {
			prctl(PR_SET_PDEATHSIG, SIGKILL);
			run_worker(i);
			exit(0);
		}
	}
	watch(pids, count);
	return settle() ? 0 : 1;
}

/* ---- the look at it -------------------------------------------------------------------------- */

/* Who makes calls is the last one. */
static int await_moves(uint32_t count)
{
	uint64_t before[WORKERS_MAX], since_ns = now_ns();

	for (uint32_t i = 0; i < count; i++)
		before[i] = board->lanes[i].count;
	for (uint32_t i = 0; i < count;) {
		if (board->complaints > 0) {
			fprintf(stderr, "somebody complained: %s\n", board->complaint);
			return 1;
		}
		if (board->lanes[i].count > before[i]) {
			i++;
			continue;
		}
		if (now_ns() - since_ns > (uint64_t)PATIENCE_NS) {
			fprintf(stderr, "worker %" PRIu32 " does not move\n", i);
			return 1;
		}
		rest(MS_NS);
	}
	printf("%" PRIu32 "\n", board->refused);
	return 0;
}

int main(int argc, char **argv)
{
	if (argc != 3)
		return 2;
	open_board(argv[2]);
	if (strcmp(argv[1], "run") == 0)
		return run();
	if (strcmp(argv[1], "moves") == 0)
		return await_moves(worker_count());
	return strcmp(argv[1], "flows") == 0 ? await_moves(worker_count() - 1) : 2;
}
