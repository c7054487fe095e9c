/*
 * server: one front-end, from start to drain.
 */
#ifndef SERVER_SERVER_H
#define SERVER_SERVER_H

/* The main function of trackerd. Returns the exit code: 0 after a drain (or --help and the like), 2
 * for bad usage or configuration, 1 otherwise. */
int server_main(int argc, char *const *argv);

#endif
