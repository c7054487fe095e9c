/* password: see password.h. */
#include "auth/password.h"

#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "base/ids.h"
#include "base/mem.h"
#include "base/random.h"

#define SALT_SIZE 16
#define HASH_SIZE 32

struct password_entry {
    char *name;
    uint8_t salt[SALT_SIZE];
    uint8_t hash[HASH_SIZE];
};

struct password_list {
    struct password_entry *entries;
    size_t count;
};

static void hash_password(const uint8_t salt[SALT_SIZE], struct bytes password,
                          uint8_t hash[HASH_SIZE])
{
    crypto_generichash(hash, HASH_SIZE, password.data, password.len, salt, SALT_SIZE);
}

bool password_is(const char *expected, struct bytes given)
{
    uint8_t salt[SALT_SIZE], hashes[2][HASH_SIZE];

    random_bytes(salt, sizeof salt);
    hash_password(salt, bytes_from_string(expected), hashes[0]);
    hash_password(salt, given, hashes[1]);
    return sodium_memcmp(hashes[0], hashes[1], HASH_SIZE) == 0;
}

static bool is_name_character(uint8_t byte)
{
    return (byte >= '0' && byte <= '9') || (byte >= 'a' && byte <= 'z') ||
           (byte >= 'A' && byte <= 'Z') || byte == '.' || byte == '_' || byte == '-';
}

bool password_is_name(struct bytes name)
{
    for (size_t i = 0; i < name.len; i++) {
        if (!is_name_character(name.data[i])) {
            return false;
        }
    }
    return name.len > 0 && name.len <= PASSWORD_NAME_MAX;
}

void password_write_line(struct writer *to, struct bytes name, struct bytes password)
{
    uint8_t salt[SALT_SIZE], hash[HASH_SIZE];
    char hex[2 * HASH_SIZE + 1];

    if (!password_is_name(name)) {
        to->failed = true;
        return;
    }
    random_bytes(salt, sizeof salt);
    hash_password(salt, password, hash);
    writer_bytes(to, name);
    id_format_hex(salt, sizeof salt, hex);
    writer_format(to, ":%.*s", 2 * SALT_SIZE, hex);
    id_format_hex(hash, sizeof hash, hex);
    writer_format(to, ":%.*s\n", 2 * HASH_SIZE, hex);
}

static struct bytes take_until(struct bytes *text, uint8_t byte)
{
    struct bytes part = *text;
    const uint8_t *end = part.len > 0 ? memchr(part.data, byte, part.len) : NULL;

    if (end) {
        part.len = (size_t)(end - part.data);
    }
    text->data += part.len + (end != NULL);
    text->len -= part.len + (end != NULL);
    return part;
}

/* NULL, or the error. */
static const char *read_password_line(struct bytes line, struct bytes *name,
                                      struct password_entry *entry)
{
    struct bytes salt;

    *name = take_until(&line, ':');
    salt = take_until(&line, ':');
    if (!password_is_name(*name)) {
        return "a name of 1 to 64 of A-Z a-z 0-9 . _ - and a colon are expected";
    }
    if (salt.len != 2 * (size_t)SALT_SIZE || !id_parse_hex(salt, entry->salt, SALT_SIZE)) {
        return "a salt of 32 hexadecimal digits is expected after the name";
    }
    if (line.len != 2 * (size_t)HASH_SIZE || !id_parse_hex(line, entry->hash, HASH_SIZE)) {
        return "a hash of 64 hexadecimal digits is expected after the salt";
    }
    return NULL;
}

static bool is_name_listed(const struct password_list *list, struct bytes name)
{
    for (size_t i = 0; i < list->count; i++) {
        if (bytes_equal(bytes_from_string(list->entries[i].name), name)) {
            return true;
        }
    }
    return false;
}

static const char *add_line(struct password_list *list, struct bytes line)
{
    struct password_entry entry;
    struct bytes name;
    const char *problem;

    while (line.len > 0 && strchr(" \t\r", line.data[line.len - 1])) {
        line.len--;
    }
    if (line.len == 0 || line.data[0] == '#') {
        return NULL;
    }
    problem = read_password_line(line, &name, &entry);
    if (!problem && is_name_listed(list, name)) {
        problem = "the name is already on an earlier line";
    }
    if (!problem && list->count >= PASSWORD_LINES) {
        problem = "too many passwords";
    }
    if (problem) {
        return problem;
    }
    list->entries = mem_realloc(list->entries, (list->count + 1) * sizeof *list->entries);
    entry.name = mem_dup(name.data, name.len);
    list->entries[list->count++] = entry;
    return NULL;
}

struct password_list *password_list_create(const char *text, char **error)
{
    struct password_list *list = mem_zalloc(1, sizeof *list);
    struct bytes rest = bytes_from_string(text);
    const char *problem = NULL;
    size_t line = 0;

    *error = NULL;
    while (!problem && rest.len > 0) {
        problem = add_line(list, take_until(&rest, '\n'));
        line++;
    }
    if (problem) {
        *error = mem_format("line %zu: %s", line, problem);
        password_list_destroy(&list);
    }
    return list;
}

void password_list_destroy(struct password_list **pointer)
{
    struct password_list *list = *pointer;

    *pointer = NULL;
    if (!list) {
        return;
    }
    for (size_t i = 0; i < list->count; i++) {
        free(list->entries[i].name);
    }
    free(list->entries);
    free(list);
}

const char *password_list_check(const char *text)
{
    char *error;
    struct password_list *list = password_list_create(text, &error);

    free(error);
    if (!list) {
        return "must be lines name:salt:hash with different names, as trackerctl password prints "
               "them";
    }
    password_list_destroy(&list);
    return NULL;
}

size_t password_list_count(const struct password_list *list)
{
    return list->count;
}

const char *password_list_find(const struct password_list *list, struct bytes name,
                               struct bytes password)
{
    const char *found = NULL;

    for (size_t i = 0; i < list->count; i++) {
        const struct password_entry *entry = &list->entries[i];
        const bool asked = !name.data || bytes_equal(name, bytes_from_string(entry->name));
        uint8_t hash[HASH_SIZE];

        hash_password(entry->salt, password, hash);
        if ((sodium_memcmp(hash, entry->hash, HASH_SIZE) == 0) & asked) {
            found = entry->name;
        }
    }
    return found;
}
