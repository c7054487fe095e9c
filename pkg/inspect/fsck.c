#include "inspect/fsck.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "inspect/fsck_private.h"
#include "schema/format.h"
#include "schema/keys.h"

static const struct {
    const char *name, *help;
} rules[FSCK_RULES] = {
    [FSCK_TYPE] = {"type", "its key is not a hash"},
    [FSCK_TTL] = {"ttl", "has no time to live"},
    [FSCK_SESSION] = {"session", "its session is not 32 hex digits"},
    [FSCK_VERSION] = {"version", "its version is not a number"},
    [FSCK_NODE] = {"node", "its field node is missing"},
    [FSCK_LISTED] = {"listed", "is listed by a front-end that does not own it"},
    [FSCK_UNLISTED] = {"unlisted", "is not listed by its front-end"},
    [FSCK_ABANDONED] = {"abandoned", "its front-end has no lease"},
    [FSCK_UNDUE] = {"undue", "has both a front-end and a deadline"},
    [FSCK_NO_DEADLINE] = {"no-deadline", "has no front-end and no deadline"},
    [FSCK_MISSING] = {"missing", "is listed by a front-end, and does not exist"},
    [FSCK_NO_ENTRY] = {"no-entry", "has a deadline, and does not exist"},
    [FSCK_USER] = {"user", "is listed as another user's"},
    [FSCK_NO_DEVICE] = {"no-device", "is not among its user's devices"},
    [FSCK_USER_TYPE] = {"user-type", "the user's key is not a hash"},
    [FSCK_DEVICE] = {"device", "the user's list of devices differs from the entries"},
    [FSCK_STATUS] = {"status", "the user's status does not follow from the devices"},
    [FSCK_USER_DEADLINE] = {"hold", "the user has devices and a deadline, or neither"},
    [FSCK_ROOM_TYPE] = {"room-type", "the room's key is not a hash"},
    [FSCK_MEMBER] = {"member", "the room has a malformed member"},
    [FSCK_MEMBER_ABANDONED] = {"member-abandoned",
                               "the room has a member whose front-end has no lease"},
    [FSCK_MEMBER_UNLISTED] = {"member-unlisted",
                              "the room has a member that its front-end does not list"},
    [FSCK_MEMBER_MISSING] = {"member-missing",
                             "is listed by a front-end, and is not a member there"},
    [FSCK_ROOM_COUNT] = {"room-count", "the room's counts differ from its members"},
    [FSCK_ROOM_OPEN] = {"room-open", "exists and does not count as an open room, or the reverse"},
    [FSCK_COUNT] = {"count", "the stored number of entries is wrong"},
    [FSCK_INVITERS] = {"inviters", "the numbers of pending invitations are wrong"},
    [FSCK_HEAD] = {"head", "there are entries but no epoch"},
    [FSCK_PARTITIONS] = {"partitions", "it was written for another number of partitions"},
};

const char *fsck_rule_name(enum fsck_rule rule)
{
    return rules[rule].name;
}

const char *fsck_rule_help(enum fsck_rule rule)
{
    return rules[rule].help;
}

bool fsck_rule_parse(struct bytes name, enum fsck_rule *rule)
{
    for (int i = 0; i < FSCK_RULES; i++) {
        if (bytes_equal(name, bytes_from_string(rules[i].name))) {
            *rule = (enum fsck_rule)i;
            return true;
        }
    }
    return false;
}

void fsck_add_finding(struct fsck *fsck, const struct fsck_finding *finding, struct fsck_id *about)
{
    struct fsck_report *report = fsck->report;
    if (report->count == fsck->finding_capacity) {
        fsck->finding_capacity = fsck->finding_capacity ? fsck->finding_capacity * 2 : 64;
        report->findings =
            mem_realloc(report->findings, fsck->finding_capacity * sizeof *report->findings);
        fsck->about = mem_realloc(fsck->about, fsck->finding_capacity * sizeof *fsck->about);
    }
    fsck->about[report->count] = about;
    report->findings[report->count++] = *finding;
}

/* The work of a pass: the names that it judges. */

static size_t count_names(const struct fsck *fsck, enum fsck_kind kind)
{
    size_t count = 0;
    for (uint32_t i = 0; i < fsck->options->space.partitions; i++) {
        count += HASH_COUNT(fsck->partitions[i].ids[kind]);
    }
    return count;
}

static void collect_all_names(struct fsck *fsck)
{
    size_t most = 0;
    for (int kind = 0; kind < FSCK_KINDS; kind++) {
        most += count_names(fsck, (enum fsck_kind)kind);
    }
    fsck->report->users = count_names(fsck, FSCK_USERS);
    fsck->report->rooms = count_names(fsck, FSCK_ROOMS);
    fsck->work = mem_zalloc(most, sizeof *fsck->work);
    for (uint32_t i = 0; i < fsck->options->space.partitions; i++) {
        for (int kind = 0; kind < FSCK_KINDS; kind++) {
            for (struct fsck_id *id = fsck->partitions[i].ids[kind]; id; id = id->hh.next) {
                fsck->work[fsck->work_count++] = id;
            }
        }
    }
}

static bool is_suspected(const struct fsck_id *id)
{
    return id->suspected != 0;
}

static bool is_confirmed(const struct fsck_id *id)
{
    return id->confirmed != 0;
}

static void keep_only(struct fsck *fsck, bool (*keep)(const struct fsck_id *id))
{
    size_t kept = 0;
    for (size_t i = 0; i < fsck->work_count; i++) {
        if (keep(fsck->work[i])) {
            fsck->work[kept++] = fsck->work[i];
        }
    }
    fsck->work_count = kept;
}

/* Partitions as a whole. */

static uint32_t wrong_in_partition(const struct fsck_partition *partition)
{
    const struct fsck_count *count = &partition->count;
    uint32_t wrong = 0;
    if (count->stored != count->counted) {
        wrong |= UINT32_C(1) << FSCK_COUNT;
    }
    if (count->has_wrong_invitations) {
        wrong |= UINT32_C(1) << FSCK_INVITERS;
    }
    if (!count->has_epoch && partition->ids[FSCK_ENTRIES]) {
        wrong |= UINT32_C(1) << FSCK_HEAD;
    }
    if (count->has_epoch && count->partitions != partition->fsck->options->space.partitions) {
        wrong |= UINT32_C(1) << FSCK_PARTITIONS;
    }
    return wrong;
}

static void suspect_partitions(struct fsck *fsck)
{
    for (uint32_t i = 0; i < fsck->options->space.partitions; i++) {
        struct fsck_partition *partition = &fsck->partitions[i];
        partition->suspected = wrong_in_partition(partition);
        fsck->report->suspects += partition->suspected != 0;
        if (partition->ids[FSCK_ENTRIES] && partition->count.leases == 0) {
            fsck->report->unattended++;
        }
        if (partition->count.recovery_until > partition->count.now) {
            fsck->report->recovering++;
        }
    }
}

static void confirm_partitions(struct fsck *fsck)
{
    for (uint32_t i = 0; i < fsck->options->space.partitions; i++) {
        struct fsck_partition *partition = &fsck->partitions[i];
        uint32_t wrong = wrong_in_partition(partition) & partition->suspected;
        for (int rule = FSCK_COUNT; rule < FSCK_RULES; rule++) {
            struct fsck_finding finding = {.rule = (enum fsck_rule)rule, .partition = i};
            finding.stored = partition->count.stored;
            finding.counted = partition->count.counted;
            if (rule == FSCK_PARTITIONS) {
                finding.stored = partition->count.partitions;
                finding.counted = fsck->options->space.partitions;
            }
            if (wrong & UINT32_C(1) << rule) {
                fsck_add_finding(fsck, &finding, NULL);
            }
        }
    }
}

/* Which findings the repair has ended. */
static void note_repairs(struct fsck *fsck)
{
    struct fsck_report *report = fsck->report;
    for (size_t i = 0; i < report->count; i++) {
        struct fsck_finding *finding = &report->findings[i];
        if (fsck->about[i]) {
            finding->repaired = (fsck->about[i]->repaired & UINT32_C(1) << finding->rule) != 0;
        } else {
            finding->repaired = finding->rule == FSCK_INVITERS ||
                                (finding->rule == FSCK_COUNT &&
                                 fsck->partitions[finding->partition].count.has_epoch);
        }
        report->repaired += finding->repaired;
    }
}

static bool gather_and_judge(struct fsck *fsck)
{
    if (!fsck_gather(fsck)) {
        return false;
    }
    collect_all_names(fsck);
    fsck->pass = FSCK_FIND;
    if (!fsck_judge(fsck) || !fsck_recount(fsck, false)) {
        return false;
    }
    keep_only(fsck, is_suspected);
    suspect_partitions(fsck);
    fsck->report->suspects += fsck->work_count;
    return true;
}

static bool confirm_findings(struct fsck *fsck)
{
    if (!reader_pause(fsck->reader, fsck->options->confirm_ms)) {
        return false;
    }
    fsck->pass = FSCK_CONFIRM;
    if (!fsck_judge(fsck) || !fsck_recount(fsck, false)) {
        return false;
    }
    keep_only(fsck, is_confirmed);
    confirm_partitions(fsck);
    return true;
}

/* Counts are repaired last, after the entries that they count. */
static bool repair_findings(struct fsck *fsck)
{
    fsck->pass = FSCK_REPAIR;
    if (!fsck_judge(fsck) || !fsck_recount(fsck, true)) {
        return false;
    }
    note_repairs(fsck);
    return true;
}

static struct fsck *create_fsck(struct reader *reader, const struct fsck_options *options,
                                struct fsck_report *report)
{
    const struct reader_space *space = &options->space;
    struct fsck *fsck = mem_zalloc(1, sizeof *fsck);
    *fsck = (struct fsck){.reader = reader, .options = options, .report = report};
    fsck->partitions = mem_zalloc(space->partitions, sizeof *fsck->partitions);
    id_make_hex(fsck->session, ID_FENCE_LENGTH);
    for (uint32_t i = 0; i < space->partitions; i++) {
        struct fsck_partition *partition = &fsck->partitions[i];
        partition->fsck = fsck;
        partition->index = i;
        partition->prefix = keys_partition_prefix(space->prefix, space->name, space->partitions, i);
        partition->head = mem_format("%shead", partition->prefix);
        partition->nodes_key = mem_format("%snodes", partition->prefix);
        partition->deadlines = mem_format("%sdeadlines", partition->prefix);
        partition->registered = mem_format("%sregistered", partition->prefix);
        partition->open_rooms = mem_format("%sopen_rooms", partition->prefix);
        char *channels = keys_partition_channels(partition->prefix, reader_database(reader));
        partition->events = mem_format("%sevents", channels);
        free(channels);
    }
    return fsck;
}

/* {format, reader, release} of a partition's head */
static void on_format(void *arg, const struct redis_reply *reply)
{
    struct fsck_partition *partition = arg;
    bool is_list = reply->type == REDIS_ARRAY && reply->count == 3;
    if (!is_list || reply->elements[1]->text.len == 0 ||
        bytes_decimal(reply->elements[1]->text) <=
            bytes_decimal(bytes_from_string(format_newest.number))) {
        return;
    }
    char *why = format_explain(reply->elements[0]->text, reply->elements[1]->text,
                               reply->elements[2]->text);
    reader_fail(partition->fsck->reader, READER_REFUSED, "%s", why);
    free(why);
}

/* A newer format that we do not understand is neither judged nor repaired. */
static bool check_formats(struct fsck *fsck)
{
    for (uint32_t i = 0; i < fsck->options->space.partitions; i++) {
        struct bytes args[] = {BYTES_LITERAL("HMGET"), bytes_from_string(fsck->partitions[i].head),
                               BYTES_LITERAL("format"), BYTES_LITERAL("reader"),
                               BYTES_LITERAL("release")};
        reader_command(fsck->reader, on_format, &fsck->partitions[i], 5, args);
    }
    return reader_wait(fsck->reader);
}

bool fsck_run(struct reader *reader, const struct fsck_options *options, struct fsck_report *report)
{
    memset(report, 0, sizeof *report);
    struct fsck *fsck = create_fsck(reader, options, report);
    report->owner = fsck;
    report->partitions = options->space.partitions;
    if (!check_formats(fsck) || !gather_and_judge(fsck)) {
        return false;
    }
    if (report->suspects == 0) {
        return true;
    }
    if (!confirm_findings(fsck)) {
        return false;
    }
    return !options->repair || report->count == 0 || repair_findings(fsck);
}

static void free_fsck_names(struct fsck_id **names)
{
    struct fsck_id *id, *next;
    HASH_ITER (hh, *names, id, next) {
        HASH_DEL(*names, id);
        free(id);
    }
}

static void free_partition(struct fsck_partition *partition)
{
    struct fsck_node *node, *next_node;
    for (int kind = 0; kind < FSCK_KINDS; kind++) {
        free_fsck_names(&partition->ids[kind]);
    }
    HASH_ITER (hh, partition->nodes, node, next_node) {
        HASH_DEL(partition->nodes, node);
        free(node->key);
        free(node->members_key);
        free(node);
    }
    free(partition->prefix);
    free(partition->head);
    free(partition->nodes_key);
    free(partition->deadlines);
    free(partition->registered);
    free(partition->open_rooms);
    free(partition->events);
}

void fsck_report_free(struct fsck_report *report)
{
    struct fsck *fsck = report->owner;
    free(report->findings);
    report->findings = NULL;
    report->count = 0;
    report->owner = NULL;
    if (!fsck) {
        return;
    }
    for (uint32_t i = 0; i < report->partitions; i++) {
        free_partition(&fsck->partitions[i]);
    }
    free(fsck->partitions);
    free(fsck->work);
    free(fsck->about);
    free(fsck);
}
