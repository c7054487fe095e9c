/*
 * child: a worker's process. A pidfd in the loop reports its exit, and we wait for its pid only. It
 * runs in its own process group, so that Ctrl-C in a terminal reaches it only through us.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/log.h"
#include "base/mem.h"
#include "supervisor/supervisor_private.h"

static void reset_child_signals(void)
{
    struct sigaction standard = {.sa_handler = SIG_DFL};
    sigset_t none;
    for (int number = 1; number < NSIG; number++) {
        (void)sigaction(number, &standard, NULL);
    }
    sigemptyset(&none);
    (void)sigprocmask(SIG_SETMASK, &none, NULL);
}

/* In the child: only async-signal-safe calls. The program's descriptor is closed by execve. */
static void execute_worker(int program, int control, char *const *arguments,
                           char *const *environment)
{
    reset_child_signals();
    const int source = fcntl(program, F_DUPFD_CLOEXEC, CONTROL_FD + 1);
    if (setpgid(0, 0) == 0 && source >= 0 && dup2(control, CONTROL_FD) == CONTROL_FD &&
        fcntl(CONTROL_FD, F_SETFD, 0) == 0) {
        for (int fd = CONTROL_FD + 1; fd < source; fd++) {
            close(fd);
        }
        (void)syscall(SYS_close_range, source + 1, ~0u, 0);
        (void)syscall(SYS_execveat, source, "", arguments, environment, AT_EMPTY_PATH);
    }
    _exit(127);
}

/* "trackerd --worker K ARGUMENTS...". The caller frees the list and its third element. */
static char **make_arguments(const struct worker_slot *slot)
{
    char *const *given = slot->supervisor->options.arguments;
    size_t count = 0;
    while (given[count]) {
        count++;
    }
    char **arguments = mem_zalloc(count + 4, sizeof *arguments);
    arguments[0] = (char *)(uintptr_t)slot->supervisor->options.program;
    arguments[1] = (char *)(uintptr_t) "--worker";
    arguments[2] = mem_format("%u", slot->index);
    memcpy(arguments + 3, given, count * sizeof *given);
    return arguments;
}

/* Without what systemd gave to us alone. The caller frees the list. */
static char **make_environment(void)
{
    size_t count = 0, kept = 0;
    while (environ[count]) {
        count++;
    }
    char **environment = mem_zalloc(count + 1, sizeof *environment);
    for (size_t i = 0; i < count; i++) {
        if (strncmp(environ[i], "NOTIFY_SOCKET=", 14) != 0 &&
            strncmp(environ[i], "WATCHDOG_", 9) != 0) {
            environment[kept++] = environ[i];
        }
    }
    return environment;
}

static pid_t fork_worker(const struct worker_slot *slot, int control)
{
    char **arguments = make_arguments(slot), **environment = make_environment();
    const pid_t pid = fork();
    if (pid == 0) {
        execute_worker(slot->supervisor->program, control, arguments, environment);
    }
    free(arguments[2]);
    free(arguments);
    free(environment);
    return pid;
}

static void on_worker_exit(void *arg, unsigned events)
{
    struct worker_child *child = arg;
    int status;
    if (waitpid(child->pid, &status, WNOHANG) == child->pid) {
        worker_slot_on_exit(child, status);
    }
}

static void on_worker_control(void *arg, unsigned events)
{
    struct worker_child *child = arg;
    struct control_message *message = &child->slot->supervisor->message;
    switch (control_receive(child->control, false, message)) {
    case CONTROL_RECEIVED:
        if (message->fd >= 0) {
            close(message->fd);
        }
        if (control_is(message, "ready", 0)) {
            worker_slot_on_ready(child);
        } else if (control_is(message, "draining", 0)) {
            worker_slot_on_draining(child);
        }
        break;
    case CONTROL_CLOSED:
        loop_io_set(child->control_io, 0); /* its exit follows */
        break;
    case CONTROL_NOTHING:
    case CONTROL_INVALID:
        break;
    }
}

/* What the kernel does not take at once is more than any worker needs. */
static bool send_start(const struct worker_child *child)
{
    const struct worker_slot *slot = child->slot;
    const struct supervisor_options *options = &slot->supervisor->options;
    char *index = mem_format("%u", slot->index), *count = mem_format("%u", options->count);
    char *name = mem_format("%s-%u", options->name, slot->index);
    char *area = mem_format("%u", child->area);
    const char *const start[] = {"start", CONTROL_FORMAT, index, count,
                                 name,    options->redis, area,  NULL};
    bool sent = control_send(child->control, slot->supervisor->board_fd, start);
    for (size_t i = 0; sent && i < options->socket_count; i++) {
        const struct supervisor_socket *socket = &options->sockets[i];
        char *nth = mem_format("%u", socket->nth);
        const char *const words[] = {"socket", socket->listener, nth, NULL};
        sent = control_send(child->control, socket->fds[socket->is_shared ? 0 : slot->index - 1],
                            words);
        free(nth);
    }
    const char *const run[] = {"run", NULL};
    sent = sent && control_send(child->control, -1, run);
    free(index);
    free(count);
    free(name);
    free(area);
    return sent;
}

/* One of the two that none of its processes uses. */
static unsigned choose_area(const struct worker_slot *slot)
{
    const unsigned first = 2 * (slot->index - 1);
    LIST_FOREACH (node, &slot->supervisor->children) {
        const struct worker_child *child = list_entry(node, struct worker_child, link);
        if (child->slot == slot && child->area == first) {
            return first + 1;
        }
    }
    return first;
}

static struct worker_child *create_child(struct worker_slot *slot, pid_t pid, int control,
                                         unsigned area)
{
    struct loop *loop = slot->supervisor->loop;
    struct worker_child *child = mem_zalloc(1, sizeof *child);
    child->slot = slot;
    child->pid = pid;
    child->control = control;
    child->area = area;
    child->generation = slot->supervisor->generation;
    child->pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
    list_append(&slot->supervisor->children, &child->link);
    child->exit_io = loop_io_create(loop, child->pidfd, on_worker_exit, child);
    loop_io_set(child->exit_io, LOOP_READ);
    child->control_io = loop_io_create(loop, control, on_worker_control, child);
    loop_io_set(child->control_io, LOOP_READ);
    return child;
}

struct worker_child *worker_child_start(struct worker_slot *slot)
{
    const unsigned area = choose_area(slot);
    int control[2];
    board_clear(slot->supervisor->board, area);
    slot->starts++;
    if (!control_open(control)) {
        log_error("worker_not_started", LOG_INT("worker", slot->index), LOG_ERRNO(errno));
        return NULL;
    }
    const pid_t pid = fork_worker(slot, control[1]);
    const int error = errno;
    close(control[1]);
    if (pid < 0) {
        close(control[0]);
        log_error("worker_not_started", LOG_INT("worker", slot->index), LOG_ERRNO(error));
        return NULL;
    }
    struct worker_child *child = create_child(slot, pid, control[0], area);
    if (!send_start(child)) {
        log_error("worker_not_started", LOG_INT("worker", slot->index), LOG_ERRNO(errno));
        (void)kill(pid, SIGKILL); /* its exit is reported as that of any other */
    } else {
        log_info("worker_started", LOG_INT("worker", slot->index), LOG_INT("pid", pid));
    }
    return child;
}

void worker_child_free(struct worker_child *child)
{
    loop_io_destroy(&child->exit_io);
    loop_io_destroy(&child->control_io);
    close(child->pidfd);
    close(child->control);
    list_remove(&child->link);
    free(child);
}
