/* nodes: the front-ends, by their leases and the descriptions that they publish. */
#include "front_ends.h"
#include "rows.h"

static void write_node_name(const void *row, struct cell *cell)
{
    const struct front_end *front_end = row;
    cell_text(cell, bytes_from_string(front_end->name));
}

static void write_node_id(const void *row, struct cell *cell)
{
    const struct front_end *front_end = row;
    cell_text(cell, bytes_from_string(front_end->id));
}

static void write_node_alive(const void *row, struct cell *cell)
{
    const struct front_end *front_end = row;
    cell_bool(cell, front_end->is_alive);
}

static void write_node_lease(const void *row, struct cell *cell)
{
    const struct front_end *front_end = row;
    const struct front_ends *front_ends = cell->context;
    if (cell->json) {
        json_number(cell->json, cell->column->key,
                    (int64_t)front_end->lease_end - (int64_t)front_ends->now);
    } else if (front_end->is_alive) {
        cell_duration(cell, front_end->lease_end - front_ends->now);
    } else {
        cell_string(cell, "ended ");
        cell_duration(cell, front_ends->now - front_end->lease_end);
        cell_string(cell, " ago");
    }
}

static void write_node_entries(const void *row, struct cell *cell)
{
    const struct front_end *front_end = row;
    cell_number(cell, front_end->entries);
}

/* The description that it publishes. */
static void write_node_info(const void *row, struct cell *cell)
{
    const struct front_end *front_end = row;
    json_open(cell->json, cell->column->key, '{');
    for (size_t i = 0; i < front_end->field_count; i++) {
        if (bytes_is_utf8(front_end->fields[i].name)) {
            json_bytes_named(cell->json, front_end->fields[i].name, front_end->fields[i].value);
        }
    }
    json_close(cell->json, '}');
}

/* The field that the column names. */
static void write_node_field(const void *row, struct cell *cell)
{
    cell_text(cell, front_end_field(row, cell->column->argument));
}

static const struct column node_columns[] = {
    {.heading = "NAME", .write = write_node_name},
    {.heading = "NODE", .key = "node", .write = write_node_id},
    {.key = "name", .write = write_node_name},
    {.key = "alive", .write = write_node_alive},
    {.heading = "LEASE", .key = "lease_ms", .write = write_node_lease},
    {.heading = "ENTRIES", .key = "entries", .write = write_node_entries},
    {.key = "info", .write = write_node_info},
    {.heading = "CONNECTIONS", .write = write_node_field, .argument = "connections"},
    {.heading = "VERSION", .write = write_node_field, .argument = "version"},
    {.heading = "HOST", .write = write_node_field, .argument = "host"},
    {.heading = "WORKER", .write = write_node_field, .argument = "worker"},
    {.heading = "PID", .write = write_node_field, .argument = "pid"},
    {.heading = "LISTEN", .write = write_node_field, .argument = "listeners"},
};

static void print_nodes(const struct front_ends *front_ends)
{
    static const struct columns columns = COLUMNS(node_columns);
    struct rows rows;
    rows_begin(&rows, &columns, front_ends->ctl->json, front_ends);
    json_open(&rows.json, NULL, '{');
    json_open(&rows.json, "nodes", '[');
    for (size_t i = 0; i < front_ends->count; i++) {
        rows_add(&rows, &front_ends->list[i]);
    }
    json_close(&rows.json, ']');
    json_close(&rows.json, '}');
    rows_print(&rows);
    rows_free(&rows);
}

enum ctl_exit command_nodes(struct ctl *ctl, int count, char **arguments)
{
    struct front_ends front_ends;
    enum ctl_exit result = ctl_connect(ctl);
    if (result != CTL_OK) {
        return result;
    }
    result = front_ends_read(ctl, &front_ends);
    if (result == CTL_OK) {
        print_nodes(&front_ends);
    }
    front_ends_free(&front_ends);
    return result;
}
