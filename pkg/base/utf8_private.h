/* utf8: decoding of UTF-8 (RFC 3629), for the files of this package. */
#ifndef BASE_UTF8_PRIVATE_H
#define BASE_UTF8_PRIVATE_H

#include "base/bytes.h"

/* The length of the first character, 1 to 4 bytes; 0 when the text is empty or does not begin with
 * a valid one (overlong forms, surrogates and values above U+10FFFF are invalid). */
size_t utf8_character_length(struct bytes text);

#endif
