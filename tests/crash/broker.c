/*
 * The broker dies after its own instructions, wherever it changes what is kept: in creating,
 * attaching, detaching, repairing, unlinking, giving a doorbell, and in taking over what the one
 * before it left. The next one finds the old or the new, finishes what was begun, can do all of it
 * again, and at the end nothing is left.
 *
 * The manager is the test: it keeps what it is sent. The client whose death is repaired is a
 * process of its own; the one that attaches is the test, which lives on.
 *
 * Of all instructions those count that change what outlives the broker: a word of the state or of a
 * segment that is kept, or, by a system call, something in the kernel. A death anywhere else leaves
 * what a death behind the last of these leaves, so it is enough to die there.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "daemon/attachment.h"
#include "daemon/broker.h"
#include "daemon/client.h"
#include "daemon/ledger.h"
#include "daemon/log.h"
#include "daemon/nest.h"
#include "daemon/place.h"
#include "daemon/recovery.h"
#include "daemon/segment.h"
#include "protocol/arena.h"
#include "protocol/buffer.h"
#include "tests/crash/manager.h"
#include "tests/crash/stepper.h"
#include "tests/support/runner.h"
#include "tests/support/segment.h"

struct act {
	const char *name;
	void (*prepare)(void); /* beyond the base of all; NULL: nothing */
	void (*operate)(void);
	void (*outcome)(void); /* what a successor finds once all of it was done; NULL: nothing */
	void (*always)(void);  /* what it finds in any case; NULL: nothing */
	bool takes_over;       /* what dies is a second broker, as it takes over */
};

enum {
	SAMPLES_MAX = 12
};

static struct broker broker;
static struct options options;
static struct segment *base, *arena, *made;
static struct client *living, *dying;
static struct attachment *attached;
static int living_ends[2], dying_end;
static pid_t dying_pid;
static const struct act *act;
static bool has_ended;
static struct {
	unsigned long points;
	unsigned operations;
} * count; /* of all tests, which are processes of their own */

/* ---- a broker without sockets ---------------------------------------------------------------- */

static void open_broker(void)
{
	options_init(&options);
	options.bytes = options.bytes_per_uid = UINT64_C(1) << 30;
	log_to(-1);
	SHMT_REQUIRE(broker_init(&broker, &options) == 0);
}

static void start_broker(void)
{
	open_broker();
	SHMT_REQUIRE(recovery_run(&broker) == 0);
}

static struct segment *make(const char *name, const char *kind_name, struct segment *parent)
{
	const struct shmp_kind *kind = shmp_kind_find(kind_name);
	const struct ownership owner = { .uid = getuid(), .gid = getgid(), .mode = 0600 };
	uint64_t option[SHMP_OPTIONS_MAX] = { 0 };
	struct shmp_plan plan;
	enum quota_kind quota;
	struct segment *segment = NULL;
	const char *why;

	for (size_t i = 0; i < kind->option_count; i++)
		option[i] = kind->options[i].preset;
	if (strcmp(kind_name, "arena") == 0) {
		option[2] = 64 << 10;
		option[3] = 64 << 10;
	} else if (strcmp(kind_name, "spsc") == 0) {
		option[0] = 4096;
		option[1] = 64;
	}
	SHMT_REQUIRE(kind->plan(option, &plan, &why) == 0);
	if (parent) {
		shmp_segment_plan_packed(&plan);
		if (segment_new_inside(parent, name, kind, &plan, &segment) != 0)
			return NULL;
		SHMT_REQUIRE(shmp_segment_clear(&segment->fds, &segment->plan) == 0);
	} else {
		SHMT_REQUIRE(segment_new(&broker, name, kind, &plan, &owner, &quota, &segment) ==
			     0);
		SHMT_REQUIRE(shmp_segment_reserve(&segment->fds, &segment->plan) == 0);
	}
	SHMT_REQUIRE(segment_complete(segment) == 0);
	return segment;
}

static struct attachment *attach(struct client *client, struct segment *segment, const char *role)
{
	const struct shmp_role *as = shmp_kind_role(segment->kind, role);
	struct attachment *attachment = NULL;
	uint32_t place = 0;

	if (!as->observes && place_find(segment, as, &place) != 0)
		return NULL;
	return attachment_open(client, segment, as, place, &attachment) == 0 ? attachment : NULL;
}

/* What every act finds: a queue that is held by one who will die, an arena with something in it. */
static void build(void)
{
	struct segment *object;

	start_broker();
	base = make("base", "spsc", NULL);
	arena = make("arena", "arena", NULL);
	object = make("arena:first", "spsc", arena);
	SHMT_REQUIRE(client_new(&broker, living_ends[0], false, &living) == 0);
	SHMT_REQUIRE(client_new(&broker, dying_end, false, &dying) == 0);
	SHMT_REQUIRE(attach(dying, base, "consumer") && attach(dying, object, "consumer"));
	SHMT_REQUIRE(attach(dying, base, "observer"));
}

static void prepare(void *context)
{
	if (act->takes_over) {
		manager_pass();
		open_broker();
		return;
	}
	build();
	if (act->prepare)
		act->prepare();
}

static void operate(void *context)
{
	act->operate();
}

/* ---- the acts -------------------------------------------------------------------------------- */

static void creates(void)
{
	made = make("made", "spsc", NULL);
}

static void creates_inside(void)
{
	made = make("arena:made", "spsc", arena);
}

static void attaches(void)
{
	attached = attach(living, base, "producer");
}

static void observes(void)
{
	attached = attach(living, base, "observer");
}

static void detaches(void)
{
	attachment_close(attached, false);
}

static void rings(void)
{
	SHMT_REQUIRE(place_make_bell(base, attached->place) == 0);
}

static void has_bell(void)
{
	attaches();
	rings();
}

static void leaves_with_bell(void)
{
	detaches();
}

/* What the repair takes out of dead hands. */
static void has_lock(void)
{
	struct attachment *writer;
	struct shmp_buffer buffer;
	struct shmp_segment map;

	made = make("made", "buffer", NULL);
	writer = attach(dying, made, "writer");
	SHMT_REQUIRE(writer && segment_map(made, SHMP_ACCESS_WRITE, true, &map) == 0);
	SHMT_REQUIRE(shmp_buffer_attach(&map, writer->place, &buffer) == 0);
	SHMT_REQUIRE(shmp_lock_try_write(&buffer.locker) == SHMP_DONE);
	shmp_segment_unmap(&map);
}

static void repairs(void)
{
	repair_client(dying);
}

#define TAG 77u

static void unlinks(void)
{
	ledger_unlink(made, TAG);
	segment_unlink(made);
}

static void unlinks_what_is_held(void)
{
	segment_unlink(base);
}

static void unlinks_arena(void)
{
	segment_unlink(arena);
}

static void takes_over(void)
{
	recovery_run(&broker);
}

/* ---- afterwards ------------------------------------------------------------------------------ */

#define CHECK(condition_)                                                                \
	do {                                                                             \
		if (!(condition_)) {                                                     \
			fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #condition_); \
			_exit(1);                                                        \
		}                                                                        \
	} while (0)

static struct segment *found(const char *name)
{
	return registry_find(&broker.registry, name);
}

static void check_sane(const struct segment *segment)
{
	struct shmp_segment map;
	const char *why = "";

	CHECK(segment_map(segment, SHMP_ACCESS_READ, true, &map) == 0);
	CHECK(segment->kind->validate(&map, &why) == 0);
	for (uint32_t i = 0; i < segment->plan.endpoint_count; i++) {
		const struct place *place = &segment->places[i];
		enum shmp_endpoint_state state = shmp_endpoint_look(&map.endpoints[i]);

		CHECK(!place->is_repairing);
		CHECK((place->holder != NULL) == (state == SHMP_ENDPOINT_ACTIVE));
		CHECK(place->holder || place->ring_fd < 0);
		CHECK(place->incarnation == 0 || place->deaths == map.endpoints[i].deaths);
	}
	shmp_segment_unmap(&map);
}

static void check_table(const struct segment *parent)
{
	struct shmp_arena view;
	uint32_t there = 0;

	for (uint32_t i = 0; i < parent->nest->entry_count; i++)
		there += parent->nest->entries[i] != NULL;
	CHECK(there == parent->nest->used);
	shmp_arena_view(&parent->nest->map, &view);
	CHECK(there == view.control->used);
	CHECK(view.control->version % 2 == 0);
}

/* The dead one is noticed, and what he left is taken back. */
static void await_repairs(void)
{
	for (int i = 0; i < 1000; i++) {
		bool is_done = list_is_empty(&broker.repairs.pending);

		for (struct list *at = broker.clients.next; at != &broker.clients; at = at->next)
			is_done &= list_entry(at, struct client, link)->credentials.pid !=
				   dying_pid;
		if (is_done)
			return;
		uv_run(&broker.loop, UV_RUN_ONCE);
	}
	CHECK(!"the dead one's places are repaired");
}

static void check_deaths(const struct segment *segment)
{
	if (segment)
		CHECK(segment->places[1].deaths == 1 && segment->places[1].has_died);
}

static struct client *living_again(void)
{
	for (struct list *at = broker.clients.next; at != &broker.clients; at = at->next) {
		struct client *client = list_entry(at, struct client, link);

		if (client->credentials.pid == getppid())
			return client;
	}
	SHMT_REQUIRE(client_new(&broker, living_ends[0], false, &living) == 0);
	return living;
}

/* Everything can be done, what was begun included. */
static void do_all_again(void)
{
	if (!found("base"))
		base = make("base", "spsc", NULL);
	else
		base = found("base");
	arena = found("arena") ? found("arena") : make("arena", "arena", NULL);
	made = found("made") ? found("made") : make("made", "spsc", NULL);
	if (!found("arena:made"))
		CHECK(make("arena:made", "spsc", arena));
	check_table(arena);
	living = living_again();
	client_leave(living);
	attached = attach(living, base, "producer");
	CHECK(attached);
	CHECK(place_make_bell(base, attached->place) == 0);
	check_sane(base);
	check_sane(found("arena:made"));
}

static void is_made(void)
{
	CHECK(found("made"));
}

static void is_made_inside(void)
{
	CHECK(found("arena:made") && found("arena:made")->parent == found("arena"));
}

static void is_attached(void)
{
	CHECK(living_again()->attachment_count == 1 && found("base")->attachments == 1);
}

static void is_held(void)
{
	is_attached();
	CHECK(found("base")->places[0].holder && found("base")->places[0].incarnation == 1);
}

static void has_its_bell(void)
{
	is_held();
	CHECK(found("base")->places[0].ring_fd >= 0 && found("base")->places[0].poll_fd >= 0);
}

static void is_detached(void)
{
	CHECK(!found("base")->places[0].holder && found("base")->places[0].incarnation == 1);
	CHECK(found("base")->places[0].deaths == 0 && found("base")->attachments == 0);
}

/* Once, however often it was begun, and with what was in his hands. */
static void is_recorded(void)
{
	const struct death_record *record = NULL;
	uint64_t before = UINT64_MAX;
	unsigned consumers = 0, writers = 0, observers = 0;

	while ((record = deaths_next(&broker.deaths, before))) {
		consumers += strcmp(record->role, "consumer") == 0;
		observers += strcmp(record->role, "observer") == 0;
		CHECK(record->count == 1 && record->pid == (uint32_t)dying_pid);
		CHECK(record->pending == 0 && record->repair_ns > 0 && record->held == 4);
		CHECK(strcmp(record->role, "observer") == 0 || record->places == 1);
		before = record->serial;
		if (strcmp(record->role, "writer") != 0)
			continue;
		writers++;
		CHECK(record->hold_count == 1 && record->holds[0].count == 1);
		CHECK(strcmp(record->holds[0].what, "lock to write") == 0);
	}
	CHECK(consumers == 2 && writers == 1 && observers == 1);
}

static void is_unlinked(void)
{
	CHECK(!found("made"));
}

/* Or else the call that is said again would do nothing, or say that there was nothing to do. */
static void is_unlinked_and_known(void)
{
	CHECK(!found("made") == ledger_knows_unlink(&broker, TAG));
}

static void base_is_unlinked(void)
{
	CHECK(!found("base") && found("arena"));
}

static void arena_is_unlinked(void)
{
	CHECK(!found("arena") && !found("arena:first") && !found("arena:made"));
}

static void all_is_there(void)
{
	is_made();
	is_made_inside();
	has_its_bell();
}

static void is_left(void *context, struct state_mark *mark)
{
	CHECK(!"nothing is in force any more");
}

static void give_all_up(void)
{
	client_leave(living);
	client_close(living);
	while (broker.registry.count > 0)
		segment_unlink(broker.registry.segments[0]);
	for (int i = 0; i < 5; i++)
		uv_run(&broker.loop, UV_RUN_NOWAIT);
	CHECK(broker.endpoint_count == 0);
	CHECK(broker.segment_bytes == 0);
	CHECK(broker.bundles.item_count == 0);
	for (int type = STATE_FREE + 1; type < STATE_TYPES; type++)
		state_each(&broker.state, (enum state_type)type, is_left, NULL);
	CHECK(broker.quota.user_count == 0);
}

static void check_successor(void)
{
	manager_pass();
	start_broker();
	CHECK(state_is_there(&broker.state));
	await_repairs();
	if (has_ended && act->outcome)
		act->outcome();
	if (act->always)
		act->always();
	for (size_t i = 0; i < broker.registry.count; i++)
		check_sane(broker.registry.segments[i]);
	check_deaths(found("base"));
	check_deaths(found("arena:first"));
	do_all_again();
	give_all_up();
	broker_deinit(&broker);
	_exit(0);
}

/* ---- dying ----------------------------------------------------------------------------------- */

/* A process that is there until it is killed; the broker's end of its connection. */
static int open_dying(void)
{
	_Alignas(struct cmsghdr) char control[CMSG_SPACE(sizeof(int))] = { 0 };
	char byte = 0;
	struct iovec part = { &byte, 1 };
	struct msghdr header = { .msg_iov = &part,
				 .msg_iovlen = 1,
				 .msg_control = control,
				 .msg_controllen = sizeof(control) };
	struct cmsghdr *rights = CMSG_FIRSTHDR(&header);
	int carrier[2], ends[2];

	SHMT_REQUIRE(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, carrier) == 0);
	dying_pid = fork();
	SHMT_REQUIRE(dying_pid >= 0);
	if (dying_pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		SHMT_REQUIRE(socketpair(AF_UNIX, SOCK_STREAM, 0, ends) == 0);
		rights->cmsg_level = SOL_SOCKET;
		rights->cmsg_type = SCM_RIGHTS;
		rights->cmsg_len = CMSG_LEN(sizeof(int));
		memcpy(CMSG_DATA(rights), ends, sizeof(int));
		SHMT_REQUIRE(sendmsg(carrier[1], &header, 0) == 1);
		for (;;)
			pause();
	}
	SHMT_REQUIRE(recvmsg(carrier[0], &header, MSG_CMSG_CLOEXEC) == 1);
	memcpy(ends, CMSG_DATA(CMSG_FIRSTHDR(&header)), sizeof(int));
	close(carrier[0]);
	close(carrier[1]);
	return ends[0];
}

static void open_world(void)
{
	SHMT_REQUIRE(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, living_ends) == 0);
	dying_end = open_dying();
}

static void close_world(void)
{
	manager_forget();
	close(living_ends[0]);
	close(living_ends[1]);
	close(dying_end);
}

static void kill_dying(void)
{
	kill(dying_pid, SIGKILL);
	SHMT_REQUIRE(waitpid(dying_pid, NULL, 0) == dying_pid);
}

/* In a process of its own, since there is one manager for each. */
static int run_apart(void (*run)(void))
{
	pid_t pid = fork();
	int status = 0;

	SHMT_REQUIRE(pid >= 0);
	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		run();
		_exit(0);
	}
	SHMT_REQUIRE(waitpid(pid, &status, 0) == pid);
	return status;
}

static void build_all(void)
{
	build();
	creates();
	creates_inside();
	has_bell();
}

static void begin(struct stepper *stepper)
{
	open_world();
	if (act->takes_over) {
		SHMT_REQUIRE(run_apart(build_all) == 0);
		manager_drain();
	}
	stepper_start(stepper, prepare, operate, NULL);
}

/* ---- where to die ---------------------------------------------------------------------------- */

static unsigned long *chosen; /* instructions that were done when something had changed */
static size_t chosen_count, chosen_room;

static void watch(void *context, unsigned long done, bool is_call)
{
	if (!manager_has_changed() && !is_call)
		return;
	/* who takes over looks into the bundles itself, and where to go on is the socket's */
	if (is_call && !act->takes_over)
		manager_watch();
	if (chosen_count == chosen_room) {
		chosen_room = chosen_room ? 2 * chosen_room : 64;
		chosen = realloc(chosen, chosen_room * sizeof(*chosen));
		SHMT_REQUIRE(chosen);
	}
	chosen[chosen_count++] = done;
}

static void measure(struct stepper_path *ret_path)
{
	struct stepper stepper = { .may_stray = true, .watch = watch };

	begin(&stepper);
	manager_watch();
	chosen_count = 0;
	stepper_measure(&stepper, ret_path);
	stepper_kill(&stepper);
	manager_unwatch();
	kill_dying();
	close_world();
}

static void die_at(const struct stepper_path *path, unsigned long point)
{
	struct stepper stepper = { .may_stray = true }; /* identifiers are random, clocks go on */

	begin(&stepper);
	has_ended = stepper_go_to(&stepper, path, point) == STEPPER_ENDED;
	stepper_kill(&stepper);
	kill_dying();
	manager_drain();
	if (run_apart(check_successor) != 0)
		ck_abort_msg("%s: %lu instructions done of %lu", act->name, point, path->count);
	close_world();
}

static void die_everywhere(const struct act *it)
{
	struct stepper_path path;
	size_t points = 2, stride;

	act = it;
	manager_open();
	measure(&path);
	stride = STEPPER_SAMPLES ? 1 + chosen_count / SAMPLES_MAX : 1;
	die_at(&path, 0);
	for (size_t i = 0; i < chosen_count; i += stride, points++)
		die_at(&path, chosen[i]);
	die_at(&path, path.count);
	printf("# %s: %zu kill points that differ\n", it->name, points);
	count->points += points;
	count->operations++;
	stepper_forget(&path);
	manager_close();
}

#define DIES(sentence_, ...)                                        \
	TEST(sentence_, .timeout_s = 120)                           \
	{                                                           \
		die_everywhere(&(const struct act){ __VA_ARGS__ }); \
	}

DIES(dies_while_it_creates, .name = "create", .operate = creates, .outcome = is_made)
DIES(dies_while_it_creates_in_an_arena, .name = "create in an arena", .operate = creates_inside,
     .outcome = is_made_inside)
DIES(dies_while_it_attaches, .name = "attach", .operate = attaches, .outcome = is_held)
DIES(dies_while_it_attaches_an_observer, .name = "attach an observer", .operate = observes,
     .outcome = is_attached)
DIES(dies_while_it_makes_a_doorbell, .name = "doorbell", .prepare = attaches, .operate = rings,
     .outcome = has_its_bell)
DIES(dies_while_it_detaches, .name = "detach", .prepare = has_bell, .operate = leaves_with_bell,
     .outcome = is_detached)
DIES(dies_while_it_repairs, .name = "repair", .prepare = has_lock, .operate = repairs,
     .always = is_recorded)
DIES(dies_while_it_unlinks, .name = "unlink", .prepare = creates, .operate = unlinks,
     .outcome = is_unlinked, .always = is_unlinked_and_known)
DIES(dies_while_it_unlinks_what_is_held, .name = "unlink what is held",
     .operate = unlinks_what_is_held, .outcome = base_is_unlinked)
DIES(dies_while_it_unlinks_an_arena, .name = "unlink an arena", .prepare = creates_inside,
     .operate = unlinks_arena, .outcome = arena_is_unlinked)
DIES(dies_while_it_takes_over, .name = "take over", .operate = takes_over, .outcome = all_is_there,
     .takes_over = true)

int main(int argc, char **argv)
{
	int r;

	if (!STEPPER_WORKS)
		return shmt_skip("single steps are not known for this processor");
	count = mmap(NULL, sizeof(*count), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1,
		     0);
	SHMT_REQUIRE(count != MAP_FAILED);
	r = shmt_run(argc, argv);
	printf("# %lu kill points in %u operations\n", count->points, count->operations);
	return r;
}
