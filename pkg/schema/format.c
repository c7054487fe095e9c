#include "schema/format.h"

#include "base/log.h"
#include "base/mem.h"
#include "metrics/metrics.h"
#include "version.h"

/* A longer number is not a format: messages on the channels of spaces begin with a front-end's id,
 * which may have digits only. */
#define FORMAT_DIGITS 4

const struct format format_oldest = {"1", "1", "0.1.0"};
#ifdef TRACKER_NEXT_FORMAT
const struct format format_newest = {"2", "2", "0.3.0"};
#else
const struct format format_newest = {"1", "1", "0.1.0"};
#endif

/* The number at the beginning of a message; empty when there is none. */
static struct bytes read_format_number(struct bytes message)
{
    struct bytes word = bytes_next_word(&message);
    bool is_number = word.len > 0 && word.len <= FORMAT_DIGITS;
    for (size_t i = 0; i < word.len && is_number; i++) {
        is_number = word.data[i] >= '0' && word.data[i] <= '9';
    }
    return is_number ? word : (struct bytes){0};
}

bool format_is_known(struct bytes number)
{
    uint64_t format = bytes_decimal(number);
    return format >= bytes_decimal(bytes_from_string(format_oldest.number)) &&
           format <= bytes_decimal(bytes_from_string(format_newest.number));
}

uint64_t format_take_number(struct bytes *message)
{
    struct bytes number = read_format_number(*message);
    if (number.len == 0) {
        return 1;
    }
    bytes_next_word(message);
    return bytes_decimal(number);
}

bool format_is_unknown(enum format_channel channel, const char *prefix, struct bytes message)
{
    static const struct {
        const char *name;
        enum metric metric;
        bool numbered; /* from format 1 on */
    } channels[] = {[FORMAT_EVENTS] = {"events", METRIC_UNKNOWN_FORMAT_EVENTS, true},
                    [FORMAT_PRESENCE] = {"presence", METRIC_UNKNOWN_FORMAT_PRESENCE, true},
                    [FORMAT_ROOM] = {"room", METRIC_UNKNOWN_FORMAT_ROOM, true},
                    [FORMAT_RELAY] = {"relay", METRIC_UNKNOWN_FORMAT_RELAY, false}};
    static struct log_limit limit = {.burst = 5};
    struct bytes number = read_format_number(message);
    if (number.len == 0 ||
        (format_is_known(number) && (channels[channel].numbered || bytes_decimal(number) > 1))) {
        return false;
    }
    metrics_add(channels[channel].metric, 1);
    log_limited(LOG_WARN, &limit, "unknown_format", LOG_STRING("channel", channels[channel].name),
                LOG_STRING("prefix", prefix), LOG_BYTES("format", number),
                LOG_STRING("known", format_newest.number));
    return true;
}

static struct bytes or_question_mark(struct bytes text)
{
    return text.len > 0 ? text : BYTES_LITERAL("?");
}

char *format_explain(struct bytes format, struct bytes reader, struct bytes release)
{
    format = or_question_mark(format);
    reader = or_question_mark(reader);
    release = or_question_mark(release);
    return mem_format("the map in Redis has format %.*s, which readers of format %.*s and later "
                      "understand: trackerd %.*s or later; this is trackerd %s, which understands "
                      "formats %s to %s",
                      (int)format.len, (const char *)format.data, (int)reader.len,
                      (const char *)reader.data, (int)release.len, (const char *)release.data,
                      TRACKER_VERSION, format_oldest.number, format_newest.number);
}
