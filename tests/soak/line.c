#include "tests/soak/line.h"

#include <stdatomic.h>
#include <string.h>

enum {
	BURST = 48,
};

static const struct soak_line *probed; /* of this process */

static enum shmc_result probe(void *handle)
{
	uint8_t message[sizeof(struct soak_head)] = { 0 };

	return probed->send(handle, message, sizeof(message), SHMC_TRY);
}

static void open_line(struct soak_player *player, const struct soak_line *line, bool sends)
{
	struct shmc_error error = { .text = "" };
	uint64_t since_ns = 0;

	while (soak_again(
		player,
		line->open(player->client, player->lane->segment, sends, &player->handle, &error),
		&error, &since_ns))
		;
	probed = line;
	player->probe = sends ? probe : NULL;
}

static void close_line(struct soak_player *player, const struct soak_line *line)
{
	line->close(player->handle);
	player->handle = NULL;
}

/* Return: whether the handle is worth another burst. */
static bool follow(struct soak_player *player, const struct soak_line *line, enum soak_whim whim)
{
	if (whim == SOAK_GO_ON)
		return true;
	close_line(player, line);
	if (whim == SOAK_RECONNECT)
		soak_reconnect(player);
	return whim != SOAK_LEAVE;
}

static bool is_refusal(const struct soak_line *line, enum shmc_result result)
{
	return result == SHMC_FULL || result == SHMC_TIMEOUT || result == SHMC_EMPTY ||
	       (line->has_peers && (result == SHMC_PEER_DEAD || result == SHMC_CLOSED));
}

/* What a call without success leaves to be done. */
static void put_up_with(struct soak_player *player, const struct soak_line *line, const char *call,
			enum shmc_result result)
{
	if (!is_refusal(line, result)) {
		soak_wrong(player->book, player->seat, "%s says %s", call,
			   shmc_result_name(result));
		soak_sleep_ns(20 * SOAK_MS);
	} else if (result == SHMC_PEER_DEAD || result == SHMC_CLOSED) {
		line->wait_peer(player->handle, 100 * SOAK_MS);
	}
}

/* Sending */

static bool send_one(struct soak_player *player, const struct soak_line *line)
{
	uint8_t message[SOAK_MESSAGE_MAX];
	uint64_t number = soak_number(player->book, player->seat), size;
	enum shmc_result result;
	int64_t timeout_ns;

	if (number == 0)
		return false;
	size = soak_compose(player->book, player->seat, number, message);
	timeout_ns = soak_patience(player);
	if (line->is_mutual && timeout_ns == SHMC_FOREVER)
		timeout_ns = SOAK_MS; /* both might wait for room */
	result = line->send(player->handle, message, size, timeout_ns);
	soak_mark(player->book, player->seat, number, result == SHMC_OK ? SOAK_SENT : SOAK_UNSENT);
	if (result != SHMC_OK)
		put_up_with(player, line, "send", result);
	soak_count(player);
	return result == SHMC_OK;
}

void soak_line_send(struct soak_player *player, const struct soak_line *line)
{
	enum soak_whim whim = SOAK_GO_ON;

	open_line(player, line, true);
	while (soak_phase(player) == SOAK_RUN) {
		uint64_t burst = 1 + shmt_random_below(&player->random, BURST);

		while (burst-- && soak_phase(player) == SOAK_RUN && send_one(player, line))
			;
		whim = soak_rest(player);
		if (!follow(player, line, whim))
			return;
		if (!player->handle)
			open_line(player, line, true);
	}
	close_line(player, line);
}

/* Receiving */

static enum shmc_result take_one(struct soak_player *player, const struct soak_line *line,
				 int64_t timeout_ns)
{
	struct soak_seat *seat = player->seat;
	struct soak_received received = { 0 };
	enum shmc_result result;

	memset(seat->buffer, 0, sizeof(struct soak_head));
	atomic_store(&seat->noted, 0);
	atomic_store(&seat->hand, SOAK_HAND_TAKING);
	result = line->receive(player->handle, seat->buffer, sizeof(seat->buffer), timeout_ns,
			       &received);
	if (result == SHMC_OK)
		soak_got(player->book, seat, received.data, received.size,
			 received.flags & SHMC_REDELIVERED, line->is_ordered);
	atomic_store(&seat->hand, SOAK_HAND_EMPTY);
	return result;
}

/* Now and then with something in hand for so long that death finds it there. */
static void linger(struct soak_player *player)
{
	if (shmt_random_below(&player->random, 60) == 0)
		soak_sleep_ns(shmt_random_below(&player->random, 40) * SOAK_MS);
}

static enum shmc_result show_one(struct soak_player *player, const struct soak_line *line,
				 int64_t timeout_ns)
{
	struct soak_received received = { 0 };
	enum shmc_result result;

	atomic_store(&player->seat->hand, SOAK_HAND_SHOWING);
	result = line->peek(player->handle, timeout_ns, &received);
	if (result == SHMC_OK) {
		linger(player);
		soak_got(player->book, player->seat, received.data, received.size,
			 received.flags & SHMC_REDELIVERED, line->is_ordered);
		linger(player);
		if (line->release(player->handle) != SHMC_OK)
			soak_wrong(player->book, player->seat, "what was shown is not released");
	}
	atomic_store(&player->seat->hand, SOAK_HAND_EMPTY);
	return result;
}

static bool receive_one(struct soak_player *player, const struct soak_line *line)
{
	bool shows = line->peek && shmt_random_below(&player->random, 2);
	int64_t timeout_ns = line->is_mutual ? 2 * SOAK_MS : soak_patience(player);
	enum shmc_result result = shows ? show_one(player, line, timeout_ns) :
					  take_one(player, line, timeout_ns);

	soak_count(player);
	if (result != SHMC_OK)
		put_up_with(player, line, shows ? "peek" : "receive", result);
	return result == SHMC_OK;
}

void soak_line_receive(struct soak_player *player, const struct soak_line *line)
{
	enum soak_whim whim;

	open_line(player, line, false);
	while (soak_phase(player) != SOAK_OVER) {
		uint64_t burst = 1 + shmt_random_below(&player->random, 2 * BURST);

		while (burst-- && soak_phase(player) != SOAK_OVER && receive_one(player, line))
			;
		whim = soak_rest(player);
		if (!follow(player, line, whim))
			return;
		if (!player->handle)
			open_line(player, line, false);
	}
	close_line(player, line);
}

/* Some of either, so that neither fills up while the other is waited for. */
static void talk_for_a_burst(struct soak_player *player, const struct soak_line *line)
{
	for (uint64_t i = 1 + shmt_random_below(&player->random, BURST); i > 0; i--) {
		if (soak_phase(player) == SOAK_OVER)
			return;
		if (soak_phase(player) == SOAK_RUN && shmt_random_below(&player->random, 2))
			send_one(player, line);
		else
			receive_one(player, line);
	}
}

void soak_line_talk(struct soak_player *player, const struct soak_line *line, bool hosts)
{
	open_line(player, line, hosts);
	while (soak_phase(player) != SOAK_OVER) {
		talk_for_a_burst(player, line);
		if (!follow(player, line, soak_rest(player)))
			return;
		if (!player->handle)
			open_line(player, line, hosts);
	}
	close_line(player, line);
}

void soak_line_account(struct soak_player *heir, const struct soak_line *line)
{
	open_line(heir, line, false);
	while (take_one(heir, line, 300 * SOAK_MS) == SHMC_OK)
		;
	close_line(heir, line);
	soak_account_messages(heir->book, heir->lane);
}
