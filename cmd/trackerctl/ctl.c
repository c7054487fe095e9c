#include "ctl.h"

#include <signal.h>
#include <sodium.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/escape.h"
#include "base/mem.h"

enum ctl_exit ctl_worse(enum ctl_exit a, enum ctl_exit b)
{
    static const int badness[] = {
        [CTL_OK] = 0, [CTL_NO] = 1, [CTL_LATE] = 2, [CTL_UNREACHABLE] = 3, [CTL_USAGE] = 4};
    return badness[a] >= badness[b] ? a : b;
}

/* A line for people. It may contain names and texts of others. */
static void print_visible_line(FILE *to, const char *before, const char *format, va_list list)
{
    struct writer line = {0};
    char *text = NULL;
    if (vasprintf(&text, format, list) < 0) {
        return;
    }
    escape_visible(&line, bytes_from_string(text), false);
    (void)fprintf(to, "%s%.*s\n", before, (int)line.len, (const char *)line.data);
    writer_free(&line);
    free(text);
}

static void print_error(const char *format, va_list list)
{
    (void)fflush(stdout);
    print_visible_line(stderr, "trackerctl: ", format, list);
}

void ctl_print(const char *format, ...)
{
    va_list list;
    va_start(list, format);
    print_visible_line(stdout, "", format, list);
    va_end(list);
}

void ctl_complain(const char *format, ...)
{
    va_list list;
    va_start(list, format);
    print_error(format, list);
    va_end(list);
}

void ctl_warn_renamed(const struct config_rename *rename)
{
    ctl_complain("warning: the setting %s is now called %s; this release still accepts the old "
                 "name",
                 rename->former, rename->key);
}

void ctl_note(const struct ctl *ctl, const char *format, ...)
{
    va_list list;
    if (ctl->quiet) {
        return;
    }
    va_start(list, format);
    print_error(format, list);
    va_end(list);
}

enum ctl_exit ctl_check(const struct ctl *ctl)
{
    enum reader_problem problem = reader_problem(ctl->reader);
    if (problem == READER_FINE || problem == READER_STOPPED) {
        return CTL_OK;
    }
    ctl_complain("%s", reader_error(ctl->reader));
    if (problem == READER_UNREACHABLE) {
        if (ctl->guessed) {
            ctl_complain("no front-end of yours runs a Redis of its own here; set the address by "
                         "--redis URL or TRACKER_REDIS_URL=URL");
        }
        return CTL_UNREACHABLE;
    }
    return problem == READER_LATE ? CTL_LATE : CTL_NO;
}

bool ctl_reconnect(struct ctl *ctl)
{
    reader_destroy(&ctl->reader);
    ctl->reader = reader_create(ctl->loop, &ctl->target, &ctl->redis, (uint64_t)ctl->timeout_ms);
    return reader_connect(ctl->reader);
}

enum ctl_exit ctl_connect(struct ctl *ctl)
{
    char *where = redis_target_describe(&ctl->target);
    ctl_note(ctl, "via redis %s", where);
    free(where);
    (void)ctl_reconnect(ctl);
    return ctl_check(ctl);
}

static void complain_of_space(struct ctl *ctl);

enum ctl_exit ctl_connect_space(struct ctl *ctl, struct reader_space *space)
{
    enum ctl_exit result = ctl_connect(ctl);
    *space = (struct reader_space){.prefix = ctl->redis.prefix, .name = ctl->space};
    if (result != CTL_OK) {
        return result;
    }
    (void)reader_read_partitions(ctl->reader, space->prefix, space->name, &space->partitions);
    result = ctl_check(ctl);
    if (result == CTL_OK && space->partitions == 0) {
        complain_of_space(ctl);
        return CTL_NO;
    }
    return result;
}

static void add_name(void *arg, struct bytes name, struct bytes partitions)
{
    writer_format(arg, " %.*s", (int)name.len, (const char *)name.data);
}

static void complain_of_space(struct ctl *ctl)
{
    struct writer names = {0};
    (void)reader_each_space(ctl->reader, ctl->redis.prefix, add_name, &names);
    if (names.len == 0) {
        ctl_complain("no front-end has ever used this Redis with the prefix \"%s\"",
                     ctl->redis.prefix);
    } else {
        ctl_complain("there is no space \"%s\"; there are:%.*s", ctl->space, (int)names.len,
                     (const char *)names.data);
    }
    writer_free(&names);
}

static void on_ctl_signal(void *arg)
{
    struct ctl *ctl = arg;
    ctl->stopped = true;
    if (ctl->reader) {
        reader_stop(ctl->reader);
    }
}

void ctl_listen_for_signals(struct ctl *ctl)
{
    ctl->interrupt = loop_signal_create(ctl->loop, SIGINT, on_ctl_signal, ctl);
    ctl->terminate = loop_signal_create(ctl->loop, SIGTERM, on_ctl_signal, ctl);
    ctl->listening = true;
}

bool ctl_flush(struct ctl *ctl)
{
    if (fflush(stdout) == 0 && !ferror(stdout)) {
        return true;
    }
    ctl->stopped = true;
    return false;
}

bool ctl_argument(const struct ctl *ctl, const char *text, struct bytes *bytes)
{
    size_t len = strlen(text), decoded = 0;
    uint8_t *data = mem_dup(text, len);
    if (ctl->base64) {
        if (sodium_base642bin(data, len, text, len, NULL, &decoded, NULL,
                              sodium_base64_VARIANT_ORIGINAL) != 0) {
            ctl_complain("\"%s\" is not base64", text);
            free(data);
            return false;
        }
        len = decoded;
    }
    *bytes = (struct bytes){data, len};
    return true;
}

bool ctl_id(const struct ctl *ctl, const char *text, struct bytes *bytes)
{
    if (*text) {
        return ctl_argument(ctl, text, bytes);
    }
    ctl_complain("ID: an id has at least one byte");
    return false;
}

void ctl_argument_free(struct bytes *bytes)
{
    free((void *)(uintptr_t)bytes->data);
    *bytes = (struct bytes){0};
}
