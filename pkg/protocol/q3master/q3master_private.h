/*
 * q3master_private: what the files of the master share.
 *
 *   q3master.c  service, ports, receiving and sending
 *   list.c      the servers of a space
 *   replies.c   prepared lists
 *   register.c  heartbeats, their challenges, probes
 *   prefix_output.c  how much is sent to each network
 */
#ifndef PROTOCOL_Q3MASTER_Q3MASTER_PRIVATE_H
#define PROTOCOL_Q3MASTER_Q3MASTER_PRIVATE_H

#include "auth/cookie.h"
#include "auth/shares.h"
#include "auth/slots.h"
#include "base/hash.h"
#include "base/list.h"
#include "base/log.h"
#include "budget/bucket.h"
#include "codec/q3games.h"
#include "codec/q3master.h"
#include "codec/q3master_reply.h"
#include "loop/pending.h"
#include "map/secret.h"
#include "metrics/metrics.h"
#include "protocol/q3master/prefix_output_private.h"
#include "protocol/q3master/q3master.h"
#include "registration/registration.h"
#include "view/view.h"

#define Q3MASTER_OUTPUT_MIN 65536

/* A game server of the space, or one that is being registered. */
struct q3master_entry {
    UT_hash_handle hh; /* by id */
    struct q3master_server server;
    char *game; /* what server.game and server.gametype borrow from */
    uint64_t since;
    struct loop_pending pending; /* until the view has it */
    size_t place;                /* in the list's `listed`, while it is listed */
    struct share share;          /* while it is registered */
    uint64_t probed_ms;          /* of this front-end's last probe without an answer; 0: none */
    uint64_t leaving_until;      /* ms; it was evicted, and may not register until then */
    bool listed;                 /* it is sent to players */
    bool registered;             /* by UDP: it counts against the limits */
    bool implied;                /* its heartbeat's tag implied its game */
    uint8_t id_len;
    char id[];
};

/* The servers of a space. */
struct q3master_list {
    struct list link; /* the service's */
    struct q3master_service *service;
    struct map_space *space;
    struct map_view *view;
    struct map_watcher watcher;
    struct registration_prober prober;
    struct list ports;
    struct loop_pending_set *pending; /* struct q3master_entry that the view does not have yet */
    struct q3master_entry *entries;
    struct q3master_entry **listed;
    size_t listed_count, listed_capacity;
    uint64_t generation; /* counts changes of `listed` */
    struct slots registered;
    struct shares shares; /* of the same */
};

/* A prepared list, or none when the game is rejected. */
struct q3master_prepared {
    UT_hash_handle hh; /* by key */
    struct list used;  /* of one of the replies' lists */
    struct q3master_reply *reply;
    size_t size; /* bytes of all its packets */
    size_t packets;
    uint64_t generation;
    uint64_t made_ms;
    uint8_t key_len;
    uint8_t key[Q3MASTER_KEY_MAX];
};

struct q3master_replies {
    struct q3master_prepared *all;
    struct list once; /* requested once */
    struct list used; /* more often; the most recently used last */
};

/* Addresses that are listed under another one. */
struct q3master_mapping {
    struct address from, to;
};

struct q3master_port {
    struct list in_list;
    struct q3master_list *list;
    struct q3master_service *service;
    const struct q3master_settings *settings;
    struct udp *udp;
    bool ipv4, ipv6; /* families that it can send to */
    struct q3games *games;
    struct q3master_mapping *mappings;
    size_t mapping_count;
    struct q3master_replies replies;
};

struct q3master_service {
    struct map *map;
    struct loop *loop;
    struct bans *bans;
    struct bans_watcher bans_watcher;
    const struct q3master_settings *settings;
    struct list lists;
    struct cookie_keys keys;
    struct map_secret *secret; /* NULL: the setting's, or none was needed yet */
    struct bucket_table *heartbeats, *answers, *queries, *seldom;
    struct bucket new_kinds; /* lists that are prepared for new kinds of queries */
    uint64_t output_us;      /* when output was filled last */
    int64_t output;          /* bytes that may be sent now */
    struct prefix_output *prefixes;
    uint64_t list_start; /* where the next list begins */
    struct log_limit drop_limit, malformed_limit, registered_limit, refused_limit, evicted_limit;
};

/* settings.c, q3master.c */
/* False when the text is no mapping. mappings (may be NULL): allocated. */
bool q3master_map_read(const char *text, struct q3master_mapping **mappings, size_t *count);
uint64_t q3master_now_ms(const struct q3master_service *service); /* Redis's wall clock */
void q3master_drop(struct q3master_service *service, const struct address *peer, enum metric metric,
                   const char *why);
/* Whether the output budget, and that of the peer's network, have room for packets with so many
 * bytes in all; if not, the datagram that they answer is dropped. As the budget runs out, lower
 * ranks are refused first. */
enum q3master_rank {
    Q3MASTER_RANK_LISTED, /* to a server that is registered: its network's budget does not count */
    Q3MASTER_RANK_SERVER, /* what gets a game server listed */
    Q3MASTER_RANK_SELDOM, /* a list for an address that seldom sends queries */
    Q3MASTER_RANK_OFTEN   /* any other list */
};
bool q3master_may_send(struct q3master_service *service, const struct address *peer, size_t bytes,
                       size_t packets, enum q3master_rank rank);

/* list.c */
struct q3master_list *q3master_list_get(struct q3master_service *service, struct map_space *space,
                                        const char **why);
/* Its ports must be gone. */
void q3master_list_release(struct q3master_list *list);
struct q3master_entry *q3master_list_find(const struct q3master_list *list, struct bytes id);
/* It is being registered: it counts until the view has it, or for a limited time. */
void q3master_list_expect(struct q3master_list *list, struct bytes id,
                          const struct address *address);
/*
 * The game that a query of this protocol without a name means. Servers whose heartbeat's tag
 * implied their game decide: known, the game of the protocol in the table (NULL: none), if one of
 * them has it, else the game of the oldest. Without such servers, and without a known game, it is
 * that of the oldest server. data NULL: the table decides. So a server cannot take over such a list
 * by naming a game.
 */
struct bytes q3master_list_game(const struct q3master_list *list, int32_t protocol,
                                const char *known);
/* Evicts a server from a full list for a newcomer, and returns it; it does not count any more.
 * NULL: none may be. */
struct q3master_entry *q3master_list_evict(struct q3master_list *list,
                                           const struct address *newcomer);
/* This front-end has sent it a probe. */
void q3master_list_note_probe(struct q3master_list *list, struct bytes id);

/* replies.c */
void q3master_replies_init(struct q3master_replies *replies);
void q3master_replies_clear(struct q3master_replies *replies);
/* The list for a query; its reply is NULL when the query is not answered. Valid until the next
 * call. NULL: too many queries of new kinds. */
const struct q3master_prepared *q3master_replies_get(struct q3master_port *port,
                                                     const struct q3master_query *query);

/* register.c */
void q3master_handle_heartbeat(struct q3master_port *port, const struct udp_path *path,
                               struct bytes tag);
void q3master_handle_info(struct q3master_port *port, const struct udp_path *path,
                          const struct q3master_info *info);
void q3master_probe(struct registration_prober *prober, struct bytes id, unsigned probe);
/* Unregisters the servers that are banned now. */
void q3master_list_ban(struct q3master_list *list);

#endif
