/*
 * lobby_text: the names that games give (of servers, maps, players) as text that JSON and a screen
 * can hold.
 *
 * Old games write ISO 8859-1 or an alphabet of their own, and colours as marks in the text.
 */
#ifndef CODEC_LOBBY_TEXT_H
#define CODEC_LOBBY_TEXT_H

#include "base/bytes.h"

/*
 * Appends the bytes as UTF-8: as they are when they are UTF-8, else each taken for a character of
 * ISO 8859-1. Control characters (NUL, those below U+0020, U+007F to U+009F) become spaces.
 */
void lobby_text_write(struct writer *to, struct bytes text);
/*
 * The same without the colours of the Quake III and DarkPlaces games: `^` and a digit or letter,
 * and `^x` with three hexadecimal digits, are left out; `^^` is one `^`; another `^` stays.
 */
void lobby_text_write_plain(struct writer *to, struct bytes text);

/* The way back: UTF-8 as ISO 8859-1, when it has all of its characters, else as it is. */
void lobby_text_write_latin(struct writer *to, struct bytes text);

#endif
