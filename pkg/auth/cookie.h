/*
 * cookie: challenges that need no memory.
 *
 * A UDP peer is asked to send back what it was sent, so that it is known to be where it says. The
 * challenge is a keyed MAC (BLAKE2b) over the peer's address and port, a context (what the peer
 * claimed to be) and the time slot; whoever has the key can check it, another front-end too.
 *
 * 11 characters of A-Z a-z 0-9 - _. The first says, without being secret, which of the two slots
 * and roughly which context, so that a check computes one MAC, seldom more, and for most forgeries
 * none; the other ten hold 60 bits of the MAC. The Quake III masters' rule is kept: 8 to 11
 * characters, ASCII 33 to 126 without \ / ; " %.
 *
 * Accepted are those of the present and of the previous slot, so that one lives for one to two
 * slots; and, for two slots after a change, those made with the previous secret. Time is wall-clock
 * ms that all front-ends agree on.
 */
#ifndef AUTH_COOKIE_H
#define AUTH_COOKIE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/address.h"
#include "base/bytes.h"

#define COOKIE_SECRET_SIZE 32
#define COOKIE_LENGTH      11

/* Zero-initialised it makes and accepts nothing: cookie_set_secret comes first. */
struct cookie_keys {
    uint64_t slot_ms; /* above 0; set by the owner, on all front-ends the same */
    bool has_secret;
    uint8_t secret[COOKIE_SECRET_SIZE];
    uint64_t previous_until; /* ms; 0: there is no previous secret */
    uint8_t previous[COOKIE_SECRET_SIZE];
};

/* A secret of any text: its BLAKE2b hash. */
void cookie_secret_from_text(struct bytes text, uint8_t secret[COOKIE_SECRET_SIZE]);
/* The one before is accepted for two slots more. Setting the present one again does nothing. */
void cookie_set_secret(struct cookie_keys *keys, const uint8_t secret[COOKIE_SECRET_SIZE],
                       uint64_t now_ms);

/* Writes 11 characters and a NUL. keys must have a secret. */
void cookie_make(const struct cookie_keys *keys, const struct address *peer, const char *context,
                 uint64_t now_ms, char text[COOKIE_LENGTH + 1]);
/*
 * The index of the context that the text is a good cookie of, for this peer and time; -1 when it
 * is of none. What is right is compared in constant time.
 */
int cookie_check(const struct cookie_keys *keys, const struct address *peer,
                 const char *const *contexts, size_t count, uint64_t now_ms, struct bytes text)
    __attribute__((warn_unused_result));

#endif
