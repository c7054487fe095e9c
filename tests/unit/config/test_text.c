/* config: help, sample file and JSON, which all come from the table. */
#include "config/config_case.h"

#include <cjson/cJSON.h>

static char *text_of(void (*write)(const struct config *, struct writer *))
{
    struct writer writer = {0};

    write(config, &writer);
    writer_u8(&writer, '\0');
    assert_false(writer.failed);
    return (char *)writer.data;
}

static void help_names_every_setting(void **state)
{
    char *text = text_of(config_write_help);

    assert_string_equal(text, "  node=TEXT  (front)\n"
                              "      A name to show.\n"
                              "  sample.enabled=true|false  (true)\n"
                              "      Whether. Listener option.\n"
                              "  sample.count=NUMBER  (5)\n"
                              "      How many. Reloadable. Listener option.\n"
                              "  sample.any=NUMBER  (-1)\n"
                              "      Any number. Reloadable.\n"
                              "  sample.size=SIZE  (64KiB)\n"
                              "      How large. Reloadable.\n"
                              "  other.deadline=DURATION  (3s)\n"
                              "      How long. Reloadable. Listener option.\n"
                              "  other.adopt=any|same_address|off  (any)\n"
                              "      Who may. Reloadable.\n"
                              "  sample.password=TEXT\n"
                              "      The password. Reloadable.\n"
                              "  sample.list=TEXT\n"
                              "      A list. Reloadable. Listener option.\n");
    free(text);
}

static unsigned count(const char *text, const char *word)
{
    unsigned found = 0;

    for (const char *at = strstr(text, word); at; at = strstr(at + 1, word)) {
        found++;
    }
    return found;
}

static void ignore_change(void *arg, const char *key, bool applied)
{
    fail_msg("%s changed", key);
}

static void the_sample_is_the_defaults(void **state)
{
    char *text = text_of(config_write_sample);
    unsigned settings = 0;

    /* As it is it sets nothing. */
    write_file(text);
    assert_good(config_reload(config, path, NULL, NULL, 0, ignore_change, NULL));
    assert_defaults();

    /* With every setting taken into use it sets everything to what it is anyway. */
    for (char *at = text; at; at = strchr(at + 1, '\n')) {
        if (at[0] == '\n' && at[1] == '#' && at[2] != ' ') {
            at[1] = ' ';
            settings++;
        }
    }
    assert_int_equal(settings, sizeof sample_settings / sizeof *sample_settings - 1);
    assert_int_equal(count(text, "\n[sample]\n"), 1);
    assert_int_equal(count(text, "\n[other]\n"), 1);
    write_file(text);
    assert_good(config_reload(config, path, NULL, NULL, 0, ignore_change, NULL));
    assert_good(config_load_file(config, path));
    assert_defaults();
    free(text);
}

static const char *member(const cJSON *all, const char *key, const char *name)
{
    const cJSON *setting = cJSON_GetObjectItemCaseSensitive(all, key);
    const char *value = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(setting, name));

    assert_non_null(value);
    return value;
}

static cJSON *write_json(void)
{
    char *text = text_of(config_write_json);
    const char *end;
    cJSON *all = cJSON_ParseWithOpts(text, &end, 1);

    assert_non_null(all);
    assert_null(strstr(text, "hush"));
    free(text);
    return all;
}

static void json_shows_values_defaults_and_sources(void **state)
{
    static const struct {
        const char *key, *value, *standard, *source;
        bool reloadable;
    } cases[] = {
        {"node", "say \"x\"\\", "front", "flag", false},
        {"sample.enabled", "false", "true", "file", false},
        {"sample.count", "7", "5", "environment", true},
        {"sample.any", "-1", "-1", "default", true},
        {"sample.size", "1MiB", "64KiB", "file", true},
        {"other.deadline", "90s", "3s", "file", true},
        {"other.adopt", "off", "any", "file", true},
        {"sample.password", "***", "", "file", true},
        {"sample.list", "", "", "file", true},
    };
    char *environment[] = {(char *)"TRACKER_SAMPLE_COUNT=7", NULL};
    cJSON *all;

    write_file("[sample]\nenabled=false\ncount=6\nsize=1024KiB\npassword=hush\nlist=\n"
               "[other]\ndeadline=90000ms\nadopt=off\n");
    assert_good(config_load_file(config, path));
    assert_good(config_load_environment(config, environment));
    assert_good(config_set(config, "node=say \"x\"\\"));
    all = write_json();
    assert_int_equal(cJSON_GetArraySize(all), 9);
    for (size_t i = 0; i < 9; i++) {
        const cJSON *setting = cJSON_GetObjectItemCaseSensitive(all, cases[i].key);

        assert_int_equal(cJSON_GetArraySize(setting), 4);
        assert_string_equal(member(all, cases[i].key, "value"), cases[i].value);
        assert_string_equal(member(all, cases[i].key, "default"), cases[i].standard);
        assert_string_equal(member(all, cases[i].key, "source"), cases[i].source);
        assert_int_equal(cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(setting, "reloadable")),
                         cases[i].reloadable);
    }
    cJSON_Delete(all);
}

static void json_shows_durations_and_sizes_in_their_largest_unit(void **state)
{
    static const struct {
        const char *key, *text, *shown;
    } cases[] = {
        {"other.deadline", "100ms", "100ms"}, {"other.deadline", "1500ms", "1500ms"},
        {"other.deadline", "60s", "1m"},      {"other.deadline", "61s", "61s"},
        {"other.deadline", "120m", "2h"},     {"other.deadline", "90m", "90m"},
        {"sample.size", "1025", "1025"},      {"sample.size", "2048", "2KiB"},
        {"sample.size", "1024KiB", "1MiB"},
    };

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char *assignment = mem_format("%s=%s", cases[i].key, cases[i].text);
        cJSON *all;

        assert_good(config_set(config, assignment));
        all = write_json();
        assert_string_equal(member(all, cases[i].key, "value"), cases[i].shown);
        cJSON_Delete(all);
        free(assignment);
    }
}

static void nothing_has_its_unit_too(void **state)
{
    static const struct config_setting settings[] = {
        {"wait", CONFIG_DURATION, 0, "0", 0, 0, 0, NULL, "How long.", NULL},
        {"room", CONFIG_SIZE, sizeof(int64_t), "0", 0, 0, 0, NULL, "How much.", NULL},
        {0},
    };
    static const struct config_module module = {.settings = settings,
                                                .values_size = 2 * sizeof(int64_t)};
    struct config *other = config_create();
    struct writer writer = {0};
    int64_t values[2] = {1, 1};

    config_add(other, &module, values);
    assert_int_equal(values[0], 0);
    assert_int_equal(values[1], 0);
    config_write_json(other, &writer);
    writer_u8(&writer, '\0');
    assert_non_null(strstr((char *)writer.data, "\"wait\":{\"value\":\"0s\",\"default\":\"0s\""));
    assert_non_null(strstr((char *)writer.data, "\"room\":{\"value\":\"0\",\"default\":\"0\""));
    writer_free(&writer);
    config_destroy(&other);
}

static void a_reload_changes_the_source(void **state)
{
    cJSON *all;

    write_file("[sample]\ncount = 6\nenabled = false\n");
    assert_good(config_reload(config, path, NULL, NULL, 0, NULL, NULL));
    all = write_json();
    assert_string_equal(member(all, "sample.count", "source"), "file");
    assert_string_equal(member(all, "sample.enabled", "value"), "true"); /* waits for a restart */
    assert_string_equal(member(all, "sample.enabled", "source"), "default");
    cJSON_Delete(all);
    assert_good(config_reload(config, NULL, NULL, NULL, 0, NULL, NULL));
    all = write_json();
    assert_string_equal(member(all, "sample.count", "source"), "default");
    cJSON_Delete(all);
}

static void nothing_is_an_empty_object(void **state)
{
    struct config *other = config_create();
    struct writer writer = {0};

    config_write_json(other, &writer);
    assert_true(bytes_equal(writer_bytes_written(&writer), BYTES_LITERAL("{}")));
    writer_free(&writer);
    config_destroy(&other);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        with_config(help_names_every_setting),
        with_config(the_sample_is_the_defaults),
        with_config(json_shows_values_defaults_and_sources),
        with_config(json_shows_durations_and_sizes_in_their_largest_unit),
        with_config(nothing_has_its_unit_too),
        with_config(a_reload_changes_the_source),
        with_config(nothing_is_an_empty_object),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
