/* http_reader: the head is found, copied, given to libhttp-parser in one piece, and judged; the
 * body follows as it comes. */
#include "net/http/http_private.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

struct http_text {
    struct http_text *next;
    struct writer value;
};

bool http_reader_refuse(struct http_reader *reader, int status, const char *error)
{
    reader->status = status;
    reader->error = error;
    return false;
}

/* ---- what libhttp-parser finds ---- */

static int on_url(http_parser *parser, const char *at, size_t len)
{
    struct http_reader *reader = parser->data;
    reader->target = (struct bytes){(const uint8_t *)at, len};
    return 0;
}

static int on_parsed_field_name(http_parser *parser, const char *at, size_t len)
{
    struct http_reader *reader = parser->data;
    if (reader->header_count >= (uint64_t)reader->settings->max_headers) {
        (void)http_reader_refuse(reader, 431, "too many header lines");
        return 1;
    }
    if (!reader->headers) {
        reader->headers =
            mem_zalloc((size_t)reader->settings->max_headers, sizeof reader->headers[0]);
    }
    reader->headers[reader->header_count++].name = (struct bytes){(const uint8_t *)at, len};
    return 0;
}

static int on_value(http_parser *parser, const char *at, size_t len)
{
    struct http_reader *reader = parser->data;
    while (len > 0 && (at[len - 1] == ' ' || at[len - 1] == '\t')) {
        len--;
    }
    if (reader->header_count > 0) {
        reader->headers[reader->header_count - 1].value = (struct bytes){(const uint8_t *)at, len};
    }
    return 0;
}

static const http_parser_settings callbacks = {
    .on_url = on_url, .on_header_field = on_parsed_field_name, .on_header_value = on_value};

/* ---- the head ---- */

/* Kept until the next request, so that any refusal can be written in the right form. */
static void keep_start(struct http_reader *reader, struct bytes bytes)
{
    reader->start_len = bytes.len < sizeof reader->start ? bytes.len : sizeof reader->start;
    memcpy(reader->start, bytes.data, reader->start_len);
}

/* The length of the head with its empty line, 0 when it is not there yet. False when it is
 * refused. */
static bool find_request_head_end(struct http_reader *reader, struct bytes bytes, size_t *len)
{
    uint64_t most = (uint64_t)reader->settings->max_header;
    size_t seen = bytes.len < most ? bytes.len : (size_t)most;
    const uint8_t *end, *start = bytes.data + reader->scanned;
    *len = 0;
    if (reader->scanned > seen) { /* the limit has been lowered meanwhile */
        return http_reader_refuse(reader, 431, "the header is too large");
    }
    while ((end = memchr(start, '\n', seen - reader->scanned))) {
        if (end == start || memchr(start, '\r', (size_t)(end - start)) != end - 1) {
            return http_reader_refuse(reader, 400, "a line does not end with CR LF");
        }
        if (end == start + 1) {
            *len = (size_t)(end + 1 - bytes.data);
            return true;
        }
        if (reader->lines > 0 && (*start == ' ' || *start == '\t')) {
            return http_reader_refuse(reader, 400, "a folded header line");
        }
        if (++reader->lines > (uint64_t)reader->settings->max_headers + 1) {
            return http_reader_refuse(reader, 431, "too many header lines");
        }
        start = end + 1;
        reader->scanned = (size_t)(start - bytes.data);
    }
    if (bytes.len < most) {
        return true;
    }
    return reader->lines == 0 ? http_reader_refuse(reader, 414, "the request line is too long")
                              : http_reader_refuse(reader, 431, "the header is too large");
}

/* A word of capital letters that libhttp-parser does not know is a method, not an error. */
static bool refuse_method(struct http_reader *reader)
{
    size_t len = 0;
    while (len < reader->head.len && reader->head.data[len] >= 'A' &&
           reader->head.data[len] <= 'Z') {
        len++;
    }
    if (len > 0 && len < 32 && len < reader->head.len && reader->head.data[len] == ' ') {
        return http_reader_refuse(reader, 501, "an unknown method");
    }
    return http_reader_refuse(reader, 400, "not an HTTP request");
}

static bool parse_head(struct http_reader *reader)
{
    size_t parsed;
    enum http_errno error;
    http_parser_init(&reader->parser, HTTP_REQUEST);
    reader->parser.data = reader;
    parsed = http_parser_execute(&reader->parser, &callbacks, (const char *)reader->head.data,
                                 reader->head.len);
    error = HTTP_PARSER_ERRNO(&reader->parser);
    if (error == HPE_OK && parsed == reader->head.len) {
        return true;
    }
    if (error == HPE_INVALID_METHOD) {
        return refuse_method(reader);
    }
    if (reader->status == 0) {
        (void)http_reader_refuse(reader, 400, http_errno_description(error));
    }
    return false;
}

/* RFC 9110, token. libhttp-parser as Debian builds it lets spaces pass. */
static bool is_token(struct bytes text)
{
    static const char others[] = "!#$%&'*+-.^_`|~";
    for (size_t i = 0; i < text.len; i++) {
        uint8_t c = text.data[i];
        if (!((c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') ||
              memchr(others, c, sizeof others - 1))) {
            return false;
        }
    }
    return text.len > 0;
}

static bool is_printable(struct bytes text)
{
    for (size_t i = 0; i < text.len; i++) {
        if ((text.data[i] < ' ' && text.data[i] != '\t') || text.data[i] == 0x7f) {
            return false;
        }
    }
    return true;
}

static bool judge_fields(struct http_reader *reader)
{
    for (size_t i = 0; i < reader->header_count; i++) {
        if (!is_token(reader->headers[i].name)) {
            return http_reader_refuse(reader, 400, "a malformed header name");
        }
        if (!is_printable(reader->headers[i].value)) {
            return http_reader_refuse(reader, 400, "a control character in a header");
        }
    }
    return true;
}

static size_t count_headers(const struct http_reader *reader, const char *name, struct bytes *last)
{
    size_t count = 0;
    for (size_t i = 0; i < reader->header_count; i++) {
        if (!http_is_same_word(reader->headers[i].name, name)) {
            continue;
        }
        *last = reader->headers[i].value;
        count++;
    }
    return count;
}

static bool is_decimal(struct bytes text)
{
    for (size_t i = 0; i < text.len; i++) {
        if (text.data[i] < '0' || text.data[i] > '9') {
            return false;
        }
    }
    return text.len > 0;
}

static bool judge_length(struct http_reader *reader)
{
    struct bytes length = {0}, encoding = {0};
    size_t lengths = count_headers(reader, "Content-Length", &length);
    size_t encodings = count_headers(reader, "Transfer-Encoding", &encoding);
    if (lengths > 1 || (lengths == 1 && !is_decimal(length))) {
        return http_reader_refuse(reader, 400, "not exactly one Content-Length");
    }
    if (encodings > 0 && (lengths > 0 || encodings > 1 || reader->is_http10)) {
        return http_reader_refuse(reader, 400, "both Content-Length and Transfer-Encoding");
    }
    if (encodings > 0 && !http_is_same_word(encoding, "chunked")) {
        return http_reader_refuse(reader, 501, "an unknown transfer encoding");
    }
    if (encodings > 0) {
        reader->body_state = HTTP_BODY_SIZE_FIRST;
    } else if (lengths > 0 && reader->parser.content_length > 0) {
        if (reader->parser.content_length > (uint64_t)reader->settings->max_body) {
            return http_reader_refuse(reader, 413, "the body is too large");
        }
        reader->body_state = HTTP_BODY_LENGTH;
        reader->left = reader->parser.content_length;
    }
    return true;
}

static bool judge_expectation(struct http_reader *reader)
{
    struct bytes expectation;
    if (reader->is_http10 || count_headers(reader, "Expect", &expectation) == 0) {
        return true;
    }
    if (!http_is_same_word(expectation, "100-continue")) {
        return http_reader_refuse(reader, 417, "an unknown expectation");
    }
    reader->wants_continue = reader->body_state != HTTP_BODY_DONE;
    return true;
}

static bool judge_head(struct http_reader *reader)
{
    struct bytes host;
    size_t hosts = count_headers(reader, "Host", &host);
    const http_parser *parser = &reader->parser;
    reader->method = (struct bytes){reader->head.data,
                                    strlen(http_method_str((enum http_method)parser->method))};
    reader->is_http10 = parser->http_major == 1 && parser->http_minor == 0;
    reader->keeps_alive = http_should_keep_alive(parser);
    if (parser->http_major == 0) {
        return http_reader_refuse(reader, 400, "no HTTP version");
    }
    if (parser->http_major != 1 || parser->http_minor > 1) {
        return http_reader_refuse(reader, 505, "an unknown HTTP version");
    }
    if (parser->method == HTTP_CONNECT) {
        return http_reader_refuse(reader, 501, "not a proxy");
    }
    if (hosts > 1 || (hosts == 0 && !reader->is_http10)) {
        return http_reader_refuse(reader, 400, "not exactly one Host");
    }
    if (hosts == 1 && !http_target_is_host(host)) {
        return http_reader_refuse(reader, 400, "a malformed Host");
    }
    reader->host = hosts == 1 ? host : (struct bytes){NULL, 0};
    return judge_fields(reader) && judge_length(reader) && judge_expectation(reader) &&
           http_target_split(reader);
}

/* False when the request is refused. *consumed stays 0 until the whole head is there. */
static bool read_request_head(struct http_reader *reader, struct bytes bytes, size_t *consumed)
{
    size_t len;
    keep_start(reader, bytes);
    if (!find_request_head_end(reader, bytes, &len)) {
        return false;
    }
    if (len == 0) {
        return true;
    }
    *consumed = len;
    writer_bytes(&reader->head, (struct bytes){bytes.data, len});
    if (!parse_head(reader) || !judge_head(reader)) {
        return false;
    }
    reader->state = HTTP_READ_BODY;
    return true;
}

/* ---- all of it ---- */

size_t http_reader_feed(struct http_reader *reader, const struct http_settings *settings,
                        struct bytes bytes, enum http_result *result)
{
    size_t skipped = 0, consumed = 0;
    bool good = true;
    reader->settings = settings;
    if (!http_reader_has_begun(reader)) { /* empty lines between requests are allowed */
        while (bytes.len >= 2 && bytes.data[0] == '\r' && bytes.data[1] == '\n') {
            bytes.data += 2;
            bytes.len -= 2;
            skipped += 2;
        }
    }
    if (reader->state == HTTP_READ_HEAD && bytes.len > 0) {
        good = read_request_head(reader, bytes, &consumed);
    }
    if (good && reader->state == HTTP_READ_BODY) {
        good = http_body_read(reader, (struct bytes){bytes.data + consumed, bytes.len - consumed},
                              &consumed);
        if (reader->body_state == HTTP_BODY_DONE) {
            reader->state = HTTP_READ_DONE;
        }
    }
    *result = !good ? HTTP_BAD : reader->state == HTTP_READ_DONE ? HTTP_DONE : HTTP_MORE;
    return skipped + consumed;
}

bool http_reader_has_begun(const struct http_reader *reader)
{
    return reader->scanned > 0 || reader->state != HTTP_READ_HEAD;
}

size_t http_reader_size(const struct http_reader *reader)
{
    return reader->head.capacity + reader->path.capacity + reader->body.capacity;
}

void http_reader_reset(struct http_reader *reader)
{
    while (reader->texts) {
        struct http_text *text = reader->texts;
        reader->texts = text->next;
        writer_free(&text->value);
        free(text);
    }
    writer_free(&reader->head);
    writer_free(&reader->path);
    writer_free(&reader->body);
    free(reader->headers);
    memset(reader, 0, sizeof *reader);
}

struct bytes http_reader_header(const struct http_reader *reader, const char *name)
{
    size_t at = 0;
    return http_reader_header_next(reader, name, &at);
}

struct bytes http_reader_header_next(const struct http_reader *reader, const char *name, size_t *at)
{
    while (*at < reader->header_count) {
        const struct http_header *header = &reader->headers[(*at)++];
        if (http_is_same_word(header->name, name)) {
            return header->value;
        }
    }
    return (struct bytes){NULL, 0};
}

/* The part up to the separator, which is skipped. */
static struct bytes take_target_part(struct bytes *text, uint8_t separator)
{
    const uint8_t *end = text->len > 0 ? memchr(text->data, separator, text->len) : NULL;
    struct bytes part = {text->data, end ? (size_t)(end - text->data) : text->len};
    size_t skipped = part.len + (end != NULL);
    text->data += skipped;
    text->len -= skipped;
    return part;
}

/* Compares a decoded key without storing it. The query is well-formed. */
static bool is_query_key(struct bytes encoded, const char *name)
{
    uint8_t byte;
    while (http_take_decoded(&encoded, true, &byte)) {
        if (byte != (uint8_t)*name++ || byte == 0) {
            return false;
        }
    }
    return *name == 0;
}

struct bytes http_reader_query(struct http_reader *reader, const char *name)
{
    struct bytes rest = reader->query;
    while (rest.len > 0) {
        struct bytes value = take_target_part(&rest, '&');
        struct bytes key = take_target_part(&value, '=');
        struct http_text *text;
        if (!is_query_key(key, name)) {
            continue;
        }
        if (value.len == 0) {
            return (struct bytes){(const uint8_t *)"", 0};
        }
        text = mem_zalloc(1, sizeof *text);
        text->next = reader->texts;
        reader->texts = text;
        if (!http_decode(value, true, &text->value)) {
            writer_reset(&text->value); /* never: the query has been judged */
        }
        return writer_bytes_written(&text->value);
    }
    return (struct bytes){NULL, 0};
}

struct bytes http_reader_method(const struct http_reader *reader)
{
    size_t len = 0;
    if (reader->method.len > 0) {
        return reader->method;
    }
    while (len < reader->start_len && reader->start[len] >= 'A' && reader->start[len] <= 'Z') {
        len++;
    }
    return (struct bytes){reader->start, len};
}

struct bytes http_reader_path(const struct http_reader *reader)
{
    size_t begin = http_reader_method(reader).len + 1, end = begin;
    if (reader->path.len > 0) {
        return writer_bytes_written(&reader->path);
    }
    if (begin > reader->start_len || reader->start[begin - 1] != ' ') {
        return (struct bytes){NULL, 0};
    }
    while (end < reader->start_len && reader->start[end] > ' ' && reader->start[end] != '?') {
        end++;
    }
    return (struct bytes){reader->start + begin, end - begin};
}
