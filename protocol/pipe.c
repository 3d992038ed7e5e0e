/* pipe: who speaks with whom, and what is stale. See pipe.h. */
#include "protocol/pipe.h"

#define HANDS_MAX 64 /* hosts that follow each other while a client comes */
#define LOOKS_MAX 16

static uint64_t load_place(const struct shmp_pipe *pipe)
{
	/* [endpoint.S] acquire; pairs with shmp_endpoint_set_state */
	return atomic_load_explicit(&pipe->place->state, memory_order_acquire);
}

/* The other side's place at one moment. */
struct sight {
	uint64_t word;
	uint64_t now; /* incarnation */
	uint32_t deaths;
};

static uint32_t load_deaths(const struct shmp_pipe *pipe)
{
	/* relaxed: the broker writes it before the state that says so */
	return atomic_load_explicit(&pipe->place->deaths, memory_order_relaxed);
}

static struct sight look_at_place(const struct shmp_pipe *pipe)
{
	struct sight sight;
	int looks = 0;

	/* a death is counted between two changes of the state */
	do {
		sight.word = load_place(pipe);
		sight.deaths = load_deaths(pipe);
	} while (load_place(pipe) != sight.word && ++looks < LOOKS_MAX);
	sight.now = shmp_endpoint_incarnation_of(sight.word);
	return sight;
}

/* What the one who reads expects of the messages of peer @peer, or writes to it. */
static uint64_t mark_from(const struct shmp_pipe *pipe, uint32_t sender, uint64_t peer)
{
	bool is_host = pipe->role == SHMP_PIPE_HOST;

	return shmp_pipe_mark(sender, is_host ? pipe->self : peer, is_host ? peer : pipe->self);
}

static uint64_t incoming_mark(const struct shmp_pipe *pipe, uint64_t peer)
{
	return mark_from(pipe, 1 - pipe->role, peer);
}

/* The next header to be read. */
static uint64_t load_next(const struct shmp_pipe *pipe)
{
	const uint8_t *at = pipe->in.data + (pipe->in.tail & pipe->in.mask);

	/* [spsc.H] acquire; pairs with shmp_spsc_publish */
	return atomic_load_explicit((const _Atomic uint64_t *)(const void *)at,
				    memory_order_acquire);
}

static bool is_sane(const struct shmp_pipe *pipe, uint64_t header)
{
	return (header & SHMP_SPSC_PUBLISHED) != 0 &&
	       (header & SHMP_PIPE_BYTES) <= pipe->in.message_max;
}

static uint64_t mark_of(uint64_t header)
{
	return header & ~SHMP_PIPE_BYTES;
}

/* The session in what a client sent. */
static bool is_of_session(const struct shmp_pipe *pipe, uint64_t header)
{
	uint64_t sessions = shmp_pipe_mark(SHMP_PIPE_CLIENT, UINT64_MAX, 0);

	return (header & sessions) == shmp_pipe_mark(SHMP_PIPE_CLIENT, pipe->self, 0);
}

/* Drops the message that has this header. */
static void drop(struct shmp_pipe *pipe, uint64_t header)
{
	uint64_t end = pipe->in.tail + shmp_spsc_need(header & SHMP_PIPE_BYTES);

	shmp_spsc_take(&pipe->in, end, 1, 0);
	shmp_endpoint_count(&pipe->in.self->refused, 1);
}

/* Whether @peer has died and still is the last at the place. */
static bool is_dead(uint64_t peer, const struct sight *sight)
{
	enum shmp_endpoint_state state = shmp_endpoint_state_of(sight->word);

	return peer == sight->now && (state == SHMP_ENDPOINT_DYING || state == SHMP_ENDPOINT_DEAD);
}

/* From now on it is spoken with incarnation @peer, which is there, has gone, or is to come. */
static void take_as_peer(struct shmp_pipe *pipe, uint64_t peer, const struct sight *sight)
{
	/* of one who is in the past already it is not known how many had died before; of one who is
	 * dead himself, that these were others, so that his death is told behind a successor, too */
	if (peer >= sight->now)
		pipe->deaths = sight->deaths - is_dead(peer, sight);
	pipe->peer = peer;
	pipe->peer_here = peer << 8 | SHMP_ENDPOINT_ACTIVE;
	pipe->is_ended = false;
	pipe->out.mark = mark_from(pipe, pipe->role, peer);
	pipe->in.mark = incoming_mark(pipe, peer);
	shmp_spsc_expect(&pipe->in, pipe->in.mark, 0);
	pipe->in.quick_least = UINT64_MAX;
}

/* Who holds the place, or if nobody does, who will. */
static uint64_t holder(const struct sight *sight)
{
	bool is_open = shmp_endpoint_is_open(shmp_endpoint_state_of(sight->word));

	return sight->now + (is_open ? 1 : 0);
}

/*
 * Drops messages from @ended, the mark of a peer whose end was told (0: there is none), and stale
 * ones. The next one that is left is of the peer to be met. 0 with *ret_header, 0 when there is
 * none; -EBADMSG.
 */
static int drop_as_host(struct shmp_pipe *pipe, uint64_t ended, uint64_t *ret_header)
{
	uint64_t from = pipe->in.tail;
	uint64_t header = load_next(pipe);

	for (; header != 0; header = load_next(pipe)) {
		if (!is_sane(pipe, header) || pipe->in.tail - from > pipe->capacity)
			return -EBADMSG;
		if (is_of_session(pipe, header) && mark_of(header) != ended)
			break;
		drop(pipe, header);
	}
	*ret_header = header;
	return 0;
}

static int meet_as_host(struct shmp_pipe *pipe, uint64_t ended)
{
	uint64_t header = 0, back;
	struct sight sight;
	int looks = 0, r;

	/* The place not before the header: whoever sent what was found came before this. Where nothing
	 * was found, the header again: whoever had gone by the look at the place may have sent something
	 * just before. What is there stays, so that this ends. */
	do {
		r = drop_as_host(pipe, ended, &header);
		sight = look_at_place(pipe);
	} while (r == 0 && header == 0 && load_next(pipe) != 0 && ++looks < LOOKS_MAX);
	if (r < 0)
		return r;
	if (header == 0) {
		take_as_peer(pipe, holder(&sight), &sight);
		return 0;
	}
	back = (sight.now - (header >> 32)) & 0xffff;
	if (back >= sight.now)
		return -EBADMSG; /* there never was such a client */
	take_as_peer(pipe, sight.now - back, &sight);
	return 0;
}

/*
 * Drops what is not of incarnation @now of the host, which holds the place or held it last.
 * 0 with *ret_header, as above; 1: the place has changed hands; -EBADMSG.
 */
static int drop_as_client(struct shmp_pipe *pipe, uint64_t now, uint64_t *ret_header)
{
	uint64_t mark = incoming_mark(pipe, now);
	uint64_t from = pipe->in.tail;
	uint64_t header = load_next(pipe);

	for (; header != 0 && mark_of(header) != mark; header = load_next(pipe)) {
		if (!is_sane(pipe, header) || pipe->in.tail - from > pipe->capacity)
			return -EBADMSG;
		if (shmp_endpoint_incarnation_of(load_place(pipe)) != now)
			return 1;
		drop(pipe, header);
	}
	*ret_header = header;
	return 0;
}

static int meet_as_client(struct shmp_pipe *pipe)
{
	for (int i = 0; i < HANDS_MAX; i++) {
		struct sight sight = look_at_place(pipe);
		uint64_t header = 0;
		int r = drop_as_client(pipe, sight.now, &header);

		if (r < 0)
			return r;
		if (r == 0) {
			take_as_peer(pipe, header != 0 ? sight.now : holder(&sight), &sight);
			return 0;
		}
	}
	return -EBADMSG; /* no broker gives a place out that fast */
}

int shmp_pipe_attach(const struct shmp_segment *segment, uint32_t role, struct shmp_pipe *ret_pipe)
{
	struct shmp_spsc_ring out = shmp_pipe_ring(segment, role);
	struct shmp_spsc_ring in = shmp_pipe_ring(segment, 1 - role);
	struct shmp_pipe pipe = {
		.place = &segment->endpoints[1 - role],
		.self = shmp_endpoint_incarnation(&segment->endpoints[role]),
		.capacity = in.capacity,
		.role = role,
	};
	int r = shmp_spsc_ring_attach_producer(&out, &pipe.out);

	if (r == 0)
		r = shmp_spsc_ring_attach_consumer(&in, &pipe.in);
	if (r == 0)
		r = role == SHMP_PIPE_HOST ? meet_as_host(&pipe, 0) : meet_as_client(&pipe);
	if (r == 0)
		*ret_pipe = pipe;
	return r;
}

/* Whether the peer has gone: PEER_DEAD, PEER_LEFT; DONE when not. */
static int peer_end(const struct shmp_pipe *pipe)
{
	uint64_t word = load_place(pipe);
	uint64_t now = shmp_endpoint_incarnation_of(word);

	if (now < pipe->peer)
		return SHMP_DONE; /* it is yet to come */
	if (now > pipe->peer)
		return load_deaths(pipe) != pipe->deaths ? SHMP_PEER_DEAD : SHMP_PEER_LEFT;
	if (shmp_endpoint_state_of(word) == SHMP_ENDPOINT_DEAD)
		return SHMP_PEER_DEAD;
	return shmp_endpoint_state_of(word) == SHMP_ENDPOINT_LEFT ? SHMP_PEER_LEFT : SHMP_DONE;
}

int shmp_pipe_may_send(struct shmp_pipe *pipe)
{
	int r = peer_end(pipe);

	if (r != SHMP_DONE)
		pipe->is_ended = true;
	return r;
}

int shmp_pipe_no_room(struct shmp_pipe *pipe, int r)
{
	int end;

	if (r < 0)
		return r;
	/* the ring knows a place, and not who is awaited in it */
	end = shmp_pipe_may_send(pipe);
	return end == SHMP_DONE ? SHMP_FULL : end;
}

int shmp_pipe_batch_add(struct shmp_pipe *pipe, const void *payload, uint64_t size)
{
	bool is_first = pipe->out.batch_head != shmp_spsc_head(&pipe->out);
	int r = shmp_pipe_is_met(pipe) ? SHMP_DONE : peer_end(pipe);

	if (r == SHMP_DONE)
		r = shmp_spsc_batch_add(&pipe->out, payload, size);
	/* what only cuts a batch short is not told: the batch is sent all the same */
	if (r == SHMP_DONE || r == SHMP_TOO_BIG || !is_first)
		return r;
	return shmp_pipe_no_room(pipe, r);
}

/* A message that is not the peer's: DONE when it was stale and is dropped. */
static int judge(struct shmp_pipe *pipe, uint64_t header, int end)
{
	if (!is_sane(pipe, header))
		return -EBADMSG;
	if (pipe->role == SHMP_PIPE_HOST && !is_of_session(pipe, header)) {
		drop(pipe, header);
		return SHMP_DONE;
	}
	/* A successor's, which is behind all that the peer sent. It may have come after the look at the
	 * place that said @end, but not after this one. */
	if (end == SHMP_DONE)
		end = peer_end(pipe);
	return end != SHMP_DONE ? end : -EBADMSG;
}

int shmp_pipe_nothing(struct shmp_pipe *pipe, int r)
{
	uint64_t from = pipe->in.tail;

	while (pipe->in.tail - from < pipe->capacity) {
		/* first, so that what came before the end is seen now */
		int end = peer_end(pipe);
		uint64_t header = load_next(pipe);

		if (header != 0 && mark_of(header) == pipe->in.mark)
			return is_sane(pipe, header) ? SHMP_DONE : -EBADMSG;
		r = header == 0 ? end : judge(pipe, header, end);
		if (r == SHMP_PEER_DEAD || r == SHMP_PEER_LEFT)
			pipe->is_ended = true;
		if (r != SHMP_DONE)
			return r;
		if (header == 0)
			break;
	}
	return SHMP_EMPTY;
}

int shmp_pipe_peek(struct shmp_pipe *pipe, struct shmp_spsc_message *messages, uint64_t max,
		   uint64_t *ret_count)
{
	int r = shmp_spsc_peek(&pipe->in, messages, max, ret_count);

	if (r != SHMP_DONE)
		r = shmp_pipe_nothing(pipe, r);
	else
		return r;
	return r == SHMP_DONE ? shmp_spsc_peek(&pipe->in, messages, max, ret_count) : r;
}

int shmp_pipe_meet(struct shmp_pipe *pipe)
{
	uint64_t word = load_place(pipe);
	uint64_t now = shmp_endpoint_incarnation_of(word);
	uint64_t header = load_next(pipe);
	int r;

	if (!pipe->is_ended) {
		if (now == pipe->peer && !shmp_endpoint_is_open(shmp_endpoint_state_of(word)))
			return SHMP_DONE;
		if (header != 0 && mark_of(header) == pipe->in.mark)
			return SHMP_DONE;
	}
	if (now <= pipe->peer)
		return SHMP_EMPTY;
	r = pipe->role == SHMP_PIPE_HOST ? meet_as_host(pipe, pipe->is_ended ? pipe->in.mark : 0) :
					   meet_as_client(pipe);
	if (r < 0)
		return r;
	return pipe->peer <= now ? SHMP_DONE : SHMP_EMPTY;
}
