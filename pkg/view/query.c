/*
 * ask: the revisions that Redis has now, for reads that are to include what was acknowledged
 * at other front-ends too.
 *
 * One command for each partition, all sent together. Only one asking is under way at a time: reads
 * that come meanwhile share the next, since the one before may be answered from before their
 * request. What Redis does not answer is asked again until the reads' deadlines.
 */
#include <stdlib.h>

#include "base/mem.h"
#include "metrics/metrics.h"
#include "view/view_private.h"

struct asked_part {
    struct revision_ask *ask;
    const struct view_part *part; /* valid while the ask has a view */
    struct read_mark mark;
};

struct revision_ask {
    struct map_view *view; /* NULL: it is gone */
    size_t left;           /* replies to come, and one while they are asked for */
    bool failed;
    struct list reads; /* struct map_read */
    struct asked_part parts[];
};

/* Whatever is in an epoch that this front-end has not met yet counts from when it has. */
static bool read_revision_head(const struct redis_reply *reply, const struct view_part *part,
                               struct read_mark *mark)
{
    const struct view_known known = part_known(part);
    if (reply->type != REDIS_ARRAY || reply->count != 2 ||
        reply->elements[0]->type != REDIS_STRING || reply->elements[1]->type != REDIS_STRING)
        return false;
    bool other = !bytes_equal(reply->elements[0]->text, bytes_from_string(known.epoch));
    mark->epochs = known.epochs + other;
    mark->revision = bytes_decimal(reply->elements[1]->text);
    mark->again = false;
    return true;
}

static void take_marks(struct revision_ask *ask, struct map_read *read)
{
    list_remove(&read->in_ask);
    read->asks = false;
    for (uint32_t i = 0; i < read->view->part_count; i++)
        read->marks[i] = ask->parts[i].mark;
}

/* One of its replies is there. */
static void release_revision_ask(struct revision_ask *ask)
{
    struct map_view *view = ask->view;
    if (--ask->left > 0)
        return;
    while (!list_is_empty(&ask->reads)) {
        struct map_read *read = list_entry(ask->reads.next, struct map_read, in_ask);
        if (ask->failed) {
            list_remove(&read->in_ask);
            list_append(&view->asking, &read->in_ask);
        } else {
            take_marks(ask, read);
        }
    }
    if (view) {
        view->ask = NULL;
        view_wake(view);
        if (!ask->failed && !list_is_empty(&view->asking))
            loop_defer(view->source.loop, LOOP_PHASE_STORE, &view->send_ask);
    }
    free(ask);
}

static void on_revision_head(void *arg, enum redis_status status, const struct redis_reply *reply)
{
    struct asked_part *part = arg;
    struct revision_ask *ask = part->ask;
    if (ask->view && (status != REDIS_OK || !read_revision_head(reply, part->part, &part->mark)))
        ask->failed = true;
    release_revision_ask(ask);
}

void view_ask_send(void *arg)
{
    struct map_view *view = arg;
    if (view->ask || list_is_empty(&view->asking) || !redis_link_is_up(*view->source.link))
        return;
    struct revision_ask *ask = mem_zalloc(1, sizeof *ask + view->part_count * sizeof *ask->parts);
    ask->view = view;
    ask->left = 1;
    list_init(&ask->reads);
    while (!list_is_empty(&view->asking)) {
        struct list *first = view->asking.next;
        list_remove(first);
        list_append(&ask->reads, first);
    }
    view->ask = ask;
    for (uint32_t i = 0; i < view->part_count; i++) {
        struct asked_part *part = &ask->parts[i];
        *part = (struct asked_part){.ask = ask, .part = &view->parts[i]};
        ask->left++;
        redis_command_strings(*view->source.link, on_revision_head, part, "HMGET",
                              part->part->key_head, "epoch", "revision", NULL);
    }
    release_revision_ask(ask);
}

void view_ask(struct map_view *view, struct map_read *read)
{
    metrics_add(METRIC_CONSISTENT_READS, 1);
    list_append(&view->asking, &read->in_ask);
    loop_defer(view->source.loop, LOOP_PHASE_STORE, &view->send_ask);
}

void view_ask_retry(struct map_view *view)
{
    if (!view->ask && !list_is_empty(&view->asking))
        loop_defer(view->source.loop, LOOP_PHASE_STORE, &view->send_ask);
}

void view_ask_free(struct map_view *view)
{
    loop_cancel(view->source.loop, &view->send_ask);
    if (view->ask)
        view->ask->view = NULL;
}
