/*
 * Address: where a broker may be found, and a connected socket to the first that answers.
 */
#ifndef SHMC__ADDRESS_H
#define SHMC__ADDRESS_H

#include <stdint.h>
#include <sys/un.h>

#include "libclient/process.h"
#include "shmclient/result.h"

#define SHMC__ADDRESS_BYTES sizeof(((struct sockaddr_un *)0)->sun_path)

/*
 * Tries @chosen (a path, or "unix:" and a path) if given; else $SHMBROKER_ADDRESS if set; else the
 * user's broker and then the system's. With @deadline_ns 0 nothing blocks. @chosen may be what
 * @ret_address said before.
 *
 * OK: @ret_socket holds a non-blocking socket, @ret_address says where it leads. Otherwise
 * BROKER_LOST or DENIED, with every address tried and what it said; INVALID; NO_SPACE.
 */
enum shmc_result shmc__address_connect(const char *chosen, uint64_t deadline_ns,
				       struct shmc__holding *ret_socket,
				       char (*ret_address)[SHMC__ADDRESS_BYTES],
				       struct shmc_error *error);

#endif
