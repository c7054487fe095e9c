/*
 * Fuzzes the PROXY header.
 *
 * Invariant: a header that is accepted whole is accepted in two parts, and no part of it alone.
 */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include "net/proxy_private.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct proxy_header whole, part;
    enum proxy_result result;
    size_t len = size < PROXY_MAX_SIZE ? size : PROXY_MAX_SIZE;
    size_t last;
    char text[ADDRESS_TEXT_SIZE];
    result = proxy_parse((struct bytes){data, len}, &whole);
    if (result == PROXY_MORE && len == PROXY_MAX_SIZE) {
        abort();
    }
    if (result == PROXY_BAD && !whole.error) {
        abort();
    }
    if (result == PROXY_DONE && (whole.len == 0 || whole.len > len)) {
        abort();
    }
    if (result == PROXY_DONE && whole.has_source) {
        (void)address_format(&whole.source, text);
    }
    last = result == PROXY_DONE ? whole.len : len;
    for (size_t cut = last > 64 ? last - 64 : 0; cut < last; cut++) {
        enum proxy_result early = proxy_parse((struct bytes){data, cut}, &part);
        if (early == PROXY_DONE || (early == PROXY_BAD && result != PROXY_BAD)) {
            abort();
        }
    }
    return 0;
}
