#include "tools/table.h"

#include <stdarg.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "tools/text.h"

#define GAP 2

struct table {
	const char *const *headers; /* NULL = none */
	size_t columns;
	char **cells;
	size_t count;
	size_t room;
};

struct table *table_new(const char *const *headers, size_t columns)
{
	struct table *table = must(calloc(1, sizeof(*table)));

	table->headers = headers;
	table->columns = columns;
	return table;
}

struct table *table_new_pairs(void)
{
	return table_new(NULL, 2);
}

struct table *table_free(struct table *table)
{
	if (!table)
		return NULL;
	for (size_t i = 0; i < table->count; i++)
		free(table->cells[i]);
	free(table->cells);
	free(table);
	return NULL;
}

void table_add(struct table *table, const char *format, ...)
{
	char *text = NULL;
	va_list arguments;

	va_start(arguments, format);
	if (vasprintf(&text, format, arguments) < 0)
		text = NULL;
	va_end(arguments);
	text_clean(must(text));
	if (table->count == table->room) {
		table->room = table->room ? 2 * table->room : 64;
		table->cells = must(reallocarray(table->cells, table->room, sizeof(*table->cells)));
	}
	table->cells[table->count++] = text;
}

/* Characters, not bytes: one for every byte that does not continue another. */
static size_t width_of(const char *text)
{
	size_t width = 0;

	for (; *text; text++)
		width += ((unsigned char)*text & 0xc0) != 0x80;
	return width;
}

static bool is_right(const struct table *table, size_t column)
{
	return table->headers && table->headers[column][0] == '>';
}

static const char *header_of(const struct table *table, size_t column)
{
	return table->headers[column] + is_right(table, column);
}

static size_t column_width(const struct table *table, size_t column)
{
	size_t width = table->headers ? width_of(header_of(table, column)) : 0;

	for (size_t i = column; i < table->count; i += table->columns) {
		size_t cell = width_of(table->cells[i]);

		if (cell > width)
			width = cell;
	}
	return width;
}

static void print_blanks(size_t count, FILE *file)
{
	fprintf(file, "%*s", (int)count, "");
}

/* The last column is not filled up: no line ends in blanks. */
static void print_cell(const struct table *table, size_t column, size_t width, const char *text,
		       FILE *file)
{
	size_t blanks = width - width_of(text);
	bool is_last = column + 1 == table->columns;

	if (is_right(table, column))
		print_blanks(blanks, file);
	fputs(text, file);
	if (is_last)
		fputc('\n', file);
	else
		print_blanks(GAP + (is_right(table, column) ? 0 : blanks), file);
}

void table_print(const struct table *table, FILE *file)
{
	size_t rows = table->count / table->columns;
	size_t *widths = must(calloc(table->columns, sizeof(*widths)));

	for (size_t c = 0; c < table->columns; c++)
		widths[c] = column_width(table, c);
	for (size_t c = 0; table->headers && rows > 0 && c < table->columns; c++)
		print_cell(table, c, widths[c], header_of(table, c), file);
	for (size_t i = 0; i < rows * table->columns; i++) {
		size_t c = i % table->columns;

		print_cell(table, c, widths[c], table->cells[i], file);
	}
	free(widths);
}
