/* admin_private: shared by admin.c (access, creation), page.c, api.c, clients.c, servers.c, live.c,
 * stats.c and entries.c.
 */
#ifndef ADMIN_ADMIN_PRIVATE_H
#define ADMIN_ADMIN_PRIVATE_H

#include "admin/admin.h"
#include "base/list.h"
#include "base/log.h"
#include "codec/json.h"
#include "inspect/nodes.h"
#include "view/follower.h"
#include "view/view.h"

#define JSON_TYPE "application/json"

struct gameserver;
struct page;
struct live;
struct server_lists;
struct protocol_tally;

/* A space in use; its view is kept while it is held. */
struct admin_space {
    struct list link;
    struct admin *admin;
    struct map_space *map;
    struct map_watcher watcher;
    size_t holders;
    uint64_t watches; /* how often a view was taken: another one counts its changes anew */
    struct follower_list readers; /* of the live stream */
    struct protocol_tally *tally; /* of the entries by protocol; NULL: never requested */
};

struct admin {
    struct map *map;
    struct loop *loop;
    const struct health *health;
    const struct admin_settings *settings;
    const char *version;
    const char *lobby; /* the space of game servers */
    struct page *page;
    struct live *live;
    struct server_lists *server_lists;
    struct list spaces; /* struct admin_space */
    struct map_nodes *nodes;
    uint64_t nodes_ms;   /* when they were last requested; 0: never */
    uint64_t nodes_read; /* how often they have been read */
    bool nodes_pending;  /* a read is in flight */
    bool nodes_late;     /* it has taken longer than requests wait */
    struct loop_timer *nodes_timer;
    struct list calls;    /* struct api_call: waiting for the front-ends, or the view */
    struct list listings; /* struct listing: being written */
    struct log_limit refused_limit;
};

/* admin.c. True when the request is allowed; else it has been answered. */
bool admin_allows(struct admin *admin, struct http_request *request, enum admin_access access);
/* The access when either suffices: off only when both are. */
enum admin_access admin_either(int page, int api);
/* Charges the client for work, beyond what each request and answer costs. */
#define ADMIN_SCANNED_PER_UNIT 64 /* entries */
void admin_charge(const struct http_request *request, size_t units);
/* stale: adds the header line; the text already has the member (admin_write_stale). */
void admin_respond_read(struct http_request *request, int status, const struct writer *json,
                        bool stale);
void admin_respond_error(struct http_request *request, int status, const char *why);
/* The same for an error. */
void admin_respond_read_error(struct http_request *request, int status, const char *why,
                              bool stale);
/* A parameter that is 1 or true, 0 or false; unchanged when it is missing. False: it is invalid,
 * and the request has been answered. name: static. */
bool admin_read_switch(struct http_request *request, const char *name, bool *value)
    __attribute__((warn_unused_result));
/* Writes the member "stale", if it is. */
void admin_write_stale(struct json_writer *json, bool stale);
/* The header line of a stale answer, or "". */
const char *admin_stale_header(bool stale);
/* Writes the names of all spaces as the member "spaces", and that of the game servers' space, if
 * there is one, as "lobby". */
void admin_write_spaces(struct json_writer *json, struct admin *admin);
/* The space that the query names; NULL: it does not exist, and the request has been answered. */
struct admin_space *admin_space_asked(struct admin *admin, struct http_request *request);
/* The same, with the game servers' space as the default. */
struct admin_space *admin_space_of_servers(struct admin *admin, struct http_request *request);
/* NULL when no view is available (why: static text); else it must be released. */
struct map_view *admin_space_hold(struct admin_space *space, const char **why);
/* Once more, while it is held. */
void admin_space_keep(struct admin_space *space);
void admin_space_release(struct admin_space *space);
/* Reads the front-ends again if the list is old. True: api_nodes_read will be called, at the latest
 * after redis.deadline. */
bool admin_nodes_refresh(struct admin *admin);

/* tag.c */
#define ADMIN_TAG_SIZE(digits) ((digits) + 3) /* two quotes and NUL */
/* The entity tag of these bytes (RFC 9110, 8.8.3): the first digits of their hash, in quotes.
 * digits: even, up to 64. */
void admin_write_tag(struct bytes bytes, size_t digits, char *tag);
/* Whether a list of entity tags has this one (RFC 9110, 13.1.2: weak comparison). */
bool admin_has_tag(struct bytes list, const char *tag);

/* page.c */
struct page *page_create(void);
void page_destroy(struct page **page);
void page_add_routes(struct admin *admin, struct http_router *router);

/* api.c */
void api_add_routes(struct admin *admin, struct http_router *router);
void api_nodes_read(struct admin *admin);
/* Answers all waiting requests. */
void api_end(struct admin *admin);

/* servers.c */
void servers_answer(struct admin *admin, struct http_request *request, struct admin_space *space,
                    bool stale);
/* One server as an object; nodes: for the name of its front-end, NULL: without it. */
void servers_write(struct json_writer *json, const struct map_entry *entry,
                   struct gameserver *gameserver, const struct map_nodes *nodes);

/* live.c */
struct live *live_create(struct admin *admin);
void live_destroy(struct live **live);
void live_add_routes(struct admin *admin, struct http_router *router);
/* Before and after all else that a space is used for. */
void live_add_space(struct admin_space *space);
void live_remove_space(struct admin_space *space);
void live_changed(struct admin_space *space, const struct map_changes *changes);
/* The space's view is complete again. */
void live_resume(struct admin_space *space);
void live_nodes_read(struct live *live);
size_t live_count(const struct live *live);

/* stats.c: an object with this front-end's numbers; protocols: with the last count of the view's
 * entries by protocol. */
void stats_write(struct json_writer *json, struct admin *admin, const struct admin_space *space,
                 bool protocols);
/* Answers once the entries have been counted; the space is held, and its view is live. */
void stats_answer(struct admin *admin, struct http_request *request, struct admin_space *space);
void stats_remove_space(struct admin_space *space);

/* entries.c */
struct entry_format {
    size_t max_state;              /* bytes of the state */
    bool addresses;                /* include the clients' addresses */
    uint32_t partitions;           /* of the space */
    bool stale;                    /* a single entry: the view may lack acknowledged changes */
    const struct map_nodes *nodes; /* for their names; NULL: without names */
};
/* That of lists. */
struct entry_format entries_format(const struct admin *admin, const struct admin_space *space);
void entries_write(struct json_writer *json, const struct map_entry *entry,
                   const struct entry_format *format);
/* The front-ends, as an array. */
void entries_write_nodes(struct json_writer *json, const struct map_nodes *nodes);

#endif
