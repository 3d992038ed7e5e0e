#include "tests/interleave/explorer.h"

#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

#include "tests/interleave/states.h"
#include "tests/support/runner.h"

#if ACCESS_WORKS

enum end {
	PREEMPTED,
	KEEPS_STORES, /* the same actor goes on, and its stores stay in the buffer */
	DIES,
	LAST, /* it ended or went to sleep */
};

/* A part of a schedule in which one actor goes on. */
struct stretch {
	unsigned actor;
	enum end end;
	unsigned long point; /* how many were passed within it */
	/* where it ends, for getting there quickly: the instruction, and how often it is come to */
	uintptr_t pc;
	unsigned long times;
};

/* A point that a stretch came to. */
struct point {
	unsigned long at; /* index in the trace */
	struct access access;
	bool is_held; /* stores are held back there */
};

/* All that an actor did in its last stretch, instruction by instruction. */
struct trace {
	uintptr_t *pc;
	unsigned long count, room;
	struct point *points;
	unsigned long point_count, point_room;
};

struct course {
	struct explorer *explorer;
	struct actor actor[EXPLORER_ACTORS];
	unsigned count;
	struct stretch stretch[EXPLORER_STRETCHES];
	unsigned left_at[EXPLORER_ACTORS]; /* the stretch after which each one holds stores */
	uint8_t *ctl, *data, *own;	   /* as they were */
	uint8_t touched[EXPLORER_WORDS];   /* by whom, a bit for each */
	bool is_changed[EXPLORER_WORDS];
	bool has_grown;	      /* what is common has */
	bool counts_all;      /* the points at other words, too */
	struct states states; /* that it came to, and how many schedules go on from each */
};

void *explorer_memory(size_t bytes)
{
	void *address = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1,
			     0);

	SHMT_REQUIRE(address != MAP_FAILED);
	return address;
}

/* Memory */

static void *copy_of(const void *from, size_t bytes)
{
	void *copy = malloc(bytes ? bytes : 1);

	SHMT_REQUIRE(copy);
	if (bytes)
		memcpy(copy, from, bytes);
	return copy;
}

static void save(struct course *course)
{
	const struct explorer *explorer = course->explorer;
	const struct shmp_segment *map = &explorer->segment->map;

	course->ctl = copy_of(map->head, map->plan.ctl_bytes);
	course->data = copy_of(map->data, map->data ? map->plan.data_bytes : 0);
	course->own = copy_of(explorer->own, explorer->own_bytes);
}

static void restore(const struct course *course)
{
	const struct explorer *explorer = course->explorer;
	const struct shmp_segment *map = &explorer->segment->map;

	memcpy(map->head, course->ctl, map->plan.ctl_bytes);
	if (map->data)
		memcpy(map->data, course->data, map->plan.data_bytes);
	memcpy(explorer->own, course->own, explorer->own_bytes);
}

/* What is common */

static bool is_common(const struct course *course, int64_t word)
{
	uint8_t by = course->touched[word];

	return course->is_changed[word] && (by & (by - 1)) != 0;
}

static void touch(struct course *course, unsigned actor, int64_t word, bool is_changed)
{
	bool was_common = is_common(course, word);

	course->touched[word] |= (uint8_t)(1u << actor);
	course->is_changed[word] |= is_changed;
	course->has_grown |= !was_common && is_common(course, word);
}

/* The words of an access: @fn for each. */
static void note_access(struct course *course, const struct actor *actor,
			const struct access *access, const uint8_t (*before)[64])
{
	unsigned number = (unsigned)(actor - course->actor);

	for (unsigned i = 0; i < access->count; i++) {
		bool is_changed;

		if (actor_word(actor, access->address[i]) < 0)
			continue;
		is_changed = memcmp(before[i], (void *)access->address[i], access->bytes) != 0;
		for (unsigned byte = 0; byte < access->bytes; byte++) {
			int64_t word = actor_word(actor, access->address[i] + byte);

			if (word >= 0)
				touch(course, number, word, is_changed || access->is_store);
		}
	}
}

static bool may_be_preempted_at(const struct course *course, const struct actor *actor,
				const struct point *point)
{
	const struct access *access = &point->access;

	if (point->is_held || course->counts_all)
		return true;
	if (access->is_system_call)
		return actor->may_sleep;
	for (unsigned i = 0; i < access->count; i++) {
		for (unsigned byte = 0; byte < access->bytes; byte++) {
			int64_t word = actor_word(actor, access->address[i] + byte);

			if (word >= 0 && is_common(course, word))
				return true;
		}
	}
	return false;
}

/* Steps */

static bool anybody_holds(const struct course *course)
{
	for (unsigned i = 0; i < course->count; i++)
		if (course->actor[i].held_count > 0)
			return true;
	return false;
}

static void let_all_out(struct course *course)
{
	for (unsigned i = 0; i < course->count; i++)
		actor_let_out(&course->actor[i]);
}

static void rouse_all(struct course *course)
{
	for (unsigned i = 0; i < course->count; i++)
		actor_rouse(&course->actor[i]);
}

/* One instruction of an actor that has looked. */
static void step(struct course *course, struct actor *actor)
{
	struct access access = actor->access;
	uint8_t before[2][64];
	bool is_call = access.is_system_call;

	if (actor_is_at_membarrier(actor))
		let_all_out(course);
	for (unsigned i = 0; i < access.count; i++)
		if (actor_word(actor, access.address[i]) >= 0)
			memcpy(before[i], (void *)access.address[i], access.bytes);
	actor_step(actor);
	if (access.count > 0)
		note_access(course, actor, &access, (const uint8_t(*)[64])before);
	if (is_call)
		rouse_all(course);
}

/* Those who held stores back while another had his turn let them out when the next one begins. */
static void begin_stretch(struct course *course, unsigned number)
{
	unsigned who = course->stretch[number].actor;

	for (unsigned i = 0; i < course->count; i++) {
		struct actor *actor = &course->actor[i];
		bool goes_on = number > 0 && course->stretch[number - 1].end == KEEPS_STORES;

		if (actor->held_count > 0 &&
		    (i == who ? !goes_on : number > course->left_at[i] + 1))
			actor_let_out(actor);
	}
	course->actor[who].holds = number > 0 && course->stretch[number - 1].actor == who &&
				   course->stretch[number - 1].end == KEEPS_STORES;
}

static void end_stretch(struct course *course, unsigned number)
{
	const struct stretch *stretch = &course->stretch[number];

	if (stretch->end == DIES) {
		actor_let_out(&course->actor[stretch->actor]);
		course->actor[stretch->actor].state = ACTOR_DEAD;
	}
	course->actor[stretch->actor].holds = false;
	course->left_at[stretch->actor] = number;
}

static void run_slowly(struct course *course, struct actor *actor)
{
	while (actor->state == ACTOR_STANDS) {
		actor_look(actor);
		step(course, actor);
	}
}

/* Points are passed until there were so many, and it stands before the next. */
static void pass_points(struct course *course, struct actor *actor, unsigned long points)
{
	for (;;) {
		actor_look(actor);
		if (actor_is_at_point(actor) && points-- == 0)
			return;
		step(course, actor);
		SHMT_REQUIRE(actor->state == ACTOR_STANDS);
	}
}

/* A stretch that was explored before, and leads to where it led then. */
static void repeat(struct course *course, unsigned number)
{
	const struct stretch *stretch = &course->stretch[number];
	struct actor *actor = &course->actor[stretch->actor];

	begin_stretch(course, number);
	if (stretch->end == LAST || (stretch->end == DIES && stretch->pc == 0)) {
		if (anybody_holds(course) || actor->holds)
			run_slowly(course, actor);
		else
			actor_run(actor);
	} else if (anybody_holds(course) || actor->holds) {
		pass_points(course, actor, stretch->point);
	} else {
		actor_run_to(actor, stretch->pc, stretch->times);
	}
	rouse_all(course);
	end_stretch(course, number);
}

static void begin_again(struct course *course, unsigned stretches)
{
	restore(course);
	for (unsigned i = 0; i < course->count; i++)
		actor_rewind(&course->actor[i]);
	for (unsigned i = 0; i < stretches; i++)
		repeat(course, i);
}

/* Traces */

static void note_pc(struct trace *trace, uintptr_t pc)
{
	if (trace->count == trace->room) {
		trace->room = trace->room ? 2 * trace->room : 256;
		trace->pc = realloc(trace->pc, trace->room * sizeof(*trace->pc));
		SHMT_REQUIRE(trace->pc);
	}
	trace->pc[trace->count++] = pc;
}

static void note_point(struct trace *trace, const struct actor *actor)
{
	if (trace->point_count == trace->point_room) {
		trace->point_room = trace->point_room ? 2 * trace->point_room : 64;
		trace->points = realloc(trace->points, trace->point_room * sizeof(*trace->points));
		SHMT_REQUIRE(trace->points);
	}
	trace->points[trace->point_count++] = (struct point){ trace->count - 1, actor->access,
							      actor->held_count > 0 };
}

/* How often the trace comes to the instruction at its index @at, up to that. */
static unsigned long times_of(const struct trace *trace, unsigned long at)
{
	unsigned long times = 0;

	for (unsigned long i = 0; i <= at; i++)
		times += trace->pc[i] == trace->pc[at];
	return times;
}

/*
 * The last stretch, to the end of its actor. One that holds stores back is left when it has let them
 * out: what follows is what follows without that.
 */
static void record(struct course *course, struct actor *actor, struct trace *trace)
{
	bool held = actor->holds;

	while (actor->state == ACTOR_STANDS) {
		actor_look(actor);
		note_pc(trace, actor->registers.rip);
		if (actor_is_at_point(actor))
			note_point(trace, actor);
		if (held && trace->point_count > 1 && actor->held_count == 0)
			return;
		step(course, actor);
	}
}

/* Schedules */

static void follow(struct course *course, unsigned depth, unsigned preemptions, bool is_live);

static void tell(const struct course *course, unsigned depth, const char *complaint, char *text,
		 size_t room)
{
	static const char *const ends[] = { "stops before", "keeps stores from", "dies before" };
	size_t at = (size_t)snprintf(text, room, "%s: %s:", course->explorer->name, complaint);

	for (unsigned i = 0; i < depth && at < room; i++) {
		const struct stretch *stretch = &course->stretch[i];
		const char *name = course->actor[stretch->actor].name;

		if (stretch->pc == 0)
			at += (size_t)snprintf(text + at, room - at, " %s to the end;", name);
		else
			at += (size_t)snprintf(text + at, room - at, " %s %s point %lu at %p;",
					       name, ends[stretch->end], stretch->point,
					       (void *)stretch->pc);
	}
}

/* What others will do from here follows from it. */
static uint64_t hash_now(const struct course *course, unsigned depth, unsigned preemptions)
{
	const struct explorer *explorer = course->explorer;
	const struct shmp_segment *map = &explorer->segment->map;
	const struct stretch *last = &course->stretch[depth - 1];
	uint64_t how = preemptions << 16 | last->end << 8 | (last->end == LAST ? 0 : last->actor);
	uint64_t hash = actor_hash_bytes(1, &how, sizeof(how));

	hash = actor_hash_bytes(hash, map->head, map->plan.ctl_bytes);
	hash = actor_hash_bytes(hash, map->data, map->data ? map->plan.data_bytes : 0);
	hash = actor_hash_bytes(hash, explorer->own, explorer->own_bytes);
	for (unsigned i = 0; i < course->count; i++) {
		how = course->actor[i].held_count > 0 ? depth - course->left_at[i] : 0;
		hash = actor_hash_bytes(hash, &how, sizeof(how));
		hash = actor_hash(&course->actor[i], hash);
	}
	return hash ? hash : 1;
}

/* Nobody can go on. */
static void judge(struct course *course, unsigned depth)
{
	struct explorer *explorer = course->explorer;
	const char *complaint = NULL;

	let_all_out(course);
	for (unsigned i = 0; i < course->count && !complaint; i++) {
		if (course->actor[i].state == ACTOR_SLEEPS)
			complaint = "somebody sleeps for ever";
		else if (course->actor[i].state == ACTOR_LOST)
			complaint = "somebody goes on for ever";
	}
	if (!complaint)
		complaint = explorer->judge(explorer->context);
	explorer->schedules++;
	explorer->gone_through++;
	if (complaint && explorer->found++ == 0)
		tell(course, depth, complaint, explorer->first, sizeof(explorer->first));
}

static bool has_died(const struct course *course)
{
	for (unsigned i = 0; i < course->count; i++)
		if (course->actor[i].state == ACTOR_DEAD)
			return true;
	return false;
}

static bool can_go_on(const struct course *course, unsigned number)
{
	return course->actor[number].state == ACTOR_STANDS &&
	       (!course->explorer->role[number].buries || has_died(course));
}

/* Now, or because it is woken meanwhile. */
static bool anybody_else(const struct course *course, unsigned number)
{
	for (unsigned i = 0; i < course->count; i++)
		if (i != number && (can_go_on(course, i) || course->actor[i].state == ACTOR_SLEEPS))
			return true;
	return false;
}

/* The stretch @depth ends at a point of the trace, and others go on from there. */
static void branch(struct course *course, unsigned depth, const struct trace *trace,
		   unsigned long point, enum end end, unsigned preemptions)
{
	struct stretch *stretch = &course->stretch[depth];

	stretch->end = end;
	stretch->point = point;
	stretch->pc = trace->pc[trace->points[point].at];
	stretch->times = times_of(trace, trace->points[point].at);
	follow(course, depth + 1, preemptions, false);
}

static bool may_keep_stores(const struct course *course, unsigned number)
{
	return course->explorer->holds_stores && !course->explorer->role[number].stores_at_once;
}

static void branch_everywhere(struct course *course, unsigned depth, const struct trace *trace,
			      unsigned preemptions, bool may_switch)
{
	const struct explorer *explorer = course->explorer;
	unsigned number = course->stretch[depth].actor;
	bool goes_on = depth > 0 && course->stretch[depth - 1].end == KEEPS_STORES;

	for (unsigned long i = 0; i < trace->point_count; i++) {
		const struct point *point = &trace->points[i];

		if (explorer->role[number].dies)
			branch(course, depth, trace, i, DIES, preemptions);
		/* who was preempted before his first point might as well have come later */
		if (may_switch && i > 0 && (!goes_on || point->is_held) &&
		    may_be_preempted_at(course, &course->actor[number], point))
			branch(course, depth, trace, i, PREEMPTED, preemptions - 1);
		if (may_keep_stores(course, number) && !goes_on && point->access.is_store &&
		    may_be_preempted_at(course, &course->actor[number], point))
			branch(course, depth, trace, i, KEEPS_STORES, preemptions);
	}
}

/* All that begins with the first @depth stretches and then the actor @number. */
static void extend(struct course *course, unsigned depth, unsigned number, unsigned preemptions,
		   bool is_live)
{
	const struct explorer *explorer = course->explorer;
	struct actor *actor = &course->actor[number];
	struct trace trace = { .count = 0 };
	bool goes_on = depth > 0 && course->stretch[depth - 1].end == KEEPS_STORES;
	bool may_switch, must_record;

	SHMT_REQUIRE(depth < EXPLORER_STRETCHES);
	if (!is_live)
		begin_again(course, depth);
	course->stretch[depth] = (struct stretch){ .actor = number, .end = LAST };
	may_switch = anybody_else(course, number);
	must_record = may_switch && (preemptions > 0 || may_keep_stores(course, number));
	must_record = must_record || explorer->role[number].dies || goes_on;
	if (must_record) {
		begin_stretch(course, depth);
		record(course, actor, &trace);
	} else {
		repeat(course, depth);
	}
	if (actor->state != ACTOR_STANDS) {
		if (explorer->role[number].dies)
			course->stretch[depth].end = DIES;
		if (must_record)
			end_stretch(course, depth);
		/* with nothing left in the buffer it is what it is without */
		if (!goes_on || actor->held_count > 0)
			follow(course, depth + 1, preemptions, true);
	}
	branch_everywhere(course, depth, &trace, preemptions, may_switch && preemptions > 0);
	free(trace.pc);
	free(trace.points);
}

/* All that begins with the first @depth stretches. @is_live: they have just been gone through. */
static void follow(struct course *course, unsigned depth, unsigned preemptions, bool is_live)
{
	bool can[EXPLORER_ACTORS], can_any = false;
	const struct stretch *last = depth > 0 ? &course->stretch[depth - 1] : NULL;
	unsigned who = last ? last->actor : 0;
	enum end end = last ? last->end : LAST;
	unsigned long before = course->explorer->schedules;
	uint64_t hash = 0, after;

	if (course->explorer->is_wrong && course->explorer->found > 0)
		return;
	if (!is_live)
		begin_again(course, depth);
	for (unsigned i = 0; i < course->count; i++) {
		can[i] = can_go_on(course, i);
		if (end == PREEMPTED)
			can[i] = can[i] && i != who;
		else if (end == KEEPS_STORES)
			can[i] = i == who;
		can_any = can_any || can[i];
	}
	if (!can_any) {
		/* one who was preempted for nobody is on another schedule */
		if (end != PREEMPTED)
			judge(course, depth);
		return;
	}
	if (depth > 0) {
		hash = hash_now(course, depth, preemptions);
		if (states_find(&course->states, hash, &after)) {
			course->explorer->schedules += after;
			return;
		}
	}
	is_live = true;
	for (unsigned i = 0; i < course->count; i++) {
		if (!can[i])
			continue;
		extend(course, depth, i, preemptions, is_live);
		is_live = false;
	}
	if (depth > 0)
		states_set(&course->states, hash, course->explorer->schedules - before);
}

/* One core is enough for those who take turns, and changing over is quicker there. */
static void stay_on_core(void)
{
	cpu_set_t one;

	CPU_ZERO(&one);
	CPU_SET((size_t)sched_getcpu(), &one);
	SHMT_REQUIRE(sched_setaffinity(0, sizeof(one), &one) == 0);
}

static void start_actors(struct course *course)
{
	struct explorer *explorer = course->explorer;

	for (unsigned i = 0; i < EXPLORER_ACTORS && explorer->role[i].operate; i++) {
		course->actor[i] = (struct actor){ .name = explorer->role[i].name,
						   .segment = explorer->segment,
						   .operate = explorer->role[i].operate,
						   .context = explorer->context,
						   .may_sleep = explorer->role[i].may_sleep };
		actor_start(&course->actor[i]);
		course->count++;
	}
}

static void go_through(struct course *course, unsigned preemptions)
{
	struct explorer *explorer = course->explorer;

	explorer->schedules = explorer->gone_through = explorer->found = 0;
	course->has_grown = false;
	states_clear(&course->states);
	follow(course, 0, preemptions, false);
}

void explore(struct explorer *explorer)
{
	struct course *course = calloc(1, sizeof(*course));

	SHMT_REQUIRE(course);
	SHMT_REQUIRE((explorer->segment->plan.ctl_bytes + explorer->segment->plan.data_bytes) / 8 <=
		     EXPLORER_WORDS);
	stay_on_core();
	course->explorer = explorer;
	save(course);
	start_actors(course);
	/* most of what is common is found out at once where all points count, once each */
	if (explorer->common_only) {
		course->counts_all = true;
		go_through(course, 1);
	}
	course->counts_all = !explorer->common_only;
	do {
		go_through(course, EXPLORER_PREEMPTIONS);
	} while (course->has_grown && explorer->common_only &&
		 !(explorer->is_wrong && explorer->found > 0));
	for (unsigned i = 0; i < course->count; i++)
		actor_end(&course->actor[i]);
	restore(course);
	states_clear(&course->states);
	printf("# %s: %lu schedules, %lu gone through\n", explorer->name, explorer->schedules,
	       explorer->gone_through);
	if (explorer->found)
		printf("# found %lu times, first %s\n", explorer->found, explorer->first);
	free(course->ctl);
	free(course->data);
	free(course->own);
	free(course);
}

bool explorer_is_deep(void)
{
	const char *wish = getenv("SHMT_DEEP");

	if (wish && strcmp(wish, "0") != 0)
		return true;
	printf("# only with SHMT_DEEP=1\n");
	return false;
}

int explorer_main(int argc, char **argv)
{
	if (STEPPER_SAMPLES)
		return shmt_skip("a sanitizer keeps what is on the stack where it is not compared");
	return shmt_run(argc, argv);
}

#else

void *explorer_memory(size_t bytes)
{
	return NULL;
}

void explore(struct explorer *explorer)
{
	abort();
}

bool explorer_is_deep(void)
{
	return false;
}

int explorer_main(int argc, char **argv)
{
	return shmt_skip("there is no single-stepping on this processor that tells accesses");
}

#endif
