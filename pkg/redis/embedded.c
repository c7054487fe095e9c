/*
 * embedded: a redis-server as our child.
 *
 * A pidfd in the loop reports its exit, and we wait for its pid only. It runs in its own process
 * group, so that Ctrl-C in a terminal does not reach it: it must outlive our drain. After SIGTERM,
 * from redis_embedded_stop or from the kernel when we die, it completes its append-only file. A
 * data directory is locked through a descriptor that only the server keeps, so that the lock is
 * released when the server exits.
 */
#include "redis/embedded.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "redis/embedded_private.h"
#include "redis/target_private.h"

#define START_MS    30000
#define STOP_MS     10000
#define LOCK_MS     3000 /* for a server that is exiting after its front-end has died */
#define POLL_MS     5
#define TAIL_LENGTH 600

struct redis_embedded {
    struct loop *loop;
    char *directory;
    char *socket;
    char *log;
    int lock; /* of the directory; we hold it until the server runs, which keeps it */
    pid_t pid;
    int pidfd;
    struct loop_io *io;
    void (*died)(void *arg, int status);
    void *arg;
};

static uint64_t monotonic_ms(void)
{
    return clock_monotonic_us() / 1000;
}

/* The last lines that the server wrote, or NULL. The caller frees. */
static char *log_tail(const struct redis_embedded *embedded)
{
    char buffer[TAIL_LENGTH + 1];
    const char *start = buffer;
    ssize_t len;
    off_t size;
    int fd = open(embedded->log, O_RDONLY | O_CLOEXEC);

    if (fd < 0) {
        return NULL;
    }
    size = lseek(fd, 0, SEEK_END);
    len = pread(fd, buffer, TAIL_LENGTH, size > TAIL_LENGTH ? size - TAIL_LENGTH : 0);
    close(fd);
    while (len > 0 && buffer[len - 1] == '\n') {
        len--;
    }
    if (len <= 0) {
        return NULL;
    }
    buffer[len] = '\0';
    if (size > TAIL_LENGTH && strchr(buffer, '\n')) {
        start = strchr(buffer, '\n') + 1;
    }
    return mem_strdup(start);
}

static bool make_directory(struct redis_embedded *embedded, char **error)
{
    embedded->directory = redis_directory_create(&embedded->lock, error);
    if (!embedded->directory) {
        return false;
    }
    embedded->socket = mem_format("%s/redis.sock", embedded->directory);
    embedded->log = mem_format("%s/redis.log", embedded->directory);
    if (strlen(embedded->socket) > REDIS_UNIX_PATH_MAX) {
        *error = mem_format("%s is over 107 bytes, too long for a unix socket: set "
                            "XDG_RUNTIME_DIR or TMPDIR to a shorter path",
                            embedded->socket);
        return false;
    }
    return true;
}

/* The lock's descriptor, -1 on failure. A previous server holds the lock until it has exited. */
static int lock_data(const char *data, char **error)
{
    uint64_t deadline = monotonic_ms() + LOCK_MS;
    char *path;
    int fd;

    if (mkdir(data, 0700) != 0 && errno != EEXIST) {
        *error = mem_format("cannot create redis.data %s: %s", data, strerror(errno));
        return -1;
    }
    path = mem_format("%s/tracker.lock", data);
    fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0) {
        *error = mem_format("cannot open %s: %s", path, strerror(errno));
    }
    while (fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) != 0) {
        if (errno != EWOULDBLOCK || monotonic_ms() >= deadline) {
            *error = errno == EWOULDBLOCK
                         ? mem_format("a redis-server is already running in redis.data %s", data)
                         : mem_format("cannot lock %s: %s", path, strerror(errno));
            close(fd);
            fd = -1;
        } else {
            (void)poll(NULL, 0, POLL_MS);
        }
    }
    free(path);
    return fd;
}

static void exited(void *arg, unsigned events)
{
    struct redis_embedded *embedded = arg;
    char *tail;
    int status;

    if (waitpid(embedded->pid, &status, WNOHANG) != embedded->pid) {
        return;
    }
    embedded->pid = -1;
    loop_io_destroy(&embedded->io);
    tail = log_tail(embedded);
    log_error("redis_crashed", LOG_INT("status", status), LOG_STRING("log", tail));
    free(tail);
    if (embedded->died) {
        embedded->died(embedded->arg, status);
    }
}

/* Whether it exits within the time; then its status has been collected. */
static bool wait_exit(struct redis_embedded *embedded, unsigned timeout_ms, int *status)
{
    uint64_t deadline = monotonic_ms() + timeout_ms;
    struct pollfd readable = {.fd = embedded->pidfd, .events = POLLIN};
    pid_t pid;

    for (;;) {
        uint64_t now = monotonic_ms();

        pid = waitpid(embedded->pid, status, WNOHANG);
        if (pid == embedded->pid || (pid < 0 && errno == ECHILD)) {
            embedded->pid = -1;
            return true;
        }
        if (now >= deadline) {
            return false;
        }
        (void)poll(&readable, 1, (int)(deadline - now));
    }
}

static char *describe_end(const struct redis_embedded *embedded, int status)
{
    char *tail = log_tail(embedded);
    char *text = mem_format(
        "redis-server exited with %s %d; its log: %s", WIFSIGNALED(status) ? "signal" : "status",
        WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status), tail ? tail : "(empty)");

    free(tail);
    return text;
}

/* One blocking PING over a separate connection; bounded by the socket's time-outs. */
static bool ping_embedded(const struct redis_embedded *embedded)
{
    const struct timeval patience = {.tv_sec = 1};
    struct sockaddr_un name = {.sun_family = AF_UNIX};
    char reply[8] = "";
    bool pong = false;
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    if (fd < 0) {
        return false;
    }
    (void)setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    (void)setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
    strncpy(name.sun_path, embedded->socket, sizeof name.sun_path - 1);
    if (connect(fd, (const struct sockaddr *)&name, sizeof name) == 0 &&
        send(fd, "PING\r\n", 6, MSG_NOSIGNAL) == 6 && recv(fd, reply, 5, MSG_WAITALL) == 5) {
        pong = memcmp(reply, "+PONG", 5) == 0;
    }
    close(fd);
    return pong;
}

static bool wait_ready(struct redis_embedded *embedded, char **error)
{
    uint64_t deadline = monotonic_ms() + START_MS;
    int status;

    while (!ping_embedded(embedded)) {
        if (wait_exit(embedded, POLL_MS, &status)) {
            *error = describe_end(embedded, status);
            return false;
        }
        if (monotonic_ms() >= deadline) {
            char *tail = log_tail(embedded);

            *error = mem_format("redis-server is not ready after %d s; its log: %s",
                                START_MS / 1000, tail ? tail : "(empty)");
            free(tail);
            return false;
        }
    }
    return true;
}

/* If the server runs, it keeps the lock. */
static void close_lock(int *lock)
{
    if (*lock >= 0) {
        close(*lock);
        *lock = -1;
    }
}

static bool launch_with_data(struct redis_embedded *embedded, const char *program, const char *data,
                             char **error)
{
    bool persists = data != NULL && *data != '\0';
    int lock = persists ? lock_data(data, error) : -1;
    bool launched;

    if (persists && lock < 0) {
        return false;
    }
    launched = redis_embedded_spawn(
        &(struct redis_spawn){.program = program,
                              .socket = embedded->socket,
                              .log = embedded->log,
                              .directory = persists ? data : embedded->directory,
                              .persists = persists,
                              .locks = {embedded->lock, lock}},
        &embedded->pid, error);
    close_lock(&lock);
    close_lock(&embedded->lock);
    if (!launched) {
        return false;
    }
    embedded->pidfd = (int)syscall(SYS_pidfd_open, embedded->pid, 0);
    if (embedded->pidfd < 0) {
        *error = mem_format("pidfd_open: %s", strerror(errno));
        return false;
    }
    return true;
}

struct redis_embedded *redis_embedded_start(struct loop *loop, const char *program,
                                            const char *data, void (*died)(void *arg, int status),
                                            void *arg, char **error)
{
    struct redis_embedded *embedded = mem_zalloc(1, sizeof *embedded);

    *error = NULL;
    embedded->loop = loop;
    embedded->pid = -1;
    embedded->pidfd = -1;
    embedded->lock = -1;
    embedded->died = died;
    embedded->arg = arg;
    if (!make_directory(embedded, error) || !launch_with_data(embedded, program, data, error) ||
        !wait_ready(embedded, error)) {
        redis_embedded_stop(&embedded);
        return NULL;
    }
    embedded->io = loop_io_create(loop, embedded->pidfd, exited, embedded);
    loop_io_set(embedded->io, LOOP_READ);
    return embedded;
}

const char *redis_embedded_socket(const struct redis_embedded *embedded)
{
    return embedded->socket;
}

pid_t redis_embedded_pid(const struct redis_embedded *embedded)
{
    return embedded->pid;
}

static void end_embedded_server(struct redis_embedded *embedded)
{
    int status;

    if (embedded->pid <= 0) {
        return;
    }
    (void)kill(embedded->pid, SIGTERM);
    if (!wait_exit(embedded, STOP_MS, &status)) {
        log_warn("redis_killed", LOG_INT("pid", embedded->pid),
                 LOG_STRING("why", "it did not exit after SIGTERM"));
        (void)kill(embedded->pid, SIGKILL);
        (void)wait_exit(embedded, STOP_MS, &status);
    }
}

void redis_embedded_stop(struct redis_embedded **pointer)
{
    struct redis_embedded *embedded = *pointer;

    *pointer = NULL;
    if (!embedded) {
        return;
    }
    loop_io_destroy(&embedded->io);
    end_embedded_server(embedded);
    if (embedded->pidfd >= 0) {
        close(embedded->pidfd);
    }
    if (embedded->directory) {
        redis_directory_remove(embedded->directory);
    }
    close_lock(&embedded->lock);
    free(embedded->directory);
    free(embedded->socket);
    free(embedded->log);
    free(embedded);
}
