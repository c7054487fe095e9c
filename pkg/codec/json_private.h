/*
 * json_private: the representation of a document, for the files that create and read it.
 *
 * The values are in one array in the text's order, so a container precedes its members. The scan
 * records the position of each; cJSON, which runs after it, the contents of strings and numbers.
 */
#ifndef CODEC_JSON_PRIVATE_H
#define CODEC_JSON_PRIVATE_H

#include <cjson/cJSON.h>

#include "codec/json.h"

#define JSON_NO_VALUE UINT32_MAX

struct json_value {
    const struct json_document *document;
    const cJSON *item;
    uint32_t at, len;         /* in the text */
    uint32_t key_at, key_len; /* quotes included; 0, 0 without a key */
    uint32_t parent, next;    /* indices, or JSON_NO_VALUE */
    uint32_t last;            /* of its members; while scanning */
    uint32_t count;           /* members */
    enum json_type type;
};

struct json_document {
    struct bytes text;
    cJSON *tree;
    struct json_value *values;
    uint32_t count, capacity;
    bool has_lone_surrogates;
};

/* Fills the document's values from its text, except for their items. */
bool json_scan(struct json_document *document, const struct json_limits *limits,
               struct json_error *error) __attribute__((warn_unused_result));
/* The value of the four hexadecimal digits of an escape at `at`; -1 when they are malformed. */
int json_hex_unit(struct bytes text, size_t at);
/* Whether the escape of a low surrogate begins at `at`. */
bool json_is_low_surrogate(struct bytes text, size_t at);
/* Copies a text that the scan accepted, with each lone surrogate's escape as the bytes that UTF-8
 * would encode it as. */
void json_decode_surrogates(struct bytes text, struct writer *to);
/* Records a failure of the text; returns false. */
bool json_error_set_byte(struct json_error *error, enum json_fault fault, const char *reason,
                         size_t where);
/* Records that an object lacks a member; returns false. */
bool json_error_set_missing(const struct json_value *object, const char *key,
                            struct json_error *error);

#endif
