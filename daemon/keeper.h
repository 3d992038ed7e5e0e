/*
 * Keeper: `shmbrokerd --supervise`, a parent that keeps a broker running where no systemd does.
 *
 * It starts the same program without that option and speaks to it as systemd does to a service
 * (systemd.h): it is told when the broker is ready, keeps descriptors for it, and passes them to
 * the next one. A broker that ends without having been asked to is started again at once, and
 * with growing delays when that goes on. SIGTERM and SIGINT end both; SIGHUP and SIGUSR2 restart
 * the broker, from the file that is at the program's path by then: an upgrade.
 *
 * If the keeper is killed the broker goes on without one, and says so. One thread, no loop of
 * libuv, little memory: what could break it should not be here.
 */
#ifndef SHMBROKER_KEEPER_H
#define SHMBROKER_KEEPER_H

#include <stdint.h>

struct options;

#define KEEPER_STORED_MAX 4096u /* descriptors, as FileDescriptorStoreMax= in our units */

/*
 * Keeps a broker with @options, which @argv said, until it is told to end. Return: main's; that
 * of the broker when the first one failed before it was ready.
 */
int keeper_serve(const struct options *options, char **argv);

/* How long the next start has to wait after so many deaths in a row, none of them asked for. */
uint32_t keeper_delay_ms(uint32_t deaths);

#endif
