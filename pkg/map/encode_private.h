/* encode_private: operations as arguments of the apply script. */
#ifndef MAP_ENCODE_PRIVATE_H
#define MAP_ENCODE_PRIVATE_H

#include <stddef.h>
#include <stdint.h>

#include "base/bytes.h"

struct op;
struct scratch;

struct arguments {
    struct bytes *keys;
    struct bytes *values;
    size_t key_count;
    size_t value_count;
};

void add_key(struct arguments *to, struct bytes key);
void add_value(struct arguments *to, struct bytes value);
void scratch_begin(struct scratch *scratch, size_t size);
struct bytes scratch_join(struct scratch *scratch, const char *a, const char *b, struct bytes c);
struct bytes scratch_number(struct scratch *scratch, const char *before, uint64_t number);
void encode_operation(struct arguments *to, struct scratch *scratch, const struct op *op);

/* What follows the kind of an operation: for the table of kinds. */
void encode_fence(struct arguments *to, struct scratch *scratch, const struct op *op);
void encode_update(struct arguments *to, struct scratch *scratch, const struct op *op);
void encode_open(struct arguments *to, struct scratch *scratch, const struct op *op);
void encode_restore(struct arguments *to, struct scratch *scratch, const struct op *op);
void encode_set(struct arguments *to, struct scratch *scratch, const struct op *op);
void encode_resume(struct arguments *to, struct scratch *scratch, const struct op *op);
void encode_claim(struct arguments *to, struct scratch *scratch, const struct op *op);
void encode_close(struct arguments *to, struct scratch *scratch, const struct op *op);
void encode_ended(struct arguments *to, struct scratch *scratch, const struct op *op);
void encode_node(struct arguments *to, struct scratch *scratch, const struct op *op);
void encode_register(struct arguments *to, struct scratch *scratch, const struct op *op);
void encode_join(struct arguments *to, struct scratch *scratch, const struct op *op);
void encode_leave(struct arguments *to, struct scratch *scratch, const struct op *op);
void encode_evict_member(struct arguments *to, struct scratch *scratch, const struct op *op);
void encode_publish(struct arguments *to, struct scratch *scratch, const struct op *op);

#endif
