/*
 * query: the current revisions of Redis, for reads that have to include what was acknowledged at
 * other front-ends too.
 *
 * One command for each partition, all sent together. Only one query is under way at a time: reads
 * that begin meanwhile share the next one, since Redis may have answered the current one before
 * their request. A query without an answer is repeated until the reads' deadlines.
 */
#include <stdlib.h>

#include "base/mem.h"
#include "metrics/metrics.h"
#include "view/view_private.h"

struct queried_part {
    struct revision_query *query;
    const struct view_part *part; /* valid while the query has a view */
    struct read_mark mark;
};

struct revision_query {
    struct map_view *view; /* NULL: destroyed */
    size_t left;           /* outstanding replies, and one while the commands are being sent */
    bool failed;
    struct list reads; /* struct map_read */
    struct queried_part parts[];
};

/* The revision of an epoch that this front-end has not seen yet counts once it has seen it. */
static bool read_revision_head(const struct redis_reply *reply, const struct view_part *part,
                               struct read_mark *mark)
{
    const struct view_known known = part_known(part);
    if (reply->type != REDIS_ARRAY || reply->count != 2 ||
        reply->elements[0]->type != REDIS_STRING || reply->elements[1]->type != REDIS_STRING) {
        return false;
    }
    bool other = !bytes_equal(reply->elements[0]->text, bytes_from_string(known.epoch));
    mark->epochs = known.epochs + other;
    mark->revision = bytes_decimal(reply->elements[1]->text);
    mark->is_restoring = false;
    return true;
}

static void set_marks(struct revision_query *query, struct map_read *read)
{
    list_remove(&read->in_query);
    read->is_querying = false;
    for (uint32_t i = 0; i < read->view->part_count; i++) {
        read->marks[i] = query->parts[i].mark;
    }
}

/* A reply has arrived. */
static void release_revision_query(struct revision_query *query)
{
    struct map_view *view = query->view;
    if (--query->left > 0) {
        return;
    }
    while (!list_is_empty(&query->reads)) {
        struct map_read *read = list_entry(query->reads.next, struct map_read, in_query);
        if (query->failed) {
            list_remove(&read->in_query);
            list_append(&view->awaiting_query, &read->in_query);
        } else {
            set_marks(query, read);
        }
    }
    if (view) {
        view->query = NULL;
        view_wake(view);
        if (!query->failed && !list_is_empty(&view->awaiting_query)) {
            loop_defer(view->source.loop, LOOP_PHASE_STORE, &view->send_query);
        }
    }
    free(query);
}

static void on_revision_head(void *arg, enum redis_status status, const struct redis_reply *reply)
{
    struct queried_part *part = arg;
    struct revision_query *query = part->query;
    if (query->view &&
        (status != REDIS_OK || !read_revision_head(reply, part->part, &part->mark))) {
        query->failed = true;
    }
    release_revision_query(query);
}

void view_query_send(void *arg)
{
    struct map_view *view = arg;
    if (view->query || list_is_empty(&view->awaiting_query) ||
        !redis_link_is_up(*view->source.link)) {
        return;
    }
    struct revision_query *query =
        mem_zalloc(1, sizeof *query + view->part_count * sizeof *query->parts);
    query->view = view;
    query->left = 1;
    list_init(&query->reads);
    while (!list_is_empty(&view->awaiting_query)) {
        struct list *first = view->awaiting_query.next;
        list_remove(first);
        list_append(&query->reads, first);
    }
    view->query = query;
    for (uint32_t i = 0; i < view->part_count; i++) {
        struct queried_part *part = &query->parts[i];
        *part = (struct queried_part){.query = query, .part = &view->parts[i]};
        query->left++;
        redis_command_strings(*view->source.link, on_revision_head, part, "HMGET",
                              part->part->key_head, "epoch", "revision", NULL);
    }
    release_revision_query(query);
}

void view_query(struct map_view *view, struct map_read *read)
{
    metrics_add(METRIC_CONSISTENT_READS, 1);
    list_append(&view->awaiting_query, &read->in_query);
    loop_defer(view->source.loop, LOOP_PHASE_STORE, &view->send_query);
}

void view_query_retry(struct map_view *view)
{
    if (!view->query && !list_is_empty(&view->awaiting_query)) {
        loop_defer(view->source.loop, LOOP_PHASE_STORE, &view->send_query);
    }
}

void view_query_free(struct map_view *view)
{
    loop_cancel(view->source.loop, &view->send_query);
    if (view->query) {
        view->query->view = NULL;
    }
}
