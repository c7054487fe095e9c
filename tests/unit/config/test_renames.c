/* config: settings that are given by the names that they had before. */
#include "config/config_case.h"

/* The sample's settings under new names. */
static const struct config_rename renames[] = {
    {"sample.number", "sample.count"},
    {"old.timeout", "other.deadline"},
    {"sample.names", "sample.list"},
    {NULL, NULL},
};

static const struct config_module renamed_module = {
    .settings = sample_settings, .values_size = sizeof(struct sample), .renames = renames};

static int set_up_renamed(void **state)
{
    config = config_create();
    config_add(config, &renamed_module, &sample);
    return make_file(path, sizeof path) != 0 || make_file(value_path, sizeof value_path) != 0;
}

/* The former names that the user is warned of, in the order of the settings. */
static void assert_warned(const char *expected)
{
    char warned[200] = "";
    const struct config_rename *rename;

    for (size_t i = 0; (rename = config_renamed(config, i)); i++) {
        strcat(warned, i > 0 ? " " : "");
        strcat(warned, rename->former);
    }
    assert_string_equal(warned, expected);
}

static void each_source_accepts_former_names(void **state)
{
    char *environment[] = {(char *)"TRACKER_OLD_TIMEOUT=4s", NULL};

    write_file("[sample]\nnumber = 7\n");
    assert_warned("");
    assert_good(config_load_file(config, path));
    assert_int_equal(sample.count, 7);
    assert_warned("sample.number");
    assert_good(config_load_environment(config, environment));
    assert_int_equal(sample.deadline, 4000);
    assert_warned("sample.number old.timeout");
    assert_good(config_set(config, "sample.names=a"));
    assert_string_equal(sample.list, "a");
    assert_warned("sample.number old.timeout sample.names");
    assert_true(config_is_given(config, "sample.count"));
}

static void new_names_cause_no_warning(void **state)
{
    assert_good(config_set(config, "sample.count=7"));
    assert_good(config_set(config, "sample.list=a"));
    assert_warned("");
}

static void a_text_comes_from_a_file_by_its_former_name(void **state)
{
    char *assignment = mem_format("sample.names_file=%s", value_path);

    write_bytes(value_path, "long\n", 5);
    assert_good(config_set(config, assignment));
    assert_string_equal(sample.list, "long");
    assert_warned("sample.names");
    free(assignment);
    assert_says(config_set(config, "sample.number_file=/dev/null"), "unknown key");
}

static void both_names_in_one_place_are_refused(void **state)
{
    char *environment[] = {(char *)"TRACKER_SAMPLE_COUNT=2", (char *)"TRACKER_SAMPLE_NUMBER=3",
                           NULL};

    write_file("[sample]\ncount = 7\nnumber = 8\n");
    assert_says(config_load_file(config, path),
                ":3: |sample.number, which is now sample.count, was already given in line 2");
    write_file("[sample]\nnumber = 7\ncount = 8\n");
    assert_says(config_load_file(config, path), ":3: |sample.count was already given in line 2");
    assert_says(config_load_environment(config, environment),
                "TRACKER_SAMPLE_NUMBER|sample.count|given twice");
    assert_defaults();
    assert_warned("");
    /* As with one name. */
    assert_good(config_set(config, "sample.count=8"));
    assert_good(config_set(config, "sample.number=9"));
    assert_int_equal(sample.count, 9);
    assert_good(config_set(config, "sample.count=10"));
    assert_int_equal(sample.count, 10);
}

static void precedence_does_not_depend_on_the_name(void **state)
{
    char *former[] = {(char *)"TRACKER_SAMPLE_NUMBER=3", (char *)"TRACKER_OTHER_DEADLINE=3s", NULL};

    write_file("[sample]\ncount = 2\n[old]\ntimeout = 2s\n");
    assert_good(config_load_environment(config, former));
    assert_good(config_load_file(config, path));
    assert_int_equal(sample.count, 3);
    assert_int_equal(sample.deadline, 3000);
    /* Also where it has no effect: the next release refuses the file. */
    assert_warned("sample.number old.timeout");
    assert_good(config_set(config, "sample.count=4"));
    assert_int_equal(sample.count, 4);
}

static void bad_values_are_refused(void **state)
{
    write_file("[sample]\nnumber = 101\n");
    assert_says(config_load_file(config, path), ":2: |sample.count|from 1 to 100");
    assert_says(config_set(config, "sample.number=0"), "command line|from 1 to 100");
    assert_defaults();
    assert_warned("");
}

static char *reload(const char *assignment)
{
    return config_reload(config, path, NULL, &assignment, assignment ? 1 : 0, NULL, NULL);
}

static void a_reload_accepts_former_names(void **state)
{
    write_file("[sample]\nnumber = 7\n");
    assert_good(config_load_file(config, path));
    write_file("[sample]\nnumber = 8\n");
    assert_good(reload("old.timeout=4s"));
    assert_int_equal(sample.count, 8);
    assert_int_equal(sample.deadline, 4000);
    assert_warned("sample.number old.timeout");
    write_file("[sample]\nnumber = 9\ncount = 9\n");
    assert_says(reload(NULL), "line 2");
    assert_int_equal(sample.count, 8);
    write_file("[sample]\ncount = 9\n");
    assert_good(reload(NULL));
    assert_int_equal(sample.count, 9);
    assert_warned("");
}

static void listeners_accept_former_names(void **state)
{
    static const char *const options[] = {"sample.number=6", "number=7", "old.timeout=8s",
                                          "timeout=9s"};
    struct sample copy;

    config_copy_values(&renamed_module, &sample, &copy);
    for (size_t i = 0; i < sizeof options / sizeof *options; i++) {
        char *option = mem_strdup(options[i]), *value = strchr(option, '=');

        *value++ = '\0';
        assert_true(config_has_option(&renamed_module, option));
        assert_good(config_override(&renamed_module, &copy, option, value));
        free(option);
    }
    assert_int_equal(copy.count, 7);
    assert_int_equal(copy.deadline, 9000);
    config_note_option(config, &renamed_module, "count");
    config_note_option(config, &renamed_module, "deadline");
    assert_warned("");
    config_note_option(config, &renamed_module, "number");
    config_note_option(config, &sample_module, "timeout");
    assert_warned("sample.number old.timeout");
    /* Settings that are no options are not by their former names, either. */
    assert_false(config_has_option(&renamed_module, "numbers"));
    config_free_values(&renamed_module, &copy);
}

static void renames_are_found(void **state)
{
    assert_string_equal(config_find_rename(&renamed_module, "old.timeout")->key, "other.deadline");
    assert_null(config_find_rename(&renamed_module, "other.deadline"));
    assert_null(config_find_rename(&sample_module, "old.timeout"));
}

#define renamed(test) cmocka_unit_test_setup_teardown(test, set_up_renamed, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        renamed(each_source_accepts_former_names),
        renamed(new_names_cause_no_warning),
        renamed(a_text_comes_from_a_file_by_its_former_name),
        renamed(both_names_in_one_place_are_refused),
        renamed(precedence_does_not_depend_on_the_name),
        renamed(bad_values_are_refused),
        renamed(a_reload_accepts_former_names),
        renamed(listeners_accept_former_names),
        renamed(renames_are_found),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
