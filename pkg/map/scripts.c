#include "map/map_private.h"

#include "base/mem.h"
#include "map_scripts_data.h"

struct redis_script script_apply = {.name = "apply"};
struct redis_script script_hello = {.name = "hello", .source = (const char *)script_hello_lua};
struct redis_script script_sweep = {.name = "sweep", .source = (const char *)script_sweep_lua};
struct redis_script script_read = {.name = "read", .source = (const char *)script_read_lua};
struct redis_script script_presence = {.name = "presence",
                                       .source = (const char *)script_presence_lua};
struct redis_script script_room = {.name = "room", .source = (const char *)script_room_lua};
struct redis_script script_shared = {.name = "shared", .source = (const char *)script_shared_lua};
struct redis_script script_invite = {.name = "invite", .source = (const char *)script_invite_lua};

/* One script in several files, as each has to be short enough to be read. */
static void join_apply(void)
{
    static char *joined;
    if (!joined)
        joined =
            mem_format("%s%s%s%s%s%s", script_apply_lua, script_users_lua, script_apply_users_lua,
                       script_apply_rooms_lua, script_apply_registry_lua, script_apply_write_lua);
    script_apply.source = joined;
}

void scripts_prepare(void)
{
    join_apply();
    redis_script_prepare(&script_apply);
    redis_script_prepare(&script_hello);
    redis_script_prepare(&script_sweep);
    redis_script_prepare(&script_read);
    redis_script_prepare(&script_presence);
    redis_script_prepare(&script_room);
    redis_script_prepare(&script_invite);
    redis_script_prepare(&script_shared);
}
