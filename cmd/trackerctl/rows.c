/* rows: see rows.h. */
#include "rows.h"

#include <stdlib.h>

#include "base/mem.h"

void cell_text(struct cell *cell, struct bytes text)
{
    if (cell->json) {
        json_bytes(cell->json, cell->column->key, text);
    } else if (cell->is_plain) {
        writer_bytes(cell->shown, text);
    } else {
        output_shown(cell->shown, text);
    }
}

void cell_string(struct cell *cell, const char *text)
{
    if (cell->json) {
        json_string(cell->json, cell->column->key, text);
    } else {
        writer_string(cell->shown, text);
    }
}

void cell_number(struct cell *cell, uint64_t number)
{
    if (cell->json) {
        json_number(cell->json, cell->column->key, (int64_t)number);
    } else {
        writer_format(cell->shown, "%llu", (unsigned long long)number);
    }
}

void cell_bool(struct cell *cell, bool value)
{
    if (cell->json) {
        json_bool(cell->json, cell->column->key, value);
    } else {
        writer_string(cell->shown, value ? "yes" : "no");
    }
}

void cell_duration(struct cell *cell, uint64_t ms)
{
    char *text;
    if (cell->json) {
        json_number(cell->json, cell->column->key, (int64_t)ms);
        return;
    }
    text = output_duration(ms);
    writer_string(cell->shown, text);
    free(text);
}

void cell_round_trip(struct cell *cell, uint64_t us)
{
    if (cell->json) {
        json_ms(cell->json, cell->column->key, us);
    } else {
        writer_format(cell->shown, "%.2f ms", (double)us / 1000);
    }
}

void cell_none(struct cell *cell, const char *word)
{
    if (!cell->json) {
        writer_string(cell->shown, word);
    }
}

void columns_write_members(const struct columns *columns, const void *row, const void *context,
                           struct writer *json)
{
    for (size_t i = 0; i < columns->count; i++) {
        struct cell cell = {.column = &columns->list[i], .context = context, .json = json};
        if (cell.column->key) {
            cell.column->write(row, &cell);
        }
    }
}

void columns_write_object(const struct columns *columns, const void *row, const void *context,
                          struct writer *json)
{
    json_open(json, NULL, '{');
    columns_write_members(columns, row, context, json);
    json_close(json, '}');
}

void column_write_plain(const struct column *column, const void *row, struct writer *to)
{
    struct cell cell = {.column = column, .shown = to, .is_plain = true};
    column->write(row, &cell);
}

static struct table *create_rows_table(const struct columns *columns)
{
    const char **headings = mem_zalloc(columns->count, sizeof *headings);
    size_t count = 0;
    for (size_t i = 0; i < columns->count; i++) {
        if (columns->list[i].heading) {
            headings[count++] = columns->list[i].heading;
        }
    }
    struct table *table = table_create(headings, count);
    free(headings);
    return table;
}

static void add_row_cells(struct rows *rows, const void *row)
{
    for (size_t i = 0; i < rows->columns->count; i++) {
        struct writer shown = {0};
        struct cell cell = {
            .column = &rows->columns->list[i], .context = rows->context, .shown = &shown};
        if (!cell.column->heading) {
            continue;
        }
        cell.column->write(row, &cell);
        table_add(rows->table, shown.len > 0 ? mem_dup(shown.data, shown.len) : mem_strdup("-"));
        writer_free(&shown);
    }
}

void rows_begin(struct rows *rows, const struct columns *columns, bool is_json, const void *context)
{
    *rows = (struct rows){.columns = columns, .context = context, .is_json = is_json};
    if (!is_json) {
        rows->table = create_rows_table(columns);
    }
}

void rows_add(struct rows *rows, const void *row)
{
    if (rows->is_json) {
        columns_write_object(rows->columns, row, rows->context, &rows->json);
    } else {
        add_row_cells(rows, row);
    }
}

void rows_add_named(struct rows *rows, struct bytes name, const void *row)
{
    if (!rows->is_json) {
        add_row_cells(rows, row);
        return;
    }
    json_raw_named(&rows->json, name, BYTES_LITERAL("{"));
    columns_write_members(rows->columns, row, rows->context, &rows->json);
    json_close(&rows->json, '}');
}

void rows_print(struct rows *rows)
{
    if (rows->is_json) {
        json_print(&rows->json);
    } else {
        table_print(rows->table);
    }
}

void rows_free(struct rows *rows)
{
    table_destroy(&rows->table);
    writer_free(&rows->json);
}
