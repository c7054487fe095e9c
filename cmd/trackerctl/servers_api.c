/* servers_api: see servers_api.h. */
#include "servers_api.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "stream/connector.h"

#define SCHEME       "http://"
#define PORT         80
#define RECEIVE_MAX  65536
#define ITERATION_MS 1000

struct servers_api {
    struct ctl *ctl;
    struct stream_connector *connector;
    struct stream_socket *socket;
    struct loop_timer *timer; /* runs from the connection on, restarted by each read */
    struct writer request;
    size_t sent;
    struct writer *answer;
    bool done;
    char *problem;
};

bool servers_api_is_target(const char *target)
{
    return strncmp(target, SCHEME, strlen(SCHEME)) == 0;
}

/* Splits the target into the host, which the caller frees, and the port; false when it is
 * malformed. */
static bool split_api_target(const char *target, char **host, uint16_t *port)
{
    const char *at = target + strlen(SCHEME);
    size_t len = strcspn(at, "/");
    const char *colon = memrchr(at, ':', len), *bracket = memrchr(at, ']', len);
    unsigned long number = PORT;

    if (colon && !(bracket && colon < bracket)) {
        size_t digits = strspn(colon + 1, "0123456789");

        number = strtoul(colon + 1, NULL, 10);
        if (digits == 0 || digits > 5 || colon + 1 + digits != at + len || number == 0 ||
            number > UINT16_MAX) {
            return false;
        }
        len = (size_t)(colon - at);
    }
    if (len >= 2 && at[0] == '[' && at[len - 1] == ']') {
        at++;
        len -= 2;
    }
    *host = mem_format("%.*s", (int)len, at);
    *port = (uint16_t)number;
    return true;
}

static void finish_api(struct servers_api *api, const char *problem)
{
    if (api->done) { /* the timer and the end of the answer may come in one event-loop iteration */
        return;
    }
    api->done = true;
    api->problem = problem ? mem_strdup(problem) : NULL;
}

static void on_api_timeout(void *arg)
{
    finish_api(arg, "no answer in time");
}

/* False when there is nothing more to do now. */
static bool send_api_request(struct servers_api *api)
{
    while (api->sent < api->request.len) {
        ssize_t n = stream_socket_write(api->socket, api->request.data + api->sent,
                                        api->request.len - api->sent);

        if (n < 0 && errno != EAGAIN) {
            finish_api(api, stream_socket_error(api->socket));
        }
        if (n < 0) {
            return false;
        }
        api->sent += (size_t)n;
    }
    stream_socket_want_write(api->socket, false);
    return true;
}

static void receive_api_answer(struct servers_api *api)
{
    uint8_t *to = writer_reserve(api->answer, RECEIVE_MAX);
    ssize_t n = stream_socket_read(api->socket, to, RECEIVE_MAX);

    api->answer->len -= RECEIVE_MAX - (size_t)(n > 0 ? n : 0);
    if (n == 0) {
        finish_api(api, NULL);
    } else if (n < 0 && errno != EAGAIN) {
        finish_api(api, stream_socket_error(api->socket));
    } else if (api->answer->len > SERVERS_API_ANSWER_MAX) {
        finish_api(api, "the answer is too long");
    } else if (n > 0) {
        loop_timer_start(api->timer, (uint64_t)api->ctl->timeout_ms);
    }
}

static void on_api_ready(void *arg, unsigned events)
{
    struct servers_api *api = arg;

    if (!api->done && send_api_request(api) && (events & LOOP_READ) != 0) {
        receive_api_answer(api);
    }
}

static void on_api_connected(void *arg, struct stream_socket *socket)
{
    struct servers_api *api = arg;

    api->socket = socket;
    stream_socket_hand_over(socket, on_api_ready, api);
    stream_socket_want_write(socket, true);
    loop_timer_start(api->timer, (uint64_t)api->ctl->timeout_ms);
}

static void on_api_not_connected(void *arg, const struct stream_failure *failure)
{
    finish_api(arg, failure->timed_out ? "no answer in time" : failure->reason);
}

static const struct stream_connector_events connector_events = {.connected = on_api_connected,
                                                                .failed = on_api_not_connected};

char *servers_api_read(struct ctl *ctl, const char *target, struct writer *answer)
{
    struct servers_api api = {.ctl = ctl, .answer = answer};
    struct stream_request request = {.step_ms = (uint64_t)ctl->timeout_ms};
    char *host;

    if (!split_api_target(target, &host, &request.port)) {
        return mem_strdup("the port is not a number from 1 to 65535");
    }
    request.host = host;
    writer_format(&api.request,
                  "GET /api/v1/servers HTTP/1.1\r\nHost: %s\r\n"
                  "Accept: application/json\r\nConnection: close\r\n\r\n",
                  strchr(host, ':') ? "localhost" : host);
    api.timer = loop_timer_create(ctl->loop, on_api_timeout, &api);
    api.connector = stream_connector_start(ctl->loop, &request, &connector_events, &api);
    while (!api.done && !ctl->stopped) {
        loop_iterate(ctl->loop, ITERATION_MS);
    }
    if (!api.done) {
        finish_api(&api, "stopped");
    }
    stream_connector_destroy(&api.connector);
    stream_socket_close(&api.socket, false);
    loop_timer_destroy(&api.timer);
    writer_free(&api.request);
    free(host);
    return api.problem;
}
