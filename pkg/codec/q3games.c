/*
 * q3games: see q3games.h. The tables have a handful of rows, so look-ups are linear.
 *
 * Games are referred to by index, as their array is reallocated.
 */
#include "codec/q3games.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

static const char built_in[] =
    "Quake3Arena heartbeat=QuakeArena-1 protocol=66,67,68\n"
    "wolfmp heartbeat=Wolfenstein-1 flatline=WolfFlatline-1 protocol=50,59,60\n"
    "et heartbeat=EnemyTerritory-1 flatline=ETFlatline-1 protocol=72,80,83,84 always=empty,full\n";

enum property { HEARTBEAT, FLATLINE, PROTOCOL, ALWAYS, PROPERTIES };
static const struct bytes property_names[PROPERTIES] = {
    [HEARTBEAT] = BYTES_LITERAL("heartbeat"),
    [FLATLINE] = BYTES_LITERAL("flatline"),
    [PROTOCOL] = BYTES_LITERAL("protocol"),
    [ALWAYS] = BYTES_LITERAL("always"),
};

struct q3game {
    char *name;
    bool empty, full;
};

struct tag {
    char *text;
    size_t game;
    bool flatline;
};

struct q3game_protocol {
    int32_t number;
    size_t game;
};

struct names {
    char **names;
    size_t count;
};

struct q3games {
    struct q3game *games;
    size_t game_count;
    struct tag *tags;
    size_t tag_count;
    struct q3game_protocol *protocols;
    size_t protocol_count;
    struct names accepted, rejected;
    const char **contexts;
    size_t context_count;
};

static struct bytes skip_games_bytes(struct bytes text, size_t len)
{
    return (struct bytes){text.data + len, text.len - len};
}

/* Takes the text before the next separator, and the separator. */
static struct bytes take_until_any(struct bytes *text, const char *separators)
{
    struct bytes part = *text;

    part.len = 0;
    while (part.len < text->len && !strchr(separators, text->data[part.len])) {
        part.len++;
    }
    *text = skip_games_bytes(*text, part.len < text->len ? part.len + 1 : part.len);
    return part;
}

/* The next word that is not empty; empty at the end. */
static struct bytes take_games_word(struct bytes *text, const char *separators)
{
    struct bytes word = {0};

    while (text->len > 0 && word.len == 0) {
        word = take_until_any(text, separators);
    }
    return word;
}

static bool bytes_are_string(const char *text, struct bytes bytes)
{
    return bytes_equal(bytes, bytes_from_string(text));
}

static char *quote_problem(struct bytes word, const char *what)
{
    return mem_format("\"%.*s\" %s", word.len > 100 ? 100 : (int)word.len,
                      word.len > 0 ? (const char *)word.data : "", what);
}

static size_t find_game(const struct q3games *games, struct bytes name)
{
    size_t i = 0;

    while (i < games->game_count && !bytes_are_string(games->games[i].name, name)) {
        i++;
    }
    return i;
}

static size_t find_or_add_game(struct q3games *games, struct bytes name)
{
    const size_t index = find_game(games, name);

    if (index == games->game_count) {
        games->games = mem_realloc(games->games, (index + 1) * sizeof *games->games);
        games->games[index] = (struct q3game){.name = mem_dup(name.data, name.len)};
        games->game_count++;
    }
    return index;
}

static void remove_tag(struct q3games *games, size_t index)
{
    free(games->tags[index].text);
    games->tag_count--;
    memmove(&games->tags[index], &games->tags[index + 1],
            (games->tag_count - index) * sizeof *games->tags);
}

static void remove_protocol(struct q3games *games, size_t index)
{
    games->protocol_count--;
    memmove(&games->protocols[index], &games->protocols[index + 1],
            (games->protocol_count - index) * sizeof *games->protocols);
}

static void clear_property(struct q3games *games, size_t game, enum property property)
{
    for (size_t i = games->tag_count; i-- > 0;) {
        if (games->tags[i].game == game &&
            property == (games->tags[i].flatline ? FLATLINE : HEARTBEAT)) {
            remove_tag(games, i);
        }
    }
    for (size_t i = games->protocol_count; property == PROTOCOL && i-- > 0;) {
        if (games->protocols[i].game == game) {
            remove_protocol(games, i);
        }
    }
    if (property == ALWAYS) {
        games->games[game].empty = games->games[game].full = false;
    }
}

static char *add_tag(struct q3games *games, size_t game, struct bytes text, bool flatline)
{
    if (!q3master_is_game(text)) { /* the same form: 1 to 63 bytes without spaces */
        return quote_problem(text, "is not a heartbeat tag: at most 63 characters, no spaces");
    }
    if (bytes_are_string(Q3GAMES_OPEN_TAG, text)) {
        return quote_problem(text, "is reserved for games that send their own name");
    }
    for (size_t i = games->tag_count; i-- > 0;) {
        if (bytes_are_string(games->tags[i].text, text)) {
            remove_tag(games, i);
        }
    }
    games->tags = mem_realloc(games->tags, (games->tag_count + 1) * sizeof *games->tags);
    games->tags[games->tag_count++] = (struct tag){mem_dup(text.data, text.len), game, flatline};
    return NULL;
}

static char *add_protocol(struct q3games *games, size_t game, struct bytes text)
{
    int32_t number;

    if (!q3master_parse_integer(text, &number)) {
        return quote_problem(text, "is not a protocol number");
    }
    for (size_t i = games->protocol_count; i-- > 0;) {
        if (games->protocols[i].number == number) {
            remove_protocol(games, i);
        }
    }
    games->protocols =
        mem_realloc(games->protocols, (games->protocol_count + 1) * sizeof *games->protocols);
    games->protocols[games->protocol_count++] = (struct q3game_protocol){number, game};
    return NULL;
}

static char *add_game_value(struct q3games *games, size_t game, enum property property,
                            struct bytes value)
{
    if (property == PROTOCOL) {
        return add_protocol(games, game, value);
    }
    if (property != ALWAYS) {
        return add_tag(games, game, value, property == FLATLINE);
    }
    if (bytes_are_string("empty", value)) {
        games->games[game].empty = true;
    } else if (bytes_are_string("full", value)) {
        games->games[game].full = true;
    } else {
        return quote_problem(value, "is not a value of always=: empty or full");
    }
    return NULL;
}

static enum property find_property(struct bytes name)
{
    enum property property = 0;

    while (property < PROPERTIES && !bytes_equal(property_names[property], name)) {
        property++;
    }
    return property;
}

/* One word `name=value,value`. */
static char *read_game_property(struct q3games *games, size_t game, struct bytes word,
                                bool seen[PROPERTIES])
{
    struct bytes values = word;
    const struct bytes name = take_until_any(&values, "=");
    const enum property property = find_property(name);
    char *error = NULL;

    if (property == PROPERTIES || name.len == word.len) {
        return quote_problem(word, "is not one of heartbeat=, flatline=, protocol=, always=");
    }
    if (!seen[property]) {
        clear_property(games, game, property);
    }
    seen[property] = true;
    while (!error && values.len > 0) {
        const struct bytes value = take_games_word(&values, ",");

        if (value.len > 0) {
            error = add_game_value(games, game, property, value);
        }
    }
    return error;
}

static char *read_game_line(struct q3games *games, struct bytes text)
{
    const struct bytes name = take_games_word(&text, " \t\r");
    bool seen[PROPERTIES] = {false};
    char *error = NULL;
    size_t game;

    if (name.len == 0) {
        return NULL;
    }
    if (!q3master_is_game(name) || memchr(name.data, '=', name.len)) {
        return quote_problem(name,
                             "is not a game's name: at most 63 characters, no spaces and no =");
    }
    game = find_or_add_game(games, name);
    if (game >= Q3GAMES_MAX) {
        return quote_problem(name, "exceeds the number of games");
    }
    while (!error && text.len > 0) {
        const struct bytes word = take_games_word(&text, " \t\r");

        if (word.len > 0) {
            error = read_game_property(games, game, word, seen);
        }
    }
    return error;
}

static char *read_games(struct q3games *games, const char *text)
{
    struct bytes rest = bytes_from_string(text);
    char *error = NULL;

    while (!error && rest.len > 0) {
        struct bytes line = take_until_any(&rest, "\n");
        struct bytes code = take_until_any(&line, "#");

        while (!error && code.len > 0) {
            error = read_game_line(games, take_until_any(&code, "|"));
        }
    }
    return error;
}

static char *read_names(struct names *names, const char *text)
{
    struct bytes rest = bytes_from_string(text);

    while (rest.len > 0) {
        const struct bytes name = take_games_word(&rest, " ,\t\r\n");

        if (name.len == 0) {
            break;
        }
        if (!q3master_is_game(name)) {
            return quote_problem(name, "is not a game's name: at most 63 characters");
        }
        names->names = mem_realloc(names->names, (names->count + 1) * sizeof *names->names);
        names->names[names->count++] = mem_dup(name.data, name.len);
    }
    return NULL;
}

static void free_game_names(struct names *names)
{
    for (size_t i = 0; i < names->count; i++) {
        free(names->names[i]);
    }
    free(names->names);
}

static bool has_tag(const struct q3games *games, size_t game)
{
    for (size_t i = 0; i < games->tag_count; i++) {
        if (games->tags[i].game == game) {
            return true;
        }
    }
    return false;
}

static void list_contexts(struct q3games *games)
{
    games->contexts = mem_zalloc(games->game_count + 1, sizeof *games->contexts);
    games->contexts[games->context_count++] = "";
    for (size_t i = 0; i < games->game_count; i++) {
        if (has_tag(games, i)) {
            games->contexts[games->context_count++] = games->games[i].name;
        }
    }
}

struct q3games *q3games_create(const char *text, const char *accept, const char *reject,
                               char **error)
{
    struct q3games *games = mem_zalloc(1, sizeof *games);

    *error = read_games(games, built_in);
    if (!*error) {
        *error = read_games(games, text);
    }
    if (!*error) {
        *error = read_names(&games->accepted, accept);
    }
    if (!*error) {
        *error = read_names(&games->rejected, reject);
    }
    if (!*error && games->accepted.count > 0 && games->rejected.count > 0) {
        *error = mem_format("games can be accepted by name or rejected by name, not both");
    }
    list_contexts(games);
    if (*error) {
        q3games_destroy(&games);
    }
    return games;
}

void q3games_destroy(struct q3games **pointer)
{
    struct q3games *games = *pointer;

    *pointer = NULL;
    if (!games) {
        return;
    }
    for (size_t i = 0; i < games->tag_count; i++) {
        free(games->tags[i].text);
    }
    for (size_t i = 0; i < games->game_count; i++) {
        free(games->games[i].name);
    }
    free(games->tags);
    free(games->games);
    free(games->protocols);
    free_game_names(&games->accepted);
    free_game_names(&games->rejected);
    free(games->contexts);
    free(games);
}

const char *q3games_check(const char *text)
{
    char *error;
    struct q3games *games = q3games_create(text, "", "", &error);

    if (!games) {
        free(error);
        return "must be games such as: Warsow heartbeat=Warsow protocol=22 always=empty | ...";
    }
    q3games_destroy(&games);
    return NULL;
}

static bool has_game_name(const struct names *names, struct bytes name)
{
    for (size_t i = 0; i < names->count; i++) {
        if (bytes_are_string(names->names[i], name)) {
            return true;
        }
    }
    return false;
}

bool q3games_accepts(const struct q3games *games, struct bytes game)
{
    if (games->accepted.count > 0) {
        return has_game_name(&games->accepted, game);
    }
    return !has_game_name(&games->rejected, game);
}

enum q3games_tag q3games_by_tag(const struct q3games *games, struct bytes tag, const char **game)
{
    *game = NULL;
    if (bytes_are_string(Q3GAMES_OPEN_TAG, tag)) {
        return Q3GAMES_TAG_ALIVE;
    }
    for (size_t i = 0; i < games->tag_count; i++) {
        if (bytes_are_string(games->tags[i].text, tag)) {
            *game = games->games[games->tags[i].game].name;
            return games->tags[i].flatline ? Q3GAMES_TAG_FLATLINE : Q3GAMES_TAG_ALIVE;
        }
    }
    return Q3GAMES_TAG_UNKNOWN;
}

const char *const *q3games_contexts(const struct q3games *games, size_t *count)
{
    *count = games->context_count;
    return games->contexts;
}

const char *q3games_by_protocol(const struct q3games *games, int32_t protocol)
{
    for (size_t i = 0; i < games->protocol_count; i++) {
        if (games->protocols[i].number == protocol) {
            return games->games[games->protocols[i].game].name;
        }
    }
    return NULL;
}

bool q3games_settle(const struct q3games *games, struct q3master_query *query,
                    struct bytes registered)
{
    size_t index;

    if (!query->game.data) {
        const char *known = q3games_by_protocol(games, query->protocol);

        query->game = registered;
        if (!registered.data && known) {
            query->game = bytes_from_string(known);
        }
    }
    if (!query->game.data) {
        return true;
    }
    index = find_game(games, query->game);
    if (index < games->game_count) {
        query->empty = query->empty || games->games[index].empty;
        query->full = query->full || games->games[index].full;
    }
    return q3games_accepts(games, query->game);
}
