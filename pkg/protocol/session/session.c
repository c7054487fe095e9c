/* session: see the header. */
#include "protocol/session/session.h"

#include <assert.h>

static struct list *unlink_first(struct list *list)
{
    struct list *link = list->next;
    list_remove(link);
    return link;
}

static void end_later_sessions(void *arg)
{
    struct protocol_service *service = arg;
    while (!list_is_empty(&service->ending)) {
        service->callbacks->end(unlink_first(&service->ending));
    }
}

void protocol_service_init(struct protocol_service *service, struct map *map, struct loop *loop,
                           const struct protocol_callbacks *callbacks)
{
    *service = (struct protocol_service){.map = map, .loop = loop, .callbacks = callbacks};
    list_init(&service->sessions);
    list_init(&service->ending);
    service->end_task = (struct loop_task){.callback = end_later_sessions, .arg = service};
}

void protocol_service_free(struct protocol_service *service)
{
    assert(service->ports == 0 && service->count == 0);
    loop_cancel(service->loop, &service->end_task);
}

void protocol_service_join(struct protocol_service *service, struct list *link)
{
    list_init(link);
    list_append(&service->sessions, link);
    service->count++;
}

void protocol_service_leave(struct protocol_service *service, struct list *link)
{
    list_remove(link);
    service->count--;
}

void protocol_service_end_later(struct protocol_service *service, struct list *link)
{
    list_remove(link);
    list_append(&service->ending, link);
    loop_defer(service->loop, LOOP_PHASE_STORE, &service->end_task);
}

size_t protocol_service_drain(struct protocol_service *service, size_t count,
                              enum conn_close_reason why)
{
    size_t ended = 0;
    for (; ended < count && !list_is_empty(&service->sessions); ended++) {
        service->callbacks->drain(unlink_first(&service->sessions), why);
    }
    return ended;
}

void protocol_stop_reading(uint8_t *stops, unsigned reason, struct conn *conn)
{
    if (*stops == 0) {
        conn_pause_reading(conn);
    }
    *stops |= (uint8_t)reason;
}

void protocol_resume_reading(uint8_t *stops, unsigned reason, struct conn *conn)
{
    if (!(*stops & reason)) {
        return;
    }
    *stops &= (uint8_t)~reason;
    if (*stops == 0) {
        conn_resume_reading(conn);
    }
}

uint32_t error_budget_spend(struct error_budget *budget, uint64_t now_ms, int64_t window_ms)
{
    uint32_t now = (uint32_t)now_ms;
    if (budget->count == 0 || now - budget->since >= (uint64_t)window_ms) {
        *budget = (struct error_budget){.since = now};
    }
    return ++budget->count;
}
