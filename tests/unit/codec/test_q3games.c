/* The table of games: what is known, what settings change, what they may not say. */
#include "codec/json_case.h"

#include "codec/q3games.h"

static struct q3games *must_create(const char *games, const char *accept, const char *reject)
{
    char *error;
    struct q3games *table = q3games_create(games, accept, reject, &error);

    if (!table) {
        fail_msg("%s: %s", games, error);
    }
    return table;
}

struct meaning {
    const char *games, *tag;
    enum q3games_tag meaning;
    const char *game; /* NULL: none */
};

static void test_tags(void **state)
{
    static const struct meaning meanings[] = {
        {"", "DarkPlaces", Q3GAMES_TAG_ALIVE, NULL},
        {"", "QuakeArena-1", Q3GAMES_TAG_ALIVE, "Quake3Arena"},
        {"", "Wolfenstein-1", Q3GAMES_TAG_ALIVE, "wolfmp"},
        {"", "WolfFlatline-1", Q3GAMES_TAG_FLATLINE, "wolfmp"},
        {"", "EnemyTerritory-1", Q3GAMES_TAG_ALIVE, "et"},
        {"", "ETFlatline-1", Q3GAMES_TAG_FLATLINE, "et"},
        {"", "Warsow", Q3GAMES_TAG_UNKNOWN, NULL},
        {"", "darkplaces", Q3GAMES_TAG_UNKNOWN, NULL},
        {"", "", Q3GAMES_TAG_UNKNOWN, NULL},
        {"", "QuakeArena-12", Q3GAMES_TAG_UNKNOWN, NULL},
        {"Warsow heartbeat=Warsow", "Warsow", Q3GAMES_TAG_ALIVE, "Warsow"},
        {"Warsow heartbeat=Warsow", "QuakeArena-1", Q3GAMES_TAG_ALIVE, "Quake3Arena"},
        {" Warsow  heartbeat=Warsow,WSW flatline=Bye ", "WSW", Q3GAMES_TAG_ALIVE, "Warsow"},
        {"Warsow heartbeat=A heartbeat=B", "A", Q3GAMES_TAG_ALIVE, "Warsow"},
        {"Warsow heartbeat=A heartbeat=B", "B", Q3GAMES_TAG_ALIVE, "Warsow"},
        {"A heartbeat=a|B heartbeat=b", "b", Q3GAMES_TAG_ALIVE, "B"},
        {"A heartbeat=a\nB heartbeat=b\r\n", "b", Q3GAMES_TAG_ALIVE, "B"},
        {"# nothing\nA heartbeat=a # heartbeat=c\n|\n", "a", Q3GAMES_TAG_ALIVE, "A"},
        {"A heartbeat=a # heartbeat=c", "c", Q3GAMES_TAG_UNKNOWN, NULL},
        {"A heartbeat=QuakeArena-1", "QuakeArena-1", Q3GAMES_TAG_ALIVE, "A"}, /* goes over */
        {"A flatline=QuakeArena-1", "QuakeArena-1", Q3GAMES_TAG_FLATLINE, "A"},
        {"wolfmp flatline=", "WolfFlatline-1", Q3GAMES_TAG_UNKNOWN, NULL},
        {"wolfmp flatline=", "Wolfenstein-1", Q3GAMES_TAG_ALIVE, "wolfmp"},
        {"wolfmp flatline=X", "WolfFlatline-1", Q3GAMES_TAG_UNKNOWN, NULL}, /* replaced */
        {"wolfmp flatline=X", "X", Q3GAMES_TAG_FLATLINE, "wolfmp"},
        {"wolfmp protocol=1", "WolfFlatline-1", Q3GAMES_TAG_FLATLINE, "wolfmp"},
    };

    for (size_t i = 0; i < COUNT(meanings); i++) {
        struct q3games *games = must_create(meanings[i].games, "", "");
        const char *game;

        if (q3games_by_tag(games, S(meanings[i].tag), &game) != meanings[i].meaning) {
            fail_msg("%s: %s", meanings[i].games, meanings[i].tag);
        }
        assert_int_equal(game != NULL, meanings[i].game != NULL);
        if (game) {
            assert_string_equal(game, meanings[i].game);
        }
        assert_null(q3games_check(meanings[i].games));
        q3games_destroy(&games);
    }
}

static void test_protocols(void **state)
{
    static const struct {
        const char *games;
        int32_t protocol;
        const char *game;
    } cases[] = {
        {"", 66, "Quake3Arena"},
        {"", 67, "Quake3Arena"},
        {"", 68, "Quake3Arena"},
        {"", 50, "wolfmp"},
        {"", 59, "wolfmp"},
        {"", 60, "wolfmp"},
        {"", 72, "et"},
        {"", 80, "et"},
        {"", 83, "et"},
        {"", 84, "et"},
        {"", 71, NULL},
        {"", 0, NULL},
        {"OpenArena protocol=71", 71, "OpenArena"},
        {"OpenArena protocol=71,0x44", 68, "OpenArena"},
        {"OpenArena protocol=71,68", 67, "Quake3Arena"},
        {"Quake3Arena protocol=68,71", 71, "Quake3Arena"},
        {"Quake3Arena protocol=68,71", 66, NULL},
        {"Quake3Arena protocol=", 68, NULL},
        {"A protocol=-1", -1, "A"},
        {"A protocol=5,,6,", 6, "A"},
        {"A protocol=5 protocol=6", 5, "A"},
    };

    for (size_t i = 0; i < COUNT(cases); i++) {
        struct q3games *games = must_create(cases[i].games, "", "");
        const char *game = q3games_by_protocol(games, cases[i].protocol);

        assert_int_equal(game != NULL, cases[i].game != NULL);
        if (game) {
            assert_string_equal(game, cases[i].game);
        }
        q3games_destroy(&games);
    }
}

static void test_settle(void **state)
{
    static const struct {
        const char *games, *accept, *reject, *query, *registered;
        const char *game; /* NULL: none */
        bool answered, empty, full;
    } cases[] = {
        {"", "", "", "getservers 68", NULL, "Quake3Arena", true, false, false},
        {"", "", "", "getservers 68 empty", "X", "X", true, true, false},
        {"", "", "", "getservers 71", "OpenArena", "OpenArena", true, false, false},
        {"", "", "", "getservers 71", NULL, NULL, true, false, false},
        {"", "", "", "getservers 84", NULL, "et", true, true, true},
        {"", "", "", "getservers et 84", NULL, "et", true, true, true},
        {"", "", "", "getserversExt et 999", NULL, "et", true, true, true},
        {"et always=full", "", "", "getservers 84", NULL, "et", true, false, true},
        {"et always=", "", "", "getservers 84", NULL, "et", true, false, false},
        {"Warsow always=empty", "", "", "getservers Warsow 22", NULL, "Warsow", true, true, false},
        {"", "X", "", "getservers X 3", NULL, "X", true, false, false},
        {"", "X", "", "getservers Y 3", NULL, "Y", false, false, false},
        {"", "X", "", "getservers 68", NULL, "Quake3Arena", false, false, false},
        {"", "X, Quake3Arena", "", "getservers 68", NULL, "Quake3Arena", true, false, false},
        {"", "", "X Y", "getservers Y 3", NULL, "Y", false, false, false},
        {"", "", "X Y", "getservers y 3", NULL, "y", true, false, false},
        {"", "", "OpenArena", "getservers 71", "OpenArena", "OpenArena", false, false, false},
    };

    for (size_t i = 0; i < COUNT(cases); i++) {
        struct q3games *games = must_create(cases[i].games, cases[i].accept, cases[i].reject);
        const struct bytes registered =
            cases[i].registered ? S(cases[i].registered) : (struct bytes){0};
        struct q3master_message message;
        struct writer packet = {0};

        writer_string(&packet, "\xff\xff\xff\xff");
        writer_string(&packet, cases[i].query);
        assert_int_equal(q3master_read(writer_bytes_written(&packet), &message), Q3MASTER_OK);
        if (q3games_settle(games, &message.query, registered) != cases[i].answered) {
            fail_msg("%zu: %s", i, cases[i].query);
        }
        assert_int_equal(message.query.game.data != NULL, cases[i].game != NULL);
        if (cases[i].game) {
            assert_text("game", message.query.game, cases[i].game);
        }
        assert_int_equal(message.query.empty, cases[i].empty);
        assert_int_equal(message.query.full, cases[i].full);
        writer_free(&packet);
        q3games_destroy(&games);
    }
}

static void test_contexts(void **state)
{
    struct q3games *games = must_create("A protocol=5 | B heartbeat=b | C flatline=c", "", "");
    static const char *const names[] = {"", "Quake3Arena", "wolfmp", "et", "B", "C"};
    size_t count;
    const char *const *contexts = q3games_contexts(games, &count);

    assert_int_equal(count, COUNT(names));
    for (size_t i = 0; i < count; i++) {
        assert_string_equal(contexts[i], names[i]);
    }
    q3games_destroy(&games);
    q3games_destroy(&games);
}

static void test_bad(void **state)
{
    static const struct {
        const char *games, *accept, *reject, *part; /* of the message */
    } cases[] = {
        {"A heartbeat", "", "", "\"heartbeat\""},
        {"A beat=x", "", "", "\"beat=x\""},
        {"A =x", "", "", "\"=x\""},
        {"heartbeat=x", "", "", "\"heartbeat=x\""},
        {"A heartbeat=DarkPlaces", "", "", "\"DarkPlaces\""},
        {"A flatline=DarkPlaces", "", "", "\"DarkPlaces\""},
        {"A protocol=x", "", "", "\"x\""},
        {"A protocol=1,2x", "", "", "\"2x\""},
        {"A protocol=4294967296", "", "", "\"4294967296\""},
        {"A always=now", "", "", "\"now\""},
        {"A protocol=1 | B protocol=y", "", "", "\"y\""},
        {"A heartbeat=1234567890123456789012345678901234567890123456789012345678901234", "", "",
         "tag"},
        {"1234567890123456789012345678901234567890123456789012345678901234", "", "", "name"},
        {"", "A", "B", "not both"},
        {"", "1234567890123456789012345678901234567890123456789012345678901234", "", "name"},
        {"", "", "1234567890123456789012345678901234567890123456789012345678901234", "name"},
    };

    for (size_t i = 0; i < COUNT(cases); i++) {
        char *error = NULL;

        assert_null(q3games_create(cases[i].games, cases[i].accept, cases[i].reject, &error));
        assert_non_null(error);
        if (!strstr(error, cases[i].part)) {
            fail_msg("%s: %s", cases[i].games, error);
        }
        if (cases[i].games[0] != '\0') {
            assert_non_null(q3games_check(cases[i].games));
        }
        free(error);
    }
}

static void test_too_many(void **state)
{
    struct writer text = {0};
    char *error;

    for (unsigned i = 0; i < Q3GAMES_MAX; i++) {
        writer_format(&text, "game%u|", i);
    }
    writer_u8(&text, 0);
    assert_null(q3games_create((const char *)text.data, "", "", &error));
    assert_non_null(strstr(error, "exceeds the number of games"));
    free(error);
    writer_free(&text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_tags),   cmocka_unit_test(test_protocols),
        cmocka_unit_test(test_settle), cmocka_unit_test(test_contexts),
        cmocka_unit_test(test_bad),    cmocka_unit_test(test_too_many),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
