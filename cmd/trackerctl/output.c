#include "output.h"

#include <assert.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>
#include <wchar.h>

#include "base/escape.h"
#include "base/mem.h"

#define GAP 2 /* between columns */

/* Text. */

void output_shown(struct writer *to, struct bytes text)
{
    /* If one byte is not UTF-8 the encoding is not known, so all other bytes are escaped, too. */
    if (bytes_is_utf8(text)) {
        escape_visible(to, text, true);
        return;
    }
    for (size_t i = 0; i < text.len; i++) {
        escape_visible(to, (struct bytes){text.data + i, 1}, true);
    }
}

char *output_shown_string(struct bytes text)
{
    struct writer writer = {0};
    if (text.len == 0) {
        return mem_strdup("-");
    }
    output_shown(&writer, text);
    writer_u8(&writer, 0);
    return (char *)writer.data;
}

char *output_duration(uint64_t ms)
{
    unsigned long long value = ms;
    if (value < 1000) {
        return mem_format("%llums", value);
    }
    if (value < 60000) {
        return mem_format("%llu.%llus", value / 1000, value % 1000 / 100);
    }
    if (value < 7200000) {
        return mem_format("%llum", value / 60000);
    }
    return mem_format("%lluh", value / 3600000);
}

/* Tables. */

struct table {
    const char **headings;
    size_t columns;
    char **cells;
    size_t count, capacity;
};

struct table *table_create(const char *const *headings, size_t count)
{
    struct table *table = mem_zalloc(1, sizeof *table);
    table->headings = mem_alloc(count * sizeof *headings);
    memcpy(table->headings, headings, count * sizeof *headings);
    table->columns = count;
    return table;
}

void table_add(struct table *table, char *text)
{
    if (table->count == table->capacity) {
        table->capacity = table->capacity ? table->capacity * 2 : 64;
        table->cells = mem_realloc(table->cells, table->capacity * sizeof *table->cells);
    }
    table->cells[table->count++] = text;
}

void table_destroy(struct table **table)
{
    if (!*table) {
        return;
    }
    for (size_t i = 0; i < (*table)->count; i++) {
        free((*table)->cells[i]);
    }
    free((*table)->cells);
    free((*table)->headings);
    free(*table);
    *table = NULL;
}

/* The next character of valid UTF-8: its bytes, and the columns that it takes. */
static size_t next_character(const char *text, size_t *width)
{
    wchar_t wide;
    mbstate_t state = {0};
    size_t len = mbrtowc(&wide, text, strlen(text), &state);
    int columns = len == (size_t)-1 || len == (size_t)-2 ? 1 : wcwidth(wide);
    *width = columns < 0 ? 1 : (size_t)columns;
    return len == 0 || len == (size_t)-1 || len == (size_t)-2 ? 1 : len;
}

static size_t width_of(const char *text)
{
    size_t width = 0, one;
    while (*text) {
        text += next_character(text, &one);
        width += one;
    }
    return width;
}

/* Columns of the terminal; 0 when output is no terminal, and lines are not cut. */
static size_t terminal_width(void)
{
    struct winsize size;
    if (isatty(STDOUT_FILENO) && ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0) {
        return size.ws_col;
    }
    return 0;
}

/* Prints at most that many columns of it, one at least; returns how many. */
static size_t print_cut(const char *text, size_t most)
{
    size_t width = width_of(text), used = 0, one;
    if (width <= most) {
        (void)fputs(text, stdout);
        return width;
    }
    for (;;) {
        size_t len = next_character(text, &one);
        if (used + one > most - 1) {
            break;
        }
        (void)fwrite(text, 1, len, stdout);
        text += len;
        used += one;
    }
    (void)fputs("…", stdout);
    return used + 1;
}

static void print_row(const struct table *table, const char *const *row, const size_t *widths)
{
    for (size_t i = 0; i < table->columns; i++) {
        size_t used = print_cut(row[i], widths[i]);
        if (i + 1 < table->columns) {
            (void)printf("%*s", (int)(widths[i] - used + GAP), "");
        }
    }
    (void)putchar('\n');
}

/* Narrows the widest columns until a line fits the terminal; no heading is cut. */
static void shrink_columns(const struct table *table, size_t *widths, size_t edge)
{
    size_t total = (table->columns - 1) * GAP;
    for (size_t i = 0; i < table->columns; i++) {
        total += widths[i];
    }
    for (; total > edge; total--) {
        size_t widest = table->columns;
        for (size_t i = 0; i < table->columns; i++) {
            if (widths[i] > strlen(table->headings[i]) &&
                (widest == table->columns || widths[i] >= widths[widest])) {
                widest = i;
            }
        }
        if (widest == table->columns) {
            return;
        }
        widths[widest]--;
    }
}

void table_print(const struct table *table)
{
    assert(table->columns > 0);
    size_t *widths = mem_zalloc(table->columns, sizeof *widths), edge = terminal_width();
    for (size_t i = 0; i < table->columns; i++) {
        widths[i] = strlen(table->headings[i]);
    }
    for (size_t i = 0; i < table->count; i++) {
        size_t width = width_of(table->cells[i]);
        if (width > widths[i % table->columns]) {
            widths[i % table->columns] = width;
        }
    }
    if (edge > 0) {
        shrink_columns(table, widths, edge);
    }
    print_row(table, table->headings, widths);
    for (size_t i = 0; i + table->columns <= table->count; i += table->columns) {
        print_row(table, (const char *const *)&table->cells[i], widths);
    }
    free(widths);
}

/* JSON. */

static void begin_json_value(struct writer *to)
{
    if (to->len > 0 && !strchr("{[:", to->data[to->len - 1])) {
        writer_u8(to, ',');
    }
}

static void begin_named(struct writer *to, struct bytes name, const char *suffix)
{
    struct writer whole = {0};
    begin_json_value(to);
    writer_bytes(&whole, name);
    writer_string(&whole, suffix);
    escape_json(to, writer_bytes_written(&whole));
    writer_u8(to, ':');
    writer_free(&whole);
}

static void begin_member(struct writer *to, const char *name)
{
    if (name) {
        begin_named(to, bytes_from_string(name), "");
    } else {
        begin_json_value(to);
    }
}

void json_open(struct writer *to, const char *name, char bracket)
{
    begin_member(to, name);
    writer_u8(to, (uint8_t)bracket);
}

void json_close(struct writer *to, char bracket)
{
    writer_u8(to, (uint8_t)bracket);
}

static void write_cell_base64(struct writer *to, struct bytes text)
{
    size_t len = sodium_base64_encoded_len(text.len, sodium_base64_VARIANT_ORIGINAL);
    char *encoded = mem_alloc(len);
    sodium_bin2base64(encoded, len, text.data, text.len, sodium_base64_VARIANT_ORIGINAL);
    escape_json(to, bytes_from_string(encoded));
    free(encoded);
}

void json_bytes_named(struct writer *to, struct bytes name, struct bytes text)
{
    if (bytes_is_utf8(text)) {
        begin_named(to, name, "");
        escape_json(to, text);
    } else {
        begin_named(to, name, "64");
        write_cell_base64(to, text);
    }
}

void json_bytes(struct writer *to, const char *name, struct bytes text)
{
    json_bytes_named(to, bytes_from_string(name), text);
}

void json_string(struct writer *to, const char *name, const char *text)
{
    begin_member(to, name);
    escape_json(to, bytes_from_string(text));
}

void json_number(struct writer *to, const char *name, int64_t number)
{
    begin_member(to, name);
    writer_format(to, "%lld", (long long)number);
}

void json_bool(struct writer *to, const char *name, bool value)
{
    begin_member(to, name);
    writer_string(to, value ? "true" : "false");
}

void json_ms(struct writer *to, const char *name, uint64_t us)
{
    begin_member(to, name);
    writer_format(to, "%llu.%03llu", (unsigned long long)us / 1000, (unsigned long long)us % 1000);
}

void json_raw_named(struct writer *to, struct bytes name, struct bytes json)
{
    begin_named(to, name, "");
    writer_bytes(to, json);
}

void json_raw(struct writer *to, const char *name, struct bytes json)
{
    begin_member(to, name);
    writer_bytes(to, json);
}

void json_print(struct writer *json)
{
    writer_u8(json, '\n');
    (void)fwrite(json->data, 1, json->len, stdout);
    writer_reset(json);
}
