/*
 * lockstep.so: a program that is started with LD_PRELOAD=lockstep.so runs in lockstep with
 * lockstep.py, so that what it does depends on its input alone, not on the machine's speed.
 *
 * The program's event loop waits in epoll_wait. There it first handles all that is ready. When
 * nothing is, it reports that, and stays there until the driver asks for more:
 *
 *   i  one thing has been sent to the program: wait until it is there
 *   t  the clock has been moved: wake for a timer if one is due
 *   z  callgrind: begin to count      d  callgrind: write what was counted
 *
 * The monotonic clock is the driver's, and a timerfd fires only for a `t`. The wall clock is real.
 * Random bytes are the same in each run; LOCKSTEP_SEED gives a program others than another one's.
 * Memory is counted all the while. LOCKSTEP_STATE names the shared file, LOCKSTEP_SOCKET the
 * driver's socket. With LOCKSTEP_PLAIN it counts nothing, and needs no header of valgrind's: that
 * is lockstep_plain.so, with which sanitized programs run as well. Nothing begins before the
 * program first waits: so launchers are left alone.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#ifdef LOCKSTEP_PLAIN
#define CALLGRIND_ZERO_STATS
#define CALLGRIND_DUMP_STATS
#define CALLGRIND_TOGGLE_COLLECT
#else
#include <valgrind/callgrind.h>
#endif

#include "lockstep.h"

#define SLICE_MS    10 /* how soon an unlocked program sees that it has been locked */
#define IDLE_SLICES 10 /* of these, before a plain program's clock moves by itself */
#define FREE_US     500000
#define PATIENCE_MS 60000 /* for what was sent to arrive */

#ifndef LOCKSTEP_PLAIN
void *__libc_malloc(size_t size);
void *__libc_calloc(size_t count, size_t size);
void *__libc_realloc(void *memory, size_t size);
void *__libc_memalign(size_t alignment, size_t size);
void __libc_free(void *memory);
#endif
void randombytes_buf(void *to, size_t size);
uint32_t randombytes_uniform(uint32_t bound);

static struct lockstep_state *shared;
static int control = -1;
static int timer = -1;      /* the timerfd */
static int64_t timer_us;    /* when it is to fire; 0: not */
static int64_t begin_us;    /* the clock at the start of a plain program */
static int64_t armed_early; /* it was set while the program was not locked yet */

static void lockstep_fail(const char *what)
{
    perror(what);
    _exit(125);
}

static void lockstep_open(void)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    const char *path = getenv("LOCKSTEP_STATE"), *where = getenv("LOCKSTEP_SOCKET");
    int file = path ? open(path, O_RDWR | O_CLOEXEC) : -1;
    void *map = file < 0 ? MAP_FAILED
                         : mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);

    if (map == MAP_FAILED) {
        lockstep_fail("lockstep: LOCKSTEP_STATE");
    }
    close(file);
    control = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    strncpy(address.sun_path, where ? where : "", sizeof address.sun_path - 1);
    if (connect(control, (struct sockaddr *)&address, sizeof address) != 0) {
        lockstep_fail("lockstep: LOCKSTEP_SOCKET");
    }
    shared = map;
    begin_us = shared->now_us;
}

#ifdef LOCKSTEP_PLAIN
/* No launcher comes before the program, and its timers are set when it starts. */
__attribute__((constructor)) static void lockstep_start(void)
{
    lockstep_open();
}
#endif

#ifndef LOCKSTEP_PLAIN
/* Memory. */

static void lockstep_note_allocation(void *memory)
{
    if (shared && memory) {
        size_t size = malloc_usable_size(memory);
        __atomic_fetch_add(&shared->allocations, 1, __ATOMIC_RELAXED);
        __atomic_fetch_add(&shared->allocated_bytes, size, __ATOMIC_RELAXED);
        __atomic_fetch_add(&shared->live_bytes, (int64_t)size, __ATOMIC_RELAXED);
    }
}

static void lockstep_note_free(void *memory)
{
    if (shared && memory) {
        __atomic_fetch_sub(&shared->live_bytes, (int64_t)malloc_usable_size(memory),
                           __ATOMIC_RELAXED);
    }
}

void *malloc(size_t size)
{
    void *memory = __libc_malloc(size);
    lockstep_note_allocation(memory);
    return memory;
}

void *calloc(size_t count, size_t size)
{
    void *memory = __libc_calloc(count, size);
    lockstep_note_allocation(memory);
    return memory;
}

void *realloc(void *memory, size_t size)
{
    void *moved;

    lockstep_note_free(memory);
    moved = __libc_realloc(memory, size);
    if (moved) {
        lockstep_note_allocation(moved);
    }
    return moved;
}

void free(void *memory)
{
    lockstep_note_free(memory);
    __libc_free(memory);
}

void *memalign(size_t alignment, size_t size)
{
    void *memory = __libc_memalign(alignment, size);
    lockstep_note_allocation(memory);
    return memory;
}

void *aligned_alloc(size_t alignment, size_t size)
{
    return memalign(alignment, size);
}

int posix_memalign(void **memory, size_t alignment, size_t size)
{
    *memory = memalign(alignment, size);
    return *memory ? 0 : ENOMEM;
}
#endif

/* Time. */

/* Whether the monotonic clock is the driver's; a plain program never has another one. */
static bool lockstep_has_clock(void)
{
#ifdef LOCKSTEP_PLAIN
    return shared;
#else
    return shared && shared->is_locked;
#endif
}

int clock_gettime(clockid_t clock, struct timespec *time)
{
    if (!lockstep_has_clock() || (clock != CLOCK_MONOTONIC && clock != CLOCK_MONOTONIC_COARSE)) {
        return (int)syscall(SYS_clock_gettime, clock, time);
    }
    time->tv_sec = shared->now_us / 1000000;
    time->tv_nsec = shared->now_us % 1000000 * 1000;
    return 0;
}

int timerfd_create(int clock, int flags)
{
    timer = (int)syscall(SYS_timerfd_create, clock, flags);
    return timer;
}

static void lockstep_set_timer(long nanoseconds)
{
    struct itimerspec when = {.it_value.tv_nsec = nanoseconds};
    syscall(SYS_timerfd_settime, timer, 0, &when, NULL);
}

int timerfd_settime(int fd, int flags, const struct itimerspec *when, struct itimerspec *before)
{
    if (fd == timer && flags == TFD_TIMER_ABSTIME) {
        timer_us = (int64_t)when->it_value.tv_sec * 1000000 + when->it_value.tv_nsec / 1000;
        if (lockstep_has_clock()) {
            /* The program's call counts though the kernel does not see it. */
            shared->calls[SYS_timerfd_settime]++;
            return 0;
        }
        armed_early = 1;
    }
    return (int)syscall(SYS_timerfd_settime, fd, flags, when, before);
}

/* Random numbers: the call is made, and its result is replaced by the same numbers in each run. */

static unsigned char lockstep_random_byte(void)
{
    static uint64_t seed;

    if (seed == 0) {
        const char *text = getenv("LOCKSTEP_SEED");
        seed = text ? strtoull(text, NULL, 10) : 1;
    }
    seed = seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (unsigned char)(seed >> 56);
}

void randombytes_buf(void *to, size_t size)
{
    static void (*original)(void *, size_t);
    unsigned char *bytes = to;

    if (!original) {
        void *symbol = dlsym(RTLD_NEXT, "randombytes_buf");
        memcpy(&original, &symbol, sizeof original);
    }
    original(to, size);
    for (size_t i = 0; i < size; i++) {
        bytes[i] = lockstep_random_byte();
    }
}

uint32_t randombytes_uniform(uint32_t bound)
{
    static uint32_t (*original)(uint32_t);
    uint32_t value = 0;

    if (!original) {
        void *symbol = dlsym(RTLD_NEXT, "randombytes_uniform");
        memcpy(&original, &symbol, sizeof original);
    }
    (void)original(bound);
    for (int i = 0; i < 4; i++) {
        value = value << 8 | lockstep_random_byte();
    }
    return bound > 1 ? value % bound : 0;
}

/* Waiting. */

static int lockstep_poll(int epoll, struct epoll_event *events, int most, int timeout)
{
    int found;

    do {
        found = (int)syscall(SYS_epoll_wait, epoll, events, most, timeout);
    } while (found < 0 && errno == EINTR && timeout > 0);
    return found;
}

static char lockstep_report(char report)
{
    char command = 0;

    if (write(control, &report, 1) != 1 || read(control, &command, 1) != 1) {
        _exit(125);
    }
    return command;
}

/* One command of the driver's; returns the number of events that it caused. */
static int lockstep_execute(char command, int epoll, struct epoll_event *events, int most)
{
    int found;

    switch (command) {
    case 'z':
        CALLGRIND_ZERO_STATS;
        return 0;
    case 'd':
        CALLGRIND_DUMP_STATS;
        return 0;
    case 't':
        if (timer_us == 0 || timer_us > shared->now_us) {
            return 0;
        }
        timer_us = 0;
        lockstep_set_timer(1);
        break;
    }
    found = lockstep_poll(epoll, events, most, PATIENCE_MS);
    if (found == 0) {
        (void)lockstep_report('e');
    }
    return found;
}

static int lockstep_wait(int epoll, struct epoll_event *events, int most)
{
    int found;

    shared->in_gate = 1;
    CALLGRIND_TOGGLE_COLLECT;
    if (armed_early) {
        armed_early = 0;
        lockstep_set_timer(0);
    }
    found = lockstep_poll(epoll, events, most, 0);
    while (found == 0) {
        found = lockstep_execute(lockstep_report('.'), epoll, events, most);
    }
    shared->calls[SYS_epoll_wait]++;
    CALLGRIND_TOGGLE_COLLECT;
    shared->in_gate = 0;
    return found;
}

/* A plain program before it is locked: when it has been idle for a while, the clock goes to its
 * next timer at once, up to FREE_US in all. So when timers are due does not depend on the machine.
 */
static void lockstep_pass_idle_time(int *slices)
{
    if (!lockstep_has_clock() || ++*slices < IDLE_SLICES || timer_us == 0 ||
        timer_us > begin_us + FREE_US) {
        return;
    }
    if (shared->now_us < timer_us) {
        shared->now_us = timer_us;
    }
    lockstep_set_timer(1);
    *slices = 0;
}

int epoll_wait(int epoll, struct epoll_event *events, int most, int timeout)
{
    int found = 0, idle = 0;

    if (!shared) {
        lockstep_open();
    }
    if (timeout == 0) {
        return lockstep_poll(epoll, events, most, 0);
    }
    while (!shared->is_locked) {
        lockstep_pass_idle_time(&idle);
        int slice = timeout < 0 || timeout > SLICE_MS ? SLICE_MS : timeout;
        found = (int)syscall(SYS_epoll_wait, epoll, events, most, slice);
        timeout -= timeout < 0 ? 0 : slice;
        if (found != 0 || timeout == 0) {
            return found;
        }
    }
    return lockstep_wait(epoll, events, most);
}
