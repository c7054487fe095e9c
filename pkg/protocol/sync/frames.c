/* sync_frames: the bytes of what subscribers are sent, encoded once for all members. */
#include <stdlib.h>

#include "base/mem.h"
#include "protocol/sync/members.h"
#include "protocol/sync/sync_private.h"
#include "protocol/translate/translate.h"

static struct frame *message_frame(struct writer *text)
{
    struct frame *frame = websocket_frame_create(WEBSOCKET_TEXT, writer_bytes_written(text));
    writer_free(text);
    return frame;
}

struct frame *sync_frame_rest(const struct sync_subscribers *subscribers)
{
    size_t count;
    struct sync_entry *entries = sync_cache_entries(&subscribers->cache, &count);
    struct writer text = {0};
    struct frame *frame;
    (void)sync_write_metadata_rest(&text, entries, count, subscribers->service->version);
    frame = frame_create(writer_bytes_written(&text));
    writer_free(&text);
    free(entries);
    return frame;
}

static struct sync_changes changes_of(const struct sync_news *news)
{
    return (struct sync_changes){
        .opened = news->opened,
        .opened_count = news->opened_count,
        .closed = news->closed,
        .closed_count = news->closed_count,
        .properties = news->properties,
        .properties_count = news->properties_count,
    };
}

/* For clients that know what vanished. Returns the longer list, to be freed. */
static struct bytes *add_vanished(struct sync_changes *changes, const struct sync_news *news)
{
    struct bytes *closed =
        mem_zalloc(news->closed_count + news->vanished_count + 1, sizeof *closed);
    for (size_t i = 0; i < news->closed_count; i++) {
        closed[i] = news->closed[i];
    }
    for (size_t i = 0; i < news->vanished_count; i++) {
        closed[news->closed_count + i] = news->vanished[i];
    }
    changes->closed = closed;
    changes->closed_count = news->closed_count + news->vanished_count;
    return closed;
}

struct frame *sync_frame_changes(const struct sync_news *news, bool with_vanished)
{
    struct sync_changes changes = changes_of(news);
    struct bytes *closed = with_vanished ? add_vanished(&changes, news) : NULL;
    struct writer text = {0};
    (void)sync_write_changes(&text, &changes);
    free(closed);
    return message_frame(&text);
}

/* The changed properties of each entry in the news, one after the other. */
static struct sync_entry *write_changed_values(const struct sync_cache *cache,
                                               const struct sync_news *news, struct writer *texts)
{
    struct sync_entry *values = mem_zalloc(news->properties_count + 1, sizeof *values);
    size_t *starts = mem_zalloc(news->properties_count + 1, sizeof *starts);
    for (size_t i = 0; i < news->properties_count; i++) {
        const struct sync_item *item = sync_cache_find(cache, news->properties[i]);
        starts[i] = texts->len;
        if (item) {
            sync_members_write(texts, sync_item_json(item), writer_bytes_written(&item->names));
        }
    }
    starts[news->properties_count] = texts->len;
    for (size_t i = 0; i < news->properties_count; i++) {
        values[i] = (struct sync_entry){news->properties[i],
                                        {texts->data + starts[i], starts[i + 1] - starts[i]}};
    }
    free(starts);
    return values;
}

struct frame *sync_frame_delta(const struct sync_cache *cache, const struct sync_news *news,
                               bool with_vanished)
{
    struct sync_changes changes = changes_of(news);
    struct writer texts = {0}, text = {0};
    struct sync_entry *values = write_changed_values(cache, news, &texts);
    struct bytes *closed = with_vanished ? add_vanished(&changes, news) : NULL;
    changes.delta = true;
    changes.values = values;
    changes.values_count = news->properties_count;
    (void)sync_write_changes(&text, &changes);
    free(closed);
    free(values);
    writer_free(&texts);
    return message_frame(&text);
}

struct frame *sync_frame_joined(const struct sync_joined *joined)
{
    struct sync_changes changes = changes_of(&joined->news);
    struct writer text = {0};
    changes.delta = joined->values != NULL;
    changes.values = joined->values;
    changes.values_count = changes.delta ? joined->news.properties_count : 0;
    (void)sync_write_changes(&text, &changes);
    return message_frame(&text);
}
