/*
 * redis_fixture: real redis-servers for the tests of package redis, a blocking connection to ask
 * them by (hiredis's own, so that it is independent of what is tested), and a link with records of
 * what it called.
 *
 * Each server lives in a directory of its own and listens on a unix socket there; server_stop
 * kills it by its pid and removes the directory. Waiting is for conditions, bounded by PATIENCE_MS.
 */
#ifndef REDIS_FIXTURE_H
#define REDIS_FIXTURE_H

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/random.h"
#include "config/config.h"
#include "loop/loop.h"
#include "metrics/metrics.h"
#include "patience.h"
#include "redis/redis.h"
#include "redis/redis_acl.h"

#include <hiredis/hiredis.h>

#define PATIENCE_MS ((int)(30000 * patience_scale()))

/* Turns the loop until the condition holds. */
#define WAIT_FOR(loop, condition)                                                                  \
    do {                                                                                           \
        struct patience patience_ = patience_begin();                                              \
        while (!(condition)) {                                                                     \
            if (patience_is_over(&patience_)) {                                                    \
                fail_msg("waited in vain for %s", #condition);                                     \
            }                                                                                      \
            loop_iterate(loop, 10);                                                                \
        }                                                                                          \
    } while (0)

struct server {
    pid_t pid;
    char directory[64];
    char socket[96];
    const char *password;
    const char *rights; /* more of the documented users; see server_grant */
    bool has_users;     /* the documented ones */
};

static inline int fixture_remove_one(const char *path, const struct stat *status, int kind,
                                     struct FTW *at)
{
    return remove(path);
}

static inline redisContext *server_try_connect(const struct server *server);

/* Before it ends, where it has the documented users; a test may have killed it. */
static inline void server_check_users(const struct server *server)
{
    if (server->has_users && kill(server->pid, SIGCONT) == 0) {
        redisContext *context = server_try_connect(server);

        if (context->err == 0) {
            redis_acl_check(context);
        }
        redisFree(context);
    }
}

static inline void server_stop(struct server *server)
{
    if (server->pid > 0) {
        server_check_users(server);
        (void)kill(server->pid, SIGKILL);
        (void)waitpid(server->pid, NULL, 0);
        server->pid = 0;
    }
    if (server->directory[0] != '\0') {
        (void)nftw(server->directory, fixture_remove_one, 8, FTW_DEPTH | FTW_PHYS);
        server->directory[0] = '\0';
    }
}

static inline redisContext *server_try_connect(const struct server *server)
{
    redisContext *context = redisConnectUnix(server->socket);

    assert_non_null(context);
    if (context->err == 0 && server->password) {
        redisReply *reply = redisCommand(context, "AUTH %s", server->password);

        if (reply) {
            freeReplyObject(reply);
        }
    }
    return context;
}

static inline redisContext *server_connect(const struct server *server)
{
    redisContext *context = server_try_connect(server);

    assert_int_equal(context->err, 0);
    return context;
}

static inline bool server_answers(const struct server *server)
{
    redisContext *context = server_try_connect(server);
    redisReply *reply = context->err == 0 ? redisCommand(context, "PING") : NULL;
    bool answers = reply != NULL;

    if (reply) {
        freeReplyObject(reply);
    }
    redisFree(context);
    return answers;
}

/* The documented users, unless it has users or passwords of the test's own. */
static inline void server_make_users(struct server *server)
{
    if (redis_acl_file() && !server->password) {
        redisContext *context = server_connect(server);

        redis_acl_apply(context, server->rights ? server->rights : "");
        redisFree(context);
        server->has_users = true;
    }
}

/* Starts it in its directory, which must be set, with more arguments (ended by NULL, or none). */
static inline void server_launch(struct server *server, const char *const *more)
{
    const char *arguments[64] = {"redis-server",
                                 "--port",
                                 "0",
                                 "--unixsocket",
                                 server->socket,
                                 "--dir",
                                 server->directory,
                                 "--save",
                                 "",
                                 "--logfile",
                                 "log",
                                 "--enable-debug-command",
                                 "local"};
    size_t count = 13;
    pid_t parent = getpid();
    uint64_t until = clock_monotonic_us() + (uint64_t)PATIENCE_MS * 1000;

    for (; more && *more; more++) {
        arguments[count++] = *more;
    }
    server->has_users = false;
    server->pid = fork();
    assert_true(server->pid >= 0);
    if (server->pid == 0) {
        (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (getppid() == parent) {
            execvp(arguments[0], (char *const *)arguments);
        }
        _exit(127);
    }
    while (!server_answers(server)) {
        if (waitpid(server->pid, NULL, WNOHANG) == server->pid) {
            fail_msg("redis-server ended at start");
        }
        assert_true(clock_monotonic_us() < until);
        (void)poll(NULL, 0, 5);
    }
    server_make_users(server);
}

static inline void server_make_directory(struct server *server)
{
    *server = (struct server){.directory = "/tmp/test-redis-XXXXXX"};
    assert_non_null(mkdtemp(server->directory));
    (void)snprintf(server->socket, sizeof server->socket, "%s/s", server->directory);
}

static inline void server_start(struct server *server, const char *const *more)
{
    server_make_directory(server);
    server_launch(server, more);
}

/* Under TRACKER_TEST_ACL: lets the documented users do what only the test asks for. */
static inline void server_grant(struct server *server, const char *rights)
{
    server->rights = rights;
    server_make_users(server);
}

/* One command over a connection of its own; the reply (an array's last element) as text, which the
 * caller frees. */
static inline char *server_ask(const struct server *server, const char *command, ...)
{
    redisContext *context = server_connect(server);
    char text[64] = "(array)";
    const redisReply *last;
    redisReply *reply;
    char *result;
    va_list list;

    va_start(list, command);
    reply = redisvCommand(context, command, list);
    va_end(list);
    assert_non_null(reply);
    last = reply->elements > 0 ? reply->element[reply->elements - 1] : reply;
    if (last->type == REDIS_REPLY_INTEGER) {
        (void)snprintf(text, sizeof text, "%lld", last->integer);
    } else if (last->type == REDIS_REPLY_NIL) {
        (void)snprintf(text, sizeof text, "(nil)");
    }
    result = last->str ? mem_dup(last->str, (size_t)last->len) : mem_strdup(text);
    freeReplyObject(reply);
    redisFree(context);
    return result;
}

#define server_expect(server, expected, ...)                                                       \
    do {                                                                                           \
        char *reply_ = server_ask(server, __VA_ARGS__);                                            \
        assert_string_equal(reply_, expected);                                                     \
        free(reply_);                                                                              \
    } while (0)

/* What a callback was called with, the last time. */
struct seen {
    unsigned called;
    enum redis_status status;
    enum redis_type type;
    enum redis_refusal refusal;
    int64_t integer;
    char text[512];
};

static inline void seen_record(void *arg, enum redis_status status, const struct redis_reply *reply)
{
    struct seen *seen = arg;

    seen->called++;
    seen->status = status;
    seen->text[0] = '\0';
    if (reply) {
        size_t len = reply->text.len < sizeof seen->text ? reply->text.len : sizeof seen->text - 1;

        seen->type = reply->type;
        seen->integer = reply->integer;
        seen->refusal = redis_refusal_of(reply);
        if (len > 0) {
            memcpy(seen->text, reply->text.data, len);
        }
        seen->text[len] = '\0';
    }
}

/* A loop, settings with their defaults, and a link. */
struct world {
    struct loop *loop;
    struct config *config;
    struct redis_settings settings;
    struct redis_target target;
    struct redis_link *link;
    unsigned ups;
    unsigned downs;
    unsigned unfits;
    unsigned fails;
    char run_id[64];
    char why[256];
};

static inline void world_up(void *arg, const char *run_id)
{
    struct world *world = arg;

    world->ups++;
    (void)snprintf(world->run_id, sizeof world->run_id, "%s", run_id);
}

static inline void world_down(void *arg)
{
    struct world *world = arg;

    world->downs++;
    assert_false(redis_link_is_up(world->link));
}

static inline void world_unfit(void *arg, const char *why)
{
    struct world *world = arg;

    world->unfits++;
    (void)snprintf(world->why, sizeof world->why, "%s", why);
}

static inline void world_failed(void *arg, const char *why)
{
    struct world *world = arg;

    world->fails++;
    assert_true(strlen(why) > 0);
}

/* target: see redis_target_parse. No link yet. */
static inline void world_create(struct world *world, const char *target)
{
    char *error;

    *world = (struct world){.loop = loop_create(), .config = config_create()};
    config_add(world->config, &redis_config, &world->settings);
    error = redis_target_parse(target, &world->target);
    assert_null(error);
}

static inline void world_create_for(struct world *world, const struct server *server)
{
    char *url = mem_format("unix:%s", server->socket);

    world_create(world, url);
    free(url);
    if (server->has_users) {
        redis_acl_log_in(world->config, "tracker");
    }
}

static inline void world_set(struct world *world, const char *assignment)
{
    char *error = config_set(world->config, assignment);

    assert_null(error);
}

static inline void world_link(struct world *world)
{
    const struct redis_link_callbacks callbacks = {
        .up = world_up, .down = world_down, .unfit = world_unfit, .failed = world_failed};

    world->link = redis_link_create(world->loop, "commands", &world->target, &world->settings,
                                    &callbacks, world);
}

static inline void world_link_up(struct world *world)
{
    world_link(world);
    WAIT_FOR(world->loop, redis_link_is_up(world->link));
}

static inline void world_destroy(struct world *world)
{
    redis_link_destroy(&world->link);
    config_destroy(&world->config);
    config_free_values(&redis_config, &world->settings);
    loop_destroy(&world->loop);
    redis_target_free(&world->target);
}

static inline int fixture_init(void **state)
{
    (void)signal(SIGPIPE, SIG_IGN);
    random_init();
    log_configure(getenv("TEST_LOG") ? LOG_DEBUG : LOG_ERROR, LOG_FORMAT_LOGFMT);
    return 0;
}

#endif
