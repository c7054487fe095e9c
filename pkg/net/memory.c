/*
 * memory: what connections hold, in total and per address, and who is closed when it is too much.
 *
 * Input (what was received of unfinished messages) is counted per connection, per account and in
 * total. Output is the bytes of all live frames and of the arrays that refer to them: a frame that
 * many receivers share counts once. What one connection holds of it, each frame divided by the
 * number of its references, is computed only when a limit is exceeded.
 *
 * Then the largest connection of the address that holds most is closed, and so on, until a part of
 * the limit is free, at most MOST of them in an event-loop iteration. Small answers to operators
 * go last of all: they are not closed here.
 */
#include "net/net_private.h"

#include <stdlib.h>

#include "base/mem.h"
#include "base/memory_limit.h"
#include "base/share.h"
#include "net/output_private.h"

#define MOST            100       /* connections closed in an event-loop iteration */
#define SAMPLES         8         /* pieces of a connection's output that are looked at */
#define OPERATOR_MAX    (1 << 20) /* output for operators of one address that is left alone */
#define MIB             (1 << 20)
#define AGAIN_MS        10  /* until memory is looked at again after some have been closed */
#define AGAIN_FUTILE_MS 100 /* after none could be closed */

enum memory_kind { MEMORY_INPUT, MEMORY_OUTPUT };

/* A connection that holds memory. Its group is its account, or itself where it has none. */
struct memory_holder {
    struct conn *conn;
    const void *group;
    uint64_t size;
};

/* Those of one account, the largest first. */
struct address_share {
    size_t next, end; /* of the sorted holders */
    uint64_t size;
};

struct shedding {
    enum memory_kind kind;
    uint64_t total;
    uint64_t enough;        /* connections are closed while the total is more */
    uint64_t address_limit; /* 0: none */
    struct memory_holder *all;
    size_t count, capacity;
    struct address_share *groups;
    size_t group_count;
    struct address_share *crowded; /* those of an address that is over its limit, or NULL */
};

static uint64_t choose_limit(int64_t setting, uint64_t of_memory)
{
    const uint64_t share = share_of(of_memory);
    if (setting > 0) {
        return share_of((uint64_t)setting);
    }
    return share > MIB ? share : MIB;
}

uint64_t net_input_limit(const struct net *net)
{
    return choose_limit(net->settings->max_input_total, net->memory / 8);
}

uint64_t net_output_limit(const struct net *net)
{
    return choose_limit(net->settings->max_output_total, net->memory / 4);
}

uint64_t net_input_size(const struct net *net)
{
    return net->input_size;
}

uint64_t net_output_size(const struct net *net)
{
    return (uint64_t)frame_live_bytes() + net->pieces_size;
}

/* ---- counting ---- */

static void note_crowded(struct net *net, uint64_t size, int64_t limit)
{
    if (limit > 0 && size > (uint64_t)limit) {
        net->is_crowded = true;
    }
}

void conn_count_input(struct conn *conn, int64_t size)
{
    struct net *net = conn->listener->net;
    conn->input_size += (uint32_t)size;
    net->input_size += (uint64_t)size;
    metrics_set(METRIC_INPUT_MEMORY, (int64_t)net->input_size);
    if (conn->account) {
        budget_account_usage(conn->account)->input += (uint64_t)size;
    }
    if (size <= 0) {
        return;
    }
    if (conn_is_limited_by_address(conn)) {
        note_crowded(net, budget_account_usage(conn->account)->input,
                     net->settings->max_input_per_address);
    }
    memory_check(net);
}

void conn_count_output(struct conn *conn, int64_t size)
{
    struct net *net = conn->listener->net;
    metrics_add(METRIC_OUTPUT_QUEUED, size);
    if (conn->account) {
        budget_account_usage(conn->account)->output += (uint64_t)size;
    }
    if (size <= 0) {
        return;
    }
    if (conn_is_limited_by_address(conn)) {
        note_crowded(net, budget_account_usage(conn->account)->output,
                     net->settings->max_output_per_address);
    }
    memory_check(net);
}

void memory_enter_account(struct conn *conn)
{
    budget_account_usage(conn->account)->input += conn->input_size;
}

void memory_leave_account(struct conn *conn)
{
    budget_account_usage(conn->account)->input -= conn->input_size;
}

void memory_forget(struct conn *conn)
{
    conn_count_input(conn, -(int64_t)conn->input_size);
}

static void show_sizes(const struct net *net)
{
    metrics_set(METRIC_INPUT_MEMORY, (int64_t)net_input_size(net));
    metrics_set(METRIC_OUTPUT_MEMORY, (int64_t)net_output_size(net));
    metrics_set(METRIC_INPUT_MEMORY_LIMIT, (int64_t)net_input_limit(net));
    metrics_set(METRIC_OUTPUT_MEMORY_LIMIT, (int64_t)net_output_limit(net));
}

static bool is_memory_exceeded(const struct net *net)
{
    return net->is_crowded || net->input_size > net_input_limit(net) ||
           net_output_size(net) > net_output_limit(net);
}

void memory_check(struct net *net)
{
    uint64_t now = loop_now_ms(net->loop);
    if (!is_memory_exceeded(net)) {
        return;
    }
    if (now >= net->shed_after_ms) {
        loop_defer(net->loop, LOOP_PHASE_FREE, &net->shed);
    } else if (!loop_timer_is_running(net->shed_timer)) {
        loop_timer_start(net->shed_timer, net->shed_after_ms - now);
    }
}

void memory_flushed(struct net *net)
{
    show_sizes(net);
    memory_check(net);
}

/* ---- who holds what ---- */

/* Of the frames that its output refers to, by a sample of its pieces. */
static uint64_t output_share(const struct conn *conn)
{
    const struct output *output = conn->output;
    uint32_t step = output->count / SAMPLES + 1, seen = 0;
    uint64_t sum = 0;
    for (uint32_t i = 0; i < output->count; i += step, seen++) {
        const struct frame *frame = output->pieces[output->first + i].frame;
        sum += (sizeof *frame + frame->len) / frame->references;
    }
    return (seen > 0 ? sum * output->count / seen : 0) +
           output->capacity * sizeof output->pieces[0];
}

static void add_holder(struct shedding *shedding, struct conn *conn, uint64_t size)
{
    if (size == 0) {
        return;
    }
    if (shedding->count == shedding->capacity) {
        shedding->capacity = shedding->capacity > 0 ? 2 * shedding->capacity : 256;
        shedding->all = mem_realloc(shedding->all, shedding->capacity * sizeof shedding->all[0]);
    }
    shedding->all[shedding->count++] = (struct memory_holder){
        .conn = conn,
        .group = conn_is_limited_by_address(conn) ? (void *)conn->account : conn,
        .size = size};
}

static void add_listener_holders(struct shedding *shedding, struct listener *listener)
{
    static const enum queue queues[] = {QUEUE_HANDSHAKE, QUEUE_IDLE, QUEUE_WAITING};
    if (shedding->kind == MEMORY_OUTPUT) {
        LIST_FOREACH (node, &listener->queues[QUEUE_WRITE]) {
            struct conn *conn = list_entry(node, struct output, node)->conn;
            add_holder(shedding, conn, output_share(conn));
        }
        return;
    }
    for (size_t i = 0; i < sizeof queues / sizeof *queues; i++) {
        LIST_FOREACH (node, &listener->queues[queues[i]]) {
            struct conn *conn = list_entry(node, struct conn, node);
            add_holder(shedding, conn, conn->input_size);
        }
    }
}

static int compare_holders(const void *left, const void *right)
{
    const struct memory_holder *a = left, *b = right;
    if (a->group != b->group) {
        return (uintptr_t)a->group < (uintptr_t)b->group ? -1 : 1;
    }
    return a->size > b->size ? -1 : a->size < b->size;
}

static bool is_for_operator(const struct memory_holder *holder)
{
    return holder->conn->flags & CONN_OPERATOR;
}

/* Sorted; without what operators of an address get, unless that is a lot. */
static void group_holders(struct shedding *shedding)
{
    size_t at = 0;
    shedding->groups = mem_zalloc(shedding->count + 1, sizeof shedding->groups[0]);
    if (shedding->count > 0) {
        qsort(shedding->all, shedding->count, sizeof shedding->all[0], compare_holders);
    }
    while (at < shedding->count) {
        const void *group = shedding->all[at].group;
        struct address_share *holders = &shedding->groups[shedding->group_count++];
        uint64_t left_alone = 0;
        holders->next = at;
        for (; at < shedding->count && shedding->all[at].group == group; at++) {
            holders->size += shedding->all[at].size;
            left_alone += is_for_operator(&shedding->all[at]) ? shedding->all[at].size : 0;
        }
        holders->end = at;
        for (size_t i = holders->next; left_alone <= OPERATOR_MAX && i < at; i++) {
            if (is_for_operator(&shedding->all[i])) {
                holders->size -= shedding->all[i].size;
                shedding->all[i].size = 0;
            }
        }
    }
}

/* ---- closing ---- */

static struct address_share *find_largest(struct shedding *shedding)
{
    struct address_share *largest = NULL;
    for (size_t i = 0; i < shedding->group_count; i++) {
        struct address_share *holders = &shedding->groups[i];
        if (holders->size > 0 && (!largest || holders->size > largest->size)) {
            largest = holders;
        }
    }
    return largest;
}

static bool is_over_address_limit(const struct shedding *shedding,
                                  const struct address_share *holders)
{
    const struct memory_holder *last = &shedding->all[holders->end - 1];
    return shedding->address_limit > 0 && last->group != last->conn &&
           holders->size > shedding->address_limit;
}

/* One of an address over its limit, until a quarter of that is free; else, while the total is
 * exceeded, the largest one. NULL: nobody. */
static struct address_share *choose_holders(struct shedding *shedding)
{
    if (shedding->crowded && shedding->crowded->size > shedding->address_limit / 4 * 3) {
        return shedding->crowded;
    }
    shedding->crowded = NULL;
    for (size_t i = 0; i < shedding->group_count; i++) {
        if (is_over_address_limit(shedding, &shedding->groups[i])) {
            shedding->crowded = &shedding->groups[i];
            return shedding->crowded;
        }
    }
    return shedding->total > shedding->enough ? find_largest(shedding) : NULL;
}

static void close_holder(struct shedding *shedding, const struct memory_holder *holder,
                         const char *of)
{
    struct conn *conn = holder->conn;
    log_limited(LOG_WARN, &conn->listener->net->shed_limit, "memory_limit_reached",
                LOG_STRING("of", of),
                LOG_STRING("kind", shedding->kind == MEMORY_INPUT ? "input" : "output"),
                LOG_STRING("peer", conn_peer_text(conn)), LOG_INT("bytes", (int64_t)holder->size),
                LOG_INT("total", (int64_t)shedding->total));
    conn_expel(conn, CONN_CLOSE_MEMORY);
}

/* Returns how many it has closed. */
static int close_largest(struct shedding *shedding, int most)
{
    struct address_share *holders;
    int closed = 0;
    while (closed < most && (holders = choose_holders(shedding))) {
        const struct memory_holder *holder = &shedding->all[holders->next++];
        if (holder->size > 0) {
            close_holder(shedding, holder, shedding->crowded ? "address" : "total");
            closed++;
        }
        holders->size = holders->next < holders->end ? holders->size - holder->size : 0;
        shedding->total -= holder->size < shedding->total ? holder->size : shedding->total;
    }
    return closed;
}

static int shed_kind(struct net *net, enum memory_kind kind, int most)
{
    const struct net_settings *settings = net->settings;
    bool is_input = kind == MEMORY_INPUT;
    uint64_t total = is_input ? net_input_size(net) : net_output_size(net);
    uint64_t limit = is_input ? net_input_limit(net) : net_output_limit(net);
    struct shedding shedding = {.kind = kind,
                                .total = total,
                                .enough = total > limit ? limit - limit / 16 : UINT64_MAX,
                                .address_limit =
                                    (uint64_t)(is_input ? settings->max_input_per_address
                                                        : settings->max_output_per_address)};
    int closed;
    LIST_FOREACH (node, &net->all_listeners) {
        add_listener_holders(&shedding, list_entry(node, struct listener, all));
    }
    group_holders(&shedding);
    closed = close_largest(&shedding, most);
    free(shedding.groups);
    free(shedding.all);
    return closed;
}

static void shed_memory(void *arg)
{
    struct net *net = arg;
    int closed;
    net->is_crowded = false;
    closed = shed_kind(net, MEMORY_INPUT, MOST);
    closed += shed_kind(net, MEMORY_OUTPUT, MOST - closed);
    net->shed_after_ms = loop_now_ms(net->loop) + (closed > 0 ? AGAIN_MS : AGAIN_FUTILE_MS);
    net->is_crowded = closed >= MOST; /* there may be more */
    memory_flushed(net);
}

static void on_shed_timer(void *arg)
{
    memory_check(arg);
}

void memory_init(struct net *net)
{
    list_init(&net->all_listeners);
    net->memory = memory_limit_read("");
    net->shed = (struct loop_task){.callback = shed_memory, .arg = net};
    net->shed_timer = loop_timer_create(net->loop, on_shed_timer, net);
    net->shed_limit = (struct log_limit){.burst = 10};
}

void memory_free(struct net *net)
{
    loop_cancel(net->loop, &net->shed);
    loop_timer_destroy(&net->shed_timer);
}

void net_log_limits(const struct net *net)
{
    log_info("memory_limits", LOG_INT("memory", (int64_t)net->memory),
             LOG_INT("input", (int64_t)net_input_limit(net)),
             LOG_INT("output", (int64_t)net_output_limit(net)));
    show_sizes(net);
}
