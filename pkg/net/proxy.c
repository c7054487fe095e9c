/* proxy: version 1 is a line of text, version 2 binary; their first bytes differ. */
#include "net/proxy_private.h"

#include <netinet/in.h>
#include <string.h>

#define LINE_MAX_SIZE 107 /* of version 1, with CR LF */
#define FIXED_SIZE    16  /* of version 2 */

static const uint8_t signature[12] = "\r\n\r\n\0\r\nQUIT\n";

static enum proxy_result refuse_header(struct proxy_header *header, const char *error)
{
    header->error = error;
    return PROXY_BAD;
}

/* ---- version 1 ---- */

/* The next word of the line, which ends before the next space or the end, as a string. */
static bool take_header_word(struct bytes *line, char *word, size_t size)
{
    const uint8_t *space = memchr(line->data, ' ', line->len);
    size_t len = space ? (size_t)(space - line->data) : line->len;
    if (len == 0 || len >= size || memchr(line->data, 0, len)) {
        return false;
    }
    memcpy(word, line->data, len);
    word[len] = 0;
    line->data += len + (space != NULL);
    line->len -= len + (space != NULL);
    return true;
}

/* 0 to 65535, no leading zeros. */
static bool parse_port(const char *text, uint16_t *port)
{
    size_t len = strlen(text);
    unsigned value = 0;
    if (len < 1 || len > 5 || strspn(text, "0123456789") != len || (text[0] == '0' && len > 1)) {
        return false;
    }
    for (size_t i = 0; i < len; i++) {
        value = value * 10 + (unsigned)(text[i] - '0');
    }
    *port = (uint16_t)value;
    return value <= 65535;
}

/* The text must be of the family that the line names, though a mapped IPv4 address is kept as
 * IPv4. */
static bool parse_ip(const char *text, bool is_ipv6, struct address *address)
{
    return (strchr(text, ':') != NULL) == is_ipv6 && address_parse_ip(text, address);
}

static enum proxy_result parse_tcp_header(struct bytes line, bool is_ipv6,
                                          struct proxy_header *header)
{
    char source[48], destination[48], source_port[8], destination_port[8];
    struct address ignored;
    uint16_t ignored_port;
    if (!take_header_word(&line, source, sizeof source) ||
        !take_header_word(&line, destination, sizeof destination) ||
        !take_header_word(&line, source_port, sizeof source_port)) {
        return refuse_header(header, "version 1: a word is missing or too long");
    }
    if (line.len == 0 || memchr(line.data, ' ', line.len) ||
        !take_header_word(&line, destination_port, sizeof destination_port)) {
        return refuse_header(header, "version 1: not four words after the family");
    }
    if (!parse_ip(source, is_ipv6, &header->source) || !parse_ip(destination, is_ipv6, &ignored)) {
        return refuse_header(header, "version 1: not an address of the family");
    }
    if (!parse_port(source_port, &header->source.port) ||
        !parse_port(destination_port, &ignored_port)) {
        return refuse_header(header, "version 1: not a port");
    }
    header->has_source = true;
    return PROXY_DONE;
}

static bool take_prefix(struct bytes *line, const char *prefix)
{
    size_t len = strlen(prefix);
    if (line->len < len || memcmp(line->data, prefix, len) != 0) {
        return false;
    }
    line->data += len;
    line->len -= len;
    return true;
}

static enum proxy_result parse_v1(struct bytes bytes, struct proxy_header *header)
{
    size_t seen = bytes.len < LINE_MAX_SIZE ? bytes.len : LINE_MAX_SIZE;
    const uint8_t *end = memchr(bytes.data, '\n', seen);
    struct bytes line = bytes;
    if (!end) {
        return seen < LINE_MAX_SIZE ? PROXY_MORE
                                    : refuse_header(header, "version 1: the line is too long");
    }
    header->len = (size_t)(end - bytes.data) + 1;
    if (header->len < 2 || end[-1] != '\r') {
        return refuse_header(header, "version 1: the line does not end with CR LF");
    }
    line.len = header->len - 2;
    if (!take_prefix(&line, "PROXY ")) {
        return refuse_header(header, "not a PROXY header");
    }
    if (take_prefix(&line, "TCP4 ")) {
        return parse_tcp_header(line, false, header);
    }
    if (take_prefix(&line, "TCP6 ")) {
        return parse_tcp_header(line, true, header);
    }
    /* What follows UNKNOWN is to be ignored. */
    if (take_prefix(&line, "UNKNOWN") && (line.len == 0 || line.data[0] == ' ')) {
        return PROXY_DONE;
    }
    return refuse_header(header, "version 1: the family is not TCP4, TCP6 or UNKNOWN");
}

/* ---- version 2 ---- */

static void read_ipv4(const uint8_t *block, struct address *source)
{
    struct sockaddr_in name = {.sin_family = AF_INET};
    memcpy(&name.sin_addr, block, 4);
    memcpy(&name.sin_port, block + 8, 2);
    address_from_sockaddr((struct sockaddr *)&name, source);
}

static void read_ipv6_block(const uint8_t *block, struct address *source)
{
    struct sockaddr_in6 name = {.sin6_family = AF_INET6};
    memcpy(&name.sin6_addr, block, 16);
    memcpy(&name.sin6_port, block + 32, 2);
    address_from_sockaddr((struct sockaddr *)&name, source);
}

/* What follows the addresses is TLVs, and skipped. */
static enum proxy_result parse_addresses(uint8_t family, const uint8_t *block, size_t len,
                                         struct proxy_header *header)
{
    static const char too_short[] = "version 2: shorter than its addresses";
    switch (family) {
    case 0x00: /* unspecified */
        return PROXY_DONE;
    case 0x11:
        if (len < 12) {
            return refuse_header(header, too_short);
        }
        read_ipv4(block, &header->source);
        break;
    case 0x21:
        if (len < 36) {
            return refuse_header(header, too_short);
        }
        read_ipv6_block(block, &header->source);
        break;
    case 0x31:
        if (len < 216) {
            return refuse_header(header, too_short);
        }
        header->source.family = ADDRESS_UNIX;
        break;
    default:
        return refuse_header(header, "version 2: not a stream of a known family");
    }
    header->has_source = true;
    return PROXY_DONE;
}

static enum proxy_result parse_v2(struct bytes bytes, struct proxy_header *header)
{
    size_t len;
    uint8_t command;
    if (bytes.len > 12 && bytes.data[12] >> 4 != 2) {
        return refuse_header(header, "version 2: an unknown version");
    }
    if (bytes.len > 12 && (bytes.data[12] & 15) > 1) {
        return refuse_header(header, "version 2: neither LOCAL nor PROXY");
    }
    if (bytes.len < FIXED_SIZE) {
        return PROXY_MORE;
    }
    len = (size_t)bytes.data[14] << 8 | bytes.data[15];
    if (FIXED_SIZE + len > PROXY_MAX_SIZE) {
        return refuse_header(header, "version 2: the header is too long");
    }
    if (bytes.len < FIXED_SIZE + len) {
        return PROXY_MORE;
    }
    header->len = FIXED_SIZE + len;
    command = bytes.data[12] & 15;
    if (command == 0) { /* LOCAL: the proxy speaks for itself, as in a health check */
        return PROXY_DONE;
    }
    return parse_addresses(bytes.data[13], bytes.data + FIXED_SIZE, len, header);
}

static bool may_begin_with(struct bytes bytes, const void *with, size_t len)
{
    return memcmp(bytes.data, with, bytes.len < len ? bytes.len : len) == 0;
}

enum proxy_result proxy_parse(struct bytes bytes, struct proxy_header *header)
{
    memset(header, 0, sizeof *header);
    if (bytes.len == 0) {
        return PROXY_MORE;
    }
    if (may_begin_with(bytes, "PROXY ", 6)) {
        return parse_v1(bytes, header);
    }
    if (may_begin_with(bytes, signature, sizeof signature)) {
        return parse_v2(bytes, header);
    }
    return refuse_header(header, "not a PROXY header");
}
