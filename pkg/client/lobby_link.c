/* lobby_link: connecting, reconnecting, and splitting the input into lines. */
#include "client/lobby_link_private.h"

#include <stdlib.h>
#include <string.h>

#include "base/address.h"
#include "base/mem.h"
#include "base/random.h"
#include "stream/backoff.h"
#include "tls/tls.h"

#define DEFAULT_CONNECT_TIMEOUT_MS 5000
#define DEFAULT_REPLY_TIMEOUT_MS   20000
#define DEFAULT_IDLE_TIMEOUT_MS    35000
#define DEFAULT_BACKOFF_MS         250
#define DEFAULT_BACKOFF_MAX_MS     30000
#define DEFAULT_MAX_OUTPUT         (64 * 1024)

static uint64_t next_lobby_pause(struct lobby_link *link)
{
    const struct stream_backoff backoff = {link->options.backoff_ms, link->options.backoff_max_ms};
    const unsigned failures = link->failures++;
    return link->is_rejected ? stream_backoff_pause_after_refusal(&backoff)
                             : stream_backoff_pause(&backoff, failures);
}

static void on_lobby_link_down(void *arg, const char *reason)
{
    struct lobby_link *link = arg;
    link->logged_in = false;
    loop_timer_stop(link->watchdog);
    if (link->running) {
        loop_timer_start(link->retry, next_lobby_pause(link));
    }
    link->events->down(link->arg, reason);
}

static void arm_watchdog(struct lobby_link *link)
{
    if (!link->logged_in) {
        loop_timer_start(link->watchdog, link->options.reply_timeout_ms);
    } else if (link->expects_traffic) {
        loop_timer_start(link->watchdog, link->options.idle_timeout_ms);
    } else {
        loop_timer_stop(link->watchdog);
    }
}

static void on_watchdog(void *arg)
{
    struct lobby_link *link = arg;
    wire_fail(&link->wire,
              link->logged_in ? "no traffic from the tracker" : "no reply to the login");
}

static void on_up(void *arg)
{
    struct lobby_link *link = arg;
    link->is_rejected = false;
    arm_watchdog(link);
    link->events->up(link->arg);
}

/* Whether an early retry would only be refused again. */
static bool is_permanent_refusal(enum lobby_code code)
{
    return code == LOBBY_CODE_BAD_PASSWORD || code == LOBBY_CODE_BANNED ||
           code == LOBBY_CODE_UNVERIFIED || code == LOBBY_CODE_ADDRESS_LIMIT ||
           code == LOBBY_CODE_TAKEN || code == LOBBY_CODE_RATE || code == LOBBY_CODE_NOT_A_SERVER;
}

/* Temporary refusals: the backoff keeps growing, also when a welcome preceded the refusal. */
static bool is_temporary_refusal(enum lobby_code code)
{
    return code == LOBBY_CODE_UNAVAILABLE || code == LOBBY_CODE_FULL;
}

static void on_lobby_refusal(struct lobby_link *link, enum lobby_code code)
{
    if (is_permanent_refusal(code)) {
        link->is_rejected = true;
    }
    if (is_temporary_refusal(code) && link->failures < link->earlier_failures) {
        link->failures = link->earlier_failures;
    }
}

/* False when the line is not a valid message. */
static bool handle_lobby_line(struct lobby_link *link, struct bytes line)
{
    static const struct lobby_limits limits = LOBBY_LIMITS_DEFAULT;
    struct lobby_message message;
    struct lobby_error error = {0};
    if (!lobby_read(line, LOBBY_FROM_TRACKER, &limits, &message, &error)) {
        return false;
    }
    if (message.type == LOBBY_ERROR) {
        on_lobby_refusal(link, lobby_code_parse(message.code));
    }
    arm_watchdog(link);
    link->events->message(link->arg, &message);
    lobby_message_free(&message);
    return true;
}

static size_t on_bytes(void *arg, struct bytes input)
{
    struct lobby_link *link = arg;
    const unsigned generation = link->wire.generation;
    size_t taken = 0;
    for (;;) {
        struct bytes left = {input.data + taken, input.len - taken};
        struct lobby_line line = lobby_read_line(left, LOBBY_LINE_MAX);
        taken += line.consumed;
        if (line.outcome == LOBBY_LINE_MORE) {
            return taken;
        }
        if (line.outcome == LOBBY_LINE_TOO_LONG || !handle_lobby_line(link, line.text)) {
            wire_fail(&link->wire, "malformed message from the tracker");
            return 0;
        }
        if (link->wire.generation != generation) {
            return 0;
        }
    }
}

static const struct wire_events wire_events = {
    .up = on_up, .bytes = on_bytes, .down = on_lobby_link_down};

static void on_lobby_retry(void *arg)
{
    struct lobby_link *link = arg;
    const struct lobby_options *options = &link->options;
    wire_connect(&link->wire, &(struct wire_options){.target = &link->target,
                                                     .attempt = link->failures,
                                                     .source = options->source,
                                                     .tls = options->tls,
                                                     .server_name = options->server_name,
                                                     .timeout_ms = options->connect_timeout_ms});
}

static void set_lobby_defaults(struct lobby_options *options)
{
    if (options->connect_timeout_ms == 0) {
        options->connect_timeout_ms = DEFAULT_CONNECT_TIMEOUT_MS;
    }
    if (options->reply_timeout_ms == 0) {
        options->reply_timeout_ms = DEFAULT_REPLY_TIMEOUT_MS;
    }
    if (options->idle_timeout_ms == 0) {
        options->idle_timeout_ms = DEFAULT_IDLE_TIMEOUT_MS;
    }
    if (options->backoff_ms == 0) {
        options->backoff_ms = DEFAULT_BACKOFF_MS;
    }
    if (options->backoff_max_ms == 0) {
        options->backoff_max_ms = DEFAULT_BACKOFF_MAX_MS;
    }
    if (options->backoff_max_ms > INT32_MAX) {
        options->backoff_max_ms = INT32_MAX;
    }
    if (options->max_output == 0) {
        options->max_output = DEFAULT_MAX_OUTPUT;
    }
}

static void release_lobby_link(void *arg)
{
    struct lobby_link *link = arg;
    wire_target_free(&link->target);
    free((char *)link->options.server_name);
    free((char *)link->options.source);
    if (link->options.tls) {
        tls_context_unref(&link->options.tls);
    }
    link->events->release(link->arg);
}

char *lobby_link_init(struct lobby_link *link, struct loop *loop,
                      const struct lobby_options *options, bool expects_traffic,
                      const struct lobby_link_events *events, void *arg)
{
    struct wire_target target;
    struct address source;
    random_init();
    if (options->source && !address_parse_ip(options->source, &source)) {
        return mem_format("not a numeric address: %s", options->source);
    }
    if (!options->target || !wire_target_parse(options->target, &target)) {
        return mem_format("invalid target: %s (expected host:port, [v6]:port or unix:/path)",
                          options->target ? options->target : "");
    }
    *link = (struct lobby_link){.loop = loop,
                                .events = events,
                                .arg = arg,
                                .options = *options,
                                .target = target,
                                .expects_traffic = expects_traffic};
    link->options.target = NULL;
    set_lobby_defaults(&link->options);
    if (options->server_name) {
        link->options.server_name = mem_strdup(options->server_name);
    }
    if (options->source) {
        link->options.source = mem_strdup(options->source);
    }
    if (options->tls) {
        link->options.tls = tls_context_ref(options->tls);
    }
    wire_init(&link->wire, loop, &wire_events, link);
    link->retry = loop_timer_create(loop, on_lobby_retry, link);
    link->watchdog = loop_timer_create(loop, on_watchdog, link);
    link->release = (struct loop_task){.callback = release_lobby_link, .arg = link};
    return NULL;
}

void lobby_link_end(struct lobby_link *link)
{
    lobby_link_stop(link);
    loop_timer_destroy(&link->retry);
    loop_timer_destroy(&link->watchdog);
    loop_defer(link->loop, LOOP_PHASE_FREE, &link->release);
}

void lobby_link_start(struct lobby_link *link)
{
    link->running = true;
    if (link->wire.state == WIRE_DOWN && !loop_timer_is_running(link->retry)) {
        loop_timer_start(link->retry, 0);
    }
}

void lobby_link_stop(struct lobby_link *link)
{
    link->running = link->logged_in = false;
    wire_close(&link->wire);
    loop_timer_stop(link->retry);
    loop_timer_stop(link->watchdog);
}

void lobby_link_accept_login(struct lobby_link *link)
{
    link->logged_in = true;
    link->earlier_failures = link->failures;
    link->failures = 0;
    arm_watchdog(link);
}

bool lobby_link_is_up(const struct lobby_link *link)
{
    return link->wire.state == WIRE_UP;
}

void lobby_link_send(struct lobby_link *link)
{
    if (link->wire.out.len > link->options.max_output) {
        wire_fail(&link->wire, "output limit exceeded: the tracker does not read");
    } else {
        wire_send(&link->wire);
    }
}
