/*
 * json: reads JSON texts of peers, checked strictly, and writes JSON.
 *
 * A text is strictly RFC 8259: UTF-8 without a byte order mark, no NUL (raw or \u0000), no control
 * characters in strings, no duplicate keys, no lone surrogates (unless the reader allows them),
 * finite numbers, nothing after the value. Every error has a kind, a static reason and the byte
 * where it is.
 *
 * Each value keeps its source bytes (json_value_raw). A caller that forwards a value copies these,
 * so that no integer loses precision and no escape is rewritten.
 *
 * Keys are compared by their decoded bytes, case-sensitively. (Function names avoid those of
 * libjansson, which libjwt loads into the same process.)
 */
#ifndef CODEC_JSON_H
#define CODEC_JSON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/bytes.h"

#define JSON_DEPTH_MAX  512 /* of nested containers, whatever the limits are */
#define JSON_NUMBER_MAX 63  /* bytes of a number, likewise */
#define JSON_ERROR_TEXT 256

struct json_limits {
    size_t bytes;   /* of the whole text */
    unsigned depth; /* nested containers */
    unsigned keys;  /* of one object: look-ups are linear */
    unsigned values;
    unsigned number; /* bytes of one number's text */
    /* Lone surrogates are accepted. In decoded strings and keys each becomes the three bytes that
     * UTF-8 would encode it as: these are not text (json_is_text), and different keys stay
     * different. */
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
    JSON_FAULT_RANGE,  /* a number out of a double's range, or too long */
    JSON_FAULT_ESCAPE,
    JSON_FAULT_SURROGATE,
    JSON_FAULT_DEPTH,
    JSON_FAULT_KEYS,
    JSON_FAULT_VALUES,
    JSON_FAULT_DUPLICATE,
    /* Its contents. */
    JSON_FAULT_TYPE,
    JSON_FAULT_MISSING,
    JSON_FAULT_RULE, /* a rule of the message, by json_value_fail */
    JSON_FAULT_LIMIT /* a limit of the message, likewise */
};
/* "utf8", "duplicate", ...: static. */
const char *json_fault_name(enum json_fault fault);
/* More, longer or deeper than allowed: the text could be valid under other limits. */
bool json_fault_is_limit(enum json_fault fault);

/*
 * Zero-initialised it holds no error. The first failure is kept: a function that is called with an
 * error that is already set fails and leaves it unchanged, so a chain is checked once at its end.
 */
struct json_error {
    enum json_fault fault;
    const char *reason; /* static */
    size_t where;       /* offset in the text */
    /* "byte 17: a number with a leading zero", "data.actions[2].from: a string is expected".
     * UTF-8 on one line; it quotes nothing of the text but keys of the path. */
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
 * Parses the text; the caller frees the document. NULL with an error when it is refused. The
 * document borrows the text; what the functions below return lives as long as the document.
 */
struct json_document *json_document_parse(struct bytes text, const struct json_limits *limits,
                                          struct json_error *error)
    __attribute__((warn_unused_result));
void json_document_free(struct json_document **document);
const struct json_value *json_document_root(const struct json_document *document);

/* Values. NULL means "absent"; functions without an error argument do not accept it. */
enum json_type json_value_type(const struct json_value *value);
/* The value's source bytes: strings with their quotes, containers from bracket to bracket,
 * including the white space inside. */
struct bytes json_value_raw(const struct json_value *value);
size_t json_value_offset(const struct json_value *value); /* of the source bytes in the text */
/* The key of an object's member: decoded, and its source bytes. Empty for other values. */
struct bytes json_value_key(const struct json_value *value);
struct bytes json_value_raw_key(const struct json_value *value);
/* Members or elements, in the text's order; NULL after the last one, and for scalars. */
size_t json_value_count(const struct json_value *value);
const struct json_value *json_value_first(const struct json_value *value);
const struct json_value *json_value_next(const struct json_value *value);
/* The member with this key; NULL when there is none, or the value is not an object. */
const struct json_value *json_value_member(const struct json_value *value, const char *key);
const struct json_value *json_value_find(const struct json_value *value, struct bytes key);

/*
 * Typed access. False (or NULL) with an error when the value has another type. For a NULL value
 * false, without setting an error.
 */
bool json_value_expect(const struct json_value *value, enum json_type type,
                       struct json_error *error);
/* The decoded string, which holds no NUL and is followed by one. */
bool json_value_text(const struct json_value *value, struct bytes *text, struct json_error *error);
bool json_value_boolean(const struct json_value *value, bool *boolean, struct json_error *error);
/* The nearest double: 9007199254740993 becomes ...992. */
bool json_value_number(const struct json_value *value, double *number, struct json_error *error);
/* Exact, and within 64 bits, in any notation: 3, 3.0 and 0.3e1 are the same integer, as many
 * libraries write all numbers like 3.0. */
bool json_value_integer(const struct json_value *value, int64_t *integer, struct json_error *error);
/* The member of an object, with the type: NULL with an error when it is missing; or, for the second
 * function, without one. */
const struct json_value *json_value_require(const struct json_value *value, const char *key,
                                            enum json_type type, struct json_error *error);
const struct json_value *json_value_optional(const struct json_value *value, const char *key,
                                             enum json_type type, struct json_error *error);
/* Records that the value violates a rule of the message; returns false. reason: static. */
bool json_value_fail(const struct json_value *value, enum json_fault fault, const char *reason,
                     struct json_error *error);
/* The same without a value: path is static text, may be empty. */
bool json_error_set(struct json_error *error, enum json_fault fault, const char *path,
                    const char *reason);

/* Whether the text is one string, number, true, false or null by the rules above, without
 * surrounding white space. For values that do not come from a document. */
bool json_scalar_is_valid(struct bytes text);

/* The same for an integer, as json_value_integer reads it. */
bool json_scalar_integer(struct bytes text, int64_t *integer);

/* Whether the text is one value of any type by the rules above, without surrounding white space,
 * with at most depth nested containers. */
bool json_text_is_value(struct bytes text, unsigned depth);

/* Nested containers: 0 for a scalar, 1 for []. */
unsigned json_value_depth(const struct json_value *value);
/* Whether every string and key in it is text (json_is_text). */
bool json_value_is_text(const struct json_value *value);
/* Appends the value without insignificant white space, otherwise its source bytes. */
void json_write_minified(struct writer *to, const struct json_value *value);

/* Whether the bytes can be written as a string: UTF-8 without a NUL, at which many readers, this
 * one included, truncate or refuse a text. */
bool json_is_text(struct bytes bytes);

/*
 * Writes one text: adds the commas, escapes strings. A string that is not text (json_is_text) fails
 * the underlying writer, which is checked once at the end.
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
/* A key; its value must be written next. */
void json_write_key(struct json_writer *json, struct bytes key);
void json_write_name(struct json_writer *json, const char *key);
void json_write_text(struct json_writer *json, struct bytes text);
void json_write_integer(struct json_writer *json, int64_t integer);
void json_write_boolean(struct json_writer *json, bool boolean);
void json_write_null(struct json_writer *json);
/* A value that is JSON already: json_value_raw, or an earlier text. */
void json_write_raw(struct json_writer *json, struct bytes value);
/* A member of an object, the source bytes of its key and value. */
void json_write_source(struct json_writer *json, const struct json_value *member);
/* A key and a string; a key and an array of strings. */
void json_write_member(struct json_writer *json, const char *key, struct bytes text);
void json_write_list(struct json_writer *json, const char *key, const struct bytes *texts,
                     size_t count);

#endif
