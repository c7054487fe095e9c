/* wait: see wait.h. */
#include "map/wait.h"

#include <stdlib.h>

#include "base/hash.h"
#include "base/mem.h"
#include "budget/budget.h"
#include "loop/pending.h"
#include "map/map_private.h"
#include "map/session_private.h"
#include "map/wait_private.h"
#include "metrics/metrics.h"

struct wait {
    struct ending ending;
    struct loop_pending pending;
    UT_hash_handle hh; /* by number */
    struct waits *waits;
    uint64_t number;
    struct budget_account *account; /* in which it counts; NULL: none */
    uint64_t size;
    map_done done; /* NULL: its session has ended */
    void *arg;
};

struct waits {
    struct map *map;
    struct wait *table;
    struct loop_pending_set *pending;
    uint64_t last; /* number */
};

void ending_attach(struct ending *ending, struct map_session *session,
                   void (*end_wait)(struct ending *ending))
{
    ending->end = end_wait;
    list_init(&ending->link);
    if (session) {
        list_append(&session->waits, &ending->link);
    }
}

void ending_detach(struct ending *ending)
{
    list_remove(&ending->link);
}

void waits_forget(struct map_session *session)
{
    while (!list_is_empty(&session->waits)) {
        struct ending *ending = list_entry(session->waits.next, struct ending, link);
        list_remove(&ending->link);
        ending->end(ending);
    }
}

/* Once it is settled nothing waits any more, though done may be called later. */
static void count_off_wait(struct wait *wait)
{
    budget_account_subtract(wait->account, BUDGET_WAIT_BYTES, wait->size);
    budget_account_subtract(wait->account, BUDGET_WAITS, 1);
    wait->account = NULL;
}

static void free_wait(struct wait *wait)
{
    ending_detach(&wait->ending);
    loop_pending_cancel(&wait->pending);
    count_off_wait(wait);
    HASH_DEL(wait->waits->table, wait);
    free(wait);
}

static void settle_wait(struct wait *wait, enum map_result result)
{
    count_off_wait(wait);
    loop_pending_settle(&wait->pending, (int)result);
}

static void end_wait(struct ending *ending)
{
    list_entry(ending, struct wait, ending)->done = NULL;
}

static void count_relayed(enum map_result result)
{
    static const enum metric metrics[] = {[MAP_OK] = METRIC_RELAYED_OK,
                                          [MAP_MISSING] = METRIC_RELAYED_MISSING,
                                          [MAP_LIMIT] = METRIC_RELAYED_LIMIT,
                                          [MAP_FULL] = METRIC_RELAYED_LIMIT,
                                          [MAP_DEADLINE] = METRIC_RELAYED_DEADLINE,
                                          [MAP_REFUSED] = METRIC_RELAYED_REFUSED};
    metrics_add(metrics[result], 1);
}

static void complete_wait(void *arg, struct loop_pending *pending, int settled)
{
    struct wait *wait = list_entry(pending, struct wait, pending);
    enum map_result result =
        settled == LOOP_PENDING_EXPIRED ? MAP_DEADLINE : (enum map_result)settled;
    map_done done = wait->done;
    void *done_arg = wait->arg;
    free_wait(wait);
    count_relayed(result);
    if (done) {
        done(done_arg, result, 0);
    }
}

struct waits *waits_create(struct map *map)
{
    struct waits *waits = mem_zalloc(1, sizeof *waits);
    waits->map = map;
    waits->pending = loop_pending_set_create(map->loop, LOOP_PHASE_VIEW, complete_wait, waits);
    return waits;
}

void waits_destroy(struct waits **waits_pointer)
{
    struct waits *waits = *waits_pointer;
    struct wait *wait, *next;
    if (!waits) {
        return;
    }
    *waits_pointer = NULL;
    HASH_ITER (hh, waits->table, wait, next) {
        free_wait(wait);
    }
    loop_pending_set_destroy(&waits->pending);
    free(waits);
}

static struct wait *create_wait(struct waits *waits, struct map_session *session, size_t size,
                                map_done done, void *arg)
{
    struct wait *wait = mem_zalloc(1, sizeof *wait);
    wait->waits = waits;
    wait->number = ++waits->last;
    wait->done = done;
    wait->arg = arg;
    wait->account = session ? session->account : NULL;
    wait->size = size;
    budget_account_add(wait->account, BUDGET_WAITS, 1);
    budget_account_add(wait->account, BUDGET_WAIT_BYTES, size);
    ending_attach(&wait->ending, session, end_wait);
    HASH_ADD(hh, waits->table, number, sizeof wait->number, wait);
    loop_pending_init(&wait->pending);
    loop_pending_begin(waits->pending, &wait->pending, map_deadline_ms(waits->map), (uint32_t)size);
    return wait;
}

/* A single one may have any size. */
static bool exceeds_limits(const struct waits *waits, const struct budget_account *account,
                           size_t size)
{
    const struct map_settings *settings = waits->map->settings;
    const uint64_t most = (uint64_t)settings->relay_max_pending;
    const uint64_t most_bytes = (uint64_t)settings->relay_max_bytes;
    const uint64_t count = loop_pending_set_count(waits->pending) + 1;
    const uint64_t others = loop_pending_set_size(waits->pending);
    return count > most || (others > 0 && others + size > most_bytes) ||
           budget_account_exceeds_share(account, BUDGET_WAITS, 1, count, most) ||
           budget_account_exceeds_share(account, BUDGET_WAIT_BYTES, size, others + size,
                                        most_bytes);
}

bool wait_begin(struct map *map, struct map_session *session, size_t size, map_done done, void *arg,
                uint64_t *number)
{
    struct waits *waits = map->waits;
    bool too_many = exceeds_limits(waits, session ? session->account : NULL, size);
    *number = 0;
    if (!done) {
        return !too_many;
    }
    struct wait *wait = create_wait(waits, session, size, done, arg);
    *number = wait->number;
    if (too_many) {
        settle_wait(wait, MAP_REFUSED);
    }
    return !too_many;
}

void wait_settle(struct map *map, uint64_t number, enum map_result result)
{
    struct wait *wait = NULL;
    if (map->waits) {
        HASH_FIND(hh, map->waits->table, &number, sizeof number, wait);
    }
    if (wait) {
        settle_wait(wait, result);
    }
}

struct wait_reply *wait_reply_create(struct map *map, uint64_t number)
{
    struct wait_reply *reply = mem_alloc(sizeof *reply);
    *reply = (struct wait_reply){.map = map, .number = number};
    return reply;
}
