/* http_target: the target of a request and its Host. */
#include "net/http/http_private.h"

#include <arpa/inet.h>
#include <string.h>

#define PORT_MAX 65535

static bool is_unreserved(uint8_t c)
{
    return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') ||
           (c != 0 && strchr("-._~!$&'()*+,;=", c));
}

/* RFC 3986, reg-name: IPv4 addresses are of that form, too. */
static bool is_registered_name(struct bytes name)
{
    for (size_t i = 0; i < name.len; i++) {
        if (!is_unreserved(name.data[i]) && name.data[i] != '%') {
            return false;
        }
    }
    return http_is_encoded(name);
}

/* Also with a zone behind '%', as front-ends may advertise a link-local address. */
static bool is_ipv6(struct bytes text)
{
    char copy[INET6_ADDRSTRLEN];
    struct in6_addr address;
    const uint8_t *zone = text.len > 0 ? memchr(text.data, '%', text.len) : NULL;
    if (zone) {
        struct bytes name = {zone + 1, text.len - (size_t)(zone + 1 - text.data)};
        text.len = (size_t)(zone - text.data);
        for (size_t i = 0; i < name.len; i++) {
            if (!is_unreserved(name.data[i])) {
                return false;
            }
        }
        if (name.len == 0) {
            return false;
        }
    }
    if (text.len >= sizeof copy || memchr(text.data, 0, text.len)) {
        return false;
    }
    memcpy(copy, text.data, text.len);
    copy[text.len] = 0;
    return inet_pton(AF_INET6, copy, &address) == 1;
}

static bool is_port_bytes(struct bytes text)
{
    uint32_t port = 0;
    for (size_t i = 0; i < text.len; i++) {
        if (text.data[i] < '0' || text.data[i] > '9') {
            return false;
        }
        port = port * 10 + (text.data[i] - '0');
        if (port > PORT_MAX) {
            return false;
        }
    }
    return true;
}

bool http_target_is_host(struct bytes host)
{
    const uint8_t *end;
    size_t len;
    if (host.len == 0) {
        return true;
    }
    if (host.data[0] == '[') {
        end = memchr(host.data, ']', host.len);
        if (!end || !is_ipv6((struct bytes){host.data + 1, (size_t)(end - host.data) - 1})) {
            return false;
        }
        len = (size_t)(end + 1 - host.data);
    } else {
        end = memchr(host.data, ':', host.len);
        len = end ? (size_t)(end - host.data) : host.len;
        if (len == 0 || !is_registered_name((struct bytes){host.data, len})) {
            return false;
        }
    }
    if (len == host.len) {
        return true;
    }
    return host.data[len] == ':' &&
           is_port_bytes((struct bytes){host.data + len + 1, host.len - len - 1});
}

static bool has_control_character(struct bytes text)
{
    for (size_t i = 0; i < text.len; i++) {
        if (text.data[i] <= ' ' || text.data[i] == 0x7f) {
            return true;
        }
    }
    return false;
}

/* Takes http://host off a target, whose host counts rather than the header's (RFC 9112, 3.2.2);
 * false when it is malformed. */
static bool take_target_origin(struct bytes *target, struct bytes *host)
{
    struct http_parser_url url;
    size_t skipped;
    http_parser_url_init(&url);
    if (http_parser_parse_url((const char *)target->data, target->len, 0, &url) != 0 ||
        !(url.field_set & 1 << UF_HOST) || url.field_set & 1 << UF_USERINFO) {
        return false;
    }
    *host = (struct bytes){target->data + url.field_data[UF_HOST].off, url.field_data[UF_HOST].len};
    if (host->data[-1] == '[') { /* with its brackets */
        host->data--;
        host->len += 2;
    }
    skipped = url.field_set & 1 << UF_PATH ? url.field_data[UF_PATH].off : target->len;
    if (skipped == target->len && url.field_set & 1 << UF_QUERY) {
        skipped = url.field_data[UF_QUERY].off - 1U;
    }
    target->data += skipped;
    target->len -= skipped;
    return true;
}

bool http_target_split(struct http_reader *reader)
{
    struct bytes path = reader->target;
    const uint8_t *mark;
    if (path.len == 1 && path.data[0] == '*' && reader->parser.method == HTTP_OPTIONS) {
        writer_u8(&reader->path, '*');
        return true;
    }
    if (path.len == 0 || memchr(path.data, '#', path.len) || has_control_character(path)) {
        return http_reader_refuse(reader, 400, "a malformed target");
    }
    if (path.data[0] != '/' && !take_target_origin(&path, &reader->host)) {
        return http_reader_refuse(reader, 400, "a malformed target");
    }
    mark = path.len > 0 ? memchr(path.data, '?', path.len) : NULL;
    if (mark) {
        reader->query = (struct bytes){mark + 1, path.len - (size_t)(mark + 1 - path.data)};
        path.len = (size_t)(mark - path.data);
    }
    if (path.len > 1 && path.data[path.len - 1] == '/') {
        path.len--;
    }
    if (path.len == 0) {
        writer_u8(&reader->path, '/');
    }
    if (!http_decode(path, false, &reader->path)) {
        return http_reader_refuse(reader, 400, "a malformed % in the path");
    }
    if (!http_is_encoded(reader->query)) {
        return http_reader_refuse(reader, 400, "a malformed % in the query");
    }
    return true;
}
