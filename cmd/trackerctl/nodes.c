/* nodes: the front-ends, as their leases and their own words have them. */
#include <stdlib.h>

#include "base/mem.h"
#include "front_ends.h"
#include "output.h"

static void add_field(struct table *table, const struct front_end *front_end, const char *name)
{
    table_add(table, output_shown_string(front_end_field(front_end, name)));
}

static void add_lease(struct table *table, const struct front_ends *front_ends,
                      const struct front_end *front_end)
{
    bool alive = front_end->is_alive;
    char *text = output_duration(alive ? front_end->lease_end - front_ends->now
                                       : front_ends->now - front_end->lease_end);
    table_add_format(table, alive ? "%s" : "ended %s ago", text);
    free(text);
}

static void print_table(const struct front_ends *front_ends)
{
    static const char *const headings[] = {"NAME",    "NODE", "LEASE", "ENTRIES", "CONNECTIONS",
                                           "VERSION", "HOST", "PID",   "LISTEN",  NULL};
    struct table *table = table_create(headings);
    for (size_t i = 0; i < front_ends->count; i++) {
        const struct front_end *front_end = &front_ends->list[i];
        table_add(table, output_shown_string(bytes_from_string(front_end->name)));
        table_add(table, output_shown_string(bytes_from_string(front_end->id)));
        add_lease(table, front_ends, front_end);
        table_add_format(table, "%llu", (unsigned long long)front_end->entries);
        add_field(table, front_end, "connections");
        add_field(table, front_end, "version");
        add_field(table, front_end, "host");
        add_field(table, front_end, "pid");
        add_field(table, front_end, "listeners");
    }
    table_print(table);
    table_destroy(&table);
}

static void write_fields(struct writer *json, const struct front_end *front_end)
{
    json_open(json, "info", '{');
    for (size_t i = 0; i < front_end->field_count; i++) {
        if (bytes_is_utf8(front_end->fields[i].name))
            json_bytes_named(json, front_end->fields[i].name, front_end->fields[i].value);
    }
    json_close(json, '}');
}

static void print_json(const struct front_ends *front_ends)
{
    struct writer json = {0};
    json_open(&json, NULL, '{');
    json_open(&json, "nodes", '[');
    for (size_t i = 0; i < front_ends->count; i++) {
        const struct front_end *front_end = &front_ends->list[i];
        json_open(&json, NULL, '{');
        json_bytes(&json, "node", bytes_from_string(front_end->id));
        json_string(&json, "name", front_end->name);
        json_bool(&json, "alive", front_end->is_alive);
        json_number(&json, "lease_ms", (int64_t)front_end->lease_end - (int64_t)front_ends->now);
        json_number(&json, "entries", (int64_t)front_end->entries);
        write_fields(&json, front_end);
        json_close(&json, '}');
    }
    json_close(&json, ']');
    json_close(&json, '}');
    json_print(&json);
    writer_free(&json);
}

enum ctl_exit command_nodes(struct ctl *ctl, int count, char **arguments)
{
    struct front_ends front_ends;
    enum ctl_exit result = ctl_connect(ctl);
    if (result != CTL_OK)
        return result;
    result = front_ends_read(ctl, &front_ends);
    if (result == CTL_OK) {
        if (ctl->json)
            print_json(&front_ends);
        else
            print_table(&front_ends);
    }
    front_ends_free(&front_ends);
    return result;
}
