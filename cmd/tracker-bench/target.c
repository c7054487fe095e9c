/* target: see the header. */
#include "target.h"

#include <stdlib.h>
#include <string.h>
#include <sys/un.h>

#include "base/address.h"
#include "base/mem.h"
#include "bench.h"

static void resolve_target(struct target *target, const char *text)
{
    struct sockaddr_un *local = (struct sockaddr_un *)(void *)&target->address;
    struct address address;
    if (strncmp(text, "unix:", 5) == 0) {
        if (strlen(text + 5) >= sizeof local->sun_path)
            bench_fail("the path is too long: %s", text);
        local->sun_family = AF_UNIX;
        memcpy(local->sun_path, text + 5, strlen(text + 5) + 1);
        target->len = sizeof *local;
        return;
    }
    if (!address_parse(text, &address))
        bench_fail("neither ADDRESS:PORT nor unix:PATH: %s", text);
    target->len = address_to_sockaddr(&address, &target->address);
}

void targets_read(struct targets *targets, const char *text)
{
    char *words = mem_strdup(text);
    char *saved = NULL;
    for (char *word = strtok_r(words, ",", &saved); word; word = strtok_r(NULL, ",", &saved)) {
        if (targets->count == TARGETS_MAX)
            bench_fail("more than %d addresses: %s", TARGETS_MAX, text);
        resolve_target(&targets->all[targets->count++], word);
    }
    free(words);
    if (targets->count == 0)
        bench_fail("neither ADDRESS:PORT nor unix:PATH: %s", text);
}

const struct target *targets_at(const struct targets *targets, uint32_t number)
{
    return &targets->all[number % targets->count];
}
