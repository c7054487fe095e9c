/* socket: listening sockets: opening one from its text, or inheriting an open one; what accepted
 * ones inherit; closing. */
#ifndef NET_SOCKET_H
#define NET_SOCKET_H

#include <stdbool.h>
#include <sys/types.h>

struct net_settings;

/* What connections inherit from the listening socket. */
struct socket_options {
    int keepalive, keepalive_interval, keepalive_probes; /* seconds (0: off), seconds, count */
    int send_buffer;                                     /* bytes, 0: the kernel's */
};

struct socket_listening {
    int fd; /* -1: closed */
    bool is_tcp;
    struct socket_options options; /* as set */
    char *path;                    /* of a unix socket, or NULL; ours if device and inode match */
    dev_t device;
    ino_t inode;
};

/* NULL, or what is wrong with the text of a place to listen on (the caller frees). */
char *socket_check(const char *where) __attribute__((warn_unused_result));
/* Opens where ("127.0.0.1:80", "[::]:80", "*:80", "unix:/path"). NULL, or what is wrong (the
 * caller frees). *text: where it is now, with the real port; the caller frees. */
char *socket_open(struct socket_listening *listening, const char *where,
                  const struct net_settings *settings, char **text)
    __attribute__((warn_unused_result));
/* The first half of it: nobody can connect until socket_inherit, or listen, on the descriptor. */
char *socket_bind(struct socket_listening *listening, const char *where,
                  const struct net_settings *settings, char **text)
    __attribute__((warn_unused_result));
/* Listens on a socket that another process has bound to that place, and whose file is that
 * process's. Owns fd, also on an error. As socket_open. */
char *socket_inherit(struct socket_listening *listening, int fd, const char *where,
                     const struct net_settings *settings, char **text)
    __attribute__((warn_unused_result));
/* Sets options that have changed since, for connections that begin from now on: the kernel copies
 * them when a connection is made, not when it is accepted. */
void socket_apply_settings(struct socket_listening *listening, const struct net_settings *settings);
/* Sets on an accepted socket what it does not inherit: unix sockets inherit nothing. */
void socket_adopt(const struct socket_listening *listening, int fd);
/* Closes it and removes its file, if that is still ours. Harmless when closed. */
void socket_close(struct socket_listening *listening);

#endif
