/*
 * password: checks passwords in constant time.
 *
 * A list has lines `name:salt:hash`: a unique name of 1 to 64 characters of A-Z a-z 0-9 . _ -; 16
 * random bytes, and the BLAKE2b hash (32 bytes) of the password, keyed with them, both as
 * hexadecimal digits. Blank lines and lines that begin with `#` are ignored. The hash is fast so
 * that it does not block the loop; passwords of lists should be long and random.
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

/* Whether both are equal. The time depends only on the length of given. */
bool password_is(const char *expected, struct bytes given) __attribute__((warn_unused_result));

bool password_is_name(struct bytes name);
/* Appends a line of a list, with its end and a new salt. An invalid name fails the writer. */
void password_write_line(struct writer *to, struct bytes name, struct bytes password);

struct password_list;
/* NULL and *error (the caller frees), which names the line ("line 3: ...") but never quotes it. */
struct password_list *password_list_create(const char *text, char **error)
    __attribute__((warn_unused_result));
void password_list_destroy(struct password_list **list);
/* For a configuration's check: NULL, or the error (static text). */
const char *password_list_check(const char *text);
size_t password_list_count(const struct password_list *list);
/*
 * The name whose password it is; NULL when there is none. name: only this name's; data NULL: any
 * name's. The time does not depend on whether and where it is found. The name lives as long as the
 * list.
 */
const char *password_list_find(const struct password_list *list, struct bytes name,
                               struct bytes password) __attribute__((warn_unused_result));

#endif
