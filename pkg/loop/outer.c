/*
 * outer: a loop inside a program with its own loop: one epoll descriptor that watches what the loop
 * watches, and its timerfd. libevent does not expose the descriptor that it waits on.
 */
#include <errno.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "base/log.h"
#include "loop/loop_private.h"

static void control_outer_epoll(struct loop *loop, int operation, int fd, uint32_t events)
{
    static struct log_limit limit;
    struct epoll_event event = {.events = events, .data.fd = fd};

    /* A descriptor that was closed before its io was destroyed has been removed by the kernel. */
    if (epoll_ctl(loop->outer, operation, fd, &event) != 0 && operation != EPOLL_CTL_DEL) {
        log_limited(LOG_ERROR, &limit, "watch_failed", LOG_INT("fd", fd), LOG_ERRNO(errno));
    }
}

int loop_fd(struct loop *loop)
{
    if (loop->outer >= 0) {
        return loop->outer;
    }
    loop->outer = epoll_create1(EPOLL_CLOEXEC);
    if (loop->outer < 0) {
        log_error("event_loop_failed", LOG_ERRNO(errno));
        return -1;
    }
    control_outer_epoll(loop, EPOLL_CTL_ADD, loop->timers.fd, EPOLLIN);
    return loop->outer;
}

void loop_outer_watch(struct loop *loop, int fd, unsigned before, unsigned after)
{
    uint32_t events = 0;

    if (loop->outer < 0 || before == after) {
        return;
    }
    if ((after & LOOP_READ) != 0) {
        events |= EPOLLIN;
    }
    if ((after & LOOP_WRITE) != 0) {
        events |= EPOLLOUT;
    }
    control_outer_epoll(loop,
                        before == 0  ? EPOLL_CTL_ADD
                        : after == 0 ? EPOLL_CTL_DEL
                                     : EPOLL_CTL_MOD,
                        fd, events);
}

void loop_outer_wake(struct loop *loop, uint64_t until_us)
{
    if (loop->outer >= 0 && !loop->is_iterating) {
        loop_timers_arm(loop, until_us);
    }
}

void loop_outer_free(struct loop *loop)
{
    if (loop->outer >= 0) {
        (void)close(loop->outer);
    }
}
