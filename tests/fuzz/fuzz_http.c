/*
 * Fuzzes the HTTP reader. The first byte of the input is the size of the chunks in which the rest
 * is fed.
 *
 * Invariant: feeding it whole and in chunks results in the same requests and the same refusal.
 */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "net/http/http_private.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct http_settings settings = {
    .max_header = 1024, .max_headers = 20, .max_body = 256, .timeout = 1, .idle = 1};

static void note(struct writer *seen, struct bytes bytes)
{
    writer_u32(seen, (uint32_t)bytes.len);
    writer_bytes(seen, bytes);
}

static void note_request(struct http_reader *reader, struct writer *seen)
{
    note(seen, reader->method);
    note(seen, writer_bytes_written(&reader->path));
    note(seen, writer_bytes_written(&reader->body));
    note(seen, http_reader_header(reader, "host"));
    note(seen, http_reader_query(reader, "a"));
    writer_u8(seen, reader->keeps_alive);
    if (reader->body.len > (size_t)settings.max_body || reader->method.len == 0 ||
        reader->path.len == 0) {
        abort();
    }
}

/* As a connection does: what is not consumed is presented again with the next part. */
static void read_all(const uint8_t *data, size_t size, size_t step, struct writer *seen)
{
    struct http_reader reader = {0};
    size_t used = 0, shown = step < size ? step : size;
    enum http_result result = HTTP_MORE;
    while (result != HTTP_BAD) {
        /* A copy of just that size, so that reading beyond it is found. */
        size_t len = shown - used;
        uint8_t *part = mem_dup(data + used, len);
        size_t n;
        part = mem_realloc(part, len > 0 ? len : 1);
        n = http_reader_feed(&reader, &settings, (struct bytes){part, len}, &result);
        free(part);
        if (n > len || (result == HTTP_BAD && (reader.status < 400 || !reader.error))) {
            abort();
        }
        used += n;
        if (result == HTTP_DONE) {
            note_request(&reader, seen);
            http_reader_reset(&reader);
        } else if (result == HTTP_MORE && shown == size) {
            break;
        } else if (result == HTTP_MORE) {
            shown = size - shown < step ? size : shown + step;
        }
    }
    if (result == HTTP_BAD) {
        writer_u16(seen, (uint16_t)reader.status);
    }
    http_reader_reset(&reader);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct writer whole = {0}, parts = {0};
    if (size < 1 || size > 8192) {
        return 0;
    }
    read_all(data + 1, size - 1, size, &whole);
    read_all(data + 1, size - 1, data[0] % 61 + 1, &parts);
    if (!bytes_equal(writer_bytes_written(&whole), writer_bytes_written(&parts))) {
        abort();
    }
    writer_free(&whole);
    writer_free(&parts);
    return 0;
}
