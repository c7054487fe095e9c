#include "map/replication_private.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/list.h"
#include "base/log.h"
#include "base/mem.h"
#include "loop/loop.h"
#include "map/map_private.h"
#include "map/op_private.h"
#include "map/session_private.h"
#include "metrics/metrics.h"
#include "redis/redis.h"

/* WAIT's time-out is this part of redis.timeout. */
#define TIMEOUT_PART 3

struct replication {
    struct map *map;
    struct list executed; /* struct op: a WAIT is still to be sent */
    struct list covered;  /* struct op: executed before the WAIT in flight */
    struct loop_task task;
    bool is_waiting; /* a WAIT is in flight */
    bool is_lacking; /* the last WAIT had too few acknowledgements */
};

static void send_wait(void *arg);

struct replication *replication_create(struct map *map)
{
    struct replication *replication = mem_zalloc(1, sizeof *replication);
    replication->map = map;
    list_init(&replication->executed);
    list_init(&replication->covered);
    replication->task = (struct loop_task){.callback = send_wait, .arg = replication};
    return replication;
}

static void release_all(struct list *ops, enum map_result result)
{
    while (!list_is_empty(ops)) {
        struct op *op = list_entry(ops->next, struct op, link);
        metrics_add(METRIC_REDIS_UNREPLICATED, result != MAP_OK);
        op_answer(op, result, op->version);
        op_release(op);
    }
}

void replication_destroy(struct replication **replication_pointer)
{
    struct replication *replication = *replication_pointer;
    if (!replication) {
        return;
    }
    *replication_pointer = NULL;
    loop_cancel(replication->map->loop, &replication->task);
    release_all(&replication->covered, MAP_DEADLINE);
    release_all(&replication->executed, MAP_DEADLINE);
    free(replication);
}

static void note_acknowledged(struct replication *replication, int64_t count)
{
    bool is_lacking = count < replication->map->redis->min_replicas;
    if (is_lacking && !replication->is_lacking) {
        log_warn("redis_replicas_lacking", LOG_INT("acknowledged", count),
                 LOG_INT("wanted", replication->map->redis->min_replicas));
    } else if (!is_lacking && replication->is_lacking) {
        log_info("redis_replicas_acknowledge", LOG_INT("acknowledged", count));
    }
    replication->is_lacking = is_lacking;
}

static void on_wait_reply(void *arg, enum redis_status status, const struct redis_reply *reply)
{
    struct replication *replication = arg;
    enum map_result result = status == REDIS_REFUSED ? MAP_REFUSED : MAP_DEADLINE;
    replication->is_waiting = false;
    if (status == REDIS_OK) {
        note_acknowledged(replication, reply->integer);
        result = replication->is_lacking ? MAP_DEADLINE : MAP_OK;
    }
    release_all(&replication->covered, result);
    if (!list_is_empty(&replication->executed)) {
        loop_defer(replication->map->loop, LOOP_PHASE_STORE, &replication->task);
    }
}

/* If the link is down, or another one meanwhile, the answers are as for a WAIT that was lost. */
static void send_wait(void *arg)
{
    struct replication *replication = arg;
    const struct redis_settings *settings = replication->map->redis;
    char count[24], timeout[24];
    if (replication->is_waiting || list_is_empty(&replication->executed)) {
        return;
    }
    list_move_all(&replication->executed, &replication->covered);
    replication->is_waiting = true;
    snprintf(count, sizeof count, "%" PRId64, settings->min_replicas);
    snprintf(timeout, sizeof timeout, "%" PRId64, settings->timeout / TIMEOUT_PART);
    redis_command_strings(replication->map->link, on_wait_reply, replication, "WAIT", count,
                          timeout, NULL);
}

bool replication_hold(struct replication *replication, struct op *op, uint64_t version)
{
    if (op->answered || !op->done) {
        return false;
    }
    op_settle_addition(op); /* it has been added */
    op->version = version;
    list_append(&replication->executed, &op->link);
    loop_defer(replication->map->loop, LOOP_PHASE_STORE, &replication->task);
    return true;
}
