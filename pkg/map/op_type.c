/* op_type: the table of the kinds of operations. */
#include "map/op_type_private.h"

#include "map/encode_private.h"
#include "map/op_private.h"

static const struct op_type types[] = {
    [OP_OPEN] = {.name = "open",
                 .key = "client:",
                 .encode = encode_open,
                 .on_accepted = result_accept_owned},
    [OP_UPDATE] = {.name = "update",
                   .key = "client:",
                   .encode = encode_update,
                   .on_accepted = result_accept_update,
                   .on_owned = result_write_refused},
    [OP_CLAIM] = {.name = "claim",
                  .key = "client:",
                  .encode = encode_claim,
                  .on_accepted = result_accept_owned},
    [OP_RESTORE] = {.name = "restore",
                    .key = "client:",
                    .encode = encode_restore,
                    .on_accepted = result_accept_restore,
                    .on_owned = result_restore_refused},
    [OP_SET] =
        {.name = "set", .key = "client:", .encode = encode_set, .on_owned = result_write_refused},
    [OP_RESUME] = {.name = "resume",
                   .key = "client:",
                   .encode = encode_resume,
                   .on_accepted = result_accept_resume,
                   .on_owned = result_drop_owner},
    [OP_CLOSE] = {.name = "close",
                  .key = "client:",
                  .encode = encode_close,
                  .on_accepted = result_accept_close},
    [OP_ORPHAN] = {.name = "orphan",
                   .key = "client:",
                   .encode = encode_fence,
                   .on_accepted = result_accept_orphan},
    [OP_ENDED] = {.name = "ended", .key = "client:", .encode = encode_ended},
    [OP_REAP] =
        {.name = "reap", .key = "client:", .of_sweep = true, .on_accepted = result_accept_reap},
    [OP_ORPHAN_NODE] = {.name = "orphan_node",
                        .key = "client:",
                        .of_sweep = true,
                        .has_node_key = true,
                        .encode = encode_node,
                        .on_accepted = result_accept_orphan_node},
    [OP_FORGET_NODE] = {.name = "forget_node",
                        .key = "client:",
                        .of_sweep = true,
                        .has_node_key = true,
                        .encode = encode_node},
    [OP_OFFLINE] = {.name = "offline", .key = "user:", .of_sweep = true},
    [OP_REGISTER] = {.name = "register",
                     .key = "client:",
                     .encode = encode_register,
                     .on_accepted = result_accept_register},
    [OP_UNREGISTER] = {.name = "unregister", .key = "client:"},
    [OP_PROBE] =
        {.name = "probe", .key = "client:", .of_sweep = true, .on_accepted = result_accept_probe},
    [OP_PROBE_SOON] = {.name = "probe_soon",
                       .key = "client:",
                       .on_accepted = result_accept_probe_soon},
    [OP_JOIN] = {.name = "join", .key = "room:", .of_room = true, .encode = encode_join},
    [OP_LEAVE] = {.name = "leave", .key = "room:", .of_room = true, .encode = encode_leave},
    [OP_EVICT_MEMBER] = {.name = "evict_member",
                         .key = "room:",
                         .of_room = true,
                         .of_sweep = true,
                         .encode = encode_evict_member},
    [OP_PUBLISH] = {.name = "publish", .key = "room:", .of_room = true, .encode = encode_publish},
};

const struct op_type *op_type_of(const struct op *op)
{
    return &types[op->kind];
}
