/*
 * Broker: the loop and what there is one of. Each room keeps its own part; nothing here knows how
 * any of them works. One thread; only closing strangers' descriptors happens elsewhere.
 */
#ifndef SHMBROKER_BROKER_H
#define SHMBROKER_BROKER_H

#include <stddef.h>
#include <stdint.h>
#include <uv.h>

#include "daemon/bundle.h"
#include "daemon/deaths.h"
#include "daemon/event.h"
#include "daemon/handles.h"
#include "daemon/list.h"
#include "daemon/listener.h"
#include "daemon/options.h"
#include "daemon/quota.h"
#include "daemon/registry.h"
#include "daemon/repair.h"
#include "daemon/reserve.h"
#include "daemon/state.h"
#include "daemon/traffic.h"

struct interface;

struct broker_counters {
	uint64_t requests;
	uint64_t errors;
	uint64_t deaths;
	uint64_t repairs;
};

struct broker {
	uv_loop_t loop;
	struct handles handles;
	uv_signal_t stop_signals[2];
	uv_timer_t watchdog;
	const struct options *options;
	struct listener client_listener;
	struct listener control_listener;
	struct registry registry;
	struct quota quota;
	struct reserve reserve;
	struct repairs repairs;
	struct deaths deaths;
	struct state_file death_records; /* where `deaths` keeps them */
	struct list sessions;		 /* all connections */
	struct traffic traffic;
	struct list clients; /* connected or in quarantine, oldest first */
	struct events events;
	struct list disposals;
	struct state state;	      /* none where nobody keeps it */
	struct bundles bundles;	      /* what belongs to it */
	struct state_unlinks unlinks; /* without a state */
	struct broker_counters counters;
	uint64_t client_serial;
	uint64_t generation; /* of the segment made last */
	uint64_t segment_bytes;
	uint64_t endpoint_count;
	uint64_t started_ns;
	uint64_t restarts; /* of brokers with this state */
	char epoch[33];	   /* from the first start to the loss of all segments */
	int proc_fd_dir;
	bool has_loop;	     /* which comes before everything else */
	bool has_abandoned;  /* after deinit: not everything could be closed, end by _exit */
	bool is_stopping;    /* nobody is repaired or woken any more */
	bool has_passrights; /* the kernel keeps strangers' descriptors away */
};

/* What the sockets speak; lists end with NULL. */
struct broker_interfaces {
	const struct interface *const *client;
	const struct interface *const *control;
};

/* Everything but the sockets. 0 or -errno. @options must live as long as the broker. */
int broker_init(struct broker *broker, const struct options *options);
/* Binds and listens, or takes the sockets that were passed. 0 or -errno, with the reason logged. */
int broker_listen(struct broker *broker, const struct broker_interfaces *interfaces);
/* Serves until SIGTERM or SIGINT. 0 or -errno. */
int broker_run(struct broker *broker);
/* Closes everything, also after a failure; asserts that nothing is left charged or registered. */
void broker_deinit(struct broker *broker);

/* The whole life of one. Return: main's. */
int broker_serve(const struct options *options, const struct broker_interfaces *interfaces);

/* Fills @text with @bytes - 1 random hexadecimal digits and NUL. */
void broker_random_text(char *text, size_t bytes);

#endif
