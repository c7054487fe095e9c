/* mem: see the header. The out_of_memory line is written without allocating. */
#include "base/mem.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void die_without_memory(void) __attribute__((noreturn));
static void die_without_memory(void)
{
    static const char line[] = "level=error msg=out_of_memory\n";
    ssize_t written = write(STDERR_FILENO, line, sizeof line - 1);

    (void)written; /* a failure cannot be reported any more */
    abort();
}

void *mem_alloc(size_t size)
{
    void *memory = malloc(size == 0 ? 1 : size);

    if (!memory) {
        die_without_memory();
    }
    return memory;
}

void *mem_zalloc(size_t count, size_t size)
{
    /* calloc checks the product. */
    void *memory = count == 0 || size == 0 ? calloc(1, 1) : calloc(count, size);

    if (!memory) {
        die_without_memory();
    }
    return memory;
}

void *mem_realloc(void *memory, size_t size)
{
    void *moved = realloc(memory, size == 0 ? 1 : size);

    if (!moved) {
        die_without_memory();
    }
    return moved;
}

void *mem_dup(const void *memory, size_t len)
{
    char *copy;

    if (len == SIZE_MAX) {
        die_without_memory();
    }
    copy = mem_alloc(len + 1);
    if (len > 0) {
        memcpy(copy, memory, len);
    }
    copy[len] = '\0';
    return copy;
}

char *mem_strdup(const char *string)
{
    return mem_dup(string, strlen(string));
}

char *mem_format(const char *format, ...)
{
    va_list arguments;
    char *text = NULL;
    int len;

    va_start(arguments, format);
    len = vasprintf(&text, format, arguments);
    va_end(arguments);
    if (len < 0 || !text) {
        die_without_memory();
    }
    return text;
}
