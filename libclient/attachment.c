#include "libclient/attachment.h"

#include <inttypes.h>

#include "libclient/error.h"

#define ATTACHMENT_VERSION_MAX UINT32_MAX
/* What JSON numbers hold exactly. */
#define ATTACHMENT_NUMBER_MAX ((UINT64_C(1) << 53) - 1)

static enum shmc_result attachment_bad(struct shmc_error *error, const char *what)
{
	return shmc__error(error, SHMC_UNSUPPORTED,
			   "the broker's answer to Attach has no usable %s", what);
}

static enum shmc_result attachment_contradicts(struct shmc_error *error, const char *what)
{
	return shmc__error(error, SHMC_CORRUPT,
			   "the broker's answer to Attach contradicts itself: %s", what);
}

static bool attachment_number(const cJSON *object, const char *key, uint64_t max,
			      uint64_t *ret_value)
{
	return shmp_json_u64(object, key, max, ret_value) == 0;
}

/* With the plan known: a role without a count has all places that there are. */
static enum shmc_result attachment_read_endpoint(const struct shmp_role *role,
						 const cJSON *parameters,
						 struct shmc__attachment *attachment,
						 struct shmc_error *error)
{
	uint32_t first = shmp_role_first(role, &attachment->plan);
	uint32_t count = shmp_role_places(role, &attachment->plan);
	uint64_t endpoint;
	int64_t none;

	if (role->observes) {
		attachment->endpoint = SHMC__NO_ENDPOINT;
		return shmp_json_i64(parameters, "endpoint", -1, -1, &none) == 0 ?
			       SHMC_OK :
			       attachment_bad(error, "endpoint");
	}
	if (!attachment_number(parameters, "endpoint", SHMP_ENDPOINTS_MAX, &endpoint))
		return attachment_bad(error, "endpoint");
	if (endpoint < first || endpoint - first >= count)
		return attachment_contradicts(error, "the endpoint is not one of the role");
	attachment->endpoint = (uint32_t)endpoint;
	return SHMC_OK;
}

static enum shmc_result attachment_read_ids(const cJSON *parameters,
					    struct shmc__attachment *attachment,
					    struct shmc_error *error)
{
	if (!attachment_number(parameters, "id", ATTACHMENT_NUMBER_MAX, &attachment->id))
		return attachment_bad(error, "id");
	if (!attachment_number(parameters, "generation", ATTACHMENT_NUMBER_MAX,
			       &attachment->generation))
		return attachment_bad(error, "generation");
	if (!attachment_number(parameters, "incarnation", ATTACHMENT_NUMBER_MAX,
			       &attachment->incarnation))
		return attachment_bad(error, "incarnation");
	return SHMC_OK;
}

/* Before anything else is believed: another layout may mean every other field differently. */
static enum shmc_result attachment_check_version(const struct shmp_kind *kind,
						 const cJSON *geometry, struct shmc_error *error)
{
	uint64_t version;

	if (!attachment_number(geometry, "kind_version", ATTACHMENT_VERSION_MAX, &version))
		return attachment_bad(error, "geometry.kind_version");
	if (version != kind->version)
		return shmc__error(error, SHMC_MISMATCH,
				   "%s: the broker lays it out as version %" PRIu64
				   ", this library knows version %" PRIu32,
				   kind->name, version, kind->version);
	return SHMC_OK;
}

/* What is not said is not so: brokers before these options do not know them. */
static enum shmc_result attachment_read_memory(const struct shmp_kind *kind,
					       const cJSON *parameters, struct shmp_plan *plan,
					       struct shmc_error *error)
{
	static const struct {
		const char *key;
		enum shmp_memory flag;
	} rows[] = {
		{ "huge_pages", SHMP_MEMORY_HUGE_PAGES },
		{ "prefault", SHMP_MEMORY_PREFAULT },
		{ "mlock", SHMP_MEMORY_MLOCK },
	};
	const cJSON *geometry = NULL;
	const char *why;
	uint32_t memory = 0;

	shmp_json_object(parameters, "geometry", &geometry);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		bool is_set = false;

		if (shmp_json_bool(geometry, rows[i].key, &is_set) < 0)
			return attachment_bad(error, rows[i].key);
		memory |= is_set ? (uint32_t)rows[i].flag : 0;
	}
	if (shmp_segment_plan_memory(plan, kind->mirrored, memory, &why) < 0)
		return attachment_contradicts(error, why);
	return SHMC_OK;
}

/* An object in an arena: where in which files. Pages that no file has must not be mapped. */
static enum shmc_result attachment_read_piece(const cJSON *geometry, const char *offset_key,
					      const char *file_key, uint64_t unit, uint64_t bytes,
					      uint64_t *ret_offset, uint64_t *ret_file_bytes,
					      struct shmc_error *error)
{
	uint64_t offset, file_bytes;

	if (!attachment_number(geometry, offset_key, ATTACHMENT_NUMBER_MAX, &offset))
		return attachment_bad(error, offset_key);
	if (!attachment_number(geometry, file_key, ATTACHMENT_NUMBER_MAX, &file_bytes))
		return attachment_bad(error, file_key);
	if (offset % unit != 0 || file_bytes % SHMP_PAGE != 0 || offset > file_bytes ||
	    bytes > file_bytes - offset)
		return attachment_contradicts(error, offset_key);
	*ret_offset = offset;
	*ret_file_bytes = file_bytes;
	return SHMC_OK;
}

static enum shmc_result attachment_read_pieces(const cJSON *geometry,
					       struct shmc__attachment *attachment,
					       struct shmc_error *error)
{
	struct shmp_plan *plan = &attachment->plan;
	enum shmc_result result;

	attachment->ctl_file_bytes = plan->ctl_bytes;
	attachment->data_file_bytes = plan->data_bytes;
	if (!cJSON_GetObjectItemCaseSensitive(geometry, "ctl_offset"))
		return SHMC_OK;
	if (plan->objects_bytes != 0 || (plan->memory & SHMP_MEMORY_HUGE_PAGES) != 0)
		return attachment_contradicts(error, "ctl_offset");
	shmp_segment_plan_packed(plan);
	result = attachment_read_piece(geometry, "ctl_offset", "ctl_file_bytes",
				       SHMP_SEGMENT_PACKING, plan->ctl_bytes, &plan->ctl_offset,
				       &attachment->ctl_file_bytes, error);
	if (result == SHMC_OK && plan->data_bytes != 0)
		result = attachment_read_piece(geometry, "data_offset", "data_file_bytes",
					       SHMP_PAGE, plan->data_bytes, &plan->data_offset,
					       &attachment->data_file_bytes, error);
	return result;
}

static enum shmc_result attachment_make_plan(const struct shmp_kind *kind, const cJSON *parameters,
					     struct shmp_plan *ret_plan, struct shmc_error *error)
{
	uint64_t option[SHMP_OPTIONS_MAX] = { 0 };
	const cJSON *options = NULL;
	const char *why;

	if (shmp_json_object(parameters, "options", &options) != 0)
		return attachment_bad(error, "options");
	for (size_t i = 0; i < kind->option_count; i++) {
		const struct shmp_option *row = &kind->options[i];

		if (!attachment_number(options, row->name, row->max, &option[i]) ||
		    option[i] < row->min)
			return attachment_bad(error, row->name);
	}
	if (kind->plan(option, ret_plan, &why) != 0)
		return attachment_contradicts(error, why);
	return SHMC_OK;
}

static enum shmc_result attachment_compare_plan(const struct shmp_kind *kind,
						const struct shmp_plan *plan, const cJSON *geometry,
						struct shmc_error *error)
{
	const struct {
		const char *key;
		uint64_t value;
	} rows[] = {
		{ "ctl_bytes", plan->ctl_bytes },
		{ "data_bytes", plan->data_bytes },
		{ "control_bytes", plan->control_bytes },
		{ "endpoint_count", plan->endpoint_count },
	};
	bool is_mirrored = false;

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		uint64_t value;

		if (!attachment_number(geometry, rows[i].key, ATTACHMENT_NUMBER_MAX, &value))
			return attachment_bad(error, rows[i].key);
		if (value != rows[i].value)
			return attachment_contradicts(error, rows[i].key);
	}
	if (shmp_json_bool(geometry, "mirrored", &is_mirrored) < 0)
		return attachment_bad(error, "geometry.mirrored");
	if (is_mirrored != kind->mirrored)
		return attachment_contradicts(error, "mirrored");
	return SHMC_OK;
}

/* What is not said, or makes no sense, is not known. */
static void attachment_read_rights(const cJSON *parameters, struct shmc__attachment *attachment)
{
	uint64_t mode, owner, group;

	attachment->rights.memory = attachment->plan.memory;
	if (!attachment_number(parameters, "mode", 0777, &mode) ||
	    !attachment_number(parameters, "uid", UINT32_MAX, &owner) ||
	    !attachment_number(parameters, "gid", UINT32_MAX, &group))
		return;
	attachment->rights.mode = (uint32_t)mode;
	attachment->rights.owner = (uint32_t)owner;
	attachment->rights.group = (uint32_t)group;
}

static enum shmc_result attachment_fd(const struct shmc__reply *reply, const char *key,
				      uint64_t bytes, int *ret_fd, struct shmc_error *error)
{
	int64_t index;

	if (shmp_json_i64(reply->varlink.parameters, key, -1, (int64_t)reply->fd_count - 1,
			  &index) != 0)
		return attachment_bad(error, key);
	if (index < 0 && bytes != 0)
		return attachment_contradicts(error, "a descriptor is missing");
	*ret_fd = index < 0 ? -1 : reply->fds[index];
	if (bytes != 0 && shmp_segment_check(*ret_fd, bytes) < 0)
		return attachment_contradicts(
			error, "a descriptor is not sealed memory of the size it has to be");
	return SHMC_OK;
}

static enum shmc_result attachment_read_fds(const struct shmp_role *role,
					    const struct shmc__reply *reply,
					    struct shmc__attachment *attachment,
					    struct shmc_error *error)
{
	/* the heap of an arena is for those who open what is in it */
	bool has_data = role->data != SHMP_ACCESS_NONE;
	enum shmc_result result = attachment_fd(reply, "ctl", attachment->ctl_file_bytes,
						&attachment->ctl_fd, error);

	if (result == SHMC_OK)
		result = attachment_fd(reply, "data", has_data ? attachment->data_file_bytes : 0,
				       &attachment->data_fd, error);
	return result;
}

enum shmc_result shmc__attachment_read(const struct shmp_kind *kind, const struct shmp_role *role,
				       const struct shmc__reply *reply,
				       struct shmc__attachment *ret_attachment,
				       struct shmc_error *error)
{
	const cJSON *parameters = reply->varlink.parameters;
	const cJSON *geometry = NULL;
	struct shmc__attachment attachment = { .ctl_fd = -1, .data_fd = -1 };
	enum shmc_result result;

	if (shmp_json_object(parameters, "geometry", &geometry) != 0)
		return attachment_bad(error, "geometry");
	result = attachment_check_version(kind, geometry, error);
	if (result == SHMC_OK)
		result = attachment_read_ids(parameters, &attachment, error);
	if (result == SHMC_OK)
		result = attachment_make_plan(kind, parameters, &attachment.plan, error);
	if (result == SHMC_OK)
		result = attachment_read_memory(kind, parameters, &attachment.plan, error);
	if (result == SHMC_OK)
		result = attachment_read_pieces(geometry, &attachment, error);
	if (result == SHMC_OK)
		result = attachment_compare_plan(kind, &attachment.plan, geometry, error);
	if (result == SHMC_OK)
		result = attachment_read_endpoint(role, parameters, &attachment, error);
	if (result == SHMC_OK)
		result = attachment_read_fds(role, reply, &attachment, error);
	if (result != SHMC_OK)
		return result;
	attachment_read_rights(parameters, &attachment);
	*ret_attachment = attachment;
	return SHMC_OK;
}
