/* clock_shift.so: a program that is started with LD_PRELOAD=clock_shift.so and CLOCK_SHIFT=FILE
 * sees the time of day shifted by what the file says. The file has eight bytes: microseconds,
 * signed, in the machine's order. Another process may write them at any time. The monotonic clock
 * stays as it is. With CLOCK_STOPPED=1 the file has the time of day itself, since 1970, and it
 * passes only as the file changes.
 *
 * Not libfaketime: redis-server does not run under it, and it takes the deadlines of monotonic
 * timerfds for times of day: shifted, they come as much later or earlier, or are refused.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static const volatile int64_t *shift;
static bool is_stopped;

__attribute__((constructor)) static void clock_shift_open(void)
{
    const char *path = getenv("CLOCK_SHIFT");
    int descriptor = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
    void *map = descriptor < 0 ? MAP_FAILED
                               : mmap(NULL, sizeof *shift, PROT_READ, MAP_SHARED, descriptor, 0);
    if (map == MAP_FAILED) {
        perror("clock_shift: CLOCK_SHIFT");
        _exit(125);
    }
    close(descriptor);
    shift = map;
    is_stopped = getenv("CLOCK_STOPPED") != NULL;
}

/* The kernel's time, shifted: by its call, not by libc's function, which is ours now. */
static int64_t clock_shift_now(clockid_t clock, long *nanoseconds)
{
    struct timespec now;
    if (is_stopped) {
        *nanoseconds = 0;
        return *shift;
    }
    syscall(SYS_clock_gettime, clock, &now);
    int64_t micros = now.tv_sec * INT64_C(1000000) + now.tv_nsec / 1000 + (shift ? *shift : 0);
    *nanoseconds = now.tv_nsec % 1000;
    return micros;
}

int clock_gettime(clockid_t clock, struct timespec *time)
{
    if (clock != CLOCK_REALTIME && clock != CLOCK_REALTIME_COARSE) {
        return (int)syscall(SYS_clock_gettime, clock, time);
    }
    long rest;
    int64_t micros = clock_shift_now(clock, &rest);
    time->tv_sec = micros / 1000000;
    time->tv_nsec = micros % 1000000 * 1000 + rest;
    return 0;
}

int gettimeofday(struct timeval *restrict time, void *restrict zone)
{
    long rest;
    int64_t micros = clock_shift_now(CLOCK_REALTIME, &rest);
    time->tv_sec = micros / 1000000;
    time->tv_usec = micros % 1000000;
    return 0;
}

time_t time(time_t *result)
{
    long rest;
    time_t seconds = clock_shift_now(CLOCK_REALTIME, &rest) / 1000000;
    if (result) {
        *result = seconds;
    }
    return seconds;
}
