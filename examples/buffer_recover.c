/*
 * buffer_recover [ROUNDS]: a table under a lock, with a checksum; its writer is killed in the middle.
 *
 * A writer process raises all counters of the table, over and over, and stores their checksum each
 * time; it is killed while it does, ROUNDS times (20). The next holder of the lock is told so,
 * mends what was left half done, and goes on. Ends with status 1 if anybody is ever shown a table
 * that is not whole without being told.
 */
#include <shmclient/shmclient.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#define COUNTERS 512
#define BYTES	 (COUNTERS * sizeof(uint64_t))

static struct shmc_buffer *join(struct shmc_client **client)
{
	struct shmc_buffer_options options = { .size_bytes = BYTES, .reuse = 1 };
	struct shmc_buffer *buffer;
	struct shmc_error error;

	if (shmc_connect(NULL, client, &error) != SHMC_OK ||
	    shmc_buffer_create(*client, "table", &options, &error) != SHMC_OK ||
	    shmc_buffer_open(*client, "table", SHMC_BUFFER_WRITER, &buffer, &error) != SHMC_OK) {
		fprintf(stderr, "buffer_recover: %s\n", error.text);
		exit(1);
	}
	return buffer;
}

/* Raises each counter in place; the lock is held. */
static void raise_all(struct shmc_buffer *buffer)
{
	void *edit;

	if (shmc_buffer_edit(buffer, 0, BYTES, &edit) != SHMC_OK)
		exit(1);
	for (uint64_t i = 0; i < COUNTERS; i++)
		((uint64_t *)edit)[i]++;
	shmc_buffer_store_checksum(buffer, 0, BYTES, SHMC_TRY);
}

static void write_until_killed(void)
{
	struct shmc_client *client;
	struct shmc_buffer *buffer = join(&client);

	while (shmc_buffer_lock_write(buffer, SHMC_FOREVER) == SHMC_OK) {
		raise_all(buffer);
		shmc_buffer_unlock(buffer);
	}
}

/* What a dead writer left: some counters are one ahead of the others. */
static void mend(struct shmc_buffer *buffer)
{
	uint64_t counters[COUNTERS];

	shmc_buffer_read(buffer, 0, counters, BYTES);
	for (uint64_t i = 1; i < COUNTERS; i++)
		counters[i] = counters[0];
	shmc_buffer_write(buffer, 0, counters, BYTES);
	shmc_buffer_store_checksum(buffer, 0, BYTES, SHMC_TRY);
	shmc_buffer_mark_consistent(buffer);
}

/* Kills the writer with the lock in its hand, and takes it: 1 if what was left needed mending. */
static int kill_and_recover(struct shmc_buffer *buffer, pid_t writer)
{
	struct shmc_buffer_owner owner;
	enum shmc_result result;

	do
		shmc_buffer_owner(buffer, &owner);
	while (!owner.is_held);
	kill(writer, SIGKILL);
	waitpid(writer, NULL, 0);
	result = shmc_buffer_lock_write(buffer, SHMC_FOREVER);
	if (result == SHMC_OWNER_DIED)
		mend(buffer);
	else if (shmc_buffer_verify(buffer, 0, BYTES, NULL, SHMC_TRY) == SHMC_DAMAGED)
		exit(1);
	shmc_buffer_unlock(buffer);
	return result == SHMC_OWNER_DIED;
}

int main(int argc, char **argv)
{
	int rounds = argc > 1 ? atoi(argv[1]) : 20;
	uint64_t counters[COUNTERS];
	struct shmc_client *client;
	struct shmc_buffer *buffer;
	enum shmc_result result;
	int mended = 0;

	buffer = join(&client);
	for (int i = 0; i < rounds; i++) {
		pid_t writer = fork(); /* the child's handle is its own, not its parent's */

		if (writer == 0)
			write_until_killed();
		mended += kill_and_recover(buffer, writer);
	}
	result = shmc_buffer_verify(buffer, 0, BYTES, counters, SHMC_FOREVER);
	printf("killed %d writers, mended %d times, counted to %llu, checksum %s\n", rounds, mended,
	       (unsigned long long)counters[0], shmc_result_name(result));
	shmc_unlink(client, "table", NULL);
	shmc_buffer_close(buffer);
	shmc_disconnect(client);
	return result == SHMC_OK ? 0 : 1;
}
