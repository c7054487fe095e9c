/*
 * cookie: stateless challenges.
 *
 * A UDP peer has to return the challenge, which proves that it receives at its source address. The
 * challenge is a keyed MAC (BLAKE2b) over the peer's address and port, a context (what the peer
 * claimed to be) and the time slot; any front-end that has the key can verify it.
 *
 * 11 characters of A-Z a-z 0-9 - _. The first one, which is not secret, encodes which of the two
 * slots and roughly which context, so that a check computes one MAC, seldom more, and for most
 * forgeries none; the other ten hold 60 bits of the MAC. This conforms to the Quake III masters'
 * rule: 8 to 11 characters, ASCII 33 to 126 without \ / ; " %.
 *
 * Challenges of the current and of the previous slot are accepted, so that one is valid for one to
 * two slots; and, for two slots after a change of the secret, those made with the previous one.
 * Time is in wall-clock ms that all front-ends agree on.
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

/* Zero-initialised it has no secret and accepts nothing: call cookie_set_secret first. */
struct cookie_keys {
    uint64_t slot_ms; /* above 0; set by the owner, the same on all front-ends */
    bool has_secret;
    uint8_t secret[COOKIE_SECRET_SIZE];
    uint64_t previous_until; /* ms; 0: there is no previous secret */
    uint8_t previous[COOKIE_SECRET_SIZE];
};

/* Derives a secret from a text: its BLAKE2b hash. */
void cookie_secret_from_text(struct bytes text, uint8_t secret[COOKIE_SECRET_SIZE]);
/* The previous secret is accepted for two more slots. Setting the same secret again does nothing.
 */
void cookie_set_secret(struct cookie_keys *keys, const uint8_t secret[COOKIE_SECRET_SIZE],
                       uint64_t now_ms);

/* Writes 11 characters and a NUL. keys must have a secret. */
void cookie_make(const struct cookie_keys *keys, const struct address *peer, const char *context,
                 uint64_t now_ms, char text[COOKIE_LENGTH + 1]);
/*
 * The index of the context for which the text is a valid challenge of this peer and time; -1 when
 * there is none. The MAC is compared in constant time.
 */
int cookie_check(const struct cookie_keys *keys, const struct address *peer,
                 const char *const *contexts, size_t count, uint64_t now_ms, struct bytes text)
    __attribute__((warn_unused_result));

#endif
