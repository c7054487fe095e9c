/*
 * json: JSON texts of peers, checked strictly before anything is made of them; and composed.
 *
 * A text is RFC 8259 and nothing else: UTF-8 without a byte order mark, no NUL (raw or \u0000), no
 * control characters in strings, no key twice in one object, no lone surrogates (but for a reader
 * that passes texts on), finite numbers, nothing behind the value. Every refusal has a kind, a
 * static reason and the byte where it is.
 *
 * Each value knows the bytes it was written with (json_value_raw). Who passes a value on copies
 * these: no integer is bent, no escape rewritten.
 *
 * Keys are compared by their decoded bytes, case included. (Function names stay clear of those of
 * libjansson, which libjwt brings into the same process.)
 */
#ifndef CODEC_JSON_H
#define CODEC_JSON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/bytes.h"

#define JSON_DEPTH_MAX  512 /* of containers in one another, whatever the limits say */
#define JSON_NUMBER_MAX 63  /* bytes of a number, likewise */
#define JSON_ERROR_TEXT 256

struct json_limits {
    size_t bytes;   /* of the whole text */
    unsigned depth; /* containers in one another */
    unsigned keys;  /* of one object: look-ups are linear */
    unsigned values;
    unsigned number; /* bytes of one number's text */
    /* Lone surrogates are taken. In decoded strings and keys each is the three bytes that UTF-8
     * would have for it, so that these are no text (json_is_text), and no two keys fall together.
     */
    bool lone_surrogates;
};
#define JSON_LIMITS_DEFAULT                                                                        \
    {                                                                                              \
        .bytes = 1048576, .depth = 16, .keys = 256, .values = 16384, .number = JSON_NUMBER_MAX     \
    }

enum json_fault {
    JSON_FAULT_NONE,
    /* The text. */
    JSON_FAULT_EMPTY,
    JSON_FAULT_BYTES, /* over the limit */
    JSON_FAULT_UTF8,
    JSON_FAULT_BOM,
    JSON_FAULT_NUL,     /* raw, or as an escape */
    JSON_FAULT_CONTROL, /* raw in a string */
    JSON_FAULT_SYNTAX,
    JSON_FAULT_TRAILING,
    JSON_FAULT_NUMBER, /* not the form of a number */
    JSON_FAULT_RANGE,  /* a number that no double can hold, or too long */
    JSON_FAULT_ESCAPE,
    JSON_FAULT_SURROGATE,
    JSON_FAULT_DEPTH,
    JSON_FAULT_KEYS,
    JSON_FAULT_VALUES,
    JSON_FAULT_DUPLICATE,
    /* What it says. */
    JSON_FAULT_TYPE,
    JSON_FAULT_MISSING,
    JSON_FAULT_RULE, /* of the message's own, by json_value_fail */
    JSON_FAULT_LIMIT /* of the message's own, likewise */
};
/* "utf8", "duplicate", ...: static. */
const char *json_fault_name(enum json_fault fault);
/* More, longer or deeper than allowed: the same text could be good under other limits. */
bool json_fault_is_limit(enum json_fault fault);

/*
 * Zero-initialised it holds no error. The first failure stays: whatever is called with an error
 * that holds one already fails and leaves it as it is, so a chain is checked once at its end.
 */
struct json_error {
    enum json_fault fault;
    const char *reason; /* static */
    size_t where;       /* offset in the text */
    /* "byte 17: a number with a leading zero", "data.actions[2].from: a string is expected".
     * UTF-8 on one line; of the text it shows at most the keys on the path. */
    char text[JSON_ERROR_TEXT];
};

struct json_document;
struct json_value;

enum json_type {
    JSON_TYPE_NULL,
    JSON_TYPE_BOOLEAN,
    JSON_TYPE_NUMBER,
    JSON_TYPE_STRING,
    JSON_TYPE_ARRAY,
    JSON_TYPE_OBJECT
};

/*
 * The text as a document, to be freed; NULL with an error when it is refused. The document borrows
 * the text; what the functions below return lives as long as the document.
 */
struct json_document *json_document_parse(struct bytes text, const struct json_limits *limits,
                                          struct json_error *error)
    __attribute__((warn_unused_result));
void json_document_free(struct json_document **document);
const struct json_value *json_document_root(const struct json_document *document);

/* Values. NULL stands for "absent": the functions without an error must not be given it. */
enum json_type json_value_type(const struct json_value *value);
/* The bytes of the text that the value was written with: strings with their quotes, containers
 * from bracket to bracket, spaces within included. */
struct bytes json_value_raw(const struct json_value *value);
size_t json_value_offset(const struct json_value *value); /* of these in the text */
/* The key of a member of an object: decoded, and as it was written. Empty for other values. */
struct bytes json_value_key(const struct json_value *value);
struct bytes json_value_raw_key(const struct json_value *value);
/* Members or elements, in the text's order; NULL after the last, and for what has none. */
size_t json_value_count(const struct json_value *value);
const struct json_value *json_value_first(const struct json_value *value);
const struct json_value *json_value_next(const struct json_value *value);
/* The member with this key; NULL when there is none, or the value is no object. */
const struct json_value *json_value_member(const struct json_value *value, const char *key);
const struct json_value *json_value_find(const struct json_value *value, struct bytes key);

/*
 * Typed access. False (or NULL) with an error when the value has another type; with value NULL
 * false, and no error of its own.
 */
bool json_value_expect(const struct json_value *value, enum json_type type,
                       struct json_error *error);
/* The decoded string; a NUL, which it never holds, stands behind it. */
bool json_value_text(const struct json_value *value, struct bytes *text, struct json_error *error);
bool json_value_boolean(const struct json_value *value, bool *boolean, struct json_error *error);
/* The nearest double: 9007199254740993 comes out as ...992. */
bool json_value_number(const struct json_value *value, double *number, struct json_error *error);
/* Exact, and within 64 bits. However it is written: 3, 3.0 and 0.3e1 are one integer, as many
 * libraries write no other numbers than 3.0. */
bool json_value_integer(const struct json_value *value, int64_t *integer, struct json_error *error);
/* The member of an object, of the type: an error when it is missing; or NULL without one. */
const struct json_value *json_value_require(const struct json_value *value, const char *key,
                                            enum json_type type, struct json_error *error);
const struct json_value *json_value_optional(const struct json_value *value, const char *key,
                                             enum json_type type, struct json_error *error);
/* Records that the value breaks a rule of the message: false. reason: static. */
bool json_value_fail(const struct json_value *value, enum json_fault fault, const char *reason,
                     struct json_error *error);
/* The same without a value: path is static text, may be empty. */
bool json_error_set(struct json_error *error, enum json_fault fault, const char *path,
                    const char *reason);

/* Whether the text is one string, number, true, false or null by the rules above, without spaces
 * around it. Source for values that come from elsewhere than a document. */
bool json_scalar_is_valid(struct bytes text);

/* The same of an integer, as json_value_integer reads it. False when it is none. */
bool json_scalar_integer(struct bytes text, int64_t *integer);

/* Whether the text is one value of any type by the rules above, without spaces around it, with at
 * most depth containers in one another. */
bool json_text_is_value(struct bytes text, unsigned depth);

/* Containers in one another: 0 for a scalar, 1 for []. */
unsigned json_value_depth(const struct json_value *value);
/* Whether every string and key in it is a text (json_is_text). */
bool json_value_is_text(const struct json_value *value);
/* Appends the value without the spaces between its parts. All else is as it was written. */
void json_write_minified(struct writer *to, const struct json_value *value);

/* Whether bytes can be told as a string: UTF-8 without a NUL, at which many readers cut or refuse
 * a text, this one among them. */
bool json_is_text(struct bytes bytes);

/*
 * Composes one text: commas are set where they belong, strings escaped. A string that is no text
 * (json_is_text) fails the writer beneath, which is checked once at the end.
 */
struct json_writer {
    struct writer *to;
    bool comma; /* before the next value or key */
};
struct json_writer json_writer_over(struct writer *to);
void json_write_object_begin(struct json_writer *json);
void json_write_object_end(struct json_writer *json);
void json_write_array_begin(struct json_writer *json);
void json_write_array_end(struct json_writer *json);
/* A key; its value is the next that is written. */
void json_write_key(struct json_writer *json, struct bytes key);
void json_write_name(struct json_writer *json, const char *key);
void json_write_text(struct json_writer *json, struct bytes text);
void json_write_integer(struct json_writer *json, int64_t integer);
void json_write_boolean(struct json_writer *json, bool boolean);
void json_write_null(struct json_writer *json);
/* What is JSON already: json_value_raw, a text composed before. */
void json_write_raw(struct json_writer *json, struct bytes value);
/* A member of an object as it was written, key and value. */
void json_write_source(struct json_writer *json, const struct json_value *member);
/* A key and a string; a key and an array of strings. */
void json_write_member(struct json_writer *json, const char *key, struct bytes text);
void json_write_list(struct json_writer *json, const char *key, const struct bytes *texts,
                     size_t count);

#endif
