/*
 * rows: the lists that commands print. One array describes the columns; the table for people and
 * the objects of --json are both made from it, in the array's order.
 *
 *   static const struct column columns[] = {
 *       {.heading = "ROOM", .key = "room", .write = write_name},
 *       {.key = "partition", .write = write_partition},      (in JSON only)
 *       ...
 *   };
 *
 * A column with another place or form in JSON has two lines: one without a key, one without a
 * heading.
 */
#ifndef TRACKERCTL_ROWS_H
#define TRACKERCTL_ROWS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/bytes.h"
#include "output.h"

/* Receives a column's value: a cell of a table, or a member in JSON. */
struct cell {
    const struct column *column;
    const void *context;  /* further data for the columns */
    struct writer *json;  /* the object; NULL: a table */
    struct writer *shown; /* the table's text */
    bool is_plain;        /* the text is not printed as it is: nothing is escaped */
};

/* When the screen of `trackerctl servers` shows a column. */
enum column_shown {
    COLUMN_ALWAYS,
    COLUMN_UNLESS_EMPTY, /* unless there are rows and none has a value */
    COLUMN_IF_ANY        /* when a row has a value */
};

/* The column on that screen; tables do not use it. */
struct column_layout {
    int width;  /* at least */
    int most;   /* at most; 0: takes what is left */
    bool right; /* aligned */
    int rank;   /* columns with the highest number are dropped first; 0: never */
    enum column_shown shown;
};

struct column {
    const char *heading; /* of the table, upper case; NULL: in JSON only */
    const char *key;     /* of the member; NULL: in the table only; "": writes members itself */
    /* Calls one of the functions below once, or none when there is no value: then a table has "-",
     * and JSON nothing. */
    void (*write)(const void *row, struct cell *cell);
    const char *argument; /* for write, which finds it in cell->column */
    struct column_layout layout;
};

struct columns {
    const struct column *list;
    size_t count;
};
#define COLUMNS(array)                                                                             \
    {                                                                                              \
        (array), sizeof(array) / sizeof *(array)                                                   \
    }

/* A text of others: escaped for the terminal. */
void cell_text(struct cell *cell, struct bytes text);
/* A text of the program. */
void cell_string(struct cell *cell, const char *text);
void cell_number(struct cell *cell, uint64_t number);
/* "yes" or "no". */
void cell_bool(struct cell *cell, bool value);
/* "2.5s"; in JSON milliseconds. */
void cell_duration(struct cell *cell, uint64_t ms);
/* "1.25 ms"; in JSON milliseconds with three decimals. */
void cell_round_trip(struct cell *cell, uint64_t us);
/* No value; the table shows this word. */
void cell_none(struct cell *cell, const char *word);

/* The rows of a document. The caller always writes the members around them into json: only the
 * table or the JSON is printed. */
struct rows {
    const struct columns *columns;
    const void *context;
    bool is_json;
    struct writer json;
    struct table *table;
};
void rows_begin(struct rows *rows, const struct columns *columns, bool is_json,
                const void *context);
void rows_add(struct rows *rows, const void *row);
/* For an object of objects in JSON: name is the row's, in UTF-8. */
void rows_add_named(struct rows *rows, struct bytes name, const void *row);
/* Prints the table or the document. */
void rows_print(struct rows *rows);
void rows_free(struct rows *rows);

/* For other forms of JSON: the members of a row; a row as an object in an array. */
void columns_write_members(const struct columns *columns, const void *row, const void *context,
                           struct writer *json);
void columns_write_object(const struct columns *columns, const void *row, const void *context,
                          struct writer *json);
/* Appends a column's text of a row without escaping control characters. */
void column_write_plain(const struct column *column, const void *row, struct writer *to);

#endif
