/*
 * Text: memory that is there or ends the program, and strangers' words made safe to show.
 */
#ifndef SHMBROKERCTL_TEXT_H
#define SHMBROKERCTL_TEXT_H

/* Passes @pointer on; ends the program when it is NULL: out of memory. */
void *must(void *pointer);
/* printf into a string to be freed. */
__attribute__((format(printf, 1, 2))) char *must_print(const char *format, ...);

/* Replaces what is not UTF-8 by '?', in place, as JSON must have it. Returns @text. */
char *text_utf8(char *text);

/*
 * Replaces what is not printable, or not UTF-8, by '?', in place, so that nobody's name
 * drives somebody's terminal. Returns @text.
 */
char *text_clean(char *text);

#endif
