/* proc: CPU time and memory of the measured processes. */
#ifndef BENCH_PROC_H
#define BENCH_PROC_H

#include <stdint.h>
#include <sys/types.h>

struct proc {
    const char *name; /* "frontend", "redis", ... */
    pid_t pid;
};

struct proc_sample {
    uint64_t cpu_us; /* user and system, all threads */
    uint64_t rss;    /* bytes */
};

/* Exits with an error when there is no such process. */
void proc_read(const struct proc *proc, struct proc_sample *sample);

#endif
