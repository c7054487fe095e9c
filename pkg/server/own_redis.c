/* own_redis: see the header. */
#include "server/own_redis.h"

#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/log.h"
#include "base/mem.h"

/* Quotes it as one word for a shell; the caller frees. */
static char *quote_shell_word(const char *path)
{
    struct writer text = {0};
    if (!path[strcspn(path, " \t\"'\\$`&|;<>()*?[]#~!{}")]) {
        return mem_strdup(path);
    }
    for (const char *at = path; *at; at++) {
        writer_format(&text, *at == '\'' ? "'\\%c'" : "%c", *at);
    }
    char *quoted = mem_format("'%.*s'", (int)text.len, (const char *)text.data);
    writer_free(&text);
    return quoted;
}

char *own_redis_start(struct loop *loop, const struct redis_settings *settings,
                      void (*died)(void *arg, int status), void *arg,
                      struct redis_embedded **embedded, char **url)
{
    char *error = NULL;
    *embedded = redis_embedded_start(loop, settings->server, settings->data, died, arg, &error);
    if (!*embedded) {
        return error;
    }
    const char *path = redis_embedded_socket(*embedded);
    char *word = quote_shell_word(path), *line = mem_format("redis-cli -s %s", word);
    *url = mem_format("unix:%s", path);
    log_info("redis_started", LOG_INT("pid", redis_embedded_pid(*embedded)),
             LOG_STRING("redis_cli", line), LOG_STRING("join", *url),
             LOG_STRING("data", *settings->data ? settings->data : NULL));
    free(word);
    free(line);
    return NULL;
}
