/* front_ends: the front-ends, by their leases and the descriptions that they publish; and requests
 * to them. */
#ifndef TRACKERCTL_FRONT_ENDS_H
#define TRACKERCTL_FRONT_ENDS_H

#include "ctl.h"

struct front_end_field {
    struct bytes name, value;
};

struct front_end {
    char *id;
    char *name;                     /* for people: set by --node, or its id */
    uint64_t lease_end;             /* the latest of all partitions, ms since the epoch; 0: none */
    uint64_t entries;               /* that it owns */
    bool is_alive;                  /* it has a lease */
    struct front_end_field *fields; /* its description: fields (schema/event.h) */
    size_t field_count;
};

struct front_ends {
    struct ctl *ctl;
    struct front_end *list;
    size_t count;
    uint64_t now; /* Redis's, ms since the epoch */
};

/* Reads those of all spaces, or of ctl->space when it was given; the reader must be connected.
 * CTL_OK, or what to exit with. To be freed in any case. */
enum ctl_exit front_ends_read(struct ctl *ctl, struct front_ends *front_ends);
void front_ends_free(struct front_ends *front_ends);
/* By id or name; NULL after a message. */
const struct front_end *front_ends_find(const struct front_ends *front_ends, const char *text);
/* By id only; NULL when there is none. */
const struct front_end *front_ends_find_id(const struct front_ends *front_ends, struct bytes id);
/* A field; data NULL when there is none of that name. */
struct bytes front_end_field(const struct front_end *front_end, const char *name);

enum request_outcome {
    REQUEST_WAITS, /* no answer (yet) */
    REQUEST_GONE,  /* no front-end is subscribed */
    REQUEST_DONE,
    REQUEST_REFUSED
};
struct front_end_request {
    const char *node; /* its id */
    enum request_outcome outcome;
    struct bytes text; /* the answer; freed by requests_free */
    uint64_t sent_us;
    uint64_t taken_us; /* until the answer */
};
/* Sends the same request to each, and waits for all answers or the time-out. argument may be empty.
 * CTL_OK when all were sent, whatever the answers. */
enum ctl_exit requests_run(struct ctl *ctl, struct front_end_request *requests, size_t count,
                           const char *verb, struct bytes argument);
void requests_free(struct front_end_request *requests, size_t count);
/* For one request: prints the error. shown: the name of the front-end. */
enum ctl_exit request_check(const struct front_end_request *request, const char *shown);

#endif
