/* net: what listeners share: deferred work of connections, pauses of accepting, refusals. */
#include "net/listener.h"

#include <assert.h>
#include <stdlib.h>
#include <sys/resource.h>

#include "base/mem.h"
#include "metrics/metrics.h"

#include "net/net_private.h"

#define STAMP_SHIFT 4 /* 16 ms */
/* Descriptors that no connection gets: above all those of the links to Redis, which need one when
 * they reconnect; also those of listeners, the loop, the log, and files that are read. */
#define RESERVED 32
/* So many connections are flushed in an iteration at least, if they have little output; beyond, the
 * clock is read after so many. It is also read after so many bytes. */
#define FLUSH_MIN   64
#define FLUSH_CHECK 16
#define FLUSH_BYTES 262144
/* Of an iteration, for those that are resumed or deferred. */
#define RESUME_US 20000

uint32_t net_stamp(const struct net *net)
{
    return (uint32_t)(loop_now_ms(net->loop) >> STAMP_SHIFT);
}

uint32_t net_stamp_before(const struct net *net, uint64_t ms)
{
    return net_stamp(net) - (uint32_t)(ms >> STAMP_SHIFT) - 2;
}

uint64_t net_elapsed_ms(const struct net *net, uint32_t since)
{
    return (uint64_t)(uint32_t)(net_stamp(net) - since) << STAMP_SHIFT;
}

bool net_has_passed(const struct net *net, uint32_t since, int64_t ms)
{
    /* Both stamps are rounded down, so the true difference may be up to one step smaller. */
    return net_elapsed_ms(net, since) >= (uint64_t)ms + (1U << STAMP_SHIFT);
}

/* Each connection needs a descriptor: raises the limit to the most that the administrator allows.
 * Returns how many connections that is room for. */
static uint64_t raise_descriptor_limit(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0) {
        return UINT64_MAX;
    }
    if (limit.rlim_cur < limit.rlim_max) {
        rlim_t before = limit.rlim_cur;
        limit.rlim_cur = limit.rlim_max;
        if (setrlimit(RLIMIT_NOFILE, &limit) != 0) {
            limit.rlim_cur = before;
        }
    }
    if (limit.rlim_cur == RLIM_INFINITY) {
        return UINT64_MAX;
    }
    return limit.rlim_cur > 2 * RESERVED ? limit.rlim_cur - RESERVED : limit.rlim_cur / 2;
}

/* In the order in which they became dirty; the rest of them follow in the next iteration. */
static void flush_dirty(void *arg)
{
    struct net *net = arg;
    size_t left = FLUSH_MIN; /* connections and bytes until the clock is read */
    uint64_t last = net->written + FLUSH_BYTES;
    loop_label(net->loop, "output");
    net->is_late = false;
    while (!list_is_empty(&net->dirty)) {
        if (left == 0 || net->written >= last) {
            left = FLUSH_CHECK;
            last = net->written + FLUSH_BYTES;
            if (loop_share_is_used(net->loop)) {
                net->is_late = true;
                loop_defer_next(net->loop, LOOP_PHASE_OUTPUT, &net->flush);
                break;
            }
        }
        conn_flush_next(list_entry(net->dirty.next, struct conn, dirty));
        left--;
    }
    output_forget_joined(net);
    memory_flushed(net);
}

void net_flush(struct net *net)
{
    while (!list_is_empty(&net->dirty)) {
        conn_flush_dirty(list_entry(net->dirty.next, struct conn, dirty));
    }
    net->is_late = false;
    output_forget_joined(net);
}

/* At least one in an iteration, and as many as its share of time allows. */
static bool may_resume(struct net *net)
{
    const uint64_t iteration = loop_iteration_count(net->loop);
    const uint64_t elapsed_us = loop_elapsed_us(net->loop);
    if (net->resuming != iteration) {
        net->resuming = iteration;
        net->resuming_us = elapsed_us + RESUME_US;
        return true;
    }
    return elapsed_us < net->resuming_us;
}

/* After the output of the iteration, so that handlers of input that is presented again see which
 * connections have a backlog. */
static void free_closed(void *arg)
{
    struct net *net = arg;
    struct list resumed;
    list_init(&resumed);
    while (!list_is_empty(&net->closing)) {
        conn_free(list_entry(net->closing.next, struct conn, node));
    }
    /* Those that are scheduled again meanwhile wait until their output has been sent. */
    list_move_all(&net->resumed, &resumed);
    net->defers = false;
    while (may_resume(net) && !list_is_empty(&resumed)) {
        struct input *input = list_entry(resumed.next, struct input, node);
        list_remove(&input->node);
        if (net->is_late && (input->conn->flags & CONN_DIRTY)) {
            /* Its answers so far are sent first. */
            list_append(&net->resumed, &input->node);
            loop_defer_next(net->loop, LOOP_PHASE_FREE, &net->free);
        } else if (conn_account_admits(input->conn)) {
            conn_resume_input(input->conn);
        }
    }
    if (!list_is_empty(&resumed)) {
        list_move_all(&net->resumed, &resumed);
        list_move_all(&resumed, &net->resumed);
        net->defers = true;
        loop_defer_next(net->loop, LOOP_PHASE_FREE, &net->free);
    }
}

static void on_accept_pause_end(void *arg)
{
    net_resume_accepting(arg);
}

struct net *net_create(struct loop *loop, const struct net_settings *settings)
{
    struct net *net = mem_zalloc(1, sizeof *net);
    net->loop = loop;
    net->settings = settings;
    list_init(&net->listeners);
    list_init(&net->dirty);
    list_init(&net->resumed);
    list_init(&net->closing);
    list_init(&net->spare);
    net->flush = (struct loop_task){.callback = flush_dirty, .arg = net};
    net->free = (struct loop_task){.callback = free_closed, .arg = net};
    memory_init(net);
    net->pause = loop_timer_create(loop, on_accept_pause_end, net);
    net->pause_limit = (struct log_limit){.burst = 2};
    net->refused_limit = (struct log_limit){.burst = 10};
    net->closed_limit = (struct log_limit){.burst = 10};
    net->room = raise_descriptor_limit();
    net_budget_init(net);
    return net;
}

void net_destroy(struct net **pointer)
{
    struct net *net = *pointer;
    *pointer = NULL;
    if (!net) {
        return;
    }
    while (!list_is_empty(&net->closing)) {
        conn_free(list_entry(net->closing.next, struct conn, node));
    }
    assert(net->count == 0 && list_is_empty(&net->listeners));
    loop_cancel(net->loop, &net->flush);
    loop_cancel(net->loop, &net->free);
    memory_free(net);
    loop_timer_destroy(&net->pause);
    net_budget_free(net);
    output_forget_joined(net);
    output_free_spare(net);
    free(net);
}

uint64_t net_connection_count(const struct net *net)
{
    return net->count;
}

struct loop *net_loop(const struct net *net)
{
    return net->loop;
}

void net_pause_accepting(struct net *net, int error)
{
    if (net->paused) {
        return;
    }
    net->paused = true;
    metrics_add(METRIC_ACCEPT_PAUSES, 1);
    log_limited(LOG_WARN, &net->pause_limit, "accepting_paused", LOG_ERRNO(error),
                LOG_INT("connections", (int64_t)net->count));
    LIST_FOREACH (node, &net->listeners) {
        listener_set_accepting(list_entry(node, struct listener, node), false);
    }
    loop_timer_start(net->pause, (uint64_t)net->settings->accept_pause);
}

void net_resume_accepting(struct net *net)
{
    if (!net->paused) {
        return;
    }
    net->paused = false;
    loop_timer_stop(net->pause);
    LIST_FOREACH (node, &net->listeners) {
        listener_set_accepting(list_entry(node, struct listener, node), true);
    }
}

void net_refuse(struct net *net, const struct listener *listener, const struct address *peer,
                const char *reason, enum metric metric, const char *detail)
{
    char text[ADDRESS_TEXT_SIZE];
    metrics_add(metric, 1);
    log_limited(LOG_WARN, &net->refused_limit, "connection_refused",
                LOG_STRING("listener", listener->where),
                LOG_STRING("peer", address_format(peer, text)), LOG_STRING("reason", reason),
                LOG_STRING("detail", detail));
}
