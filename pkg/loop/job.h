/*
 * job: work that is longer than one event-loop iteration should be, done in pieces over several.
 *
 * A job's step does one piece: about LOOP_JOB_STEP_US of work, or a fixed number of items. In each
 * iteration, once the watchers of the views have been notified (LOOP_PHASE_VIEW) and before the
 * map's batches are sent, the running jobs take steps in turn, one each and again, until
 * LOOP_JOBS_US have passed; at least one step is taken. Then the loop polls its descriptors and
 * timers, so neither an answer nor the renewal of a lease waits for the end of any job. While a job
 * runs, the loop does not sleep. What a job must not see half done, it keeps to one step; whatever
 * it holds between steps may have changed meanwhile.
 */
#ifndef LOOP_JOB_H
#define LOOP_JOB_H

#include <stdbool.h>

#include "loop/loop.h"

#define LOOP_JOB_STEP_US 100
#define LOOP_JOBS_US     1000
#define LOOP_SHARE_US    1000 /* of a task: loop_share_is_used */

/* To be embedded in its owner's struct; no memory is allocated for it. Zero-initialise it and set
 * step, arg and label. */
struct loop_job {
    bool (*step)(void *arg); /* true: there is more to do; may stop any job, and free its own */
    void *arg;
    const char *label; /* static; in snake_case: names the job in the log */
    struct loop_job *next;
    struct loop_job *prev;
};

/* Behind all that run already, from this iteration's steps on, or the next one's after them.
 * Starting a running job does nothing. */
void loop_job_start(struct loop *loop, struct loop_job *job);
/* Does nothing when the job is not running. An owner stops its job before it is freed. */
void loop_job_stop(struct loop *loop, struct loop_job *job);
bool loop_job_is_running(const struct loop_job *job);

#endif
