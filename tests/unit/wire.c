/*
 * Two wires on a socketpair, or one against raw socket calls.
 */
#include "protocol/wire.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/support/descriptors.h"
#include "tests/support/runner.h"

#define LIMIT 10000u

struct pair {
	size_t descriptors_before;
	struct shmp_wire sender;
	struct shmp_wire receiver;
};

static struct pair pair_new(bool takes_fds)
{
	struct pair pair = { .descriptors_before = shmt_descriptor_count() };
	int fds[2];

	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds),
			 0);
	shmp_wire_init(&pair.sender, fds[0], LIMIT, false);
	shmp_wire_init(&pair.receiver, fds[1], LIMIT, takes_fds);
	return pair;
}

/* Every test ends here: nothing is left open. */
static void pair_end(struct pair *pair)
{
	shmp_wire_deinit(&pair->sender);
	shmp_wire_deinit(&pair->receiver);
	ck_assert_uint_eq(shmt_descriptor_count(), pair->descriptors_before);
}

static void send_text(struct pair *pair, const char *text, const int *fds, size_t fd_count)
{
	ck_assert_int_eq(shmp_wire_queue(&pair->sender, text, strlen(text), fds, fd_count, false),
			 0);
	ck_assert_int_eq(shmp_wire_flush(&pair->sender), 0);
}

static void send_raw(struct pair *pair, const void *bytes, size_t count)
{
	ck_assert_int_eq(send(pair->sender.fd, bytes, count, 0), (ssize_t)count);
}

/* The next message, received as far as that needs. */
static struct shmp_wire_message expect(struct pair *pair, const char *text)
{
	struct shmp_wire_message message = { .text = NULL };

	while (shmp_wire_next(&pair->receiver, &message) == 1)
		ck_assert_int_eq(shmp_wire_receive(&pair->receiver), 0);
	ck_assert_str_eq(message.text, text);
	ck_assert_uint_eq(message.bytes, strlen(text));
	return message;
}

static void expect_nothing(struct pair *pair)
{
	struct shmp_wire_message message;

	ck_assert_int_eq(shmp_wire_next(&pair->receiver, &message), 1);
	ck_assert_int_eq(shmp_wire_receive(&pair->receiver), -EAGAIN);
}

static int receive_until_failed(struct pair *pair)
{
	struct shmp_wire_message message;
	int r;

	do {
		while ((r = shmp_wire_next(&pair->receiver, &message)) == 0)
			;
		if (r == 1)
			r = shmp_wire_receive(&pair->receiver);
	} while (r == 0);
	return r;
}

static int open_some(void)
{
	int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);

	ck_assert_int_ge(fd, 0);
	return fd;
}

static char *text_of(size_t bytes)
{
	char *text = malloc(bytes + 1);

	memset(text, 'x', bytes);
	text[bytes] = '\0';
	return text;
}

TEST(message_arrives_as_sent)
{
	struct pair pair = pair_new(false);

	send_text(&pair, "{\"a\":1}", NULL, 0);
	ck_assert_uint_eq(expect(&pair, "{\"a\":1}").fd_count, 0);
	expect_nothing(&pair);
	pair_end(&pair);
}

TEST(message_in_single_bytes_arrives_once_and_whole)
{
	struct pair pair = pair_new(false);
	struct shmp_wire_message message;

	for (size_t i = 0; i < 5; i++) {
		expect_nothing(&pair);
		send_raw(&pair, &"hello"[i], 1);
		ck_assert_int_eq(shmp_wire_receive(&pair.receiver), 0);
	}
	ck_assert_int_eq(shmp_wire_next(&pair.receiver, &message), 1);
	send_raw(&pair, "", 1);
	expect(&pair, "hello");
	pair_end(&pair);
}

TEST(messages_in_one_read_come_in_order)
{
	struct pair pair = pair_new(false);

	send_raw(&pair, "one\0two\0\0thr", 12);
	expect(&pair, "one");
	expect(&pair, "two");
	expect(&pair, "");
	expect_nothing(&pair);
	send_raw(&pair, "ee", 3);
	expect(&pair, "three");
	pair_end(&pair);
}

TEST(longest_message_arrives)
{
	struct pair pair = pair_new(false);
	char *text = text_of(LIMIT);

	send_text(&pair, text, NULL, 0);
	expect(&pair, text);
	free(text);
	pair_end(&pair);
}

TEST(message_over_the_limit_is_refused)
{
	struct pair pair = pair_new(false);
	char *text = text_of(LIMIT + 1);

	send_text(&pair, text, NULL, 0);
	ck_assert_int_eq(receive_until_failed(&pair), -EMSGSIZE);
	free(text);
	pair_end(&pair);
}

TEST(limit_below_the_first_buffer_holds_too)
{
	struct pair pair = pair_new(false);

	pair.receiver.message_bytes_max = 4;
	send_raw(&pair, "four\0fiver", 11);
	expect(&pair, "four");
	ck_assert_int_eq(receive_until_failed(&pair), -EMSGSIZE);
	pair_end(&pair);
}

TEST(endless_message_never_grows_the_buffer_beyond_the_limit)
{
	struct pair pair = pair_new(false);
	char *text = text_of(3 * LIMIT);

	send_raw(&pair, text, 3 * LIMIT);
	ck_assert_int_eq(receive_until_failed(&pair), -EMSGSIZE);
	ck_assert_uint_le(pair.receiver.in_size, LIMIT + 1);
	free(text);
	pair_end(&pair);
}

TEST(messages_after_a_big_one_arrive)
{
	struct pair pair = pair_new(false);
	char *text = text_of(LIMIT);

	for (int i = 0; i < 5; i++) {
		send_text(&pair, text, NULL, 0);
		send_text(&pair, "small", NULL, 0);
	}
	for (int i = 0; i < 5; i++) {
		expect(&pair, text);
		expect(&pair, "small");
	}
	expect_nothing(&pair);
	free(text);
	pair_end(&pair);
}

TEST(idle_wire_holds_no_buffer)
{
	struct pair pair = pair_new(false);

	send_text(&pair, "something", NULL, 0);
	expect(&pair, "something");
	expect_nothing(&pair);
	ck_assert_ptr_null(pair.receiver.in);
	ck_assert_ptr_null(pair.sender.out_first);
	pair_end(&pair);
}

TEST(descriptors_come_with_their_message_and_close_on_exec)
{
	struct pair pair = pair_new(true);
	int fds[2] = { open_some(), open_some() };
	struct shmp_wire_message message;

	send_text(&pair, "none", NULL, 0);
	send_text(&pair, "two", fds, 2);
	send_text(&pair, "one", fds, 1);
	send_text(&pair, "none again", NULL, 0);
	shmp_wire_close_fds(fds, 2);

	ck_assert_uint_eq(expect(&pair, "none").fd_count, 0);
	message = expect(&pair, "two");
	ck_assert_uint_eq(message.fd_count, 2);
	ck_assert_int_eq(fcntl(message.fds[1], F_GETFD), FD_CLOEXEC);
	shmp_wire_close_fds(message.fds, 2);
	message = expect(&pair, "one");
	ck_assert_uint_eq(message.fd_count, 1);
	shmp_wire_close_fds(message.fds, 1);
	ck_assert_uint_eq(expect(&pair, "none again").fd_count, 0);
	pair_end(&pair);
}

/* Short reads get the descriptors first, then the rest of the message. */
TEST(descriptors_of_a_message_longer_than_a_read_are_its_own)
{
	struct pair pair = pair_new(true);
	char *text = text_of(LIMIT);
	int fd = open_some();

	send_text(&pair, "before", NULL, 0);
	send_text(&pair, text, &fd, 1);
	send_text(&pair, "after", &fd, 1);
	close(fd);
	ck_assert_uint_eq(expect(&pair, "before").fd_count, 0);
	for (int i = 0; i < 2; i++) {
		struct shmp_wire_message message = expect(&pair, i == 0 ? text : "after");

		ck_assert_uint_eq(message.fd_count, 1);
		close(message.fds[0]);
	}
	free(text);
	pair_end(&pair);
}

TEST(partial_send_passes_descriptors_once)
{
	struct pair pair = pair_new(true);
	size_t bytes = 4u << 20;
	char *text = text_of(bytes);
	int fd = open_some();
	struct shmp_wire_message message = { .text = NULL };

	pair.receiver.message_bytes_max = bytes;
	ck_assert_int_eq(shmp_wire_queue(&pair.sender, text, bytes, &fd, 1, true), 0);
	ck_assert_int_eq(shmp_wire_queue(&pair.sender, "next", 4, NULL, 0, false), 0);
	ck_assert_int_eq(shmp_wire_flush(&pair.sender), -EAGAIN);
	ck_assert_uint_lt(pair.sender.out_bytes, bytes);
	while (shmp_wire_next(&pair.receiver, &message) == 1) {
		ck_assert_int_eq(shmp_wire_receive(&pair.receiver), 0);
		shmp_wire_flush(&pair.sender);
	}
	ck_assert_uint_eq(message.bytes, bytes);
	ck_assert_uint_eq(message.fd_count, 1);
	close(message.fds[0]);
	ck_assert_uint_eq(expect(&pair, "next").fd_count, 0);
	ck_assert_uint_eq(pair.sender.out_bytes, 0);
	free(text);
	pair_end(&pair);
}

TEST(eight_descriptors_arrive)
{
	struct pair pair = pair_new(true);
	int fds[SHMP_WIRE_FDS_MAX];

	for (size_t i = 0; i < SHMP_WIRE_FDS_MAX; i++)
		fds[i] = open_some();
	send_text(&pair, "eight", fds, SHMP_WIRE_FDS_MAX);
	shmp_wire_close_fds(fds, SHMP_WIRE_FDS_MAX);
	shmp_wire_close_fds(expect(&pair, "eight").fds, SHMP_WIRE_FDS_MAX);
	pair_end(&pair);
}

/* Sends @count descriptors with one byte, as a stranger may. */
static void send_foreign(struct pair *pair, size_t count)
{
	union {
		char bytes[CMSG_SPACE(253 * sizeof(int))];
		struct cmsghdr aligned;
	} control = { .bytes = { 0 } };
	char byte = 'x';
	struct iovec iov = { .iov_base = &byte, .iov_len = 1 };
	struct msghdr header = {
		.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = &control,
		.msg_controllen = CMSG_SPACE(count * sizeof(int)),
	};
	struct cmsghdr *c = CMSG_FIRSTHDR(&header);
	int fd = open_some();

	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(count * sizeof(int));
	for (size_t i = 0; i < count; i++)
		memcpy(CMSG_DATA(c) + i * sizeof(fd), &fd, sizeof(fd));
	ck_assert_int_eq(sendmsg(pair->sender.fd, &header, 0), 1);
	close(fd);
}

TEST(nine_descriptors_are_refused_and_closed)
{
	struct pair pair = pair_new(true);

	send_foreign(&pair, SHMP_WIRE_FDS_MAX + 1);
	ck_assert_int_eq(receive_until_failed(&pair), -EBADMSG);
	pair_end(&pair);
}

TEST(descriptors_inside_a_message_are_out_of_place)
{
	struct pair pair = pair_new(true);

	send_foreign(&pair, 1);
	send_foreign(&pair, 1);
	send_raw(&pair, "", 1);
	ck_assert_int_eq(receive_until_failed(&pair), -EBADMSG);
	pair_end(&pair);
}

TEST(foreign_descriptors_are_handed_to_the_owner)
{
	struct pair pair = pair_new(false);
	int *fds = NULL;

	send_raw(&pair, "whatever\0came before", 20);
	send_foreign(&pair, 253);
	ck_assert_int_eq(receive_until_failed(&pair), -EBADMSG);
	ck_assert_uint_eq(shmp_wire_take_foreign(&pair.receiver, &fds), 253);
	ck_assert_int_eq(fcntl(fds[252], F_GETFD), FD_CLOEXEC);
	shmp_wire_close_fds(fds, 253);
	free(fds);
	ck_assert_uint_eq(shmp_wire_take_foreign(&pair.receiver, &fds), 0);
	pair_end(&pair);
}

TEST(foreign_descriptors_nobody_took_are_closed_at_the_end)
{
	struct pair pair = pair_new(false);

	send_foreign(&pair, 3);
	ck_assert_int_eq(receive_until_failed(&pair), -EBADMSG);
	pair_end(&pair);
}

TEST(descriptors_cut_off_by_the_limit_are_refused, .rounds = 2)
{
	struct pair pair = pair_new(_i == 0);
	struct rlimit limit = { .rlim_cur = 64, .rlim_max = 64 };
	int fill[64];
	int count = 0;

	send_foreign(&pair, 4);
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &limit), 0);
	while ((fill[count] = open("/dev/null", O_RDONLY | O_CLOEXEC)) >= 0)
		count++;
	close(fill[--count]); /* room for one of the four */
	ck_assert_int_eq(receive_until_failed(&pair), -EBADMSG);
	while (count > 0)
		close(fill[--count]);
	pair_end(&pair);
}

TEST(hang_up_comes_after_what_was_sent)
{
	struct pair pair = pair_new(false);

	send_text(&pair, "last words", NULL, 0);
	shmp_wire_deinit(&pair.sender);
	expect(&pair, "last words");
	ck_assert_int_eq(receive_until_failed(&pair), -EPIPE);
	pair_end(&pair);
}

/* A socket closed with unread bytes makes the other side's reads fail with ECONNRESET. */
TEST(hang_up_with_unread_bytes_is_a_hang_up_too)
{
	struct pair pair = pair_new(false);

	ck_assert_int_eq(send(pair.receiver.fd, "never read", 10, 0), 10);
	send_text(&pair, "last words", NULL, 0);
	shmp_wire_deinit(&pair.sender);
	expect(&pair, "last words");
	ck_assert_int_eq(receive_until_failed(&pair), -EPIPE);
	pair_end(&pair);
}

TEST(sending_to_nobody_fails_without_a_signal)
{
	struct pair pair = pair_new(false);

	shmp_wire_deinit(&pair.receiver);
	ck_assert_int_eq(shmp_wire_queue(&pair.sender, "hello", 5, NULL, 0, false), 0);
	ck_assert_int_eq(shmp_wire_flush(&pair.sender), -EPIPE);
	pair_end(&pair);
}

TEST(unsent_messages_close_the_descriptors_they_own)
{
	struct pair pair = pair_new(false);
	int fd = open_some();

	ck_assert_int_eq(shmp_wire_queue(&pair.sender, "a", 1, &fd, 1, true), 0);
	pair_end(&pair);
}

TEST(message_that_could_not_be_printed_closes_its_descriptors)
{
	struct pair pair = pair_new(false);
	int fd = open_some();

	ck_assert_int_eq(shmp_wire_queue(&pair.sender, NULL, 0, &fd, 1, true), -ENOMEM);
	ck_assert_int_eq(fcntl(fd, F_GETFD), -1);
	ck_assert_uint_eq(pair.sender.out_bytes, 0);
	pair_end(&pair);
}

TEST(borrowed_descriptors_stay_open)
{
	struct pair pair = pair_new(false);
	int fd = open_some();

	send_text(&pair, "a", &fd, 1);
	ck_assert_int_eq(close(fd), 0);
	ck_assert_int_eq(receive_until_failed(&pair), -EBADMSG);
	pair_end(&pair);
}

SHMT_MAIN
