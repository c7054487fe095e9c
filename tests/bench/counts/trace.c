/*
 * trace.so: a program that was compiled with -finstrument-functions, and is started with this
 * library before its own, writes down which functions are entered, in order, while its driver wants
 * it to (tests/bench/trace). TRACE_FILE names the shared file: struct trace.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <link.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#define TRACE_CALLS 65536

struct trace {
    uint64_t is_on; /* by the driver */
    uint64_t count; /* of the calls since the driver made it 0, also of those that find no place */
    uint64_t calls[TRACE_CALLS]; /* where each function is in the program's file */
};

static volatile struct trace *trace;
static uintptr_t base;

__attribute__((no_instrument_function)) static int trace_find_base(struct dl_phdr_info *info,
                                                                   size_t size, void *arg)
{
    base = info->dlpi_addr;
    return 1; /* the program itself comes first */
}

__attribute__((constructor, no_instrument_function)) static void trace_open(void)
{
    const char *path = getenv("TRACE_FILE");
    int file = path ? open(path, O_RDWR | O_CLOEXEC) : -1;
    void *map = file < 0 ? MAP_FAILED
                         : mmap(NULL, sizeof *trace, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);

    if (map == MAP_FAILED) {
        perror("trace: TRACE_FILE");
        _exit(125);
    }
    close(file);
    dl_iterate_phdr(trace_find_base, NULL);
    trace = map;
}

__attribute__((no_instrument_function)) void __cyg_profile_func_enter(void *function, void *caller)
{
    if (!trace || !trace->is_on) {
        return;
    }
    if (trace->count < TRACE_CALLS) {
        trace->calls[trace->count] = (uintptr_t)function - base;
    }
    trace->count++;
}

__attribute__((no_instrument_function)) void __cyg_profile_func_exit(void *function, void *caller)
{
}
