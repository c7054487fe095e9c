/*
 * output: text for people, tables, JSON. Clients may use any bytes; text is printed as valid UTF-8
 * without control characters, and JSON preserves all bytes.
 */
#ifndef TRACKERCTL_OUTPUT_H
#define TRACKERCTL_OUTPUT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/bytes.h"

/* Appends text for people: control characters and backslashes are escaped; if the bytes are not
 * UTF-8, all that are not ASCII, too. */
void output_shown(struct writer *to, struct bytes text);
/* The same as a string that the caller frees; "-" for an empty one. */
char *output_shown_string(struct bytes text);
/* Milliseconds as "950ms", "2.5s", "3m", "4h". */
char *output_duration(uint64_t ms);

/* A table with a line of headings, each column as wide as its cells. On a terminal the widest are
 * cut so that a line fits. */
struct table;
/* headings: upper case; the strings are static. */
struct table *table_create(const char *const *headings, size_t count);
/* The next cell; the text is freed by the table. */
void table_add(struct table *table, char *text);
void table_print(const struct table *table);
void table_destroy(struct table **table);

/* Appends JSON, with commas between members and elements. A NULL name: an element of an array, or a
 * document. */
void json_open(struct writer *to, const char *name, char bracket);
void json_close(struct writer *to, char bracket);
/* "name":"text", or if the text is not UTF-8 "name64":"base64". */
void json_bytes(struct writer *to, const char *name, struct bytes text);
void json_string(struct writer *to, const char *name, const char *text);
void json_number(struct writer *to, const char *name, int64_t number);
void json_bool(struct writer *to, const char *name, bool value);
/* Microseconds, as milliseconds with three decimals. */
void json_ms(struct writer *to, const char *name, uint64_t us);
/* For names of others; they have to be UTF-8. */
void json_bytes_named(struct writer *to, struct bytes name, struct bytes text);
/* Text that is JSON already. */
void json_raw_named(struct writer *to, struct bytes name, struct bytes json);
void json_raw(struct writer *to, const char *name, struct bytes json);
/* Prints the JSON with a line end, and resets the writer. */
void json_print(struct writer *json);

#endif
