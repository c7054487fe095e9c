/* wait: see wait.h. */
#include "map/wait.h"

#include <stdlib.h>

#include "base/hash.h"
#include "base/mem.h"
#include "map/map_private.h"
#include "map/session_private.h"
#include "map/wait_private.h"
#include "metrics/metrics.h"

/* How often deadlines are checked while there are waits. */
#define DEADLINE_TICK_MS 50

struct wait {
    struct ending ending;
    UT_hash_handle hh; /* by number, until it is settled */
    struct list link;  /* of those that wait, by deadline; or of the settled */
    struct waits *waits;
    uint64_t number;
    uint64_t deadline_ms;
    size_t size;
    map_done done; /* NULL: its session has ended */
    void *arg;
    uint8_t result;
    bool settled;
};

struct waits {
    struct map *map;
    struct wait *table;
    struct list waiting;
    struct list settled;
    uint64_t last;
    uint64_t size; /* of those that wait */
    struct loop_task deliver;
    struct loop_timer *timer;
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

static void close_wait(struct wait *wait)
{
    struct waits *waits = wait->waits;
    if (wait->settled) {
        return;
    }
    wait->settled = true;
    waits->size -= wait->size;
    HASH_DEL(waits->table, wait);
}

static void free_wait(struct wait *wait)
{
    ending_detach(&wait->ending);
    list_remove(&wait->link);
    close_wait(wait);
    free(wait);
}

static void end_wait(struct ending *ending)
{
    list_entry(ending, struct wait, ending)->done = NULL;
}

static void count_relayed(enum map_result result)
{
    static const enum metric metrics[] = {[MAP_OK] = METRIC_RELAYED_OK,
                                          [MAP_MISSING] = METRIC_RELAYED_MISSING,
                                          [MAP_DEADLINE] = METRIC_RELAYED_DEADLINE,
                                          [MAP_REFUSED] = METRIC_RELAYED_REFUSED};
    metrics_add(metrics[result], 1);
}

static void deliver_settled(void *arg)
{
    struct waits *waits = arg;
    while (!list_is_empty(&waits->settled)) {
        struct wait *wait = list_entry(waits->settled.next, struct wait, link);
        map_done done = wait->done;
        void *done_arg = wait->arg;
        enum map_result result = (enum map_result)wait->result;
        free_wait(wait);
        count_relayed(result);
        if (done) {
            done(done_arg, result, 0);
        }
    }
}

static void settle_wait(struct wait *wait, enum map_result result)
{
    struct waits *waits = wait->waits;
    close_wait(wait);
    wait->result = (uint8_t)result;
    list_remove(&wait->link);
    list_append(&waits->settled, &wait->link);
    loop_defer(waits->map->loop, LOOP_PHASE_VIEW, &waits->deliver);
}

static void check_wait_deadlines(void *arg)
{
    struct waits *waits = arg;
    uint64_t now = loop_now_ms(waits->map->loop);
    while (!list_is_empty(&waits->waiting)) {
        struct wait *wait = list_entry(waits->waiting.next, struct wait, link);
        if (wait->deadline_ms > now) {
            break;
        }
        settle_wait(wait, MAP_DEADLINE);
    }
    if (!list_is_empty(&waits->waiting)) {
        loop_timer_start(waits->timer, DEADLINE_TICK_MS);
    }
}

struct waits *waits_create(struct map *map)
{
    struct waits *waits = mem_zalloc(1, sizeof *waits);
    waits->map = map;
    list_init(&waits->waiting);
    list_init(&waits->settled);
    waits->deliver = (struct loop_task){.callback = deliver_settled, .arg = waits};
    waits->timer = loop_timer_create(map->loop, check_wait_deadlines, waits);
    return waits;
}

void waits_destroy(struct waits **waits_pointer)
{
    struct waits *waits = *waits_pointer;
    if (!waits) {
        return;
    }
    *waits_pointer = NULL;
    LIST_FOREACH (node, &waits->waiting) {
        free_wait(list_entry(node, struct wait, link));
    }
    LIST_FOREACH (node, &waits->settled) {
        free_wait(list_entry(node, struct wait, link));
    }
    loop_cancel(waits->map->loop, &waits->deliver);
    loop_timer_destroy(&waits->timer);
    free(waits);
}

static struct wait *create_wait(struct waits *waits, struct map_session *session, size_t size,
                                map_done done, void *arg)
{
    struct map *map = waits->map;
    struct wait *wait = mem_zalloc(1, sizeof *wait);
    wait->waits = waits;
    wait->number = ++waits->last;
    wait->deadline_ms = loop_now_ms(map->loop) + (uint64_t)map->redis->deadline;
    wait->size = size;
    wait->done = done;
    wait->arg = arg;
    waits->size += size;
    ending_attach(&wait->ending, session, end_wait);
    HASH_ADD(hh, waits->table, number, sizeof wait->number, wait);
    list_append(&waits->waiting, &wait->link);
    if (!loop_timer_is_running(waits->timer)) {
        loop_timer_start(waits->timer, DEADLINE_TICK_MS);
    }
    return wait;
}

/* A single one may be of any size. */
static bool exceeds_limits(const struct waits *waits, size_t size)
{
    const struct map_settings *settings = waits->map->settings;
    return HASH_COUNT(waits->table) >= (size_t)settings->relay_max_pending ||
           (waits->size > 0 && waits->size + size > (uint64_t)settings->relay_max_bytes);
}

bool wait_begin(struct map *map, struct map_session *session, size_t size, map_done done, void *arg,
                uint64_t *number)
{
    struct waits *waits = map->waits;
    bool too_many = exceeds_limits(waits, size);
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
