/*
 * view_read: reads that see their session's own writes.
 */
#include <string.h>

#include "base/mem.h"
#include "map/view_private.h"
#include "metrics/metrics.h"

#define POLL_MS 50

struct map_read {
    struct list link;
    struct map_view *view;
    map_read_done done;
    void *arg;
    uint64_t began_ms;
    bool read_again;
    struct session_mark marks[]; /* of each partition; revision 0: none */
};

static bool has_reached(const struct map_read *read, uint32_t index)
{
    const struct view_part *part = &read->view->parts[index];
    const struct session_mark *mark = &read->marks[index];
    if (part->state != PART_LIVE)
        return false;
    return mark->epochs != part->partition->epochs || mark->revision <= part->revision;
}

static bool is_satisfied(const struct map_read *read)
{
    for (uint32_t i = 0; i < read->view->part_count; i++) {
        if (!has_reached(read, i))
            return false;
    }
    return true;
}

static void answer(struct map_read *read, bool stale)
{
    bool known = read->view->live;
    map_read_done done = read->done;
    void *arg = read->arg;
    list_remove(&read->link);
    free(read);
    if (stale)
        metrics_add(METRIC_STALE_READS, 1);
    done(arg, known, stale);
}

/* Events that should have come have not: the snapshot has them. */
static void read_again(struct map_read *read)
{
    read->read_again = true;
    for (uint32_t i = 0; i < read->view->part_count; i++) {
        struct view_part *part = &read->view->parts[i];
        if (part->state == PART_LIVE && !has_reached(read, i)) {
            part->revision = part->floor = 0;
            load_start(part, "a read that waits");
        }
    }
}

/* True when it has been answered. */
static bool check(struct map_read *read)
{
    struct map *map = read->view->map;
    uint64_t waited = loop_now_ms(map->loop) - read->began_ms;
    if (is_satisfied(read)) {
        answer(read, false);
        return true;
    }
    bool away = !redis_link_is_up(map->link) && read->view->live;
    if (away || waited >= (uint64_t)(map->redis->deadline + map->settings->view_wait)) {
        answer(read, true);
        return true;
    }
    if (!read->read_again && waited >= (uint64_t)map->settings->view_wait)
        read_again(read);
    return false;
}

void reads_check(struct map_view *view)
{
    LIST_FOREACH (node, &view->reads)
        check(list_entry(node, struct map_read, link));
    if (!list_is_empty(&view->reads))
        loop_timer_start(view->read_timer, POLL_MS);
}

void reads_free(struct map_view *view)
{
    while (!list_is_empty(&view->reads)) {
        struct map_read *read = list_entry(view->reads.next, struct map_read, link);
        list_remove(&read->link);
        free(read);
    }
}

struct map_read *map_read(struct map_view *view, const struct map_session *session,
                          map_read_done done, void *arg)
{
    struct map_read *read = mem_zalloc(1, sizeof *read + view->part_count * sizeof *read->marks);
    list_init(&read->link);
    read->view = view;
    read->done = done;
    read->arg = arg;
    read->began_ms = loop_now_ms(view->map->loop);
    if (session)
        memcpy(read->marks, session->written, view->part_count * sizeof *read->marks);
    list_append(&view->reads, &read->link);
    if (!loop_timer_is_running(view->read_timer))
        loop_timer_start(view->read_timer, POLL_MS);
    view_wake(view);
    return read;
}

void map_read_cancel(struct map_read **read)
{
    if (!*read)
        return;
    list_remove(&(*read)->link);
    free(*read);
    *read = NULL;
}
