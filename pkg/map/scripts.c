#include "map/map_private.h"

#include "map_scripts_data.h"

struct redis_script script_apply = {.name = "apply", .source = (const char *)script_apply_lua};
struct redis_script script_hello = {.name = "hello", .source = (const char *)script_hello_lua};
struct redis_script script_sweep = {.name = "sweep", .source = (const char *)script_sweep_lua};
struct redis_script script_read = {.name = "read", .source = (const char *)script_read_lua};
struct redis_script script_presence = {.name = "presence",
                                       .source = (const char *)script_presence_lua};
struct redis_script script_room = {.name = "room", .source = (const char *)script_room_lua};
struct redis_script script_invite = {.name = "invite", .source = (const char *)script_invite_lua};

void scripts_prepare(void)
{
    redis_script_prepare(&script_apply);
    redis_script_prepare(&script_hello);
    redis_script_prepare(&script_sweep);
    redis_script_prepare(&script_read);
    redis_script_prepare(&script_presence);
    redis_script_prepare(&script_room);
    redis_script_prepare(&script_invite);
}
