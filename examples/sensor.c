/*
 * sensor [SAMPLES]: one process writes what a sensor measures, another one, which knows the record
 * by the names of its fields only, reads it. Each record is from one moment: the highest value is
 * never below the last.
 *
 * While it runs, shmbrokerctl describe sensor, get sensor and set sensor unit K work, too.
 */
#include <shmclient/shmclient.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static const struct shmc_field fields[] = {
	{ .name = "unit", .type = SHMC_TYPE_STRING, .bytes = 8 },
	{ .name = "measured", .type = SHMC_TYPE_TIME },
	{ .name = "number", .type = SHMC_TYPE_U64 },
	{ .name = "value", .type = SHMC_TYPE_DOUBLE },
	{ .name = "highest", .type = SHMC_TYPE_DOUBLE },
	{ .name = "recent", .type = SHMC_TYPE_DOUBLE, .count = 16 },
};

static void check(enum shmc_result result, const struct shmc_error *error)
{
	if (result == SHMC_OK)
		return;
	fprintf(stderr, "sensor: %s: %s\n", shmc_result_name(result), error ? error->text : "");
	exit(1);
}

static struct shmc_client *join(enum shmc_record_role role, struct shmc_record **record)
{
	struct shmc_record_options options = { .fields = fields,
					       .field_count = sizeof(fields) / sizeof(fields[0]),
					       .version = 1,
					       .reuse = 1 };
	struct shmc_client *client;
	struct shmc_error error;

	check(shmc_connect(NULL, &client, &error), &error);
	check(shmc_record_create(client, "sensor", &options, &error), &error);
	check(shmc_record_open(client, "sensor", role, NULL, record, &error), &error);
	return client;
}

static struct shmc_place place_of(const struct shmc_record *record, const char *path)
{
	struct shmc_place place;

	check(shmc_record_find(record, path, &place), NULL);
	return place;
}

static void put(struct shmc_record *record, const char *path, enum shmc_type type,
		const void *value)
{
	struct shmc_place place = place_of(record, path);

	check(shmc_record_put(record, &place, type, value, 8), NULL);
}

static void measure(uint64_t samples)
{
	struct shmc_record *record;
	struct shmc_client *client = join(SHMC_RECORD_WRITER, &record);
	struct timespec now;
	double value, highest = 0;
	char recent[32];
	int64_t ns;

	for (uint64_t i = 1; i <= samples; i++) {
		value = (double)(i * 7919 % 1000);
		highest = value > highest ? value : highest;
		clock_gettime(CLOCK_REALTIME, &now);
		ns = (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
		snprintf(recent, sizeof(recent), "recent[%d]", (int)(i % 16));
		check(shmc_record_begin(record, SHMC_FOREVER), NULL);
		check(shmc_record_put_text(record, "unit", "hPa"), NULL);
		put(record, "measured", SHMC_TYPE_TIME, &ns);
		put(record, "number", SHMC_TYPE_U64, &i);
		put(record, "value", SHMC_TYPE_DOUBLE, &value);
		put(record, "highest", SHMC_TYPE_DOUBLE, &highest);
		put(record, recent, SHMC_TYPE_DOUBLE, &value);
		check(shmc_record_commit(record), NULL);
	}
	shmc_record_close(record);
	shmc_disconnect(client);
}

int main(int argc, char **argv)
{
	uint64_t samples = argc > 1 ? strtoull(argv[1], NULL, 10) : 10000;
	struct shmc_place number, value, highest;
	struct shmc_record *record;
	struct shmc_client *client;
	double last = 0, high = 0;
	uint64_t at = 0;
	char text[64];

	/* fork first: a handle is its own process's */
	if (fork() == 0) {
		measure(samples);
		return 0;
	}
	client = join(SHMC_RECORD_READER, &record);
	number = place_of(record, "number");
	value = place_of(record, "value");
	highest = place_of(record, "highest");
	while (at < samples) {
		check(shmc_record_snapshot(record), NULL);
		check(shmc_record_get(record, &number, SHMC_TYPE_U64, &at, 8), NULL);
		check(shmc_record_get(record, &value, SHMC_TYPE_DOUBLE, &last, 8), NULL);
		check(shmc_record_get(record, &highest, SHMC_TYPE_DOUBLE, &high, 8), NULL);
		if (last > high)
			return 1;
	}
	check(shmc_record_get_text(record, "measured", text, sizeof(text)), NULL);
	printf("sample %llu of %s: %.0f, at most %.0f so far\n", (unsigned long long)at, text, last,
	       high);
	wait(NULL);
	shmc_record_close(record);
	shmc_disconnect(client);
	return 0;
}
