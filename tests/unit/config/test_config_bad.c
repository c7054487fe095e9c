/* config: what is refused, and what the message says: the key, the place, what is allowed. */
#include "config/config_case.h"

static const struct {
    const char *contents, *says;
} bad_files[] = {
    {"[sample]\ncuont = 1\n", ":2: |unknown key \"sample.cuont\"|\"sample.count\""},
    {"count = 1\n", ":1: |unknown key \"count\"|\"sample.count\""},
    {"[other]\n\n# x\ncount = 1\n", ":4: |unknown key \"other.count\""},
    {"deadline = 1s\n", ":1: |\"other.deadline\""},
    {"[sample]\ncount = 1\ncount = 1\n", ":3: |sample.count|already|line 2"},
    {"[sample]\ncount = 1\n[other]\n[sample]\ncount = 2\n", ":5: |sample.count|line 2"},
    {"[sample]\ncount = 1\n  count = 2\n", ":3: |sample.count|line 2"},
    {"[sample]\nlist = x\nlist_file = /dev/null\n", ":3: |sample.list|line 2"},
    {"[sample]\ncount\n", ":2: |neither [SECTION] nor KEY = VALUE"},
    {"[sample\ncount = 1\n", ":1: |neither"},
    {"[sample]\ncount\ncount = x\n", ":2: |neither"},
    {"[sample]\ncount = x\ncount\n", ":2: |whole number"},
    {"[sample]\ncount = 0\n", ":2: |sample.count = \"0\"|must be from 1 to 100"},
    {"[sample]\ncount = 101\n", ":2: |must be from 1 to 100"},
    {"[sample]\ncount = 1.5\n", "whole number"},
    {"[sample]\ncount = 1x\n", "whole number"},
    {"[sample]\ncount =\n", "sample.count = \"\"|whole number"},
    {"[sample]\nany = --1\n", "whole number"},
    {"[sample]\nany = -\n", "whole number"},
    {"[sample]\nany = 9223372036854775808\n", "whole number"},
    {"[sample]\nsize = 1023\n", "from 1KiB to 1MiB"},
    {"[sample]\nsize = 1MB\n", "sample.size = \"1MB\"|64KiB"},
    {"[other]\ndeadline = 99ms\n", "other.deadline|at least 100ms"},
    {"[other]\ndeadline = 5\n", "other.deadline = \"5\"|500ms, 5s, 2m or 1h"},
    {"[other]\nadopt = same\n", "other.adopt = \"same\"|any, same_address, off"},
    {"[other]\nadopt =\n", "any, same_address, off"},
    {"[other]\nadopt = any|off\n", "any, same_address, off"},
    {"[other]\nadopt = ANY\n", "any, same_address, off"},
    {"[sample]\nenabled = yes\n", "sample.enabled = \"yes\"|true or false"},
    {"[sample]\nenabled = True\n", "true or false"},
    {"[sample]\nlist = a!b\n", ":2: |sample.list = \"a!b\"|exclamation mark"},
    {"node = a\xff\n", ":1: |node|UTF-8"},
    {"[sample]\npassword_file = /nowhere/x\n", ":2: |sample.password_file|/nowhere/x|No such"},
    {"[sample]\npassword_file = /tmp\n", ":2: |sample.password_file|/tmp|directory"},
    {"[sample]\npassword_file =\n", ":2: |sample.password_file"},
    {"[sample]\ncount_file = /dev/null\n", ":2: |unknown key \"sample.count_file\""},
};

static void files_are_refused(void **state)
{
    for (size_t i = 0; i < sizeof bad_files / sizeof *bad_files; i++) {
        char *message;

        write_file(bad_files[i].contents);
        message = config_load_file(config, path);
        assert_non_null(message);
        assert_memory_equal(message, path, strlen(path));
        assert_says(message, bad_files[i].says);
        assert_defaults();
    }
}

static void what_a_bad_file_sets_before_is_not_kept(void **state)
{
    write_file("node = x\n[sample]\nenabled = false\ncount = 1\nany = 5\nsize = 1KiB\nx = 1\n"
               "list = y\n");
    assert_says(config_load_file(config, path), ":7: ");
    assert_defaults();
}

static void files_that_cannot_be_read(void **state)
{
    assert_says(config_load_file(config, "/nowhere/tracker.conf"), "/nowhere/tracker.conf|No such");
    assert_says(config_load_file(config, "/tmp"), "/tmp: |cannot be read");
}

static void lines_have_a_longest_length(void **state)
{
    char line[300];
    int prefix = snprintf(line, sizeof line, "node = ");

    for (size_t len = 180; len < 250; len++) {
        char *message;

        memset(line + prefix, 'x', len - (size_t)prefix);
        line[len] = '\0';
        write_file(line);
        message = config_load_file(config, path);
        if (len <= 198) {
            assert_good(message);
            assert_int_equal(strlen(sample.name), len - (size_t)prefix);
        } else {
            assert_says(message, ":1: |longer than 198 bytes|KEY_file");
            assert_int_equal(strlen(sample.name), 198 - prefix);
        }
    }
    /* A comment may be of any length. */
    memset(line, '#', sizeof line - 1);
    line[sizeof line - 1] = '\0';
    write_file(line);
    assert_good(config_load_file(config, path));
}

static void zero_bytes_are_refused(void **state)
{
    char text[100];

    write_bytes(path, "node = a\nnode\0b\n", 16);
    assert_says(config_load_file(config, path), ":2: |zero byte");
    write_bytes(value_path, "a\0b", 3);
    (void)snprintf(text, sizeof text, "node_file=%s", value_path);
    assert_says(config_set(config, text), "node_file|zero byte");
    assert_defaults();
}

static void the_environment_is_refused(void **state)
{
    static const struct {
        const char *variables[3], *says;
    } cases[] = {
        {{"TRACKER_SAMPLE_CUONT=1"},
         "environment|unknown variable TRACKER_SAMPLE_CUONT|TRACKER_SAMPLE_COUNT"},
        {{"TRACKER_=1"}, "TRACKER_|TRACKER_NODE"},
        {{"TRACKER_sample_count=1"}, "TRACKER_sample_count"},
        {{"TRACKER_SAMPLE_COUNT_FILE=/dev/null"}, "unknown variable TRACKER_SAMPLE_COUNT_FILE"},
        {{"TRACKER_SAMPLE_COUNT=0"}, "TRACKER_SAMPLE_COUNT|sample.count = \"0\"|from 1 to 100"},
        {{"TRACKER_SAMPLE_COUNT="}, "TRACKER_SAMPLE_COUNT|whole number"},
        {{"TRACKER_NODE=a", "TRACKER_NODE=b"}, "TRACKER_NODE|node is given twice"},
        {{"TRACKER_NODE=a", "TRACKER_NODE_FILE=/dev/null"},
         "TRACKER_NODE_FILE|node is given twice"},
        {{"TRACKER_NODE=a", "TRACKER_TESTS=1"}, "TRACKER_TESTS"},
    };

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char *environment[3] = {(char *)cases[i].variables[0], (char *)cases[i].variables[1], NULL};

        assert_says(config_load_environment(config, environment), cases[i].says);
        assert_defaults();
    }
}

static void assignments_are_refused(void **state)
{
    static const struct {
        const char *assignment, *says;
    } cases[] = {
        {"", "command line|KEY=VALUE"},
        {"sample.count", "command line|\"sample.count\"|KEY=VALUE"},
        {"=1", "unknown key \"\""},
        {"sample.coumt=1", "command line|\"sample.coumt\"|\"sample.count\""},
        {" sample.count=1", "unknown key"},
        {"sample.count= 1 ", "whole number"},
        {"sample.count=0", "sample.count|from 1 to 100"},
        {"node_file=/nowhere/x", "node_file|/nowhere/x"},
    };

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        assert_says(config_set(config, cases[i].assignment), cases[i].says);
        assert_defaults();
    }
}

static const char *refuse_all(const char *value)
{
    return value[0] == '\0' ? NULL : "must be empty";
}

static void secrets_are_not_repeated(void **state)
{
    static const struct config_setting settings[] = {
        {"key", CONFIG_STRING, 0, "", CONFIG_SECRET, 0, 0, NULL, "A key.", refuse_all},
        {0},
    };
    static const struct config_module module = {.settings = settings,
                                                .values_size = sizeof(char *)};
    struct config *other = config_create();
    char *value, *message;

    config_add(other, &module, &value);
    message = config_set(other, "key=hush");
    assert_non_null(message);
    assert_null(strstr(message, "hush"));
    assert_says(message, "key: must be empty");
    config_destroy(&other);
    config_free_values(&module, &value);
}

static void without_settings_there_is_no_nearest(void **state)
{
    struct config *other = config_create();
    char *environment[] = {(char *)"TRACKER_X=1", NULL};

    assert_says(config_set(other, "x=1"), "unknown key \"x\"");
    assert_says(config_load_environment(other, environment), "TRACKER_X");
    write_file("x = 1\n");
    assert_says(config_load_file(other, path), "unknown key \"x\"");
    config_destroy(&other);
    assert_null(other);
    config_destroy(&other);
}

static void durations_and_sizes(void **state)
{
    static const struct {
        const char *text;
        int64_t ms, bytes; /* -1: none */
    } cases[] = {
        {"0", 0, 0},
        {"0s", 0, -1},
        {"500ms", 500, -1},
        {"5s", 5000, -1},
        {"007s", 7000, -1},
        {"2m", 120000, -1},
        {"1h", 3600000, -1},
        {"1000h", INT64_C(3600000000), -1},
        {"64", -1, 64},
        {"64KiB", -1, 65536},
        {"1MiB", -1, 1 << 20},
        {"3GiB", -1, INT64_C(3) << 30},
        {"9223372036854775807", -1, INT64_MAX},
        {"9223372036854775807ms", INT64_MAX, -1},
        {"9223372036854775808", -1, -1},
        {"9223372036854775808ms", -1, -1},
        {"9223372036854775807s", -1, -1},
        {"9223372036854775807KiB", -1, -1},
        {"99999999999999999999h", -1, -1},
        {"", -1, -1},
        {"s", -1, -1},
        {"KiB", -1, -1},
        {"-1s", -1, -1},
        {"+1s", -1, -1},
        {"1 s", -1, -1},
        {" 1s", -1, -1},
        {"1s ", -1, -1},
        {"1.5s", -1, -1},
        {"1S", -1, -1},
        {"1d", -1, -1},
        {"1m30s", -1, -1},
        {"1kib", -1, -1},
        {"1K", -1, -1},
        {"0x10", -1, -1},
    };

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        int64_t value;

        assert_int_equal(config_parse_duration(cases[i].text, &value), cases[i].ms >= 0);
        if (cases[i].ms >= 0) {
            assert_int_equal(value, cases[i].ms);
        }
        assert_int_equal(config_parse_size(cases[i].text, &value), cases[i].bytes >= 0);
        if (cases[i].bytes >= 0) {
            assert_int_equal(value, cases[i].bytes);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        with_config(files_are_refused),
        with_config(what_a_bad_file_sets_before_is_not_kept),
        with_config(files_that_cannot_be_read),
        with_config(lines_have_a_longest_length),
        with_config(zero_bytes_are_refused),
        with_config(the_environment_is_refused),
        with_config(assignments_are_refused),
        with_config(secrets_are_not_repeated),
        with_config(without_settings_there_is_no_nearest),
        with_config(durations_and_sizes),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
