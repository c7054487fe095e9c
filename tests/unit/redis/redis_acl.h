/*
 * redis_acl: the users of docker/redis-acl.conf in the tests' own redis-servers, where the variable
 * TRACKER_TEST_ACL is the path of that file (tests/run makes it so). The password of each is its
 * name. What is tested logs in as `tracker` or `trackerctl`, and the test itself is `default`.
 * Before a server ends its ACL LOG is read: an entry of theirs in it ends the program.
 */
#ifndef REDIS_ACL_H
#define REDIS_ACL_H

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "config/config.h"

#include <hiredis/hiredis.h>

#define REDIS_ACL_WORDS 128

static inline const char *redis_acl_file(void)
{
    const char *path = getenv("TRACKER_TEST_ACL");

    return path != NULL && path[0] == '/' ? path : NULL;
}

static inline void redis_acl_fatal(const char *what, const char *which)
{
    (void)fflush(stdout);
    (void)fprintf(stderr, "ACL: %s: %s\n", what, which);
    _exit(1);
}

static inline redisReply *redis_acl_ask(redisContext *context, int count, const char **words)
{
    redisReply *reply = redisCommandArgv(context, count, words, NULL);

    if (!reply) {
        redis_acl_fatal("Redis does not answer", context->errstr);
    }
    if (reply->type == REDIS_REPLY_ERROR) {
        redis_acl_fatal("refused", reply->str);
    }
    return reply;
}

/* A line of the file, as in "user NAME on >PASSWORD RIGHT...", with more rights. */
static inline void redis_acl_make_user(redisContext *context, char *line, const char *more)
{
    const char *words[REDIS_ACL_WORDS] = {"ACL", "SETUSER"};
    char *rights = mem_strdup(more), *password = NULL, *rest = NULL;
    int count = 2;

    (void)strtok_r(line, " \n", &rest);
    for (char *word; (word = strtok_r(NULL, " \n", &rest));) {
        if (count >= REDIS_ACL_WORDS / 2) {
            redis_acl_fatal("too many words", word);
        }
        if (word[0] == '>') {
            password = mem_format(">%s", words[2]);
            word = password;
        }
        words[count++] = word;
    }
    for (char *word = strtok_r(rights, " ", &rest); word; word = strtok_r(NULL, " ", &rest)) {
        if (count >= REDIS_ACL_WORDS) {
            redis_acl_fatal("too many words", word);
        }
        words[count++] = word;
    }
    freeReplyObject(redis_acl_ask(context, count, words));
    free(password);
    free(rights);
}

/* Makes the users, with more rights ("" for none): those for what only a test asks. */
static inline void redis_acl_apply(redisContext *context, const char *more)
{
    const char *path = redis_acl_file();
    FILE *file = path ? fopen(path, "re") : NULL;
    char *line = NULL;
    size_t size = 0;

    if (!path) {
        return;
    }
    if (!file) {
        redis_acl_fatal("cannot be read", path);
    }
    while (getline(&line, &size, file) > 0) {
        if (strncmp(line, "user ", 5) == 0) {
            redis_acl_make_user(context, line, more);
        }
    }
    free(line);
    (void)fclose(file);
}

/* Lets settings of Redis log in as that user. */
static inline void redis_acl_log_in(struct config *config, const char *user)
{
    static const char *const keys[] = {"user", "password"};

    for (size_t i = 0; redis_acl_file() && i < 2; i++) {
        char *assignment = mem_format("redis.%s=%s", keys[i], user);
        char *error = config_set(config, assignment);

        if (error) {
            redis_acl_fatal("refused", error);
        }
        free(assignment);
    }
}

/* Ends the program where that entry of the ACL LOG, name and value in turn, is of a documented
 * user; but for a login: a link may come before the users of a server that was started again. */
static inline void redis_acl_judge(const redisReply *entry)
{
    const char *object = "?", *user = "";

    for (size_t i = 0; i + 1 < entry->elements; i += 2) {
        if (strcmp(entry->element[i]->str, "object") == 0) {
            object = entry->element[i + 1]->str;
        } else if (strcmp(entry->element[i]->str, "username") == 0) {
            user = entry->element[i + 1]->str;
        }
    }
    if ((strcmp(user, "tracker") == 0 || strcmp(user, "trackerctl") == 0) &&
        strcmp(object, "AUTH") != 0) {
        redis_acl_fatal(user, object);
    }
}

/* They were refused nothing. A server that a test has killed is not asked. */
static inline void redis_acl_check(redisContext *context)
{
    const char *words[] = {"ACL", "LOG", "128"};
    redisReply *reply;

    if (!redis_acl_file()) {
        return;
    }
    reply = redisCommandArgv(context, 3, words, NULL);
    for (size_t i = 0; reply && i < reply->elements; i++) {
        redis_acl_judge(reply->element[i]);
    }
    freeReplyObject(reply);
}

#endif
