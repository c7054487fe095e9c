/* settings: the command config: what settings front-ends run with. */
#include <stdio.h>
#include <stdlib.h>

#include "base/mem.h"
#include "front_ends.h"
#include "members.h"
#include "output.h"

/* One of a setting's facts. */
static char *fact(struct bytes setting, const char *wanted)
{
    struct members members = members_over(setting);
    struct writer name = {0}, text = {0};
    struct bytes value;
    char *found = NULL;
    while (!found && members_next(&members, &name, &value)) {
        if (bytes_equal(writer_bytes_written(&name), bytes_from_string(wanted)) &&
            members_decode(value, &text))
            found = output_shown_string(writer_bytes_written(&text));
    }
    writer_free(&name);
    writer_free(&text);
    return found ? found : mem_strdup("?");
}

static bool is_readable(struct bytes answer)
{
    struct members members = members_over(answer);
    struct writer name = {0};
    struct bytes setting;
    bool fine = true;
    while (fine && members_next(&members, &name, &setting))
        fine = bytes_is_utf8(writer_bytes_written(&name));
    writer_free(&name);
    return fine && !members.bad;
}

static bool print_settings(struct bytes answer)
{
    static const char *const headings[] = {"SETTING", "VALUE",      "SOURCE",
                                           "DEFAULT", "RELOADABLE", NULL};
    struct table *table = table_create(headings);
    struct members members = members_over(answer);
    struct writer name = {0};
    struct bytes setting;
    while (members_next(&members, &name, &setting)) {
        table_add(table, output_shown_string(writer_bytes_written(&name)));
        table_add(table, fact(setting, "value"));
        table_add(table, fact(setting, "source"));
        table_add(table, fact(setting, "default"));
        table_add(table, fact(setting, "reloadable"));
    }
    table_print(table);
    table_destroy(&table);
    writer_free(&name);
    return is_readable(answer);
}

/* A setting's facts: texts and booleans, nothing else. */
static void write_facts(struct writer *json, struct bytes setting)
{
    struct members members = members_over(setting);
    struct writer name = {0}, text = {0};
    struct bytes value;
    while (members_next(&members, &name, &value)) {
        struct bytes fact_name = writer_bytes_written(&name);
        if (!bytes_is_utf8(fact_name))
            continue;
        if (value.data[0] == '"' && members_decode(value, &text))
            json_bytes_named(json, fact_name, writer_bytes_written(&text));
        else if (bytes_equal(value, BYTES_LITERAL("true")) ||
                 bytes_equal(value, BYTES_LITERAL("false")))
            json_raw_named(json, fact_name, value);
    }
    writer_free(&name);
    writer_free(&text);
}

static void write_settings(struct writer *json, const struct front_end *front_end,
                           struct bytes answer)
{
    json_open(json, NULL, '{');
    json_bytes(json, "node", bytes_from_string(front_end->id));
    json_string(json, "name", front_end->name);
    if (is_readable(answer)) {
        struct members members = members_over(answer);
        struct writer name = {0};
        struct bytes setting;
        json_open(json, "config", '{');
        while (members_next(&members, &name, &setting)) {
            json_raw_named(json, writer_bytes_written(&name), BYTES_LITERAL("{"));
            write_facts(json, setting);
            json_close(json, '}');
        }
        json_close(json, '}');
        writer_free(&name);
    } else {
        json_bytes(json, "answer", answer);
    }
    json_close(json, '}');
}

static enum ctl_exit show(struct ctl *ctl, const struct front_end *const *asked,
                          const struct request *requests, size_t count)
{
    struct writer json = {0};
    enum ctl_exit result = CTL_OK;
    json_open(&json, NULL, '{');
    json_open(&json, "nodes", '[');
    for (size_t i = 0; i < count; i++) {
        enum ctl_exit one = request_check(&requests[i], asked[i]->name);
        if (one != CTL_OK) {
            result = ctl_worse(result, one);
        } else if (ctl->json) {
            write_settings(&json, asked[i], requests[i].text);
        } else {
            if (i > 0)
                (void)putchar('\n');
            ctl_print("front-end %s (%s)", asked[i]->name, asked[i]->id);
            if (!print_settings(requests[i].text)) {
                ctl_complain("front-end %s answers what makes no sense", asked[i]->name);
                result = ctl_worse(result, CTL_NO);
            }
        }
    }
    json_close(&json, ']');
    json_close(&json, '}');
    if (ctl->json)
        json_print(&json);
    writer_free(&json);
    return result;
}

static enum ctl_exit ask_all(struct ctl *ctl, const struct front_end *const *asked, size_t count)
{
    struct request *requests = mem_zalloc(count, sizeof *requests);
    for (size_t i = 0; i < count; i++)
        requests[i].node = asked[i]->id;
    enum ctl_exit result = requests_run(ctl, requests, count, "config", (struct bytes){0});
    if (result == CTL_OK)
        result = show(ctl, asked, requests, count);
    requests_free(requests, count);
    free(requests);
    return result;
}

enum ctl_exit command_config(struct ctl *ctl, int count, char **arguments)
{
    struct front_ends front_ends;
    enum ctl_exit result = ctl_connect(ctl);
    if (result != CTL_OK)
        return result;
    result = front_ends_read(ctl, &front_ends);
    if (result == CTL_OK) {
        const struct front_end **asked = mem_zalloc(front_ends.count + 1, sizeof *asked);
        size_t chosen = 0;
        if (count > 0) {
            asked[0] = front_ends_find(&front_ends, arguments[0]);
            chosen = asked[0] != NULL;
        }
        for (size_t i = 0; count == 0 && i < front_ends.count; i++) {
            if (front_ends.list[i].is_alive)
                asked[chosen++] = &front_ends.list[i];
        }
        if (chosen == 0 && count == 0)
            ctl_complain("there is no front-end");
        result = chosen > 0 ? ask_all(ctl, asked, chosen) : CTL_NO;
        free(asked);
    }
    front_ends_free(&front_ends);
    return result;
}
