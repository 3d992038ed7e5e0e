#include "tools/text.h"

#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>

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

/* C0, DEL and the two bytes that C1 takes in UTF-8. */
char *text_clean(char *text)
{
	for (unsigned char *c = (unsigned char *)text; *c; c++) {
		bool is_c1 = c[0] == 0xc2 && c[1] >= 0x80 && c[1] < 0xa0;

		if (is_c1)
			c[1] = '?';
		if (is_c1 || *c < 0x20 || *c == 0x7f)
			*c = '?';
	}
	return text;
}
