#include "daemon/deaths.h"

#include <stdatomic.h>
#include <string.h>

#include "protocol/hash.h"
#include "protocol/waiter.h"

static uint64_t check_of(const struct death_record *record)
{
	uint64_t hash = shmp_hash_bytes(SHMP_HASH_BEGIN, (const char *)record + sizeof(uint64_t),
					sizeof(*record) - sizeof(uint64_t));

	return hash != 0 ? hash : 1;
}

static void keep_order(void)
{
	/* [C] fence; pairs with deaths_init. A killed broker's stores are exact in program order:
	 * stop the compiler */
	atomic_signal_fence(memory_order_seq_cst);
}

static void clear(struct death_record *record)
{
	record->check = 0;
	keep_order();
}

static void copy_text(char *to, size_t bytes, const char *from)
{
	size_t length = strnlen(from, bytes - 1);

	memcpy(to, from, length);
	memset(to + length, 0, bytes - length);
}

/* Loading */

static bool is_text(const char *text, size_t bytes)
{
	return memchr(text, '\0', bytes) != NULL;
}

static bool is_sane(const struct death_record *record)
{
	if (record->check != check_of(record) || record->hold_count > DEATH_HOLDS_MAX ||
	    record->end > DEATH_END_KILLED || !is_text(record->name, sizeof(record->name)) ||
	    !is_text(record->kind, sizeof(record->kind)) ||
	    !is_text(record->role, sizeof(record->role)) ||
	    !is_text(record->segment, sizeof(record->segment)))
		return false;
	for (uint32_t i = 0; i < record->hold_count; i++) {
		const struct death_hold *hold = &record->holds[i];

		if (!is_text(hold->what, sizeof(hold->what)) ||
		    !is_text(hold->fate, sizeof(hold->fate)))
			return false;
	}
	return true;
}

/* The later one of two records of an entry, whose writer was killed before he cleared the other. */
static void drop_earlier(struct deaths *deaths, struct death_record *record)
{
	for (size_t i = 0; i < deaths->room; i++) {
		struct death_record *other = &deaths->storage[i];

		if (other->check != 0 && other->id == record->id && other->serial < record->serial)
			clear(other);
	}
}

static struct death_record *find_free(const struct deaths *deaths)
{
	for (size_t i = 0; i < deaths->room; i++)
		if (deaths->storage[i].check == 0)
			return &deaths->storage[i];
	return NULL;
}

static struct death_record *find_oldest(const struct deaths *deaths, const uint32_t *uid)
{
	struct death_record *oldest = NULL;

	for (size_t i = 0; i < deaths->room; i++) {
		struct death_record *record = &deaths->storage[i];

		if (record->check == 0 || (uid && record->uid != *uid))
			continue;
		if (!oldest || record->serial < oldest->serial)
			oldest = record;
	}
	return oldest;
}

void deaths_init(struct deaths *deaths, struct death_record *storage, size_t room)
{
	assert(room >= 2);
	*deaths = (struct deaths){ .storage = storage, .room = room };
	/* [C] fence; pairs with keep_order: its process has ended */
	for (size_t i = 0; i < room; i++) {
		if (storage[i].check != 0 && !is_sane(&storage[i]))
			clear(&storage[i]);
		if (storage[i].check != 0 && storage[i].serial > deaths->serial)
			deaths->serial = storage[i].serial;
	}
	for (size_t i = 0; i < room; i++)
		if (storage[i].check != 0)
			drop_earlier(deaths, &storage[i]);
	if (!find_free(deaths))
		clear(find_oldest(deaths, NULL));
}

/* Writing */

static uint64_t count_of_uid(const struct deaths *deaths, uint32_t uid)
{
	uint64_t count = 0;

	for (size_t i = 0; i < deaths->room; i++)
		count += deaths->storage[i].check != 0 && deaths->storage[i].uid == uid;
	return count;
}

/* Room for one more entry of @uid beside the slot that stays free. */
static void make_room(struct deaths *deaths, uint32_t uid)
{
	size_t entries = 0;

	for (size_t i = 0; i < deaths->room; i++)
		entries += deaths->storage[i].check != 0;
	if (count_of_uid(deaths, uid) > 0 && count_of_uid(deaths, uid) >= deaths->room / 2)
		clear(find_oldest(deaths, &uid));
	else if (entries + 1 >= deaths->room)
		clear(find_oldest(deaths, NULL));
}

/* @fresh takes the place of @old, NULL = of none. */
static void put(struct deaths *deaths, struct death_record *fresh, struct death_record *old)
{
	struct death_record *slot;

	if (!old)
		make_room(deaths, fresh->uid);
	slot = find_free(deaths);
	fresh->serial = ++deaths->serial;
	fresh->check = 0;
	*slot = *fresh;
	keep_order();
	slot->check = check_of(slot);
	keep_order();
	if (old)
		clear(old);
}

static uint64_t hash_text(uint64_t hash, const char *text)
{
	return shmp_hash_bytes(hash, text, strlen(text) + 1);
}

static uint64_t key_of(const struct death_notice *notice, const struct death_place *place)
{
	uint64_t hash = shmp_hash_word(SHMP_HASH_BEGIN, notice->uid);

	hash = hash_text(hash, notice->name);
	hash = hash_text(hash, place->segment);
	return hash_text(hash, place->role);
}

static bool is_same(const struct death_record *record, const struct death_notice *notice,
		    const struct death_place *place)
{
	return record->uid == notice->uid && strcmp(record->name, notice->name) == 0 &&
	       strcmp(record->segment, place->segment) == 0 &&
	       strcmp(record->kind, place->kind) == 0 && strcmp(record->role, place->role) == 0;
}

static struct death_record *find_entry(const struct deaths *deaths, const struct death_place *place)
{
	uint64_t key = key_of(&deaths->notice, place);

	for (size_t i = 0; i < deaths->room; i++) {
		struct death_record *record = &deaths->storage[i];

		if (record->check != 0 && record->key == key &&
		    is_same(record, &deaths->notice, place))
			return record;
	}
	return NULL;
}

static void begin_entry(struct deaths *deaths, const struct death_place *place,
			struct death_record *ret_record)
{
	const struct death_notice *notice = &deaths->notice;

	*ret_record = (struct death_record){ .key = key_of(notice, place),
					     .id = deaths->serial + 1,
					     .first_ns = notice->at_ns };
	copy_text(ret_record->name, sizeof(ret_record->name), notice->name);
	copy_text(ret_record->segment, sizeof(ret_record->segment), place->segment);
	copy_text(ret_record->kind, sizeof(ret_record->kind), place->kind);
	copy_text(ret_record->role, sizeof(ret_record->role), place->role);
}

/* The first place of this process in the entry: what is told of the one before gives way. */
static void begin_death(const struct death_notice *notice, struct death_record *record)
{
	record->count++;
	record->last_ns = notice->at_ns;
	record->noticed_ns = notice->noticed_ns;
	record->repair_ns = 0;
	record->start_time = notice->start_time;
	record->pid = notice->pid;
	record->uid = notice->uid;
	record->end = DEATH_END_UNKNOWN;
	record->end_value = 0;
	record->held = notice->held;
	record->places = 0;
	record->hold_count = 0;
	memset(record->holds, 0, sizeof(record->holds));
}

static struct death_hold *find_hold(struct death_record *record, const struct shmp_hold *hold)
{
	for (uint32_t i = 0; i < record->hold_count; i++)
		if (strcmp(record->holds[i].what, hold->what) == 0)
			return &record->holds[i];
	return record->hold_count < DEATH_HOLDS_MAX ? &record->holds[record->hold_count++] : NULL;
}

static void add_hold(struct death_record *record, const struct shmp_hold *hold)
{
	struct death_hold *sum = find_hold(record, hold);

	if (!sum)
		return;
	copy_text(sum->what, sizeof(sum->what), hold->what);
	copy_text(sum->fate, sizeof(sum->fate), hold->fate);
	sum->count += hold->count;
	sum->is_least |= hold->is_least;
}

static void say_repaired(struct death_record *record)
{
	uint64_t took_ns = shmp_clock_ns() - record->noticed_ns;

	record->repair_ns = took_ns != 0 ? took_ns : 1;
	if (record->repair_ns > record->repair_max_ns)
		record->repair_max_ns = record->repair_ns;
}

void deaths_begin(struct deaths *deaths, const struct death_notice *notice)
{
	deaths->notice = *notice;
	deaths->noted = 0;
}

/* Whether the last one who died so is whoever is dying now. */
static bool is_of(const struct death_record *record, const struct death_notice *notice)
{
	return record->noticed_ns == notice->noticed_ns && record->pid == notice->pid;
}

/*
 * By an earlier broker, which died before it could say so elsewhere: it was the last that it noted,
 * and is the first now. Of views nobody knows which one it was.
 */
static bool is_noted(const struct deaths *deaths, const struct death_record *record,
		     const struct death_place *place)
{
	return deaths->notice.goes_on && place->endpoint != UINT32_MAX &&
	       record->endpoint == place->endpoint;
}

uint64_t deaths_note(struct deaths *deaths, const struct death_place *place)
{
	const struct death_notice *notice = &deaths->notice;
	struct death_record *old = find_entry(deaths, place);
	struct death_record record;

	/* one more in an entry that he has changed already costs no room */
	bool goes_on = old && is_of(old, notice);

	if (goes_on && is_noted(deaths, old, place)) {
		deaths->notice.goes_on = false;
		if (!place->is_pending)
			deaths_repaired(deaths, old->id);
		return old->id;
	}
	deaths->notice.goes_on = false;
	if (!goes_on && deaths->noted++ >= DEATH_PLACES_MAX)
		return 0;
	if (old)
		record = *old;
	else
		begin_entry(deaths, place, &record);
	if (!goes_on)
		begin_death(notice, &record);
	record.endpoint = place->endpoint;
	record.places++;
	record.pending += place->is_pending;
	for (uint32_t i = 0; i < place->hold_count; i++)
		add_hold(&record, &place->holds[i]);
	if (record.pending == 0)
		say_repaired(&record);
	put(deaths, &record, old);
	return record.id;
}

/* His are the newest: nothing else was noted since, and no more of them than this. */
void deaths_say_end(struct deaths *deaths, enum death_end end, uint32_t value)
{
	for (uint64_t before = UINT64_MAX, left = DEATH_PLACES_MAX; left > 0; left--) {
		struct death_record *old = (struct death_record *)deaths_next(deaths, before);
		struct death_record record;

		if (!old || !is_of(old, &deaths->notice))
			return;
		before = old->serial;
		record = *old;
		record.end = end;
		record.end_value = value;
		put(deaths, &record, old);
	}
}

void deaths_repaired(struct deaths *deaths, uint64_t id)
{
	for (size_t i = 0; id != 0 && i < deaths->room; i++) {
		struct death_record *old = &deaths->storage[i];
		struct death_record record;

		if (old->check == 0 || old->id != id || old->pending == 0)
			continue;
		record = *old;
		if (--record.pending == 0)
			say_repaired(&record);
		put(deaths, &record, old);
		return;
	}
}

void death_add_hold(void *context, const struct shmp_hold *hold)
{
	struct death_place *place = context;

	if (place->hold_count < DEATH_HOLDS_MAX)
		place->holds[place->hold_count++] = *hold;
}

const struct death_record *deaths_next(const struct deaths *deaths, uint64_t before)
{
	const struct death_record *next = NULL;

	for (size_t i = 0; i < deaths->room; i++) {
		const struct death_record *record = &deaths->storage[i];

		if (record->check != 0 && record->serial < before &&
		    (!next || record->serial > next->serial))
			next = record;
	}
	return next;
}
