#include "tools/text.h"

#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "protocol/varlink.h"
#include "tools/report.h"

void *must(void *pointer)
{
	if (!pointer) {
		fputs("shmbrokerctl: out of memory\n", stderr);
		exit(EXIT_REFUSED);
	}
	return pointer;
}

char *must_print(const char *format, ...)
{
	char *text = NULL;
	va_list arguments;

	va_start(arguments, format);
	if (vasprintf(&text, format, arguments) < 0)
		text = NULL;
	va_end(arguments);
	return must(text);
}

/* Bytes of the character that begins here; 0 = none does. */
static size_t character(const char *text, size_t bytes)
{
	for (size_t length = 1; length <= 4 && length <= bytes; length++)
		if (shmp_json_is_text(text, length))
			return length;
	return 0;
}

char *text_utf8(char *text)
{
	size_t bytes = strlen(text);

	for (size_t at = 0; at < bytes;) {
		size_t length = character(text + at, bytes - at);

		if (length == 0)
			text[at] = '?';
		at += length ? length : 1;
	}
	return text;
}

/* C0, DEL and the two bytes that C1 takes in UTF-8. */
char *text_clean(char *text)
{
	text_utf8(text);
	for (unsigned char *c = (unsigned char *)text; *c; c++) {
		bool is_c1 = c[0] == 0xc2 && c[1] >= 0x80 && c[1] < 0xa0;

		if (is_c1)
			c[1] = '?';
		if (is_c1 || *c < 0x20 || *c == 0x7f)
			*c = '?';
	}
	return text;
}
