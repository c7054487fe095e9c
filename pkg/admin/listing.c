/* listing: what an owner writes, collected until it is worth sending. */
#include "admin/listing_private.h"

#include "base/mem.h"

static const char headers_of_lists[] =
    "Cache-Control: no-store\r\nX-Content-Type-Options: nosniff\r\n";
static const char headers_of_stale_lists[] =
    "Tracker-Stale: true\r\nCache-Control: no-store\r\nX-Content-Type-Options: nosniff\r\n";

static void drop_listing(struct listing *listing)
{
    loop_job_stop(listing->admin->loop, &listing->job);
    list_remove(&listing->link);
    admin_space_release(listing->space);
    writer_free(&listing->text);
    listing->free(listing);
}

static void end_stream(struct listing *listing)
{
    struct http_request *request = listing->request;
    drop_listing(listing);
    http_stream_end(request);
}

static void send_piece(struct listing *listing)
{
    bool is_complete = listing->is_complete;
    http_stream_send(listing->request, writer_bytes_written(&listing->text));
    writer_free(&listing->text);
    if (is_complete) {
        end_stream(listing);
    }
}

static void on_listing_ready(void *arg)
{
    struct listing *listing = arg;
    if (!http_request_conn(listing->request)) {
        end_stream(listing);
    } else if (listing->text.len > 0 || listing->is_complete) {
        send_piece(listing);
    } else {
        loop_job_start(listing->admin->loop, &listing->job);
    }
}

static void begin_stream(struct listing *listing)
{
    listing->is_sending = true;
    http_stream_begin(listing->request, 200, JSON_TYPE,
                      listing->stale ? headers_of_stale_lists : headers_of_lists, on_listing_ready,
                      listing);
    if (bytes_equal(http_request_method(listing->request), BYTES_LITERAL("HEAD"))) {
        end_stream(listing);
    }
}

/* It is complete within the first piece. */
static void answer_whole(struct listing *listing)
{
    struct http_request *request = listing->request;
    struct writer text = listing->text;
    bool stale = listing->stale;
    listing->text = (struct writer){0};
    drop_listing(listing);
    admin_respond_read(request, 200, &text, stale);
    writer_free(&text);
}

static void refuse_listing(struct listing *listing, const char *why)
{
    struct http_request *request = listing->request;
    drop_listing(listing);
    admin_respond_error(request, 503, why);
}

static bool on_listing_step(void *arg)
{
    struct listing *listing = arg;
    const size_t piece = (size_t)listing->admin->settings->chunk;
    if (!http_request_conn(listing->request) && !listing->is_sending) {
        refuse_listing(listing, "the client has disconnected");
        return false;
    }
    listing->is_complete = !listing->write(listing);
    if (!listing->is_complete && listing->text.len < piece) {
        return true;
    }
    if (listing->is_sending) {
        send_piece(listing);
    } else if (listing->is_complete) {
        answer_whole(listing);
    } else {
        begin_stream(listing);
    }
    return false;
}

void listing_start(struct listing *listing, struct admin *admin, struct http_request *request,
                   struct admin_space *space, bool stale, const char *label)
{
    listing->admin = admin;
    listing->request = request;
    listing->space = space;
    listing->stale = stale;
    listing->json = json_writer_over(&listing->text);
    listing->job = (struct loop_job){.step = on_listing_step, .arg = listing, .label = label};
    admin_space_keep(space);
    list_append(&admin->listings, &listing->link);
    loop_job_start(admin->loop, &listing->job);
}

void listing_end_all(struct admin *admin)
{
    while (!list_is_empty(&admin->listings)) {
        struct listing *listing = list_entry(admin->listings.next, struct listing, link);
        if (listing->is_sending) {
            end_stream(listing);
        } else {
            refuse_listing(listing, "the front-end is shutting down");
        }
    }
}

size_t listing_place_after(struct map_entry *const *entries, size_t count, struct bytes id)
{
    size_t low = 0, high = count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (bytes_compare(map_entry_id(entries[middle]), id) > 0) {
            high = middle;
        } else {
            low = middle + 1;
        }
    }
    return low;
}

void listing_note_id(struct writer *after, const struct map_entry *entry)
{
    writer_reset(after);
    writer_bytes(after, map_entry_id(entry));
}
