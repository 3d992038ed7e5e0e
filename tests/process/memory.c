/* How a segment's memory is had, and whose it is: options that all kinds have in common. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/support/broker.h"
#include "tests/support/mpmc_client.h"
#include "tests/support/raw.h"
#include "tests/support/runner.h"

struct scene {
	struct shmt_broker broker;
	struct shmc_client *client;
};

static struct scene scene_open(void)
{
	struct scene scene = { .broker = shmt_broker_start(NULL) };

	scene.client = shmt_connect(&scene.broker);
	return scene;
}

static void scene_close(struct scene *scene)
{
	shmc_disconnect(scene->client);
	shmt_broker_stop(&scene->broker);
}

static enum shmc_result create(const struct scene *scene, const char *name,
			       struct shmc_create_options common, struct shmc_error *error)
{
	struct shmc_spsc_options options = { .capacity_bytes = 1 << 20, .common = &common };

	return shmc_spsc_create(scene->client, name, &options, error);
}

/* Sum of one field of /proc/self/smaps over the mappings of this test's segments, in KiB. */
static unsigned long mapped_kib(const char *field)
{
	FILE *file = fopen("/proc/self/smaps", "re");
	char line[512];
	unsigned long sum = 0;
	size_t length = strlen(field);
	bool is_ours = false;

	ck_assert_ptr_nonnull(file);
	while (fgets(line, sizeof(line), file)) {
		if (strstr(line, "-") && strstr(line, " r"))
			is_ours = strstr(line, "shmbroker:");
		if (is_ours && strncmp(line, field, length) == 0 && line[length] == ':')
			sum += strtoul(line + length + 1, NULL, 10);
	}
	fclose(file);
	return sum;
}

TEST(prefaulted_segment_is_there_when_it_is_opened)
{
	struct scene scene = scene_open();
	struct shmc_spsc *plain, *filled;

	shmt_assert_ok(create(&scene, "plain", (struct shmc_create_options){ .flags = 0 }, NULL));
	plain = shmt_open(scene.client, "plain", SHMC_SPSC_PRODUCER);
	ck_assert_uint_lt(mapped_kib("Rss"), 512);
	shmt_assert_ok(create(&scene, "filled",
			      (struct shmc_create_options){ .flags = SHMC_CREATE_PREFAULT }, NULL));
	filled = shmt_open(scene.client, "filled", SHMC_SPSC_PRODUCER);
	ck_assert_uint_ge(mapped_kib("Rss"), 2048); /* mapped twice in a row */
	shmc_spsc_close(plain);
	shmc_spsc_close(filled);
	scene_close(&scene);
}

/* AddressSanitizer has an mlock of its own, which does nothing. */
#if !defined(__SANITIZE_ADDRESS__)
static void look_without_locking(struct shmc_client *client, const char *name)
{
	struct shmc_observer *observer;
	struct shmc_error error;

	shmt_assert_ok(shmc_observer_open(client, name, &observer, &error));
	ck_assert_uint_eq(mapped_kib("Locked"), 0);
	shmc_observer_close(observer);
}

static enum shmc_result open_with_limit(struct scene *scene, const char *name, rlim_t bytes)
{
	struct rlimit limit = { bytes, bytes };
	struct shmc_spsc *queue = NULL;
	struct shmc_client *client;
	enum shmc_result result;
	struct shmc_error error;

	ck_assert_int_eq(setrlimit(RLIMIT_MEMLOCK, &limit), 0);
	if (geteuid() == 0)
		ck_assert_int_eq(setuid(12345), 0); /* root may lock as much as it likes */
	client = shmt_connect(&scene->broker);
	look_without_locking(client, name);
	result = shmc_spsc_open(client, name, SHMC_SPSC_CONSUMER, &queue, &error);
	if (result == SHMC_QUOTA)
		shmt_assert_says(&error, "RLIMIT_MEMLOCK");
	if (result == SHMC_OK)
		ck_assert_uint_ge(mapped_kib("Locked"), 1024); /* each page by its share */
	shmc_spsc_close(queue);
	shmc_disconnect(client);
	return result;
}

static enum shmc_result in_child(struct scene *scene, rlim_t bytes)
{
	pid_t child = fork();
	int status;

	if (child == 0) {
		shmt_be_child();
		switch (open_with_limit(scene, "locked", bytes)) {
		case SHMC_OK:
			_exit(0);
		case SHMC_QUOTA:
			_exit(3);
		default:
			_exit(4);
		}
	}
	waitpid(child, &status, 0);
	ck_assert(WIFEXITED(status) && (WEXITSTATUS(status) == 0 || WEXITSTATUS(status) == 3));
	return WEXITSTATUS(status) == 0 ? SHMC_OK : SHMC_QUOTA;
}

/* As consumer while it may lock, then as producer, who has the ring mapped anew, while it may not. */
static void widen_without_room(struct scene *scene, const struct rlimit *limit)
{
	struct rlimit none = { .rlim_cur = 0, .rlim_max = limit->rlim_max };
	struct shmc_spsc *consumer, *producer;
	struct shmc_client *client;
	struct shmc_message message;
	char byte;

	ck_assert_int_eq(setrlimit(RLIMIT_MEMLOCK, limit), 0);
	if (geteuid() == 0)
		ck_assert_int_eq(setuid(12345), 0);
	client = shmt_connect(&scene->broker);
	shmt_assert_ok(shmc_spsc_open(client, "locked", SHMC_SPSC_CONSUMER, &consumer, NULL));
	ck_assert_int_eq(setrlimit(RLIMIT_MEMLOCK, &none), 0);
	for (int i = 0; i < 3; i++)
		shmt_assert_result(
			shmc_spsc_open(client, "locked", SHMC_SPSC_PRODUCER, &producer, NULL),
			SHMC_QUOTA);
	ck_assert_int_eq(setrlimit(RLIMIT_MEMLOCK, limit), 0);
	shmt_assert_ok(shmc_spsc_open(client, "locked", SHMC_SPSC_PRODUCER, &producer, NULL));
	ck_assert_uint_ge(mapped_kib("Locked"), 1024); /* each page by its share */
	shmt_assert_ok(shmc_spsc_push(producer, "x", 1, SHMC_TRY));
	shmt_assert_ok(shmc_spsc_pop(consumer, &byte, 1, SHMC_TRY, &message));
	shmc_spsc_close(producer);
	shmc_spsc_close(consumer);
	shmc_disconnect(client);
}

TEST(what_could_not_be_locked_is_not_had_by_asking_again)
{
	struct shmc_create_options common = { .flags = SHMC_CREATE_MLOCK };
	struct shmc_spsc_options options = { .capacity_bytes = 1 << 20,
					     .mode = 0666,
					     .common = &common };
	struct scene scene = scene_open();
	struct rlimit limit;
	pid_t child;
	int status;

	ck_assert_int_eq(chmod(scene.broker.folder, 0711), 0);
	shmt_assert_ok(shmc_spsc_create(scene.client, "locked", &options, NULL));
	ck_assert_int_eq(getrlimit(RLIMIT_MEMLOCK, &limit), 0);
	limit.rlim_cur = limit.rlim_max;
	child = limit.rlim_max >= 4 << 20 ? fork() : -1;
	if (child == 0) {
		shmt_be_child();
		widen_without_room(&scene, &limit);
		_exit(0);
	}
	if (child > 0) {
		waitpid(child, &status, 0);
		ck_assert_int_eq(status, 0);
	}
	scene_close(&scene);
}

TEST(locked_segment_is_refused_to_who_may_not_lock_it)
{
	struct shmc_create_options common = { .flags = SHMC_CREATE_MLOCK };
	struct shmc_spsc_options options = { .capacity_bytes = 1 << 20,
					     .mode = 0666,
					     .common = &common };
	struct scene scene = scene_open();
	struct rlimit limit;

	ck_assert_int_eq(chmod(scene.broker.folder, 0711), 0);
	shmt_assert_ok(shmc_spsc_create(scene.client, "locked", &options, NULL));
	shmt_assert_result(in_child(&scene, 0), SHMC_QUOTA);
	ck_assert_int_eq(getrlimit(RLIMIT_MEMLOCK, &limit), 0);
	if (limit.rlim_max >= 4 << 20)
		shmt_assert_result(in_child(&scene, limit.rlim_max), SHMC_OK);
	scene_close(&scene);
}
#endif

/* A sanitizer ends the program when there is no memory. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define IS_SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define IS_SANITIZED 1
#endif
#endif
#ifndef IS_SANITIZED
static rlim_t address_space(void)
{
	FILE *file = fopen("/proc/self/statm", "re");
	unsigned long pages = 0;

	ck_assert(file && fscanf(file, "%lu", &pages) == 1);
	fclose(file);
	return (rlim_t)pages * 4096;
}

static int count_items(void *context, const struct shmc_item *item)
{
	(void)item;
	++*(int *)context;
	return 0;
}

TEST(a_look_that_finds_no_memory_says_so)
{
	struct shmc_field field = { .name = "big", .type = SHMC_TYPE_BYTES, .bytes = 16u << 20 };
	struct shmc_record_options options = { .fields = &field, .field_count = 1 };
	struct shmc_look look = { .from = SHMC_LOOK_OLDEST };
	struct scene scene = scene_open();
	struct shmc_observer *observer;
	struct rlimit before, little;
	int items = 0;

	shmt_assert_ok(shmc_record_create(scene.client, "big", &options, NULL));
	shmt_assert_ok(shmc_observer_open(scene.client, "big", &observer, NULL));
	ck_assert_int_eq(getrlimit(RLIMIT_AS, &before), 0);
	little = (struct rlimit){ address_space() + (8u << 20), before.rlim_max };
	ck_assert_int_eq(setrlimit(RLIMIT_AS, &little), 0);
	shmt_assert_result(shmc_observer_look(observer, &look, count_items, &items), SHMC_NO_SPACE);
	ck_assert_int_eq(setrlimit(RLIMIT_AS, &before), 0);
	ck_assert_int_eq(items, 0);
	shmt_assert_ok(shmc_observer_look(observer, &look, count_items, &items));
	ck_assert_int_eq(items, 1);
	shmc_observer_close(observer);
	scene_close(&scene);
}
#endif

TEST(all_that_was_chosen_is_described)
{
	struct scene scene = scene_open();
	struct shmt_raw *control;
	const cJSON *segment;

	shmt_assert_ok(
		create(&scene, "a",
		       (struct shmc_create_options){ .flags = SHMC_CREATE_PREFAULT |
							      SHMC_CREATE_OWNER | SHMC_CREATE_GROUP,
						     .owner = geteuid(),
						     .group = getegid() },
		       NULL));
	control = shmt_raw_open(scene.broker.control);
	ck_assert_str_eq(shmt_raw_call(control, "org.shmbroker.control.Describe", "{'name':'a'}"),
			 "");
	segment = shmt_raw_item(control, "segment");
	ck_assert(cJSON_IsTrue(cJSON_GetObjectItem(segment, "prefault")));
	ck_assert(cJSON_IsFalse(cJSON_GetObjectItem(segment, "mlock")));
	ck_assert(cJSON_IsFalse(cJSON_GetObjectItem(segment, "huge_pages")));
	ck_assert_uint_eq(cJSON_GetObjectItem(segment, "uid")->valueint, geteuid());
	ck_assert_uint_eq(cJSON_GetObjectItem(segment, "gid")->valueint, getegid());
	shmt_raw_close(control);
	scene_close(&scene);
}

TEST(what_cannot_be_had_is_refused_by_name)
{
	struct scene scene = scene_open();
	struct shmc_create_options common = { .flags = 1u << 20 };
	struct shmt_raw *raw = shmt_raw_open(scene.broker.address);
	struct shmc_error error;

	shmt_assert_result(create(&scene, "a", common, &error), SHMC_INVALID);
	shmt_assert_says(&error, "flags");
	common = (struct shmc_create_options){ .reserved = 1 };
	shmt_assert_result(create(&scene, "a", common, &error), SHMC_INVALID);
	shmt_assert_says(&error, "reserved");
	common = (struct shmc_create_options){ .flags = SHMC_CREATE_HUGE_PAGES };
	/* a ring of 1 MiB cannot be mapped twice in a row in pages of 2 MiB */
	shmt_assert_result(create(&scene, "a", common, &error), SHMC_INVALID);
	shmt_assert_says(&error, "huge_pages");
	ck_assert_str_eq(shmt_raw_call(raw, "Create", "{'name':'a','kind':'spsc','numa':1}"),
			 "org.varlink.service.InvalidParameter");
	ck_assert_str_eq(shmt_raw_string(raw, "parameter"), "numa");
	ck_assert_str_eq(shmt_raw_call(raw, "Create", "{'name':'a','kind':'spsc','mlock':3}"),
			 "org.varlink.service.InvalidParameter");
	ck_assert_str_eq(shmt_raw_string(raw, "parameter"), "mlock");
	shmt_raw_close(raw);
	scene_close(&scene);
}

TEST(existing_one_of_other_memory_is_a_mismatch)
{
	struct shmc_create_options common = { .flags = SHMC_CREATE_PREFAULT };
	struct shmc_spsc_options options = { .reuse = 1 };
	struct scene scene = scene_open();
	struct shmc_error error;

	shmt_assert_ok(shmc_spsc_create(scene.client, "a", &options, &error));
	options.common = &common;
	shmt_assert_result(shmc_spsc_create(scene.client, "a", &options, &error), SHMC_MISMATCH);
	shmt_assert_says(&error, "prefault");
	shmc_unlink(scene.client, "a", NULL);
	shmt_assert_ok(shmc_spsc_create(scene.client, "a", &options, &error));
	shmt_assert_ok(shmc_spsc_create(scene.client, "a", &options, &error));
	scene_close(&scene);
}

SHMT_MAIN
