/* admin_private: what admin.c (who may, and the parts together), page.c, api.c, live.c, stats.c and
 * entries.c share. */
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

/* A space that somebody looks at: its view is kept while it is held. */
struct admin_space {
    struct list link;
    struct admin *admin;
    struct map_space *map;
    struct map_watcher watcher;
    size_t holders;
    struct follower_list readers; /* of the live stream */
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
    struct list spaces; /* struct admin_space */
    struct map_nodes *nodes;
    uint64_t nodes_ms;  /* when they were last asked for; 0: never */
    bool nodes_pending; /* they are being read */
    bool nodes_late;    /* for longer than anybody waits */
    struct loop_timer *nodes_timer;
    struct list calls; /* struct call: wait for the front-ends, or the view */
    struct log_limit refused_limit;
};

/* admin.c. True when the request may; else it has been answered. */
bool admin_allows(struct admin *admin, struct http_request *request, enum admin_access access);
/* What the stricter of two says: off only when both are. */
enum admin_access admin_either(int page, int api);
/* stale: with the header line that says so; the text has the member already (admin_write_stale). */
void admin_respond_read(struct http_request *request, int status, const struct writer *json,
                        bool stale);
void admin_respond_error(struct http_request *request, int status, const char *why);
/* Of an answer from the view. */
void admin_respond_read_error(struct http_request *request, int status, const char *why,
                              bool stale);
/* A parameter that is 1 or true, 0 or false; unchanged when it is missing. False: what it is has
 * been answered as an error. name: static. */
bool admin_read_switch(struct http_request *request, const char *name, bool *value)
    __attribute__((warn_unused_result));
/* The member "stale" of the object that is being written, when it is. */
void admin_write_stale(struct json_writer *json, bool stale);
/* The header line of a stale answer, or "". */
const char *admin_stale_header(bool stale);
/* The names of all spaces, as the member "spaces" of the object that is being written, and that of
 * game servers, when there is one, as "lobby". */
void admin_write_spaces(struct json_writer *json, struct admin *admin);
/* The space that the query names; NULL: there is none, which has been answered. */
struct admin_space *admin_space_asked(struct admin *admin, struct http_request *request);
/* The same, and without one in the query that of the game servers. */
struct admin_space *admin_space_of_servers(struct admin *admin, struct http_request *request);
/* NULL when there is no view to be had (why: static text); else it must be released. */
struct map_view *admin_space_hold(struct admin_space *space, const char **why);
void admin_space_release(struct admin_space *space);
/* Reads the front-ends again, when what is known of them is old. True: api_nodes_read follows, at
 * the latest after redis.deadline. */
bool admin_nodes_refresh(struct admin *admin);

/* tag.c */
#define ADMIN_TAG_SIZE(digits) ((digits) + 3) /* two quotes and NUL */
/* The entity tag of these bytes (RFC 9110, 8.8.3): so many digits of their hash, in quotes. digits:
 * even, up to 64. */
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
/* Answers those that wait. */
void api_end(struct admin *admin);

/* servers.c */
void servers_answer(struct admin *admin, struct http_request *request, struct admin_space *space,
                    bool stale);
/* One server, as an object; nodes: for the name of its front-end, NULL: without. */
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

/* stats.c: an object of this front-end's numbers; protocols: those of the view's entries too. */
void stats_write(struct json_writer *json, struct admin *admin, const struct admin_space *space,
                 bool protocols);

/* entries.c */
struct entry_format {
    size_t max_state;              /* bytes of the state */
    bool addresses;                /* they are shown */
    uint32_t partitions;           /* of the space */
    bool stale;                    /* one alone: the view may lack what was acknowledged */
    const struct map_nodes *nodes; /* for their names; NULL: without */
};
void entries_write(struct json_writer *json, const struct map_entry *entry,
                   const struct entry_format *format);
/* A search for a text in ids, states and other fields that are shown, whatever the case of letters
 * (admin/fold.h). Between begin and end it owns memory. */
struct entry_search {
    struct writer wanted;
    struct writer scratch;
    size_t searched; /* bytes, so far */
    bool addresses;  /* they are searched, too */
};
void entries_search_begin(struct entry_search *search, struct bytes text, bool addresses);
void entries_search_end(struct entry_search *search);
bool entries_match(struct entry_search *search, const struct map_entry *entry);
/* The front-ends, as an array. */
void entries_write_nodes(struct json_writer *json, const struct map_nodes *nodes);

#endif
