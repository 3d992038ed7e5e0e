#include "daemon/notice.h"

#include <string.h>

/* What follows @key in @line, NULL when another key stands there. */
static const char *value_of(const char *line, const char *key)
{
	size_t length = strlen(key);

	return strncmp(line, key, length) == 0 && line[length] == '=' ? line + length + 1 : NULL;
}

static bool says(const char *line, const char *key)
{
	const char *value = value_of(line, key);

	return value && strcmp(value, "1") == 0;
}

static void read_line(const char *line, struct notice *notice)
{
	const char *value;

	notice->is_ready |= says(line, "READY");
	notice->is_alive |= says(line, "WATCHDOG");
	notice->is_stopping |= says(line, "STOPPING");
	notice->stores |= says(line, "FDSTORE");
	notice->removes |= says(line, "FDSTOREREMOVE");
	value = value_of(line, "FDNAME");
	if (value)
		notice->name = value;
	value = value_of(line, "STATUS");
	if (value)
		notice->status = value;
}

void notice_read(char *text, struct notice *ret_notice)
{
	*ret_notice = (struct notice){ .is_barrier = strcmp(text, "BARRIER=1") == 0 };
	while (text) {
		char *line = strsep(&text, "\n");

		read_line(line, ret_notice);
	}
}

bool notice_name_is_valid(const char *name)
{
	size_t length = 0;

	for (; name[length]; length++) {
		unsigned char byte = (unsigned char)name[length];

		if (byte < 0x20 || byte >= 0x7f || byte == ':')
			return false;
	}
	return length > 0 && length <= NOTICE_NAME_BYTES_MAX;
}
