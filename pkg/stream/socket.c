/*
 * socket: the descriptor, the TLS stream and the events that the loop watches.
 */
#include "stream/socket.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/mem.h"
#include "stream/connect.h"
#include "tls/tls.h"

struct stream_socket {
    int fd;
    struct loop_io *io;
    loop_io_callback ready;
    void *arg;
    struct tls_context *context; /* NULL: plain */
    struct tls_stream *tls;      /* from when TCP is connected */
    char *server_name;
    bool is_connected;     /* TCP, or the unix socket */
    bool want_write;       /* as the owner asked */
    bool tls_wants_write;  /* TLS waits for the socket to become writable */
    bool write_needs_read; /* TLS cannot write before it has read */
    int error;
    const char *error_text; /* NULL: that of error */
};

/* A TLS read that waits for writability is reported by the same callback: the owner reads whenever
 * it is called. */
static void set_watch(struct stream_socket *stream)
{
    bool owner = stream->want_write && !stream->write_needs_read;
    bool write = owner || stream->tls_wants_write || !stream->is_connected;

    loop_io_set(stream->io, (stream->is_connected ? LOOP_READ : 0u) | (write ? LOOP_WRITE : 0u));
}

static void on_socket_ready(void *arg, unsigned events)
{
    struct stream_socket *stream = arg;

    stream->ready(stream->arg, events);
}

struct stream_socket *stream_socket_open(struct loop *loop, const struct stream_address *to,
                                         const struct address *source, struct tls_context *tls,
                                         const char *server_name, loop_io_callback ready, void *arg)
{
    struct stream_socket *stream;
    int fd = stream_connect(to, source);

    if (fd < 0) {
        return NULL;
    }
    stream = mem_zalloc(1, sizeof *stream);
    stream->fd = fd;
    stream->ready = ready;
    stream->arg = arg;
    stream->context = tls ? tls_context_ref(tls) : NULL;
    stream->server_name = tls && server_name ? mem_strdup(server_name) : NULL;
    stream->io = loop_io_create(loop, fd, on_socket_ready, stream);
    set_watch(stream);
    return stream;
}

void stream_socket_hand_over(struct stream_socket *stream, loop_io_callback ready, void *arg)
{
    stream->ready = ready;
    stream->arg = arg;
}

static void note_failure(struct stream_socket *stream, int error, const char *text)
{
    stream->error = error;
    stream->error_text = text;
}

static void note_tls_failure(struct stream_socket *stream)
{
    note_failure(stream, errno, tls_stream_error(stream->tls));
}

static bool finish_connect(struct stream_socket *stream)
{
    int error = stream_connect_error(stream->fd);

    if (error != 0) {
        note_failure(stream, error, NULL);
        return false;
    }
    stream->is_connected = true;
    if (stream->context) {
        stream->tls = tls_stream_create(stream->context, stream->fd, stream->server_name);
    }
    set_watch(stream);
    return true;
}

/* After each TLS call: updates the events that it waits for. */
static void note_tls_wishes(struct stream_socket *stream, bool is_blocked, bool is_write)
{
    bool wants_write = is_blocked && tls_stream_wants_write(stream->tls);
    bool needs_read =
        is_write ? is_blocked && !wants_write : stream->write_needs_read && is_blocked;

    if (wants_write != stream->tls_wants_write || needs_read != stream->write_needs_read) {
        stream->tls_wants_write = wants_write;
        stream->write_needs_read = needs_read;
        set_watch(stream);
    }
}

int stream_socket_connected(struct stream_socket *stream)
{
    int result;

    if (!stream->is_connected && !finish_connect(stream)) {
        return -1;
    }
    if (!stream->tls) {
        return 1;
    }
    result = tls_stream_handshake(stream->tls);
    if (result != 0 && errno != EAGAIN) {
        note_tls_failure(stream);
        return -1;
    }
    note_tls_wishes(stream, result != 0, false);
    return result == 0;
}

static ssize_t note_result(struct stream_socket *stream, ssize_t n, bool is_write)
{
    int error = errno;

    if (n < 0 && error != EAGAIN) {
        if (stream->tls) {
            note_tls_failure(stream);
        } else {
            note_failure(stream, error, NULL);
        }
    } else if (stream->tls) {
        note_tls_wishes(stream, n < 0, is_write);
    }
    errno = error;
    return n;
}

ssize_t stream_socket_read(struct stream_socket *stream, void *to, size_t len)
{
    ssize_t n;

    do {
        n = stream->tls ? tls_stream_read(stream->tls, to, len) : read(stream->fd, to, len);
    } while (n < 0 && errno == EINTR);
    return note_result(stream, n, false);
}

ssize_t stream_socket_write(struct stream_socket *stream, const void *from, size_t len)
{
    ssize_t n;

    do {
        n = stream->tls ? tls_stream_write(stream->tls, from, len)
                        : send(stream->fd, from, len, MSG_NOSIGNAL);
    } while (n < 0 && errno == EINTR);
    return note_result(stream, n, true);
}

bool stream_socket_has_pending(const struct stream_socket *stream)
{
    return stream->tls && tls_stream_has_pending(stream->tls);
}

void stream_socket_want_write(struct stream_socket *stream, bool wanted)
{
    if (stream->want_write != wanted) {
        stream->want_write = wanted;
        set_watch(stream);
    }
}

const char *stream_socket_error(const struct stream_socket *stream)
{
    return stream->error_text ? stream->error_text : strerror(stream->error);
}

bool stream_socket_failed_in_tls(const struct stream_socket *stream)
{
    return stream->error_text != NULL;
}

void stream_socket_close(struct stream_socket **pointer, bool reset)
{
    const struct linger at_once = {.l_onoff = 1, .l_linger = 0};
    struct stream_socket *stream = *pointer;

    *pointer = NULL;
    if (!stream) {
        return;
    }
    if (reset) {
        (void)setsockopt(stream->fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
    } else if (stream->tls) {
        tls_stream_shutdown(stream->tls);
    }
    loop_io_destroy(&stream->io);
    tls_stream_destroy(&stream->tls);
    tls_context_unref(&stream->context);
    close(stream->fd);
    free(stream->server_name);
    free(stream);
}
