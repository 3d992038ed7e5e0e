/*
 * What no good client sends: each gets an error or its connection closed, and nobody else notices.
 */
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/support/broker.h"
#include "tests/support/random.h"
#include "tests/support/raw.h"
#include "tests/support/runner.h"

#define INFO "{\"method\":\"org.varlink.service.GetInfo\"}"

static struct shmt_broker broker;
static struct shmt_raw *raw;

static void begin(const char *const *options)
{
	broker = shmt_broker_start(options);
	raw = shmt_raw_open(broker.address);
	/* once it has answered, it holds what it will hold */
	ck_assert_str_eq(shmt_raw_call(raw, "org.varlink.service.GetInfo", "{}"), "");
}

/* Whatever was done to it: it serves, and holds no more than before. */
static void end(void)
{
	ck_assert_str_eq(shmt_raw_call(raw, "org.varlink.service.GetInfo", "{}"), "");
	shmt_raw_close(raw);
	shmt_broker_stop(&broker);
}

TEST(broken_framing_closes_the_connection_of_its_sender_only)
{
	static const char *const texts[] = {
		"",
		"hello",
		"[]",
		"{",
		"{\"method\":1}",
		"{\"method\":null}",
		"{}",
		"\"method\"",
		"{\"method\":\"a.b\"}x",
		"{\"method\":\"a.b\",\"parameters\":[]}",
		"{\"method\":\"a.b\",\"oneway\":1}",
		"{\"method\":\"a.\xff\"}",
		"{\"method\":\"a.\\u0000b\"}",
	};
	size_t descriptors;

	begin(NULL);
	descriptors = shmt_broker_descriptors(&broker);
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		struct shmt_raw *bad = shmt_raw_open(broker.address);

		shmt_raw_send(bad, texts[i]);
		shmt_raw_expect_close(bad);
		shmt_raw_close(bad);
	}
	shmt_broker_settle(&broker, descriptors);
	ck_assert(shmt_broker_said(&broker, "event=closed pid="));
	end();
}

TEST(request_beyond_64_kib_closes_the_connection)
{
	struct shmt_raw *bad;
	char block[4096];
	ssize_t r = 1;

	begin(NULL);
	bad = shmt_raw_open(broker.address);
	memset(block, ' ', sizeof(block));
	for (int i = 0; i < 64 && r > 0; i++)
		r = send(bad->wire.fd, block, sizeof(block), MSG_NOSIGNAL);
	shmt_raw_expect_close(bad);
	shmt_raw_close(bad);
	ck_assert(shmt_broker_said(&broker, "request too long"));
	end();
}

/* parameter: what the reply must name, NULL = nothing. ' stands for ". */
static const struct {
	const char *method, *parameters, *error, *parameter;
} bad_calls[] = {
	{ "Nothing", "{}", "org.varlink.service.MethodNotFound", NULL },
	{ "org.nobody.X", "{}", "org.varlink.service.InterfaceNotFound", NULL },
	{ ".", "{}", "org.varlink.service.InvalidParameter", "method" },
	{ "x.", "{}", "org.varlink.service.InvalidParameter", "method" },
	{ "org.shmbroker.control.Status", "{}", "org.varlink.service.InterfaceNotFound", NULL },
	{ "Hello", "{'name':7}", "org.varlink.service.InvalidParameter", "name" },
	{ "Hello", "{'name':'a\\nb'}", "Invalid", "name" },
	{ "Hello", "{'membarrier':'yes'}", "org.varlink.service.InvalidParameter", "membarrier" },
	{ "Hello", "{'start_time':-1}", "org.varlink.service.InvalidParameter", "start_time" },
	{ "Hello", "{'resume':{}}", "org.varlink.service.InvalidParameter", "resume" },
	{ "Hello", "{'colour':1}", "org.varlink.service.InvalidParameter", "colour" },
	{ "Create", "{}", "org.varlink.service.InvalidParameter", "name" },
	{ "Create", "{'name':'a'}", "org.varlink.service.InvalidParameter", "kind" },
	{ "Create", "{'name':'a','kind':'x'}", "Invalid", "kind" },
	{ "Create", "{'name':'a','kind':'spsc','mode':512}", "org.varlink.service.InvalidParameter",
	  "mode" },
	{ "Create", "{'name':'a','kind':'spsc','mode':6.5}", "org.varlink.service.InvalidParameter",
	  "mode" },
	{ "Create", "{'name':'a','kind':'spsc','reuse':1}", "org.varlink.service.InvalidParameter",
	  "reuse" },
	{ "Create", "{'name':'a','kind':'spsc','options':[]}",
	  "org.varlink.service.InvalidParameter", "options" },
	{ "Create", "{'name':'a','kind':'spsc','options':{'colour':1}}", "Invalid", "colour" },
	{ "Create", "{'name':'a','kind':'spsc','options':{'capacity_bytes':-1}}", "Invalid",
	  "capacity_bytes" },
	{ "Create", "{'name':'a','kind':'spsc','options':{'capacity_bytes':'1'}}", "Invalid",
	  "capacity_bytes" },
	{ "Create", "{'name':'a','kind':'spsc','options':{'capacity_bytes':1e18}}", "TooBig",
	  "capacity_bytes" },
	{ "Create", "{'name':'a','kind':'spsc','options':{'capacity_bytes':1e300}}", "Invalid",
	  "capacity_bytes" },
	{ "Create",
	  "{'name':'a','kind':'spsc','options':{'capacity_bytes':4096,'message_bytes_max':4096}}",
	  "Invalid", "message_bytes_max" },
	{ "Attach", "{'name':'a','kind':'spsc','role':'producer'}", "NotFound", NULL },
	{ "Attach", "{'name':'a','kind':'spsc'}", "org.varlink.service.InvalidParameter", "role" },
	{ "Detach", "{'id':1,'endpoint':0,'incarnation':1}", "Stale", NULL },
	{ "Detach", "{'id':-1,'endpoint':0,'incarnation':1}",
	  "org.varlink.service.InvalidParameter", "id" },
	{ "Unlink", "{'name':'a'}", "NotFound", NULL },
	{ "MakeDoorbell", "{'id':1,'endpoint':0,'incarnation':1}", "Stale", NULL },
	{ "TakeDoorbell", "{'id':1,'endpoint':0}", "Stale", NULL },
	{ "Ring", "{'id':1,'endpoint':0}", "Stale", NULL },
	{ "Kinds", "{'x':null}", "org.varlink.service.InvalidParameter", "x" },
	{ "org.varlink.service.GetInterfaceDescription", "{'interface':'x.y'}",
	  "org.varlink.service.InterfaceNotFound", NULL },
};

TEST(every_malformed_call_is_answered_with_what_is_wrong)
{
	begin(NULL);
	for (size_t i = 0; i < sizeof(bad_calls) / sizeof(bad_calls[0]); i++) {
		const char *error = shmt_raw_call(raw, bad_calls[i].method, "%s",
						  bad_calls[i].parameters);

		ck_assert_msg(strcmp(error, bad_calls[i].error) == 0, "%s %s: %s",
			      bad_calls[i].method, bad_calls[i].parameters, error);
		if (bad_calls[i].parameter)
			ck_assert_str_eq(shmt_raw_string(raw, "parameter"), bad_calls[i].parameter);
	}
	end();
}

TEST(endpoint_of_another_place_or_time_is_refused)
{
	begin(NULL);
	shmt_raw_call(raw, "Create", "{'name':'a','kind':'spsc'}");
	shmt_raw_call(raw, "Attach", "{'name':'a','kind':'spsc','role':'producer'}");
	ck_assert_str_eq(shmt_raw_call(raw, "Detach", "{'id':1,'endpoint':1,'incarnation':1}"),
			 "Invalid");
	ck_assert_str_eq(shmt_raw_call(raw, "Detach", "{'id':1,'endpoint':-1,'incarnation':1}"),
			 "Invalid");
	ck_assert_str_eq(shmt_raw_call(raw, "Detach", "{'id':1,'endpoint':0,'incarnation':2}"),
			 "Stale");
	ck_assert_str_eq(shmt_raw_call(raw, "TakeDoorbell", "{'id':1,'endpoint':2}"), "Invalid");
	ck_assert_str_eq(shmt_raw_call(raw, "TakeDoorbell", "{'id':1,'endpoint':1}"), "NotFound");
	end();
}

TEST(oneway_calls_get_no_reply_not_even_an_error)
{
	begin(NULL);
	shmt_raw_send(raw, "{\"method\":\"org.shmbroker.Nothing\",\"oneway\":true}");
	shmt_raw_send(raw, "{\"method\":\"org.shmbroker.Create\",\"oneway\":true,\"parameters\":"
			   "{\"name\":\"a\",\"kind\":\"spsc\"}}");
	shmt_raw_send(raw, "{\"method\":\"org.shmbroker.Attach\",\"oneway\":true,\"parameters\":"
			   "{\"name\":\"a\",\"kind\":\"spsc\",\"role\":\"producer\"}}");
	ck_assert_str_eq(shmt_raw_call(raw, "Create", "{'name':'a','kind':'spsc'}"), "Exists");
	ck_assert_uint_eq(raw->fd_count, 0);
	end();
}

TEST(pipelined_calls_are_answered_in_order_also_behind_a_slow_one)
{
	begin(NULL);
	shmt_raw_send(raw, "{\"method\":\"org.shmbroker.Create\",\"parameters\":{\"name\":\"a\","
			   "\"kind\":\"spsc\",\"options\":{\"capacity_bytes\":67108864}}}");
	for (int i = 0; i < 100; i++)
		shmt_raw_send(raw, i % 2 ? INFO : "{\"method\":\"org.shmbroker.X\"}");
	ck_assert_str_eq(shmt_raw_receive(raw), "");
	ck_assert(shmt_raw_bool(raw, "created"));
	for (int i = 0; i < 100; i++)
		ck_assert_str_eq(shmt_raw_receive(raw),
				 i % 2 ? "" : "org.varlink.service.MethodNotFound");
	end();
}

TEST(half_closed_connection_still_gets_its_answers)
{
	struct shmt_raw *half;

	begin(NULL);
	half = shmt_raw_open(broker.address);
	shmt_raw_send(half, "{\"method\":\"org.shmbroker.Create\",\"parameters\":{\"name\":\"a\","
			    "\"kind\":\"spsc\"}}");
	shmt_raw_send(half, INFO);
	shutdown(half->wire.fd, SHUT_WR);
	ck_assert_str_eq(shmt_raw_receive(half), "");
	ck_assert(shmt_raw_bool(half, "created"));
	ck_assert_str_eq(shmt_raw_receive(half), "");
	shmt_raw_expect_close(half);
	shmt_raw_close(half);
	end();
}

/* Asks without reading until nothing goes any more. */
static size_t flood(struct shmt_raw *flooder)
{
	size_t calls = 0;

	fcntl(flooder->wire.fd, F_SETFL, O_NONBLOCK);
	while (send(flooder->wire.fd, INFO, sizeof(INFO), MSG_NOSIGNAL) == sizeof(INFO))
		calls++;
	ck_assert_int_eq(errno, EAGAIN);
	fcntl(flooder->wire.fd, F_SETFL, 0);
	return calls;
}

TEST(client_that_never_reads_is_not_read_and_costs_no_memory)
{
	struct shmt_raw *flooder;
	size_t kib, descriptors;

	begin(NULL);
	descriptors = shmt_broker_descriptors(&broker);
	flooder = shmt_raw_open(broker.address);
	ck_assert_str_eq(shmt_raw_call(raw, "Kinds", "{}"), "");
	kib = shmt_broker_memory_kib(&broker);
	ck_assert_uint_gt(flood(flooder), 100);
	for (int i = 0; i < 100; i++)
		ck_assert_str_eq(shmt_raw_call(raw, "Kinds", "{}"), "");
	ck_assert_uint_le(shmt_broker_memory_kib(&broker), kib + 256);
	shmt_raw_close(flooder);
	shmt_broker_settle(&broker, descriptors);
	end();
}

TEST(client_that_reads_late_gets_every_reply)
{
	struct shmt_raw *flooder;
	size_t calls;

	begin(NULL);
	flooder = shmt_raw_open(broker.address);
	calls = flood(flooder);
	for (size_t i = 0; i < calls; i++)
		ck_assert_str_eq(shmt_raw_receive(flooder), "");
	shmt_raw_close(flooder);
	end();
}

#define ATTACHES 64

/* At most so many are on their way, but in the end each reply has its own. */
TEST(descriptors_wait_until_the_earlier_ones_are_read)
{
	struct shmt_raw *slow;

	begin(NULL);
	slow = shmt_raw_open(broker.address);
	for (int i = 0; i < ATTACHES; i++)
		shmt_raw_call(raw, "Create", "{'name':'s%d','kind':'spsc'}", i);
	for (int i = 0; i < ATTACHES; i++) {
		char text[256];

		snprintf(text, sizeof(text),
			 "{\"method\":\"org.shmbroker.Attach\",\"parameters\":{\"name\":\"s%d\","
			 "\"kind\":\"spsc\",\"role\":\"producer\"}}",
			 i);
		shmt_raw_send(slow, text);
	}
	shmt_raw_call(raw, "Attach", "{'name':'s0','kind':'spsc','role':'consumer'}");
	ck_assert_uint_eq(raw->fd_count, 2);
	for (int i = 0; i < ATTACHES; i++) {
		ck_assert_str_eq(shmt_raw_receive(slow), "");
		ck_assert_uint_eq(slow->fd_count, 2);
	}
	shmt_raw_close(slow);
	end();
}

static ssize_t send_descriptor(int socket, int fd)
{
	union {
		char bytes[CMSG_SPACE(sizeof(int))];
		struct cmsghdr aligned;
	} control = { .bytes = { 0 } };
	struct iovec iov = { .iov_base = (char[]){ INFO }, .iov_len = sizeof(INFO) };
	struct msghdr header = { .msg_iov = &iov,
				 .msg_iovlen = 1,
				 .msg_control = control.bytes,
				 .msg_controllen = sizeof(control.bytes) };

	control.aligned.cmsg_level = SOL_SOCKET;
	control.aligned.cmsg_type = SCM_RIGHTS;
	control.aligned.cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(&control.aligned), &fd, sizeof(int));
	return sendmsg(socket, &header, MSG_NOSIGNAL);
}

TEST(client_that_sends_descriptors_is_stopped_by_the_kernel_or_disconnected)
{
	struct shmt_raw *bad;
	size_t descriptors;

	begin(NULL);
	descriptors = shmt_broker_descriptors(&broker);
	bad = shmt_raw_open(broker.address);
	if (send_descriptor(bad->wire.fd, 0) < 0)
		ck_assert_int_eq(errno, EPERM);
	else
		shmt_raw_expect_close(bad);
	shmt_raw_close(bad);
	shmt_broker_settle(&broker, descriptors);
	end();
}

/* A TCP connection whose close lasts as long as nobody reads the other end. */
static int slow_to_close(int *ret_peer)
{
	struct sockaddr_in address = { .sin_family = AF_INET,
				       .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	struct linger linger = { .l_onoff = 1, .l_linger = 20 };
	socklen_t bytes = sizeof(address);
	int listener = socket(AF_INET, SOCK_STREAM, 0), fd = socket(AF_INET, SOCK_STREAM, 0);
	char block[4096] = { 0 };

	ck_assert_int_eq(bind(listener, (struct sockaddr *)(void *)&address, bytes), 0);
	ck_assert_int_eq(listen(listener, 1), 0);
	getsockname(listener, (struct sockaddr *)(void *)&address, &bytes);
	ck_assert_int_eq(connect(fd, (struct sockaddr *)(void *)&address, bytes), 0);
	*ret_peer = accept(listener, NULL, NULL);
	while (send(fd, block, sizeof(block), MSG_DONTWAIT) > 0)
		;
	setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger));
	close(listener);
	return fd;
}

/* As on a kernel that lets them in. */
TEST(descriptor_whose_close_blocks_stops_nobody)
{
	static const char *const options[] = { "--no-passrights", NULL };
	struct shmt_raw *bad;
	int fd, peer = -1;

	begin(options);
	bad = shmt_raw_open(broker.address);
	fd = slow_to_close(&peer);
	/* so that its close is the last one, and not ours */
	kill(broker.pid, SIGSTOP);
	ck_assert_int_gt(send_descriptor(bad->wire.fd, fd), 0);
	close(fd);
	kill(broker.pid, SIGCONT);
	shmt_raw_expect_close(bad);
	shmt_raw_close(bad);
	/* also where it was never read */
	bad = shmt_raw_open(broker.address);
	flood(bad);
	shmt_raw_close(bad);
	ck_assert_str_eq(shmt_raw_call(raw, "Kinds", "{}"), "");
	ck_assert(shmt_broker_said(&broker, "sent descriptors"));
	end();
	close(peer);
}

/* Whoever has a doorbell can send into it what blocks the broker when it is taken down. */
TEST(descriptor_sent_into_a_doorbell_stops_nobody, .rounds = 2)
{
	static const char *const options[] = { "--no-passrights", NULL };
	static const char *const ends[] = { "poll", "ring" };
	struct shmt_raw *bad;
	int fd, peer = -1;

	begin(options);
	bad = shmt_raw_open(broker.address);
	shmt_raw_call(bad, "Create", "{'name':'a','kind':'spsc'}");
	shmt_raw_call(bad, "Attach", "{'name':'a','kind':'spsc','role':'consumer'}");
	shmt_raw_call(bad, "MakeDoorbell", "{'id':1,'endpoint':1,'incarnation':1}");
	fd = slow_to_close(&peer);
	ck_assert_int_gt(send_descriptor(shmt_raw_fd(bad, ends[_i]), fd), 0);
	close(fd);
	/* its next answer takes the ends of ours away: the broker's are the last */
	shmt_raw_call(bad, "Kinds", "{}");
	ck_assert_str_eq(shmt_raw_call(bad, "Detach", "{'id':1,'endpoint':1,'incarnation':1}"), "");
	ck_assert_str_eq(shmt_raw_call(raw, "Kinds", "{}"), "");
	shmt_raw_close(bad);
	end();
	close(peer);
}

TEST(random_bytes_harm_nobody, .rounds = 4)
{
	struct shmt_random random = { shmt_seed() + (uint64_t)_i };
	size_t descriptors;

	begin(NULL);
	descriptors = shmt_broker_descriptors(&broker);
	for (int i = 0; i < 200; i++) {
		struct shmt_raw *bad = shmt_raw_open(broker.address);
		char bytes[512];

		for (size_t k = 0; k < sizeof(bytes); k++)
			bytes[k] = (char)shmt_random_next(&random);
		send(bad->wire.fd, bytes, sizeof(bytes), MSG_NOSIGNAL);
		shmt_raw_close(bad);
	}
	shmt_broker_settle(&broker, descriptors);
	end();
}

SHMT_MAIN
