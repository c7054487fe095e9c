/*
 * socket: the stream under a link. It keeps the descriptor, the TLS stream and what the loop is
 * asked to watch; it knows nothing of Redis.
 */
#include "stream/socket.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"

struct redis_socket {
    int fd;
    struct loop_io *io;
    struct tls_context *context; /* NULL: plain */
    struct tls_stream *tls;      /* from when TCP is connected */
    char *server_name;
    bool tcp_connected;
    bool want_write;      /* the owner wants to hear when there is room */
    bool tls_wants_write; /* TLS needs room, to read or to write */
    int error;
    const char *error_text; /* NULL: that of error */
};

/* A read that needs room (TLS) is told by the same callback: the owner reads whenever called. */
static void watch(struct redis_socket *stream)
{
    bool write = stream->want_write || stream->tls_wants_write || !stream->tcp_connected;

    loop_io_set(stream->io, (stream->tcp_connected ? LOOP_READ : 0u) | (write ? LOOP_WRITE : 0u));
}

static void set_options(int fd, int family)
{
    const int on = 1;

    if (family == AF_INET || family == AF_INET6) {
        (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        (void)setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on);
    }
}

struct redis_socket *redis_socket_open(struct loop *loop, const struct sockaddr *address,
                                       socklen_t len, struct tls_context *tls,
                                       const char *server_name, loop_io_callback ready, void *arg)
{
    struct redis_socket *stream;
    int fd = socket(address->sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

    if (fd < 0) {
        return NULL;
    }
    set_options(fd, address->sa_family);
    if (connect(fd, address, len) != 0 && errno != EINPROGRESS) {
        int error = errno;

        close(fd);
        errno = error;
        return NULL;
    }
    stream = mem_zalloc(1, sizeof *stream);
    stream->fd = fd;
    stream->context = tls != NULL ? tls_context_ref(tls) : NULL;
    stream->server_name = server_name != NULL ? mem_strdup(server_name) : NULL;
    stream->io = loop_io_create(loop, fd, ready, arg);
    watch(stream);
    return stream;
}

static void fail(struct redis_socket *stream, int error, const char *text)
{
    stream->error = error;
    stream->error_text = text;
}

static void tls_failed(struct redis_socket *stream)
{
    fail(stream, errno, tls_stream_error(stream->tls));
}

static bool finish_connect(struct redis_socket *stream)
{
    int error = 0;
    socklen_t len = sizeof error;

    if (getsockopt(stream->fd, SOL_SOCKET, SO_ERROR, &error, &len) != 0) {
        error = errno;
    }
    if (error != 0) {
        fail(stream, error, NULL);
        return false;
    }
    stream->tcp_connected = true;
    if (stream->context != NULL) {
        stream->tls = tls_stream_create(stream->context, stream->fd, stream->server_name);
    }
    watch(stream);
    return true;
}

/* After each call into TLS: what it waits for may have changed. */
static void watch_tls(struct redis_socket *stream, bool blocked)
{
    bool write = blocked && tls_stream_wants_write(stream->tls);

    if (write != stream->tls_wants_write) {
        stream->tls_wants_write = write;
        watch(stream);
    }
}

int redis_socket_connected(struct redis_socket *stream)
{
    int result;

    if (!stream->tcp_connected && !finish_connect(stream)) {
        return -1;
    }
    if (stream->tls == NULL) {
        return 1;
    }
    result = tls_stream_handshake(stream->tls);
    if (result != 0 && errno != EAGAIN) {
        tls_failed(stream);
        return -1;
    }
    watch_tls(stream, result != 0);
    return result == 0;
}

static ssize_t moved(struct redis_socket *stream, ssize_t n)
{
    int error = errno;

    if (n < 0 && error != EAGAIN) {
        if (stream->tls != NULL) {
            tls_failed(stream);
        } else {
            fail(stream, error, NULL);
        }
    } else if (stream->tls != NULL) {
        watch_tls(stream, n < 0);
    }
    errno = error;
    return n;
}

ssize_t redis_socket_read(struct redis_socket *stream, void *to, size_t len)
{
    ssize_t n;

    do {
        n = stream->tls != NULL ? tls_stream_read(stream->tls, to, len) : read(stream->fd, to, len);
    } while (n < 0 && errno == EINTR);
    return moved(stream, n);
}

ssize_t redis_socket_write(struct redis_socket *stream, const void *from, size_t len)
{
    ssize_t n;

    do {
        n = stream->tls != NULL ? tls_stream_write(stream->tls, from, len)
                                : send(stream->fd, from, len, MSG_NOSIGNAL);
    } while (n < 0 && errno == EINTR);
    return moved(stream, n);
}

bool redis_socket_has_pending(const struct redis_socket *stream)
{
    return stream->tls != NULL && tls_stream_has_pending(stream->tls);
}

void redis_socket_want_write(struct redis_socket *stream, bool wanted)
{
    if (stream->want_write != wanted) {
        stream->want_write = wanted;
        watch(stream);
    }
}

const char *redis_socket_error(const struct redis_socket *stream)
{
    return stream->error_text != NULL ? stream->error_text : strerror(stream->error);
}

bool redis_socket_failed_in_tls(const struct redis_socket *stream)
{
    return stream->error_text != NULL;
}

void redis_socket_close(struct redis_socket **pointer, bool reset)
{
    const struct linger at_once = {.l_onoff = 1, .l_linger = 0};
    struct redis_socket *stream = *pointer;

    *pointer = NULL;
    if (stream == NULL) {
        return;
    }
    if (reset) {
        (void)setsockopt(stream->fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
    } else if (stream->tls != NULL) {
        tls_stream_shutdown(stream->tls);
    }
    loop_io_destroy(&stream->io);
    tls_stream_destroy(&stream->tls);
    tls_context_unref(&stream->context);
    close(stream->fd);
    free(stream->server_name);
    free(stream);
}
