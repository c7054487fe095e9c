/*
 * upgrade: replaces the workers' processes, one at a time: starts the next one in a slot, lets the
 * previous one retire when that is ready, and goes on when it has ended. Both have the slot's
 * sockets meanwhile, so that no connection waits for either.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/log.h"
#include "supervisor/supervisor_private.h"

static const char *refuse_upgrade(const struct supervisor *supervisor)
{
    if (supervisor->stopping) {
        return "the workers end";
    }
    if (!supervisor->was_ready) {
        return "the workers start";
    }
    return supervisor->upgrade.is_active ? "another one is under way" : NULL;
}

void supervisor_upgrade(struct supervisor *supervisor)
{
    const struct supervisor_options *options = &supervisor->options;
    const char *why = refuse_upgrade(supervisor);
    if (why) {
        log_warn("upgrade_refused", LOG_STRING("why", why));
        return;
    }
    const int program = open(options->program, O_PATH | O_CLOEXEC);
    if (program < 0) {
        log_error("upgrade_failed", LOG_STRING("program", options->program), LOG_ERRNO(errno));
        return;
    }
    if (!options->refresh(options->arg)) {
        close(program);
        return;
    }
    supervisor->upgrade = (struct upgrade){.is_active = true,
                                           .previous = supervisor->program,
                                           .previous_generation = supervisor->generation};
    supervisor->program = program;
    supervisor->generation++;
    log_info("upgrade_started", LOG_STRING("program", options->program));
    supervisor_upgrade_step(supervisor);
}

/* Whether a process is being replaced. */
static bool is_replacing(const struct supervisor *supervisor)
{
    LIST_FOREACH (node, &supervisor->children) {
        const struct worker_child *child = list_entry(node, struct worker_child, link);
        if (child->retiring || child == child->slot->next) {
            return true;
        }
    }
    return false;
}

/* *all: whether all slots serve by the new program. A slot that does not serve at all starts by
 * itself. */
static struct worker_slot *find_former(const struct supervisor *supervisor, bool *all)
{
    *all = true;
    for (unsigned i = 0; i < supervisor->options.count; i++) {
        struct worker_slot *slot = &supervisor->slots[i];
        if (!worker_slot_serves(slot)) {
            *all = false;
        } else if (slot->child->generation != supervisor->generation) {
            return slot;
        }
    }
    return NULL;
}

/* What was in force before is again. */
static void restore_program(struct supervisor *supervisor)
{
    close(supervisor->program);
    supervisor->program = supervisor->upgrade.previous;
    supervisor->generation = supervisor->upgrade.previous_generation;
    supervisor->upgrade.is_active = false;
}

void supervisor_upgrade_step(struct supervisor *supervisor)
{
    bool all;
    if (!supervisor->upgrade.is_active || supervisor->stopping || is_replacing(supervisor)) {
        return;
    }
    struct worker_slot *slot = find_former(supervisor, &all);
    if (slot) {
        slot->next = worker_child_start(slot);
        if (!slot->next) {
            upgrade_abandon(slot);
        }
    } else if (all) {
        close(supervisor->upgrade.previous);
        supervisor->upgrade.is_active = false;
        supervisor->options.upgraded(supervisor->options.arg);
    }
}

void upgrade_swap(struct worker_slot *slot)
{
    static const char *const retire[] = {"retire", NULL};
    struct worker_child *former = slot->child;
    slot->child = slot->next;
    slot->next = NULL;
    slot->failures = 0;
    former->retiring = true;
    worker_slot_publish(slot); /* before the former one stops being ready */
    if (!control_send(former->control, -1, retire)) {
        (void)kill(former->pid, SIGTERM);
    }
}

void upgrade_abandon(struct worker_slot *slot)
{
    slot->next = NULL;
    if (slot->supervisor->upgrade.is_active) {
        log_error(
            "upgrade_failed", LOG_INT("worker", slot->index),
            LOG_STRING("err", "the new process has ended before it was ready: see its lines"));
        restore_program(slot->supervisor);
    }
}
