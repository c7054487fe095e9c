/*
 * lobby_text: names from games (of servers, maps, players) as text for JSON and a screen.
 *
 * Old games use ISO 8859-1 or their own character sets, and embed colour codes.
 */
#ifndef CODEC_LOBBY_TEXT_H
#define CODEC_LOBBY_TEXT_H

#include "base/bytes.h"

/*
 * Appends the bytes as UTF-8: unchanged when they are UTF-8, else each is taken as a character of
 * ISO 8859-1. Control characters (NUL, those below U+0020, U+007F to U+009F) become spaces.
 */
void lobby_text_write(struct writer *to, struct bytes text);
/*
 * The same without the colour codes of the Quake III and DarkPlaces games: `^` and a digit or
 * letter, and `^x` with three hexadecimal digits, are removed; `^^` is one `^`; another `^` stays.
 */
void lobby_text_write_plain(struct writer *to, struct bytes text);

/* The reverse: converts UTF-8 to ISO 8859-1 if that has all of its characters, else copies it. */
void lobby_text_write_latin(struct writer *to, struct bytes text);

#endif
