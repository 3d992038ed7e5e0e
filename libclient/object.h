/*
 * Object: what the handles of all structures share. It is the first member of each.
 *
 * Threads: the handle's; what is marked "client's mutex" belongs to whoever holds that.
 */
#ifndef SHMC__OBJECT_H
#define SHMC__OBJECT_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "libclient/bell.h"
#include "libclient/client.h"
#include "libclient/mapping.h"
#include "libclient/process.h"
#include "protocol/kinds.h"
#include "shmclient/observer.h"

struct shmc__object {
	const uint32_t *alive;
	struct shmc_client *client;
	const struct shmp_kind *kind;
	struct shmc__mapping *mapping; /* shared with other handles */
	/* the endpoint */
	uint64_t id;
	uint64_t session; /* of the client, in which id and endpoint mean something */
	uint64_t incarnation;
	struct shmc__rights rights;
	uint32_t endpoint; /* SHMC__NO_ENDPOINT: an observer's, which makes no move */
	/* doorbells: the own one, and a ringing end for each endpoint */
	struct shmc__bell bell;
	struct shmc__ringer *ringers;
	_Atomic bool owes_rings; /* some of them */
	uint32_t fruitless; /* times in a row that it span and slept nevertheless: see wait.h */
	/* the client's list, client's mutex */
	struct shmc__object *previous;
	struct shmc__object *next;
};

/* An option that is 0 or 1 and preset to 1 shall be 0, which as such stands for the preset. */
#define SHMC__OPTION_NO UINT64_MAX

/*
 * Creation, as shmc_*_create() says. @option: by the kind's table, 0 = as preset; @common may be
 * NULL; @init: what the kind wants beside numbers, NULL = nothing.
 */
enum shmc_result shmc__object_create_with(struct shmc_client *client, const char *name,
					  const struct shmp_kind *kind, const uint64_t *option,
					  uint32_t mode, bool reuse,
					  const struct shmc_create_options *common,
					  const void *init, size_t init_bytes,
					  struct shmc_error *error);

static inline enum shmc_result shmc__object_create_as(struct shmc_client *client, const char *name,
						      const struct shmp_kind *kind,
						      const uint64_t *option, uint32_t mode,
						      bool reuse,
						      const struct shmc_create_options *common,
						      struct shmc_error *error)
{
	return shmc__object_create_with(client, name, kind, option, mode, reuse, common, NULL, 0,
					error);
}

static inline enum shmc_result shmc__object_create(struct shmc_client *client, const char *name,
						   const struct shmp_kind *kind,
						   const uint64_t *option, uint32_t mode,
						   bool reuse, struct shmc_error *error)
{
	return shmc__object_create_as(client, name, kind, option, mode, reuse, NULL, error);
}

/*
 * Attaches and maps. On failure nothing stays behind. @kind NULL: whatever kind it is, if this
 * library knows it.
 */
enum shmc_result shmc__object_open(struct shmc__object *object, struct shmc_client *client,
				   const char *name, const struct shmp_kind *kind,
				   const char *role_name, struct shmc_error *error);

/*
 * The same where its creator must have chosen @option, of which 0 is any: MISMATCH, with the option
 * by name, before a place is taken.
 */
enum shmc_result shmc__object_open_expecting(struct shmc__object *object,
					     struct shmc_client *client, const char *name,
					     const struct shmp_kind *kind, const char *role_name,
					     const uint64_t *option, struct shmc_error *error);

/* Unmaps and detaches; in a forked child only unmaps. */
void shmc__object_close(struct shmc__object *object);

static inline bool shmc__object_is_forked(const struct shmc__object *object)
{
	return shmc__process_is_forked(object->alive);
}

static inline struct shmp_endpoint *shmc__object_self(struct shmc__object *object)
{
	return &object->mapping->segment.endpoints[object->endpoint];
}

/* The public view of a place's state. */
enum shmc_peer shmc__object_peer(const struct shmc__object *object, uint32_t endpoint);
static inline bool shmc__object_observes(const struct shmc__object *object)
{
	return object->endpoint == SHMC__NO_ENDPOINT;
}

/* The kind's look, as shmc_observer_look() says. */
enum shmc_result shmc__object_look(const struct shmc__object *object, struct shmc_look *look,
				   shmc_item_fn fn, void *context);

void shmc__object_statistics(const struct shmc__object *object, uint32_t endpoint,
			     struct shmc_statistics *ret_statistics);
/* The sums over all places. */
void shmc__object_statistics_of_all(const struct shmc__object *object,
				    struct shmc_statistics *ret_statistics);

#endif
