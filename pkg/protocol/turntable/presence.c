/*
 * turntable_presence: subscriptions, and sending changes of status to subscribers.
 *
 * The first change after a pause is sent at once, later ones once in turntable.window: each changed
 * name is encoded once, with its newest status, and the same frame goes to all of its watchers. A
 * watch remembers the status that was sent last, so that none is sent twice or out of order; a
 * session with a backlog gets the newest status of each name once it has read its output.
 */
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "protocol/turntable/turntable_private.h"

_Static_assert((int)TURNTABLE_OFFLINE == (int)MAP_OFFLINE &&
                   (int)TURNTABLE_ONLINE == (int)MAP_ONLINE && (int)TURNTABLE_BUSY == (int)MAP_BUSY,
               "a status of the map is sent as it is");

/* A name whose change is to be sent, and which is watched meanwhile. */
struct changed {
    UT_hash_handle hh;
    struct watched_name *presence;
    struct watch keep;
};

static struct watch *watch_of(struct list *node)
{
    return list_entry(list_entry(node, struct presence_watch, link), struct watch, at);
}

/* An answer that has not been sent yet will bring the status. */
static bool is_answered_later(const struct watch *watch)
{
    return watch->sent == SENT_NOTHING && watch->awaited > 0;
}

static bool is_watch_due(const struct watch *watch)
{
    const struct watched_name *presence = watch->at.presence;
    return presence_is_known(presence) && !is_answered_later(watch) &&
           watch->sent != presence_status(presence);
}

static struct frame *encode_one(struct bytes name, enum map_status status)
{
    struct turntable_change change = {name, (enum turntable_status)status};
    struct writer text = {0};
    (void)turntable_write_userchange(&text, &change, 1);
    return turntable_text_frame(&text);
}

static void send_watch(struct watch *watch, enum map_status status, struct frame **frame)
{
    struct turntable_session *session = watch->of->session;
    if (turntable_is_over_backlog(session) || conn_has_backlog(turntable_conn(session))) {
        metrics_add(METRIC_CONFLATIONS, !watch->of->backlogged);
        watch->of->backlogged = true;
        return;
    }
    if (!*frame) {
        *frame = encode_one(presence_name(watch->at.presence), status);
    }
    watch->sent = (uint8_t)status;
    turntable_send_frame(session, METRIC_TURNTABLE_USERCHANGE, *frame);
}

static void send_changed_presence(struct watched_name *presence)
{
    enum map_status status = presence_status(presence);
    struct frame *frame = NULL;
    LIST_FOREACH (node, presence_watches(presence)) {
        struct watch *watch = watch_of(node);
        if (watch->of && is_watch_due(watch)) {
            send_watch(watch, status, &frame);
        }
    }
    frame_unref(&frame);
}

static void drop_changed(struct turntable_subscribers *subscribers, struct changed *changed)
{
    HASH_DEL(subscribers->changed, changed);
    presence_unwatch(&changed->keep.at);
    free(changed);
}

static void send_changed_statuses(struct turntable_subscribers *subscribers)
{
    struct changed *changed, *next;
    HASH_ITER (hh, subscribers->changed, changed, next) {
        send_changed_presence(changed->presence);
        drop_changed(subscribers, changed);
    }
    if (subscribers->window > 0) {
        loop_timer_start(subscribers->window_timer, (uint64_t)subscribers->window);
    }
}

static void on_presence_flush(void *arg)
{
    send_changed_statuses(arg);
}

static void on_window_end(void *arg)
{
    struct turntable_subscribers *subscribers = arg;
    if (subscribers->changed) {
        send_changed_statuses(subscribers);
    }
}

static void note_changed_presence(struct turntable_subscribers *subscribers,
                                  struct watched_name *presence)
{
    struct changed *changed;
    HASH_FIND_PTR(subscribers->changed, &presence, changed);
    if (changed) {
        return;
    }
    changed = mem_zalloc(1, sizeof *changed);
    changed->presence = presence;
    presence_watch(subscribers->presence, presence_name(presence), &changed->keep.at);
    HASH_ADD_PTR(subscribers->changed, presence, changed);
    if (!loop_timer_is_running(subscribers->window_timer)) {
        loop_defer(subscribers->service->common.loop, LOOP_PHASE_STORE, &subscribers->flush);
    }
}

static void on_presence_changed(void *arg, struct watched_name *presence, bool first)
{
    struct turntable_subscribers *subscribers = arg;
    bool due = false;
    LIST_FOREACH (node, presence_watches(presence)) {
        struct watch *watch = watch_of(node);
        if (!watch->of) {
            continue;
        }
        if (first && watch->awaited > 0) {
            turntable_answer_check_soon(watch->of);
        }
        due = due || is_watch_due(watch);
    }
    if (due) {
        note_changed_presence(subscribers, presence);
    }
}

static const struct presence_callbacks callbacks = {.changed = on_presence_changed};

void turntable_presence_begin(struct turntable_subscribers *subscribers)
{
    struct loop *loop = subscribers->service->common.loop;
    subscribers->presence = presence_set_create(subscribers->space, &callbacks, subscribers);
    subscribers->flush = (struct loop_task){.callback = on_presence_flush, .arg = subscribers};
    subscribers->window_timer = loop_timer_create(loop, on_window_end, subscribers);
}

void turntable_presence_free(struct turntable_subscribers *subscribers)
{
    struct changed *changed, *next;
    HASH_ITER (hh, subscribers->changed, changed, next) {
        drop_changed(subscribers, changed);
    }
    loop_cancel(subscribers->service->common.loop, &subscribers->flush);
    loop_timer_destroy(&subscribers->window_timer);
    presence_set_destroy(&subscribers->presence);
}

/* Subscriptions. */

static struct subscriptions *subscriptions_of(struct turntable_session *session)
{
    struct subscriptions *subscriptions = session->subscriptions;
    if (subscriptions) {
        return subscriptions;
    }
    subscriptions = mem_zalloc(1, sizeof *subscriptions);
    subscriptions->session = session;
    if (!conn_shares_address(turntable_conn(session))) {
        subscriptions->account = presence_account_open(session->port->subscribers->presence,
                                                       conn_peer(turntable_conn(session)));
    }
    list_init(&subscriptions->answering);
    list_init(&subscriptions->answers);
    session->subscriptions = subscriptions;
    return subscriptions;
}

/* Frees them when the last is gone. */
static void release_subscriptions(struct turntable_session *session)
{
    struct subscriptions *subscriptions = session->subscriptions;
    if (!subscriptions || subscriptions->count > 0 || !list_is_empty(&subscriptions->answers)) {
        return;
    }
    list_remove(&subscriptions->answering);
    presence_account_close(&subscriptions->account);
    free(subscriptions->watches);
    free(subscriptions);
    session->subscriptions = NULL;
}

static struct bytes watched_name(const struct watch *watch)
{
    return presence_name(watch->at.presence);
}

static int compare_watches(const void *a, const void *b)
{
    const struct watch *const *left = a, *const *right = b;
    return bytes_compare(watched_name(*left), watched_name(*right));
}

/* How many of the first count are before the name. */
static size_t watches_before(const struct subscriptions *subscriptions, size_t count,
                             struct bytes name)
{
    size_t low = 0, high = count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (bytes_compare(watched_name(subscriptions->watches[middle]), name) < 0) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

static struct watch *find_watch(const struct subscriptions *subscriptions, struct bytes name)
{
    size_t place = watches_before(subscriptions, subscriptions->count, name);
    struct watch *watch = place < subscriptions->count ? subscriptions->watches[place] : NULL;
    return watch && bytes_equal(watched_name(watch), name) ? watch : NULL;
}

static struct watch *create_watch(struct subscriptions *subscriptions, struct bytes name)
{
    struct watch *watch = mem_zalloc(1, sizeof *watch);
    watch->of = subscriptions;
    watch->sent = SENT_NOTHING;
    watch->at.account = subscriptions->account;
    presence_watch(subscriptions->session->port->subscribers->presence, name, &watch->at);
    metrics_add(METRIC_TURNTABLE_SUBSCRIPTIONS, 1);
    return watch;
}

static void free_watch(struct watch *watch)
{
    presence_unwatch(&watch->at);
    metrics_add(METRIC_TURNTABLE_SUBSCRIPTIONS, -1);
    free(watch);
}

/* Sorts the new ones, and merges them into the sorted array. Each takes a search, and one move of
 * those that follow it. */
static void merge_watches(struct subscriptions *subscriptions, struct watch **fresh, size_t count)
{
    size_t old = subscriptions->count, to = old + count;
    struct watch **watches =
        mem_realloc(subscriptions->watches, (to > 0 ? to : 1) * sizeof(struct watch *));
    subscriptions->watches = watches;
    subscriptions->count = to;
    qsort(fresh, count, sizeof(struct watch *), compare_watches);
    while (count > 0) {
        size_t place = watches_before(subscriptions, old, watched_name(fresh[count - 1]));
        memmove(watches + place + count, watches + place, (old - place) * sizeof *watches);
        old = place;
        count--;
        watches[place + count] = fresh[count];
    }
}

/* What the message would add: watches, and the bytes that they take. */
static size_t count_fresh(const struct subscriptions *subscriptions,
                          const struct turntable_message *message, size_t *bytes)
{
    const struct presence_set *set = subscriptions->session->port->subscribers->presence;
    size_t count = 0;
    *bytes = 0;
    for (size_t i = 0; i < message->id_count; i++) {
        if (!find_watch(subscriptions, message->ids[i])) {
            count++;
            *bytes += presence_cost(set, message->ids[i]);
        }
    }
    return count;
}

/* NULL, or why the session may not have so many more. */
static const char *refuse_subscriptions(const struct subscriptions *subscriptions, size_t count,
                                        size_t bytes)
{
    const struct turntable_port *port = subscriptions->session->port;
    if (count == 0) {
        return NULL;
    }
    if (subscriptions->count + count > (uint64_t)port->settings->max_subscriptions) {
        return "more subscriptions than allowed";
    }
    return presence_refuses(port->subscribers->presence, subscriptions->account, bytes);
}

void turntable_presence_subscribe(struct turntable_session *session,
                                  const struct turntable_message *message)
{
    const struct turntable_settings *settings = session->port->settings;
    struct subscriptions *subscriptions = subscriptions_of(session);
    struct watch **all, **fresh;
    size_t bytes, added = count_fresh(subscriptions, message, &bytes), count = 0;
    const char *why = refuse_subscriptions(subscriptions, added, bytes);
    if (why) {
        turntable_message_refuse(session, TURNTABLE_CODE_LIMIT, why, "subscribe");
        release_subscriptions(session);
        return;
    }
    session->port->subscribers->window = settings->window;
    all = mem_zalloc(message->id_count + 1, sizeof(struct watch *));
    fresh = mem_zalloc(added + 1, sizeof(struct watch *));
    for (size_t i = 0; i < message->id_count; i++) {
        all[i] = find_watch(subscriptions, message->ids[i]);
        if (!all[i]) {
            all[i] = fresh[count++] = create_watch(subscriptions, message->ids[i]);
        }
    }
    merge_watches(subscriptions, fresh, count);
    turntable_answer_expect(subscriptions, all, message->id_count);
    release_subscriptions(session);
    free(fresh);
    free(all);
}

static int compare_places(const void *a, const void *b)
{
    size_t left = *(const size_t *)a, right = *(const size_t *)b;
    return (left > right) - (left < right);
}

/* The places of the message's ids, in order, all marked as removed. Returns how many. */
static size_t mark_removed(const struct subscriptions *subscriptions,
                           const struct turntable_message *message, size_t *places, bool *awaited)
{
    size_t count = 0;
    *awaited = false;
    for (size_t i = 0; i < message->id_count; i++) {
        size_t place = watches_before(subscriptions, subscriptions->count, message->ids[i]);
        if (place == subscriptions->count ||
            !bytes_equal(watched_name(subscriptions->watches[place]), message->ids[i])) {
            continue;
        }
        struct watch *watch = subscriptions->watches[place];
        watch->removed = true;
        *awaited = *awaited || watch->awaited > 0;
        places[count++] = place;
    }
    qsort(places, count, sizeof *places, compare_places);
    return count;
}

/* Frees the watches at these places, and closes the gaps. */
static void remove_watches(struct subscriptions *subscriptions, const size_t *places, size_t count)
{
    struct watch **watches = subscriptions->watches;
    size_t kept = count > 0 ? places[0] : subscriptions->count;
    for (size_t i = 0; i < count; i++) {
        size_t from = places[i] + 1, end = i + 1 < count ? places[i + 1] : subscriptions->count;
        free_watch(watches[places[i]]);
        memmove(watches + kept, watches + from, (end - from) * sizeof *watches);
        kept += end - from;
    }
    subscriptions->count = kept;
}

void turntable_presence_unsubscribe(struct turntable_session *session,
                                    const struct turntable_message *message)
{
    struct subscriptions *subscriptions = session->subscriptions;
    size_t *places, count;
    bool awaited;
    if (!subscriptions) {
        return;
    }
    places = mem_alloc((message->id_count + 1) * sizeof *places);
    count = mark_removed(subscriptions, message, places, &awaited);
    if (awaited) {
        turntable_answer_forget_removed(subscriptions);
    }
    remove_watches(subscriptions, places, count);
    free(places);
    if (!list_is_empty(&subscriptions->answers)) {
        turntable_answer_check_soon(subscriptions);
    }
    release_subscriptions(session);
}

void turntable_presence_send(struct turntable_session *session, struct watch *const *watches,
                             size_t count)
{
    struct turntable_change changes[TURNTABLE_CHUNK];
    struct writer text = {0};
    size_t n;
    do {
        for (n = 0; n < count && n < TURNTABLE_CHUNK; n++) {
            enum map_status status = presence_status(watches[n]->at.presence);
            changes[n] =
                (struct turntable_change){watched_name(watches[n]), (enum turntable_status)status};
            watches[n]->sent = (uint8_t)status;
        }
        writer_reset(&text);
        (void)turntable_write_userchange(&text, changes, n);
        turntable_send(session, METRIC_TURNTABLE_USERCHANGE, &text);
        watches += n;
        count -= n;
    } while (count > 0);
    writer_free(&text);
}

void turntable_presence_drained(struct turntable_session *session)
{
    struct subscriptions *subscriptions = session->subscriptions;
    struct watch **due;
    size_t count = 0;
    if (!subscriptions || !subscriptions->backlogged) {
        return;
    }
    subscriptions->backlogged = false;
    due = mem_zalloc(subscriptions->count + 1, sizeof(struct watch *));
    for (size_t i = 0; i < subscriptions->count; i++) {
        if (is_watch_due(subscriptions->watches[i])) {
            due[count++] = subscriptions->watches[i];
        }
    }
    if (count > 0) {
        turntable_presence_send(session, due, count);
    }
    free(due);
}

void turntable_presence_end(struct turntable_session *session)
{
    struct subscriptions *subscriptions = session->subscriptions;
    if (!subscriptions) {
        return;
    }
    turntable_answer_drop_all(subscriptions);
    for (size_t i = 0; i < subscriptions->count; i++) {
        free_watch(subscriptions->watches[i]);
    }
    subscriptions->count = 0;
    release_subscriptions(session);
}
