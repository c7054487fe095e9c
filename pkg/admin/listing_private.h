/*
 * listing_private: an answer that is written in pieces, by a job (loop/job.h), and sent as fast as
 * the client takes it: it holds one piece of web.chunk bytes at most. A text that is complete
 * within the first piece is sent with its length.
 *
 *   the job writes ──► web.chunk is reached ──► the piece is sent ──► it has been taken ─┐
 *         ▲                                                                             │
 *         └─────────────────────────────────────────────────────────────────────────────┘
 */
#ifndef ADMIN_LISTING_PRIVATE_H
#define ADMIN_LISTING_PRIVATE_H

#include "admin/admin_private.h"
#include "loop/job.h"

/* To be the first member of its owner's struct. */
struct listing {
    struct list link; /* admin.listings */
    struct loop_job job;
    struct admin *admin;
    struct admin_space *space; /* held */
    struct http_request *request;
    /* Appends a little to the text: some entries. False: it is complete. */
    bool (*write)(struct listing *listing);
    /* Frees the owner's memory, the listing included. */
    void (*free)(struct listing *listing);
    struct json_writer json; /* over text */
    struct writer text;      /* not sent yet */
    bool stale;
    bool is_sending; /* the head has been sent */
    bool is_complete;
};

/* label: of the job, static. Later in this event-loop iteration the first step follows. */
void listing_start(struct listing *listing, struct admin *admin, struct http_request *request,
                   struct admin_space *space, bool stale, const char *label);
/* Answers all at shutdown. */
void listing_end_all(struct admin *admin);

/* The index of the first entry with a greater id. */
size_t listing_place_after(struct map_entry *const *entries, size_t count, struct bytes id);
/* Notes the id as the one after which to continue. */
void listing_note_id(struct writer *after, const struct map_entry *entry);

/* clients.c: GET /api/v1/clients */
void clients_answer(struct admin *admin, struct http_request *request, struct admin_space *space,
                    bool stale);

#endif
