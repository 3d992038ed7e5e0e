#include "libclient/object.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

#include "libclient/error.h"
#include "protocol/base64.h"
#include "protocol/name.h"

static enum shmc_result object_check_name(const char *name, struct shmc_error *error)
{
	const char *wrong = shmp_name_check(name);

	return wrong ? shmc__error(error, SHMC_INVALID, "name: %s", wrong) : SHMC_OK;
}

static void object_add_init(cJSON *parameters, const void *init, size_t bytes)
{
	char *text = malloc(SHMP_BASE64_BYTES(bytes));

	if (!text) {
		shmp_json_spoil(parameters);
		return;
	}
	shmp_base64_encode(init, bytes, text);
	shmp_json_add_text(parameters, "init", text);
	free(text);
}

#define OBJECT_CREATE_KNOWN                                                                      \
	(SHMC_CREATE_OWNER | SHMC_CREATE_GROUP | SHMC_CREATE_HUGE_PAGES | SHMC_CREATE_PREFAULT | \
	 SHMC_CREATE_MLOCK)

static enum shmc_result object_check_common(const struct shmc_create_options *common,
					    struct shmc_error *error)
{
	if (common->reserved != 0)
		return shmc__error(error, SHMC_INVALID, "common.reserved: must be 0");
	if ((common->flags & ~OBJECT_CREATE_KNOWN) == 0)
		return SHMC_OK;
	return shmc__error(error, SHMC_INVALID,
			   "common.flags: this library knows no flag in 0x%" PRIx32,
			   common->flags & ~OBJECT_CREATE_KNOWN);
}

/* Only what is chosen is said: a broker that does not know it refuses it by name. */
static void object_add_common(cJSON *parameters, const struct shmc_create_options *common)
{
	if ((common->flags & SHMC_CREATE_OWNER) != 0)
		shmp_json_add_u64(parameters, "owner", common->owner);
	if ((common->flags & SHMC_CREATE_GROUP) != 0)
		shmp_json_add_u64(parameters, "group", common->group);
	if ((common->flags & SHMC_CREATE_HUGE_PAGES) != 0)
		shmp_json_add_bool(parameters, "huge_pages", true);
	if ((common->flags & SHMC_CREATE_PREFAULT) != 0)
		shmp_json_add_bool(parameters, "prefault", true);
	if ((common->flags & SHMC_CREATE_MLOCK) != 0)
		shmp_json_add_bool(parameters, "mlock", true);
}

/* What is not chosen is not said. A number is the caller's, and the broker judges it. */
static void object_add_option(cJSON *options, const struct shmp_option *row, uint64_t value)
{
	bool is_choice = row->max == 1;

	if (is_choice && value == SHMC__OPTION_NO)
		shmp_json_add_u64(options, row->name, 0);
	else if (value != 0)
		shmp_json_add_u64(options, row->name, value);
}

enum shmc_result shmc__object_create_with(struct shmc_client *client, const char *name,
					  const struct shmp_kind *kind, const uint64_t *option,
					  uint32_t mode, bool reuse,
					  const struct shmc_create_options *common,
					  const void *init, size_t init_bytes,
					  struct shmc_error *error)
{
	static const struct shmc_create_options none;
	struct shmc__reply reply;
	enum shmc_result result = object_check_name(name, error);
	cJSON *parameters, *options;

	common = common ? common : &none;
	if (result == SHMC_OK)
		result = object_check_common(common, error);
	if (result == SHMC_OK)
		result = shmc__client_enter(client, error);
	if (result != SHMC_OK)
		return result;
	parameters = cJSON_CreateObject();
	shmp_json_add_text(parameters, "name", name);
	shmp_json_add_text(parameters, "kind", kind->name);
	object_add_common(parameters, common);
	options = shmp_json_add_object(parameters, "options");
	for (size_t i = 0; i < kind->option_count; i++)
		object_add_option(options, &kind->options[i], option[i]);
	/* an object has its arena's */
	if (mode != 0 || !shmp_name_object(name))
		shmp_json_add_u64(parameters, "mode", mode != 0 ? mode : SHMC_MODE_PRIVATE);
	shmp_json_add_bool(parameters, "reuse", reuse);
	shmc__client_add_tag(parameters);
	if (init)
		object_add_init(parameters, init, init_bytes);
	result = shmc__client_call(client, "Create", parameters, 0, NULL, &reply, error);
	if (result == SHMC_OK)
		shmc__reply_deinit(&reply);
	cJSON_Delete(parameters);
	shmc__client_leave(client);
	return result;
}

static cJSON *object_place(uint64_t id, int64_t endpoint, uint64_t incarnation)
{
	cJSON *parameters = cJSON_CreateObject();

	shmp_json_add_u64(parameters, "id", id);
	shmp_json_add_i64(parameters, "endpoint", endpoint);
	shmp_json_add_u64(parameters, "incarnation", incarnation);
	return parameters;
}

/* What the broker gave is given back: nobody is going to use it. */
static void object_give_back(struct shmc_client *client, const cJSON *parameters)
{
	uint64_t id, incarnation;
	int64_t endpoint;
	cJSON *place;

	if (shmp_json_u64(parameters, "id", UINT64_MAX, &id) != 0 ||
	    shmp_json_i64(parameters, "endpoint", -1, INT64_MAX, &endpoint) != 0 ||
	    shmp_json_u64(parameters, "incarnation", UINT64_MAX, &incarnation) != 0)
		return;
	place = object_place(id, endpoint, incarnation);
	shmc__client_send(client, "Detach", place, NULL, NULL);
	cJSON_Delete(place);
}

/* The answer to an Attach that was given up. */
static void object_attached_late(void *context, struct shmc__reply *reply)
{
	if (reply && *reply->varlink.error == '\0')
		object_give_back(context, reply->varlink.parameters);
}

static enum shmc_result object_call_attach(struct shmc_client *client, const char *name,
					   const struct shmp_kind *kind, const char *role_name,
					   const uint64_t *option, struct shmc__reply *ret_reply,
					   struct shmc_error *error)
{
	cJSON *parameters, *options;
	enum shmc_result result;

	/* Descriptors that find no room are lost, and the connection with them. */
	if (shmc__control_is_open(&client->control) &&
	    !shmc__process_has_room(client->control.wire.fd))
		return shmc__error_from_errno(error, "take the segment's descriptors", EMFILE);
	parameters = cJSON_CreateObject();
	shmp_json_add_text(parameters, "name", name);
	if (kind) {
		shmp_json_add_text(parameters, "kind", kind->name);
		shmp_json_add_u64(parameters, "kind_version", kind->version);
	}
	shmp_json_add_text(parameters, "role", role_name);
	if (option) {
		options = shmp_json_add_object(parameters, "options");
		for (size_t i = 0; i < kind->option_count; i++)
			object_add_option(options, &kind->options[i], option[i]);
	}
	result = shmc__client_call(client, "Attach", parameters, 0, object_attached_late, ret_reply,
				   error);
	cJSON_Delete(parameters);
	return result;
}

static void object_link(struct shmc__object *object)
{
	struct shmc_client *client = object->client;

	object->previous = NULL;
	object->next = client->objects;
	if (client->objects)
		client->objects->previous = object;
	client->objects = object;
}

static void object_unlink(struct shmc__object *object)
{
	if (object->previous)
		object->previous->next = object->next;
	else
		object->client->objects = object->next;
	if (object->next)
		object->next->previous = object->previous;
}

/* Which kind it is, where any will do. */
static enum shmc_result object_learn_kind(struct shmc__object *object,
					  const struct shmc__reply *reply, struct shmc_error *error)
{
	const char *name = "";

	if (object->kind)
		return SHMC_OK;
	shmp_json_string(reply->varlink.parameters, "kind", &name);
	object->kind = shmp_kind_find(name);
	if (object->kind)
		return SHMC_OK;
	return shmc__error(error, SHMC_MISMATCH,
			   "the segment is of kind \"%s\", which this library does not know: "
			   "update it",
			   name);
}

static enum shmc_result object_refuse_lock(const struct shmp_plan *plan, struct shmc_error *error)
{
	struct rlimit limit = { .rlim_cur = 0 };

	getrlimit(RLIMIT_MEMLOCK, &limit);
	return shmc__error(error, SHMC_QUOTA,
			   "whoever opens this segment has to lock its %" PRIu64
			   " bytes (mlock); RLIMIT_MEMLOCK lets this process lock %" PRIu64
			   " in all: raise it (ulimit -l, LimitMEMLOCK=), or make the segment "
			   "without mlock",
			   plan->ctl_bytes + plan->data_bytes, (uint64_t)limit.rlim_cur);
}

static enum shmc_result object_take(struct shmc__object *object, const char *role_name,
				    const struct shmc__reply *reply, struct shmc_error *error)
{
	bool only_looks = !object->kind; /* at any kind, now and then: shmc_observer_open() */
	enum shmc_result result = object_learn_kind(object, reply, error);
	struct shmc__attachment attachment;
	const struct shmp_role *role;
	int r;

	if (result != SHMC_OK)
		return result;
	role = shmp_kind_role(object->kind, role_name);
	result = shmc__attachment_read(object->kind, role, reply, &attachment, error);
	if (result != SHMC_OK)
		return result;
	if (only_looks)
		attachment.plan.memory &= SHMP_MEMORY_HUGE_PAGES;
	r = shmc__mapping_ref(object->alive, object->kind, role, &attachment, &object->mapping);
	if (r == -EDQUOT)
		return object_refuse_lock(&attachment.plan, error);
	if (r < 0)
		return shmc__error_from_errno(error, "map the segment", -r);
	object->id = attachment.id;
	object->session = object->client->session;
	object->incarnation = attachment.incarnation;
	object->endpoint = attachment.endpoint;
	object->rights = attachment.rights;
	r = shmc__bell_init(object);
	if (r < 0) {
		object->mapping = shmc__mapping_unref(object->mapping);
		return shmc__error_from_errno(error, "open the segment", -r);
	}
	return SHMC_OK;
}

enum shmc_result shmc__object_open(struct shmc__object *object, struct shmc_client *client,
				   const char *name, const struct shmp_kind *kind,
				   const char *role_name, struct shmc_error *error)
{
	return shmc__object_open_expecting(object, client, name, kind, role_name, NULL, error);
}

enum shmc_result shmc__object_open_expecting(struct shmc__object *object,
					     struct shmc_client *client, const char *name,
					     const struct shmp_kind *kind, const char *role_name,
					     const uint64_t *option, struct shmc_error *error)
{
	struct shmc__reply reply = { .fd_count = 0 };
	enum shmc_result result = object_check_name(name, error);

	if (result == SHMC_OK)
		result = shmc__client_enter(client, error);
	if (result != SHMC_OK)
		return result;
	*object = (struct shmc__object){ .alive = client->alive, .client = client, .kind = kind };
	result = object_call_attach(client, name, kind, role_name, option, &reply, error);
	if (result == SHMC_OK) {
		result = object_take(object, role_name, &reply, error);
		if (result != SHMC_OK)
			object_give_back(client, reply.varlink.parameters);
		shmc__reply_deinit(&reply);
	}
	if (result == SHMC_OK)
		object_link(object);
	shmc__client_leave(client);
	return result;
}

/* An endpoint of an earlier session is nobody's already. */
static void object_detach(struct shmc__object *object)
{
	cJSON *place = object_place(object->id,
				    shmc__object_observes(object) ? -1 : (int64_t)object->endpoint,
				    object->incarnation);
	struct shmc__reply reply;
	enum shmc_result result = shmc__client_call(object->client, "Detach", place,
						    object->session, NULL, &reply, NULL);

	if (result == SHMC_OK)
		shmc__reply_deinit(&reply);
	/* the next hello says what is held, and this is not */
	if (result == SHMC_NO_SPACE)
		shmc__control_close(&object->client->control);
	cJSON_Delete(place);
}

void shmc__object_close(struct shmc__object *object)
{
	if (!shmc__object_is_forked(object)) {
		shmc__client_enter(object->client, NULL);
		object_unlink(object);
		shmc__bell_deinit(object);
		object_detach(object);
		shmc__client_leave(object->client);
	}
	shmc__bell_free(object);
	object->mapping = shmc__mapping_unref(object->mapping);
}

enum shmc_peer shmc__object_peer(const struct shmc__object *object, uint32_t endpoint)
{
	switch (shmp_endpoint_look(&object->mapping->segment.endpoints[endpoint])) {
	case SHMP_ENDPOINT_ACTIVE:
		return SHMC_PEER_ACTIVE;
	case SHMP_ENDPOINT_LEFT:
		return SHMC_PEER_LEFT;
	case SHMP_ENDPOINT_DYING:
		return SHMC_PEER_DYING;
	case SHMP_ENDPOINT_DEAD:
		return SHMC_PEER_DIED;
	case SHMP_ENDPOINT_FREE:
		break;
	}
	return SHMC_PEER_NONE;
}

void shmc__object_statistics(const struct shmc__object *object, uint32_t endpoint,
			     struct shmc_statistics *ret_statistics)
{
	const struct shmp_endpoint *place = &object->mapping->segment.endpoints[endpoint];

	/* relaxed: statistics, each right for some moment */
	ret_statistics->messages = atomic_load_explicit(&place->items, memory_order_relaxed);
	/* relaxed: as above */
	ret_statistics->bytes = atomic_load_explicit(&place->bytes, memory_order_relaxed);
	/* relaxed: as above */
	ret_statistics->refused = atomic_load_explicit(&place->refused, memory_order_relaxed);
	/* relaxed: as above */
	ret_statistics->waits = atomic_load_explicit(&place->waits, memory_order_relaxed);
}

/* Looking: the kind's pieces as the caller of the library gets them. */

struct object_show {
	shmc_item_fn fn;
	void *context;
};

static int object_show(void *context, const struct shmp_item *item)
{
	const struct object_show *show = context;
	const struct shmc_item given = {
		.what = item->what,
		.name = item->name,
		.state = item->state,
		.text = item->text,
		.position = item->position,
		.number = item->number,
		.endpoint = item->endpoint,
		.flags = item->flags,
		.size = item->size,
		.data = item->payload,
		.data_bytes = item->payload_bytes,
	};

	return show->fn(show->context, &given) != 0;
}

enum shmc_result shmc__object_look(const struct shmc__object *object, struct shmc_look *look,
				   shmc_item_fn fn, void *context)
{
	struct object_show show = { .fn = fn, .context = context };
	struct shmp_look inner = {
		.from = look->from,
		.max = look->max != 0 ? look->max : UINT64_MAX,
		.gone = (look->flags & SHMC_LOOK_GONE) != 0,
		.room = look->buffer,
		.room_bytes = look->buffer ? look->buffer_bytes : 0,
		.missed = look->missed,
	};
	int r;

	if (shmc__object_is_forked(object))
		return SHMC_FORKED;
	r = object->kind->look(&object->mapping->segment, &inner, object_show, &show);
	look->from = inner.from;
	look->missed = inner.missed;
	if (r == -ENOMEM)
		return SHMC_NO_SPACE;
	return r < 0 ? SHMC_CORRUPT : SHMC_OK;
}

void shmc__object_statistics_of_all(const struct shmc__object *object,
				    struct shmc_statistics *ret_statistics)
{
	struct shmc_statistics sum = { .messages = 0 }, one;

	for (uint32_t i = 0; i < object->mapping->segment.plan.endpoint_count; i++) {
		shmc__object_statistics(object, i, &one);
		sum.messages += one.messages;
		sum.bytes += one.bytes;
		sum.refused += one.refused;
		sum.waits += one.waits;
	}
	*ret_statistics = sum;
}
