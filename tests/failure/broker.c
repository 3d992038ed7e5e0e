/*
 * The broker when memory is short or the kernel refuses: each call of malloc and of the kernel fails
 * once, in every request, with each of its errors. The client is answered whole, or told NoSpace, or
 * its connection is closed; the broker lives, serves the next, and nothing is left over.
 *
 * The broker is a child of the test and made of the same program, so that the calls of both can be
 * led through fault.c; only the broker's fail. Each client is a process of its own: what it holds
 * goes with it, whatever it was told.
 */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "daemon/broker.h"
#include "daemon/dispatch.h"
#include "daemon/log.h"
#include "protocol/spsc.h"
#include "tests/failure/fault.h"
#include "tests/support/broker.h"
#include "tests/support/lives.h"
#include "tests/support/raw.h"
#include "tests/support/runner.h"

#define CONTROL "org.shmbroker.control."

enum outcome {
	DONE = 0,
	REFUSED = 10, /* NoSpace */
	CLOSED = 11,
	WRONG = 12,
};

struct request {
	const char *method;
	const char *parameters;
};

struct act {
	const char *name;
	struct request before[6]; /* without faults, on the client socket */
	struct request request;	  /* no method: the client dies instead, or does as `ask` says */
	bool is_control;
	bool connects;	  /* faults begin before the connection */
	bool dies_before; /* somebody, holding a place */
	unsigned stride;  /* so many calls are passed over each time: a thousand of the same kind */
	/* between both, without faults: on which connection the request is made */
	struct shmt_raw *(*prepare)(struct shmt_raw *raw);
	enum outcome (*ask)(struct shmt_raw *raw);
};

/* What client and test have in common. */
static struct {
	char keys[16384]; /* of the answer that is whole */
	char got[16384];
	char said[512];
} * shared;

static struct shmt_broker broker;
static int notify;
static struct shmt_raw *control;

#define SPSC                                              \
	{                                                 \
		"Create", "{'name':'base','kind':'spsc'}" \
	}
#define ARENA                                                                              \
	{                                                                                  \
		"Create", "{'name':'arena','kind':'arena','options':{'data_bytes':65536}}" \
	}
#define CONSUMER                                                            \
	{                                                                   \
		"Attach", "{'name':'base','kind':'spsc','role':'consumer'}" \
	}
#define PRODUCER                                                            \
	{                                                                   \
		"Attach", "{'name':'base','kind':'spsc','role':'producer'}" \
	}
#define BELL                                                            \
	{                                                               \
		"MakeDoorbell", "{'id':1,'endpoint':1,'incarnation':1}" \
	}
#define OBJECT                                                    \
	{                                                         \
		"Create", "{'name':'arena:object','kind':'spsc'}" \
	}
#define INSIDE                                                        \
	{                                                             \
		"Attach", "{'name':'arena:object','role':'consumer'}" \
	}

/* With it goes what it held, and the segment. */
#define DEATH                                                                          \
	{                                                                              \
		"death", .before = { SPSC, CONSUMER, { "Unlink", "{'name':'base'}" } } \
	}

static const struct act death = DEATH;

/* ---- the broker ------------------------------------------------------------------------------ */

static const struct interface *const client_interfaces[] = { &interface_service, &interface_client,
							     NULL };
static const struct interface *const control_interfaces[] = { &interface_service,
							      &interface_control, NULL };

static void serve(void)
{
	const struct broker_interfaces interfaces = { .client = client_interfaces,
						      .control = control_interfaces };
	struct options options;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	log_to(-1);
	options_init(&options);
	options.client_socket = broker.address;
	options.control_socket = broker.control;
	options.bytes = options.bytes_per_uid = UINT64_C(1) << 30;
	fault->owner = getpid();
	fault->blocks = fault->mapped_bytes = 0;
	_exit(broker_serve(&options, &interfaces));
}

static void open_notify(bool has_manager)
{
	struct sockaddr_un name = { .sun_family = AF_UNIX };
	socklen_t bytes = sizeof(name);
	char path[128];

	notify = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	ck_assert_int_eq(bind(notify, (struct sockaddr *)&name, sizeof(sa_family_t)), 0);
	ck_assert_int_eq(getsockname(notify, (struct sockaddr *)&name, &bytes), 0);
	snprintf(path, sizeof(path), "@%.*s", (int)(bytes - sizeof(sa_family_t) - 1),
		 name.sun_path + 1);
	setenv("NOTIFY_SOCKET", path, 1);
	if (has_manager)
		setenv("FDSTORE", "512", 1);
}

/* The manager keeps nothing: what matters is that the broker sends it. */
static bool receive_note(int flags)
{
	_Alignas(struct cmsghdr) char rights[CMSG_SPACE(sizeof(int))];
	char text[512];
	struct iovec part = { text, sizeof(text) - 1 };
	struct msghdr header = { .msg_iov = &part,
				 .msg_iovlen = 1,
				 .msg_control = rights,
				 .msg_controllen = sizeof(rights) };
	ssize_t r = recvmsg(notify, &header, flags);
	int fd;

	if (r < 0)
		return false;
	text[r] = '\0';
	if (CMSG_FIRSTHDR(&header)) {
		memcpy(&fd, CMSG_DATA(CMSG_FIRSTHDR(&header)), sizeof(fd));
		close(fd);
	}
	return flags != 0 || !strstr(text, "READY=1");
}

static void begin_lacking(bool has_manager, unsigned lacks)
{
	fault_share();
	fault->lacks = lacks;
	shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1,
		      0);
	ck_assert_ptr_ne(shared, MAP_FAILED);
	strcpy(broker.folder, "/tmp/shmbroker-test.XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(broker.folder));
	snprintf(broker.address, sizeof(broker.address), "%s/client", broker.folder);
	snprintf(broker.control, sizeof(broker.control), "%s/control", broker.folder);
	open_notify(has_manager);
	fflush(stdout);
	broker.pid = fork();
	ck_assert_int_ge(broker.pid, 0);
	if (broker.pid == 0)
		serve();
	while (receive_note(0))
		;
	control = shmt_raw_open(broker.control);
	shmt_raw_call(control, CONTROL "Status", "{}");
}

static void begin(bool has_manager)
{
	begin_lacking(has_manager, 0);
}

static void end(void)
{
	shmt_raw_close(control);
	shmt_broker_stop(&broker);
	ck_assert_int_eq(fault->blocks, 0);
	ck_assert_int_eq(fault->mapped_bytes, 0);
	munmap(shared, sizeof(*shared));
	close(notify);
}

/* ---- a client -------------------------------------------------------------------------------- */

/* What an answer consists of, whatever the values are. */
static void add_keys(const cJSON *item, char *text, size_t bytes)
{
	const cJSON *inner;

	cJSON_ArrayForEach(inner, item)
	{
		size_t used = strlen(text);

		snprintf(text + used, bytes - used, "%s%s", inner->string ? inner->string : "",
			 cJSON_IsObject(inner) ? "{" :
			 cJSON_IsArray(inner)  ? "[" :
						 " ");
		add_keys(inner, text, bytes);
	}
}

static enum outcome judge(struct shmt_raw *raw, const struct shmp_wire_message *message)
{
	enum outcome outcome = DONE;

	if (shmp_varlink_parse_reply(message->text, message->bytes, &raw->reply) != 0)
		return WRONG;
	snprintf(shared->said, sizeof(shared->said), "%.400s", message->text);
	shared->got[0] = '\0';
	add_keys(raw->reply.parameters, shared->got, sizeof(shared->got) - 64);
	snprintf(shared->got + strlen(shared->got), 32, "%zu descriptors", message->fd_count);
	if (strcmp(raw->reply.error, "org.shmbroker.NoSpace") == 0)
		outcome = REFUSED;
	else if (!*raw->reply.error && strstr(message->text, "cannot be mapped"))
		outcome = DONE; /* which says so */
	else if (*raw->reply.error || (*shared->keys && strcmp(shared->keys, shared->got) != 0))
		outcome = WRONG;
	return outcome;
}

/* What the parameters of a request end with, if anything. */
static char token[128];

static enum outcome ask(struct shmt_raw *raw, const struct request *request)
{
	struct pollfd fd = { .fd = raw->wire.fd, .events = POLLIN };
	struct shmp_wire_message message;
	char text[1024];
	int r;

	snprintf(text, sizeof(text), "{\"method\":\"%s%s\",\"parameters\":%s%s}",
		 strchr(request->method, '.') ? "" : "org.shmbroker.", request->method,
		 request->parameters, token);
	for (char *c = text; *c; c++)
		*c = *c == '\'' ? '"' : *c;
	if (send(raw->wire.fd, text, strlen(text) + 1, MSG_NOSIGNAL) < 0)
		return CLOSED;
	while ((r = shmp_wire_next(&raw->wire, &message)) == 1) {
		snprintf(shared->said, sizeof(shared->said), "no answer");
		if (poll(&fd, 1, (int)shmt_scaled(5000)) != 1)
			return WRONG;
		r = shmp_wire_receive(&raw->wire);
		if (r < 0)
			return CLOSED;
	}
	return judge(raw, &message);
}

/* As after a lost connection, the old one of which the broker has not noticed yet. */
static struct shmt_raw *come_again(struct shmt_raw *raw)
{
	shmt_raw_call(raw, "Hello", "{}");
	/* where the kernel has no SO_PEERPIDFD, or says so, it is known by its start */
	snprintf(token, sizeof(token), "%s','start_time':%llu}", shmt_raw_string(raw, "session"),
		 shmt_start_time());
	return shmt_raw_open(broker.address);
}

/* The consumer waits for a message, as far as anybody can see. */
static struct shmt_raw *sleep_first(struct shmt_raw *raw)
{
	struct shmp_segment map = shmt_raw_map(raw, false);
	struct shmp_spsc_control *ring = map.control;

	shmp_waiter_prepare(&ring->not_empty, &map.endpoints[1], 1, true);
	return shmt_raw_open(broker.control);
}

static bool is_answered(struct shmt_raw *raw)
{
	struct pollfd fd = { .fd = raw->wire.fd, .events = POLLIN };
	struct shmp_wire_message message;
	int r;

	while ((r = shmp_wire_next(&raw->wire, &message)) == 1)
		if (poll(&fd, 1, (int)shmt_scaled(5000)) != 1 || shmp_wire_receive(&raw->wire) < 0)
			return false;
	return r == 0;
}

/* Somebody comes, of whom a monitor is told; what got lost on the way he is told with the next one.
 * Hung up, it never hears of either. */
static enum outcome monitor(struct shmt_raw *raw)
{
	static const char call[] = "{\"method\":\"" CONTROL "Monitor\",\"more\":true}";
	struct pollfd fd = { .fd = raw->wire.fd, .events = POLLIN };
	struct shmt_raw *other;

	if (send(raw->wire.fd, call, sizeof(call), MSG_NOSIGNAL) < 0)
		return CLOSED;
	other = shmt_raw_open(broker.address);
	ask(other, &(struct request){ "Hello", "{}" });
	fault_disarm();
	snprintf(shared->said, sizeof(shared->said), "no event");
	/* the broker may have heard of him before it heard of the monitor */
	for (unsigned long i = 0; i < shmt_scaled(100); i++) {
		shmt_raw_close(shmt_raw_open(broker.address));
		if (poll(&fd, 1, 50) == 1)
			return is_answered(raw) ? DONE : CLOSED;
	}
	return WRONG;
}

static enum outcome be_client(const struct act *act, const struct fault_round *round)
{
	struct shmt_raw *raw;
	enum outcome outcome;

	if (act->connects)
		fault_arm(round->chosen, round->error);
	raw = shmt_raw_open(act->is_control && !act->before[0].method ? broker.control :
									broker.address);
	for (size_t i = 0; i < 6 && act->before[i].method; i++)
		if (*shmt_raw_call(raw, act->before[i].method, "%s", act->before[i].parameters))
			return WRONG;
	if (act->prepare)
		raw = act->prepare(raw);
	else if (act->is_control && act->before[0].method)
		raw = shmt_raw_open(broker.control);
	if (!act->connects)
		fault_arm(round->chosen, round->error);
	if (act->ask)
		outcome = act->ask(raw);
	else if (!act->request.method)
		return DONE; /* and dies, and the fault goes on */
	else
		outcome = ask(raw, &act->request);
	fault_disarm();
	return outcome;
}

static enum outcome run_client(const struct act *act, const struct fault_round *round)
{
	int status = 0;
	pid_t pid;

	strcpy(shared->said, "");
	fflush(stdout);
	pid = fork();
	ck_assert_int_ge(pid, 0);
	if (pid == 0) {
		shmt_be_child();
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		_exit(be_client(act, round));
	}
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	return WIFEXITED(status) ? (enum outcome)WEXITSTATUS(status) : WRONG;
}

/* ---- the loop -------------------------------------------------------------------------------- */

struct measure {
	long blocks;
	long mapped_bytes;
	size_t descriptors;
};

static bool is_same(const struct measure *one, const struct measure *other)
{
	return one->blocks == other->blocks && one->mapped_bytes == other->mapped_bytes &&
	       one->descriptors == other->descriptors;
}

static struct measure measure(void)
{
	return (struct measure){ fault->blocks, fault->mapped_bytes,
				 shmt_broker_descriptors(&broker) };
}

static void drain(void)
{
	while (receive_note(MSG_DONTWAIT))
		;
}

/* Waits until the broker has again what it had, no more and no less. */
static void settle(const struct act *act, const struct fault_round *round,
		   const struct measure *before)
{
	struct timespec pause = { .tv_nsec = 200000 };
	struct measure now = *before;

	for (unsigned long i = 0; i < shmt_scaled(15000); i++) {
		if (waitpid(broker.pid, NULL, WNOHANG) != 0)
			ck_abort_msg("%s, call %lu (%s): the broker died", act->name, round->chosen,
				     fault_text());
		drain();
		now = measure();
		if (is_same(&now, before))
			return;
		nanosleep(&pause, NULL);
	}
	ck_abort_msg("%s, call %lu (%s): %ld blocks, not %ld; %ld bytes mapped, not %ld; %zu "
		     "descriptors, not %zu",
		     act->name, round->chosen, fault_text(), now.blocks, before->blocks,
		     now.mapped_bytes, before->mapped_bytes, now.descriptors, before->descriptors);
}

/* What it has when it has nothing to do. */
static struct measure rest(void)
{
	struct timespec pause = { .tv_nsec = 200000 };
	struct measure last = { .blocks = 0 };

	do
		shmt_raw_call(control, CONTROL "Status", "{}");
	while (shmt_raw_int(control, "sessions") > 1);
	for (int same = 0; same < 50; same++) {
		struct measure now;

		drain();
		now = measure();
		if (!is_same(&now, &last))
			same = 0;
		last = now;
		nanosleep(&pause, NULL);
	}
	return last;
}

static void unlink_all(void)
{
	static const char *const names[] = { "arena:made", "made", "base", "arena" };

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		shmt_raw_call(control, CONTROL "Unlink", "{'name':'%s'}", names[i]);
}

/* Without a fault, from beginning to end. */
static void run_whole(const struct act *act)
{
	const struct fault_round none = { .chosen = 0 };
	enum outcome outcome = run_client(act, &none);

	if (outcome != DONE)
		ck_abort_msg("%s: %d, %s", act->name, outcome, shared->said);
	unlink_all();
}

static void fail_everywhere(const struct act *act)
{
	struct fault_round round = { .chosen = 0 };
	unsigned long count[CLOSED + 1] = { 0 };
	struct measure before;

	shared->keys[0] = '\0';
	if (act->dies_before)
		run_whole(&death);
	for (int i = 0; i < 3; i++) {
		run_whole(act);
		before = rest();
		strcpy(shared->keys, act->request.method ? shared->got : "");
	}
	/* in a sanitizer's build every second call: it takes three times as long */
	for (; fault_next(&round); round.chosen += act->stride + FAULT_HASTENS) {
		enum outcome outcome = run_client(act, &round);

		if (outcome != DONE && outcome != REFUSED && outcome != CLOSED)
			ck_abort_msg("%s, call %lu (%s): %s, of %s instead of %s", act->name,
				     round.chosen, fault_text(), shared->said, shared->got,
				     shared->keys);
		count[outcome]++;
		/* that bundle passes for full: there is another one from now on */
		if (fault->number == EAGAIN && strcmp(fault->call, "sendmsg") == 0) {
			unlink_all();
			before = rest();
		}
		if (!act->request.method && !act->ask) {
			settle(act, &round, &before);
			fault_disarm();
		}
		unlink_all();
		settle(act, &round, &before);
	}
	run_whole(act);
	settle(act, &round, &before);
	printf("# %s: %lu calls, %lu failures: %lu done, %lu refused, %lu hung up\n", act->name,
	       round.chosen - 1, round.failures, count[DONE], count[REFUSED], count[CLOSED]);
	ck_assert_uint_gt(round.failures, 0);
}

static const struct act acts[] = {
	DEATH,
	{ "connect", .connects = true, .request = { "Hello", "{}" } },
	{ "hello", .request = { "Hello", "{'name':'me'}" } },
	{ "create", .request = { "Create", "{'name':'made','kind':'spsc','tag':5}" } },
	{ "create an arena",
	  .request = { "Create",
		       "{'name':'made','kind':'arena','options':{'data_bytes':65536}}" } },
	{ "create in an arena", .before = { ARENA },
	  .request = { "Create", "{'name':'arena:made','kind':'spsc'}" } },
	{ "attach", .before = { SPSC },
	  .request = { "Attach", "{'name':'base','kind':'spsc','role':'consumer'}" } },
	{ "attach an observer", .before = { SPSC },
	  .request = { "Attach", "{'name':'base','role':'observer'}" } },
	{ "doorbell", .before = { SPSC, CONSUMER },
	  .request = { "MakeDoorbell", "{'id':1,'endpoint':1,'incarnation':1}" } },
	{ "detach", .before = { SPSC, CONSUMER },
	  .request = { "Detach", "{'id':1,'endpoint':1,'incarnation':1}" } },
	{ "unlink", .before = { SPSC, CONSUMER }, .request = { "Unlink", "{'name':'base'}" } },
	{ "leave", .before = { SPSC, CONSUMER }, .request = { "Leave", "{}" } },
	{ "death in an arena",
	  .before = { ARENA, OBJECT, INSIDE, { "Unlink", "{'name':'arena'}" } } },
	{ "attach in an arena", .before = { ARENA, OBJECT }, .request = INSIDE },
	{ "detach in an arena", .before = { ARENA, OBJECT, INSIDE },
	  .request = { "Detach", "{'id':1,'endpoint':1,'incarnation':1}" } },
	{ "unlink in an arena", .before = { ARENA, OBJECT },
	  .request = { "Unlink", "{'name':'arena:object'}" } },
	{ "unlink an arena", .before = { ARENA, OBJECT, INSIDE },
	  .request = { "Unlink", "{'name':'arena'}" } },
	{ "create in what was freed",
	  .before = { ARENA, OBJECT, { "Unlink", "{'name':'arena:object'}" } },
	  .request = { "Create", "{'name':'arena:made','kind':'spsc'}" } },
	{ "take a doorbell", .before = { SPSC, CONSUMER, BELL, PRODUCER },
	  .request = { "TakeDoorbell", "{'id':2,'endpoint':1}" } },
	{ "ring", .before = { SPSC, CONSUMER, BELL, PRODUCER },
	  .request = { "Ring", "{'id':2,'endpoint':1}" } },
	{ "resume", .before = { SPSC, CONSUMER }, .prepare = come_again,
	  .request = { "Hello", "{'resume':'" } },
	{ "kinds", .stride = 19, .request = { "Kinds", "{}" } },
	{ "describe", .before = { SPSC, CONSUMER }, .is_control = true,
	  .request = { CONTROL "Describe", "{'name':'base'}" } },
	{ "unlink from outside", .before = { SPSC, CONSUMER }, .is_control = true,
	  .request = { CONTROL "Unlink", "{'name':'base'}" } },
	{ "blocked", .before = { SPSC, CONSUMER }, .is_control = true, .prepare = sleep_first,
	  .request = { CONTROL "Blocked", "{}" } },
	{ "monitor", .is_control = true, .ask = monitor },
	{ "status", .is_control = true, .request = { CONTROL "Status", "{}" } },
	{ "list", .is_control = true, .request = { CONTROL "List", "{}" } },
	{ "sessions", .is_control = true, .request = { CONTROL "Sessions", "{}" } },
	{ "health", .is_control = true, .request = { CONTROL "Health", "{}" } },
	{ "deaths", .is_control = true, .dies_before = true,
	  .request = { CONTROL "Deaths", "{}" } },
	{ "info", .request = { "org.varlink.service.GetInfo", "{}" } },
};

#define ACTS ((int)(sizeof(acts) / sizeof(acts[0])))

TEST(alone_it_answers_refuses_or_hangs_up, .timeout_s = 60, .rounds = ACTS)
{
	begin(false);
	fail_everywhere(&acts[_i]);
	end();
}

TEST(with_a_manager_it_answers_refuses_or_hangs_up, .timeout_s = 60, .rounds = ACTS)
{
	begin(true);
	fail_everywhere(&acts[_i]);
	end();
}

/* ---- kernels that know less ------------------------------------------------------------------ */

static void serve_lacking(unsigned lacks)
{
	begin_lacking(true, lacks);
	for (int i = 0; i < ACTS; i++) {
		const struct fault_round none = { .chosen = 0 };
		struct measure before;

		shared->keys[0] = '\0';
		run_whole(&acts[i]);
		before = rest();
		run_whole(&acts[i]);
		settle(&acts[i], &none, &before);
	}
	ck_assert_uint_gt(fault->refusals, 0);
	end();
}

TEST(kernel_without_noexec_seal_is_enough, .timeout_s = 60)
{
	serve_lacking(FAULT_WITHOUT_NOEXEC_SEAL);
}

TEST(kernel_without_membarrier_is_enough, .timeout_s = 60)
{
	serve_lacking(FAULT_WITHOUT_MEMBARRIER);
}

SHMT_MAIN
