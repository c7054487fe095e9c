/* target: see the header. */
#include "target.h"

#include <stdlib.h>
#include <string.h>

#include "base/address.h"
#include "base/mem.h"
#include "bench.h"
#include "stream/connect.h"

static void parse_target(struct stream_address *target, const char *text)
{
    struct address address;
    if (strncmp(text, "unix:", 5) == 0) {
        if (!stream_address_of_path(text + 5, target)) {
            bench_fail("the path is too long: %s", text);
        }
        return;
    }
    if (!address_parse(text, &address) || !stream_address_of_ip(&address, target)) {
        bench_fail("neither ADDRESS:PORT nor unix:PATH: %s", text);
    }
}

void targets_read(struct targets *targets, const char *text)
{
    char *words = mem_strdup(text);
    char *saved = NULL;
    for (char *word = strtok_r(words, ",", &saved); word; word = strtok_r(NULL, ",", &saved)) {
        if (targets->count == TARGETS_MAX) {
            bench_fail("more than %d addresses: %s", TARGETS_MAX, text);
        }
        parse_target(&targets->all[targets->count++], word);
    }
    free(words);
    if (targets->count == 0) {
        bench_fail("neither ADDRESS:PORT nor unix:PATH: %s", text);
    }
}

const struct stream_address *targets_at(const struct targets *targets, uint32_t number)
{
    return &targets->all[number % targets->count];
}
