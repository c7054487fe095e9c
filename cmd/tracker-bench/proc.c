/* proc: /proc/PID/stat (its second field may hold anything, its last parenthesis ends it) and
 * /proc/PID/status. */
#include "proc.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bench.h"

static void read_file(const struct proc *proc, const char *name, char *text, size_t size)
{
    char path[64];
    size_t len;
    FILE *file;
    (void)snprintf(path, sizeof path, "/proc/%d/%s", (int)proc->pid, name);
    file = fopen(path, "re");
    if (!file) {
        bench_fail("%s (process %d): %s", proc->name, (int)proc->pid, strerror(errno));
    }
    len = fread(text, 1, size - 1, file);
    text[len] = '\0';
    (void)fclose(file);
}

static uint64_t cpu_ticks(const char *stat)
{
    const char *at = strrchr(stat, ')');
    unsigned long user = 0;
    unsigned long kernel = 0;
    if (!at || sscanf(at + 1, " %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu", &user,
                      &kernel) != 2) {
        bench_fail("a stat file of an unknown format");
    }
    return user + kernel;
}

void proc_read(const struct proc *proc, struct proc_sample *sample)
{
    char text[4096];
    const char *rss;
    read_file(proc, "stat", text, sizeof text);
    sample->cpu_us = cpu_ticks(text) * 1000000 / (uint64_t)sysconf(_SC_CLK_TCK);
    read_file(proc, "status", text, sizeof text);
    rss = strstr(text, "\nVmRSS:");
    sample->rss = !rss ? 0 : strtoull(rss + 7, NULL, 10) * 1024;
}
