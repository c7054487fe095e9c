/* servers: the list with pings, filtered and sorted on demand. */
#include "servers.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

#include "servers_api.h"
#include "servers_source.h"

#define READ_AGAIN_MS 2000 /* of a list that is polled */

/* How often a ping is measured again. */
#define PING_AGAIN_MS 15000
#define PING_TICK_MS  500

struct servers {
    struct ctl *ctl;
    struct server_list *list;      /* NULL: source */
    struct servers_source *source; /* NULL: list */
    uint64_t read_ms;              /* when it is to be read again */
    bool source_is_whole;
    struct pinger *pinger;
    enum pinger_method method;
    const struct servers_events *events;
    void *arg;
    struct servers_row *all; /* by id */
    struct list asked;       /* rows, the least recently pinged first */
    struct loop_timer *again;
    struct writer filter; /* in lower case */
    struct servers_row **rows;
    size_t row_count;
    bool rows_good;
    char *problem; /* NULL: connected */
    bool connected_once;
    bool refused; /* the problem is the tracker's last message, which is more precise */
};

static void notify_servers_changed(struct servers *servers)
{
    servers->rows_good = false;
    servers->events->changed(servers->arg);
}

static void set_problem(struct servers *servers, const char *problem)
{
    free(servers->problem);
    servers->problem = problem ? mem_strdup(problem) : NULL;
}

static struct servers_row *find_server_row(struct servers *servers, struct bytes id)
{
    struct servers_row *row = NULL;
    HASH_FIND(hh, servers->all, id.data, id.len, row);
    return row;
}

static struct servers_row *find_address(struct servers *servers, const struct address *address)
{
    for (struct servers_row *row = servers->all; row; row = row->hh.next) {
        if (row->address.port == address->port && address_same_ip(&row->address, address)) {
            return row;
        }
    }
    return NULL;
}

static void ping_server(struct servers *servers, struct servers_row *row)
{
    row->asked_ms = loop_now_ms(servers->ctl->loop);
    list_remove(&row->link);
    if (row->address.family == ADDRESS_NONE) {
        row->ping = SERVERS_PING_SILENT;
        return;
    }
    list_append(&servers->asked, &row->link);
    pinger_ping(servers->pinger, &row->address, servers->method);
}

static void set_address(struct servers_row *row)
{
    char text[ADDRESS_TEXT_SIZE];
    struct bytes id = row->server->id;
    row->address = (struct address){0};
    if (id.len >= sizeof text || memchr(id.data, 0, id.len)) {
        return;
    }
    memcpy(text, id.data, id.len);
    text[id.len] = 0;
    if (!address_parse(text, &row->address)) {
        row->address = (struct address){0};
    }
}

static void add_server_row(struct servers *servers, const struct lobby_server *server)
{
    struct servers_row *row = mem_zalloc(1, sizeof *row);
    row->server = server;
    list_init(&row->link);
    set_address(row);
    HASH_ADD_KEYPTR(hh, servers->all, server->id.data, server->id.len, row);
    ping_server(servers, row);
}

static void remove_row(struct servers *servers, struct servers_row *row)
{
    if (row->address.family != ADDRESS_NONE) {
        pinger_cancel(servers->pinger, &row->address);
    }
    HASH_DEL(servers->all, row);
    list_remove(&row->link);
    free(row);
}

/* Known servers may have new memory, which contains the key of the hash table. */
static void replace_server(struct servers *servers, struct servers_row *row,
                           const struct lobby_server *server)
{
    HASH_DEL(servers->all, row);
    row->server = server;
    HASH_ADD_KEYPTR(hh, servers->all, server->id.data, server->id.len, row);
}

static void on_server_changed(void *arg, enum server_list_change change,
                              const struct lobby_server *server)
{
    struct servers *servers = arg;
    struct servers_row *row = find_server_row(servers, server->id);
    if (change == SERVER_LIST_REMOVED) {
        if (row) {
            remove_row(servers, row);
        }
    } else if (row) {
        replace_server(servers, row, server);
    } else {
        add_server_row(servers, server);
    }
    notify_servers_changed(servers);
}

static void on_list_completed(void *arg)
{
    struct servers *servers = arg;
    servers->connected_once = true;
    servers->refused = false;
    set_problem(servers, NULL);
    notify_servers_changed(servers);
}

static void on_refused(void *arg, enum lobby_code code, struct bytes reason)
{
    struct servers *servers = arg;
    char *text = mem_format("%s: %.*s", code < LOBBY_CODE_COUNT ? lobby_code_name(code) : "refused",
                            (int)reason.len, (const char *)reason.data);
    set_problem(servers, text);
    servers->refused = true;
    free(text);
    notify_servers_changed(servers);
}

static void on_disconnected(void *arg, const char *reason)
{
    struct servers *servers = arg;
    if (!servers->refused) {
        set_problem(servers, reason);
    }
    servers->refused = false;
    notify_servers_changed(servers);
}

static const struct server_list_events list_events = {.changed = on_server_changed,
                                                      .completed = on_list_completed,
                                                      .refused = on_refused,
                                                      .disconnected = on_disconnected};

static void on_answered(void *arg, const struct address *address, uint32_t microseconds,
                        struct bytes infostring)
{
    struct servers *servers = arg;
    struct servers_row *row = find_address(servers, address);
    if (!row) {
        return;
    }
    row->ping = SERVERS_PING_KNOWN;
    row->microseconds = microseconds;
    notify_servers_changed(servers);
}

static void on_ping_timed_out(void *arg, const struct address *address)
{
    struct servers *servers = arg;
    struct servers_row *row = find_address(servers, address);
    if (!row) {
        return;
    }
    row->ping = SERVERS_PING_SILENT;
    notify_servers_changed(servers);
}

static const struct pinger_events pinger_events = {.answered = on_answered,
                                                   .timed_out = on_ping_timed_out};

static void on_again(void *arg)
{
    struct servers *servers = arg;
    uint64_t now = loop_now_ms(servers->ctl->loop);
    while (!list_is_empty(&servers->asked)) {
        struct servers_row *row = list_entry(servers->asked.next, struct servers_row, link);
        if (row->asked_ms + PING_AGAIN_MS > now) {
            break;
        }
        ping_server(servers, row);
    }
    loop_timer_start(servers->again, PING_TICK_MS);
}

struct servers *servers_create(struct ctl *ctl, const char *target, enum pinger_method method,
                               const struct servers_events *events, void *arg, char **error)
{
    struct lobby_options options = {.target = target,
                                    .connect_timeout_ms = (uint32_t)ctl->timeout_ms,
                                    .reply_timeout_ms = (uint32_t)ctl->timeout_ms};
    struct servers *servers = mem_zalloc(1, sizeof *servers);
    if (!target || servers_api_is_target(target)) {
        servers->source = servers_source_create(ctl, target);
    } else {
        servers->list = server_list_create(ctl->loop, &options, &list_events, servers, error);
    }
    if (!servers->list && !servers->source) {
        free(servers);
        return NULL;
    }
    servers->ctl = ctl;
    servers->method = method;
    servers->events = events;
    servers->arg = arg;
    servers->problem = mem_strdup("connecting");
    list_init(&servers->asked);
    servers->pinger = pinger_create(ctl->loop, NULL, &pinger_events, servers);
    servers->again = loop_timer_create(ctl->loop, on_again, servers);
    servers_return(servers);
    return servers;
}

void servers_destroy(struct servers **pointer)
{
    struct servers *servers = *pointer;
    struct servers_row *row, *next;
    *pointer = NULL;
    if (!servers) {
        return;
    }
    HASH_ITER (hh, servers->all, row, next) {
        remove_row(servers, row);
    }
    pinger_destroy(&servers->pinger);
    server_list_destroy(&servers->list);
    servers_source_destroy(&servers->source);
    loop_timer_destroy(&servers->again);
    writer_free(&servers->filter);
    free(servers->rows);
    free(servers->problem);
    free(servers);
}

void servers_leave(struct servers *servers)
{
    if (servers->list) {
        server_list_stop(servers->list);
    }
    loop_timer_stop(servers->again);
}

void servers_return(struct servers *servers)
{
    if (servers->list) {
        server_list_start(servers->list);
    }
    servers->read_ms = 0;
    loop_timer_start(servers->again, PING_TICK_MS);
}

static void add_lower(struct writer *to, struct bytes text)
{
    for (size_t i = 0; i < text.len; i++) {
        uint8_t c = text.data[i];
        writer_u8(to, c >= 'A' && c <= 'Z' ? c - 'A' + 'a' : c);
    }
}

void servers_set_filter(struct servers *servers, struct bytes filter)
{
    writer_reset(&servers->filter);
    add_lower(&servers->filter, filter);
    servers->rows_good = false;
}

static bool passes_search(const struct servers *servers, const struct servers_row *row)
{
    struct writer shown = {0}, lower = {0};
    if (servers->filter.len == 0) {
        return true;
    }
    for (size_t i = 0; i < servers_columns.count; i++) {
        if (!servers_columns.list[i].heading) {
            continue;
        }
        column_write_plain(&servers_columns.list[i], row, &shown);
        writer_u8(&shown, '\n'); /* no filter contains it, so a match is within one column */
    }
    add_lower(&lower, writer_bytes_written(&shown));
    bool found =
        lower.len && memmem(lower.data, lower.len, servers->filter.data, servers->filter.len);
    writer_free(&shown);
    writer_free(&lower);
    return found;
}

static int compare_server_rows(const void *a, const void *b)
{
    const struct servers_row *left = *(struct servers_row *const *)a,
                             *right = *(struct servers_row *const *)b;
    static const int order[] = {
        [SERVERS_PING_KNOWN] = 0, [SERVERS_PING_WAITS] = 1, [SERVERS_PING_SILENT] = 2};
    if (left->ping != right->ping) {
        return order[left->ping] - order[right->ping];
    }
    if (left->ping == SERVERS_PING_KNOWN && left->microseconds != right->microseconds) {
        return left->microseconds < right->microseconds ? -1 : 1;
    }
    return bytes_compare(left->server->id, right->server->id);
}

struct servers_row *const *servers_rows(struct servers *servers, size_t *count)
{
    if (!servers->rows_good) {
        servers->rows =
            mem_realloc(servers->rows, (servers_count(servers) + 1) * sizeof *servers->rows);
        servers->row_count = 0;
        for (struct servers_row *row = servers->all; row; row = row->hh.next) {
            if (passes_search(servers, row)) {
                servers->rows[servers->row_count++] = row;
            }
        }
        qsort(servers->rows, servers->row_count, sizeof *servers->rows, compare_server_rows);
        servers->rows_good = true;
    }
    *count = servers->row_count;
    return servers->rows;
}

size_t servers_count(const struct servers *servers)
{
    return HASH_COUNT(servers->all);
}

void servers_ping_all(struct servers *servers)
{
    for (struct servers_row *row = servers->all; row; row = row->hh.next) {
        ping_server(servers, row);
    }
}

bool servers_are_polled(const struct servers *servers)
{
    return servers->source;
}

void servers_poll(struct servers *servers)
{
    char *problem;
    if (!servers->source || loop_now_ms(servers->ctl->loop) < servers->read_ms) {
        return;
    }
    problem = servers_source_read(servers->source, on_server_changed, servers);
    set_problem(servers, problem);
    servers->source_is_whole |= !problem;
    servers->connected_once |= !problem;
    free(problem);
    servers->read_ms = loop_now_ms(servers->ctl->loop) + READ_AGAIN_MS;
    notify_servers_changed(servers);
}

bool servers_are_whole(const struct servers *servers)
{
    return servers->list ? server_list_is_complete(servers->list) : servers->source_is_whole;
}

bool servers_are_measured(const struct servers *servers)
{
    return pinger_pending_count(servers->pinger) == 0;
}

const char *servers_problem(const struct servers *servers)
{
    return servers->problem;
}

bool servers_were_connected(const struct servers *servers)
{
    return servers->connected_once;
}
