/* broker: what it costs while nothing happens: memory, and being woken. */
#include "bench/groups.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bench/daemon.h"
#include "shmclient/shmclient.h"

#define SEGMENTS  1000
#define SETTLE_US 1500000
#define IDLE_S	  5
#define NAME	  "bench/broker/%u"

/* ---- /proc ----------------------------------------------------------------------------------- */

/* A number of /proc/PID/status. */
static uint64_t status_of(pid_t pid, const char *key)
{
	char path[64], line[256];
	size_t length = strlen(key);
	uint64_t value = 0;
	FILE *file;

	snprintf(path, sizeof(path), "/proc/%d/status", (int)pid);
	file = fopen(path, "re");
	if (file == NULL)
		bench_die("%s cannot be read", path);
	while (fgets(line, sizeof(line), file) != NULL)
		if (strncmp(line, key, length) == 0 && line[length] == ':')
			value = strtoull(line + length + 1, NULL, 10);
	fclose(file);
	return value;
}

struct memory {
	uint64_t all_kib;
	uint64_t anonymous_kib;
	uint64_t file_kib;
	uint64_t shared_kib; /* pages of segments that the broker has mapped */
};

static struct memory memory_of(pid_t pid)
{
	return (struct memory){
		.all_kib = status_of(pid, "VmRSS"),
		.anonymous_kib = status_of(pid, "RssAnon"),
		.file_kib = status_of(pid, "RssFile"),
		.shared_kib = status_of(pid, "RssShmem"),
	};
}

static uint64_t switches_of(pid_t pid)
{
	return status_of(pid, "voluntary_ctxt_switches") +
	       status_of(pid, "nonvoluntary_ctxt_switches");
}

/* ---- segments -------------------------------------------------------------------------------- */

static void create_segments(struct shmc_client *client)
{
	struct shmc_spsc_options options = { .capacity_bytes = 4096 };
	struct shmc_error error;
	char name[64];

	for (unsigned i = 0; i < SEGMENTS; i++) {
		snprintf(name, sizeof(name), NAME, i);
		if (shmc_spsc_create(client, name, &options, &error) != SHMC_OK)
			bench_die("broker: %s", error.text);
	}
}

static void unlink_segments(struct shmc_client *client)
{
	struct shmc_error error;
	char name[64];

	for (unsigned i = 0; i < SEGMENTS; i++) {
		snprintf(name, sizeof(name), NAME, i);
		if (shmc_unlink(client, name, &error) != SHMC_OK)
			bench_die("broker: %s", error.text);
	}
}

/* ---- memory ---------------------------------------------------------------------------------- */

static void add_memory(struct bench_report *report, unsigned segments, double kib, double bar,
		       const struct memory *memory)
{
	struct bench_result result = BENCH_RESULT_NULL;

	result.bench = "broker.memory";
	result.param[0] = (struct bench_param){ .name = "segments", .number = segments };
	result.unit = "KiB";
	result.p50 = kib;
	result.bar = bar;
	result.judged = BENCH_VALUE;
	result.note = bench_report_text(
		report,
		"%sVmRSS %llu KiB = %llu anonymous + %llu of files + %llu of segments mapped",
		segments != 0 ? "for each segment; " : "", (unsigned long long)memory->all_kib,
		(unsigned long long)memory->anonymous_kib, (unsigned long long)memory->file_kib,
		(unsigned long long)memory->shared_kib);
	bench_report_add(report, &result);
}

void bench_broker_memory(struct bench_report *report)
{
	struct memory empty, full;
	struct shmc_client *client;

	/* a new one: what others did before is not in it */
	bench_daemon_stop();
	bench_daemon_start();
	usleep(SETTLE_US / 10);
	empty = memory_of(bench_daemon_pid());
	add_memory(report, 0, (double)empty.all_kib, 6 * 1024, &empty);

	client = bench_daemon_connect(0);
	create_segments(client);
	usleep(SETTLE_US / 10);
	full = memory_of(bench_daemon_pid());
	add_memory(report, SEGMENTS, ((double)full.all_kib - (double)empty.all_kib) / SEGMENTS, 2,
		   &full);
	unlink_segments(client);
	shmc_disconnect(client);
}

/* ---- idle ------------------------------------------------------------------------------------ */

static void add_idle(struct bench_report *report, unsigned segments)
{
	struct bench_result result = BENCH_RESULT_NULL;
	uint64_t before;

	usleep(SETTLE_US);
	before = switches_of(bench_daemon_pid());
	sleep(IDLE_S);
	result.bench = "broker.idle";
	result.param[0] = (struct bench_param){ .name = "segments", .number = segments };
	result.unit = "wakes";
	result.p50 = (double)(switches_of(bench_daemon_pid()) - before);
	result.bar = 0;
	result.judged = BENCH_VALUE;
	result.note = bench_report_text(report, "context switches of the broker in %d s", IDLE_S);
	bench_report_add(report, &result);
}

void bench_broker_idle(struct bench_report *report)
{
	struct shmc_client *client;

	bench_daemon_start();
	add_idle(report, 0);
	client = bench_daemon_connect(0);
	create_segments(client);
	add_idle(report, SEGMENTS);
	unlink_segments(client);
	shmc_disconnect(client);
}
