/*
 * cmdline: the command line of trackerd: trackerd --help.
 *
 * Every option but --config, and --worker of a supervisor, sets a setting, so that all have the
 * same precedence and checks. Options take their value as the next argument or after '='.
 */
#ifndef SERVER_CMDLINE_H
#define SERVER_CMDLINE_H

#include <stdbool.h>
#include <stddef.h>

enum cmdline_mode { CMDLINE_RUN, CMDLINE_HELP, CMDLINE_VERSION, CMDLINE_SAMPLE, CMDLINE_CHECK };

/* config borrows from argv. */
struct cmdline {
    enum cmdline_mode mode;
    const char *config; /* NULL: no file */
    char **assignments; /* key=value: --set, --redis and --node in their order, then all of
                           --listen as one; owned */
    size_t assignment_count;
    bool is_worker; /* started by a supervisor */
};

#define CMDLINE_MORE 2 /* assignments that cmdline_add may add */

/* NULL, or the error (the caller frees). Call cmdline_free in either case. */
char *cmdline_parse(struct cmdline *cmdline, int argc, char *const *argv)
    __attribute__((warn_unused_result));
/* One more assignment, which takes precedence over the others. */
void cmdline_add(struct cmdline *cmdline, const char *key, const char *value);
void cmdline_free(struct cmdline *cmdline);
/* The part of --help that is not about settings. */
extern const char cmdline_usage[];

#endif
