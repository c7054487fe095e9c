/* encode_private: operations as arguments of the apply script. */
#ifndef MAP_ENCODE_PRIVATE_H
#define MAP_ENCODE_PRIVATE_H

#include <stddef.h>
#include <stdint.h>

#include "base/bytes.h"
#include "map/op.h"

struct op;
struct scratch;

struct arguments {
    struct bytes *keys;
    struct bytes *values;
    struct scratch *scratch; /* for texts that are made */
    size_t key_count, max_keys;
    size_t value_count, max_values;
};

void arguments_add_key(struct arguments *to, struct bytes key);
void scratch_begin(struct scratch *scratch, size_t size);
struct bytes scratch_join(struct scratch *scratch, const char *a, const char *b, struct bytes c);
struct bytes scratch_number(struct scratch *scratch, const char *before, uint64_t number);
/* Its keys, its name and what follows that. */
void encode_operation(struct arguments *to, const struct op *op);

/* For the table of kinds. */
void encode_fence(struct arguments *to, const struct op *op);
void encode_update(struct arguments *to, const struct op *op);
void encode_open(struct arguments *to, const struct op *op);
void encode_restore(struct arguments *to, const struct op *op);
void encode_set(struct arguments *to, const struct op *op);
void encode_resume(struct arguments *to, const struct op *op);
void encode_claim(struct arguments *to, const struct op *op);
void encode_close(struct arguments *to, const struct op *op);
void encode_ended(struct arguments *to, const struct op *op);
void encode_node(struct arguments *to, const struct op *op);

#endif
