/*
 * server: one front-end: its parts put together, its life from start to drain.
 */
#ifndef SERVER_SERVER_H
#define SERVER_SERVER_H

/* Everything that trackerd does; returns the process's exit code: 0 after a drain (or --help and
 * its like), 2 for bad usage or configuration, 1 otherwise. */
int server_main(int argc, char *const *argv);

#endif
