/* utf8: the one place in this package that knows the form of UTF-8 (RFC 3629). */
#ifndef BASE_UTF8_PRIVATE_H
#define BASE_UTF8_PRIVATE_H

#include "base/bytes.h"

/* The bytes of the first character, 1 to 4; 0 when the text is empty or does not begin with one
 * (overlong forms, surrogates and what is above U+10FFFF are none). */
size_t utf8_character_length(struct bytes text);

#endif
