/*
 * memory: how much of its maxmemory Redis uses, read every redis.memory_interval.
 *
 * Above redis.memory_limit percent nothing new is stored: what exists can then still be changed and
 * removed, and Redis need not refuse every write. It ends two percent below, so that it does not
 * change with every entry. Without the right to read it, or without maxmemory, nothing is refused.
 */
#include "map/memory_private.h"

#include <stdlib.h>

#include "base/log.h"
#include "base/mem.h"
#include "map/map_private.h"
#include "metrics/metrics.h"
#include "redis/redis.h"

#define RELIEF_PERCENT 2

struct map_memory {
    struct map *map;
    struct loop_timer *timer;
    struct memory_read *read; /* under way, or NULL */
    bool is_full;
    bool is_refused; /* on this link */
    bool is_logged;  /* that it was refused */
};

/* Outlives the memory when its reply arrives later. */
struct memory_read {
    struct map_memory *memory;
};

static uint64_t info_number(struct bytes info, const char *name)
{
    struct bytes value = redis_info_value(info, name);
    return value.data ? bytes_decimal(value) : 0;
}

static void set_full(struct map_memory *memory, bool is_full, uint64_t used, uint64_t most)
{
    if (memory->is_full == is_full) {
        return;
    }
    memory->is_full = is_full;
    metrics_set(METRIC_REDIS_FULL, is_full);
    if (is_full) {
        log_warn("redis_memory_full", LOG_INT("used", (int64_t)used),
                 LOG_INT("maxmemory", (int64_t)most),
                 LOG_INT("limit_percent", memory->map->redis->memory_limit));
    } else {
        log_info("redis_memory_available", LOG_INT("used", (int64_t)used),
                 LOG_INT("maxmemory", (int64_t)most));
    }
}

/* What buffers for replicas and the append-only file take does not count for Redis, either. */
static void judge_memory(struct map_memory *memory, struct bytes info)
{
    uint64_t used = info_number(info, "used_memory"), most = info_number(info, "maxmemory");
    uint64_t uncounted = info_number(info, "mem_not_counted_for_evict");
    uint64_t percent = (uint64_t)memory->map->redis->memory_limit;
    used -= uncounted < used ? uncounted : used;
    metrics_set(METRIC_REDIS_MEMORY_USED, (int64_t)used);
    metrics_set(METRIC_REDIS_MEMORY_MAX, (int64_t)most);
    if (most == 0 || percent == 0) {
        set_full(memory, false, used, most);
    } else if (used / percent >= most / 100) {
        set_full(memory, true, used, most);
    } else if (percent <= RELIEF_PERCENT || used / (percent - RELIEF_PERCENT) < most / 100) {
        set_full(memory, false, used, most);
    }
}

static void note_unknown(struct map_memory *memory, enum redis_refusal refusal)
{
    set_full(memory, false, 0, 0);
    memory->is_refused = true;
    if (!memory->is_logged) {
        memory->is_logged = true;
        log_warn("redis_memory_unknown", LOG_STRING("why", redis_refusal_name(refusal)));
    }
}

static void on_memory_read(void *arg, enum redis_status status, const struct redis_reply *reply)
{
    struct memory_read *read = arg;
    struct map_memory *memory = read->memory;
    free(read);
    if (!memory) {
        return;
    }
    memory->read = NULL;
    if (status == REDIS_OK && reply->type == REDIS_STRING) {
        memory->is_logged = false;
        judge_memory(memory, reply->text);
    } else if (status == REDIS_REFUSED) {
        enum redis_refusal refusal = redis_refusal_of(reply);
        if (refusal == REDIS_REFUSAL_NOPERM || refusal == REDIS_REFUSAL_OTHER) {
            note_unknown(memory, refusal);
        } /* else it is loading, for instance: it is asked again */
    }
}

static void read_memory(void *arg)
{
    struct map_memory *memory = arg;
    struct map *map = memory->map;
    loop_timer_start(memory->timer, (uint64_t)map->redis->memory_interval);
    /* Once refused, it is asked for again on the next link. */
    if (memory->read || memory->is_refused || !redis_link_is_up(map->link)) {
        return;
    }
    memory->read = mem_alloc(sizeof *memory->read);
    memory->read->memory = memory;
    redis_command_strings(map->link, on_memory_read, memory->read, "INFO", "memory", NULL);
}

struct map_memory *memory_create(struct map *map)
{
    struct map_memory *memory = mem_zalloc(1, sizeof *memory);
    memory->map = map;
    memory->timer = loop_timer_create(map->loop, read_memory, memory);
    loop_timer_start(memory->timer, (uint64_t)map->redis->memory_interval);
    return memory;
}

void memory_destroy(struct map_memory **pointer)
{
    struct map_memory *memory = *pointer;
    *pointer = NULL;
    if (memory->read) {
        memory->read->memory = NULL;
    }
    loop_timer_destroy(&memory->timer);
    free(memory);
}

void memory_link_up(struct map_memory *memory)
{
    memory->is_refused = false;
    read_memory(memory);
}

bool map_is_full(const struct map *map)
{
    return map->memory->is_full;
}
