/*
 * The main of a fuzz target in the normal build: replays every file of the folders named as
 * arguments (one TAP line each), then runs a fixed number of seeded mutations of them (one line).
 * What is being tried when the program dies is left in ./fuzz-failure, to be given back as argument.
 *
 * Environment: SHMT_SEED, SHMT_FUZZ_RUNS (20000), SHMT_FUZZ_SECONDS (10, a cap on the runs).
 */
#include "tests/support/fuzz.h"

#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "tests/support/random.h"

enum {
	FUZZ_SIZE_MAX = 1 << 17,
	FUZZ_INPUTS_MAX = 1024,
};

struct fuzz_input {
	char *path;
	uint8_t *data;
	size_t size;
};

static struct fuzz_input fuzz_inputs[FUZZ_INPUTS_MAX];
static size_t fuzz_input_count;

static const uint8_t *fuzz_now;
static size_t fuzz_now_size;

static const int fuzz_deaths[] = { SIGABRT, SIGBUS, SIGFPE, SIGILL, SIGSEGV, SIGTERM };
static struct sigaction fuzz_before[NSIG];

/* Only calls that are allowed in a signal handler. Who was here before (a sanitizer) comes next. */
static void fuzz_died(int number)
{
	static const char text[] = "input left in ./fuzz-failure\n";
	int fd = open("fuzz-failure", O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);

	if (fd >= 0 && write(fd, fuzz_now, fuzz_now_size) == (ssize_t)fuzz_now_size &&
	    write(STDERR_FILENO, text, sizeof(text) - 1) > 0)
		close(fd);
	sigaction(number, &fuzz_before[number], NULL);
	raise(number);
}

static void fuzz_catch(void)
{
	struct sigaction action = { .sa_handler = fuzz_died };

	for (size_t i = 0; i < sizeof(fuzz_deaths) / sizeof(*fuzz_deaths); i++)
		sigaction(fuzz_deaths[i], &action, &fuzz_before[fuzz_deaths[i]]);
}

/* The target sees a heap block of exactly this size, so that a sanitizer sees a read outside. */
static void fuzz_try(const uint8_t *data, size_t size)
{
	uint8_t *copy = malloc(size ? size : 1);

	memcpy(copy, data, size);
	fuzz_now = copy;
	fuzz_now_size = size;
	LLVMFuzzerTestOneInput(copy, size);
	free(copy);
}

static void fuzz_load_file(const char *path)
{
	FILE *file = fopen(path, "re");
	struct fuzz_input *input = &fuzz_inputs[fuzz_input_count];

	if (!file || fuzz_input_count == FUZZ_INPUTS_MAX) {
		fprintf(stderr, "%s: cannot be read, or is one too many\n", path);
		exit(1);
	}
	input->path = strdup(path);
	input->data = malloc(FUZZ_SIZE_MAX);
	input->size = fread(input->data, 1, FUZZ_SIZE_MAX, file);
	fuzz_input_count++;
	fclose(file);
}

static void fuzz_load(const char *path)
{
	struct dirent **entries;
	struct stat st;
	int count;

	if (stat(path, &st) == 0 && !S_ISDIR(st.st_mode)) {
		fuzz_load_file(path);
		return;
	}
	count = scandir(path, &entries, NULL, alphasort);
	if (count < 0) {
		perror(path);
		exit(1);
	}
	for (int i = 0; i < count; i++) {
		char *inner;

		if (entries[i]->d_name[0] != '.' &&
		    asprintf(&inner, "%s/%s", path, entries[i]->d_name) > 0) {
			fuzz_load(inner);
			free(inner);
		}
		free(entries[i]);
	}
	free(entries);
}

/* Opens a gap of `count` bytes at `at`, or closes one. Return: the new size. */
static size_t fuzz_insert(uint8_t *data, size_t size, size_t at, size_t count)
{
	if (size + count > FUZZ_SIZE_MAX)
		return size;
	memmove(data + at + count, data + at, size - at);
	return size + count;
}

static size_t fuzz_remove(uint8_t *data, size_t size, size_t at, size_t count)
{
	if (count > size - at)
		count = size - at;
	memmove(data + at, data + at + count, size - at - count);
	return size - count;
}

/* The numbers at which lengths and positions break. */
static uint64_t fuzz_edge_number(struct shmt_random *random)
{
	uint64_t power = (uint64_t)1 << shmt_random_below(random, 64);

	switch (shmt_random_below(random, 4)) {
	case 0:
		return power;
	case 1:
		return power - 1;
	case 2:
		return 0 - power;
	default:
		return shmt_random_next(random);
	}
}

/* One small change of `data`, which has room for FUZZ_SIZE_MAX. Return: the new size. */
static size_t fuzz_mutate(struct shmt_random *random, uint8_t *data, size_t size)
{
	const struct fuzz_input *other = &fuzz_inputs[shmt_random_below(random, fuzz_input_count)];
	size_t at = shmt_random_below(random, size);
	size_t count = 1 + shmt_random_below(random, 16);
	uint64_t number = fuzz_edge_number(random);
	size_t width = (size_t)1 << shmt_random_below(random, 4);
	size_t grown, from;

	if (!size) {
		data[0] = (uint8_t)number;
		return 1;
	}
	switch (shmt_random_below(random, 7)) {
	case 0:
		data[at] ^= (uint8_t)(1u << shmt_random_below(random, 8));
		return size;
	case 1:
		data[at] = (uint8_t)number;
		return size;
	case 2:
		memcpy(data + at, &number, width < size - at ? width : size - at);
		return size;
	case 3:
		return fuzz_remove(data, size, at, count);
	case 4: /* say something twice */
		if (count > size - at)
			count = size - at;
		grown = fuzz_insert(data, size, at, count);
		return grown;
	case 5: /* a few bytes from nowhere */
		grown = fuzz_insert(data, size, at, count);
		for (size_t i = 0; grown > size && i < count; i++)
			data[at + i] = (uint8_t)shmt_random_next(random);
		return grown;
	default: /* go on as another input does */
		from = shmt_random_below(random, other->size);
		count = other->size - from;
		if (count > FUZZ_SIZE_MAX - at)
			count = FUZZ_SIZE_MAX - at;
		memcpy(data + at, other->data + from, count);
		return at + count;
	}
}

static unsigned long fuzz_setting(const char *name, unsigned long otherwise)
{
	const char *text = getenv(name);

	return text ? strtoul(text, NULL, 10) : otherwise;
}

/* Return: how many mutations were tried, at least one. */
static unsigned long fuzz_search(void)
{
	unsigned long runs = fuzz_setting("SHMT_FUZZ_RUNS", 20000), run = 0;
	time_t end = time(NULL) + (time_t)fuzz_setting("SHMT_FUZZ_SECONDS", 10);
	struct shmt_random random = { shmt_seed() };
	uint8_t *data = malloc(FUZZ_SIZE_MAX);

	do {
		const struct fuzz_input *input =
			&fuzz_inputs[shmt_random_below(&random, fuzz_input_count)];
		size_t size = input->size;

		memcpy(data, input->data, size);
		for (uint64_t changes = 1 + shmt_random_below(&random, 8); changes; changes--)
			size = fuzz_mutate(&random, data, size);
		fuzz_try(data, size);
	} while (++run < runs && time(NULL) < end);
	free(data);
	return run;
}

int main(int argc, char **argv)
{
	setvbuf(stdout, NULL, _IOLBF, 0);
	fuzz_catch();
	for (int i = 1; i < argc; i++)
		fuzz_load(argv[i]);
	if (!fuzz_input_count) {
		fprintf(stderr, "usage: %s CORPUS...\n", argv[0]);
		return 1;
	}

	printf("1..%zu\n", fuzz_input_count + 1);
	for (size_t i = 0; i < fuzz_input_count; i++) {
		fuzz_try(fuzz_inputs[i].data, fuzz_inputs[i].size);
		printf("ok %zu - %s\n", i + 1, basename(fuzz_inputs[i].path));
	}
	printf("ok %zu - %lu mutations\n", fuzz_input_count + 1, fuzz_search());

	for (size_t i = 0; i < fuzz_input_count; i++) {
		free(fuzz_inputs[i].path);
		free(fuzz_inputs[i].data);
	}
	return 0;
}
