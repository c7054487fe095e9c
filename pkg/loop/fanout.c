/* fanout: see fanout.h. */
#include "loop/fanout.h"

#include <stdlib.h>

#include "base/mem.h"

#define STEP_RECEIVERS 512         /* about LOOP_JOB_STEP_US */
#define STEP_BYTES     (512 << 10) /* to all of them: each may be written at once */
/* Bytes, with what keeps each frame. Beyond the first, each frame that is added pays with a few
 * steps, and senders wait; beyond the second, they are refused. */
#define QUEUED_FULL    (8 << 20)
#define QUEUED_MAX     (32 << 20)
#define OVERFLOW_STEPS 4
/* How long a sender waits, for each QUEUED_FULL that is queued. */
#define FULL_WAIT_US 200000

static size_t queued_size(const struct fanout_frame *queued)
{
    return sizeof *queued + sizeof *queued->frame + queued->frame->len;
}

static struct fanout_frame *first_queued(const struct fanout *fanout)
{
    return list_entry(fanout->frames.next, struct fanout_frame, link);
}

static void drop_first(struct fanout *fanout)
{
    struct fanout_frame *queued = first_queued(fanout);
    fanout->bytes -= queued_size(queued);
    list_remove(&queued->link);
    frame_unref(&queued->frame);
    free(queued);
    fanout->next = fanout->receivers->next;
}

/* True: there is more. */
static bool send_step(void *arg)
{
    struct fanout *fanout = arg;
    size_t sent = 0;
    for (size_t i = 0;
         i < STEP_RECEIVERS && sent < STEP_BYTES && !list_is_empty(&fanout->frames);) {
        struct list *receiver = fanout->next;
        if (receiver == fanout->receivers) {
            drop_first(fanout);
            continue;
        }
        fanout->next = receiver->next;
        sent += first_queued(fanout)->frame->len;
        fanout->send(fanout->arg, receiver, first_queued(fanout));
        i++;
    }
    return !list_is_empty(&fanout->frames);
}

void fanout_init(struct fanout *fanout, struct loop *loop, struct list *receivers,
                 const char *label, fanout_send send, void *arg)
{
    *fanout = (struct fanout){
        .loop = loop, .receivers = receivers, .next = receivers, .send = send, .arg = arg};
    fanout->job = (struct loop_job){.step = send_step, .arg = fanout, .label = label};
    list_init(&fanout->frames);
}

void fanout_stop(struct fanout *fanout)
{
    loop_job_stop(fanout->loop, &fanout->job);
    while (!list_is_empty(&fanout->frames)) {
        drop_first(fanout);
    }
}

static bool is_full(const struct fanout *fanout)
{
    return fanout->bytes > QUEUED_FULL;
}

uint64_t fanout_wait_us(const struct fanout *fanout)
{
    return is_full(fanout) ? fanout->bytes / QUEUED_FULL * FULL_WAIT_US : 0;
}

bool fanout_refuses(const struct fanout *fanout)
{
    return fanout->bytes > QUEUED_MAX;
}

void fanout_add(struct fanout *fanout, unsigned kind, struct frame *frame)
{
    struct fanout_frame *queued = mem_zalloc(1, sizeof *queued);
    bool is_idle = list_is_empty(&fanout->frames);
    queued->frame = frame_ref(frame);
    queued->number = ++fanout->number;
    queued->kind = kind;
    list_init(&queued->link);
    list_append(&fanout->frames, &queued->link);
    fanout->bytes += queued_size(queued);
    if (is_idle) {
        fanout->next = fanout->receivers->next;
    }
    bool has_more = !is_idle || send_step(fanout);
    for (size_t i = 0;
         has_more && is_full(fanout) && i < OVERFLOW_STEPS && !loop_share_is_used(fanout->loop);
         i++) {
        has_more = send_step(fanout);
    }
    if (has_more) {
        loop_job_start(fanout->loop, &fanout->job);
    }
}

void fanout_catch_up(struct fanout *fanout, struct list *receiver)
{
    LIST_FOREACH (node, &fanout->frames) {
        fanout->send(fanout->arg, receiver, list_entry(node, struct fanout_frame, link));
    }
}

void fanout_leave(struct fanout *fanout, const struct list *receiver)
{
    if (fanout->next == receiver) {
        fanout->next = receiver->next;
    }
}
