/*
 * search: the place in an entry is kept as offsets, since the entry may change between two steps.
 * Then it is searched from its beginning: as often as RESTARTS, after that in one step, so that a
 * client that keeps changing its entry holds up no search.
 */
#include "admin/search.h"

#include <string.h>

#include "view/view.h"

#define RESTARTS 3

bool search_take_prefix(struct bytes *field)
{
    if (field->len < 2 || memcmp(field->data, "p:", 2) != 0) {
        return false;
    }
    field->data += 2;
    field->len -= 2;
    return true;
}

void search_begin(struct entry_search *search, struct bytes text, bool addresses)
{
    *search = (struct entry_search){.addresses = addresses};
    fold_search_begin(&search->folded, text);
}

void search_end(struct entry_search *search)
{
    fold_search_end(&search->folded);
    writer_free(&search->id);
}

static void enter_part(struct entry_search *search, enum search_part part, size_t field)
{
    search->part = part;
    search->field = field;
    search->at = 0;
    fold_search_restart(&search->folded);
}

/* A text in an entry. */
struct search_text {
    struct bytes text;
    bool is_json;
    bool has_name;     /* the value of a property */
    size_t next_field; /* the offset of the next one */
};

/* The text at the search's place; false behind the last one. */
static bool locate_text(struct entry_search *search, const struct map_entry *entry,
                        struct search_text *found)
{
    struct bytes field, value;
    *found = (struct search_text){0};
    if (search->part == SEARCH_ID || search->part == SEARCH_STATE) {
        found->text = search->part == SEARCH_ID ? map_entry_id(entry) : map_entry_state(entry);
        return true;
    }
    found->next_field = search->field;
    while (map_entry_next_field(entry, &found->next_field, &field, &value)) {
        if (bytes_equal(field, BYTES_LITERAL("session")) ||
            (!search->addresses && bytes_equal(field, BYTES_LITERAL("address")))) {
            search->field = found->next_field;
            continue;
        }
        bool is_property = search_take_prefix(&field);
        found->text = search->part == SEARCH_NAME ? field : value;
        found->has_name = found->is_json = is_property && search->part == SEARCH_VALUE;
        return true;
    }
    return false;
}

static void enter_next_part(struct entry_search *search, const struct search_text *text)
{
    if (search->part == SEARCH_ID) {
        enter_part(search, SEARCH_STATE, 0);
    } else if (text->has_name) {
        enter_part(search, SEARCH_NAME, search->field);
    } else {
        enter_part(search, SEARCH_VALUE, text->next_field);
    }
}

/* Unless it is the entry of the last step, unchanged. */
static void enter_entry(struct entry_search *search, const struct map_entry *entry)
{
    uint64_t revision = map_entry_revision(entry);
    bool is_same =
        search->is_inside && bytes_equal(writer_bytes_written(&search->id), map_entry_id(entry));
    if (is_same && search->revision == revision) {
        return;
    }
    search->restarts = is_same ? search->restarts + 1 : 0;
    search->is_inside = true;
    search->revision = revision;
    writer_reset(&search->id);
    writer_bytes(&search->id, map_entry_id(entry));
    enter_part(search, SEARCH_ID, 0);
}

enum search_result search_step(struct entry_search *search, const struct map_entry *entry)
{
    size_t until = search->searched + FOLD_PIECE;
    struct search_text text;
    enter_entry(search, entry);
    while (locate_text(search, entry, &text)) {
        size_t before = search->at;
        bool found = fold_search_piece(&search->folded, text.text, text.is_json, &search->at);
        search->searched += search->at - before;
        if (found) {
            search->is_inside = false;
            return SEARCH_FOUND;
        }
        if (search->at >= text.text.len) {
            enter_next_part(search, &text);
        }
        if (search->searched >= until && search->restarts < RESTARTS) {
            return SEARCH_MORE;
        }
    }
    search->is_inside = false;
    return SEARCH_NOT_FOUND;
}
