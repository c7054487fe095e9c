/*
 * read: reads of the view that include every write which was acknowledged here before them,
 * whichever session made it.
 *
 * A reply of Redis carries its partition's revision, so no write that was acknowledged here has
 * a greater one than the partition's last (`revision`). A read waits until the view has reached
 * that of each partition. Mostly it has, and nothing is noted or sent. Another epoch has other
 * numbers: what had been acknowledged counts as reached when all that Redis may lack has been put
 * back.
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
        .revision = known->revision, .epochs = known->epochs, .again = known->restoring};
}

/* Whether the view's contents are of the partition's epoch, and all is put back. */
static bool is_comparable(const struct view_part *part, const struct view_known *known)
{
    return part_is_in_epoch(part, known) && !known->restoring;
}

static void renew_mark(struct read_mark *mark, const struct view_known *known)
{
    bool other = mark->epochs < known->epochs;
    if (other || (mark->again && mark->revision < known->revision))
        mark->revision = known->revision;
    if (other)
        mark->epochs = known->epochs;
    mark->again = known->restoring;
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
    if (read->asks)
        return false;
    for (uint32_t i = 0; read->marks && i < read->view->part_count; i++) {
        if (!has_reached(read, i))
            return false;
    }
    return true;
}

/* Without a link: whether waiting is of no use. All that was acknowledged here is in the view, or
 * Redis has been unreachable for as long as anybody would wait. */
static bool is_hopeless(const struct map_read *read, uint64_t now_ms)
{
    const struct map_view *view = read->view;
    uint64_t deadline = (uint64_t)view->source.redis->deadline;
    if (redis_link_is_up(*view->source.link) || !view->live)
        return false;
    for (uint32_t i = 0; i < view->part_count; i++) {
        const struct view_part *part = &view->parts[i];
        const struct view_known known = part_known(part);
        bool includes = !read->asks && is_comparable(part, &known) && known.revision <= part->known;
        bool is_long = known.is_down && now_ms - known.down_ms >= deadline;
        if (!includes && !is_long)
            return false;
    }
    return true;
}

static void free_read(struct map_read *read)
{
    list_remove(&read->link);
    list_remove(&read->in_ask);
    free(read->marks);
    free(read);
}

static void answer_read(struct map_read *read, bool stale)
{
    bool known = read->view->live;
    map_read_done done = read->done;
    void *arg = read->arg;
    free_read(read);
    if (stale)
        metrics_add(METRIC_STALE_READS, 1);
    done(arg, known, stale);
}

/* How long events are waited for; the snapshot has to be read within the deadline. */
static uint64_t patience_of(const struct view_source *source)
{
    uint64_t wait = (uint64_t)source->settings->wait;
    uint64_t most = (uint64_t)source->redis->deadline * 2 / 3;
    return wait < most ? wait : most;
}

/* Events that should have come have not: the snapshot has them. However many reads wait, it is read
 * once in that time. */
static void reread_for(struct map_read *read, uint64_t now_ms)
{
    uint64_t least = patience_of(&read->view->source);
    read->read_again = true;
    for (uint32_t i = 0; i < read->view->part_count; i++) {
        struct view_part *part = &read->view->parts[i];
        if (part->state != PART_LIVE || has_reached(read, i) ||
            (part->reread_ms && now_ms - part->reread_ms < least))
            continue;
        part->reread_ms = now_ms;
        part->revision = part->floor = 0;
        part_reread(part, "a read that waits");
    }
}

static void check_read(struct map_read *read)
{
    const struct view_source *source = &read->view->source;
    uint64_t now = loop_now_ms(source->loop), waited = now - read->began_ms;
    if (is_satisfied(read))
        answer_read(read, false);
    else if (waited >= (uint64_t)source->redis->deadline || is_hopeless(read, now))
        answer_read(read, true);
    else if (!read->asks && !read->read_again && waited >= patience_of(source))
        reread_for(read, now);
}

void reads_check(struct map_view *view)
{
    LIST_FOREACH (node, &view->reads)
        check_read(list_entry(node, struct map_read, link));
    if (!list_is_empty(&view->reads) && !loop_timer_is_running(view->read_timer))
        loop_timer_start(view->read_timer, POLL_MS);
}

void reads_free(struct map_view *view)
{
    while (!list_is_empty(&view->reads))
        free_read(list_entry(view->reads.next, struct map_read, link));
}

/* The common case: the view is as far as anybody here knows Redis to be. */
static bool is_up_to_date(const struct map_view *view)
{
    for (uint32_t i = 0; i < view->part_count; i++) {
        const struct view_part *part = &view->parts[i];
        const struct view_known known = part_known(part);
        if (part->state != PART_LIVE || !is_comparable(part, &known) ||
            known.revision > part->revision)
            return false;
    }
    return true;
}

struct map_read *map_read(struct map_view *view, enum map_read_scope scope, map_read_done done,
                          void *arg)
{
    struct map_read *read = mem_zalloc(1, sizeof *read);
    list_init(&read->link);
    list_init(&read->in_ask);
    read->view = view;
    read->done = done;
    read->arg = arg;
    read->began_ms = loop_now_ms(view->source.loop);
    read->asks = scope == MAP_READ_EVERYWHERE;
    if (read->asks || !is_up_to_date(view)) {
        read->marks = mem_alloc(view->part_count * sizeof *read->marks);
        for (uint32_t i = 0; i < view->part_count; i++) {
            const struct view_known known = part_known(&view->parts[i]);
            read->marks[i] = read_mark_of(&known);
        }
    }
    list_append(&view->reads, &read->link);
    if (read->asks)
        view_ask(view, read);
    view_wake(view);
    return read;
}

void map_read_cancel(struct map_read **read)
{
    if (!*read)
        return;
    free_read(*read);
    *read = NULL;
}
