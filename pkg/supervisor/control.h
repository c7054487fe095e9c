/*
 * control: the messages between a supervisor and a worker, over a pair of connected sockets that
 * keep the bounds of messages (SOCK_SEQPACKET).
 *
 * A message is a verb and up to CONTROL_WORDS words, each followed by NUL, with at most one
 * descriptor. A supervisor and its workers may be of different releases: a worker refuses a `start`
 * whose format it does not know.
 *
 *   to the worker
 *   start FORMAT INDEX COUNT NAME REDIS AREA + descriptor
 *                                         it is worker INDEX of COUNT, from 1 on; REDIS: the URL of
 *                                         the supervisor's own Redis, or empty; the descriptor is
 *                                         the board (metrics/board.h), AREA its area there
 *   socket LISTENER NTH + descriptor      its socket of the NTH listener of that text
 *   run                                   it has them all
 *   adopt LISTENER NTH FROM + descriptor  another worker's: serve it, too
 *   release FROM                          that worker serves its sockets itself
 *   retire                                its replacement is ready: drain, and exit
 *
 *   to the supervisor
 *   ready                                 it serves
 *   draining                              it does not accept connections any more
 */
#ifndef SUPERVISOR_CONTROL_H
#define SUPERVISOR_CONTROL_H

#include <stdbool.h>
#include <stddef.h>

#define CONTROL_FORMAT   "1"
#define CONTROL_FD       3 /* in the worker */
#define CONTROL_WORDS    7
#define CONTROL_SIZE_MAX 16384

struct control_message {
    int fd; /* -1: none; the receiver's to close */
    size_t count;
    const char *words[CONTROL_WORDS]; /* the verb first; borrowed from text */
    char text[CONTROL_SIZE_MAX];
};

enum control_result {
    CONTROL_RECEIVED,
    CONTROL_NOTHING, /* not now: only if it does not block */
    CONTROL_CLOSED,  /* the other process has ended */
    CONTROL_INVALID
};

/* Two connected, non-blocking descriptors, closed on exec. False with errno. */
bool control_open(int fds[2]) __attribute__((warn_unused_result));
/* words: the verb and its words, ended by NULL. fd: a descriptor to send, which stays ours; -1:
 * none. False with errno when it could not be sent at once, or is too long. */
bool control_send(int to, int fd, const char *const *words) __attribute__((warn_unused_result));
/* Receives one message; waits for it if asked to. */
enum control_result control_receive(int from, bool waits, struct control_message *message);
/* Whether it has that verb and so many further words. */
bool control_is(const struct control_message *message, const char *verb, size_t words);

#endif
