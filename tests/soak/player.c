#include "tests/soak/player.h"

#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>

#include "tests/support/runner.h"

enum {
	REST_US = 30000, /* at most, mostly */
	SLOW_US = 300000,
};

uint64_t soak_now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

void soak_sleep_ns(uint64_t ns)
{
	struct timespec span = { (time_t)(ns / 1000000000), (long)(ns % 1000000000) };

	nanosleep(&span, NULL);
}

enum soak_phase soak_phase(const struct soak_player *player)
{
	return (enum soak_phase)atomic_load(&player->book->phase);
}

/* Who has just begun, or is to begin anew, has no last one. */
static void note_pause(struct soak_seat *seat)
{
	uint64_t now = soak_now_ns(), last = atomic_exchange(&seat->last_ns, now);

	if (last != 0 && now - last > atomic_load(&seat->pause_ns))
		atomic_store(&seat->pause_ns, now - last);
}

void soak_count(struct soak_player *player)
{
	if (player->book->is_steady)
		note_pause(player->seat);
	atomic_fetch_add_explicit(&player->seat->operations, 1, memory_order_relaxed);
}

int64_t soak_patience(struct soak_player *player)
{
	uint64_t choice = shmt_random_below(&player->random, 8);

	if (choice == 0)
		return SHMC_FOREVER;
	return choice < 3 ? SHMC_TRY : (int64_t)(choice * choice) * SOAK_MS;
}

/* Control */

static bool is_passing(enum shmc_result result)
{
	return result == SHMC_BROKER_LOST || result == SHMC_STALE || result == SHMC_BUSY ||
	       result == SHMC_TIMEOUT;
}

bool soak_again(struct soak_player *player, enum shmc_result result, const struct shmc_error *error,
		uint64_t *since_ns)
{
	uint64_t now = soak_now_ns();

	if (result == SHMC_OK)
		return false;
	if (*since_ns == 0)
		*since_ns = now;
	if (!is_passing(result) || now - *since_ns > shmt_scaled(20) * UINT64_C(1000000000)) {
		soak_wrong(player->book, player->seat, "%s after %llu ms: %s",
			   shmc_result_name(result),
			   (unsigned long long)((now - *since_ns) / 1000000), error->text);
		_exit(3);
	}
	atomic_fetch_add(&player->seat->retries, 1);
	soak_sleep_ns(2 * SOAK_MS);
	return true;
}

void soak_connect(struct soak_player *player)
{
	struct shmc_client_options options = { .address = player->book->address, .name = "soak" };
	struct shmc_error error = { .text = "" };
	uint64_t since_ns = 0;

	while (soak_again(player, shmc_connect(&options, &player->client, &error), &error,
			  &since_ns))
		;
}

void soak_reconnect(struct soak_player *player)
{
	player->client = shmc_disconnect(player->client);
	soak_connect(player);
}

/* Whims */

/* Kills this process somewhere in what it does next. */
static void be_shot(struct soak_player *player)
{
	struct sigevent event = { .sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGKILL };
	struct itimerspec when = { .it_value.tv_nsec = 1 + (long)shmt_random_below(&player->random,
										   30000) };
	timer_t timer;

	if (timer_create(CLOCK_MONOTONIC, &event, &timer) == 0)
		timer_settime(timer, 0, &when, NULL);
}

/* A child that may do nothing with what it has inherited, and may outlive its parent. */
static void have_a_child(struct soak_player *player)
{
	uint64_t life_ns = shmt_random_below(&player->random, 100) * SOAK_MS;
	enum shmc_result result;

	if (fork() != 0)
		return;
	result = shmc_client_check(player->client, NULL);
	if (result != SHMC_FORKED)
		soak_wrong(player->book, player->seat, "a forked child's check says %s",
			   shmc_result_name(result));
	result = player->probe && player->handle ? player->probe(player->handle) : SHMC_FORKED;
	if (result != SHMC_FORKED)
		soak_wrong(player->book, player->seat, "a forked child's try says %s",
			   shmc_result_name(result));
	soak_sleep_ns(life_ns);
	_exit(0);
}

/* The process lives, but what it had is gone: quarantine. */
static void become_another(struct soak_player *player)
{
	char ms[16];

	snprintf(ms, sizeof(ms), "%u", (unsigned)shmt_random_below(&player->random, 200));
	execl("/proc/self/exe", "soak", "--idle", ms, (char *)NULL);
	_exit(4);
}

int soak_idle(const char *ms)
{
	soak_sleep_ns(strtoull(ms, NULL, 10) * SOAK_MS);
	return 0;
}

enum soak_whim soak_rest(struct soak_player *player)
{
	struct shmt_random *random = &player->random;
	uint64_t whim = shmt_random_below(random, 3000);
	bool is_slow = shmt_random_below(random, 50) == 0;

	atomic_fetch_add(&player->seat->bursts, 1);
	atomic_fetch_add(&player->book->bursts, 1);
	if (player->book->is_steady) {
		soak_sleep_ns(SOAK_MS);
		return SOAK_GO_ON;
	}
	soak_sleep_ns((5000 + shmt_random_below(random, is_slow ? SLOW_US : REST_US)) * 1000);
	if (soak_phase(player) != SOAK_RUN)
		return SOAK_GO_ON;
	if (whim < 8)
		be_shot(player);
	else if (whim < 28)
		return SOAK_REOPEN;
	else if (whim < 36)
		return SOAK_RECONNECT;
	else if (whim < 39)
		return SOAK_LEAVE;
	else if (whim < 44)
		have_a_child(player);
	else if (whim < 47)
		become_another(player);
	return SOAK_GO_ON;
}

void soak_play(struct soak_book *book, uint32_t seat)
{
	struct soak_player player = { .book = book, .seat = &book->seats[seat] };
	const struct soak_kind *kind = soak_kinds[player.seat->kind];

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	signal(SIGCHLD, SIG_IGN);
	player.lane = &book->lanes[player.seat->lane];
	player.random.state = book->seed ^ (uint64_t)seat << 32 ^ atomic_load(&player.seat->lives);
	soak_connect(&player);
	kind->roles[player.seat->role].play(&player);
	shmc_disconnect(player.client);
	_exit(0);
}
