/*
 * count_calls FILE PROGRAM ARGUMENT...: runs a program and counts its system calls, by number, in
 * the file that lockstep.h describes, so that they can be read at any time.
 *
 * The program has this process's id; the child counts. Only the calls that threads of
 * the program make outside of lockstep's gate are counted. Where a process may not be traced the
 * program does not start, and the exit code is 126.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>

#include <linux/ptrace.h>

#include "lockstep.h"

#define STOPPED_BY_CALL (SIGTRAP | 0x80)

static struct lockstep_state *state;

static void call_count_enter(pid_t thread)
{
    struct ptrace_syscall_info info;

    if (state->in_gate || ptrace(PTRACE_GET_SYSCALL_INFO, thread, sizeof info, &info) <= 0) {
        return;
    }
    if (info.op == PTRACE_SYSCALL_INFO_ENTRY && info.entry.nr < LOCKSTEP_CALLS) {
        state->calls[info.entry.nr]++;
    }
}

/* Resumes a stopped thread, with the signal for which it was stopped, if there was one. */
static void call_count_resume(pid_t thread, int status)
{
    int stop = WSTOPSIG(status), event = status >> 16, signal = 0;

    if (stop == STOPPED_BY_CALL) {
        call_count_enter(thread);
    } else if (event == PTRACE_EVENT_STOP &&
               (stop == SIGSTOP || stop == SIGTSTP || stop == SIGTTIN || stop == SIGTTOU)) {
        (void)ptrace(PTRACE_LISTEN, thread, 0, 0);
        return;
    } else if (event == 0) {
        signal = stop;
    }
    (void)ptrace(PTRACE_SYSCALL, thread, 0, signal);
}

static int call_count_run(pid_t program, int started)
{
    char byte = 0;
    int status;
    pid_t thread;

    if (ptrace(PTRACE_SEIZE, program, 0, PTRACE_O_TRACESYSGOOD | PTRACE_O_TRACECLONE) != 0 ||
        ptrace(PTRACE_INTERRUPT, program, 0, 0) != 0) {
        return 126;
    }
    if (write(started, &byte, 1) != 1) {
        return 126;
    }
    close(started);
    for (;;) {
        thread = waitpid(-1, &status, __WALL);
        if (thread < 0 && errno != EINTR) {
            return 0;
        }
        if (thread > 0 && WIFSTOPPED(status)) {
            call_count_resume(thread, status);
        }
    }
}

int main(int count, char **words)
{
    int file = count > 2 ? open(words[1], O_RDWR | O_CLOEXEC) : -1, pair[2];
    void *map = file < 0 ? MAP_FAILED
                         : mmap(NULL, sizeof *state, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    pid_t program = getpid(), child;
    char byte;

    if (map == MAP_FAILED || pipe2(pair, O_CLOEXEC) != 0) {
        perror("count_calls");
        return 125;
    }
    state = map;
    (void)prctl(PR_SET_PTRACER, PR_SET_PTRACER_ANY, 0, 0, 0);
    child = fork();
    if (child < 0) {
        perror("count_calls: fork");
        return 125;
    }
    if (child == 0) {
        close(pair[0]);
        _exit(call_count_run(program, pair[1]));
    }
    close(pair[1]);
    if (read(pair[0], &byte, 1) != 1) {
        return 126;
    }
    execvp(words[2], words + 2);
    perror(words[2]);
    return 127;
}
