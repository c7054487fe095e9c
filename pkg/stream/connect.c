/* connect: see the header. */
#include "stream/connect.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/un.h>
#include <unistd.h>

/* The port is chosen on connect (IP_BIND_ADDRESS_NO_PORT), so that each source has all ports. */
static bool bind_to_source(int fd, const struct address *source)
{
    const int on = 1;
    struct address from = *source;
    struct sockaddr_storage storage;
    socklen_t len;

    from.port = 0;
    len = address_to_sockaddr(&from, &storage);
    (void)setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof on);
    return bind(fd, (const struct sockaddr *)&storage, len) == 0;
}

static bool begin_connect(int fd, const struct stream_address *to, const struct address *source)
{
    const int on = 1;

    if (to->storage.ss_family != AF_UNIX) {
        (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        (void)setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on);
        if (source && !bind_to_source(fd, source)) {
            return false;
        }
    }
    return connect(fd, (const struct sockaddr *)&to->storage, to->len) == 0 || errno == EINPROGRESS;
}

int stream_connect(const struct stream_address *to, const struct address *source)
{
    int fd = socket(to->storage.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

    if (fd >= 0 && !begin_connect(fd, to, source)) {
        int error = errno;

        close(fd);
        errno = error;
        return -1;
    }
    return fd;
}

int stream_connect_error(int fd)
{
    int error = 0;
    socklen_t len = sizeof error;

    return getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &len) == 0 ? error : errno;
}

bool stream_address_of_path(const char *path, struct stream_address *address)
{
    struct sockaddr_un *name = (struct sockaddr_un *)&address->storage;

    *address = (struct stream_address){.len = sizeof *name};
    if (strlen(path) >= sizeof name->sun_path) {
        errno = ENAMETOOLONG;
        return false;
    }
    name->sun_family = AF_UNIX;
    memcpy(name->sun_path, path, strlen(path) + 1);
    return true;
}

bool stream_address_of_ip(const struct address *ip, struct stream_address *address)
{
    *address = (struct stream_address){0};
    address->len = address_to_sockaddr(ip, &address->storage);
    return address->len > 0;
}
