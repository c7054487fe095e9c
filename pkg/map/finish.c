/* finish: the end of a front-end: the entries that its sessions have left are written to Redis, and
 * its lease is released. */
#include "map/finish_private.h"

#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/mem.h"
#include "loop/loop.h"
#include "map/map.h"
#include "map/map_private.h"
#include "map/node_private.h"
#include "map/op_private.h"
#include "map/partition_private.h"
#include "map/space_private.h"

struct map_finish_wait {
    struct loop_timer *timer;
    struct loop_task task;
    void (*done)(void *arg);
    void *arg;
};

static void on_finish_done(void *arg)
{
    struct map *map = arg;
    struct map_finish_wait *wait = map->finish;
    void (*done)(void *) = wait->done;
    void *done_arg = wait->arg;
    map->finish = NULL;
    map_enter(map, MAP_FINISHED);
    loop_cancel(map->loop, &wait->task);
    loop_timer_destroy(&wait->timer);
    free(wait);
    done(done_arg);
}

/* Releases the lease, by the operation that also forgets crashed front-ends. */
static void enqueue_forget_self(struct partition *partition)
{
    struct op *op = op_create(partition, OP_FORGET_NODE, BYTES_LITERAL(""));
    memcpy(op->of.node, partition->map->node, sizeof op->of.node);
    op_enqueue_of_sweep(op);
}

void map_finish(struct map *map, void (*done)(void *arg), void *arg)
{
    struct map_finish_wait *wait = mem_zalloc(1, sizeof *wait);
    wait->done = done;
    wait->arg = arg;
    wait->timer = loop_timer_create(map->loop, on_finish_done, map);
    wait->task = (struct loop_task){.callback = on_finish_done, .arg = map};
    map->finish = wait;
    node_leave(map->node_channel);
    for (size_t i = 0; i < map->space_count; i++) {
        for (uint32_t j = 0; j < map->spaces[i].count; j++) {
            enqueue_forget_self(&map->spaces[i].partitions[j]);
        }
    }
    map_enter(map, MAP_FINISHING);
    loop_timer_start(wait->timer, (uint64_t)map->redis->deadline);
    map_check_finished(map);
}

void map_check_finished(struct map *map)
{
    if (map->phase == MAP_FINISHING && map->pending == 0) {
        loop_defer(map->loop, LOOP_PHASE_FREE, &map->finish->task);
    }
}
