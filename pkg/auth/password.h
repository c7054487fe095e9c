/*
 * password: comparing what a peer sent with what is allowed, so that time tells nothing.
 *
 * A list has lines `name:salt:hash`: a name of 1 to 64 characters of A-Z a-z 0-9 . _ -, none twice;
 * 16 random bytes and the BLAKE2b hash (32 bytes) of the password, keyed with them, both as
 * hexadecimal digits. Blank lines and those that begin with `#` are passed over. A hash that is
 * fast keeps the loop going; passwords of lists should be long random ones.
 *
 * The same in Python: hashlib.blake2b(password, key=salt, digest_size=32).
 */
#ifndef AUTH_PASSWORD_H
#define AUTH_PASSWORD_H

#include <stdbool.h>
#include <stddef.h>

#include "base/bytes.h"

#define PASSWORD_NAME_MAX 64
#define PASSWORD_LINES    100000 /* of a list */

/* Whether both are the same. Takes as long whatever they are, but for the length of given. */
bool password_is(const char *expected, struct bytes given) __attribute__((warn_unused_result));

bool password_is_name(struct bytes name);
/* Appends a line of a list, with its end and a new salt. A name that is none fails the writer. */
void password_write_line(struct writer *to, struct bytes name, struct bytes password);

struct password_list;
/* NULL and *error (the caller frees), which names the line: "line 3: ...". What is wrong with a
 * line is never quoted from it. */
struct password_list *password_list_create(const char *text, char **error)
    __attribute__((warn_unused_result));
void password_list_destroy(struct password_list **list);
/* For a configuration's check: NULL, or what is wrong (static text). */
const char *password_list_check(const char *text);
size_t password_list_count(const struct password_list *list);
/*
 * The name whose password it is; NULL when it is nobody's. name: only this one's; data NULL:
 * anybody's. Takes as long whether and where it is found. The name lives as long as the list.
 */
const char *password_list_find(const struct password_list *list, struct bytes name,
                               struct bytes password) __attribute__((warn_unused_result));

#endif
