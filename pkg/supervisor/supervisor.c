/* supervisor: see the header. */
#include "supervisor/supervisor.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "base/mem.h"
#include "supervisor/supervisor_private.h"

static void on_restart(void *arg)
{
    worker_slot_start(arg);
}

struct supervisor *supervisor_create(struct loop *loop, const struct supervisor_options *options,
                                     char **error)
{
    /* This file, also when another one gets its name. */
    const int program = open("/proc/self/exe", O_PATH | O_CLOEXEC);
    if (program < 0) {
        *error = mem_format("cannot open /proc/self/exe: %s", strerror(errno));
        return NULL;
    }
    int board_fd;
    struct board *board = board_create(options->count, &board_fd);
    if (!board) {
        *error = mem_format("cannot create shared memory: %s", strerror(errno));
        close(program);
        return NULL;
    }
    struct supervisor *supervisor = mem_zalloc(1, sizeof *supervisor);
    supervisor->loop = loop;
    supervisor->options = *options;
    supervisor->program = program;
    supervisor->board = board;
    supervisor->board_fd = board_fd;
    list_init(&supervisor->children);
    supervisor->slots = mem_zalloc(options->count, sizeof *supervisor->slots);
    for (unsigned i = 0; i < options->count; i++) {
        struct worker_slot *slot = &supervisor->slots[i];
        slot->supervisor = supervisor;
        slot->index = i + 1;
        slot->restart = loop_timer_create(loop, on_restart, slot);
    }
    return supervisor;
}

void supervisor_destroy(struct supervisor **pointer)
{
    struct supervisor *supervisor = *pointer;
    *pointer = NULL;
    if (!supervisor) {
        return;
    }
    while (!list_is_empty(&supervisor->children)) {
        worker_child_free(list_entry(supervisor->children.next, struct worker_child, link));
    }
    for (unsigned i = 0; i < supervisor->options.count; i++) {
        loop_timer_destroy(&supervisor->slots[i].restart);
    }
    board_destroy(&supervisor->board);
    if (supervisor->upgrade.is_active) {
        close(supervisor->upgrade.previous);
    }
    close(supervisor->program);
    free(supervisor->slots);
    free(supervisor);
}

void supervisor_start(struct supervisor *supervisor)
{
    for (unsigned i = 0; i < supervisor->options.count && !supervisor->stopping; i++) {
        worker_slot_start(&supervisor->slots[i]);
    }
}

/* A retiring one drains already: a signal would end it at once. */
static void terminate_children(const struct supervisor *supervisor, bool retiring)
{
    LIST_FOREACH (node, &supervisor->children) {
        const struct worker_child *child = list_entry(node, struct worker_child, link);
        if (retiring || !child->retiring) {
            (void)kill(child->pid, SIGTERM);
        }
    }
}

void supervisor_check_end(struct supervisor *supervisor)
{
    if (supervisor->stopping && list_is_empty(&supervisor->children)) {
        supervisor->options.ended(supervisor->options.arg, supervisor->exit_code);
    }
}

void supervisor_stop(struct supervisor *supervisor, int exit_code)
{
    if (supervisor->exit_code == 0) {
        supervisor->exit_code = exit_code;
    }
    if (!supervisor->stopping) {
        supervisor->options.stopping(supervisor->options.arg);
    }
    terminate_children(supervisor, supervisor->stopping);
    supervisor->stopping = true;
    for (unsigned i = 0; i < supervisor->options.count; i++) {
        loop_timer_stop(supervisor->slots[i].restart);
    }
    supervisor_check_end(supervisor);
}

void supervisor_set_sockets(struct supervisor *supervisor, const struct supervisor_socket *sockets,
                            size_t count)
{
    supervisor->options.sockets = sockets;
    supervisor->options.socket_count = count;
}

void supervisor_reload(struct supervisor *supervisor)
{
    for (unsigned i = 0; i < supervisor->options.count; i++) {
        struct worker_slot *slot = &supervisor->slots[i];
        if (slot->state == SLOT_SERVING) {
            (void)kill(slot->child->pid, SIGHUP);
        }
        slot->reload = slot->state == SLOT_STARTING || slot->next;
    }
}
