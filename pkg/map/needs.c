/*
 * needs: see needs.h. The commands are those of the features themselves: secret.c, bans.c, invite.c
 * and apply_registry.lua.
 */
#include "map/needs.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/log.h"
#include "base/mem.h"
#include "map/map_private.h"
#include "map/needs_private.h"
#include "map/partition_private.h"
#include "map/space_private.h"
#include "metrics/metrics.h"
#include "schema/keys.h"
#include "schema/scripts.h"

static struct redis_script invite_script = {.name = "invite", .source = script_invite};

#define RETRY_MS       1000 /* something is refused, or not known yet */
#define INTERVAL_MS    5000
#define PROBE_COMMANDS 3
#define PROBE_WORDS    8
/* No user, entry or secret has such a name. */
#define NOBODY ".probe"

enum need_state {
    NEED_NONE,     /* no listener needs it */
    NEED_UNKNOWN,  /* not tried yet */
    NEED_GRANTED,  /* the last try was answered */
    NEED_WITHHELD, /* the last try was refused */
};

struct need {
    enum need_state state;
    enum redis_refusal refusal; /* WITHHELD */
    struct need_try *trying;    /* NULL: none is under way */
};

struct needs {
    struct map *map;
    struct loop_timer *timer;
    struct need list[MAP_NEED_COUNT];
    bool met; /* all were granted at one time; remains true */
    char why[64];
};

/* Outlives the needs when replies arrive later. */
struct need_try {
    struct needs *needs; /* NULL: they have been destroyed */
    enum map_need which;
    unsigned waits; /* replies that have not arrived yet */
    enum redis_status status;
    enum redis_refusal refusal;
};

static const struct need_kind {
    const char *name;
    enum metric metric;
    /* "S": the key of a secret; "B": of bans; "I", "R": of invitations and registrations. */
    const char *commands[PROBE_COMMANDS][PROBE_WORDS];
} kinds[MAP_NEED_COUNT] = {
    [MAP_NEED_SECRET] = {"secret",
                         METRIC_FEATURE_SECRET,
                         {{"SET", "S", "x", "NX", "GET", "PX", "1"}}},
    [MAP_NEED_BANS] = {"bans",
                       METRIC_FEATURE_BANS,
                       {{"ZRANGEBYSCORE", "B", "(0", "+inf", "LIMIT", "0", "0"}}},
    /* The script invite stores; these read and remove. */
    [MAP_NEED_INVITATIONS] = {"invitations",
                              METRIC_FEATURE_INVITATIONS,
                              {{"LRANGE", "I", "0", "0"}, {"LREM", "I", "1", "x"}}},
    [MAP_NEED_REGISTRATIONS] = {"registrations",
                                METRIC_FEATURE_REGISTRATIONS,
                                {{"ZADD", "R", "XX", "LT", "0", NOBODY}, {"ZREM", "R", NOBODY}}},
};

/* Only what concerns these commands: states that pass (LOADING, OOM, …) concern the whole map. */
static bool need_is_withheld(const struct need_try *try)
{
    return try->status == REDIS_REFUSED &&
           (try->refusal == REDIS_REFUSAL_NOPERM || try->refusal == REDIS_REFUSAL_OTHER);
}

static void check_met(struct needs *needs)
{
    for (size_t i = 0; i < MAP_NEED_COUNT; i++) {
        if (needs->list[i].state == NEED_UNKNOWN || needs->list[i].state == NEED_WITHHELD) {
            return;
        }
    }
    needs->met = true;
    map_check_serving(needs->map);
}

static void judge_need(struct needs *needs, const struct need_try *try)
{
    struct need *need = &needs->list[try->which];
    const struct need_kind *kind = &kinds[try->which];
    bool granted = try->status == REDIS_OK;

    if (!granted && !need_is_withheld(try)) {
        return;
    }
    if (!granted && need->state != NEED_WITHHELD) {
        log_warn("feature_unavailable", LOG_STRING("feature", kind->name),
                 LOG_STRING("why", redis_refusal_name(try->refusal)));
    } else if (granted && need->state == NEED_WITHHELD) {
        log_info("feature_available", LOG_STRING("feature", kind->name));
    }
    need->state = granted ? NEED_GRANTED : NEED_WITHHELD;
    need->refusal = try->refusal;
    metrics_set(kind->metric, granted);
    if (!needs->met) {
        check_met(needs);
    }
}

static void on_tried(void *arg, enum redis_status status, const struct redis_reply *reply)
{
    struct need_try *try = arg;

    if (status != REDIS_OK && try->status == REDIS_OK) {
        try->status = status;
        try->refusal = redis_refusal_of(reply);
    }
    if (--try->waits > 0) {
        return;
    }
    if (try->needs) {
        try->needs->list[try->which].trying = NULL;
        judge_need(try->needs, try);
    }
    free(try);
}

/* The key that a letter means; false: the word is not such a letter. */
static bool write_need_key(struct writer *key, const struct map *map, const char *word)
{
    const char *partition = map->spaces[0].partitions[0].prefix;

    if (word[0] == '\0' || word[1] != '\0') {
        return false;
    }
    switch (word[0]) {
    case 'S':
        writer_format(key, "%s:secret:%s", map->redis->prefix, NOBODY);
        return true;
    case 'B':
        writer_format(key, "%s:bans", map->redis->prefix);
        return true;
    case 'I':
        writer_format(key, "%sinvites:%s", partition, NOBODY);
        return true;
    case 'R':
        writer_format(key, "%sregistered", partition);
        return true;
    default:
        return false;
    }
}

static void try_command(struct need_try *try, const char *const words[PROBE_WORDS])
{
    struct map *map = try->needs->map;
    struct bytes args[PROBE_WORDS];
    struct writer key = {0};
    size_t count = 0;

    while (count < PROBE_WORDS && words[count]) {
        args[count] = bytes_from_string(words[count]);
        if (count == 1 && write_need_key(&key, map, words[count])) {
            args[count] = writer_bytes_written(&key);
        }
        count++;
    }
    redis_command(map->link, on_tried, try, count, args);
    writer_free(&key);
}

/* Stores an invitation that expires at once, for a user that does not exist. */
static void try_invite(struct need_try *try)
{
    struct map *map = try->needs->map;
    const char *partition = map->spaces[0].partitions[0].prefix;
    static const char *const names[] = {"invites:", "invitations:", "inviters:", "user:"};
    const struct bytes one = BYTES_LITERAL("1");
    struct writer keys[4] = {0};
    struct bytes args[13] = {[4] = BYTES_LITERAL("x"),
                             one,
                             one,
                             BYTES_LITERAL(NOBODY),
                             BYTES_LITERAL(NOBODY),
                             BYTES_LITERAL(""),
                             one,
                             one,
                             one};

    for (size_t i = 0; i < 4; i++) {
        writer_format(&keys[i], "%s%s%s", partition, names[i], NOBODY);
        args[i] = writer_bytes_written(&keys[i]);
    }
    redis_eval(map->link, &invite_script, on_tried, try, 4, 13, args);
    for (size_t i = 0; i < 4; i++) {
        writer_free(&keys[i]);
    }
}

static void try_need(struct needs *needs, enum map_need which)
{
    const struct need_kind *kind = &kinds[which];
    struct need_try *try = mem_zalloc(1, sizeof *try);

    *try = (struct need_try){.needs = needs, .which = which, .status = REDIS_OK};
    needs->list[which].trying = try;
    for (size_t i = 0; i < PROBE_COMMANDS; i++) {
        try->waits += kind->commands[i][0] != NULL;
    }
    /* All are counted first, as commands on a lost link are answered at once. */
    try->waits += which == MAP_NEED_INVITATIONS;
    if (which == MAP_NEED_INVITATIONS) {
        try_invite(try);
    }
    for (size_t i = 0; i < PROBE_COMMANDS && kind->commands[i][0]; i++) {
        try_command(try, kind->commands[i]);
    }
}

static void try_needs(void *arg)
{
    struct needs *needs = arg;
    bool all = true;

    for (size_t i = 0; i < MAP_NEED_COUNT; i++) {
        all = all && needs->list[i].state != NEED_UNKNOWN && needs->list[i].state != NEED_WITHHELD;
        if (needs->list[i].state != NEED_NONE && !needs->list[i].trying &&
            redis_link_is_up(needs->map->link)) {
            try_need(needs, (enum map_need)i);
        }
    }
    loop_timer_start(needs->timer, all ? INTERVAL_MS : RETRY_MS);
}

struct needs *needs_create(struct map *map)
{
    struct needs *needs = mem_zalloc(1, sizeof *needs);

    needs->map = map;
    needs->met = true;
    needs->timer = loop_timer_create(map->loop, try_needs, needs);
    for (size_t i = 0; i < MAP_NEED_COUNT; i++) {
        metrics_set(kinds[i].metric, 1);
    }
    return needs;
}

void needs_destroy(struct needs **pointer)
{
    struct needs *needs = *pointer;

    *pointer = NULL;
    if (!needs) {
        return;
    }
    for (size_t i = 0; i < MAP_NEED_COUNT; i++) {
        if (needs->list[i].trying) {
            needs->list[i].trying->needs = NULL;
        }
    }
    loop_timer_destroy(&needs->timer);
    free(needs);
}

void needs_link_up(struct needs *needs)
{
    try_needs(needs);
}

bool needs_are_met(const struct needs *needs)
{
    return needs->met;
}

const char *needs_why_not(struct needs *needs)
{
    if (needs->met) {
        return NULL;
    }
    for (size_t i = 0; i < MAP_NEED_COUNT; i++) {
        if (needs->list[i].state == NEED_WITHHELD) {
            snprintf(needs->why, sizeof needs->why, "feature %s is refused by Redis: %s",
                     kinds[i].name, redis_refusal_name(needs->list[i].refusal));
            return needs->why;
        }
    }
    return "Redis has not answered yet";
}

void map_need(struct map *map, enum map_need need)
{
    if (map->needs->list[need].state == NEED_NONE) {
        map->needs->list[need].state = NEED_UNKNOWN;
        map->needs->met = false;
    }
}

const char *map_need_name(enum map_need need)
{
    return kinds[need].name;
}

const char *map_need_withheld(const struct map *map, enum map_need need)
{
    const struct need *one = &map->needs->list[need];

    return one->state == NEED_WITHHELD ? redis_refusal_name(one->refusal) : NULL;
}
