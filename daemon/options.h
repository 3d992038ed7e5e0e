/*
 * Options: one table feeds the command line, the keys of the configuration file, --help and the
 * manual page. The command line wins over the file, the file over the defaults.
 *
 * The file is one JSON object; a key is an option's name with '_' for '-', and "create" holds the
 * rules of policy.h.
 */
#ifndef SHMBROKER_OPTIONS_H
#define SHMBROKER_OPTIONS_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "daemon/policy.h"

struct options {
	/* what to do */
	bool user;
	bool supervise;
	bool check_config;
	bool help;
	bool version;
	char *config;	   /* NULL = the scope's default path, which may be absent */
	char *config_read; /* the file that was read, NULL = none */
	/* where */
	char *client_socket; /* after resolving never NULL */
	char *control_socket;
	uint64_t client_mode;
	uint64_t control_mode;
	/* how much */
	uint64_t bytes; /* of all segments, 0 = half of the machine's memory */
	uint64_t connections_per_uid;
	uint64_t segments_per_uid;
	uint64_t bytes_per_uid; /* 0 = as bytes */
	uint64_t endpoints_per_uid;
	uint64_t monitor_bytes;
	/* how */
	bool no_peer_pidfd;
	bool no_passrights;
	bool no_backoff;
	struct policy policy;
};

/* Why the options cannot be had, as one sentence that names option, value and limit. */
struct complaint {
	char text[512];
};

/*
 * Reads command line, file and environment. 0, or -errno with @complaint. On success
 * options_deinit frees what it holds.
 */
int options_read(int argc, char **argv, struct options *ret_options, struct complaint *complaint);
void options_deinit(struct options *options);

/* Text of the file instead of the file: what --check-config and tests use. */
int options_read_config(struct options *options, const char *text, struct complaint *complaint);
/* All defaults, nothing resolved. */
void options_init(struct options *options);

void options_print_help(FILE *file);

#endif
