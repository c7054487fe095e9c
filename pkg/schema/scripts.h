/*
 * scripts: the texts of the scripts that run in Redis. The Makefile joins each of them from files
 * of scripts/; the head of a script says which.
 */
#ifndef SCHEMA_SCRIPTS_H
#define SCHEMA_SCRIPTS_H

/* NUL-terminated Lua. */
extern const char script_apply[], script_hello[], script_invite[], script_older_devices[],
    script_owners[], script_presence[], script_read[], script_recount[], script_repair_entries[],
    script_repair_rooms[], script_repair_users[], script_room[], script_shared[],
    script_shared_set[], script_sweep[], script_uninvite[];

#endif
