#include "daemon/options.h"

#include <cjson/cJSON.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sysinfo.h>
#include <sys/un.h>
#include <unistd.h>

#include "config.h"
#include "daemon/options_table.h"
#include "protocol/varlink.h"

#define CONFIG_BYTES_MAX (1u << 20)

/* Command line. */

static const struct option_row *row_of(const char *name, size_t length)
{
	for (size_t i = 0; i < option_row_count; i++) {
		if (strlen(option_rows[i].name) == length &&
		    strncmp(option_rows[i].name, name, length) == 0)
			return &option_rows[i];
	}
	return NULL;
}

/* Takes one word and, where it needs it, the next. Returns how many, or -errno. */
static int take_word(struct options *options, char **words, struct complaint *complaint)
{
	const char *word = words[0];
	const char *equals = strchr(word, '=');
	const struct option_row *row = NULL;
	int r;

	if (strncmp(word, "--", 2) == 0)
		row = row_of(word + 2, equals ? (size_t)(equals - word - 2) : strlen(word + 2));
	if (!row)
		return option_complain(complaint, "%.64s: no such option, see --help", word);
	if (row->type == OPTION_FLAG) {
		if (equals)
			return option_complain(complaint, "--%s takes no value", row->name);
		*(bool *)option_field(options, row) = true;
		return 1;
	}
	if (!equals && !words[1])
		return option_complain(complaint, "--%s needs a value", row->name);
	r = option_set_text(options, row, equals ? equals + 1 : words[1], complaint);
	if (r < 0)
		return r;
	return equals ? 1 : 2;
}

static int read_words(struct options *options, char **words, struct complaint *complaint)
{
	while (*words) {
		int r;

		if (strcmp(*words, "--system") == 0) {
			options->user = false;
			r = 1;
		} else {
			r = take_word(options, words, complaint);
		}
		if (r < 0)
			return r;
		words += r;
	}
	return 0;
}

/* Configuration file. */

static bool key_is(const struct option_row *row, const char *key)
{
	const char *name = row->name;

	for (; *name && *key; name++, key++) {
		if (*key != (*name == '-' ? '_' : *name))
			return false;
	}
	return *name == *key;
}

static int set_json(struct options *options, const struct option_row *row, const cJSON *item,
		    struct complaint *complaint)
{
	double number = cJSON_GetNumberValue(item);

	if (cJSON_IsString(item))
		return option_set_text(options, row, item->valuestring, complaint);
	if (row->type != OPTION_COUNT && row->type != OPTION_BYTES)
		return option_complain(complaint, "%s: the value is not a string", row->name);
	if (!(number >= 0 && number < 0x1p63) || number != (double)(uint64_t)number)
		return option_complain(complaint, "%s: the value is not a whole number", row->name);
	return option_set_number(options, row, (uint64_t)number, complaint);
}

static int set_key(struct options *options, const cJSON *item, struct complaint *complaint)
{
	if (strcmp(item->string, "create") == 0) {
		policy_deinit(&options->policy);
		return policy_parse(item, &options->policy, complaint->text,
				    sizeof(complaint->text));
	}
	for (size_t i = 0; i < option_row_count; i++) {
		if (option_rows[i].in_config && key_is(&option_rows[i], item->string))
			return set_json(options, &option_rows[i], item, complaint);
	}
	return option_complain(complaint, "%.64s: no such key", item->string);
}

static unsigned line_of(const char *text, const char *at)
{
	unsigned line = 1;

	for (; text && at && text < at; text++)
		line += *text == '\n';
	return line;
}

int options_read_config(struct options *options, const char *text, struct complaint *complaint)
{
	const char *end = NULL;
	cJSON *object = cJSON_ParseWithOpts(text, &end, true);
	const cJSON *item;
	int r = 0;

	if (!object)
		return option_complain(complaint, "line %u: not JSON", line_of(text, end));
	if (!cJSON_IsObject(object))
		r = option_complain(complaint, "not one JSON object");
	else if (shmp_json_repeated(object))
		r = option_complain(complaint, "%.64s: the key stands twice",
				    shmp_json_repeated(object));
	for (item = object->child; r == 0 && item; item = item->next)
		r = set_key(options, item, complaint);
	cJSON_Delete(object);
	return r;
}

static int read_all_of(int fd, char **ret_text)
{
	char *text = malloc(CONFIG_BYTES_MAX + 1);
	ssize_t bytes = text ? read(fd, text, CONFIG_BYTES_MAX) : -1;

	if (bytes < 0) {
		int error = errno;

		free(text);
		return -error;
	}
	text[bytes] = '\0';
	*ret_text = text;
	return 0;
}

static int read_file(const char *path, char **ret_text)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
	int r;

	if (fd < 0)
		return -errno;
	r = read_all_of(fd, ret_text);
	close(fd);
	return r;
}

/* A default file may be absent, one that was asked for may not. */
static int read_config(struct options *options, const char *path, bool is_default,
		       struct complaint *complaint)
{
	struct complaint inner = { "out of memory" };
	char *text = NULL;
	int r = read_file(path, &text);

	if (r == -ENOENT && is_default)
		return 0;
	if (r < 0) {
		option_complain(complaint, "%.256s: %s", path, strerror(-r));
		return r;
	}
	r = options_read_config(options, text, &inner);
	free(text);
	if (r < 0) {
		option_complain(complaint, "%.200s: %.300s", path, inner.text);
		return r;
	}
	options->config_read = strdup(path);
	return options->config_read ? 0 : -ENOMEM;
}

/* Where things are. */

static char *join(const char *directory, const char *rest)
{
	char *path = NULL;

	if (asprintf(&path, "%s%s", directory, rest) < 0)
		return NULL;
	return path;
}

/* NULL when there is none for this scope and environment. */
static char *default_config(bool user)
{
	const char *directory = getenv("XDG_CONFIG_HOME");
	const char *home = getenv("HOME");

	if (!user)
		return join(SHMBROKER_SYSCONFDIR, "/shmbroker/shmbroker.json");
	if (directory && *directory == '/')
		return join(directory, "/shmbroker/shmbroker.json");
	return home ? join(home, "/.config/shmbroker/shmbroker.json") : NULL;
}

static int resolve_socket(char **socket, bool user, const char *file, struct complaint *complaint)
{
	const char *runtime = user ? getenv("XDG_RUNTIME_DIR") : "/run";

	if (!*socket && (!runtime || *runtime != '/'))
		return option_complain(complaint,
				       "XDG_RUNTIME_DIR is not set: set it, for the clients "
				       "too, to a directory of yours");
	if (!*socket)
		*socket = join(runtime, file);
	if (!*socket)
		return -ENOMEM;
	if (strlen(*socket) >= sizeof(((struct sockaddr_un *)0)->sun_path))
		return option_complain(complaint, "%.256s: a socket's path has at most 107 bytes",
				       *socket);
	return 0;
}

static int resolve(struct options *options, struct complaint *complaint)
{
	struct sysinfo machine;
	int r;

	r = resolve_socket(&options->client_socket, options->user, "/shmbroker/shmbroker.sock",
			   complaint);
	if (r == 0)
		r = resolve_socket(&options->control_socket, options->user,
				   "/shmbroker/control.sock", complaint);
	if (r < 0)
		return r;
	if (options->bytes == 0 && sysinfo(&machine) == 0)
		options->bytes = (uint64_t)machine.totalram * machine.mem_unit / 2;
	if (options->bytes_per_uid == 0)
		options->bytes_per_uid = options->bytes;
	return 0;
}

/* The words are read twice: once to find the file, once more to win over it. */
static int read_everything(struct options *options, char **words, struct complaint *complaint)
{
	char *path;
	int r = read_words(options, words, complaint);

	if (r < 0 || options->help || options->version)
		return r;
	path = options->config ? strdup(options->config) : default_config(options->user);
	if (path)
		r = read_config(options, path, !options->config, complaint);
	free(path);
	if (r == 0)
		r = read_words(options, words, complaint);
	if (r == 0)
		r = resolve(options, complaint);
	return r;
}

int options_read(int argc, char **argv, struct options *ret_options, struct complaint *complaint)
{
	struct options options;
	int r;

	complaint->text[0] = '\0';
	options_init(&options);
	r = argc > 0 ? read_everything(&options, argv + 1, complaint) : 0;
	if (r < 0) {
		if (!complaint->text[0])
			option_complain(complaint, "%s", strerror(-r));
		options_deinit(&options);
		return r;
	}
	*ret_options = options;
	return 0;
}
