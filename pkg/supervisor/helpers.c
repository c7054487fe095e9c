/*
 * helpers: a worker that serves the sockets of another one, while that one does not: the
 * connections in their queues, and those that the kernel still puts there.
 */
#include <errno.h>
#include <stdlib.h>

#include "base/log.h"
#include "base/mem.h"
#include "supervisor/supervisor_private.h"

static bool needs_helper(const struct worker_slot *slot)
{
    return slot->listens && !worker_slot_serves(slot);
}

static bool send_adopt(const struct worker_slot *slot, const struct worker_slot *helper)
{
    const struct supervisor_options *options = &slot->supervisor->options;
    char *from = mem_format("%u", slot->index);
    bool sent = true;
    for (size_t i = 0; sent && i < options->socket_count; i++) {
        const struct supervisor_socket *socket = &options->sockets[i];
        if (!socket->is_shared) {
            char *nth = mem_format("%u", socket->nth);
            const char *const words[] = {"adopt", socket->listener, nth, from, NULL};
            sent = control_send(helper->child->control, socket->fds[slot->index - 1], words);
            free(nth);
        }
    }
    free(from);
    return sent;
}

static void send_release(const struct worker_slot *slot, const struct worker_slot *helper)
{
    char *from = mem_format("%u", slot->index);
    const char *const words[] = {"release", from, NULL};
    /* If it is too slow for that, it serves the sockets together with their worker. */
    (void)!control_send(helper->child->control, -1, words);
    free(from);
}

/* The next one after the slot that serves; NULL: none. */
static struct worker_slot *find_helper(const struct worker_slot *slot)
{
    const struct supervisor *supervisor = slot->supervisor;
    const unsigned count = supervisor->options.count;
    for (unsigned i = 0; i < count; i++) {
        struct worker_slot *other = &supervisor->slots[(slot->index + i) % count];
        if (worker_slot_serves(other) && send_adopt(slot, other)) {
            return other;
        }
    }
    return NULL;
}

static void assign_helper(struct worker_slot *slot)
{
    if (slot->helper && !worker_slot_serves(slot->helper)) {
        slot->helper = NULL; /* it has stopped to accept anything */
    }
    if (!needs_helper(slot)) {
        if (slot->helper) {
            send_release(slot, slot->helper);
        }
        slot->helper = NULL;
    } else if (!slot->helper) {
        slot->helper = find_helper(slot);
        log_info("worker_helped", LOG_INT("worker", slot->index),
                 LOG_INT("by", slot->helper ? slot->helper->index : 0));
    }
}

void supervisor_assign_helpers(struct supervisor *supervisor)
{
    for (unsigned i = 0; i < supervisor->options.count; i++) {
        assign_helper(&supervisor->slots[i]);
        worker_slot_publish(&supervisor->slots[i]);
    }
}
