/*
 * Doubly linked list, the node inside what it links. A removed node is an empty list of its own,
 * so that removing it twice is harmless.
 */
#ifndef SHMBROKER_LIST_H
#define SHMBROKER_LIST_H

#include <stdbool.h>
#include <stddef.h>

struct list {
	struct list *next;
	struct list *previous;
};

#define list_entry(node, type, member) ((type *)(void *)((char *)(node)-offsetof(type, member)))

static inline void list_init(struct list *list)
{
	list->next = list;
	list->previous = list;
}

static inline bool list_is_empty(const struct list *list)
{
	return list->next == list;
}

static inline void list_append(struct list *list, struct list *node)
{
	node->next = list;
	node->previous = list->previous;
	list->previous->next = node;
	list->previous = node;
}

static inline void list_remove(struct list *node)
{
	node->previous->next = node->next;
	node->next->previous = node->previous;
	list_init(node);
}

/* Moves all of @from to the end of @to, so that a walk is not disturbed by what it calls. */
static inline void list_move_all(struct list *from, struct list *to)
{
	while (!list_is_empty(from)) {
		struct list *node = from->next;

		list_remove(node);
		list_append(to, node);
	}
}

#endif
