/*
 * http_body: bodies of a known length, and chunked ones (RFC 9112, section 7.1).
 *
 * The chunks are not left to libhttp-parser, which as Debian builds it accepts any byte where a
 * line should end: a proxy in front may see the end of the request elsewhere.
 */
#include "net/http/http_private.h"

#define SIZE_MAX_CHUNK (1U << 30)

static bool take_data(struct http_reader *reader, const uint8_t *data, size_t len)
{
    if (reader->body.len + len > (uint64_t)reader->settings->max_body) {
        return http_reader_refuse(reader, 413, "the body is too large");
    }
    writer_bytes(&reader->body, (struct bytes){data, len});
    reader->left -= len;
    return true;
}

static int hex_digit_value(uint8_t c)
{
    if (c >= '0' && c <= '9') {
        return c - '0';
    }
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static bool take_size(struct http_reader *reader, uint8_t c)
{
    int value = hex_digit_value(c);
    if (value >= 0) {
        reader->left = reader->left * 16 + (uint64_t)value;
        reader->body_state = HTTP_BODY_SIZE;
        return reader->left <= SIZE_MAX_CHUNK ||
               http_reader_refuse(reader, 413, "the body is too large");
    }
    if (reader->body_state == HTTP_BODY_SIZE_FIRST || (c != ';' && c != '\r')) {
        return http_reader_refuse(reader, 400, "a malformed chunk size");
    }
    reader->body_state = c == ';' ? HTTP_BODY_EXTENSION : HTTP_BODY_SIZE_END;
    return true;
}

/* Continues in `next` if the byte is the expected one. */
static bool expect_byte(struct http_reader *reader, uint8_t c, uint8_t wanted,
                        enum http_body_state next)
{
    reader->body_state = next;
    return c == wanted || http_reader_refuse(reader, 400, "a malformed chunk");
}

/* Anything up to the line's end. */
static bool skip_chunk_line(struct http_reader *reader, uint8_t c, enum http_body_state next)
{
    if (c == '\r') {
        reader->body_state = next;
    }
    return c != '\n' || http_reader_refuse(reader, 400, "a malformed chunk");
}

static bool take_byte(struct http_reader *reader, uint8_t c)
{
    switch (reader->body_state) {
    case HTTP_BODY_SIZE_FIRST:
    case HTTP_BODY_SIZE:
        return take_size(reader, c);
    case HTTP_BODY_EXTENSION:
        return skip_chunk_line(reader, c, HTTP_BODY_SIZE_END);
    case HTTP_BODY_SIZE_END:
        return expect_byte(reader, c, '\n',
                           reader->left > 0 ? HTTP_BODY_CHUNK : HTTP_BODY_TRAILER_FIRST);
    case HTTP_BODY_CHUNK_CR:
        return expect_byte(reader, c, '\r', HTTP_BODY_CHUNK_LF);
    case HTTP_BODY_CHUNK_LF:
        return expect_byte(reader, c, '\n', HTTP_BODY_SIZE_FIRST);
    case HTTP_BODY_TRAILER_FIRST:
        reader->body_state = HTTP_BODY_TRAILER;
        return skip_chunk_line(reader, c, HTTP_BODY_END_LF);
    case HTTP_BODY_TRAILER:
        return skip_chunk_line(reader, c, HTTP_BODY_TRAILER_LF);
    case HTTP_BODY_TRAILER_LF:
        return expect_byte(reader, c, '\n', HTTP_BODY_TRAILER_FIRST);
    case HTTP_BODY_END_LF:
        return expect_byte(reader, c, '\n', HTTP_BODY_DONE);
    case HTTP_BODY_LENGTH:
    case HTTP_BODY_CHUNK:
    case HTTP_BODY_DONE:
        break;
    }
    return true;
}

bool http_body_read(struct http_reader *reader, struct bytes bytes, size_t *consumed)
{
    const struct http_settings *settings = reader->settings;
    /* Chunks of a byte each, the smallest, take six times their content. */
    uint64_t most = (uint64_t)settings->max_body * 8 + (uint64_t)settings->max_header;
    size_t at = 0;
    bool good = true;
    if (bytes.len > 0) {
        reader->wants_continue = false;
    }
    while (good && at < bytes.len && reader->body_state != HTTP_BODY_DONE) {
        bool is_chunk = reader->body_state == HTTP_BODY_CHUNK;
        if (is_chunk || reader->body_state == HTTP_BODY_LENGTH) {
            size_t len = bytes.len - at < reader->left ? bytes.len - at : (size_t)reader->left;
            good = take_data(reader, bytes.data + at, len);
            at += len;
            if (reader->left == 0) {
                reader->body_state = is_chunk ? HTTP_BODY_CHUNK_CR : HTTP_BODY_DONE;
            }
        } else {
            good = take_byte(reader, bytes.data[at++]);
        }
    }
    *consumed += at;
    reader->raw += at;
    if (good && reader->raw > most) {
        return http_reader_refuse(reader, 413, "the body is too large");
    }
    return good;
}
