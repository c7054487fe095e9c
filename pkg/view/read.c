/*
 * read: reads of the view that include every write which this front-end acknowledged before them,
 * for whichever session.
 *
 * A reply of Redis carries its partition's revision, so no write that was acknowledged here has a
 * greater one than the partition's last (`revision`). A read waits until the view has reached the
 * revision of each partition. Usually it has, and nothing is stored or sent. Revisions of different
 * epochs cannot be compared: writes of an earlier epoch count as reached when everything that Redis
 * may lack has been restored.
 */
#include <stdlib.h>

#include "base/mem.h"
#include "metrics/metrics.h"
#include "view/view_private.h"

#define POLL_MS 50

/* For a read that begins now. */
static struct read_mark read_mark_of(const struct view_known *known)
{
    return (struct read_mark){
        .revision = known->revision, .epochs = known->epochs, .is_restoring = known->restoring};
}

/* Whether the contents are of the partition's epoch, and everything is restored. */
static bool is_comparable(const struct view_part *part, const struct view_known *known)
{
    return part_is_in_epoch(part, known) && !known->restoring;
}

static void renew_mark(struct read_mark *mark, const struct view_known *known)
{
    bool other = mark->epochs < known->epochs;
    if (other || (mark->is_restoring && mark->revision < known->revision)) {
        mark->revision = known->revision;
    }
    if (other) {
        mark->epochs = known->epochs;
    }
    mark->is_restoring = known->restoring;
}

static bool has_reached(struct map_read *read, uint32_t index)
{
    const struct view_part *part = &read->view->parts[index];
    struct read_mark *mark = &read->marks[index];
    const struct view_known known = part_known(part);
    renew_mark(mark, &known);
    return part->state == PART_LIVE && is_comparable(part, &known) &&
           mark->epochs == known.epochs && mark->revision <= part->revision;
}

static bool is_satisfied(struct map_read *read)
{
    if (read->is_querying) {
        return false;
    }
    for (uint32_t i = 0; read->marks && i < read->view->part_count; i++) {
        if (!has_reached(read, i)) {
            return false;
        }
    }
    return true;
}

/* Whether waiting cannot help: there is no link, and the view includes all that was acknowledged
 * here, or Redis has been unreachable for as long as a read waits at most. */
static bool is_hopeless(const struct map_read *read, uint64_t now_ms)
{
    const struct map_view *view = read->view;
    uint64_t deadline = (uint64_t)view->source.redis->deadline;
    if (redis_link_is_up(*view->source.link) || !view->live) {
        return false;
    }
    for (uint32_t i = 0; i < view->part_count; i++) {
        const struct view_part *part = &view->parts[i];
        const struct view_known known = part_known(part);
        bool includes =
            !read->is_querying && is_comparable(part, &known) && known.revision <= part->known;
        bool is_long = known.is_down && now_ms - known.down_ms >= deadline;
        if (!includes && !is_long) {
            return false;
        }
    }
    return true;
}

static void free_read(struct map_read *read)
{
    list_remove(&read->link);
    list_remove(&read->in_query);
    free(read->marks);
    free(read);
}

static void answer_read(struct map_read *read, bool stale)
{
    bool known = read->view->live;
    map_read_done done = read->done;
    void *arg = read->arg;
    free_read(read);
    if (stale) {
        metrics_add(METRIC_STALE_READS, 1);
    }
    done(arg, known, stale);
}

/* How long a read waits for events. Then there has to be time to read the snapshot. */
static uint64_t read_wait_ms(const struct view_source *source)
{
    uint64_t wait = (uint64_t)source->settings->wait;
    uint64_t most = (uint64_t)source->redis->deadline * 2 / 3;
    return wait < most ? wait : most;
}

/* Events are missing: the snapshot contains their changes. It is read once in that time, however
 * many reads wait. */
static void reread_for_read(struct map_read *read, uint64_t now_ms)
{
    uint64_t least = read_wait_ms(&read->view->source);
    read->has_reread = true;
    for (uint32_t i = 0; i < read->view->part_count; i++) {
        struct view_part *part = &read->view->parts[i];
        if (part->state != PART_LIVE || has_reached(read, i) ||
            (part->reread_ms && now_ms - part->reread_ms < least)) {
            continue;
        }
        part->reread_ms = now_ms;
        part->revision = part->floor = 0;
        part_reread(part, "a read that waits");
    }
}

static void check_read(struct map_read *read)
{
    const struct view_source *source = &read->view->source;
    uint64_t now = loop_now_ms(source->loop), waited = now - read->began_ms;
    if (is_satisfied(read)) {
        answer_read(read, false);
    } else if (waited >= (uint64_t)source->redis->deadline || is_hopeless(read, now)) {
        answer_read(read, true);
    } else if (!read->is_querying && !read->has_reread && waited >= read_wait_ms(source)) {
        reread_for_read(read, now);
    }
}

/* Until reads are checked again; the first one is also the first that is due. */
static uint64_t read_poll_ms(const struct map_view *view)
{
    const struct map_read *first = list_entry(view->reads.next, struct map_read, link);
    uint64_t due = first->began_ms + (uint64_t)view->source.redis->deadline;
    uint64_t now = loop_now_ms(view->source.loop);
    uint64_t left = due > now ? due - now : 0;
    return left < POLL_MS ? left : POLL_MS;
}

void reads_check(struct map_view *view)
{
    LIST_FOREACH (node, &view->reads) {
        check_read(list_entry(node, struct map_read, link));
    }
    if (!list_is_empty(&view->reads) && !loop_timer_is_running(view->read_timer)) {
        loop_timer_start(view->read_timer, read_poll_ms(view));
    }
}

void reads_free(struct map_view *view)
{
    while (!list_is_empty(&view->reads)) {
        free_read(list_entry(view->reads.next, struct map_read, link));
    }
}

/* The common case: the view has reached the last revision that this front-end has seen. */
static bool is_up_to_date(const struct map_view *view)
{
    for (uint32_t i = 0; i < view->part_count; i++) {
        const struct view_part *part = &view->parts[i];
        const struct view_known known = part_known(part);
        if (part->state != PART_LIVE || !is_comparable(part, &known) ||
            known.revision > part->revision) {
            return false;
        }
    }
    return true;
}

struct map_read *map_read(struct map_view *view, enum map_read_scope scope, map_read_done done,
                          void *arg)
{
    struct map_read *read = mem_zalloc(1, sizeof *read);
    list_init(&read->link);
    list_init(&read->in_query);
    read->view = view;
    read->done = done;
    read->arg = arg;
    read->began_ms = loop_now_ms(view->source.loop);
    read->is_querying = scope == MAP_READ_EVERYWHERE;
    if (read->is_querying || !is_up_to_date(view)) {
        read->marks = mem_alloc(view->part_count * sizeof *read->marks);
        for (uint32_t i = 0; i < view->part_count; i++) {
            const struct view_known known = part_known(&view->parts[i]);
            read->marks[i] = read_mark_of(&known);
        }
    }
    list_append(&view->reads, &read->link);
    if (read->is_querying) {
        view_query(view, read);
    }
    view_wake(view);
    return read;
}

void map_read_cancel(struct map_read **read)
{
    if (!*read) {
        return;
    }
    free_read(*read);
    *read = NULL;
}
