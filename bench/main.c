/*
 * shmbench: measures, and says it in lines for people, in JSON lines and as a document.
 */
#include <errno.h>
#include <getopt.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>

#include "bench/groups.h"

struct group {
	const char *name;
	void (*run)(struct bench_report *report);
};

static const struct group groups[] = {
	{ "spsc.rtt", bench_spsc_rtt },
	{ "spsc.throughput", bench_spsc_throughput },
	{ "spsc.uncontended", bench_spsc_uncontended },
	{ "spsc.wake", bench_spsc_wake },
	{ "mpmc.uncontended", bench_mpmc_uncontended },
	{ "mpmc.1p1c", bench_mpmc_1p1c },
	{ "mpmc.contended", bench_mpmc_contended },
	{ "mpmc.2p2c", bench_mpmc_2p2c },
	{ "broadcast.rtt", bench_broadcast_rtt },
	{ "broadcast.throughput", bench_broadcast_throughput },
	{ "broadcast.writer", bench_broadcast_writer },
	{ "pipe.rtt", bench_pipe_rtt },
	{ "stream.loan", bench_stream_loan },
	{ "arena.lookup", bench_arena_lookup },
	{ "array.read", bench_array_read },
	{ "buffer.write", bench_buffer_write },
	{ "buffer.read", bench_buffer_read },
	{ "lock.read", bench_lock_read },
	{ "lock.write", bench_lock_write },
	{ "record.snapshot", bench_record_snapshot },
	{ "record.commit", bench_record_commit },
	{ "pool.cycle", bench_pool_cycle },
	{ "ring.bulk", bench_ring_bulk },
	{ "rpc.rtt", bench_rpc_rtt },
	{ "codec.json", bench_codec_json },
	{ "detect.kill", bench_detect_kill },
	{ "attach.latency", bench_attach_latency },
	{ "attach.rate", bench_attach_rate },
	{ "broker.memory", bench_broker_memory },
	{ "broker.idle", bench_broker_idle },
};

#define GROUPS (sizeof(groups) / sizeof(groups[0]))

enum {
	OPTION_COMMIT = 256,
	OPTION_LIST,
	OPTION_MARKDOWN,
	OPTION_ROUNDS,
	OPTION_SLICE
};

static const struct option options[] = {
	{ "commit", required_argument, NULL, OPTION_COMMIT },
	{ "help", no_argument, NULL, 'h' },
	{ "json", required_argument, NULL, 'j' },
	{ "list", no_argument, NULL, OPTION_LIST },
	{ "markdown", required_argument, NULL, OPTION_MARKDOWN },
	{ "rounds", required_argument, NULL, OPTION_ROUNDS },
	{ "slice", required_argument, NULL, OPTION_SLICE },
	{ NULL, 0, NULL, 0 },
};

static void usage(FILE *file)
{
	fputs("usage: shmbench [OPTION...] [NAME...]\n"
	      "\n"
	      "  --json FILE      one JSON object to a line, too; - is standard output\n"
	      "  --markdown FILE  the document, too\n"
	      "  --commit ID      what is being measured, for both\n"
	      "  --slice MS       a contender's turn (default: 50)\n"
	      "  --rounds N       turns of each (default: 25, at most 256)\n"
	      "  --list           the names\n"
	      "\n"
	      "A NAME chooses what it begins: spsc chooses spsc.rtt.\n",
	      file);
}

static FILE *open_or_die(const char *path)
{
	FILE *file = strcmp(path, "-") == 0 ? stdout : fopen(path, "we");

	if (file == NULL)
		bench_die("%s: %s", path, strerror(errno));
	return file;
}

static unsigned long number_or_die(const char *option, const char *text, unsigned long max)
{
	char *end;
	unsigned long number = strtoul(text, &end, 10);

	if (*end != '\0' || number == 0 || number > max)
		bench_die("%s: not a number from 1 to %lu: %s", option, max, text);
	return number;
}

static bool is_chosen(const struct group *group, char **names, int count)
{
	for (int i = 0; i < count; i++)
		if (strncmp(group->name, names[i], strlen(names[i])) == 0)
			return true;
	return count == 0;
}

static void check_names(char **names, int count)
{
	for (int i = 0; i < count; i++) {
		size_t n = 0;

		while (n < GROUPS && !is_chosen(&groups[n], &names[i], 1))
			n++;
		if (n == GROUPS)
			bench_die("there is no %s; see --list", names[i]);
	}
}

/* Two processors that this process may run on. */
static void choose_processors(void)
{
	cpu_set_t set;
	int found = 0;

	if (sched_getaffinity(0, sizeof(set), &set) < 0)
		bench_die("sched_getaffinity: %s", strerror(errno));
	for (int cpu = 0; cpu < CPU_SETSIZE && found < 2; cpu++)
		if (CPU_ISSET((size_t)cpu, &set))
			bench_manner.cpu[found++] = cpu;
	if (found < 2)
		bench_die("needs two processors");
}

int main(int argc, char **argv)
{
	static struct bench_report report = { .commit = "unknown" };
	FILE *markdown = NULL;
	int option;

	while ((option = getopt_long(argc, argv, "hj:", options, NULL)) != -1) {
		switch (option) {
		case OPTION_COMMIT:
			report.commit = optarg;
			break;
		case OPTION_LIST:
			for (size_t i = 0; i < GROUPS; i++)
				puts(groups[i].name);
			return 0;
		case OPTION_MARKDOWN:
			markdown = open_or_die(optarg);
			break;
		case OPTION_ROUNDS:
			bench_manner.rounds = (unsigned)number_or_die("--rounds", optarg,
								      BENCH_ROUNDS_MAX);
			break;
		case OPTION_SLICE:
			bench_manner.slice_ns = number_or_die("--slice", optarg, 1000) * 1000000;
			break;
		case 'j':
			report.json = open_or_die(optarg);
			break;
		case 'h':
			usage(stdout);
			return 0;
		default:
			usage(stderr);
			return 2;
		}
	}
	check_names(argv + optind, argc - optind);
	choose_processors();
	bench_clock_start();
	bench_report_head(&report);
	for (size_t i = 0; i < GROUPS; i++)
		if (is_chosen(&groups[i], argv + optind, argc - optind))
			groups[i].run(&report);
	if (markdown != NULL) {
		bench_report_markdown(&report, markdown);
		fclose(markdown);
	}
	if (report.json != NULL)
		fclose(report.json);
	return 0;
}
