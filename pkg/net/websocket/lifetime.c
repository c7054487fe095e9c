/*
 * websocket_lifetime: a connection that ends at a time which is set beforehand, as that of a token.
 *
 * Few connections have one, so it is memory of its own.
 */
#include <stdlib.h>

#include "base/mem.h"
#include "net/websocket/websocket_private.h"

#define MS_MAX (100ull * 366 * 24 * 3600 * 1000) /* longer than any process lives */

struct websocket_lifetime {
    struct websocket *websocket;
    struct loop_timer *timer;
    enum websocket_code code;
    const char *reason;
};

static void on_lifetime_end(void *arg)
{
    struct websocket_lifetime *life = arg;
    struct websocket *websocket = life->websocket;
    if (websocket->state != WEBSOCKET_OPEN) {
        return;
    }
    log_limited(LOG_INFO, &websocket->port->closed_limit, "websocket_closed",
                LOG_STRING("peer", conn_peer_text(websocket->conn)), LOG_INT("code", life->code),
                LOG_STRING("reason", life->reason));
    websocket_close(websocket, life->code, life->reason);
}

void websocket_lifetime_drop(struct websocket *websocket)
{
    struct websocket_lifetime *life = websocket->life;
    websocket->life = NULL;
    if (!life) {
        return;
    }
    loop_timer_destroy(&life->timer);
    free(life);
}

static struct websocket_lifetime *create_lifetime(struct websocket *websocket)
{
    struct websocket_lifetime *life = mem_zalloc(1, sizeof *life);
    life->websocket = websocket;
    life->timer = loop_timer_create(net_loop(websocket->port->net), on_lifetime_end, life);
    return life;
}

void websocket_set_lifetime(struct websocket *websocket, uint64_t ms, enum websocket_code code,
                            const char *reason)
{
    if (ms == UINT64_MAX) {
        websocket_lifetime_drop(websocket);
        return;
    }
    if (!websocket->life) {
        websocket->life = create_lifetime(websocket);
    }
    websocket->life->code = code;
    websocket->life->reason = reason;
    loop_timer_start(websocket->life->timer, ms < MS_MAX ? ms : MS_MAX);
}
