/* config_case: a module with a setting of each kind, and files to load. */
#ifndef TESTS_CONFIG_CASE_H
#define TESTS_CONFIG_CASE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/mem.h"
#include "config/config.h"

struct sample {
    bool enabled;
    int64_t count;
    int64_t any;
    int64_t size;
    int64_t deadline;
    int adopt;
    char *name;
    char *password;
    char *list;
};

static inline const char *check_list(const char *value)
{
    return !strchr(value, '!') ? NULL : "must hold no exclamation mark";
}

#define FIELD(name) offsetof(struct sample, name)

static const struct config_setting sample_settings[] = {
    {"node", CONFIG_STRING, FIELD(name), "front", 0, 0, 0, NULL, "A name to show.", NULL},
    {"sample.enabled", CONFIG_BOOL, FIELD(enabled), "true", CONFIG_LISTENER, 0, 0, NULL, "Whether.",
     NULL},
    {"sample.count", CONFIG_INT, FIELD(count), "5", CONFIG_RELOADABLE | CONFIG_LISTENER, 1, 100,
     NULL, "How many.", NULL},
    {"sample.any", CONFIG_INT, FIELD(any), "-1", CONFIG_RELOADABLE, 0, 0, NULL, "Any number.",
     NULL},
    {"sample.size", CONFIG_SIZE, FIELD(size), "64KiB", CONFIG_RELOADABLE, 1024, 1 << 20, NULL,
     "How large.", NULL},
    {"other.deadline", CONFIG_DURATION, FIELD(deadline), "3s", CONFIG_RELOADABLE | CONFIG_LISTENER,
     100, INT64_MAX, NULL, "How long.", NULL},
    {"other.adopt", CONFIG_ENUM, FIELD(adopt), "any", CONFIG_RELOADABLE, 0, 0,
     "any|same_address|off", "Who may.", NULL},
    {"sample.password", CONFIG_STRING, FIELD(password), "", CONFIG_SECRET | CONFIG_RELOADABLE, 0, 0,
     NULL, "The password.", NULL},
    {"sample.list", CONFIG_STRING, FIELD(list), "", CONFIG_RELOADABLE | CONFIG_LISTENER, 0, 0, NULL,
     "A list.", check_list},
    {0},
};

static const struct config_module sample_module = {.settings = sample_settings,
                                                   .values_size = sizeof(struct sample)};

static struct config *config;
static struct sample sample;
static char path[64], value_path[64];

/* Makes a file of this name with these contents. */
static inline void write_bytes(const char *to, const char *contents, size_t len)
{
    FILE *file = fopen(to, "w");

    assert_non_null(file);
    assert_int_equal(fwrite(contents, 1, len, file), len);
    assert_int_equal(fclose(file), 0);
}

static inline void write_file(const char *contents)
{
    write_bytes(path, contents, strlen(contents));
}

static inline int make_file(char *name, size_t size)
{
    int fd;

    (void)snprintf(name, size, "/tmp/tracker-config-XXXXXX");
    fd = mkstemp(name);
    return fd < 0 ? -1 : close(fd);
}

static inline int set_up(void **state)
{
    config = config_create();
    config_add(config, &sample_module, &sample);
    return make_file(path, sizeof path) != 0 || make_file(value_path, sizeof value_path) != 0;
}

static inline int tear_down(void **state)
{
    config_destroy(&config);
    config_free_values(&sample_module, &sample);
    return unlink(path) != 0 || unlink(value_path) != 0;
}

/* NULL is expected. */
static inline void assert_good(char *message)
{
    if (message) {
        fail_msg("%s", message);
    }
}

/* Every one of the words, separated by '|', must be in the message, which is freed. */
static inline void assert_says(char *message, const char *words)
{
    char *copy = mem_strdup(words);

    assert_non_null(message);
    for (char *word = strtok(copy, "|"); word; word = strtok(NULL, "|")) {
        if (!strstr(message, word)) {
            fail_msg("\"%s\" is not in: %s", word, message);
        }
    }
    free(copy);
    free(message);
}

static inline void assert_defaults(void)
{
    assert_true(sample.enabled);
    assert_int_equal(sample.count, 5);
    assert_int_equal(sample.any, -1);
    assert_int_equal(sample.size, 65536);
    assert_int_equal(sample.deadline, 3000);
    assert_int_equal(sample.adopt, 0);
    assert_string_equal(sample.name, "front");
    assert_string_equal(sample.password, "");
    assert_string_equal(sample.list, "");
}

#define with_config(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

#endif
