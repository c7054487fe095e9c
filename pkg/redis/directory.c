/*
 * directory: the directory of an embedded server's socket and log, and the removal of those that
 * crashed front-ends left.
 *
 * A directory is named tracker-XXXXXX and holds a file `lock`, which the server keeps locked. If it
 * is not locked, the server no longer runs (its front-end was killed before it could remove the
 * directory), and the next front-end that creates a directory removes it. The file gets its name
 * only when it is locked, so that a new directory is never mistaken for a stale one.
 */
#include "redis/embedded_private.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"
#include "base/mem.h"
#include "redis/embedded.h"

#define NAME_PREFIX "tracker-"
#define NAME_LENGTH (sizeof NAME_PREFIX - 1 + 6)

static const char *parent_directory(void)
{
    const char *runtime = getenv("XDG_RUNTIME_DIR");
    const char *temporary = getenv("TMPDIR");

    if (runtime && *runtime == '/' && access(runtime, W_OK) == 0) {
        return runtime;
    }
    return temporary != NULL && *temporary == '/' ? temporary : "/tmp";
}

static int remove_one(const char *path, const struct stat *status, int kind, struct FTW *at)
{
    return remove(path);
}

void redis_directory_remove(const char *path)
{
    if (nftw(path, remove_one, 8, FTW_DEPTH | FTW_PHYS) != 0 && errno != ENOENT) {
        log_warn("directory_removal_failed", LOG_STRING("path", path), LOG_ERRNO(errno));
    }
}

/* Accessible only to this user, so that nobody else can have replaced it. */
static bool is_ours(const char *path)
{
    struct stat status;

    return lstat(path, &status) == 0 && S_ISDIR(status.st_mode) && status.st_uid == geteuid() &&
           (status.st_mode & 077) == 0;
}

/* Opens the directory's lock file; -1 on failure. *is_free: no server holds the lock. */
static int open_lock(const char *path, bool *is_free)
{
    char *lock_path = mem_format("%s/lock", path);
    int lock = is_ours(path) ? open(lock_path, O_RDWR | O_CLOEXEC | O_NOFOLLOW) : -1;

    *is_free = lock >= 0 && flock(lock, LOCK_EX | LOCK_NB) == 0;
    free(lock_path);
    return lock;
}

static void remove_if_dead(void *arg, const char *path)
{
    bool is_free;
    int lock = open_lock(path, &is_free);

    if (is_free) {
        log_info("removing_stale_redis", LOG_STRING("path", path));
        redis_directory_remove(path);
    }
    if (lock >= 0) {
        close(lock);
    }
}

static void each_directory(const char *parent, void (*visit)(void *arg, const char *path),
                           void *arg)
{
    DIR *entries = opendir(parent);
    const struct dirent *entry;

    while (entries && (entry = readdir(entries))) {
        if (strlen(entry->d_name) == NAME_LENGTH &&
            strncmp(entry->d_name, NAME_PREFIX, sizeof NAME_PREFIX - 1) == 0) {
            char *path = mem_format("%s/%s", parent, entry->d_name);

            visit(arg, path);
            free(path);
        }
    }
    if (entries) {
        closedir(entries);
    }
}

struct sockets {
    char **list; /* ends with NULL */
    size_t count;
};

static void add_if_running(void *arg, const char *path)
{
    struct sockets *sockets = arg;
    bool is_free;
    int lock = open_lock(path, &is_free);

    if (lock >= 0 && !is_free) {
        sockets->list = mem_realloc(sockets->list, (sockets->count + 2) * sizeof *sockets->list);
        sockets->list[sockets->count++] = mem_format("%s/redis.sock", path);
        sockets->list[sockets->count] = NULL;
    }
    if (lock >= 0) {
        close(lock);
    }
}

char **redis_embedded_find(void)
{
    struct sockets sockets = {.list = mem_zalloc(1, sizeof *sockets.list)};

    each_directory(parent_directory(), add_if_running, &sockets);
    return sockets.list;
}

static int lock_directory(const char *path)
{
    char *unnamed = mem_format("%s/lock.new", path);
    char *named = mem_format("%s/lock", path);
    int lock = open(unnamed, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);

    if (lock >= 0 && (flock(lock, LOCK_EX | LOCK_NB) != 0 || rename(unnamed, named) != 0)) {
        close(lock);
        lock = -1;
    }
    free(unnamed);
    free(named);
    return lock;
}

char *redis_directory_create(int *lock, char **error)
{
    const char *parent = parent_directory();
    char *path = mem_format("%s/" NAME_PREFIX "XXXXXX", parent);

    each_directory(parent, remove_if_dead, NULL);
    if (!mkdtemp(path)) {
        *error = mem_format("cannot create a directory like %s: %s", path, strerror(errno));
        free(path);
        return NULL;
    }
    *lock = lock_directory(path);
    if (*lock < 0) {
        *error = mem_format("cannot lock the directory %s: %s", path, strerror(errno));
        redis_directory_remove(path);
        free(path);
        return NULL;
    }
    return path;
}
