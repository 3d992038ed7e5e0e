#include "libclient/mapping.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/* Under the process lock. Those of a parent stay in a child's list and are never found there. */
static struct shmc__mapping *mapping_all;

static uint64_t mapping_data_bytes(const struct shmc__mapping *mapping)
{
	return shmp_segment_data_addresses(&mapping->segment.plan, mapping->segment.mirrored);
}

static bool mapping_is_of(const struct shmc__mapping *mapping, const struct shmc__mapping *wanted)
{
	return mapping->alive == wanted->alive && mapping->device == wanted->device &&
	       mapping->ctl_inode == wanted->ctl_inode &&
	       mapping->data_inode == wanted->data_inode &&
	       mapping->segment.mirrored == wanted->segment.mirrored &&
	       memcmp(&mapping->segment.plan, &wanted->segment.plan, sizeof(struct shmp_plan)) == 0;
}

static struct shmc__mapping *mapping_find(const struct shmc__mapping *wanted)
{
	struct shmc__mapping *mapping = mapping_all;

	while (mapping && !mapping_is_of(mapping, wanted))
		mapping = mapping->next;
	return mapping;
}

static int mapping_make_writable(struct shmc__mapping *mapping, const struct shmp_role *role,
				 const struct shmc__attachment *attachment)
{
	struct shmp_segment *segment = &mapping->segment;
	int r = 0;

	if (role->ctl > mapping->ctl_access) {
		r = shmp_segment_map_ctl_over(segment, attachment->ctl_fd);
		if (r < 0)
			return r;
		mapping->ctl_access = role->ctl;
	}
	if (role->data <= mapping->data_access)
		return 0;
	r = shmp_segment_map_data_over(segment, attachment->data_fd);
	if (r < 0)
		return r;
	mapping->data_access = role->data;
	return 0;
}

/*
 * With the rights of @role beside those it has; what is mapped over is locked anew. Where that
 * cannot be had, those who use it keep it as it is, and nobody else gets it until it can.
 */
static int mapping_extend(struct shmc__mapping *mapping, const struct shmp_role *role,
			  const struct shmc__attachment *attachment)
{
	int r;

	if (role->ctl > mapping->ctl_access || role->data > mapping->data_access) {
		mapping->is_locked = false;
		r = mapping_make_writable(mapping, role, attachment);
		if (r < 0)
			return r;
	}
	if (mapping->is_locked)
		return 0;
	r = shmp_segment_lock(&mapping->segment);
	mapping->is_locked = r == 0;
	return r;
}

static int mapping_make(const struct shmc__mapping *wanted, const struct shmp_role *role,
			const struct shmc__attachment *attachment,
			struct shmc__mapping **ret_mapping)
{
	struct shmc__mapping *mapping = malloc(sizeof(*mapping));
	uint64_t ctl_bytes;
	void *ctl;
	int r;

	if (!mapping)
		return -ENOMEM;
	*mapping = *wanted;
	r = shmp_segment_map(&wanted->segment.plan, wanted->segment.mirrored, attachment->ctl_fd,
			     role->ctl, attachment->data_fd, role->data, &mapping->segment);
	if (r < 0) {
		free(mapping);
		return r;
	}
	mapping->ctl_access = role->ctl;
	mapping->data_access = role->data;
	mapping->is_locked = true;
	shmp_segment_ctl_pages(&mapping->segment, &ctl, &ctl_bytes);
	shmc__process_hold_mapping(&mapping->ctl, ctl, ctl_bytes);
	if (mapping->segment.data)
		shmc__process_hold_mapping(&mapping->data, mapping->segment.data,
					   mapping_data_bytes(mapping));
	mapping->next = mapping_all;
	mapping_all = mapping;
	*ret_mapping = mapping;
	return 0;
}

static int mapping_describe(const uint32_t *alive, const struct shmp_kind *kind,
			    const struct shmc__attachment *attachment,
			    struct shmc__mapping *ret_wanted)
{
	struct stat ctl = { .st_ino = 0 }, data = { .st_ino = 0 };

	if (fstat(attachment->ctl_fd, &ctl) < 0)
		return -errno;
	if (attachment->data_fd >= 0 && fstat(attachment->data_fd, &data) < 0)
		return -errno;
	*ret_wanted = (struct shmc__mapping){
		.alive = alive,
		.device = ctl.st_dev,
		.ctl_inode = ctl.st_ino,
		.data_inode = data.st_ino,
		.ctl = SHMC__HOLDING_NULL,
		.data = SHMC__HOLDING_NULL,
	};
	ret_wanted->segment.plan = attachment->plan;
	ret_wanted->segment.mirrored = kind->mirrored;
	return 0;
}

int shmc__mapping_ref(const uint32_t *alive, const struct shmp_kind *kind,
		      const struct shmp_role *role, const struct shmc__attachment *attachment,
		      struct shmc__mapping **ret_mapping)
{
	struct shmc__mapping wanted = { .alive = NULL };
	struct shmc__mapping *mapping;
	int r = mapping_describe(alive, kind, attachment, &wanted);

	if (r < 0)
		return r;
	shmc__process_lock();
	mapping = mapping_find(&wanted);
	/* one made for roles that have no data at all is left alone */
	if (mapping && (mapping->segment.data || role->data == SHMP_ACCESS_NONE))
		r = mapping_extend(mapping, role, attachment);
	else
		r = mapping_make(&wanted, role, attachment, &mapping);
	if (r == 0) {
		mapping->references++;
		*ret_mapping = mapping;
	}
	shmc__process_unlock();
	return r;
}

/* Under the process lock. */
static void mapping_remove(struct shmc__mapping *mapping)
{
	struct shmc__mapping **at = &mapping_all;

	while (*at != mapping)
		at = &(*at)->next;
	*at = mapping->next;
}

struct shmc__mapping *shmc__mapping_unref(struct shmc__mapping *mapping)
{
	if (!mapping)
		return NULL;
	shmc__process_lock();
	if (--mapping->references == 0) {
		mapping_remove(mapping);
		if (!shmc__process_is_forked(mapping->alive)) {
			shmc__process_release(&mapping->ctl);
			if (mapping->data.address)
				shmc__process_release(&mapping->data);
		}
		shmp_segment_unmap(&mapping->segment);
		free(mapping);
	}
	shmc__process_unlock();
	return NULL;
}
