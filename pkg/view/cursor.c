/*
 * cursor: places in the list of changes, and the tombstones that closed entries leave for them.
 *
 * A tombstone is appended where the closed entry would have moved to. Tombstones are kept while
 * there are cursors, but never many more than there are entries: beyond that, each cursor that has
 * one to pass is lost and its reader begins again. So the cost of a waiting reader is bounded.
 */
#include <string.h>

#include "base/mem.h"
#include "view/view_private.h"

#define TOMBSTONES_MIN 1024

static struct order_node *node_of(struct list *link)
{
    return list_entry(link, struct order_node, link);
}

static struct map_cursor *cursor_of(struct order_node *node)
{
    return list_entry(&node->link, struct map_cursor, node.link);
}

static void free_tombstone(struct map_view *view, struct view_tombstone *tombstone)
{
    list_remove(&tombstone->order.link);
    list_remove(&tombstone->link);
    view->tombstone_count--;
    free(tombstone);
}

static void free_tombstones(struct map_view *view)
{
    while (!list_is_empty(&view->tombstones)) {
        free_tombstone(view, list_entry(view->tombstones.next, struct view_tombstone, link));
    }
}

/* The cursors before the newest tombstone: they would miss one. */
static void lose_cursors(struct map_view *view)
{
    struct view_tombstone *newest = list_entry(view->tombstones.prev, struct view_tombstone, link);
    LIST_FOREACH (link, &view->order) {
        if (link == &newest->order.link) {
            break;
        }
        struct order_node *node = node_of(link);
        if (node->kind != ORDER_CURSOR) {
            continue;
        }
        struct map_cursor *cursor = cursor_of(node);
        list_remove(&cursor->node.link);
        cursor->view = NULL;
        cursor->lost = true;
        view->cursor_count--;
    }
}

void cursor_leave_tombstone(struct map_view *view)
{
    if (view->cursor_count == 0) {
        return;
    }
    struct view_tombstone *tombstone = mem_zalloc(1, sizeof *tombstone);
    tombstone->order.kind = ORDER_CLOSED;
    list_append(&view->order, &tombstone->order.link);
    list_append(&view->tombstones, &tombstone->link);
    view->tombstone_count++;
    if (view->tombstone_count > map_view_count(view) + TOMBSTONES_MIN) {
        lose_cursors(view);
        free_tombstones(view);
    }
}

static void cursors_release(struct map_view *view)
{
    if (view->cursor_count == 0) {
        free_tombstones(view);
    }
}

void cursors_free_all(struct map_view *view)
{
    LIST_FOREACH (link, &view->order) {
        struct order_node *node = node_of(link);
        if (node->kind == ORDER_CURSOR) {
            struct map_cursor *cursor = cursor_of(node);
            list_remove(&cursor->node.link);
            cursor->view = NULL;
            cursor->lost = true;
        }
    }
    view->cursor_count = 0;
    free_tombstones(view);
}

void map_cursor_begin(struct map_cursor *cursor, struct map_view *view, enum map_cursor_place place)
{
    map_cursor_end(cursor);
    memset(cursor, 0, sizeof *cursor);
    cursor->node.kind = ORDER_CURSOR;
    cursor->view = view;
    view->cursor_count++;
    switch (place) {
    case MAP_CURSOR_OLDEST:
        list_prepend(&view->order, &cursor->node.link);
        break;
    case MAP_CURSOR_NEWEST:
        list_append(&view->order, &cursor->node.link);
        break;
    case MAP_CURSOR_ITERATION:
        list_insert_before(view->in_iteration ? view->iteration.link.next : &view->order,
                           &cursor->node.link);
        break;
    }
}

struct map_entry *map_cursor_next(struct map_cursor *cursor)
{
    struct map_view *view = cursor->view;
    if (!view) {
        return NULL;
    }
    struct list *link = cursor->node.link.next;
    while (link != &view->order) {
        struct order_node *node = node_of(link);
        list_remove(&cursor->node.link);
        list_insert_before(link->next, &cursor->node.link);
        if (node->kind == ORDER_ENTRY) {
            return list_entry(&node->link, struct map_entry, order.link);
        }
        cursor->closed += node->kind == ORDER_CLOSED;
        link = cursor->node.link.next;
    }
    return NULL;
}

void map_cursor_end(struct map_cursor *cursor)
{
    struct map_view *view = cursor->view;
    if (!view) {
        return;
    }
    cursor->view = NULL;
    list_remove(&cursor->node.link);
    view->cursor_count--;
    cursors_release(view);
}
