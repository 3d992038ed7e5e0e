/*
 * What the tests of save and restore begin with: a broker that can be replaced by another one, a
 * folder for files, and shmbrokerctl.
 */
#ifndef SHMT_SAVE_SCENE_H
#define SHMT_SAVE_SCENE_H

#include "tests/support/broker.h"
#include "tests/support/client.h"
#include "tests/support/process.h"

struct save_scene {
	struct shmt_broker broker;
	struct shmc_client *client;
	char folder[64];
	char file[96];
};

/* @options of the broker, or NULL. */
struct save_scene save_begin_with(const char *const *options);
struct save_scene save_begin(void);
void save_end(struct save_scene *scene);
/* Kills the broker and starts another one, which knows nothing. */
void save_replace_broker(struct save_scene *scene);
/* Whether there is nothing in the folder, or only the file. */
bool save_folder_is_clean(const struct save_scene *scene);

/* Runs shmbrokerctl with words that end with NULL; the exit code must be @code. */
struct shmt_result save_ctl(int code, const char *const *words);
/* The same, of which @out, "" for anything, must be part of what it says. */
void save_expect(int code, const char *said, const char *const *words);

#define CTL(code, said, ...) save_expect(code, said, (const char *const[]){ __VA_ARGS__, NULL })

#endif
