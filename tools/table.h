/*
 * Table: cells in aligned columns for people. Text may come from strangers and is
 * cleaned (text.h).
 */
#ifndef SHMBROKERCTL_TABLE_H
#define SHMBROKERCTL_TABLE_H

#include <stdio.h>

struct table;

/* @headers: as many as columns; one that begins with '>' makes its column right-aligned. */
struct table *table_new(const char *const *headers, size_t columns);
/* Two columns without headers: names and values. */
struct table *table_new_pairs(void);
struct table *table_free(struct table *table);

/* The next cell, row by row. */
__attribute__((format(printf, 2, 3))) void table_add(struct table *table, const char *format, ...);
/* Prints all full rows; without headers when there are none. */
void table_print(const struct table *table, FILE *file);

#endif
