#include "tests/process/save_scene.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define WORDS_MAX 12

static void connect_to(struct save_scene *scene)
{
	ck_assert_int_eq(chmod(scene->broker.folder, 0711), 0);
	setenv("SHMBROKER_ADDRESS", scene->broker.address, 1);
	scene->client = shmt_connect(&scene->broker);
}

struct save_scene save_begin_with(const char *const *options)
{
	struct save_scene scene = { .broker = shmt_broker_start(options),
				    .folder = "/tmp/shmt-save-XXXXXX" };

	ck_assert_ptr_nonnull(mkdtemp(scene.folder));
	ck_assert_int_eq(chmod(scene.folder, 0777), 0);
	snprintf(scene.file, sizeof(scene.file), "%s/file", scene.folder);
	connect_to(&scene);
	return scene;
}

struct save_scene save_begin(void)
{
	return save_begin_with(NULL);
}

void save_end(struct save_scene *scene)
{
	shmc_disconnect(scene->client);
	shmt_broker_stop(&scene->broker);
	unlink(scene->file);
	ck_assert_int_eq(rmdir(scene->folder), 0);
}

void save_replace_broker(struct save_scene *scene)
{
	shmc_disconnect(scene->client);
	shmt_broker_kill(&scene->broker);
	shmt_broker_remove(&scene->broker);
	scene->broker = shmt_broker_start(NULL);
	connect_to(scene);
}

bool save_folder_is_clean(const struct save_scene *scene)
{
	DIR *folder = opendir(scene->folder);
	const struct dirent *entry;
	bool is_clean = true;

	ck_assert_ptr_nonnull(folder);
	while ((entry = readdir(folder)))
		is_clean = is_clean &&
			   (entry->d_name[0] == '.' ?
				    entry->d_name[1] == '\0' || entry->d_name[1] == '.' :
				    strcmp(entry->d_name, "file") == 0);
	closedir(folder);
	return is_clean;
}

struct shmt_result save_ctl(int code, const char *const *words)
{
	const char *argv[WORDS_MAX] = { shmt_program("SHMBROKERCTL") };
	struct shmt_process process;
	struct shmt_result result;

	for (int i = 1; *words && i < WORDS_MAX - 1; i++)
		argv[i] = *words++;
	process = shmt_process_start(argv);
	result = shmt_process_finish(&process, "", 0);
	if (result.code != code)
		ck_abort_msg("%s %s: exit code %d, stdout: %s, stderr: %s", argv[1], argv[2],
			     result.code, result.out, result.err);
	return result;
}

void save_expect(int code, const char *said, const char *const *words)
{
	struct shmt_result result = save_ctl(code, words);

	if (!strstr(result.out, said) && !strstr(result.err, said))
		ck_abort_msg("%s %s does not say \"%s\", but: %s%s", words[0], words[1], said,
			     result.out, result.err);
	shmt_result_free(&result);
}
