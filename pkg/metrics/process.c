/* process: read from /proc for each scrape: of this process, or of each worker. */
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
#include "metrics/board.h"

#define PROCESS_PATH 64

struct process_source {
    pid_t pid;       /* 0: this one */
    unsigned worker; /* 0: there are none */
};

static const char *process_path(const struct process_source *process, const char *name,
                                char path[PROCESS_PATH])
{
    if (process->pid) {
        snprintf(path, PROCESS_PATH, "/proc/%ld/%s", (long)process->pid, name);
    } else {
        snprintf(path, PROCESS_PATH, "/proc/self/%s", name);
    }
    return path;
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

/* From field 3 of /proc/PID/stat on; NULL when it cannot be read. Before it is the name of the
 * program, in parentheses, which may hold anything. */
static const char *read_stat(const struct process_source *process, char *line, int size)
{
    char path[PROCESS_PATH];
    read_first_line(process_path(process, "stat", path), line, size);
    const char *at = strrchr(line, ')');
    return at ? strchr(at, ' ') : NULL;
}

/* A field of it, numbered as in proc(5). */
static bool read_stat_field(const char *from_third, int number, uint64_t *value)
{
    const char *at = from_third;
    for (int field = 3; at && field < number; field++) {
        at = strchr(at + 1, ' ');
    }
    return at && sscanf(at, "%" SCNu64, value) == 1;
}

static uint64_t ticks_to_us(uint64_t ticks)
{
    return ticks * 1000000 / (uint64_t)sysconf(_SC_CLK_TCK);
}

/* ---- the values: false when one cannot be read ---- */

static bool read_cpu_us(const struct process_source *process, uint64_t *value)
{
    char line[1024];
    uint64_t user, system;

    if (!process->pid) {
        *value = clock_cpu_us();
        return true;
    }
    const char *stat = read_stat(process, line, sizeof line);
    if (!read_stat_field(stat, 14, &user) || !read_stat_field(stat, 15, &system)) {
        return false;
    }
    *value = ticks_to_us(user + system);
    return true;
}

static bool read_memory_sizes(const struct process_source *process, uint64_t *total,
                              uint64_t *resident)
{
    char line[256], path[PROCESS_PATH];
    const uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE);

    read_first_line(process_path(process, "statm", path), line, sizeof line);
    if (sscanf(line, "%" SCNu64 " %" SCNu64, total, resident) != 2) {
        return false;
    }
    *total *= page;
    *resident *= page;
    return true;
}

static bool read_resident(const struct process_source *process, uint64_t *value)
{
    uint64_t total;
    return read_memory_sizes(process, &total, value);
}

static bool read_virtual(const struct process_source *process, uint64_t *value)
{
    uint64_t resident;
    return read_memory_sizes(process, value, &resident);
}

static bool count_descriptors(const struct process_source *process, uint64_t *value)
{
    uint64_t count = 0;
    char path[PROCESS_PATH];
    struct stat status;
    DIR *directory;

    (void)process_path(process, "fd", path);
    /* Linux 6.2 and later report the number; listing tens of thousands would block the loop. */
    if (stat(path, &status) == 0 && status.st_size > 0) {
        *value = (uint64_t)status.st_size;
        return true;
    }
    directory = opendir(path);
    if (!directory) {
        return false;
    }
    for (struct dirent *entry = readdir(directory); entry; entry = readdir(directory)) {
        count += entry->d_name[0] != '.';
    }
    (void)closedir(directory);
    *value = process->pid ? count : count - 1; /* without the descriptor of the directory */
    return true;
}

static bool read_descriptor_limit(const struct process_source *process, uint64_t *value)
{
    struct rlimit limit;
    if (prlimit(process->pid, RLIMIT_NOFILE, NULL, &limit) != 0 ||
        limit.rlim_cur == RLIM_INFINITY) {
        return false;
    }
    *value = (uint64_t)limit.rlim_cur;
    return true;
}

/* Microseconds since the epoch. */
static bool find_start_us(const struct process_source *process, uint64_t *value)
{
    char line[1024];
    struct timespec boot;
    uint64_t ticks;

    if (!read_stat_field(read_stat(process, line, sizeof line), 22, &ticks) ||
        clock_gettime(CLOCK_BOOTTIME, &boot) != 0) {
        return false;
    }
    const uint64_t since_boot_us = (uint64_t)boot.tv_sec * 1000000 + (uint64_t)boot.tv_nsec / 1000;
    *value = clock_wall_us() - since_boot_us + ticks_to_us(ticks);
    return true;
}

/* This process's is read once: it must not change when the clock is set. */
static bool read_start_us(const struct process_source *process, uint64_t *value)
{
    static uint64_t start_us;

    if (process->pid) {
        return find_start_us(process, value);
    }
    if (start_us == 0 && !find_start_us(process, &start_us)) {
        return false;
    }
    *value = start_us;
    return true;
}

/* ---- the text ---- */

static const struct {
    const char *name, *type, *help;
    bool (*read)(const struct process_source *process, uint64_t *value);
    bool is_time; /* microseconds, written as seconds, exactly */
} process_families[] = {
    {"process_cpu_seconds_total", "counter", "Total user and system CPU time spent in seconds.",
     read_cpu_us, true},
    {"process_resident_memory_bytes", "gauge", "Resident memory size in bytes.", read_resident,
     false},
    {"process_virtual_memory_bytes", "gauge", "Virtual memory size in bytes.", read_virtual, false},
    {"process_open_fds", "gauge", "Number of open file descriptors.", count_descriptors, false},
    {"process_max_fds", "gauge", "Maximum number of open file descriptors.", read_descriptor_limit,
     false},
    {"process_start_time_seconds", "gauge", "Start time of the process since the epoch in seconds.",
     read_start_us, true},
};

/* Of worker number `worker`; the processes of others are looked up on the board. */
static struct process_source find_process(unsigned worker)
{
    struct board_worker state;
    char why[BOARD_WHY_SIZE];
    bool ready;

    if (!worker || worker == board_own()) {
        return (struct process_source){.worker = worker};
    }
    board_read(worker, &state, &ready, why);
    return (struct process_source){.pid = state.pid > 0 ? state.pid : -1, .worker = worker};
}

static void write_process_value(struct writer *to, size_t family,
                                const struct process_source *process, uint64_t value)
{
    writer_string(to, process_families[family].name);
    if (process->worker) {
        writer_format(to, "{worker=\"%u\"}", process->worker);
    }
    if (process_families[family].is_time) {
        writer_format(to, " %" PRIu64 ".%06" PRIu64 "\n", value / 1000000, value % 1000000);
    } else {
        writer_format(to, " %" PRIu64 "\n", value);
    }
}

static void write_process_family(struct writer *to, size_t family)
{
    const unsigned workers = board_workers();
    bool has_head = false;

    for (unsigned worker = workers ? 1 : 0; worker <= workers; worker++) {
        const struct process_source process = find_process(worker);
        uint64_t value;

        if (process.pid < 0 || !process_families[family].read(&process, &value)) {
            continue;
        }
        if (!has_head) {
            const char *name = process_families[family].name;
            writer_format(to, "# HELP %s %s\n# TYPE %s %s\n", name, process_families[family].help,
                          name, process_families[family].type);
            has_head = true;
        }
        write_process_value(to, family, &process, value);
    }
}

void process_write_text(struct writer *to)
{
    for (size_t i = 0; i < sizeof process_families / sizeof *process_families; i++) {
        write_process_family(to, i);
    }
}
