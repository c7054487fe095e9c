/*
 * spawn: forks and executes an embedded redis-server.
 *
 * Between fork and exec only async-signal-safe calls are made: the resolver's threads may be
 * running in the parent.
 */
#include "redis/embedded_private.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/mem.h"

/* Descriptors in the child. */
#define FAILURE_FD 3
#define LOCK_FD    4 /* and 5 */
#define FIRST_FREE 6

static void reset_signals(void)
{
    struct sigaction standard = {.sa_handler = SIG_DFL};
    sigset_t none;

    for (int signal_number = 1; signal_number < NSIG; signal_number++) {
        (void)sigaction(signal_number, &standard, NULL);
    }
    sigemptyset(&none);
    (void)sigprocmask(SIG_SETMASK, &none, NULL);
}

/* A copy above the fixed numbers, so that no dup2 overwrites another's source. */
static int lift_descriptor(int fd)
{
    return fd >= 0 ? fcntl(fd, F_DUPFD, FIRST_FREE) : -1;
}

static bool arrange_descriptors(const struct redis_spawn *spawn, int failure)
{
    int null = lift_descriptor(open("/dev/null", O_RDONLY));
    int log = lift_descriptor(open(spawn->log, O_WRONLY | O_CREAT | O_APPEND, 0600));
    int locks[2] = {lift_descriptor(spawn->locks[0]), lift_descriptor(spawn->locks[1])};

    failure = lift_descriptor(failure);
    if (dup2(null, 0) < 0 || dup2(log, 1) < 0 || dup2(log, 2) < 0 ||
        dup2(failure, FAILURE_FD) < 0) {
        return false;
    }
    for (int i = 0; i < 2; i++) {
        close(LOCK_FD + i);
        if (spawn->locks[i] >= 0 && dup2(locks[i], LOCK_FD + i) < 0) {
            return false;
        }
    }
    (void)syscall(SYS_close_range, FIRST_FREE, ~0u, 0);
    return fcntl(FAILURE_FD, F_SETFD, FD_CLOEXEC) == 0;
}

/* In the child. If the parent died before prctl, no signal will come: so compare the parent's pid.
 */
static void run_child(const struct redis_spawn *spawn, char *const *arguments, int failure,
                      pid_t parent)
{
    int error;

    reset_signals();
    if (setpgid(0, 0) == 0 && prctl(PR_SET_PDEATHSIG, SIGTERM) == 0 &&
        arrange_descriptors(spawn, failure)) {
        failure = FAILURE_FD;
        if (getppid() != parent) {
            _exit(0);
        }
        execvp(spawn->program, arguments);
    }
    error = errno;
    (void)!write(failure, &error, sizeof error);
    _exit(127);
}

/* 0 when the child's exec has closed its end, else the errno of the failure. */
static int read_failure(int fd)
{
    int error = 0;
    ssize_t len;

    do {
        len = read(fd, &error, sizeof error);
    } while (len < 0 && errno == EINTR);
    return len == (ssize_t)sizeof error ? error : 0;
}

bool redis_embedded_spawn(const struct redis_spawn *spawn, pid_t *pid, char **error)
{
    const char *arguments[] = {spawn->program,
                               "--port",
                               "0",
                               "--unixsocket",
                               spawn->socket,
                               "--unixsocketperm",
                               "700",
                               "--dir",
                               spawn->directory,
                               "--save",
                               "",
                               "--appendonly",
                               spawn->persists ? "yes" : "no",
                               "--appendfsync",
                               "everysec",
                               "--maxmemory-policy",
                               "noeviction",
                               "--daemonize",
                               "no",
                               "--logfile",
                               "",
                               NULL};
    pid_t parent = getpid();
    int failure[2];
    int status, wrong;

    if (pipe2(failure, O_CLOEXEC) != 0) {
        *error = mem_format("pipe: %s", strerror(errno));
        return false;
    }
    *pid = fork();
    if (*pid == 0) {
        run_child(spawn, (char *const *)arguments, failure[1], parent);
    }
    wrong = *pid < 0 ? errno : 0;
    close(failure[1]);
    if (*pid > 0) {
        wrong = read_failure(failure[0]);
    }
    close(failure[0]);
    if (wrong == 0) {
        return true;
    }
    if (*pid > 0) {
        (void)waitpid(*pid, &status, 0);
    }
    *pid = -1;
    *error = mem_format("cannot run %s: %s", spawn->program, strerror(wrong));
    return false;
}
