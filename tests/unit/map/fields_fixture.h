/*
 * fields_fixture: what tests of entries made of fields share, on top of fixture.h.
 */
#ifndef UNIT_MAP_FIELDS_FIXTURE_H
#define UNIT_MAP_FIELDS_FIXTURE_H

#include "map/fixture.h"

#include "schema/event.h"

#define KEY(name) "tracker:{main/1/0}:" name

static inline struct map_field field_of(const char *name, const char *value)
{
    return (struct map_field){bytes_from_string(name),
                              value ? bytes_from_string(value) : (struct bytes){0}};
}

static inline void client_ask_open(struct client *client, const struct map_open *open)
{
    map_session_open_fields(client->session, open, client_done, client);
}

static inline enum map_result client_open_fields(struct world *world, struct client *client,
                                                 const struct map_open *open)
{
    unsigned answers = client->answers;
    client_ask_open(client, open);
    WAIT_UNTIL(world, client->answers > answers);
    return client->result;
}

static inline enum map_result client_resume(struct world *world, struct client *client,
                                            const char *id, const char *resume)
{
    unsigned answers = client->answers;
    map_session_resume(client->session, bytes_from_string(id), bytes_from_string(resume),
                       client_done, client);
    WAIT_UNTIL(world, client->answers > answers);
    return client->result;
}

static inline bool client_set(struct client *client, const char *id, const char *name,
                              const char *value)
{
    struct map_field change = field_of(name, value);
    return map_session_set(client->session, bytes_from_string(id), &change, 1);
}

static inline const char *entry_key(const char *id)
{
    static char key[300];
    snprintf(key, sizeof key, KEY("client:%s"), id);
    return key;
}

/* A field as Redis has it; "" when it has none. */
static inline const char *stored(struct world *world, const char *id, const char *name)
{
    return WORLD_REDIS(world, "HGET", entry_key(id), name);
}

static inline bool is_stored(struct world *world, const char *id, const char *name,
                             const char *value)
{
    return !strcmp(stored(world, id, name), value);
}

static inline bool has_stored(struct world *world, const char *id, const char *name)
{
    WORLD_REDIS(world, "HEXISTS", entry_key(id), name);
    return world->reply_integer == 1;
}

/* What a view shows; value NULL: that it shows no such field. */
static inline bool shows_field(const struct observer *observer, const char *id, const char *name,
                               const char *value)
{
    struct map_entry *entry = map_view_find(observer->view, bytes_from_string(id));
    if (!entry) {
        return false;
    }
    struct bytes shown = map_entry_field(entry, name);
    return value ? shown.data && bytes_equal(shown, bytes_from_string(value)) : !shown.data;
}

/* The same of what the session has. */
static inline bool has_field_of(const struct client *client, const char *id, const char *name,
                                const char *value)
{
    struct bytes body = map_session_fields(client->session, bytes_from_string(id));
    struct bytes found = event_field_find(body, name);
    return value ? found.data && bytes_equal(found, bytes_from_string(value)) : !found.data;
}

#endif
