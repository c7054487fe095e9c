/*
 * servers_private: which game servers a request is about, for servers.c, which answers it, and
 * server_lists.c, which keeps the lists.
 */
#ifndef ADMIN_SERVERS_PRIVATE_H
#define ADMIN_SERVERS_PRIVATE_H

#include "admin/admin_private.h"

/* The query's condition for servers that are empty, or full. */
enum wanted { WANTED_TOO, WANTED_NOT, WANTED_ONLY };

struct server_filter {
    struct bytes game; /* no bytes: any */
    struct bytes protocol;
    enum wanted empty, full;
};

/* A copy that owns its texts. */
void servers_copy_filter(struct server_filter *copy, const struct server_filter *filter);
void servers_free_filter(struct server_filter *copy);
bool servers_same_filter(const struct server_filter *a, const struct server_filter *b);
/* Writes the entry as an object if it is a game server that passes. */
void servers_write_passing(struct json_writer *json, const struct map_entry *entry,
                           const struct server_filter *filter, const struct map_nodes *nodes);

/* server_lists.c */
struct server_lists *server_lists_create(struct admin *admin);
/* Answers all that wait. */
void server_lists_destroy(struct server_lists **lists);
/* The space is held by the caller; the filter's texts are copied. */
void server_lists_answer(struct server_lists *lists, struct http_request *request,
                         struct admin_space *space, const struct server_filter *filter, bool stale);

#endif
