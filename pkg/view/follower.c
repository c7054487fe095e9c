/* follower: the states of readers, and when each of them is sent something. */
#include "view/follower.h"

#include "metrics/metrics.h"
#include "view/view.h"

/* Where a follower waits that has entered the state: to be served, for its chunk to be written, or
 * for changes. */
static struct list *list_of_state(struct follower_list *list, enum follower_state state)
{
    return &list->followers[state == FOLLOWER_BACKLOGGED ? FOLLOWER_TO_SERVE : (int)state];
}

static void put_follower(struct follower *follower, struct list *to)
{
    list_remove(&follower->link);
    list_append(to, &follower->link);
}

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
        list_append(list_of_state(list, state), &follower->link);
    }
}

static void send_next_chunk(struct follower_list *list, struct follower *follower)
{
    enum follower_state state = list->callbacks->send_chunk(follower);
    move_follower(list, follower, state);
    if (state == FOLLOWER_BACKLOGGED) {
        follower_list_serve(list);
    } else if (state == FOLLOWER_CATCHING_UP) {
        put_follower(follower, &list->followers[FOLLOWER_TO_ADVANCE]);
        if (!loop_timer_is_running(list->next)) {
            loop_timer_start(list->next, 0);
        }
    }
}

void follower_wait(struct follower_list *list, struct follower *follower)
{
    if (follower->state == FOLLOWER_BACKLOGGED) {
        map_read_cancel(&follower->read);
        put_follower(follower, &list->followers[FOLLOWER_TO_SERVE]);
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

static struct follower *first_follower(const struct list *from)
{
    return list_is_empty(from) ? NULL : list_entry(from->next, struct follower, link);
}

/* Only those that may be ready are touched: a follower that is not waits in its state's list, until
 * its read is done or its output is written. */
static void serve_backlogged(void *arg)
{
    struct follower_list *list = arg;
    struct follower *follower;
    loop_label(list->loop, "whole_lists");
    if (!list->callbacks->is_readable(list->arg)) {
        return;
    }
    while ((follower = first_follower(&list->followers[FOLLOWER_TO_SERVE]))) {
        if (loop_share_is_used(list->loop)) {
            loop_defer_next(list->loop, LOOP_PHASE_STORE, &list->serve);
            return;
        }
        put_follower(follower, &list->followers[FOLLOWER_BACKLOGGED]);
        if (!follower->read && !list->callbacks->has_backlog(follower)) {
            follower_restart(list, follower);
        }
    }
}

/* One chunk for each. */
static void advance_followers(void *arg)
{
    struct follower_list *list = arg;
    struct follower *follower;
    struct list *ready = &list->followers[FOLLOWER_TO_ADVANCE];
    struct list round;
    loop_label(list->loop, "list_chunks");
    if (!list->callbacks->is_readable(list->arg)) {
        return;
    }
    list_init(&round);
    list_move_all(ready, &round);
    while ((follower = first_follower(&round)) && !loop_share_is_used(list->loop)) {
        put_follower(follower, &list->followers[FOLLOWER_CATCHING_UP]);
        if (!list->callbacks->has_backlog(follower)) {
            send_next_chunk(list, follower);
        }
    }
    if (follower) {
        list_move_all(ready, &round); /* the next round's go behind */
        list_move_all(&round, ready);
        loop_defer_next(list->loop, LOOP_PHASE_STORE, &list->advance);
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
    for (size_t i = 0; i < FOLLOWER_LISTS; i++) {
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
    for (size_t i = 0; i < FOLLOWER_LISTS; i++) {
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
    schedule_advance(list);
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
    static const int lists[] = {FOLLOWER_CATCHING_UP, FOLLOWER_TO_ADVANCE, FOLLOWER_CURRENT};
    for (size_t i = 0; i < sizeof lists / sizeof *lists; i++) {
        struct follower *follower;
        while ((follower = first_follower(&list->followers[lists[i]]))) {
            move_follower(list, follower, FOLLOWER_BACKLOGGED);
        }
    }
}

void follower_init(struct follower *follower)
{
    *follower = (struct follower){.state = FOLLOWER_OFF};
    list_init(&follower->link);
}

void follower_reached(struct follower_list *list, struct follower *follower)
{
    follower->read = NULL;
    put_follower(follower, &list->followers[FOLLOWER_TO_SERVE]);
    follower_list_serve(list);
}

void follower_drained(struct follower_list *list, struct follower *follower)
{
    if (follower->state == FOLLOWER_BACKLOGGED) {
        put_follower(follower, &list->followers[FOLLOWER_TO_SERVE]);
        follower_list_serve(list);
    } else if (follower->state == FOLLOWER_CATCHING_UP) {
        put_follower(follower, &list->followers[FOLLOWER_TO_ADVANCE]);
        schedule_advance(list);
    }
}

void follower_stop(struct follower_list *list, struct follower *follower)
{
    move_follower(list, follower, FOLLOWER_OFF);
}
