/* follower: the states of readers, and when each of them is sent something. */
#include "view/follower.h"

#include "metrics/metrics.h"
#include "view/view.h"

/* The one place that changes a follower's state. */
static void move_follower(struct follower_list *list, struct follower *follower,
                          enum follower_state state)
{
    if (follower->state == state) {
        return;
    }
    if (follower->state == FOLLOWER_BACKLOGGED && state != FOLLOWER_CATCHING_UP) {
        map_read_cancel(&follower->read);
    } else if (follower->state == FOLLOWER_CATCHING_UP) {
        if (list->callbacks->free_place) {
            list->callbacks->free_place(follower);
        }
        follower->place = NULL;
    }
    follower->state = (uint8_t)state;
    list_remove(&follower->link);
    if (state != FOLLOWER_OFF) {
        list_append(&list->followers[state], &follower->link);
    }
}

static void send_next_chunk(struct follower_list *list, struct follower *follower)
{
    enum follower_state state = list->callbacks->send_chunk(follower);
    move_follower(list, follower, state);
    if (state == FOLLOWER_BACKLOGGED) {
        follower_list_serve(list);
    } else if (state == FOLLOWER_CATCHING_UP && !loop_timer_is_running(list->next)) {
        loop_timer_start(list->next, 0);
    }
}

void follower_wait(struct follower_list *list, struct follower *follower)
{
    if (follower->state == FOLLOWER_BACKLOGGED) {
        map_read_cancel(&follower->read);
    }
    move_follower(list, follower, FOLLOWER_BACKLOGGED);
}

void follower_restart(struct follower_list *list, struct follower *follower)
{
    follower_wait(list, follower);
    enum follower_state state = list->callbacks->send_whole(follower);
    if (state == FOLLOWER_OFF) {
        return;
    }
    move_follower(list, follower, state);
    if (state == FOLLOWER_CATCHING_UP) {
        send_next_chunk(list, follower);
    }
}

static void serve_backlogged(void *arg)
{
    struct follower_list *list = arg;
    loop_label(list->loop, "whole_lists");
    if (!list->callbacks->is_readable(list->arg)) {
        return;
    }
    LIST_FOREACH (node, &list->followers[FOLLOWER_BACKLOGGED]) {
        struct follower *follower = list_entry(node, struct follower, link);
        if (!follower->read && !list->callbacks->has_backlog(follower)) {
            follower_restart(list, follower);
        }
    }
}

static void advance_followers(void *arg)
{
    struct follower_list *list = arg;
    loop_label(list->loop, "list_chunks");
    if (!list->callbacks->is_readable(list->arg)) {
        return;
    }
    LIST_FOREACH (node, &list->followers[FOLLOWER_CATCHING_UP]) {
        struct follower *follower = list_entry(node, struct follower, link);
        if (!list->callbacks->has_backlog(follower)) {
            send_next_chunk(list, follower);
        }
    }
}

static void schedule_advance(void *arg)
{
    struct follower_list *list = arg;
    loop_defer(list->loop, LOOP_PHASE_STORE, &list->advance);
}

void follower_list_init(struct follower_list *list, struct loop *loop,
                        const struct follower_callbacks *callbacks, void *arg)
{
    *list = (struct follower_list){
        .callbacks = callbacks,
        .arg = arg,
        .loop = loop,
        .serve = {.callback = serve_backlogged, .arg = list},
        .advance = {.callback = advance_followers, .arg = list},
        .next = loop_timer_create(loop, schedule_advance, list),
    };
    for (size_t i = 0; i < FOLLOWER_STATES; i++) {
        list_init(&list->followers[i]);
    }
}

void follower_list_free(struct follower_list *list)
{
    loop_cancel(list->loop, &list->serve);
    loop_cancel(list->loop, &list->advance);
    loop_timer_destroy(&list->next);
}

bool follower_list_is_empty(const struct follower_list *list)
{
    for (size_t i = 0; i < FOLLOWER_STATES; i++) {
        if (!list_is_empty(&list->followers[i])) {
            return false;
        }
    }
    return true;
}

bool follower_list_has_current(const struct follower_list *list)
{
    return !list_is_empty(&list->followers[FOLLOWER_CURRENT]);
}

void follower_list_serve(struct follower_list *list)
{
    loop_defer(list->loop, LOOP_PHASE_STORE, &list->serve);
}

void follower_list_resume(struct follower_list *list)
{
    follower_list_serve(list);
    if (!list_is_empty(&list->followers[FOLLOWER_CATCHING_UP])) {
        schedule_advance(list);
    }
}

void follower_list_publish(struct follower_list *list, void *changes)
{
    LIST_FOREACH (node, &list->followers[FOLLOWER_CURRENT]) {
        struct follower *follower = list_entry(node, struct follower, link);
        if (!list->callbacks->has_backlog(follower)) {
            list->callbacks->send_changes(follower, changes);
            continue;
        }
        metrics_add(METRIC_CONFLATIONS, 1);
        move_follower(list, follower, FOLLOWER_CATCHING_UP);
        if (list->callbacks->take_place) {
            list->callbacks->take_place(follower);
        }
    }
}

void follower_list_suspend(struct follower_list *list)
{
    for (size_t state = FOLLOWER_CATCHING_UP; state < FOLLOWER_STATES; state++) {
        LIST_FOREACH (node, &list->followers[state]) {
            move_follower(list, list_entry(node, struct follower, link), FOLLOWER_BACKLOGGED);
        }
    }
}

void follower_init(struct follower *follower)
{
    *follower = (struct follower){.state = FOLLOWER_OFF};
    list_init(&follower->link);
}

void follower_drained(struct follower_list *list, const struct follower *follower)
{
    if (follower->state == FOLLOWER_BACKLOGGED) {
        follower_list_serve(list);
    } else if (follower->state == FOLLOWER_CATCHING_UP) {
        schedule_advance(list);
    }
}

void follower_stop(struct follower_list *list, struct follower *follower)
{
    move_follower(list, follower, FOLLOWER_OFF);
}
