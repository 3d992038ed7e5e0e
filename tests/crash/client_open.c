/*
 * A client dies at every system call of opening something of each kind: before the broker has given
 * it the place, after that and before it maps anything, and when it has all. The real broker takes
 * the place back; a successor gets it and works with who was there all the time; nothing of the dead
 * one's stays open.
 */
#include <signal.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/crash/sweep.h"

enum {
	STRIDE = STEPPER_SAMPLES ? 7 : 1,
	STOPS_MIN = 8, /* of any opening: to ask, to be answered and to map what was got */
};

#define VALUE UINT64_C(0x1122334455667788)

/* How one opens a role, and what it does with who holds the other one. */
struct role {
	const char *name;
	void (*create)(struct shmc_client *client);
	enum shmc_result (*open)(struct shmc_client *client, void **ret_handle);
	enum shmc_result (*open_partner)(struct shmc_client *client, void **ret_handle);
	void (*close)(void *handle);
	void (*use)(void *own, void *partner);
};

static struct shmt_broker broker;
static struct shmc_client *client;
static volatile bool *is_open; /* of the child */

static enum shmc_result checked(enum shmc_result result)
{
	ck_assert_msg(result == SHMC_OK, "%s", shmc_result_name(result));
	return result;
}

#define OPENS(kind_, role_, ...)                                                        \
	static enum shmc_result open_##role_(struct shmc_client *by, void **ret_handle) \
	{                                                                               \
		struct shmc_##kind_ *handle = NULL;                                     \
		enum shmc_result result = shmc_##kind_##_open(by, "it", __VA_ARGS__);   \
                                                                                        \
		*ret_handle = handle;                                                   \
		return result;                                                          \
	}

#define MAKES(kind_, ...)                                                 \
	static void create_##kind_(struct shmc_client *by)                \
	{                                                                 \
		struct shmc_##kind_##_options options = { __VA_ARGS__ };  \
                                                                          \
		checked(shmc_##kind_##_create(by, "it", &options, NULL)); \
	}                                                                 \
                                                                          \
	static void close_##kind_(void *handle)                           \
	{                                                                 \
		shmc_##kind_##_close(handle);                             \
	}

MAKES(spsc, .capacity_bytes = 4096)
MAKES(mpmc, .slots = 4, .endpoints_max = 2)
MAKES(broadcast, .capacity_bytes = 4096, .writers_max = 1, .readers_max = 1)
MAKES(pipe, .capacity_bytes = 4096)
MAKES(stream, .capacity_bytes = 4000)
MAKES(ring, .element_bytes = 8, .elements = 4)
MAKES(pool, .object_bytes = 64, .objects = 4, .endpoints_max = 2)
MAKES(rpc, .message_bytes_max = 64, .calls = 1, .workers_max = 1, .clients_max = 1)
MAKES(buffer, .size_bytes = 64, .endpoints_max = 2)
MAKES(record, .fields = (const struct shmc_field[]){ { .name = "x", .type = SHMC_TYPE_U64 } },
      .field_count = 1, .endpoints_max = 2)

OPENS(spsc, spsc_producer, SHMC_SPSC_PRODUCER, &handle, NULL)
OPENS(spsc, spsc_consumer, SHMC_SPSC_CONSUMER, &handle, NULL)
OPENS(mpmc, mpmc_producer, SHMC_MPMC_PRODUCER, &handle, NULL)
OPENS(mpmc, mpmc_consumer, SHMC_MPMC_CONSUMER, &handle, NULL)
OPENS(broadcast, broadcast_writer, SHMC_BROADCAST_WRITER, &handle, NULL)
OPENS(broadcast, broadcast_reader, SHMC_BROADCAST_READER, &handle, NULL)
OPENS(pipe, pipe_host, SHMC_PIPE_HOST, NULL, &handle, NULL)
OPENS(pipe, pipe_client, SHMC_PIPE_CLIENT, NULL, &handle, NULL)
OPENS(stream, stream_writer, SHMC_STREAM_WRITER, &handle, NULL)
OPENS(stream, stream_reader, SHMC_STREAM_READER, &handle, NULL)
OPENS(ring, ring_producer, SHMC_RING_PRODUCER, NULL, &handle, NULL)
OPENS(ring, ring_consumer, SHMC_RING_CONSUMER, NULL, &handle, NULL)
OPENS(pool, pool_user, SHMC_POOL_USER, NULL, &handle, NULL)
OPENS(rpc, rpc_worker, SHMC_RPC_WORKER, &handle, NULL)
OPENS(rpc, rpc_client, SHMC_RPC_CLIENT, &handle, NULL)
OPENS(buffer, buffer_writer, SHMC_BUFFER_WRITER, &handle, NULL)
OPENS(record, record_writer, SHMC_RECORD_WRITER, NULL, &handle, NULL)

/* One message from one to the other; both functions of a kind in either direction. */

#define IS_VALUE(got_, bytes_) ck_assert((got_) == VALUE && (bytes_) == sizeof(got_))

#define PASSES(kind_, push_, pop_, message_)                                        \
	static void kind_##_from(void *own, void *partner)                          \
	{                                                                           \
		uint64_t value = VALUE, got = 0;                                    \
		struct message_ message;                                            \
                                                                                    \
		checked(push_(own, &value, sizeof(value), SWEEP_SOON_NS));          \
		checked(pop_(partner, &got, sizeof(got), SWEEP_SOON_NS, &message)); \
		IS_VALUE(got, message.size);                                        \
	}                                                                           \
                                                                                    \
	static void kind_##_to(void *own, void *partner)                            \
	{                                                                           \
		kind_##_from(partner, own);                                         \
	}

PASSES(spsc, shmc_spsc_push, shmc_spsc_pop, shmc_message)
PASSES(mpmc, shmc_mpmc_push, shmc_mpmc_pop, shmc_message)
PASSES(broadcast, shmc_broadcast_push, shmc_broadcast_pop, shmc_broadcast_message)
PASSES(stream, shmc_stream_write, shmc_stream_read, shmc_frame)
PASSES(pipe, shmc_pipe_send, shmc_pipe_receive, shmc_message)

static void pipe_both(void *own, void *partner)
{
	checked(shmc_pipe_wait_peer(own, SWEEP_SOON_NS));
	checked(shmc_pipe_wait_peer(partner, SWEEP_SOON_NS));
	pipe_from(own, partner);
	pipe_to(own, partner);
}

static void ring_from(void *own, void *partner)
{
	uint64_t value = VALUE, got = 0, count;
	struct shmc_ring_span span;

	checked(shmc_ring_push(own, &value, 1, 1, SWEEP_SOON_NS, &count));
	checked(shmc_ring_pop(partner, &got, 1, 1, SWEEP_SOON_NS, &span));
	IS_VALUE(got, 8 * span.count);
}

static void ring_to(void *own, void *partner)
{
	ring_from(partner, own);
}

/* All that there are, by either: what the dead one had would be missing. */
static void pool_all(void *own, void *partner)
{
	for (int i = 0; i < 2; i++) {
		struct shmc_pool *user = i ? own : partner;
		uint64_t handles[4], count = 0, freed = 0;

		checked(shmc_pool_acquire_batch(user, 4, SHMC_TRY, handles, &count));
		ck_assert_uint_eq(count, 4);
		checked(shmc_pool_release_batch(user, handles, count, &freed));
	}
}

static void rpc_from(void *own, void *partner)
{
	uint64_t value = VALUE, id;
	struct shmc_rpc_request request;
	struct shmc_rpc_answer answer;

	checked(shmc_rpc_start(own, &value, sizeof(value), SHMC_FOREVER, &id));
	checked(shmc_rpc_take(partner, SWEEP_SOON_NS, &request));
	IS_VALUE(*(const uint64_t *)request.data, request.size);
	checked(shmc_rpc_answer(partner, &request, 7, NULL, 0));
	checked(shmc_rpc_receive(own, id, SWEEP_SOON_NS, &answer));
	ck_assert_int_eq(answer.status, 7);
	checked(shmc_rpc_end(own, id));
}

static void rpc_to(void *own, void *partner)
{
	rpc_from(partner, own);
}

static void buffer_both(void *own, void *partner)
{
	for (int i = 0; i < 2; i++) {
		checked(shmc_buffer_lock_write(i ? own : partner, SWEEP_SOON_NS));
		checked(shmc_buffer_unlock(i ? own : partner));
	}
}

static void record_both(void *own, void *partner)
{
	for (int i = 0; i < 2; i++) {
		checked(shmc_record_begin(i ? own : partner, SWEEP_SOON_NS));
		checked(shmc_record_commit(i ? own : partner));
	}
}

/* The death */

static void run_child(const struct role *role)
{
	struct shmc_client *own;
	void *handle;

	shmt_be_child();
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	own = shmt_connect(&broker);
	if (ptrace(PTRACE_TRACEME, 0, NULL, NULL) < 0)
		_exit(1);
	raise(SIGSTOP);
	checked(role->open(own, &handle));
	*is_open = true;
	for (;;)
		getppid();
}

/* At the @stop-th beginning or end of a system call, or when it is open. False: it was. */
static bool dies_opening(const struct role *role, unsigned stop)
{
	pid_t pid = fork();
	int status;

	ck_assert_int_ge(pid, 0);
	if (pid == 0)
		run_child(role);
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert_msg(WIFSTOPPED(status) && WSTOPSIG(status) == SIGSTOP, "status 0x%x", status);
	for (unsigned i = 0; i <= stop && !*is_open; i++) {
		ck_assert_int_eq(ptrace(PTRACE_SYSCALL, pid, NULL, NULL), 0);
		ck_assert_int_eq(waitpid(pid, &status, 0), pid);
		ck_assert_msg(WIFSTOPPED(status) && WSTOPSIG(status) == SIGTRAP, "status 0x%x",
			      status);
	}
	kill(pid, SIGKILL);
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	return !*is_open;
}

/* The broker learns of it soon, and then the place is anybody's. */
static void *succeed(const struct role *role)
{
	uint64_t end_ns = shmp_clock_ns() + shmt_scaled((unsigned long)SWEEP_SOON_NS);
	enum shmc_result result;
	void *handle;

	while ((result = role->open(client, &handle)) == SHMC_BUSY)
		ck_assert_uint_lt(shmp_clock_ns(), end_ns);
	checked(result);
	return handle;
}

static void die_everywhere(const struct role *role)
{
	unsigned stops = 0, points = 0;
	size_t descriptors;
	bool has_died;
	void *partner;

	broker = shmt_broker_start(NULL);
	client = shmt_connect(&broker);
	is_open = sweep_witness(sizeof(*is_open));
	role->create(client);
	checked(role->open_partner(client, &partner));
	descriptors = shmt_broker_descriptors(&broker);
	do {
		void *own;

		*is_open = false;
		has_died = dies_opening(role, stops);
		own = succeed(role);
		role->use(own, partner);
		role->close(own);
		stops += STRIDE;
		points++;
	} while (has_died);
	shmt_broker_settle(&broker, descriptors);
	printf("# %s: %u kill points\n", role->name, points);
	ck_assert_uint_gt(stops, STOPS_MIN);
	role->close(partner);
	shmc_disconnect(client);
	shmt_broker_stop(&broker);
}

#define DIES_OPENING(sentence_, kind_, role_, partner_, use_)                                      \
	TEST(sentence_, .timeout_s = 60)                                                           \
	{                                                                                          \
		die_everywhere(&(const struct role){ "open, " #role_, create_##kind_,              \
						     open_##role_, open_##partner_, close_##kind_, \
						     use_ });                                      \
	}

DIES_OPENING(a_producer_of_spsc_dies_opening, spsc, spsc_producer, spsc_consumer, spsc_from)
DIES_OPENING(a_consumer_of_spsc_dies_opening, spsc, spsc_consumer, spsc_producer, spsc_to)
DIES_OPENING(a_producer_of_mpmc_dies_opening, mpmc, mpmc_producer, mpmc_consumer, mpmc_from)
DIES_OPENING(a_consumer_of_mpmc_dies_opening, mpmc, mpmc_consumer, mpmc_producer, mpmc_to)
DIES_OPENING(a_writer_of_broadcast_dies_opening, broadcast, broadcast_writer, broadcast_reader,
	     broadcast_from)
DIES_OPENING(a_reader_of_broadcast_dies_opening, broadcast, broadcast_reader, broadcast_writer,
	     broadcast_to)
DIES_OPENING(a_host_of_a_pipe_dies_opening, pipe, pipe_host, pipe_client, pipe_both)
DIES_OPENING(a_client_of_a_pipe_dies_opening, pipe, pipe_client, pipe_host, pipe_both)
DIES_OPENING(a_writer_of_a_stream_dies_opening, stream, stream_writer, stream_reader, stream_from)
DIES_OPENING(a_reader_of_a_stream_dies_opening, stream, stream_reader, stream_writer, stream_to)
DIES_OPENING(a_producer_of_a_ring_dies_opening, ring, ring_producer, ring_consumer, ring_from)
DIES_OPENING(a_consumer_of_a_ring_dies_opening, ring, ring_consumer, ring_producer, ring_to)
DIES_OPENING(a_user_of_a_pool_dies_opening, pool, pool_user, pool_user, pool_all)
DIES_OPENING(a_worker_of_rpc_dies_opening, rpc, rpc_worker, rpc_client, rpc_to)
DIES_OPENING(a_client_of_rpc_dies_opening, rpc, rpc_client, rpc_worker, rpc_from)
DIES_OPENING(a_writer_of_a_buffer_dies_opening, buffer, buffer_writer, buffer_writer, buffer_both)
DIES_OPENING(a_writer_of_a_record_dies_opening, record, record_writer, record_writer, record_both)

SWEEP_MAIN
