/* control: see the header. */
#include "supervisor/control.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

bool control_open(int fds[2])
{
    return socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds) == 0;
}

/* The words with their NULs, or 0 when they are too long. */
static size_t join_words(char *text, const char *const *words)
{
    size_t used = 0;
    for (; *words; words++) {
        const size_t len = strlen(*words) + 1;
        if (len > CONTROL_SIZE_MAX - used) {
            return 0;
        }
        memcpy(text + used, *words, len);
        used += len;
    }
    return used;
}

bool control_send(int to, int fd, const char *const *words)
{
    char text[CONTROL_SIZE_MAX];
    union {
        struct cmsghdr align;
        char room[CMSG_SPACE(sizeof(int))];
    } control;
    struct iovec vector = {text, join_words(text, words)};
    struct msghdr message = {.msg_iov = &vector, .msg_iovlen = 1};
    if (vector.iov_len == 0) {
        errno = EMSGSIZE;
        return false;
    }
    if (fd >= 0) {
        memset(&control, 0, sizeof control);
        message.msg_control = control.room;
        message.msg_controllen = sizeof control.room;
        struct cmsghdr *header = CMSG_FIRSTHDR(&message);
        header->cmsg_level = SOL_SOCKET;
        header->cmsg_type = SCM_RIGHTS;
        header->cmsg_len = CMSG_LEN(sizeof fd);
        memcpy(CMSG_DATA(header), &fd, sizeof fd);
    }
    ssize_t sent;
    do {
        sent = sendmsg(to, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
    } while (sent < 0 && errno == EINTR);
    return sent >= 0;
}

/* One message carries one descriptor, so that is all the room there is. */
static int take_descriptor(struct msghdr *header)
{
    int fd = -1;
    struct cmsghdr *control = CMSG_FIRSTHDR(header);
    if (control && control->cmsg_level == SOL_SOCKET && control->cmsg_type == SCM_RIGHTS &&
        control->cmsg_len == CMSG_LEN(sizeof fd)) {
        memcpy(&fd, CMSG_DATA(control), sizeof fd);
    }
    return fd;
}

static bool split_words(struct control_message *message, size_t len)
{
    message->count = 0;
    if (len == 0 || message->text[len - 1] != 0) {
        return false;
    }
    for (const char *at = message->text; at < message->text + len; at += strlen(at) + 1) {
        if (message->count == CONTROL_WORDS) {
            return false;
        }
        message->words[message->count++] = at;
    }
    return true;
}

static void wait_readable(int fd)
{
    struct pollfd readable = {.fd = fd, .events = POLLIN};
    (void)poll(&readable, 1, -1);
}

enum control_result control_receive(int from, bool waits, struct control_message *message)
{
    union {
        struct cmsghdr align;
        char room[CMSG_SPACE(sizeof(int))];
    } control;
    struct iovec vector = {message->text, sizeof message->text};
    struct msghdr header = {.msg_iov = &vector,
                            .msg_iovlen = 1,
                            .msg_control = control.room,
                            .msg_controllen = sizeof control.room};
    ssize_t len;
    message->fd = -1;
    while ((len = recvmsg(from, &header, MSG_DONTWAIT | MSG_CMSG_CLOEXEC)) < 0) {
        if (errno == EAGAIN && waits) {
            wait_readable(from);
        } else if (errno != EINTR) {
            return errno == EAGAIN ? CONTROL_NOTHING : CONTROL_CLOSED;
        }
    }
    if (len == 0) {
        return CONTROL_CLOSED;
    }
    message->fd = take_descriptor(&header);
    if ((header.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) || !split_words(message, (size_t)len)) {
        if (message->fd >= 0) {
            close(message->fd);
        }
        message->fd = -1;
        return CONTROL_INVALID;
    }
    return CONTROL_RECEIVED;
}

bool control_is(const struct control_message *message, const char *verb, size_t words)
{
    return message->count == words + 1 && strcmp(message->words[0], verb) == 0;
}
