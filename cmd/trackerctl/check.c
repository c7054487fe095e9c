/* check: the command fsck. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "ctl.h"
#include "inspect/fsck.h"
#include "inspect/shared_reader.h"
#include "rows.h"

#define SHOWN 20 /* findings of one rule in a table; --json has all */

struct check {
    struct ctl *ctl;
    struct map_settings settings; /* of the front-ends */
    struct reader_space *spaces;
    size_t count;
    struct writer json;
    uint64_t found, repaired;
};

static void check_named_space(void *arg, struct bytes name, struct bytes partitions)
{
    struct check *check = arg;
    char *text = mem_dup(name.data, name.len), *number = mem_dup(partitions.data, partitions.len);
    unsigned long count = strtoul(number, NULL, 10);
    free(number);
    if (count == 0 || count > INT32_MAX ||
        (check->ctl->space_given && strcmp(text, check->ctl->space) != 0)) {
        free(text);
        return;
    }
    check->spaces = mem_realloc(check->spaces, (check->count + 1) * sizeof *check->spaces);
    check->spaces[check->count++] =
        (struct reader_space){check->ctl->redis.prefix, text, (uint32_t)count};
}

/* Findings. */

static bool has_counts(const struct fsck_finding *finding)
{
    return finding->rule == FSCK_COUNT || finding->rule == FSCK_PARTITIONS;
}

static void write_finding_rule(const void *row, struct cell *cell)
{
    const struct fsck_finding *finding = row;
    cell_string(cell, fsck_rule_name(finding->rule));
}

static void write_finding_partition(const void *row, struct cell *cell)
{
    const struct fsck_finding *finding = row;
    cell_number(cell, finding->partition);
}

static void write_finding_id(const void *row, struct cell *cell)
{
    const struct fsck_finding *finding = row;
    if (finding->id.data) {
        cell_text(cell, finding->id);
    }
}

static void write_finding_node(const void *row, struct cell *cell)
{
    const struct fsck_finding *finding = row;
    if (finding->node) {
        cell_text(cell, bytes_from_string(finding->node));
    }
}

static void write_finding_stored(const void *row, struct cell *cell)
{
    const struct fsck_finding *finding = row;
    if (has_counts(finding)) {
        cell_number(cell, finding->stored);
    }
}

static void write_finding_right(const void *row, struct cell *cell)
{
    const struct fsck_finding *finding = row;
    if (has_counts(finding)) {
        cell_number(cell, finding->counted);
    }
}

static void write_finding_repaired(const void *row, struct cell *cell)
{
    const struct fsck_finding *finding = row;
    const struct ctl *ctl = cell->context;
    if (cell->json || ctl->repair) {
        cell_bool(cell, finding->repaired);
    }
}

static void write_finding_what(const void *row, struct cell *cell)
{
    const struct fsck_finding *finding = row;
    cell_string(cell, fsck_rule_help(finding->rule));
    if (has_counts(finding)) {
        cell_string(cell, ": ");
        cell_number(cell, finding->stored);
        cell_string(cell, ", not ");
        cell_number(cell, finding->counted);
    }
}

static const struct column finding_columns[] = {
    {.heading = "RULE", .key = "rule", .write = write_finding_rule},
    {.heading = "PARTITION", .key = "partition", .write = write_finding_partition},
    {.heading = "ID", .key = "id", .write = write_finding_id},
    {.heading = "NODE", .key = "node", .write = write_finding_node},
    {.key = "stored", .write = write_finding_stored},
    {.key = "right", .write = write_finding_right},
    {.heading = "REPAIRED", .key = "repaired", .write = write_finding_repaired},
    {.heading = "WHAT", .write = write_finding_what},
};
static const struct columns columns = COLUMNS(finding_columns);

/* Text. */

static void print_counts(const struct reader_space *space, const struct fsck_report *report)
{
    ctl_print(
        "space %s: %llu entries, %llu listed by front-ends, %llu with a deadline, %llu users, "
        "%llu rooms, %u partition%s",
        space->name, (unsigned long long)report->entries, (unsigned long long)report->listed,
        (unsigned long long)report->deadlines, (unsigned long long)report->users,
        (unsigned long long)report->rooms, space->partitions, space->partitions == 1 ? "" : "s");
    if (report->unattended) {
        printf("  no front-end has a lease in %u of them: the next one may repair these findings "
               "itself\n",
               report->unattended);
    }
    if (report->recovering) {
        printf("  %u of them are in their recovery grace: no front-end counts as crashed yet\n",
               report->recovering);
    }
}

static void print_findings(const struct fsck_report *report, const struct ctl *ctl)
{
    size_t shown[FSCK_RULES] = {0};
    struct rows rows;
    rows_begin(&rows, &columns, false, ctl);
    for (size_t i = 0; i < report->count; i++) {
        if (shown[report->findings[i].rule]++ < SHOWN) {
            rows_add(&rows, &report->findings[i]);
        }
    }
    rows_print(&rows);
    rows_free(&rows);
    for (int rule = 0; rule < FSCK_RULES; rule++) {
        if (shown[rule] > SHOWN) {
            printf("and %zu more: %s\n", shown[rule] - SHOWN, fsck_rule_name((enum fsck_rule)rule));
        }
    }
}

/* JSON. */

static void write_space(struct writer *json, const struct reader_space *space,
                        const struct fsck_report *report, const struct ctl *ctl)
{
    json_open(json, NULL, '{');
    json_string(json, "space", space->name);
    json_number(json, "partitions", space->partitions);
    json_number(json, "entries", (int64_t)report->entries);
    json_number(json, "listed", (int64_t)report->listed);
    json_number(json, "deadlines", (int64_t)report->deadlines);
    json_number(json, "users", (int64_t)report->users);
    json_number(json, "rooms", (int64_t)report->rooms);
    json_number(json, "suspects", (int64_t)report->suspects);
    json_number(json, "unattended", report->unattended);
    json_number(json, "holding", report->recovering);
    json_open(json, "findings", '[');
    for (size_t i = 0; i < report->count; i++) {
        columns_write_object(&columns, &report->findings[i], ctl, json);
    }
    json_close(json, ']');
    json_close(json, '}');
}

static void show_check_report(struct check *check, const struct reader_space *space,
                              const struct fsck_report *report)
{
    check->found += report->count;
    check->repaired += report->repaired;
    if (check->ctl->json) {
        write_space(&check->json, space, report, check->ctl);
        return;
    }
    print_counts(space, report);
    if (report->count > 0) {
        print_findings(report, check->ctl);
    }
}

static bool check_one_space(struct check *check, const struct reader_space *space)
{
    struct ctl *ctl = check->ctl;
    const struct map_settings *settings = &check->settings;
    const struct fsck_options options = {.space = *space,
                                         .confirm_ms = FSCK_CONFIRM_MS,
                                         .repair = ctl->repair,
                                         .ttl = settings->client_ttl,
                                         .grace = settings->client_grace,
                                         .offline_delay = settings->offline_delay};
    struct fsck_report report;
    bool fine = fsck_run(ctl->reader, &options, &report);
    if (fine) {
        show_check_report(check, space, &report);
    }
    fsck_report_free(&report);
    return fine;
}

static enum ctl_exit check_all(struct check *check)
{
    struct ctl *ctl = check->ctl;
    (void)reader_each_space(ctl->reader, ctl->redis.prefix, check_named_space, check);
    enum ctl_exit result = ctl_check(ctl);
    if (result == CTL_OK && ctl->space_given && check->count == 0) {
        ctl_complain("there is no space \"%s\"", ctl->space);
        return CTL_NO;
    }
    if (ctl->json) {
        json_open(&check->json, NULL, '{');
        json_open(&check->json, "spaces", '[');
    }
    for (size_t i = 0; result == CTL_OK && i < check->count; i++) {
        if (!check_one_space(check, &check->spaces[i])) {
            result = ctl_check(ctl);
        }
    }
    if (result != CTL_OK) {
        return result;
    }
    if (ctl->json) {
        json_close(&check->json, ']');
        json_number(&check->json, "found", (int64_t)check->found);
        json_number(&check->json, "repaired", (int64_t)check->repaired);
        json_close(&check->json, '}');
        json_print(&check->json);
    } else if (check->found == 0) {
        printf("clean\n");
    } else {
        printf("%llu found, %llu repaired\n", (unsigned long long)check->found,
               (unsigned long long)check->repaired);
    }
    return check->found == 0 ? CTL_OK : CTL_NO;
}

/* Repaired entries have the front-ends' times, unless the command line sets them. */
static enum ctl_exit read_shared_settings(struct check *check)
{
    static const char *const keys[] = {"client.ttl", "client.grace", "presence.offline_delay"};
    struct ctl *ctl = check->ctl;
    struct map_shared shared = {.values = ctl->map};
    if (!map_shared_read(ctl->reader, ctl->redis.prefix, &shared)) {
        return ctl_check(ctl);
    }
    check->settings = shared.values;
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
        const struct config_setting *setting = config_find_setting(&map_config, keys[i]);
        if (config_is_given(ctl->config, keys[i])) {
            memcpy((char *)&check->settings + setting->offset, (char *)&ctl->map + setting->offset,
                   sizeof(int64_t));
        }
    }
    return CTL_OK;
}

enum ctl_exit command_fsck(struct ctl *ctl, int count, char **arguments)
{
    struct check check = {.ctl = ctl};
    enum ctl_exit result = ctl_connect(ctl);
    if (result == CTL_OK) {
        result = read_shared_settings(&check);
    }
    if (result == CTL_OK) {
        result = check_all(&check);
    }
    for (size_t i = 0; i < check.count; i++) {
        free((void *)(uintptr_t)check.spaces[i].name);
    }
    free(check.spaces);
    writer_free(&check.json);
    return result;
}
