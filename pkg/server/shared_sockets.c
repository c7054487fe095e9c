/* shared_sockets: see the header. */
#include "server/shared_sockets.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/mem.h"
#include "net/socket.h"
#include "server/listeners_private.h"

/* The sockets of one listener. */
struct socket_group {
    const char *kind;
    char *name; /* as it was given */
    unsigned nth;
    bool lasts;  /* one for all, and for operators: served while the workers drain */
    char *where; /* with the real port */
    unsigned count;
    struct socket_listening *sockets; /* of UDP only their fd */
    int *fds;                         /* the same */
};

struct shared_sockets {
    struct socket_group *groups;
    struct supervisor_socket *list; /* of each group */
    size_t count;
    struct shared_sockets *former; /* which has those that are used no more, or NULL */
};

static bool is_shared_by_all(const struct listener_entry *entry)
{
    return strncmp(entry->where, "unix:", 5) == 0;
}

static char *bind_one(const struct listener_entry *entry, const char *where, bool reuse,
                      struct socket_listening *socket, char **text)
{
    char *error = NULL;
    if (entry->kind->is_udp) {
        struct udp_settings settings = entry->settings.udp;
        settings.reuse_port = settings.reuse_port || reuse;
        socket->fd = udp_open(where, &settings, text, &error);
        return error;
    }
    struct net_settings settings = entry->settings.net;
    settings.reuse_port = settings.reuse_port || reuse;
    return socket_bind(socket, where, &settings, text);
}

/* The first is bound alone, so that a port that another process uses is found to be in use; only
 * then others may be bound to the port. */
static char *bind_group(struct socket_group *group, const struct listener_entry *entry)
{
    const int on = 1;
    char *error = bind_one(entry, entry->where, false, &group->sockets[0], &group->where);
    if (!error && group->count > 1 &&
        setsockopt(group->sockets[0].fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof on) != 0) {
        error = mem_format("SO_REUSEPORT: %s", strerror(errno));
    }
    for (unsigned i = 1; i < group->count && !error; i++) {
        char *text = NULL;
        error = bind_one(entry, group->where, true, &group->sockets[i], &text);
        free(text);
    }
    for (unsigned i = 0; i < group->count; i++) {
        group->fds[i] = group->sockets[i].fd;
    }
    return listener_entry_name_error(entry, error);
}

static void create_group(struct socket_group *group, const struct listener_entry *entry,
                         unsigned workers)
{
    group->kind = entry->kind->name;
    group->name = mem_strdup(entry->name);
    group->nth = entry->nth;
    group->lasts = is_shared_by_all(entry) && entry->kind->for_operators;
    group->count = is_shared_by_all(entry) ? 1 : workers;
    group->sockets = mem_zalloc(group->count, sizeof *group->sockets);
    group->fds = mem_zalloc(group->count, sizeof *group->fds);
    for (unsigned i = 0; i < group->count; i++) {
        group->sockets[i].fd = -1;
    }
}

static struct socket_group *find_group(const struct shared_sockets *sockets,
                                       const struct listener_entry *entry)
{
    for (size_t i = 0; sockets && i < sockets->count; i++) {
        struct socket_group *group = &sockets->groups[i];
        if (group->name && group->nth == entry->nth && strcmp(group->name, entry->name) == 0) {
            return group;
        }
    }
    return NULL;
}

/* Binds what is new; what is not gets its place only. */
static char *open_groups(struct shared_sockets *sockets, const struct listeners *listeners,
                         unsigned workers)
{
    char *error = NULL;
    LIST_FOREACH (node, &listeners->entries) {
        const struct listener_entry *entry = list_entry(node, struct listener_entry, link);
        if (error) {
            break;
        }
        struct socket_group *group = &sockets->groups[sockets->count++];
        if (!find_group(sockets->former, entry)) {
            create_group(group, entry, workers);
            error = bind_group(group, entry);
        }
    }
    return error;
}

/* Nothing can fail any more. */
static void list_groups(struct shared_sockets *sockets, const struct listeners *listeners)
{
    size_t at = 0;
    LIST_FOREACH (node, &listeners->entries) {
        const struct listener_entry *entry = list_entry(node, struct listener_entry, link);
        struct socket_group *group = &sockets->groups[at];
        struct socket_group *former = find_group(sockets->former, entry);
        if (former) {
            *group = *former;
            *former = (struct socket_group){.name = NULL};
        }
        sockets->list[at++] = (struct supervisor_socket){.listener = group->name,
                                                         .nth = group->nth,
                                                         .is_shared = is_shared_by_all(entry),
                                                         .fds = group->fds};
    }
}

char *shared_sockets_open(const struct configuration *configuration, unsigned workers,
                          struct shared_sockets **result)
{
    struct shared_sockets *sockets = mem_zalloc(1, sizeof *sockets);
    struct listeners *listeners =
        listeners_create(&(struct listeners_context){.configuration = configuration});
    char *error = listeners_add_configured(listeners);
    size_t count = 0;
    LIST_FOREACH (node, &listeners->entries) {
        count++;
    }
    sockets->former = *result;
    sockets->groups = mem_zalloc(count, sizeof *sockets->groups);
    sockets->list = mem_zalloc(count, sizeof *sockets->list);
    if (!error) {
        error = open_groups(sockets, listeners, workers);
    }
    if (error) {
        sockets->former = NULL;
        shared_sockets_close(&sockets);
    } else {
        list_groups(sockets, listeners);
        *result = sockets;
    }
    listeners_destroy(&listeners);
    return error;
}

void shared_sockets_trim(struct shared_sockets *sockets)
{
    shared_sockets_close(&sockets->former);
}

static void close_sockets(const struct socket_group *group)
{
    for (unsigned i = 0; i < group->count; i++) {
        socket_close(&group->sockets[i]);
    }
}

void shared_sockets_stop(struct shared_sockets *sockets)
{
    for (size_t i = 0; i < sockets->count; i++) {
        if (!sockets->groups[i].lasts) {
            close_sockets(&sockets->groups[i]);
        }
    }
}

static void close_group(struct socket_group *group)
{
    close_sockets(group);
    free(group->sockets);
    free(group->fds);
    free(group->name);
    free(group->where);
}

void shared_sockets_close(struct shared_sockets **pointer)
{
    struct shared_sockets *sockets = *pointer;
    *pointer = NULL;
    if (!sockets) {
        return;
    }
    shared_sockets_close(&sockets->former);
    for (size_t i = 0; i < sockets->count; i++) {
        close_group(&sockets->groups[i]);
    }
    free(sockets->groups);
    free(sockets->list);
    free(sockets);
}

const struct supervisor_socket *shared_sockets_list(const struct shared_sockets *sockets,
                                                    size_t *count)
{
    *count = sockets->count;
    return sockets->list;
}

void shared_sockets_describe(const struct shared_sockets *sockets, struct writer *to)
{
    for (size_t i = 0; i < sockets->count; i++) {
        writer_format(to, "%s%s=%s", to->len ? "," : "", sockets->groups[i].kind,
                      sockets->groups[i].where);
    }
}
