/* supervised: see the header. */
#include "supervisor/supervised.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "base/list.h"
#include "base/log.h"
#include "base/mem.h"
#include "metrics/board.h"
#include "supervisor/control.h"

struct inherited_socket {
    struct list link;
    char *listener;
    unsigned nth;
    int fd; /* -1: taken */
};

struct supervised {
    unsigned index, count;
    char *name;
    char *redis;
    struct list sockets;
    struct loop_io *io;
    const struct supervised_callbacks *callbacks;
    void *arg;
    struct control_message message; /* being received */
};

static unsigned read_number(const char *text)
{
    return (unsigned)strtoul(text, NULL, 10);
}

static void keep_socket(struct supervised *supervised, const struct control_message *message)
{
    struct inherited_socket *socket = mem_zalloc(1, sizeof *socket);
    socket->listener = mem_strdup(message->words[1]);
    socket->nth = read_number(message->words[2]);
    socket->fd = message->fd;
    list_append(&supervised->sockets, &socket->link);
}

static char *accept_start(struct supervised *supervised, const struct control_message *message)
{
    if (message->count < 2 || strcmp(message->words[0], "start") != 0) {
        return mem_strdup("--worker is for the supervisor of --workers");
    }
    if (strcmp(message->words[1], CONTROL_FORMAT) != 0 || message->count != 7 || message->fd < 0) {
        return mem_format("the supervisor is of another release, whose workers get format %s, and "
                          "these need %s: restart it",
                          message->words[1], CONTROL_FORMAT);
    }
    supervised->index = read_number(message->words[2]);
    supervised->count = read_number(message->words[3]);
    supervised->name = mem_strdup(message->words[4]);
    supervised->redis = mem_strdup(message->words[5]);
    const bool joined = board_join(message->fd, supervised->index, read_number(message->words[6]));
    const int reason = errno;
    close(message->fd);
    return joined ? NULL
                  : mem_format("the supervisor's shared memory cannot be used: %s; restart it",
                               strerror(reason));
}

/* Everything up to `run`. */
static char *receive_start(struct supervised *supervised)
{
    struct control_message *message = &supervised->message;
    char *error = NULL;
    if (control_receive(CONTROL_FD, true, message) != CONTROL_RECEIVED) {
        return mem_strdup("--worker is for the supervisor of --workers");
    }
    error = accept_start(supervised, message);
    while (!error) {
        if (control_receive(CONTROL_FD, true, message) != CONTROL_RECEIVED) {
            error = mem_strdup("the supervisor has ended");
        } else if (control_is(message, "socket", 2) && message->fd >= 0) {
            keep_socket(supervised, message);
        } else if (control_is(message, "run", 0)) {
            return NULL;
        } else {
            error = mem_strdup("the supervisor sends an unexpected message");
        }
    }
    return error;
}

struct supervised *supervised_join(char **error)
{
    struct supervised *supervised = mem_zalloc(1, sizeof *supervised);
    list_init(&supervised->sockets);
    /* It was executed by a descriptor, whose number would be its name. */
    (void)prctl(PR_SET_NAME, "trackerd");
    *error = receive_start(supervised);
    if (*error) {
        supervised_destroy(&supervised);
    }
    return supervised;
}

void supervised_destroy(struct supervised **pointer)
{
    struct supervised *supervised = *pointer;
    *pointer = NULL;
    if (!supervised) {
        return;
    }
    while (!list_is_empty(&supervised->sockets)) {
        struct inherited_socket *socket =
            list_entry(supervised->sockets.next, struct inherited_socket, link);
        if (socket->fd >= 0) {
            close(socket->fd);
        }
        list_remove(&socket->link);
        free(socket->listener);
        free(socket);
    }
    free(supervised->name);
    free(supervised->redis);
    free(supervised);
}

unsigned supervised_index(const struct supervised *supervised)
{
    return supervised->index;
}

unsigned supervised_count(const struct supervised *supervised)
{
    return supervised->count;
}

const char *supervised_name(const struct supervised *supervised)
{
    return supervised->name;
}

const char *supervised_redis(const struct supervised *supervised)
{
    return supervised->redis;
}

int supervised_take_socket(struct supervised *supervised, const char *listener, unsigned nth)
{
    LIST_FOREACH (node, &supervised->sockets) {
        struct inherited_socket *socket = list_entry(node, struct inherited_socket, link);
        if (socket->nth == nth && strcmp(socket->listener, listener) == 0) {
            const int fd = socket->fd;
            socket->fd = -1;
            return fd;
        }
    }
    return -1;
}

static void handle_message(struct supervised *supervised)
{
    const struct control_message *message = &supervised->message;
    if (control_is(message, "adopt", 3) && message->fd >= 0) {
        supervised->callbacks->adopt(supervised->arg, message->words[1],
                                     read_number(message->words[2]), message->fd,
                                     read_number(message->words[3]));
    } else if (control_is(message, "release", 1)) {
        supervised->callbacks->release(supervised->arg, read_number(message->words[1]));
    } else if (control_is(message, "retire", 0)) {
        supervised->callbacks->retire(supervised->arg, false);
    } else if (message->fd >= 0) {
        close(message->fd); /* of a later release */
    }
}

static void on_control(void *arg, unsigned events)
{
    struct supervised *supervised = arg;
    switch (control_receive(CONTROL_FD, false, &supervised->message)) {
    case CONTROL_RECEIVED:
        handle_message(supervised);
        break;
    case CONTROL_CLOSED:
        loop_io_destroy(&supervised->io);
        supervised->callbacks->retire(supervised->arg, true);
        break;
    case CONTROL_NOTHING:
    case CONTROL_INVALID:
        break;
    }
}

void supervised_watch(struct supervised *supervised, struct loop *loop,
                      const struct supervised_callbacks *callbacks, void *arg)
{
    supervised->callbacks = callbacks;
    supervised->arg = arg;
    supervised->io = loop_io_create(loop, CONTROL_FD, on_control, supervised);
    loop_io_set(supervised->io, LOOP_READ);
}

void supervised_unwatch(struct supervised *supervised)
{
    if (supervised) {
        loop_io_destroy(&supervised->io);
    }
}

static void report_to_supervisor(const char *verb)
{
    const char *const words[] = {verb, NULL};
    if (!control_send(CONTROL_FD, -1, words)) {
        log_warn("supervisor_unreachable", LOG_ERRNO(errno));
    }
}

void supervised_report_ready(struct supervised *supervised)
{
    report_to_supervisor("ready");
}

void supervised_report_draining(struct supervised *supervised)
{
    report_to_supervisor("draining");
}
