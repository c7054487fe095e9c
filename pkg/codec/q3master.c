/*
 * q3master: see q3master.h.
 *
 * A datagram's text ends at its first NUL, as in the C programs that send it; it consists of words,
 * or an infostring.
 */
#include "codec/q3master.h"

#include <string.h>

#include "codec/infostring.h"

#define NUMBER_LIMIT 0x80000000u

static const uint8_t header[4] = {0xff, 0xff, 0xff, 0xff};

static const char *const error_names[Q3MASTER_ERROR_COUNT] = {[Q3MASTER_OK] = "ok",
#define ERROR_NAME(name, text) [Q3MASTER_ERROR_##name] = text,
                                                              Q3MASTER_ERRORS(ERROR_NAME)
#undef ERROR_NAME
};

const char *q3master_error_name(enum q3master_error error)
{
    return error_names[error];
}

static bool is_q3master_space(uint8_t byte)
{
    return byte == ' ' || (byte >= '\t' && byte <= '\r');
}

static struct bytes skip_packet_bytes(struct bytes text, size_t len)
{
    return (struct bytes){text.data + len, text.len - len};
}

static struct bytes skip_spaces(struct bytes text)
{
    while (text.len > 0 && is_q3master_space(text.data[0])) {
        text = skip_packet_bytes(text, 1);
    }
    return text;
}

/* The next word; empty at the end. */
static struct bytes next_query_word(struct bytes *text)
{
    struct bytes word = skip_spaces(*text);
    size_t len = 0;

    while (len < word.len && !is_q3master_space(word.data[len])) {
        len++;
    }
    *text = skip_packet_bytes(word, len);
    word.len = len;
    return word;
}

static bool has_prefix(struct bytes text, struct bytes prefix)
{
    return text.len >= prefix.len && memcmp(text.data, prefix.data, prefix.len) == 0;
}

/* The value of a digit of any base; 36 for other bytes. */
static unsigned base36_digit_value(uint8_t byte)
{
    if (byte >= '0' && byte <= '9') {
        return byte - '0';
    }
    if (byte >= 'a' && byte <= 'z') {
        return byte - 'a' + 10u;
    }
    if (byte >= 'A' && byte <= 'Z') {
        return byte - 'A' + 10u;
    }
    return 36;
}

/* 8, 10 or 16; removes the prefix of 16. */
static unsigned take_base(struct bytes *digits)
{
    if (digits->len < 2 || digits->data[0] != '0') {
        return 10;
    }
    if (digits->data[1] != 'x' && digits->data[1] != 'X') {
        return 8;
    }
    *digits = skip_packet_bytes(*digits, 2);
    return 16;
}

bool q3master_parse_integer(struct bytes text, int32_t *value)
{
    struct bytes digits = skip_spaces(text);
    const bool is_signed = digits.len > 0 && (digits.data[0] == '-' || digits.data[0] == '+');
    const bool negative = is_signed && digits.data[0] == '-';
    uint64_t number = 0;
    unsigned base;

    if (is_signed) {
        digits = skip_packet_bytes(digits, 1);
    }
    base = take_base(&digits);
    if (digits.len == 0) {
        return false;
    }
    for (size_t i = 0; i < digits.len; i++) {
        const unsigned digit = base36_digit_value(digits.data[i]);

        if (digit >= base) {
            return false;
        }
        number = number * base + digit;
        if (number > NUMBER_LIMIT) {
            return false;
        }
    }
    if (number == NUMBER_LIMIT && !negative) {
        return false;
    }
    *value = negative ? (int32_t) - (int64_t)number : (int32_t)number;
    return true;
}

/* Like atoi, but without overflow: the leading digits; negative numbers are 0. */
static uint32_t parse_count(struct bytes text)
{
    uint64_t number = 0;

    text = skip_spaces(text);
    if (text.len > 0 && text.data[0] == '+') {
        text = skip_packet_bytes(text, 1);
    }
    for (size_t i = 0; i < text.len && text.data[i] >= '0' && text.data[i] <= '9'; i++) {
        number = number * 10 + (text.data[i] - '0');
        if (number > INT32_MAX) {
            return INT32_MAX;
        }
    }
    return (uint32_t)number;
}

bool q3master_is_challenge(struct bytes text)
{
    if (text.len < Q3MASTER_CHALLENGE_MIN || text.len > Q3MASTER_CHALLENGE_MAX) {
        return false;
    }
    for (size_t i = 0; i < text.len; i++) {
        if (text.data[i] < 33 || text.data[i] > 126 || strchr("\\/;\"%", text.data[i])) {
            return false;
        }
    }
    return true;
}

/* No spaces and no control characters. */
static bool is_printable_word(struct bytes text)
{
    for (size_t i = 0; i < text.len; i++) {
        if (text.data[i] <= ' ' || text.data[i] == 0x7f) {
            return false;
        }
    }
    return true;
}

bool q3master_is_game(struct bytes text)
{
    return text.len > 0 && text.len <= Q3MASTER_GAME_MAX && is_printable_word(text);
}

static enum q3master_error read_heartbeat(struct bytes text, struct q3master_message *message)
{
    message->tag = next_query_word(&text);
    if (message->tag.len == 0 || message->tag.len > Q3MASTER_TAG_MAX) {
        return Q3MASTER_ERROR_TAG;
    }
    return Q3MASTER_OK;
}

static void set_gametype(struct q3master_query *query, struct bytes gametype)
{
    if (gametype.len > Q3MASTER_GAMETYPE_MAX) {
        gametype.len = Q3MASTER_GAMETYPE_MAX;
    }
    query->gametype = gametype;
}

/* Unknown words are ignored. */
static void read_query_option(struct q3master_query *query, struct bytes word)
{
    static const struct {
        struct bytes word, gametype;
    } gametypes[] = {
        {BYTES_LITERAL("ffa"), BYTES_LITERAL("0")},
        {BYTES_LITERAL("tourney"), BYTES_LITERAL("1")},
        {BYTES_LITERAL("team"), BYTES_LITERAL("3")},
        {BYTES_LITERAL("ctf"), BYTES_LITERAL("4")},
    };
    const struct bytes prefix = BYTES_LITERAL("gametype=");

    if (bytes_equal(word, BYTES_LITERAL("empty"))) {
        query->empty = true;
    } else if (bytes_equal(word, BYTES_LITERAL("full"))) {
        query->full = true;
    } else if (query->extended && bytes_equal(word, BYTES_LITERAL("ipv4"))) {
        query->ipv4 = true;
    } else if (query->extended && bytes_equal(word, BYTES_LITERAL("ipv6"))) {
        query->ipv6 = true;
    } else if (has_prefix(word, prefix)) {
        set_gametype(query, skip_packet_bytes(word, prefix.len));
    }
    for (size_t i = 0; i < sizeof gametypes / sizeof *gametypes; i++) {
        if (bytes_equal(word, gametypes[i].word)) {
            query->gametype = gametypes[i].gametype;
        }
    }
}

static void settle_families(struct q3master_query *query)
{
    if (!query->extended) {
        query->ipv4 = true;
    } else if (!query->ipv4 && !query->ipv6) {
        query->ipv4 = query->ipv6 = true;
    }
}

static enum q3master_error read_query(struct bytes text, bool extended,
                                      struct q3master_query *query)
{
    struct bytes word = next_query_word(&text);

    query->extended = extended;
    if (extended || !q3master_parse_integer(word, &query->protocol)) {
        if (!q3master_is_game(word)) {
            return Q3MASTER_ERROR_GAME;
        }
        query->game = word;
        word = next_query_word(&text);
        if (!q3master_parse_integer(word, &query->protocol)) {
            return Q3MASTER_ERROR_PROTOCOL;
        }
    }
    for (word = next_query_word(&text); word.len > 0; word = next_query_word(&text)) {
        read_query_option(query, word);
    }
    settle_families(query);
    return Q3MASTER_OK;
}

static enum q3master_error read_challenge_and_protocol(struct q3master_info *info)
{
    struct bytes value;

    if (!infostring_find(info->infostring, "challenge", &info->challenge) ||
        !q3master_is_challenge(info->challenge)) {
        return Q3MASTER_ERROR_CHALLENGE;
    }
    if (!infostring_find(info->infostring, "protocol", &value) ||
        !q3master_parse_integer(value, &info->protocol)) {
        return Q3MASTER_ERROR_PROTOCOL;
    }
    return Q3MASTER_OK;
}

/* In dpmaster's order, so that the same one of several errors is reported. */
static enum q3master_error read_info(struct bytes text, struct q3master_info *info)
{
    enum q3master_error error;
    struct bytes value;

    info->infostring = text;
    error = read_challenge_and_protocol(info);
    if (error != Q3MASTER_OK) {
        return error;
    }
    if (!infostring_find(text, "gametype", &info->gametype)) {
        info->gametype = BYTES_LITERAL("0");
    }
    if (info->gametype.len > Q3MASTER_GAMETYPE_MAX || !is_printable_word(info->gametype)) {
        return Q3MASTER_ERROR_GAMETYPE;
    }
    if (infostring_find(text, "sv_maxclients", &value)) {
        info->max_clients = parse_count(value);
    }
    if (info->max_clients == 0) {
        return Q3MASTER_ERROR_MAX_CLIENTS;
    }
    if (!infostring_find(text, "clients", &value)) {
        return Q3MASTER_ERROR_CLIENTS;
    }
    info->clients = parse_count(value);
    if (infostring_find(text, "gamename", &info->game) && !q3master_is_game(info->game)) {
        return Q3MASTER_ERROR_GAME;
    }
    return Q3MASTER_OK;
}

static enum q3master_error read_typed(struct bytes text, struct q3master_message *message)
{
    switch (message->type) {
    case Q3MASTER_HEARTBEAT:
        return read_heartbeat(text, message);
    case Q3MASTER_INFO_RESPONSE:
        return read_info(text, &message->info);
    case Q3MASTER_GETSERVERS:
        return read_query(text, false, &message->query);
    default:
        return read_query(text, true, &message->query);
    }
}

enum q3master_error q3master_read(struct bytes packet, struct q3master_message *message)
{
    static const struct bytes prefixes[] = {
        [Q3MASTER_HEARTBEAT] = BYTES_LITERAL("heartbeat "),
        [Q3MASTER_INFO_RESPONSE] = BYTES_LITERAL("infoResponse\n"),
        [Q3MASTER_GETSERVERS] = BYTES_LITERAL("getservers "),
        [Q3MASTER_GETSERVERS_EXT] = BYTES_LITERAL("getserversExt "),
    };
    struct bytes text;

    memset(message, 0, sizeof *message);
    if (packet.len < Q3MASTER_PACKET_MIN || packet.len > Q3MASTER_PACKET_MAX) {
        return Q3MASTER_ERROR_LENGTH;
    }
    if (memcmp(packet.data, header, sizeof header) != 0) {
        return Q3MASTER_ERROR_HEADER;
    }
    text = infostring_cut(skip_packet_bytes(packet, sizeof header));
    for (size_t i = 0; i < sizeof prefixes / sizeof *prefixes; i++) {
        if (has_prefix(text, prefixes[i])) {
            message->type = i;
            return read_typed(skip_packet_bytes(text, prefixes[i].len), message);
        }
    }
    return Q3MASTER_ERROR_UNKNOWN;
}

enum q3master_error q3master_info_game(const struct q3master_info *info, const char *implied,
                                       struct bytes *game)
{
    *game = info->game;
    if (!implied) {
        return info->game.data ? Q3MASTER_OK : Q3MASTER_ERROR_GAME;
    }
    if (info->game.data && !bytes_equal(info->game, bytes_from_string(implied))) {
        return Q3MASTER_ERROR_GAME;
    }
    *game = bytes_from_string(implied);
    return Q3MASTER_OK;
}

void q3master_write_getinfo(struct writer *to, struct bytes challenge)
{
    writer_bytes(to, (struct bytes){header, sizeof header});
    writer_string(to, "getinfo ");
    writer_bytes(to, challenge);
}

bool q3master_is_empty(const struct q3master_server *server)
{
    return server->clients == 0;
}

bool q3master_is_full(const struct q3master_server *server)
{
    return server->clients > 0 && server->clients == server->max_clients;
}

static bool has_family(const struct q3master_query *query, const struct address *address)
{
    return (query->ipv4 && address->family == ADDRESS_IPV4) ||
           (query->ipv6 && address->family == ADDRESS_IPV6);
}

bool q3master_matches(const struct q3master_query *query, const struct q3master_server *server)
{
    return query->game.data != NULL && server->protocol == query->protocol &&
           has_family(query, &server->address) && (query->empty || !q3master_is_empty(server)) &&
           (query->full || !q3master_is_full(server)) && bytes_equal(query->game, server->game) &&
           (!query->gametype.data || bytes_equal(query->gametype, server->gametype));
}

size_t q3master_query_key(const struct q3master_query *query, uint8_t key[Q3MASTER_KEY_MAX])
{
    const size_t game = query->game.len < Q3MASTER_GAME_MAX ? query->game.len : Q3MASTER_GAME_MAX;
    const size_t gametype = query->gametype.len;

    key[0] = (uint8_t)(query->extended | query->empty << 1 | query->full << 2 | query->ipv4 << 3 |
                       query->ipv6 << 4 | (query->game.data != NULL) << 5 |
                       (query->gametype.data != NULL) << 6);
    for (unsigned i = 0; i < 4; i++) {
        key[1 + i] = (uint8_t)((uint32_t)query->protocol >> 8 * i);
    }
    key[5] = (uint8_t)game;
    if (game > 0) {
        memcpy(key + 6, query->game.data, game);
    }
    if (gametype > 0) {
        memcpy(key + 6 + game, query->gametype.data, gametype);
    }
    return 6 + game + gametype;
}
