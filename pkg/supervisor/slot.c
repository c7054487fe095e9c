/* slot: a worker's place, and which process is in it. */
#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>

#include "base/log.h"
#include "supervisor/supervisor_private.h"

#define FIRST_PAUSE_MS 250
#define MOST_PAUSE_MS  30000
/* A worker that has served for this long has not failed at its start. */
#define STABLE_MS 60000

uint64_t supervisor_restart_pause(unsigned failures)
{
    uint64_t pause = FIRST_PAUSE_MS;
    if (failures <= 1) {
        return 0;
    }
    for (unsigned i = 2; i < failures && pause < MOST_PAUSE_MS; i++) {
        pause *= 2;
    }
    return pause < MOST_PAUSE_MS ? pause : MOST_PAUSE_MS;
}

static void pause_slot(struct worker_slot *slot, uint64_t pause_ms)
{
    slot->state = SLOT_PAUSED;
    slot->child = NULL;
    log_info("worker_restarts", LOG_INT("worker", slot->index), LOG_INT("in_ms", (int64_t)pause_ms),
             LOG_INT("failures", slot->failures));
    slot->resumes_us = loop_now_us(slot->supervisor->loop) + pause_ms * 1000;
    loop_timer_start(slot->restart, pause_ms);
}

void worker_slot_publish(const struct worker_slot *slot)
{
    static const enum board_state states[] = {[SLOT_PAUSED] = BOARD_PAUSED,
                                              [SLOT_STARTING] = BOARD_STARTING,
                                              [SLOT_SERVING] = BOARD_SERVING};
    board_publish(slot->supervisor->board, slot->index,
                  &(struct board_worker){.state = states[slot->state],
                                         .area = slot->child ? slot->child->area : 0,
                                         .starts = slot->starts,
                                         .failures = slot->failures,
                                         .helper = slot->helper ? slot->helper->index : 0,
                                         .pid = slot->child ? slot->child->pid : 0,
                                         .resumes_us = slot->resumes_us});
}

void worker_slot_start(struct worker_slot *slot)
{
    if (slot->supervisor->stopping) {
        return;
    }
    slot->child = worker_child_start(slot);
    if (slot->child) {
        slot->state = SLOT_STARTING;
    } else {
        slot->failures++;
        pause_slot(slot, supervisor_restart_pause(slot->failures));
    }
    worker_slot_publish(slot);
}

static bool are_all_serving(const struct supervisor *supervisor)
{
    for (unsigned i = 0; i < supervisor->options.count; i++) {
        if (supervisor->slots[i].state != SLOT_SERVING) {
            return false;
        }
    }
    return true;
}

void worker_slot_on_ready(struct worker_child *child)
{
    struct worker_slot *slot = child->slot;
    struct supervisor *supervisor = slot->supervisor;
    if (child == slot->next) {
        upgrade_swap(slot);
    } else if (child != slot->child || slot->state != SLOT_STARTING) {
        return;
    }
    slot->state = SLOT_SERVING;
    slot->listens = true;
    slot->ready_ms = loop_now_ms(supervisor->loop);
    if (slot->reload) {
        slot->reload = false;
        (void)kill(child->pid, SIGHUP);
    }
    supervisor_assign_helpers(supervisor);
    if (!supervisor->was_ready && are_all_serving(supervisor)) {
        supervisor->was_ready = true;
        supervisor->options.ready(supervisor->options.arg);
    }
    supervisor_upgrade_step(supervisor);
}

bool worker_slot_serves(const struct worker_slot *slot)
{
    return slot->state == SLOT_SERVING && !slot->child->draining;
}

void worker_slot_on_draining(struct worker_child *child)
{
    child->draining = true;
    if (!child->slot->supervisor->stopping && !child->retiring) {
        supervisor_assign_helpers(child->slot->supervisor);
    }
}

static void log_exit(const struct worker_child *child, int status, bool expected)
{
    const bool killed = WIFSIGNALED(status);
    log_limited(
        expected ? LOG_INFO : LOG_WARN, NULL, "worker_exited",
        LOG_INT("worker", child->slot->index), LOG_INT("pid", child->pid),
        LOG_INT(killed ? "signal" : "code", killed ? WTERMSIG(status) : WEXITSTATUS(status)));
}

/* A worker that is still starting does not handle SIGTERM yet. */
static bool has_ended_well(int status)
{
    return (WIFEXITED(status) && WEXITSTATUS(status) == 0) ||
           (WIFSIGNALED(status) && WTERMSIG(status) == SIGTERM);
}

static void restart_later(struct worker_slot *slot, bool drained)
{
    const uint64_t now = loop_now_ms(slot->supervisor->loop);
    if (slot->state == SLOT_SERVING && now - slot->ready_ms >= STABLE_MS) {
        slot->failures = 0;
    }
    slot->failures += !drained;
    if (slot->next) { /* it starts already */
        slot->state = SLOT_STARTING;
        slot->child = slot->next;
        slot->next = NULL;
    } else {
        pause_slot(slot, supervisor_restart_pause(slot->failures));
    }
    supervisor_assign_helpers(slot->supervisor);
}

/* The place is empty, and stays so. */
static void empty_slot(struct worker_slot *slot)
{
    slot->state = SLOT_PAUSED;
    slot->child = NULL;
    slot->next = NULL;
}

void worker_slot_on_exit(struct worker_child *child, int status)
{
    struct worker_slot *slot = child->slot;
    struct supervisor *supervisor = slot->supervisor;
    const bool well = has_ended_well(status), retired = child->retiring;
    const bool is_next = child == slot->next, drained = child->draining;
    log_exit(child, status, (supervisor->stopping || retired) && well);
    worker_child_free(child);
    if (supervisor->stopping) {
        empty_slot(slot);
        if (!well && supervisor->exit_code == 0) {
            supervisor->exit_code = 1;
        }
        supervisor_check_end(supervisor);
    } else if (is_next) {
        upgrade_abandon(slot);
    } else if (retired) {
        supervisor_upgrade_step(supervisor);
    } else if (!supervisor->was_ready) {
        empty_slot(slot);
        supervisor_stop(supervisor, WIFEXITED(status) && WEXITSTATUS(status) == 2 ? 2 : 1);
    } else {
        restart_later(slot, well && drained);
    }
}
