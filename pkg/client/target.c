/* The client's target: its text, and the socket that goes there. */
#include "client/target_private.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/address.h"
#include "base/mem.h"

#define UNIX_PREFIX "unix:"

static bool is_port(const char *text)
{
    const size_t len = strlen(text);
    if (len == 0 || len > 5 || strspn(text, "0123456789") != len)
        return false;
    const unsigned long port = strtoul(text, NULL, 10);
    return port > 0 && port <= UINT16_MAX;
}

bool wire_target_parse(const char *text, struct wire_target *target)
{
    *target = (struct wire_target){0};
    if (strncmp(text, UNIX_PREFIX, strlen(UNIX_PREFIX)) == 0) {
        const char *path = text + strlen(UNIX_PREFIX);
        if (path[0] == '\0' || strlen(path) >= sizeof((struct sockaddr_un *)NULL)->sun_path)
            return false;
        target->host = mem_strdup(path);
        return true;
    }
    const char *host = text;
    const char *colon = strrchr(text, ':');
    if (!colon || colon == text || !is_port(colon + 1))
        return false;
    const char *end = colon;
    if (host[0] == '[' && end[-1] == ']') {
        host++;
        end--;
    } else if (memchr(host, ':', (size_t)(colon - host))) {
        return false;
    }
    if (end <= host)
        return false;
    target->host = mem_dup(host, (size_t)(end - host));
    target->port = mem_strdup(colon + 1);
    return true;
}

void wire_target_free(struct wire_target *target)
{
    free(target->host);
    free(target->port);
    *target = (struct wire_target){0};
}

static const char *resolve_unix(const char *path, struct target_address *address)
{
    struct sockaddr_un *un = (struct sockaddr_un *)&address->storage;
    un->sun_family = AF_UNIX;
    memcpy(un->sun_path, path, strlen(path) + 1);
    address->len = sizeof *un;
    return NULL;
}

const char *target_resolve(const struct wire_target *target, unsigned attempt,
                           struct target_address *address)
{
    *address = (struct target_address){0};
    if (!target->port)
        return resolve_unix(target->host, address);

    const struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICSERV};
    struct addrinfo *list = NULL;
    const int error = getaddrinfo(target->host, target->port, &hints, &list);
    if (error != 0)
        return gai_strerror(error);
    unsigned count = 1;
    for (const struct addrinfo *info = list->ai_next; info; info = info->ai_next)
        count++;
    const struct addrinfo *chosen = list;
    for (unsigned skip = attempt % count; skip > 0; skip--)
        chosen = chosen->ai_next;
    memcpy(&address->storage, chosen->ai_addr, chosen->ai_addrlen);
    address->len = chosen->ai_addrlen;
    freeaddrinfo(list);
    return NULL;
}

static bool bind_source(int fd, const char *source)
{
    const int on = 1;
    struct address address;
    struct sockaddr_storage storage;
    if (!address_parse_ip(source, &address)) {
        errno = EINVAL;
        return false;
    }
    /* The port is chosen when connecting, so that each source has all of them. */
    (void)setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof on);
    return bind(fd, (struct sockaddr *)&storage, address_to_sockaddr(&address, &storage)) == 0;
}

int target_connect(const struct target_address *address, const char *source)
{
    const struct sockaddr *to = (const struct sockaddr *)&address->storage;
    const int on = 1;
    const int fd = socket(to->sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -1;
    if (to->sa_family != AF_UNIX) {
        (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        (void)setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on);
        if (source && !bind_source(fd, source))
            goto close_socket;
    }
    if (connect(fd, to, address->len) == 0 || errno == EINPROGRESS)
        return fd;

close_socket:;
    const int error = errno;
    (void)close(fd);
    errno = error;
    return -1;
}
