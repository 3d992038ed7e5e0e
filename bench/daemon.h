/*
 * Daemon: a private broker for the benches, in a directory of its own.
 */
#ifndef BENCH_DAEMON_H
#define BENCH_DAEMON_H

#include <sys/types.h>

struct shmc_client;

/* Starts it unless it runs; it ends with this process. Returns the address for shmc_connect. */
const char *bench_daemon_start(void);
void bench_daemon_stop(void);
pid_t bench_daemon_pid(void);

/* A file beside this program's folder, "daemon/shmbrokerd"; in static memory. */
const char *bench_daemon_beside(const char *path);

/* Connects or ends the run. */
struct shmc_client *bench_daemon_connect(int64_t spin_ns);

#endif
