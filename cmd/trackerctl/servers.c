/* trackerctl servers: the player's list of game servers, on a screen, as a table or as JSON. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/mem.h"

#include "servers.h"

#define DEFAULT_CONNECT "127.0.0.1:23470"
#define DEFAULT_SPACE   "lobby"

/* The callers check the model after each event-loop iteration. */
static void on_servers_changed(void *arg)
{
    *(bool *)arg = true;
}

static const struct servers_events events = {.changed = on_servers_changed};

static bool parse_method(const char *text, enum pinger_method *method)
{
    static const char *const names[] = {"getinfo", "gltron", "tcp"};
    *method = PINGER_GETINFO;
    if (!text) {
        return true;
    }
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        if (!strcmp(text, names[i])) {
            *method = (enum pinger_method)i;
            return true;
        }
    }
    ctl_complain("--ping: \"%s\" is not one of getinfo, gltron, tcp", text);
    return false;
}

static void add_argument(struct writer *to, const struct servers_row *row, char which)
{
    char text[ADDRESS_TEXT_SIZE];
    if (which == 'a') {
        writer_string(to, address_format(&row->address, text));
    } else if (which == 'h') {
        writer_string(to, address_format_ip(&row->address, text));
    } else if (which == 'p') {
        writer_format(to, "%u", row->address.port);
    } else if (which == '%') {
        writer_string(to, "%");
    } else {
        writer_format(to, "%%%c", which);
    }
}

int servers_run(const char *command, const struct servers_row *row)
{
    struct writer line = {0};
    int status = -1;
    if (row->address.family == ADDRESS_NONE) {
        return -1; /* only numbers of a tracker are passed to the shell */
    }
    for (const char *at = command; *at; at++) {
        if (at[0] == '%' && at[1]) {
            add_argument(&line, row, *++at);
        } else {
            writer_u8(&line, (uint8_t)*at);
        }
    }
    writer_u8(&line, 0);
    status = system((const char *)line.data);
    writer_free(&line);
    return status < 0 || !WIFEXITED(status) ? -1 : WEXITSTATUS(status);
}

static void print_rows(struct servers_row *const *list, size_t count, bool is_json)
{
    struct rows rows;
    rows_begin(&rows, &servers_columns, is_json, NULL);
    json_open(&rows.json, NULL, '[');
    for (size_t i = 0; i < count; i++) {
        rows_add(&rows, list[i]);
    }
    json_close(&rows.json, ']');
    rows_print(&rows);
    rows_free(&rows);
}

/* Runs the loop until the list is complete. */
static enum ctl_exit wait_for_list(struct ctl *ctl, struct servers *servers, const char *target)
{
    uint64_t until = loop_now_ms(ctl->loop) + (uint64_t)ctl->timeout_ms;
    do {
        servers_poll(servers);
        if (!servers_are_whole(servers)) {
            loop_iterate(ctl->loop, 50);
        }
    } while (!servers_are_whole(servers) && !ctl->stopped && loop_now_ms(ctl->loop) < until);
    if (servers_are_whole(servers)) {
        return CTL_OK;
    }
    ctl_complain("%s: %s", target ? target : "Redis",
                 servers_problem(servers) ? servers_problem(servers) : "no list");
    return servers_were_connected(servers) ? CTL_LATE : CTL_UNREACHABLE;
}

static enum ctl_exit print_servers_once(struct ctl *ctl, const char *target,
                                        enum pinger_method method)
{
    bool changed = false;
    char *error = NULL;
    size_t count;
    struct servers *servers = servers_create(ctl, target, method, &events, &changed, &error);
    if (!servers) {
        ctl_complain("%s", error);
        free(error);
        return CTL_USAGE;
    }
    ctl_listen_for_signals(ctl);
    enum ctl_exit result = wait_for_list(ctl, servers, target);
    if (result == CTL_OK) {
        while (!servers_are_measured(servers) && !ctl->stopped) {
            loop_iterate(ctl->loop, 1000);
        }
        struct servers_row *const *rows = servers_rows(servers, &count);
        print_rows(rows, count, ctl->json);
    }
    servers_destroy(&servers);
    return result;
}

enum ctl_exit command_servers(struct ctl *ctl, int count, char **arguments)
{
    const char *target = ctl->connect ? ctl->connect : ctl->redis_given ? NULL : DEFAULT_CONNECT;
    enum pinger_method method;
    struct reader_space space;
    if (!parse_method(ctl->ping, &method)) {
        return CTL_USAGE;
    }
    if (!target) {
        enum ctl_exit result;
        if (!ctl->space_given) {
            ctl->space = DEFAULT_SPACE;
        }
        result = ctl_connect_space(ctl, &space);
        if (result != CTL_OK) {
            return result;
        }
    }
    if (ctl->json || ctl->plain || !isatty(STDOUT_FILENO) || !isatty(STDIN_FILENO)) {
        return print_servers_once(ctl, target, method);
    }
    return servers_screen(ctl, target, method, ctl->exec);
}
