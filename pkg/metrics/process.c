/* process: read from /proc for each scrape. */
#include "metrics/process_private.h"

#include <dirent.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"

static void write_process_head(struct writer *to, const char *name, const char *type,
                               const char *help)
{
    writer_format(to, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

/* Microseconds as seconds, exactly. */
static void write_seconds(struct writer *to, const char *name, uint64_t us)
{
    writer_format(to, "%s %" PRIu64 ".%06" PRIu64 "\n", name, us / 1000000, us % 1000000);
}

/* The first line of a small file, NUL-terminated; an empty one when it cannot be read. */
static void read_first_line(const char *path, char *line, int size)
{
    FILE *file = fopen(path, "re");

    line[0] = '\0';
    if (!file) {
        return;
    }
    if (!fgets(line, size, file)) {
        line[0] = '\0';
    }
    (void)fclose(file);
}

static void write_memory(struct writer *to)
{
    char line[256];
    uint64_t virtual_pages, resident_pages;
    uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE);

    read_first_line("/proc/self/statm", line, sizeof line);
    if (sscanf(line, "%" SCNu64 " %" SCNu64, &virtual_pages, &resident_pages) != 2) {
        return;
    }
    write_process_head(to, "process_resident_memory_bytes", "gauge",
                       "Resident memory size in bytes.");
    writer_format(to, "process_resident_memory_bytes %" PRIu64 "\n", resident_pages * page);
    write_process_head(to, "process_virtual_memory_bytes", "gauge",
                       "Virtual memory size in bytes.");
    writer_format(to, "process_virtual_memory_bytes %" PRIu64 "\n", virtual_pages * page);
}

static uint64_t count_descriptors(void)
{
    uint64_t count = 0;
    struct stat status;
    DIR *directory;

    /* Linux 6.2 and later report the number; listing tens of thousands would block the loop. */
    if (stat("/proc/self/fd", &status) == 0 && status.st_size > 0) {
        return (uint64_t)status.st_size;
    }
    directory = opendir("/proc/self/fd");
    if (!directory) {
        return 0;
    }
    for (struct dirent *entry = readdir(directory); entry; entry = readdir(directory)) {
        count += entry->d_name[0] != '.';
    }
    (void)closedir(directory);
    return count - 1; /* without the descriptor of the directory */
}

static void write_descriptors(struct writer *to)
{
    uint64_t count = count_descriptors();
    struct rlimit limit;

    if (count > 0) {
        write_process_head(to, "process_open_fds", "gauge", "Number of open file descriptors.");
        writer_format(to, "process_open_fds %" PRIu64 "\n", count);
    }
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur != RLIM_INFINITY) {
        write_process_head(to, "process_max_fds", "gauge",
                           "Maximum number of open file descriptors.");
        writer_format(to, "process_max_fds %" PRIu64 "\n", (uint64_t)limit.rlim_cur);
    }
}

/* Microseconds since the epoch; 0 when it cannot be read. */
static uint64_t find_start_us(void)
{
    char line[1024];
    const char *at;
    struct timespec boot;
    uint64_t ticks, since_boot_us, hertz = (uint64_t)sysconf(_SC_CLK_TCK);

    read_first_line("/proc/self/stat", line, sizeof line);
    /* The name of the program, in parentheses, may hold anything; after it begins field 3, and
     * starttime is field 22. */
    at = strrchr(line, ')');
    for (int field = 2; at && field < 22; field++) {
        at = strchr(at + 1, ' ');
    }
    if (!at || sscanf(at, "%" SCNu64, &ticks) != 1 || clock_gettime(CLOCK_BOOTTIME, &boot) != 0) {
        return 0;
    }
    since_boot_us = (uint64_t)boot.tv_sec * 1000000 + (uint64_t)boot.tv_nsec / 1000;
    return clock_wall_us() - since_boot_us + ticks * 1000000 / hertz;
}

void process_write_text(struct writer *to)
{
    static uint64_t start_us; /* read once: it must not change when the clock is set */

    write_process_head(to, "process_cpu_seconds_total", "counter",
                       "Total user and system CPU time spent in seconds.");
    write_seconds(to, "process_cpu_seconds_total", clock_cpu_us());
    write_memory(to);
    write_descriptors(to);
    if (start_us == 0) {
        start_us = find_start_us();
    }
    if (start_us != 0) {
        write_process_head(to, "process_start_time_seconds", "gauge",
                           "Start time of the process since the epoch in seconds.");
        write_seconds(to, "process_start_time_seconds", start_us);
    }
}
