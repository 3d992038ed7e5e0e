/*
 * Manager: keeps what a broker sends it, as systemd does, for whoever comes after the broker, and
 * shows when something of it changes: the files themselves, and those that lie in bundles.
 */
#ifndef SHMT_MANAGER_H
#define SHMT_MANAGER_H

#include <stdbool.h>

/* The environment leads to it from here on. */
void manager_open(void);
void manager_close(void);
/* Takes what was sent. */
void manager_drain(void);
/* Gives everything up. */
void manager_forget(void);
/* To this process, as if it had been started with what is kept. */
void manager_pass(void);

/* Looks from here on at all memory that is kept by now. Where a bundle is looked into is the
 * bundle's own: not while a broker takes over. */
void manager_watch(void);
void manager_unwatch(void);
/* Whether some of it is other than at the last look. */
bool manager_has_changed(void);

#endif
