/*
 * conn_budget: what a connection costs, and the waiting of those that are over their budget.
 *
 * A connection over its own budget, or over a rate of its protocol, waits in a wheel of slots of
 * WAIT_SLOT_MS. One whose address is over its budget waits in the account's list. The connections
 * of an account go on one by one, the one that waits longest first, each as far as the account's
 * budget and its own then go; so the others of an address get their share beside one that floods.
 *
 * No wait, in one or both, lasts longer than BUDGET_WAIT_MAX_US: what is owed beyond it is forgiven
 * (the account's by budget.c). While a connection waits it is in QUEUE_WAITING, which has no
 * time-out; afterwards its time-out begins again.
 */
#include "net/net_private.h"

#include <stdlib.h>

#include "base/mem.h"
#include "net/prefixes_private.h"

/* Until the next pass when connections of an account have gone on in this one. */
#define PASS_MS 1

/* Many addresses may each be within their budgets, and together cause more than one core can do.
 * Once an iteration has lasted this long, connections that owe something, or whose address causes
 * more than a little, are deferred: they are read from in later iterations, in the order in which
 * they were deferred, and others of their kind behind them. Those that cause little, operators
 * among them, are read from in every iteration. */
#define INPUT_MAX_US 20000

_Static_assert((uint64_t)WAIT_SLOTS *WAIT_SLOT_MS * 1000 >
                   BUDGET_WAIT_MAX_US + 2 * (uint64_t)WAIT_SLOT_MS * 1000,
               "the slots last longer than any wait");

static uint64_t budget_now_us(const struct conn *conn)
{
    return loop_now_us(conn->listener->net->loop);
}

static struct bucket *bucket_of_conn(struct conn *conn)
{
    return conn->flags & CONN_WAITING ? &conn->budget.wait->bucket : &conn->budget.bucket;
}

void conn_open_account(struct conn *conn, struct budget_account *account)
{
    const char *shared = conn->listener->settings->shared_addresses;
    conn->account = account;
    memory_enter_account(conn);
    if (shared && shared[0] != 0 && prefixes_contain(shared, &conn->peer)) {
        conn->flags |= CONN_SHARED;
    }
}

void conn_close_account(struct conn *conn)
{
    struct budget_account *account = conn->account;
    if (account) {
        memory_leave_account(conn);
        conn->account = NULL;
        budget_account_usage(account)->connections--;
        budget_account_release(conn->listener->net->budget, account, budget_now_us(conn));
    }
}

struct budget_account *conn_account(const struct conn *conn)
{
    return conn->account;
}

struct budget_account *conn_limited_account(const struct conn *conn)
{
    return conn_is_limited_by_address(conn) ? conn->account : NULL;
}

bool conn_is_waiting(const struct conn *conn)
{
    return conn->flags & CONN_WAITING;
}

static struct conn_wait *begin_wait(struct conn *conn)
{
    struct net *net = conn->listener->net;
    struct conn_wait *wait = mem_zalloc(1, sizeof *wait);
    wait->conn = conn;
    wait->bucket = conn->budget.bucket;
    wait->since_us = budget_now_us(conn);
    list_init(&wait->node);
    conn->budget.wait = wait;
    conn->flags |= CONN_WAITING;
    queue_conn(conn, QUEUE_WAITING);
    if (net->waiting++ == 0) {
        net->wait_slot_ms = loop_now_ms(net->loop); /* the slots are empty */
    }
    if (!loop_timer_is_running(net->wait_tick)) {
        loop_timer_start(net->wait_tick, WAIT_SLOT_MS);
    }
    metrics_add(METRIC_BUDGET_WAITING, 1);
    conn_watch(conn);
    return wait;
}

/* Takes it out of its slot or account. */
static void detach_wait(struct conn_wait *wait)
{
    struct budget_account *account = wait->conn->account;
    list_remove(&wait->node);
    if (account && list_is_empty(&budget_account_usage(account)->waiting)) {
        list_remove(&budget_account_usage(account)->node);
    }
}

static void finish_wait(struct conn *conn)
{
    struct conn_wait *wait = conn->budget.wait;
    struct net *net = conn->listener->net;
    detach_wait(wait);
    conn->flags &= (uint16_t)~CONN_WAITING;
    conn->budget.bucket = wait->bucket;
    net->waiting--;
    metrics_add(METRIC_BUDGET_WAITING, -1);
    metrics_observe(HISTOGRAM_BUDGET_WAIT, budget_now_us(conn) - wait->since_us);
    free(wait);
}

void conn_forget_wait(struct conn *conn)
{
    if (conn->flags & CONN_WAITING) {
        finish_wait(conn);
    }
}

/* In the slot that is over at until_us or up to two slots later. */
static void wait_in_slot(struct conn_wait *wait, uint64_t until_us)
{
    struct net *net = wait->conn->listener->net;
    uint64_t slots = (until_us / 1000 - net->wait_slot_ms) / WAIT_SLOT_MS + 1;
    if (slots > WAIT_SLOTS - 1) {
        slots = WAIT_SLOTS - 1;
    }
    wait->until_us = until_us;
    detach_wait(wait);
    list_append(&net->waits[(net->wait_slot + slots) % WAIT_SLOTS], &wait->node);
}

static void wait_for_account(struct conn_wait *wait)
{
    struct net *net = wait->conn->listener->net;
    struct budget_usage *usage = budget_account_usage(wait->conn->account);
    wait->until_us = 0;
    list_remove(&wait->node);
    list_append(&usage->waiting, &wait->node);
    if (list_is_empty(&usage->node)) {
        list_append(&net->waited, &usage->node);
    }
}

static void log_wait(struct conn *conn, const char *of, uint64_t wait_us)
{
    log_limited(LOG_INFO, &conn->listener->net->wait_limit, "budget_exceeded",
                LOG_STRING("peer", conn_peer_text(conn)), LOG_STRING("of", of),
                LOG_INT("wait_ms", (int64_t)(wait_us / 1000)));
}

/* Whether its address may go on; else it waits behind those of it that wait already. */
static bool is_account_ready(struct conn *conn, bool checks_others)
{
    struct net *net = conn->listener->net;
    bool by_network = false;
    uint64_t wait_us;
    if (!conn_is_limited_by_address(conn)) {
        return true;
    }
    wait_us = budget_account_wait_us(net->budget, conn->account, budget_now_us(conn), &by_network);
    if (wait_us == 0 &&
        (!checks_others || list_is_empty(&budget_account_usage(conn->account)->waiting))) {
        return true;
    }
    metrics_add(by_network ? METRIC_BUDGET_WAITS_NETWORK : METRIC_BUDGET_WAITS_ADDRESS, 1);
    log_wait(conn, by_network ? "network" : "address", wait_us);
    return false;
}

bool conn_account_admits(struct conn *conn)
{
    if (conn->state != CONN_OPEN || (conn->flags & CONN_STOPPED) || is_account_ready(conn, true)) {
        return true;
    }
    wait_for_account(begin_wait(conn));
    return false;
}

static bool may_defer(const struct net *net)
{
    return net->defers || loop_elapsed_us(net->loop) >= INPUT_MAX_US;
}

/* Most connections owe nothing, nor do their addresses: then there is nothing to wait for. */
bool conn_input_is_due(struct conn *conn)
{
    const uint64_t now_us = budget_now_us(conn);
    const bool charged = conn_is_limited_by_address(conn);
    const bool owes = bucket_owes(bucket_of_conn(conn), now_us);
    if ((owes || (charged && !budget_account_causes_little(conn->account, now_us))) &&
        may_defer(conn->listener->net)) {
        conn_defer_read(conn);
        return false;
    }
    if (!owes && (!charged || (!budget_account_owes(conn->account, now_us) &&
                               list_is_empty(&budget_account_usage(conn->account)->waiting)))) {
        return true;
    }
    return conn_account_admits(conn);
}

void conn_wait_us(struct conn *conn, uint64_t wait_us)
{
    const uint64_t now_us = budget_now_us(conn);
    struct conn_wait *wait;
    uint64_t until_us, last_us;
    if (conn->state != CONN_OPEN || wait_us == 0) {
        return;
    }
    wait = conn->flags & CONN_WAITING ? conn->budget.wait : begin_wait(conn);
    last_us = wait->since_us + BUDGET_WAIT_MAX_US;
    until_us = now_us + wait_us < last_us ? now_us + wait_us : last_us;
    if (until_us > now_us && until_us > wait->until_us) {
        wait_in_slot(wait, until_us);
    }
}

void conn_charge(struct conn *conn, uint32_t units)
{
    struct net *net = conn->listener->net;
    const struct budget_settings *settings = budget_settings_of(net->budget);
    const uint64_t now_us = budget_now_us(conn);
    struct bucket *bucket = bucket_of_conn(conn);
    uint64_t wait_us;
    metrics_add(METRIC_BUDGET_UNITS, units);
    net->charged += units;
    bucket_charge(bucket, (uint32_t)settings->rate, units, now_us);
    bucket_forgive(bucket, (uint32_t)settings->rate, (uint32_t)settings->burst, BUDGET_WAIT_MAX_US,
                   now_us);
    if (conn_is_limited_by_address(conn)) {
        budget_account_charge(net->budget, conn->account, units, now_us);
    }
    if (conn->state != CONN_OPEN) {
        return;
    }
    wait_us = bucket_wait_us(bucket, (uint32_t)settings->rate, (uint32_t)settings->burst, now_us);
    if (wait_us > 0) {
        if (!(conn->flags & CONN_WAITING)) {
            metrics_add(METRIC_BUDGET_WAITS_CONNECTION, 1);
            log_wait(conn, "connection", wait_us);
        }
        conn_wait_us(conn, wait_us);
    } else if (!(conn->flags & CONN_WAITING) && !is_account_ready(conn, false)) {
        wait_for_account(begin_wait(conn));
    }
}

uint32_t conn_max_charge(const struct conn *conn)
{
    return budget_max_charge(conn->listener->net->budget, conn_is_limited_by_address(conn));
}

static void leave_wait(struct conn *conn)
{
    finish_wait(conn);
    conn->last_received = net_stamp(conn->listener->net); /* not reading is not silence */
    queue_conn(conn, conn->flags & CONN_KNOWN ? QUEUE_IDLE : QUEUE_HANDSHAKE);
    conn_watch(conn);
}

void conn_end_wait(struct conn *conn)
{
    if (!(conn->flags & CONN_WAITING)) {
        return;
    }
    leave_wait(conn);
    if (conn->input) {
        conn_schedule_input(conn);
    }
}

/* Reads from it again, at once: what it kept, and what has arrived. Where it is paused or held,
 * conn_resume and the flush present what waits. */
static void read_after_wait(struct conn *conn)
{
    const struct conn_framing *framing = conn_framing(conn);
    leave_wait(conn);
    if (framing && conn_may_read(conn)) {
        framing->after_wait(conn->arg);
    }
    if (conn->input && conn_may_read(conn)) {
        conn_present_again(conn);
    }
    if (conn_may_read(conn)) {
        conn_read(conn);
    }
}

static bool has_waited_long_enough(const struct conn_wait *wait, uint64_t now_us)
{
    return now_us >= wait->since_us + BUDGET_WAIT_MAX_US;
}

/* Its own wait is over. */
static void leave_slot(struct net *net, struct conn_wait *wait)
{
    const struct budget_settings *settings = budget_settings_of(net->budget);
    struct conn *conn = wait->conn;
    const uint64_t now_us = loop_now_us(net->loop);
    bucket_forgive(&wait->bucket, (uint32_t)settings->rate, (uint32_t)settings->burst, 0, now_us);
    if (!has_waited_long_enough(wait, now_us) && !is_account_ready(conn, true)) {
        wait_for_account(wait);
        return;
    }
    read_after_wait(conn);
}

static void advance_slots(struct net *net)
{
    const uint64_t now_ms = loop_now_ms(net->loop);
    struct list due;
    list_init(&due);
    while (net->wait_slot_ms + WAIT_SLOT_MS <= now_ms) {
        net->wait_slot_ms += WAIT_SLOT_MS;
        net->wait_slot = (net->wait_slot + 1) % WAIT_SLOTS;
        list_move_all(&net->waits[net->wait_slot], &due);
    }
    while (!list_is_empty(&due)) {
        struct conn_wait *wait = list_entry(due.next, struct conn_wait, node);
        list_remove(&wait->node);
        leave_slot(net, wait);
    }
}

/* The first that waits for the account goes on when the account's budget admits it, or when it has
 * waited as long as any may. */
static bool resume_first(struct net *net, struct budget_usage *usage)
{
    struct conn_wait *wait = list_entry(usage->waiting.next, struct conn_wait, node);
    const uint64_t now_us = loop_now_us(net->loop);
    if (!has_waited_long_enough(wait, now_us) &&
        budget_account_wait_us(net->budget, wait->conn->account, now_us, NULL) > 0) {
        return false;
    }
    read_after_wait(wait->conn);
    return true;
}

static bool resume_accounts(struct net *net)
{
    bool resumed = false;
    struct list accounts;
    list_init(&accounts);
    list_move_all(&net->waited, &accounts);
    while (!list_is_empty(&accounts)) {
        struct budget_usage *usage = list_entry(accounts.next, struct budget_usage, node);
        list_remove(&usage->node);
        list_append(&net->waited, &usage->node);
        resumed = resume_first(net, usage) || resumed;
    }
    return resumed;
}

static void on_wait_tick(void *arg)
{
    struct net *net = arg;
    bool resumed;
    advance_slots(net);
    resumed = resume_accounts(net);
    if (net->waiting > 0) {
        loop_timer_start(net->wait_tick, resumed ? PASS_MS : WAIT_SLOT_MS);
    }
}

void net_set_budget(struct net *net, const struct budget_settings *settings)
{
    budget_set(net->budget, settings);
}

void net_budget_init(struct net *net)
{
    net->budget = budget_create(NULL);
    for (size_t i = 0; i < WAIT_SLOTS; i++) {
        list_init(&net->waits[i]);
    }
    list_init(&net->waited);
    net->wait_limit = (struct log_limit){.burst = 10};
    net->wait_tick = loop_timer_create(net->loop, on_wait_tick, net);
}

void net_budget_free(struct net *net)
{
    loop_timer_destroy(&net->wait_tick);
    budget_destroy(&net->budget);
}

bool conn_shares_address(const struct conn *conn)
{
    return (conn->flags & CONN_SHARED) != 0;
}
