/*
 * tracker: sessions of the Tracker protocol (docs/protocol-tracker.md): requests of a client become
 * operations of the map, changes of the map become pushes.
 *
 * One service serves the process, one port each listener. A session belongs to its connection and
 * ends with it; its entries stay for their client to reconnect (client.grace).
 *
 * Replies are sent in the order of the requests. No write is dropped for being too much: over a
 * rate, or with tracker.pipeline answers outstanding, the connection is not read from until the
 * client may continue.
 */
#ifndef PROTOCOL_TRACKER_TRACKER_H
#define PROTOCOL_TRACKER_TRACKER_H

#include <stddef.h>
#include <stdint.h>

#include "config/config.h"
#include "map/map.h"
#include "net/conn.h"

struct tracker_settings {
    int original;              /* tracker.original: 0 is 2013, 1 is 2014 */
    int id_form;               /* tracker.id_form: enum tracker_id_form */
    int form;                  /* tracker.form: enum tracker_form_setting */
    bool consistent_get;       /* tracker.consistent_get: a Get reads revisions from Redis */
    int push;                  /* tracker.push: enum tracker_push_setting */
    int64_t push_all_interval; /* tracker.push_all_interval, ms between two closes' Update alls */
    int update_form;           /* tracker.update_form: enum tracker_update_form */
    int64_t max_state;         /* tracker.max_state, bytes */
    int64_t max_id;            /* tracker.max_id, bytes */
    int adopt;                 /* tracker.adopt: enum map_adopt */
    int64_t rate;              /* tracker.rate: writes a second of a connection; 0: no limit */
    int64_t burst;             /* tracker.burst */
    int64_t
        address_rate; /* tracker.address_rate, tracker.address_burst: accepted, without effect */
    int64_t address_burst;
    int64_t pipeline; /* tracker.pipeline: answers outstanding before reading pauses */
    int64_t chunk;    /* tracker.chunk, bytes of pushes encoded at a time for one reader */
};
extern const struct config_module tracker_config;

enum tracker_form_setting { TRACKER_FORM_SETTING_PLAIN, TRACKER_FORM_SETTING_WIDE };
enum tracker_id_form { TRACKER_ID_SHORT, TRACKER_ID_UUID };
enum tracker_push_setting { TRACKER_PUSH_AUTO, TRACKER_PUSH_ON, TRACKER_PUSH_OFF };

struct tracker_service;
struct tracker_port;

/* The map must outlive the service. */
struct tracker_service *tracker_service_create(struct map *map);
/* There must be no connections and no ports. */
void tracker_service_destroy(struct tracker_service **service);
/* Connections that are served, including those whose last answers are being sent. */
size_t tracker_service_count(const struct tracker_service *service);
/* Ends at most count connections, the oldest first, for that reason: no further request is read,
 * pending ones are answered, entries are left for adoption. Returns how many. */
size_t tracker_service_drain(struct tracker_service *service, size_t count,
                             enum conn_close_reason why);

/* What a listener's connections share. settings are read at each use and must outlive the port. */
struct tracker_port *tracker_port_create(struct tracker_service *service, struct map_space *space,
                                         const struct tracker_settings *settings);
/* It must have no connections. */
void tracker_port_destroy(struct tracker_port **port);

/* Serves an accepted connection until it ends. */
void tracker_serve(struct tracker_port *port, struct conn *conn);
/* The same where users have tokens: Update and Close of an id that has the form of a user's are
 * refused, as turntable would show such an entry as the user. */
void tracker_serve_no_user(struct tracker_port *port, struct conn *conn);

#endif
