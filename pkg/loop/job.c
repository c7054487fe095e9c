/*
 * job: a circular list of the running jobs. The first takes the next step, and is moved to the end
 * before it does, so that a step may start, stop and free any job, its own included.
 */
#include "loop/job.h"

#include <stddef.h>

#include "loop/loop_private.h"

static void unlink_job(struct loop_job *job)
{
    job->prev->next = job->next;
    job->next->prev = job->prev;
    job->next = job->prev = NULL;
}

static void append_job(struct loop *loop, struct loop_job *job)
{
    job->prev = loop->jobs.prev;
    job->next = &loop->jobs;
    loop->jobs.prev->next = job;
    loop->jobs.prev = job;
}

bool loop_job_is_running(const struct loop_job *job)
{
    return job->next;
}

void loop_job_start(struct loop *loop, struct loop_job *job)
{
    if (loop_job_is_running(job)) {
        return;
    }
    append_job(loop, job);
    loop_outer_wake(loop, 1);
}

void loop_job_stop(struct loop *loop, struct loop_job *job)
{
    if (!loop_job_is_running(job)) {
        return;
    }
    unlink_job(job);
    if (loop->stepping == job) {
        loop->stepping = NULL;
    }
}

void loop_jobs_init(struct loop *loop)
{
    loop->jobs.next = loop->jobs.prev = &loop->jobs;
}

void loop_jobs_run(struct loop *loop)
{
    uint64_t until_us = loop_profile_unit(loop, LOOP_PART_JOBS) + LOOP_JOBS_US;

    do {
        struct loop_job *job = loop->jobs.next;
        bool more;

        unlink_job(job);
        append_job(loop, job);
        loop->stepping = job;
        loop_label(loop, job->label);
        more = job->step(job->arg); /* may stop and free the job */
        if (!more && loop->stepping) {
            unlink_job(job);
        }
        loop->stepping = NULL;
    } while (loop_profile_unit(loop, LOOP_PART_JOBS) < until_us && loop_has_jobs(loop));
}
