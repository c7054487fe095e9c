/* settings: the command config: the settings in force of front-ends. */
#include <stdio.h>
#include <stdlib.h>

#include "base/mem.h"
#include "codec/json.h"
#include "front_ends.h"
#include "rows.h"

/* Room for the settings of any front-end. */
static const struct json_limits limits = {
    .bytes = 1 << 20, .depth = 16, .keys = 10000, .values = 200000, .number = JSON_NUMBER_MAX};

/* The answer: an object of settings, each an object of attributes. NULL: it is malformed. */
static struct json_document *parse_config_answer(struct bytes answer)
{
    struct json_error error = {0};
    struct json_document *document = json_document_parse(answer, &limits, &error);
    if (document && json_value_type(json_document_root(document)) != JSON_TYPE_OBJECT) {
        json_document_free(&document);
    }
    return document;
}

static void write_setting_name(const void *row, struct cell *cell)
{
    cell_text(cell, json_value_key(row));
}

/* The attribute that the column names: a text or a boolean. */
static void write_setting_fact(const void *row, struct cell *cell)
{
    struct json_error error = {0};
    const struct json_value *fact = json_value_member(row, cell->column->argument);
    struct bytes text = {0};
    if (!fact) {
        cell_none(cell, "?");
    } else if (json_value_type(fact) != JSON_TYPE_STRING) {
        cell_text(cell, json_value_raw(fact));
    } else if (json_value_text(fact, &text, &error)) {
        cell_text(cell, text);
    }
}

/* All attributes, including those of newer front-ends: texts and booleans. */
static void write_setting_facts(const void *row, struct cell *cell)
{
    bool has_facts = json_value_type(row) == JSON_TYPE_OBJECT;
    const struct json_value *fact = has_facts ? json_value_first(row) : NULL;
    for (; fact; fact = json_value_next(fact)) {
        struct json_error error = {0};
        struct bytes text;
        if (json_value_type(fact) == JSON_TYPE_BOOLEAN) {
            json_raw_named(cell->json, json_value_key(fact), json_value_raw(fact));
        } else if (json_value_type(fact) == JSON_TYPE_STRING &&
                   json_value_text(fact, &text, &error)) {
            json_bytes_named(cell->json, json_value_key(fact), text);
        }
    }
}

static const struct column setting_columns[] = {
    {.heading = "SETTING", .write = write_setting_name},
    {.key = "", .write = write_setting_facts},
    {.heading = "VALUE", .write = write_setting_fact, .argument = "value"},
    {.heading = "SOURCE", .write = write_setting_fact, .argument = "source"},
    {.heading = "DEFAULT", .write = write_setting_fact, .argument = "default"},
    {.heading = "RELOADABLE", .write = write_setting_fact, .argument = "reloadable"},
};
static const struct columns columns = COLUMNS(setting_columns);

static void add_settings(struct rows *rows, const struct json_document *document)
{
    const struct json_value *setting = json_value_first(json_document_root(document));
    for (; setting; setting = json_value_next(setting)) {
        rows_add_named(rows, json_value_key(setting), setting);
    }
}

static bool print_settings(const struct front_end *front_end, struct bytes answer)
{
    struct json_document *document = parse_config_answer(answer);
    struct rows rows;
    ctl_print("front-end %s (%s)", front_end->name, front_end->id);
    if (!document) {
        ctl_complain("front-end %s sent a malformed answer", front_end->name);
        return false;
    }
    rows_begin(&rows, &columns, false, NULL);
    add_settings(&rows, document);
    rows_print(&rows);
    rows_free(&rows);
    json_document_free(&document);
    return true;
}

/* An element of the rows' document. */
static void write_settings(struct rows *rows, const struct front_end *front_end,
                           struct bytes answer)
{
    struct json_document *document = parse_config_answer(answer);
    json_open(&rows->json, NULL, '{');
    json_bytes(&rows->json, "node", bytes_from_string(front_end->id));
    json_string(&rows->json, "name", front_end->name);
    if (document) {
        json_open(&rows->json, "config", '{');
        add_settings(rows, document);
        json_close(&rows->json, '}');
    } else {
        json_bytes(&rows->json, "answer", answer);
    }
    json_close(&rows->json, '}');
    json_document_free(&document);
}

static enum ctl_exit show_settings(struct ctl *ctl, const struct front_end *const *asked,
                                   const struct front_end_request *requests, size_t count)
{
    struct rows all; /* one document; tables are one for each front-end */
    enum ctl_exit result = CTL_OK;
    rows_begin(&all, &columns, true, NULL);
    json_open(&all.json, NULL, '{');
    json_open(&all.json, "nodes", '[');
    for (size_t i = 0; i < count; i++) {
        enum ctl_exit one = request_check(&requests[i], asked[i]->name);
        if (one == CTL_OK && ctl->json) {
            write_settings(&all, asked[i], requests[i].text);
        } else if (one == CTL_OK) {
            if (i > 0) {
                (void)putchar('\n');
            }
            one = print_settings(asked[i], requests[i].text) ? CTL_OK : CTL_NO;
        }
        result = ctl_worse(result, one);
    }
    json_close(&all.json, ']');
    json_close(&all.json, '}');
    if (ctl->json) {
        rows_print(&all);
    }
    rows_free(&all);
    return result;
}

static enum ctl_exit request_settings(struct ctl *ctl, const struct front_end *const *asked,
                                      size_t count)
{
    struct front_end_request *requests = mem_zalloc(count, sizeof *requests);
    for (size_t i = 0; i < count; i++) {
        requests[i].node = asked[i]->id;
    }
    enum ctl_exit result = requests_run(ctl, requests, count, "config", (struct bytes){0});
    if (result == CTL_OK) {
        result = show_settings(ctl, asked, requests, count);
    }
    requests_free(requests, count);
    free(requests);
    return result;
}

enum ctl_exit command_config(struct ctl *ctl, int count, char **arguments)
{
    struct front_ends front_ends;
    enum ctl_exit result = ctl_connect(ctl);
    if (result != CTL_OK) {
        return result;
    }
    result = front_ends_read(ctl, &front_ends);
    if (result == CTL_OK) {
        const struct front_end **asked = mem_zalloc(front_ends.count + 1, sizeof *asked);
        size_t chosen = 0;
        if (count > 0) {
            asked[0] = front_ends_find(&front_ends, arguments[0]);
            chosen = asked[0] ? 1 : 0;
        }
        for (size_t i = 0; count == 0 && i < front_ends.count; i++) {
            if (front_ends.list[i].is_alive) {
                asked[chosen++] = &front_ends.list[i];
            }
        }
        if (chosen == 0 && count == 0) {
            ctl_complain("there is no front-end");
        }
        result = chosen > 0 ? request_settings(ctl, asked, chosen) : CTL_NO;
        free(asked);
    }
    front_ends_free(&front_ends);
    return result;
}
