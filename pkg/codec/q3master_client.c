/* q3master_client: see q3master_client.h. */
#include "codec/q3master_client.h"

#include <inttypes.h>
#include <string.h>

#include "codec/infostring.h"

#define CHALLENGE_MAX 128 /* ioquake3 does not answer longer ones */

static const uint8_t header[4] = {0xff, 0xff, 0xff, 0xff};

static struct bytes skip_reply_bytes(struct bytes text, size_t len)
{
    return (struct bytes){text.data + len, text.len - len};
}

/* Removes the prefix; false when the text does not begin with it. */
static bool take_reply_prefix(struct bytes *text, struct bytes prefix)
{
    if (text->len < prefix.len || memcmp(text->data, prefix.data, prefix.len) != 0) {
        return false;
    }
    *text = skip_reply_bytes(*text, prefix.len);
    return true;
}

/* A list begins at its first separator: some masters put a line feed or a NUL before it. */
static struct bytes to_separator(struct bytes text, bool extended)
{
    while (text.len > 0 && text.data[0] != '\\' && !(extended && text.data[0] == '/')) {
        text = skip_reply_bytes(text, 1);
    }
    return text;
}

static void read_question(struct q3client_packet *packet, struct bytes text)
{
    text = infostring_first_line(text);
    if (text.len > 0 && text.data[0] != ' ') {
        packet->type = Q3CLIENT_OTHER;
        return;
    }
    while (text.len > 0 && text.data[0] == ' ') {
        text = skip_reply_bytes(text, 1);
    }
    while (text.len > 0 && (text.data[text.len - 1] == ' ' || text.data[text.len - 1] == '\r')) {
        text.len--;
    }
    if (text.len > CHALLENGE_MAX) {
        packet->type = Q3CLIENT_OTHER;
        return;
    }
    packet->challenge = text;
}

static void read_answer(struct q3client_packet *packet, struct bytes text)
{
    text = infostring_cut(text);
    packet->infostring = infostring_first_line(text);
    packet->players = skip_reply_bytes(text, packet->infostring.len);
    if (packet->type == Q3CLIENT_INFO) { /* a value may contain a line feed there */
        packet->infostring = text;
    }
}

struct q3client_packet q3client_read(struct bytes packet)
{
    static const struct {
        struct bytes prefix;
        enum q3client_type type;
    } prefixes[] = {
        {BYTES_LITERAL("getserversResponse"), Q3CLIENT_LIST},
        {BYTES_LITERAL("getserversExtResponse"), Q3CLIENT_LIST},
        {BYTES_LITERAL("infoResponse\n"), Q3CLIENT_INFO},
        {BYTES_LITERAL("statusResponse\n"), Q3CLIENT_STATUS},
        {BYTES_LITERAL("getinfo"), Q3CLIENT_GETINFO},
        {BYTES_LITERAL("getstatus"), Q3CLIENT_GETSTATUS},
    };
    struct q3client_packet read = {.type = Q3CLIENT_OTHER};
    size_t i = 0;

    if (!take_reply_prefix(&packet, (struct bytes){header, sizeof header})) {
        return read;
    }
    while (i < sizeof prefixes / sizeof *prefixes &&
           !take_reply_prefix(&packet, prefixes[i].prefix)) {
        i++;
    }
    if (i == sizeof prefixes / sizeof *prefixes) {
        return read;
    }
    read.type = prefixes[i].type;
    read.extended = i == 1;
    if (read.type == Q3CLIENT_LIST) {
        read.list = to_separator(packet, read.extended);
    } else if (read.type == Q3CLIENT_INFO || read.type == Q3CLIENT_STATUS) {
        read_answer(&read, packet);
    } else {
        read_question(&read, packet);
    }
    return read;
}

/* `\EOT` and three zeros, possibly truncated. */
static bool is_end_mark(struct bytes list)
{
    if (!take_reply_prefix(&list, BYTES_LITERAL("\\EOT"))) {
        return false;
    }
    for (size_t i = 0; i < list.len && i < 3; i++) {
        if (list.data[i] != 0) {
            return false;
        }
    }
    return true;
}

/* Takes one entry; false when it is malformed or truncated. */
static bool take_server_entry(struct bytes *list, bool extended, struct address *server)
{
    const bool ipv6 = extended && list->data[0] == '/';
    const size_t len = ipv6 ? 16 : 4;

    if ((!ipv6 && list->data[0] != '\\') || list->len < 1 + len + 2) {
        return false;
    }
    memset(server, 0, sizeof *server);
    server->family = ipv6 ? ADDRESS_IPV6 : ADDRESS_IPV4;
    memcpy(server->ip, list->data + 1, len);
    server->port = (uint16_t)(list->data[1 + len] << 8 | list->data[2 + len]);
    *list = skip_reply_bytes(*list, 1 + len + 2);
    return true;
}

bool q3client_next_server(struct q3client_packet *packet, struct address *server, bool *last)
{
    while (packet->list.len > 0) {
        if (is_end_mark(packet->list)) {
            *last = true;
            break;
        }
        if (!take_server_entry(&packet->list, packet->extended, server)) {
            break;
        }
        if (server->port != 0) {
            return true;
        }
    }
    packet->list.len = 0;
    return false;
}

static struct bytes take_reply_line(struct bytes *text)
{
    struct bytes line = *text;
    const uint8_t *end = line.len > 0 ? memchr(line.data, '\n', line.len) : NULL;

    if (end) {
        line.len = (size_t)(end - line.data);
    }
    *text = skip_reply_bytes(*text, line.len + (end != NULL));
    return line;
}

/* The next word as a number, 0 when it is not one; false when there is no word. */
static bool take_number(struct bytes *line, int32_t *number)
{
    size_t start = 0, end;

    while (start < line->len && line->data[start] == ' ') {
        start++;
    }
    for (end = start; end < line->len && line->data[end] != ' ' && line->data[end] != '"';) {
        end++;
    }
    if (end == start) {
        return false;
    }
    if (!q3master_parse_integer((struct bytes){line->data + start, end - start}, number)) {
        *number = 0;
    }
    *line = skip_reply_bytes(*line, end);
    return true;
}

static bool read_player(struct bytes line, struct q3client_player *player)
{
    const uint8_t *open;
    size_t len;

    if (!take_number(&line, &player->score) || !take_number(&line, &player->ping)) {
        return false;
    }
    open = line.len > 0 ? memchr(line.data, '"', line.len) : NULL;
    if (!open) {
        return false;
    }
    len = (size_t)(line.data + line.len - open) - 1;
    player->name = (struct bytes){open + 1, len};
    while (len > 0 && open[len] != '"') { /* the last quote closes: names may contain quotes */
        len--;
    }
    if (len > 0) {
        player->name.len = len - 1;
    }
    return true;
}

bool q3client_next_player(struct bytes *players, struct q3client_player *player)
{
    while (players->len > 0) {
        if (read_player(take_reply_line(players), player)) {
            return true;
        }
    }
    return false;
}

static void write_packet_header(struct writer *to)
{
    writer_bytes(to, (struct bytes){header, sizeof header});
}

void q3client_write_query(struct writer *to, const struct q3master_query *query)
{
    write_packet_header(to);
    writer_string(to, query->extended ? "getserversExt " : "getservers ");
    if (query->game.data) {
        writer_bytes(to, query->game);
        writer_u8(to, ' ');
    }
    writer_format(to, "%" PRId32, query->protocol);
    if (query->empty) {
        writer_string(to, " empty");
    }
    if (query->full) {
        writer_string(to, " full");
    }
    if (query->gametype.data) {
        writer_string(to, " gametype=");
        writer_bytes(to, query->gametype);
    }
    if (query->extended && query->ipv4) {
        writer_string(to, " ipv4");
    }
    if (query->extended && query->ipv6) {
        writer_string(to, " ipv6");
    }
}

void q3client_write_getstatus(struct writer *to, struct bytes challenge)
{
    write_packet_header(to);
    writer_string(to, "getstatus");
    if (challenge.len > 0) {
        writer_u8(to, ' ');
        writer_bytes(to, challenge);
    }
}

void q3client_write_heartbeat(struct writer *to, struct bytes tag)
{
    write_packet_header(to);
    writer_string(to, "heartbeat ");
    writer_bytes(to, tag);
    writer_u8(to, '\n');
}

void q3client_write_info_response(struct writer *to, struct bytes infostring)
{
    write_packet_header(to);
    writer_string(to, "infoResponse\n");
    writer_bytes(to, infostring);
}
