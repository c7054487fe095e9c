/*
 * live_private: the events of the live stream as text. Each function appends to a writer, which
 * belongs to the caller.
 */
#ifndef ADMIN_LIVE_PRIVATE_H
#define ADMIN_LIVE_PRIVATE_H

#include "admin/admin_private.h"

/* What a reader requested: entries as clients, or as game servers. */
enum live_form { LIVE_CLIENTS, LIVE_SERVERS, LIVE_FORMS };

/* live_shares.c: one of the streams of an address (IPv6: of a /64). Bytes that are not used are 0.
 */
struct live_address {
    uint8_t family; /* enum address_family */
    uint8_t ip[8];
};
struct live_share {
    struct list link; /* of all streams */
    struct live_address address;
    uint64_t number; /* a later stream has a greater one */
};
struct live_address live_address_of(const struct conn *conn);
size_t live_shares_count(const struct list *shares, const struct live_address *address);
/* The stream that makes room for one from that address: the oldest one of the network (IPv6: /48)
 * that has most of them, or else of the address. NULL: none has more than that one's would have. */
struct live_share *live_shares_choose(const struct list *shares,
                                      const struct live_address *newcomer);

/* Begins an event; the caller appends its data, one line of JSON. */
void live_event_begin(struct writer *to, const char *name);
void live_event_end(struct writer *to);

/* Whole events: the front-end that answers; why the map is not sent; numbers of the front-end and
 * the space. */
void live_write_hello(struct writer *to, struct admin *admin, const struct admin_space *space);
void live_write_refusal(struct writer *to, const char *why);
void live_write_stats(struct writer *to, struct admin_space *space);
/* The event of closed ids: JSON values, each followed by a comma. Nothing without values. */
void live_write_closed(struct writer *to, struct bytes values);

/* An id as one JSON value: a string, or {"id64": ...}. */
void live_write_id(struct writer *to, struct bytes id);

/* Entries in events of a bounded size. */
struct live_entries {
    struct writer *to;
    enum live_form form;
    bool whole;
    struct entry_format format;
    size_t began; /* the offset of the current event; 0: none */
};

struct live_entries live_entries_begin(struct writer *to, const struct admin_space *space,
                                       enum live_form form);
/* Appends an entry, and ends the event when it is large enough. */
void live_entries_write(struct live_entries *events, const struct map_entry *entry);
/* Ends the open event, if there is one. */
void live_entries_end(struct live_entries *events);

#endif
