/*
 * refusal: the kinds of error replies, and the periods during which they occur.
 *
 * Redis begins an error with a code, one word in capitals; after the generic "ERR", only the text
 * identifies it. Source: the error strings in Redis 7.0 and Valkey 8 (createSharedObjects); errors
 * that a script passed on begin with them too.
 */
#include "redis/refusal_private.h"

#include <string.h>

#include "metrics/metrics.h"

static const struct refusal_text {
    const char *text; /* a prefix of the error: a whole word, unless it contains a space */
    enum redis_refusal refusal;
} texts[] = {
    {"READONLY", REDIS_REFUSAL_READONLY},
    {"LOADING", REDIS_REFUSAL_LOADING},
    {"OOM", REDIS_REFUSAL_OOM},
    {"MISCONF", REDIS_REFUSAL_MISCONF},
    {"NOPERM", REDIS_REFUSAL_NOPERM},
    {"ERR The user executing the script", REDIS_REFUSAL_NOPERM}, /* 7.0, of a command in a script */
    {"ERR ACL failure in", REDIS_REFUSAL_NOPERM},                /* 7.2, the same */
    {"NOAUTH", REDIS_REFUSAL_NOAUTH},
    {"WRONGPASS", REDIS_REFUSAL_NOAUTH},
    {"ERR AUTH", REDIS_REFUSAL_NOAUTH},
    {"ERR max number of clients", REDIS_REFUSAL_MAXCLIENTS},
    {"BUSY", REDIS_REFUSAL_BUSY},
    {"MASTERDOWN", REDIS_REFUSAL_MASTERDOWN},
    {"NOSCRIPT", REDIS_REFUSAL_NOSCRIPT},
};

static const struct refusal_kind {
    const char *name;
    enum metric metric;
} kinds[REDIS_REFUSAL_COUNT] = {
    [REDIS_REFUSAL_OTHER] = {"other", METRIC_REDIS_REFUSED_OTHER},
    [REDIS_REFUSAL_READONLY] = {"readonly", METRIC_REDIS_REFUSED_READONLY},
    [REDIS_REFUSAL_LOADING] = {"loading", METRIC_REDIS_REFUSED_LOADING},
    [REDIS_REFUSAL_OOM] = {"oom", METRIC_REDIS_REFUSED_OOM},
    [REDIS_REFUSAL_MISCONF] = {"misconf", METRIC_REDIS_REFUSED_MISCONF},
    [REDIS_REFUSAL_NOPERM] = {"noperm", METRIC_REDIS_REFUSED_NOPERM},
    [REDIS_REFUSAL_NOAUTH] = {"noauth", METRIC_REDIS_REFUSED_NOAUTH},
    [REDIS_REFUSAL_MAXCLIENTS] = {"maxclients", METRIC_REDIS_REFUSED_MAXCLIENTS},
    [REDIS_REFUSAL_BUSY] = {"busy", METRIC_REDIS_REFUSED_BUSY},
    [REDIS_REFUSAL_MASTERDOWN] = {"masterdown", METRIC_REDIS_REFUSED_MASTERDOWN},
    [REDIS_REFUSAL_NOSCRIPT] = {"noscript", METRIC_REDIS_REFUSED_NOSCRIPT},
};

enum redis_refusal redis_refusal_of(const struct redis_reply *reply)
{
    if (!reply || reply->type != REDIS_ERROR) {
        return REDIS_REFUSAL_OTHER;
    }
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        size_t len = strlen(texts[i].text);

        if (reply->text.len >= len && memcmp(reply->text.data, texts[i].text, len) == 0 &&
            (reply->text.len == len || reply->text.data[len] == ' ')) {
            return texts[i].refusal;
        }
    }
    return REDIS_REFUSAL_OTHER;
}

const char *redis_refusal_name(enum redis_refusal refusal)
{
    return refusal < REDIS_REFUSAL_COUNT ? kinds[refusal].name : "unknown";
}

const char *redis_status_name(enum redis_status status)
{
    switch (status) {
    case REDIS_OK:
        return "ok";
    case REDIS_REFUSED:
        return "refused";
    case REDIS_DOWN:
        return "down";
    case REDIS_LOST:
        return "lost";
    }
    return "unknown";
}

/* The text may quote clients' data, so it is truncated. */
static struct bytes shown_refusal(const struct redis_reply *reply, bool secret)
{
    const uint8_t *space = memchr(reply->text.data, ' ', reply->text.len);
    size_t len = reply->text.len < 256 ? reply->text.len : 256;

    if (secret) {
        len = space ? (size_t)(space - reply->text.data) : 0;
    }
    return (struct bytes){reply->text.data, len};
}

void redis_refusals_note(struct redis_refusals *refusals, const char *link,
                         const struct redis_reply *reply, bool secret, uint64_t now_ms)
{
    enum redis_refusal refusal = redis_refusal_of(reply);
    struct redis_refusal_period *period = &refusals->kinds[refusal];

    metrics_add(METRIC_REDIS_ERRORS, 1);
    metrics_add(kinds[refusal].metric, 1);
    if (refusal == REDIS_REFUSAL_NOSCRIPT) {
        return; /* the script will be loaded, which is logged */
    }
    if (refusal == REDIS_REFUSAL_OTHER) {
        refusals->other_limit.burst = 5;
        log_limited(LOG_WARN, &refusals->other_limit, "redis_error", LOG_STRING("link", link),
                    LOG_BYTES("text", shown_refusal(reply, secret)));
        return;
    }
    if (period->count == 0) {
        period->since_ms = now_ms;
        log_warn("redis_refusing_commands", LOG_STRING("link", link),
                 LOG_STRING("kind", kinds[refusal].name),
                 LOG_BYTES("text", shown_refusal(reply, secret)));
    }
    period->count++;
    period->last_ms = now_ms;
}

static void period_end(struct redis_refusals *refusals, enum redis_refusal refusal,
                       const char *link)
{
    struct redis_refusal_period *period = &refusals->kinds[refusal];

    if (period->count > 0) {
        log_info("redis_writable", LOG_STRING("link", link),
                 LOG_STRING("kind", kinds[refusal].name), LOG_INT("count", (int64_t)period->count),
                 LOG_INT("lasted_ms", (int64_t)(period->last_ms - period->since_ms)));
        period->count = 0;
    }
}

bool redis_refusals_check(struct redis_refusals *refusals, const char *link, uint64_t now_ms)
{
    bool going_on = false;

    for (unsigned i = 0; i < REDIS_REFUSAL_COUNT; i++) {
        if (refusals->kinds[i].count == 0) {
            continue;
        }
        if (now_ms - refusals->kinds[i].last_ms >= REDIS_REFUSAL_QUIET_MS) {
            period_end(refusals, i, link);
        } else {
            going_on = true;
        }
    }
    return going_on;
}

void redis_refusals_link_up(struct redis_refusals *refusals, const char *link, uint64_t now_ms)
{
    static const enum redis_refusal keep_down[] = {
        REDIS_REFUSAL_LOADING, REDIS_REFUSAL_NOAUTH,     REDIS_REFUSAL_MAXCLIENTS,
        REDIS_REFUSAL_BUSY,    REDIS_REFUSAL_MASTERDOWN,
    };

    for (size_t i = 0; i < sizeof keep_down / sizeof *keep_down; i++) {
        refusals->kinds[keep_down[i]].last_ms = now_ms;
        period_end(refusals, keep_down[i], link);
    }
}
