/* front: open, update and close, sent to a front-end by the Tracker protocol. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"
#include "client/tracker_client.h"
#include "ctl.h"
#include "output.h"

/* What fits into the versioned dialect is sent in it, as its answers are more precise; else in that
 * of 2013. */
#define SMALL        250
#define ITERATION_MS 100
#define BACKOFF_MAX  2000

struct front {
    struct ctl *ctl;
    struct tracker_client *client;
    struct loop_io *input;
    enum tracker_client_request request;
    struct bytes id, state;
    uint64_t version;
    bool connected; /* once */
    bool opened;    /* once */
    bool ending;    /* the entry is being closed */
    bool unheld;    /* the input has ended: the entry is to be closed */
    bool done;
    enum ctl_exit result;
};

static void finish_front(struct front *front, enum ctl_exit result)
{
    front->done = true;
    front->result = result;
}

static bool send_request(struct front *front)
{
    if (front->request == TRACKER_CLIENT_OPEN) {
        return tracker_client_open(front->client, front->state);
    }
    if (front->request == TRACKER_CLIENT_CLOSE) {
        return tracker_client_close(front->client, front->id);
    }
    return tracker_client_update(front->client, front->id, front->version, front->state);
}

static void on_front_connected(void *arg, bool again)
{
    struct front *front = arg;
    front->connected = true;
    if (again || front->done) {
        return;
    }
    if (!send_request(front)) {
        ctl_complain("the id or the state is too long for the protocol");
        finish_front(front, CTL_NO);
    }
}

static void on_disconnected(void *arg, const char *reason)
{
    struct front *front = arg;
    if (front->done) {
        return;
    }
    if (front->ending) {
        finish_front(front, CTL_OK); /* the entry expires by itself */
    } else if (front->opened) {
        ctl_note(front->ctl, "front-end %s: %s; trying again", front->ctl->connect, reason);
    } else {
        ctl_complain("front-end %s: %s", front->ctl->connect, reason);
        finish_front(front, CTL_UNREACHABLE);
    }
}

static void print_opened(struct front *front, struct bytes id, bool adopted)
{
    struct writer line = {0};
    if (front->ctl->json) {
        json_open(&line, NULL, '{');
        json_string(&line, "event", front->opened ? "again" : "opened");
        json_bytes(&line, "id", id);
        json_bool(&line, "adopted", adopted);
        json_close(&line, '}');
    } else {
        output_shown(&line, id);
    }
    json_print(&line);
    writer_free(&line);
    (void)ctl_flush(front->ctl);
}

static void on_front_opened(void *arg, struct bytes id, bool adopted)
{
    struct front *front = arg;
    if (front->opened) {
        ctl_note(front->ctl, "connected again");
    }
    /* As text only a different id is printed. */
    if (front->ctl->json || !adopted) {
        print_opened(front, id, adopted);
    }
    front->opened = true;
}

static const char *verb_of(enum tracker_client_request request)
{
    static const char *const verbs[] = {"open", "update", "close", "get"};
    return verbs[request];
}

static void on_replied(void *arg, enum tracker_client_request request,
                       enum tracker_client_outcome outcome)
{
    struct front *front = arg;
    if (front->done) {
        return;
    }
    if (front->ending && request == TRACKER_CLIENT_CLOSE) {
        finish_front(front, CTL_OK);
    } else if (outcome == TRACKER_CLIENT_REFUSED && !front->opened) {
        ctl_complain("the front-end refuses the %s", verb_of(request));
        finish_front(front, CTL_NO);
    } else if (outcome == TRACKER_CLIENT_ACCEPTED && request == front->request &&
               request != TRACKER_CLIENT_OPEN) {
        finish_front(front, CTL_OK);
    }
    /* on_disconnected reports a loss. */
}

static const struct tracker_client_events events = {.connected = on_front_connected,
                                                    .disconnected = on_disconnected,
                                                    .opened = on_front_opened,
                                                    .replied = on_replied};

static bool create_client(struct front *front)
{
    struct ctl *ctl = front->ctl;
    if (!ctl->connect) {
        ctl->connect = CTL_DEFAULT_CONNECT;
    }
    bool is_small = front->id.len + front->state.len <= SMALL && front->version <= UINT8_MAX;
    /* Our time-out is the shorter one: it names what is late. */
    uint32_t timeout = (uint32_t)ctl->timeout_ms + 1000;
    const struct tracker_client_options client_options = {
        .target = ctl->connect,
        .dialect = is_small ? TRACKER_VERSIONED : TRACKER_2013,
        .acknowledge_pushes = true,
        .reconnect = front->request == TRACKER_CLIENT_OPEN,
        .connect_timeout_ms = timeout,
        .reply_timeout_ms = timeout,
        .backoff_max_ms = BACKOFF_MAX,
        .max_output = 64 << 20};
    char *error = NULL;
    front->client = tracker_client_create(ctl->loop, &client_options, &events, front, &error);
    if (front->client) {
        return true;
    }
    ctl_complain("--connect %s: %s", ctl->connect, error);
    free(error);
    return false;
}

/* Connects and sends the request; runs until it is answered, or, with `open`, until a signal. */
static enum ctl_exit run_front(struct front *front, uint64_t patience_ms)
{
    struct ctl *ctl = front->ctl;
    uint64_t until = loop_now_ms(ctl->loop) + patience_ms;
    ctl_note(ctl, "via front-end %s", ctl->connect);
    tracker_client_start(front->client);
    while (!front->done && !ctl->stopped && !(front->unheld && front->opened)) {
        loop_iterate(ctl->loop, ITERATION_MS);
        if (!front->done && !front->opened && loop_now_ms(ctl->loop) >= until) {
            ctl_complain("front-end %s does not answer", ctl->connect);
            finish_front(front, front->connected ? CTL_LATE : CTL_UNREACHABLE);
        }
    }
    return front->result;
}

static void front_free(struct front *front)
{
    loop_io_destroy(&front->input);
    tracker_client_destroy(&front->client);
    ctl_argument_free(&front->id);
    ctl_argument_free(&front->state);
}

/* open */

/* The end of standard input ends the command: the end of a pipe, or Ctrl-D. A process in the
 * background may not read its terminal. */
static void on_input(void *arg, unsigned ready)
{
    struct front *front = arg;
    char ignored[512];
    if (isatty(STDIN_FILENO) && tcgetpgrp(STDIN_FILENO) != getpgrp()) {
        loop_io_set(front->input, 0);
        return;
    }
    ssize_t count = read(STDIN_FILENO, ignored, sizeof ignored);
    if (count == 0 || (count < 0 && errno != EAGAIN && errno != EINTR)) {
        loop_io_set(front->input, 0);
        front->unheld = true;
    }
}

/* Neither /dev/null nor a file: they end at once. */
static void watch_input(struct front *front)
{
    struct stat status;
    if (fstat(STDIN_FILENO, &status) != 0 ||
        !(S_ISFIFO(status.st_mode) || S_ISSOCK(status.st_mode) || isatty(STDIN_FILENO))) {
        return;
    }
    front->input = loop_io_create(front->ctl->loop, STDIN_FILENO, on_input, front);
    loop_io_set(front->input, LOOP_READ);
}

/* Closes the entry, so that it does not wait for our return. */
static void end_entry(struct front *front)
{
    struct ctl *ctl = front->ctl;
    uint64_t until = loop_now_ms(ctl->loop) + (uint64_t)ctl->timeout_ms;
    front->ending = true;
    if (!tracker_client_is_connected(front->client) ||
        !tracker_client_close(front->client, tracker_client_entry_id(front->client))) {
        return;
    }
    while (!front->done && loop_now_ms(ctl->loop) < until) {
        loop_iterate(ctl->loop, ITERATION_MS);
    }
}

enum ctl_exit command_open(struct ctl *ctl, int count, char **arguments)
{
    struct front front = {.ctl = ctl, .request = TRACKER_CLIENT_OPEN};
    enum ctl_exit result = CTL_USAGE;
    if (ctl_argument(ctl, arguments[0], &front.state) && create_client(&front)) {
        ctl_listen_for_signals(ctl);
        watch_input(&front);
        result = run_front(&front, (uint64_t)ctl->timeout_ms);
        if (result == CTL_OK && front.opened) {
            end_entry(&front);
        }
    }
    front_free(&front);
    return result;
}

/* update and close */

static bool parse_version(const char *text, uint64_t *version)
{
    char *end;
    errno = 0;
    *version = strtoull(text, &end, 10);
    if (*text >= '0' && *text <= '9' && *end == 0 && errno == 0 && *version <= INT64_MAX) {
        return true;
    }
    ctl_complain("VERSION: \"%s\" is not a number from 0 to %lld", text, (long long)INT64_MAX);
    return false;
}

enum ctl_exit command_update(struct ctl *ctl, int count, char **arguments)
{
    struct front front = {.ctl = ctl, .request = TRACKER_CLIENT_UPDATE};
    enum ctl_exit result = CTL_USAGE;
    if (ctl_id(ctl, arguments[0], &front.id) && parse_version(arguments[1], &front.version) &&
        ctl_argument(ctl, arguments[2], &front.state) && create_client(&front)) {
        result = run_front(&front, (uint64_t)ctl->timeout_ms);
    }
    front_free(&front);
    return result;
}

enum ctl_exit command_close(struct ctl *ctl, int count, char **arguments)
{
    struct front front = {.ctl = ctl, .request = TRACKER_CLIENT_CLOSE};
    enum ctl_exit result = CTL_USAGE;
    if (ctl_id(ctl, arguments[0], &front.id) && create_client(&front)) {
        result = run_front(&front, (uint64_t)ctl->timeout_ms);
    }
    front_free(&front);
    return result;
}
