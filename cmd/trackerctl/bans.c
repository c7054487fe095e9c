/* bans: addresses that all front-ends refuse. docs/redis-keys.md. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "auth/ban.h"
#include "base/address.h"
#include "base/mem.h"
#include "ctl.h"
#include "rows.h"
#include "schema/keys.h"

struct ban_answer {
    int64_t count; /* -1: no reply yet */
};

static void on_ban_count(void *arg, const struct redis_reply *reply)
{
    struct ban_answer *answer = arg;
    if (reply->type == REDIS_INTEGER) {
        answer->count = reply->integer;
    }
}

static bool parse_ban_prefix(const char *text, char prefix[ADDRESS_TEXT_SIZE])
{
    struct address_prefix parsed;
    if (!address_prefix_parse(text, &parsed)) {
        ctl_complain("\"%s\" is not an address or a prefix like 10.0.0.0/8", text);
        return false;
    }
    (void)ban_format(&parsed, prefix);
    return true;
}

/* Makes all front-ends read the bans again. */
static void publish_change(struct ctl *ctl)
{
    char *channel = keys_bans_channel(ctl->redis.prefix, ctl->target.database);
    struct bytes args[] = {BYTES_LITERAL("PUBLISH"), bytes_from_string(channel),
                           BYTES_LITERAL("changed")};
    reader_command(ctl->reader, NULL, NULL, 3, args);
    free(channel);
}

/* Removes those that have expired. */
static void clear_old(struct ctl *ctl, const char *key, uint64_t now)
{
    char *end = mem_format("%llu", (unsigned long long)now);
    struct bytes args[] = {BYTES_LITERAL("ZREMRANGEBYSCORE"), bytes_from_string(key),
                           BYTES_LITERAL("-inf"), bytes_from_string(end)};
    reader_command(ctl->reader, NULL, NULL, 4, args);
    free(end);
}

static void print_ban(const struct ctl *ctl, const char *prefix, const char *end)
{
    struct writer json = {0};
    if (!ctl->json) {
        ctl_print("%s is banned %s%s", prefix, end ? "for " : "until unban", end ? end : "");
        return;
    }
    json_open(&json, NULL, '{');
    json_string(&json, "banned", prefix);
    json_close(&json, '}');
    json_print(&json);
    writer_free(&json);
}

static enum ctl_exit ban(struct ctl *ctl, const char *prefix)
{
    uint64_t now;
    char *key = keys_bans(ctl->redis.prefix), *score, *shown = NULL;
    if (!reader_read_time(ctl->reader, &now)) {
        free(key);
        return ctl_check(ctl);
    }
    if (ctl->for_ms > 0) {
        const unsigned long long end = now + (uint64_t)ctl->for_ms;
        score = mem_format("%llu", end);
        shown = output_duration((uint64_t)ctl->for_ms);
    } else {
        score = mem_strdup("+inf");
    }
    clear_old(ctl, key, now);
    struct bytes args[] = {BYTES_LITERAL("ZADD"), bytes_from_string(key), bytes_from_string(score),
                           bytes_from_string(prefix)};
    reader_command(ctl->reader, NULL, NULL, 4, args);
    publish_change(ctl);
    (void)reader_wait(ctl->reader);
    enum ctl_exit result = ctl_check(ctl);
    if (result == CTL_OK) {
        print_ban(ctl, prefix, shown);
    }
    free(shown);
    free(score);
    free(key);
    return result;
}

enum ctl_exit bans_add_client(struct ctl *ctl, struct bytes address)
{
    char text[ADDRESS_TEXT_SIZE], prefix[ADDRESS_TEXT_SIZE];
    size_t len = address.len;
    while (len > 0 && address.data[len - 1] != ':') {
        len--;
    }
    bool is_ipv6 = len > 2 && address.data[0] == '[';
    struct bytes host = is_ipv6 ? (struct bytes){address.data + 1, len - 3}
                                : (struct bytes){address.data, len > 0 ? len - 1 : 0};
    if (host.len == 0 || host.len >= sizeof text) {
        ctl_complain("its client has no address that could be banned");
        return CTL_NO;
    }
    memcpy(text, host.data, host.len);
    text[host.len] = 0;
    return parse_ban_prefix(text, prefix) ? ban(ctl, prefix) : CTL_NO;
}

enum ctl_exit command_ban(struct ctl *ctl, int count, char **arguments)
{
    char prefix[ADDRESS_TEXT_SIZE];
    if (!parse_ban_prefix(arguments[0], prefix)) {
        return CTL_USAGE;
    }
    enum ctl_exit result = ctl_connect(ctl);
    return result == CTL_OK ? ban(ctl, prefix) : result;
}

static enum ctl_exit unban(struct ctl *ctl, const char *prefix)
{
    struct ban_answer answer = {-1};
    char *key = keys_bans(ctl->redis.prefix);
    struct bytes args[] = {BYTES_LITERAL("ZREM"), bytes_from_string(key),
                           bytes_from_string(prefix)};
    reader_command(ctl->reader, on_ban_count, &answer, 3, args);
    publish_change(ctl);
    (void)reader_wait(ctl->reader);
    free(key);
    enum ctl_exit result = ctl_check(ctl);
    if (result == CTL_OK && answer.count != 1) {
        ctl_complain("%s is not banned", prefix);
        result = CTL_NO;
    }
    return result;
}

enum ctl_exit command_unban(struct ctl *ctl, int count, char **arguments)
{
    char prefix[ADDRESS_TEXT_SIZE];
    if (!parse_ban_prefix(arguments[0], prefix)) {
        return CTL_USAGE;
    }
    enum ctl_exit result = ctl_connect(ctl);
    return result == CTL_OK ? unban(ctl, prefix) : result;
}

/* A ban in force: its prefix, and its end in ms since the epoch, or "inf". */
struct ban_row {
    struct bytes prefix, end;
};

struct ban_listing {
    struct rows rows;
    uint64_t now;
};

static void write_ban_prefix(const void *row, struct cell *cell)
{
    const struct ban_row *ban = row;
    cell_text(cell, ban->prefix);
}

static void write_ban_left(const void *row, struct cell *cell)
{
    const struct ban_row *ban = row;
    const uint64_t *now = cell->context;
    if (!bytes_equal(ban->end, BYTES_LITERAL("inf"))) {
        cell_duration(cell, bytes_decimal(ban->end) - *now);
    }
}

static const struct column ban_columns[] = {
    {.heading = "PREFIX", .key = "prefix", .write = write_ban_prefix},
    {.heading = "LEFT", .key = "left_ms", .write = write_ban_left},
};

static void on_bans(void *arg, const struct redis_reply *reply)
{
    struct ban_listing *listing = arg;
    for (size_t i = 0; reply->type == REDIS_ARRAY && i + 1 < reply->count; i += 2) {
        rows_add(&listing->rows,
                 &(struct ban_row){reply->elements[i]->text, reply->elements[i + 1]->text});
    }
}

static enum ctl_exit list_bans(struct ctl *ctl)
{
    static const struct columns columns = COLUMNS(ban_columns);
    struct ban_listing listing;
    char *key = keys_bans(ctl->redis.prefix), *from = NULL;
    rows_begin(&listing.rows, &columns, ctl->json, &listing.now);
    if (reader_read_time(ctl->reader, &listing.now)) {
        from = mem_format("(%llu", (unsigned long long)listing.now);
        struct bytes args[] = {BYTES_LITERAL("ZRANGEBYSCORE"), bytes_from_string(key),
                               bytes_from_string(from), BYTES_LITERAL("+inf"),
                               BYTES_LITERAL("WITHSCORES")};
        json_open(&listing.rows.json, NULL, '[');
        reader_command(ctl->reader, on_bans, &listing, 5, args);
        (void)reader_wait(ctl->reader);
        json_close(&listing.rows.json, ']');
    }
    enum ctl_exit result = ctl_check(ctl);
    if (result == CTL_OK) {
        rows_print(&listing.rows);
    }
    rows_free(&listing.rows);
    free(from);
    free(key);
    return result;
}

enum ctl_exit command_bans(struct ctl *ctl, int count, char **arguments)
{
    enum ctl_exit result = ctl_connect(ctl);
    return result == CTL_OK ? list_bans(ctl) : result;
}
