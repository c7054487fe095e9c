/*
 * fsck_judge: sends the names to the scripts, in batches, and collects what they find.
 *
 * Each call passes all known front-ends. If a new one has registered meanwhile, the script refuses,
 * and the batch is judged again with that front-end.
 */
#include "inspect/fsck_private.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "schema/keys.h"
#include "schema/scripts.h"

#define BATCH_IDS     100 /* about 1 ms of Redis's time */
#define BATCHES       8   /* under way */
#define ATTEMPTS      10  /* while new front-ends register */

#define COUNTED_PARTS 10 /* of the reply of recount */

static struct redis_script entries_script = {.name = "repair_entries",
                                             .source = script_repair_entries};
static struct redis_script users_script = {.name = "repair_users", .source = script_repair_users};
static struct redis_script rooms_script = {.name = "repair_rooms", .source = script_repair_rooms};
static struct redis_script recount_script = {.name = "recount", .source = script_recount};

/* The key of each kind of name, and the script that judges it. */
static const struct {
    struct redis_script *script;
    const char *key;
    const char *mark; /* before the name */
} kinds[FSCK_KINDS] = {[FSCK_USERS] = {&users_script, "user:", ""},
                       [FSCK_ENTRIES] = {&entries_script, "client:", ""},
                       [FSCK_ROOMS] = {&rooms_script, "room:", "="},
                       [FSCK_LISTINGS] = {&rooms_script, "room:", "+"}};

/* The arguments of a script. Some of their texts are in a writer, which may still move them. */
struct judge_arguments {
    struct writer text;
    struct bytes *list;
    size_t count, capacity;
};

static void add_judge_argument(struct judge_arguments *arguments, struct bytes text)
{
    if (arguments->count == arguments->capacity) {
        arguments->capacity = arguments->capacity ? arguments->capacity * 2 : 64;
        arguments->list =
            mem_realloc(arguments->list, arguments->capacity * sizeof *arguments->list);
    }
    arguments->list[arguments->count++] = text;
}

static void add_string(struct judge_arguments *arguments, const char *string)
{
    add_judge_argument(arguments, bytes_from_string(string));
}

static void arguments_free(struct judge_arguments *arguments)
{
    writer_free(&arguments->text);
    free(arguments->list);
}

static void add_node_keys(struct judge_arguments *arguments, const struct fsck_partition *partition)
{
    for (struct fsck_node *node = partition->nodes; node; node = node->hh.next) {
        add_string(arguments, node->key);
    }
}

static void add_node_names(struct judge_arguments *arguments,
                           const struct fsck_partition *partition)
{
    for (struct fsck_node *node = partition->nodes; node; node = node->hh.next) {
        add_judge_argument(arguments, (struct bytes){(const uint8_t *)node->name, node->len});
    }
}

/* Names. */

struct judge_batch {
    struct fsck_partition *partition;
    enum fsck_kind kind;
    size_t count;
    struct fsck_id *ids[BATCH_IDS];
};

static struct bytes id_text(const struct fsck_id *id)
{
    return (struct bytes){id->text, id->len};
}

/* Without its first words. */
static struct bytes skip_words(struct bytes text, int words)
{
    while (words-- > 0) {
        bytes_next_word(&text);
    }
    return text;
}

/* A finding names a listing as "<id> <room>". */
static struct bytes shown_id_text(const struct fsck_id *id)
{
    return skip_words(id_text(id), id->kind == FSCK_LISTINGS ? 1 : 0);
}

static struct bytes key_name(const struct fsck_id *id)
{
    return skip_words(id_text(id), id->kind == FSCK_LISTINGS ? 2 : 0);
}

static const char *find_node(const struct fsck_partition *partition, struct bytes name)
{
    for (struct fsck_node *node = partition->nodes; node; node = node->hh.next) {
        if (bytes_equal(name, (struct bytes){(const uint8_t *)node->name, node->len})) {
            return node->name;
        }
    }
    return NULL;
}

/* "<number> <rule>[ <node>]" */
static bool add_judged_line(struct judge_batch *batch, struct bytes line)
{
    struct fsck *fsck = batch->partition->fsck;
    struct cursor cursor = cursor_over(line);
    enum fsck_rule rule;
    uint64_t number = cursor_decimal(&cursor, ' ');
    struct bytes rest = cursor_take(&cursor, cursor_left(&cursor));
    const uint8_t *space = rest.len > 0 ? memchr(rest.data, ' ', rest.len) : NULL;
    struct bytes name = {rest.data, space ? (size_t)(space - rest.data) : rest.len};
    if (cursor.failed || number < 1 || number > batch->count || !fsck_rule_parse(name, &rule)) {
        return false;
    }

    struct fsck_id *id = batch->ids[number - 1];
    uint32_t bit = UINT32_C(1) << rule;
    if (fsck->pass == FSCK_FIND) {
        id->suspected |= bit;
    } else if (fsck->pass == FSCK_REPAIR) {
        id->repaired |= bit;
    } else if (id->suspected & bit) {
        struct fsck_finding finding = {
            .rule = rule, .partition = batch->partition->index, .id = shown_id_text(id)};
        if (space) {
            finding.node =
                find_node(batch->partition, (struct bytes){space + 1, rest.len - name.len - 1});
        }
        id->confirmed |= bit;
        fsck_add_finding(fsck, &finding, id);
    }
    return true;
}

static bool is_reply_word(const struct redis_reply *reply, const char *word)
{
    return reply->count == 1 && bytes_equal(reply->elements[0]->text, bytes_from_string(word));
}

static void on_batch_judged(void *arg, const struct redis_reply *reply)
{
    struct judge_batch *batch = arg;
    struct reader *reader = batch->partition->fsck->reader;
    if (reply->type != REDIS_ARRAY) {
        reader_fail(reader, READER_REFUSED, "a script was refused: %.*s", (int)reply->text.len,
                    (const char *)reply->text.data);
    } else if (is_reply_word(reply, "nodes")) {
        for (size_t i = 0; i < batch->count; i++) {
            batch->ids[i]->is_unjudged = true;
        }
    } else if (!is_reply_word(reply, "epoch")) {
        for (size_t i = 0; i < reply->count; i++) {
            if (!add_judged_line(batch, reply->elements[i]->text)) {
                reader_fail(reader, READER_REFUSED, "a script's reply is malformed");
            }
        }
    }
}

/* Consecutive ranges of the text, which does not grow any more. */
static void add_ranges(struct judge_arguments *arguments, const size_t *ends, size_t count,
                       size_t start)
{
    for (size_t i = 0; i < count; start = ends[i++]) {
        add_judge_argument(arguments,
                           (struct bytes){arguments->text.data + start, ends[i] - start});
    }
}

static void send_batch(struct judge_batch *batch)
{
    struct fsck_partition *partition = batch->partition;
    struct fsck *fsck = partition->fsck;
    struct judge_arguments arguments = {0};
    size_t keys_ends[BATCH_IDS], names_ends[BATCH_IDS];
    char ttl[24], grace[24], delay[24], nodes[24];

    for (size_t i = 0; i < batch->count; i++) {
        keys_write(&arguments.text, partition->prefix, kinds[batch->kind].key,
                   key_name(batch->ids[i]));
        keys_ends[i] = arguments.text.len;
    }
    for (size_t i = 0; i < batch->count; i++) {
        writer_string(&arguments.text, kinds[batch->kind].mark);
        writer_bytes(&arguments.text, id_text(batch->ids[i]));
        names_ends[i] = arguments.text.len;
    }
    add_string(&arguments, partition->head);
    add_string(&arguments, partition->nodes_key);
    add_string(&arguments, partition->deadlines);
    add_string(&arguments, partition->events);
    add_node_keys(&arguments, partition);
    add_ranges(&arguments, keys_ends, batch->count, 0);
    size_t keys = arguments.count;

    snprintf(ttl, sizeof ttl, "%lld", (long long)fsck->options->ttl);
    snprintf(grace, sizeof grace, "%lld", (long long)fsck->options->grace);
    snprintf(delay, sizeof delay, "%lld", (long long)fsck->options->offline_delay);
    snprintf(nodes, sizeof nodes, "%u", HASH_COUNT(partition->nodes));
    const char *first[] = {
        fsck->pass == FSCK_REPAIR ? "repair" : "check", ttl, grace, delay, fsck->session, nodes};
    for (size_t i = 0; i < sizeof first / sizeof *first; i++) {
        add_string(&arguments, first[i]);
    }
    add_node_names(&arguments, partition);
    add_ranges(&arguments, names_ends, batch->count, keys_ends[batch->count - 1]);
    reader_eval(fsck->reader, kinds[batch->kind].script, on_batch_judged, batch, keys,
                arguments.count, arguments.list);
    arguments_free(&arguments);
}

/* The work is ordered by partition and kind, so a batch is a contiguous part of it. */
static bool judge_once(struct fsck *fsck)
{
    size_t runs = (size_t)FSCK_KINDS * fsck->options->space.partitions;
    size_t most = fsck->work_count / BATCH_IDS + runs + 1, used = 0;
    struct judge_batch *batches = mem_zalloc(most, sizeof *batches);
    for (size_t i = 0; i < fsck->work_count; used++) {
        struct judge_batch *batch = &batches[used];
        batch->partition = fsck->work[i]->partition;
        batch->kind = fsck->work[i]->kind;
        while (i < fsck->work_count && batch->count < BATCH_IDS &&
               fsck->work[i]->partition == batch->partition && fsck->work[i]->kind == batch->kind) {
            fsck->work[i]->is_unjudged = false;
            batch->ids[batch->count++] = fsck->work[i++];
        }
        send_batch(batch);
        if (!reader_wait_below(fsck->reader, BATCHES)) {
            break;
        }
    }
    bool fine = reader_wait(fsck->reader);
    free(batches); /* after a problem no callback is called */
    return fine;
}

static size_t keep_unjudged(struct fsck *fsck, struct fsck_id **work)
{
    size_t count = 0;
    for (size_t i = 0; i < fsck->work_count; i++) {
        if (fsck->work[i]->is_unjudged) {
            work[count++] = fsck->work[i];
        }
    }
    return count;
}

bool fsck_judge(struct fsck *fsck)
{
    struct fsck_id **all = fsck->work;
    size_t count = fsck->work_count;
    struct fsck_id **left = mem_zalloc(count, sizeof *left);
    bool fine = true;
    for (int i = 0; fine && fsck->work_count > 0; i++) {
        if (i == ATTEMPTS) {
            reader_fail(fsck->reader, READER_LATE,
                        "new front-ends register faster than the check can finish");
        }
        fine = fsck_gather_nodes(fsck) && judge_once(fsck);
        fsck->work_count = keep_unjudged(fsck, left);
        fsck->work = left;
    }
    fsck->work = all;
    fsck->work_count = count;
    free(left);
    return fine;
}

/* Counts. */

static void on_counted(void *arg, const struct redis_reply *reply)
{
    struct fsck_partition *partition = arg;
    struct fsck_count *count = &partition->count;
    if (reply->type != REDIS_ARRAY ||
        (reply->count != COUNTED_PARTS && !is_reply_word(reply, "nodes"))) {
        reader_fail(partition->fsck->reader, READER_REFUSED, "a script's reply is malformed");
        return;
    }
    count->done = reply->count == COUNTED_PARTS;
    if (!count->done) {
        return;
    }
    count->counted = bytes_decimal(reply->elements[1]->text);
    count->stored = bytes_decimal(reply->elements[2]->text);
    count->has_epoch = reply->elements[3]->text.len > 0;
    count->partitions = bytes_decimal(reply->elements[4]->text);
    count->now = bytes_decimal(reply->elements[5]->text);
    count->recovery_until = bytes_decimal(reply->elements[7]->text);
    count->leases = bytes_decimal(reply->elements[8]->text);
    count->has_wrong_invitations = bytes_equal(reply->elements[9]->text, BYTES_LITERAL("1"));
}

static void send_recount(struct fsck_partition *partition, bool repair)
{
    struct judge_arguments arguments = {0};
    add_string(&arguments, partition->head);
    add_string(&arguments, partition->nodes_key);
    add_string(&arguments, partition->deadlines);
    add_node_keys(&arguments, partition);
    size_t keys = arguments.count;
    add_string(&arguments, repair ? "repair" : "check");
    add_node_names(&arguments, partition);
    reader_eval(partition->fsck->reader, &recount_script, on_counted, partition, keys,
                arguments.count, arguments.list);
    arguments_free(&arguments);
}

bool fsck_recount(struct fsck *fsck, bool repair)
{
    uint32_t count = fsck->options->space.partitions;
    for (uint32_t i = 0; i < count; i++) {
        fsck->partitions[i].count.done = false;
    }
    for (int attempt = 0;; attempt++) {
        uint32_t left = 0;
        for (uint32_t i = 0; i < count; i++) {
            if (!fsck->partitions[i].count.done) {
                left++;
                send_recount(&fsck->partitions[i], repair);
            }
        }
        if (left == 0) {
            return true;
        }
        if (attempt == ATTEMPTS) {
            reader_fail(fsck->reader, READER_LATE,
                        "new front-ends register faster than the check can finish");
        }
        if (!reader_wait(fsck->reader) || !fsck_gather_nodes(fsck)) {
            return false;
        }
    }
}
