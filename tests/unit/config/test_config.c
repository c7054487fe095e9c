/* config: the values from file, environment and flags, their order, and what a reload applies. */
#include "config/config_case.h"

static void defaults_are_there_at_once(void **state)
{
    assert_defaults();
}

static void a_file_is_loaded(void **state)
{
    write_file("# a comment\n"
               "node = a:b=c\n"
               "; another\n"
               "\n"
               "[sample]\n"
               "enabled = false\n"
               "count=100 ; the most\n"
               "  size : 1MiB  \n"
               "\tpassword = s3 cret\n"
               "list =\n"
               "[other]\r\n"
               "deadline = 2m\r\n"
               "adopt = same_address\r\n"
               "[sample]\n"
               "any = -9223372036854775808");
    assert_good(config_load_file(config, path));
    assert_string_equal(sample.name, "a:b=c");
    assert_false(sample.enabled);
    assert_int_equal(sample.count, 100);
    assert_int_equal(sample.size, 1 << 20);
    assert_string_equal(sample.password, "s3 cret");
    assert_string_equal(sample.list, "");
    assert_int_equal(sample.deadline, 120000);
    assert_int_equal(sample.adopt, 1);
    assert_true(sample.any == INT64_MIN);
}

static void keys_may_be_written_whole(void **state)
{
    write_file("\xef\xbb\xbfsample.count = 7\nother.adopt = off\n");
    assert_good(config_load_file(config, path));
    assert_int_equal(sample.count, 7);
    assert_int_equal(sample.adopt, 2);
}

static void an_empty_file_is_good(void **state)
{
    write_file("");
    assert_good(config_load_file(config, path));
    assert_defaults();
}

static void the_environment_is_loaded(void **state)
{
    char *environment[] = {(char *)"PATH=/bin",
                           (char *)"TRACKER_NODE=env",
                           (char *)"TRACKER_SAMPLE_COUNT=9",
                           (char *)"TRACKER_OTHER_DEADLINE=1h",
                           (char *)"TRACKER_SAMPLE_LIST=a=b",
                           (char *)"TRACKER_TEST_SCALE=5",
                           (char *)"TRACKERX=1",
                           (char *)"TRACKER_WITHOUT_EQUALS",
                           NULL};

    assert_good(config_load_environment(config, environment));
    assert_string_equal(sample.name, "env");
    assert_int_equal(sample.count, 9);
    assert_int_equal(sample.deadline, 3600000);
    assert_string_equal(sample.list, "a=b");
}

static void flags_are_set(void **state)
{
    assert_good(config_set(config, "sample.count=8"));
    assert_good(config_set(config, "sample.count=9")); /* the last one */
    assert_good(config_set(config, "node="));
    assert_good(config_set(config, "sample.list=a=b"));
    assert_int_equal(sample.count, 9);
    assert_string_equal(sample.name, "");
    assert_string_equal(sample.list, "a=b");
}

/* In whichever order they come. */
static void flags_go_before_environment_before_file(void **state)
{
    static const int orders[][3] = {{0, 1, 2}, {0, 2, 1}, {1, 0, 2},
                                    {1, 2, 0}, {2, 0, 1}, {2, 1, 0}};
    char *environment[] = {(char *)"TRACKER_SAMPLE_COUNT=2", (char *)"TRACKER_SAMPLE_ANY=2", NULL};

    write_file("[sample]\ncount = 1\nany = 1\nsize = 2048\n");
    for (size_t i = 0; i < 6; i++) {
        struct sample values;
        struct config *other = config_create();

        config_add(other, &sample_module, &values);
        for (int j = 0; j < 3; j++) {
            if (orders[i][j] == 0) {
                assert_good(config_load_file(other, path));
            } else if (orders[i][j] == 1) {
                assert_good(config_load_environment(other, environment));
            } else {
                assert_good(config_set(other, "sample.count=3"));
            }
        }
        assert_int_equal(values.count, 3);
        assert_int_equal(values.any, 2);
        assert_int_equal(values.size, 2048);
        config_destroy(&other);
        config_free_values(&sample_module, &values);
    }
}

static void values_come_from_files(void **state)
{
    static const struct {
        const char *contents, *value;
    } cases[] = {
        {"secret", "secret"},
        {"secret\n", "secret"},
        {"secret\r\n", "secret"},
        {"secret\n\n", "secret\n"},
        {"", ""},
        {"\n", ""},
        {" a ;b\nc ", " a ;b\nc "},
    };

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char text[200];
        char *environment[] = {text, NULL};

        write_bytes(value_path, cases[i].contents, strlen(cases[i].contents));
        (void)snprintf(text, sizeof text, "[sample]\npassword_file = %s\n", value_path);
        write_file(text);
        assert_good(config_load_file(config, path));
        assert_string_equal(sample.password, cases[i].value);

        (void)snprintf(text, sizeof text, "TRACKER_SAMPLE_LIST_FILE=%s", value_path);
        assert_good(config_load_environment(config, environment));
        assert_string_equal(sample.list, cases[i].value);

        (void)snprintf(text, sizeof text, "node_file=%s", value_path);
        assert_good(config_set(config, text));
        assert_string_equal(sample.name, cases[i].value);
    }
}

static void long_values_come_from_files(void **state)
{
    char *contents = mem_alloc(65537), text[200];

    memset(contents, 'x', 65537);
    write_bytes(value_path, contents, 65536);
    (void)snprintf(text, sizeof text, "sample.list_file=%s", value_path);
    assert_good(config_set(config, text));
    assert_int_equal(strlen(sample.list), 65536);
    write_bytes(value_path, contents, 65537);
    assert_says(config_set(config, text), "command line|sample.list_file|longer than 65536");
    assert_int_equal(strlen(sample.list), 65536);
    free(contents);
}

/* What a reload calls back: "+key" applied, "-key" waiting. */
static char changes[500];

static void note_change(void *arg, const char *key, bool applied)
{
    assert_ptr_equal(arg, &sample);
    strcat(changes, applied ? "+" : "-");
    strcat(changes, key);
}

static char *reload(char *const *environment, const char *const *assignments, size_t count)
{
    changes[0] = '\0';
    return config_reload(config, path, environment, assignments, count, note_change, &sample);
}

static void a_reload_applies_what_it_may(void **state)
{
    static const char *const assignments[] = {"sample.any=3"};
    char *environment[] = {(char *)"TRACKER_SAMPLE_COUNT=7", NULL};

    write_file("[sample]\nenabled = false\ncount = 6\nany = 2\nlist = x\n");
    assert_good(reload(environment, assignments, 1));
    assert_string_equal(changes, "-sample.enabled+sample.count+sample.any+sample.list");
    assert_true(sample.enabled);
    assert_int_equal(sample.count, 7);
    assert_int_equal(sample.any, 3);
    assert_string_equal(sample.list, "x");

    /* Once more: only what still waits is reported. */
    assert_good(reload(environment, assignments, 1));
    assert_string_equal(changes, "-sample.enabled");

    /* What is gone goes back to its default. */
    write_file("[other]\nadopt = off\n[sample]\nsize = 65536\n");
    assert_good(reload(NULL, NULL, 0));
    assert_string_equal(changes, "+sample.count+sample.any+other.adopt+sample.list");
    assert_int_equal(sample.count, 5);
    assert_int_equal(sample.any, -1);
    assert_int_equal(sample.adopt, 2);
    assert_string_equal(sample.list, "");
}

static void a_bad_reload_changes_nothing(void **state)
{
    static const char *const bad_assignments[] = {"sample.any=3", "sample.count=0"};
    static const char *const good_assignments[] = {"sample.any=3"};
    char *bad_environment[] = {(char *)"TRACKER_SAMPLE_SIZE=2KiB", (char *)"TRACKER_OTHER=1", NULL};
    char *good_environment[] = {(char *)"TRACKER_SAMPLE_SIZE=2KiB", NULL};

    write_file("[sample]\nlist = x\ncount = 101\n");
    assert_says(reload(good_environment, good_assignments, 1), ":3: |sample.count|101");
    assert_defaults();
    write_file("[sample]\nlist = x\n");
    assert_says(reload(bad_environment, good_assignments, 1), "environment|TRACKER_OTHER");
    assert_defaults();
    assert_says(reload(good_environment, bad_assignments, 2), "command line|sample.count");
    assert_defaults();
    assert_string_equal(changes, "");
    assert_good(reload(good_environment, good_assignments, 1));
    assert_string_equal(changes, "+sample.any+sample.size+sample.list");
}

static void a_reload_needs_no_file_and_no_callback(void **state)
{
    static const char *const assignments[] = {"sample.any=3"};

    assert_good(config_reload(config, NULL, NULL, assignments, 1, NULL, NULL));
    assert_int_equal(sample.any, 3);
    assert_says(config_reload(config, "/nowhere/tracker.conf", NULL, NULL, 0, NULL, NULL),
                "/nowhere/tracker.conf");
    assert_int_equal(sample.any, 3);
}

static void the_same_value_otherwise_written_is_no_change(void **state)
{
    write_file("[sample]\nsize = 65536\nany = -01\n[other]\ndeadline = 3000ms\n");
    assert_good(reload(NULL, NULL, 0));
    assert_string_equal(changes, "");
}

static void listeners_override_their_copies(void **state)
{
    struct sample copy;

    config_copy_values(&sample_module, &sample, &copy);
    assert_ptr_not_equal(copy.name, sample.name);
    assert_string_equal(copy.name, "front");
    assert_good(config_override(&sample_module, &copy, "count", "9"));
    assert_good(config_override(&sample_module, &copy, "other.deadline", "1s"));
    assert_good(config_override(&sample_module, &copy, "enabled", "false"));
    assert_good(config_override(&sample_module, &copy, "list", "x"));
    assert_int_equal(copy.count, 9);
    assert_int_equal(copy.deadline, 1000);
    assert_false(copy.enabled);
    assert_string_equal(copy.list, "x");
    write_bytes(value_path, "from a file\n", 12);
    assert_good(config_override(&sample_module, &copy, "list_file", value_path));
    assert_string_equal(copy.list, "from a file");
    assert_defaults();

    assert_says(config_override(&sample_module, &copy, "count", "0"), "sample.count|from 1 to 100");
    assert_says(config_override(&sample_module, &copy, "list", "!"), "sample.list|exclamation");
    assert_says(config_override(&sample_module, &copy, "list_file", "/nowhere/x"), "/nowhere/x");
    assert_says(config_override(&sample_module, &copy, "cuont", "9"), "\"cuont\"|\"count\"");
    assert_says(config_override(&sample_module, &copy, "size", "9"), "\"size\"");
    assert_int_equal(copy.count, 9);
    assert_string_equal(copy.list, "from a file");
    config_free_values(&sample_module, &copy);
    assert_null(copy.list);
    config_free_values(&sample_module, &copy);
}

static void options_of_listeners_are_known(void **state)
{
    static const struct config_setting none[] = {{0}};
    static const struct config_module empty = {.settings = none, .values_size = 1};
    char values;

    assert_true(config_has_option(&sample_module, "count"));
    assert_true(config_has_option(&sample_module, "sample.count"));
    assert_true(config_has_option(&sample_module, "list_file"));
    assert_true(config_has_option(&sample_module, "deadline"));
    assert_false(config_has_option(&sample_module, "count_file")); /* not UTF-8 */
    assert_false(config_has_option(&sample_module, "size"));       /* no option of listeners */
    assert_false(config_has_option(&sample_module, "sample.deadline"));
    assert_false(config_has_option(&sample_module, "coun"));
    assert_false(config_has_option(&sample_module, ""));
    assert_false(config_has_option(&empty, "count"));
    assert_says(config_override(&empty, &values, "x", "1"), "\"x\"");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        with_config(defaults_are_there_at_once),
        with_config(a_file_is_loaded),
        with_config(keys_may_be_written_whole),
        with_config(an_empty_file_is_good),
        with_config(the_environment_is_loaded),
        with_config(flags_are_set),
        with_config(flags_go_before_environment_before_file),
        with_config(values_come_from_files),
        with_config(long_values_come_from_files),
        with_config(a_reload_applies_what_it_may),
        with_config(a_bad_reload_changes_nothing),
        with_config(a_reload_needs_no_file_and_no_callback),
        with_config(the_same_value_otherwise_written_is_no_change),
        with_config(listeners_override_their_copies),
        with_config(options_of_listeners_are_known),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
