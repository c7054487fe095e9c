/* http_text: small parts of HTTP: percent-encoding, words in any case, lists with commas, dates and
 * the reason phrases of statuses. */
#ifndef NET_HTTP_TEXT_H
#define NET_HTTP_TEXT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/bytes.h"

/* Appends the decoded text. False when a '%' is not followed by two hex digits. */
bool http_decode(struct bytes text, bool plus_is_space, struct writer *to)
    __attribute__((warn_unused_result));
/* The next byte of an encoded text, which is taken off; false at the end, and at a malformed '%'.
 */
bool http_take_decoded(struct bytes *text, bool plus_is_space, uint8_t *byte);
bool http_is_encoded(struct bytes text); /* each '%' is followed by two hex digits */
bool http_is_same_word(struct bytes text, const char *word); /* in any case of letters */
/* Takes the next item off a list with commas, without spaces around it; false at the end. */
bool http_take_item(struct bytes *list, struct bytes *item);
const char *http_status_text(int status);
/* The value of the Date header; seconds since the epoch. Valid until the next call. */
const char *http_date(int64_t seconds);

#endif
