/* memory_limit: the limits of cgroups are files in a tree; each is below those of its parents. */
#include "base/memory_limit.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"

#define LINE_MAX_SIZE 4096

/* The number in a file; UINT64_MAX when there is none ("max"), or no such file. */
static uint64_t read_limit_file(const char *path)
{
    char line[64];
    char *end;
    unsigned long long value;
    FILE *file = fopen(path, "re");
    if (!file) {
        return UINT64_MAX;
    }
    if (!fgets(line, sizeof line, file)) {
        line[0] = 0;
    }
    (void)fclose(file);
    errno = 0;
    value = strtoull(line, &end, 10);
    return errno != 0 || end == line || value == 0 ? UINT64_MAX : value;
}

/* The smallest limit of the group and of those above it. group: "/a/b", changed. */
static uint64_t read_group_limit(const char *root, const char *tree, char *group, const char *name)
{
    uint64_t least = UINT64_MAX;
    for (;;) {
        char *path = mem_format("%s/sys/fs/cgroup%s%s/%s", root, tree, group, name);
        char *slash = strrchr(group, '/');
        uint64_t limit = read_limit_file(path);
        free(path);
        least = limit < least ? limit : least;
        if (!slash) {
            return least;
        }
        *slash = 0;
    }
}

static bool is_memory_controller(char *controllers)
{
    char *rest = NULL;
    for (char *one = strtok_r(controllers, ",", &rest); one; one = strtok_r(NULL, ",", &rest)) {
        if (strcmp(one, "memory") == 0) {
            return true;
        }
    }
    return false;
}

/* A line of /proc/self/cgroup: "0::/group" (version 2), "4:memory:/group" (version 1). */
static uint64_t read_line_limit(const char *root, char *line)
{
    char *controllers = strchr(line, ':');
    char *group = controllers ? strchr(controllers + 1, ':') : NULL;
    if (!group) {
        return UINT64_MAX;
    }
    *controllers++ = 0;
    *group++ = 0;
    group[strcspn(group, "\n")] = 0;
    if (controllers[0] == 0) {
        return read_group_limit(root, "", group, "memory.max");
    }
    return is_memory_controller(controllers)
               ? read_group_limit(root, "/memory", group, "memory.limit_in_bytes")
               : UINT64_MAX;
}

uint64_t memory_limit_read(const char *root)
{
    char line[LINE_MAX_SIZE];
    long pages = sysconf(_SC_PHYS_PAGES), size = sysconf(_SC_PAGESIZE);
    uint64_t least = pages > 0 && size > 0 ? (uint64_t)pages * (uint64_t)size : UINT64_MAX;
    char *path = mem_format("%s/proc/self/cgroup", root);
    FILE *file = fopen(path, "re");
    free(path);
    while (file && fgets(line, sizeof line, file)) {
        uint64_t limit = read_line_limit(root, line);
        least = limit < least ? limit : least;
    }
    if (file) {
        (void)fclose(file);
    }
    return least;
}
