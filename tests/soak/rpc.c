/*
 * rpc: calls whose answers repeat the request. A request that was answered was handled; it was
 * handled again only flagged.
 */
#include <stdatomic.h>
#include <string.h>

#include "tests/soak/cell.h"
#include "tests/soak/kinds.h"

static enum shmc_result create(struct shmc_client *client, const char *segment,
			       struct shmc_error *error)
{
	struct shmc_rpc_options options = { .message_bytes_max = SOAK_MESSAGE_MAX, .reuse = 1 };

	return shmc_rpc_create(client, segment, &options, error);
}

static enum shmc_result open_client(struct shmc_client *client, const char *segment,
				    void **ret_handle, struct shmc_error *error)
{
	return shmc_rpc_open(client, segment, SHMC_RPC_CLIENT, (struct shmc_rpc **)ret_handle,
			     error);
}

static enum shmc_result open_worker(struct shmc_client *client, const char *segment,
				    void **ret_handle, struct shmc_error *error)
{
	return shmc_rpc_open(client, segment, SHMC_RPC_WORKER, (struct shmc_rpc **)ret_handle,
			     error);
}

static void close_rpc(void *handle)
{
	shmc_rpc_close(handle);
}

static bool call(struct soak_player *player)
{
	uint8_t request[SOAK_MESSAGE_MAX], answer[SOAK_MESSAGE_MAX];
	struct shmc_rpc_answer told = { 0 };
	uint64_t number = soak_number(player->book, player->seat), size;
	int64_t timeout_ns = soak_patience(player);
	enum shmc_result result;

	if (number == 0)
		return false;
	size = soak_compose(player->book, player->seat, number, request);
	result = shmc_rpc_call(player->handle, request, size, answer, sizeof(answer),
			       timeout_ns == SHMC_TRY ? SOAK_MS : timeout_ns, &told);
	if (result == SHMC_OK) {
		soak_mark(player->book, player->seat, number, SOAK_SENT);
		if (told.size != size || memcmp(answer, request, size) != 0)
			soak_wrong(player->book, player->seat, "call %llu has another's answer",
				   (unsigned long long)number);
	} else if (result == SHMC_FULL) {
		soak_mark(player->book, player->seat, number, SOAK_UNSENT);
	} else if (result == SHMC_PEER_DEAD || result == SHMC_CLOSED) {
		shmc_rpc_wait_worker(player->handle, 100 * SOAK_MS);
	} else if (result != SHMC_TIMEOUT) {
		soak_wrong(player->book, player->seat, "call says %s", shmc_result_name(result));
	}
	return result == SHMC_OK;
}

static bool serve(struct soak_player *player)
{
	struct soak_seat *seat = player->seat;
	struct shmc_rpc_request request = { 0 };
	enum shmc_result result;

	atomic_store(&seat->hand, SOAK_HAND_SHOWING);
	result = shmc_rpc_take(player->handle, soak_patience(player), &request);
	if (result == SHMC_OK) {
		uint8_t copy[SOAK_MESSAGE_MAX];
		uint64_t size = request.size < sizeof(copy) ? request.size : sizeof(copy);

		memcpy(copy, request.data, size);
		soak_got(player->book, seat, copy, size, request.flags & SHMC_REDELIVERED, false);
		if (shmt_random_below(&player->random, 60) == 0)
			soak_sleep_ns(shmt_random_below(&player->random, 40) * SOAK_MS);
		result = shmc_rpc_answer(player->handle, &request, 0, copy, size);
		if (result != SHMC_OK && result != SHMC_STALE)
			soak_wrong(player->book, seat, "answer says %s", shmc_result_name(result));
		result = SHMC_OK;
	} else if (result != SHMC_EMPTY && result != SHMC_TIMEOUT) {
		soak_wrong(player->book, seat, "take says %s", shmc_result_name(result));
	}
	atomic_store(&seat->hand, SOAK_HAND_EMPTY);
	return result == SHMC_OK;
}

static const struct soak_cell client_cell = { open_client, close_rpc, call, 1 };
static const struct soak_cell worker_cell = { open_worker, close_rpc, serve, 0 };

static void play_client(struct soak_player *player)
{
	soak_cell_play(player, &client_cell);
}

static void play_worker(struct soak_player *player)
{
	soak_cell_play(player, &worker_cell);
}

static void account(struct soak_player *heir)
{
	struct shmc_rpc_statistics statistics = { 0 };

	soak_cell_open(heir, &worker_cell);
	if (shmc_rpc_statistics(heir->handle, &statistics) != SHMC_OK || statistics.waiting != 0 ||
	    statistics.in_hand != 0 || statistics.cancelled != 0)
		soak_wrong(heir->book, heir->seat, "%llu calls wait, %llu are in hand",
			   (unsigned long long)statistics.waiting,
			   (unsigned long long)statistics.in_hand);
	close_rpc(heir->handle);
	soak_account_messages(heir->book, heir->lane);
}

const struct soak_kind soak_rpc = {
	.name = "rpc",
	.lanes = 1,
	.create = create,
	.roles = { { "client", 2, 1, play_client }, { "worker", 2, 0, play_worker } },
	.account = account,
};
