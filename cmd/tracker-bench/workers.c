/* workers: one socket pair per process: commands go down, a byte for each finished one comes up. */
#include "workers.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/random.h"
#include "peer.h"

#define SPARE_DESCRIPTORS 64

struct step_command {
    enum step step;
    struct span span;
};

struct process {
    struct worker_part part;
    pid_t pid;
    int control;
    bool is_done;
};

struct workers {
    struct process processes[BENCH_MAX_PROCESSES];
    uint32_t count;
    uint32_t descriptors; /* that one process may have */
    uint32_t run;
    struct results *results; /* one per process, shared */
};

struct running_role {
    struct worker worker;
    void *self;
};

static uint32_t raise_descriptors(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0) {
        bench_fail("getrlimit: %s", strerror(errno));
    }
    limit.rlim_cur =
        limit.rlim_max < BENCH_MAX_DESCRIPTORS ? limit.rlim_max : BENCH_MAX_DESCRIPTORS;
    (void)setrlimit(RLIMIT_NOFILE, &limit);
    if (limit.rlim_cur <= 2 * SPARE_DESCRIPTORS) {
        bench_fail("a process may have only %lu descriptors", (unsigned long)limit.rlim_cur);
    }
    return (uint32_t)limit.rlim_cur - SPARE_DESCRIPTORS;
}

struct workers *workers_create(void)
{
    struct workers *workers = mem_zalloc(1, sizeof *workers);
    size_t size = BENCH_MAX_PROCESSES * sizeof *workers->results;
    workers->descriptors = raise_descriptors();
    workers->run = random_below(UINT32_MAX);
    workers->results = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (workers->results == MAP_FAILED) {
        bench_fail("no shared memory: %s", strerror(errno));
    }
    return workers;
}

void workers_destroy(struct workers **workers)
{
    (void)munmap((*workers)->results, BENCH_MAX_PROCESSES * sizeof *(*workers)->results);
    free(*workers);
    *workers = NULL;
}

static uint32_t divide_evenly(uint32_t whole, uint32_t index, uint32_t count)
{
    return whole / count + (index < whole % count);
}

void workers_add(struct workers *workers, const struct worker_part *part, uint32_t processes)
{
    uint32_t needed = (part->connections + workers->descriptors - 1) / workers->descriptors;
    uint32_t count = processes > needed ? processes : needed;
    struct worker_part slice = *part;
    if (count > part->connections) {
        count = part->connections;
    }
    if (workers->count + count > BENCH_MAX_PROCESSES) {
        bench_fail("more than %d processes are needed", BENCH_MAX_PROCESSES);
    }
    for (uint32_t i = 0; i < count; i++) {
        slice.connections = divide_evenly(part->connections, i, count);
        slice.entries = divide_evenly(part->entries, i, count);
        slice.rate = part->rate * slice.connections / part->connections;
        slice.connect_rate = part->connect_rate * slice.connections / part->connections;
        workers->processes[workers->count++].part = slice;
        slice.first += slice.connections;
        slice.first_entry += slice.entries;
    }
}

/* The generator process. */

static void take_command(void *arg, unsigned events)
{
    struct running_role *running = arg;
    struct step_command command;
    ssize_t n = recv(running->worker.control, &command, sizeof command, 0);
    if (n != (ssize_t)sizeof command) {
        _exit(1);
    }
    if (command.step == STEP_RUN) {
        running->worker.span = command.span;
    }
    if (command.step == STEP_END && running->worker.peers) {
        peer_set_finish(running->worker.peers);
    }
    running->worker.part.role->step(running->self, command.step);
    if (command.step == STEP_END) {
        _exit(0);
    }
}

_Noreturn static void run_worker(struct workers *workers, uint32_t index, pid_t parent)
{
    struct process *process = &workers->processes[index];
    struct running_role running = {.worker = {.part = process->part,
                                              .index = index,
                                              .run = workers->run,
                                              .results = &workers->results[index],
                                              .control = process->control}};
    struct loop_io *io;
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent) {
        _exit(1);
    }
    running.worker.loop = loop_create();
    running.self = process->part.role->create(&running.worker);
    io = loop_io_create(running.worker.loop, process->control, take_command, &running);
    loop_io_set(io, LOOP_READ);
    loop_run(running.worker.loop);
    _exit(0);
}

/* The parent. */

static void start_process(struct workers *workers, uint32_t index, pid_t parent)
{
    struct process *process = &workers->processes[index];
    int pair[2];
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) != 0) {
        bench_fail("no socket pair: %s", strerror(errno));
    }
    process->pid = fork();
    if (process->pid < 0) {
        bench_fail("cannot fork: %s", strerror(errno));
    }
    if (process->pid == 0) {
        for (uint32_t i = 0; i < index; i++) {
            (void)close(workers->processes[i].control);
        }
        (void)close(pair[0]);
        process->control = pair[1];
        run_worker(workers, index, parent);
    }
    (void)close(pair[1]);
    process->control = pair[0];
}

void workers_start(struct workers *workers)
{
    pid_t parent = getpid();
    for (uint32_t i = 0; i < workers->count; i++) {
        start_process(workers, i, parent);
    }
}

static void command_all(struct workers *workers, const struct step_command *command)
{
    for (uint32_t i = 0; i < workers->count; i++) {
        workers->processes[i].is_done = false;
        if (send(workers->processes[i].control, command, sizeof *command, MSG_NOSIGNAL) < 0) {
            bench_fail("the process of the %s is gone", workers->processes[i].part.role->name);
        }
    }
}

static void wait_for_process(struct process *process, uint64_t until_us)
{
    struct pollfd wait = {.fd = process->control, .events = POLLIN};
    char done;
    while (!process->is_done) {
        uint64_t now = clock_monotonic_us();
        int ready = now < until_us ? poll(&wait, 1, (int)((until_us - now) / 1000) + 1) : 0;
        if (ready < 0 && errno == EINTR) {
            continue;
        }
        if (ready <= 0) {
            bench_fail("the %s do not finish in time", process->part.role->name);
        }
        if (recv(process->control, &done, 1, 0) != 1) {
            bench_fail("a process of the %s has failed", process->part.role->name);
        }
        process->is_done = true;
    }
}

void workers_wait(struct workers *workers, unsigned timeout_s)
{
    uint64_t until = clock_monotonic_us() + timeout_s * 1000000ull;
    for (uint32_t i = 0; i < workers->count; i++) {
        wait_for_process(&workers->processes[i], until);
    }
}

void workers_step(struct workers *workers, enum step step, unsigned timeout_s)
{
    command_all(workers, &(struct step_command){.step = step});
    workers_wait(workers, timeout_s);
}

void workers_run(struct workers *workers, const struct span *span)
{
    command_all(workers, &(struct step_command){.step = STEP_RUN, .span = *span});
}

void workers_end(struct workers *workers)
{
    workers_step(workers, STEP_END, 10);
    for (uint32_t i = 0; i < workers->count; i++) {
        (void)waitpid(workers->processes[i].pid, NULL, 0);
        (void)close(workers->processes[i].control);
    }
}

void workers_results(const struct workers *workers, const struct role *role, struct results *sum)
{
    memset(sum, 0, sizeof *sum);
    for (uint32_t i = 0; i < workers->count; i++) {
        const struct results *one = &workers->results[i];
        if (workers->processes[i].part.role != role) {
            continue;
        }
        sum->sent += one->sent;
        sum->accepted += one->accepted;
        sum->refused += one->refused;
        sum->unanswered += one->unanswered;
        sum->delivered += one->delivered;
        sum->reads += one->reads;
        sum->frames += one->frames;
        sum->frame_bytes += one->frame_bytes;
        sum->lost += one->lost;
        sum->reconnections += one->reconnections;
        sum->failed_attempts += one->failed_attempts;
        sum->still_closed += one->still_closed;
        sum->missed += one->missed;
        sum->entries += one->entries;
        sum->first_us += one->first_us;
        sum->whole_us += one->whole_us;
        histogram_add(&sum->intended, &one->intended);
        histogram_add(&sum->actual, &one->actual);
        histogram_add(&sum->outages, &one->outages);
    }
}
