/*
 * supervisor_private: what the files of the supervisor share.
 *
 * A slot is the place of one worker: its number and its sockets. Its child is the process in it.
 *
 *   PAUSED ──start──► STARTING ──ready──► SERVING
 *      ▲                 │ it ends           │ it ends
 *      └─────────────────┴───────────────────┘
 */
#ifndef SUPERVISOR_SUPERVISOR_PRIVATE_H
#define SUPERVISOR_SUPERVISOR_PRIVATE_H

#include <sys/types.h>

#include "base/list.h"
#include "metrics/board.h"
#include "supervisor/control.h"
#include "supervisor/supervisor.h"

enum slot_state { SLOT_PAUSED, SLOT_STARTING, SLOT_SERVING };

struct worker_slot;

/* A process of a worker. */
struct worker_child {
    struct list link; /* in supervisor.children */
    struct worker_slot *slot;
    pid_t pid;
    int pidfd;
    int control;
    struct loop_io *exit_io, *control_io;
    unsigned area;       /* on the board */
    unsigned generation; /* of the program that it executes */
    bool retiring;       /* replaced: it drains */
    bool draining;       /* without being asked by us */
};

struct worker_slot {
    struct supervisor *supervisor;
    unsigned index; /* from 1 on */
    enum slot_state state;
    struct worker_child *child; /* NULL: PAUSED */
    struct worker_child *next;  /* starts, and is to replace it: upgrade.c; or NULL */
    struct worker_slot *helper; /* serves its sockets while it does not; NULL: nobody */
    bool listens;               /* it has been SERVING: clients can connect */
    unsigned starts;            /* of processes */
    bool reload;         /* SIGHUP is due as soon as it is SERVING: before, it would end it */
    unsigned failures;   /* in a row */
    uint64_t ready_ms;   /* since when it is SERVING */
    uint64_t resumes_us; /* PAUSED: when it is started */
    struct loop_timer *restart;
};

struct supervisor {
    struct loop *loop;
    struct supervisor_options options;
    int program;         /* descriptor of what is executed */
    unsigned generation; /* of it: rises with each upgrade */
    struct upgrade {
        bool is_active;
        int previous; /* program, for when it fails */
        unsigned previous_generation;
    } upgrade;
    struct board *board;
    int board_fd;
    struct worker_slot *slots;
    struct list children; /* all processes */
    bool was_ready;
    bool stopping;
    int exit_code;
    struct control_message message; /* being received */
};

/* child.c: executes the program as that worker; NULL when it cannot, which has been logged. */
struct worker_child *worker_child_start(struct worker_slot *slot)
    __attribute__((warn_unused_result));
void worker_child_free(struct worker_child *child);

/* slot.c */
void worker_slot_start(struct worker_slot *slot);
void worker_slot_on_ready(struct worker_child *child);
/* It drains, as somebody else has asked it to. */
void worker_slot_on_draining(struct worker_child *child);
/* Whether it accepts connections. */
bool worker_slot_serves(const struct worker_slot *slot);
/* Shows the others what has become of it. */
void worker_slot_publish(const struct worker_slot *slot);
/* It has ended; status: as of waitpid. The child is freed afterwards. */
void worker_slot_on_exit(struct worker_child *child, int status);

/* upgrade.c: something has changed: takes the next step, if an upgrade is under way. */
void supervisor_upgrade_step(struct supervisor *supervisor);
/* The replacement is ready. */
void upgrade_swap(struct worker_slot *slot);
/* The replacement has ended before it was ready. */
void upgrade_abandon(struct worker_slot *slot);

/* supervisor.c: a child has been freed: calls `ended` after the last one, if it is stopping. */
void supervisor_check_end(struct supervisor *supervisor);

/* helpers.c: has a serving worker accept for each slot that listens and has none, if there is one;
 * and has it stop where that is not needed any more. */
void supervisor_assign_helpers(struct supervisor *supervisor);

#endif
