/*
 * socket: a unix socket's file outlives a process that was killed. A file on which no process
 * listens is replaced; one on which a process listens is in use. The file is removed at the end
 * only if it is the one that was made here, as a successor may have replaced it.
 */
#include "net/socket.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/address.h"
#include "base/mem.h"
#include "net/listener.h"

#define SOCKET_TYPE (SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC)

static char *listen_failure(const char *where, const char *what, int error)
{
    return mem_format("cannot listen on %s: %s: %s", where, what, strerror(error));
}

static void set_socket_option(int fd, int level, int option, int value)
{
    (void)setsockopt(fd, level, option, &value, sizeof value);
}

void socket_apply_settings(struct socket_listening *listening, const struct net_settings *settings)
{
    struct socket_options wanted = {
        .keepalive = (int)((settings->keepalive + 999) / 1000),
        .keepalive_interval = (int)((settings->keepalive_interval + 999) / 1000),
        .keepalive_probes = (int)settings->keepalive_probes,
        .send_buffer = (int)settings->send_buffer,
    };
    int fd = listening->fd;
    if (memcmp(&wanted, &listening->options, sizeof wanted) == 0) {
        return;
    }
    if (wanted.send_buffer != listening->options.send_buffer && wanted.send_buffer > 0) {
        set_socket_option(fd, SOL_SOCKET, SO_SNDBUF, wanted.send_buffer);
    }
    listening->options = wanted;
    if (!listening->is_tcp) {
        return;
    }
    set_socket_option(fd, SOL_SOCKET, SO_KEEPALIVE, wanted.keepalive > 0);
    if (wanted.keepalive > 0) {
        set_socket_option(fd, IPPROTO_TCP, TCP_KEEPIDLE, wanted.keepalive);
        set_socket_option(fd, IPPROTO_TCP, TCP_KEEPINTVL, wanted.keepalive_interval);
        set_socket_option(fd, IPPROTO_TCP, TCP_KEEPCNT, wanted.keepalive_probes);
    }
}

void socket_adopt(const struct socket_listening *listening, int fd)
{
    if (!listening->is_tcp && listening->options.send_buffer > 0) {
        set_socket_option(fd, SOL_SOCKET, SO_SNDBUF, listening->options.send_buffer);
    }
}

/* Port 0, then the port that the system chose. */
static char *describe_bound_socket(int fd, bool any)
{
    struct sockaddr_storage storage;
    struct address address;
    socklen_t len = sizeof storage;
    char text[ADDRESS_TEXT_SIZE];
    memset(&storage, 0, sizeof storage);
    (void)getsockname(fd, (struct sockaddr *)&storage, &len);
    address_from_sockaddr((struct sockaddr *)&storage, &address);
    if (any) {
        return mem_format("*:%u", (unsigned)address.port);
    }
    return mem_strdup(address_format(&address, text));
}

/* any: "*", all addresses of both families. */
static char *parse_tcp_address(const char *where, struct address *address, bool *any)
{
    *any = where[0] == '*' && where[1] == ':';
    char *plain = *any ? mem_format("[::]%s", where + 1) : mem_strdup(where);
    bool is_good = address_parse(plain, address);
    free(plain);
    if (is_good) {
        return NULL;
    }
    return mem_format("cannot listen on %s: not ADDRESS:PORT, [ADDRESS]:PORT, *:PORT or unix:/path",
                      where);
}

static char *bind_tcp(struct socket_listening *listening, const char *where,
                      const struct net_settings *settings, char **text)
{
    struct sockaddr_storage storage;
    struct address address;
    bool any;
    char *error = parse_tcp_address(where, &address, &any);
    int fd = -1;
    socklen_t len;
    if (error) {
        return error;
    }
    if (any && access("/proc/net/if_inet6", F_OK) != 0) { /* a system without IPv6 */
        address = (struct address){.family = ADDRESS_IPV4, .port = address.port};
    }
    len = address_to_sockaddr(&address, &storage);
    fd = socket(storage.ss_family, SOCKET_TYPE, 0);
    if (fd < 0) {
        return listen_failure(where, "socket", errno);
    }
    listening->fd = fd;
    listening->is_tcp = true;
    set_socket_option(fd, SOL_SOCKET, SO_REUSEADDR, 1);
    set_socket_option(fd, IPPROTO_TCP, TCP_NODELAY, 1);
    if (storage.ss_family == AF_INET6) {
        set_socket_option(fd, IPPROTO_IPV6, IPV6_V6ONLY, !any);
    }
    if (settings->reuse_port) {
        set_socket_option(fd, SOL_SOCKET, SO_REUSEPORT, 1);
    }
    socket_apply_settings(listening, settings);
    if (bind(fd, (struct sockaddr *)&storage, len) != 0) {
        error = listen_failure(where, "bind", errno);
    } else {
        *text = describe_bound_socket(fd, any);
    }
    return error;
}

static bool is_unix(const char *where)
{
    return strncmp(where, "unix:", strlen("unix:")) == 0;
}

static char *parse_unix(const char *where, struct sockaddr_un *name)
{
    const char *path = where + strlen("unix:");
    *name = (struct sockaddr_un){.sun_family = AF_UNIX};
    if (path[0] == 0 || strlen(path) >= sizeof name->sun_path) {
        return mem_format("cannot listen on %s: the path must have 1 to %zu bytes", where,
                          sizeof name->sun_path - 1);
    }
    memcpy(name->sun_path, path, strlen(path) + 1);
    return NULL;
}

char *socket_check(const char *where)
{
    struct address address;
    struct sockaddr_un name;
    bool any;
    return is_unix(where) ? parse_unix(where, &name) : parse_tcp_address(where, &address, &any);
}

/* NULL when nothing is in the way any more, else what is (static text). */
static const char *remove_stale(const struct sockaddr_un *name)
{
    struct stat status;
    const char *problem = NULL;
    int fd;
    if (lstat(name->sun_path, &status) != 0) {
        return errno == ENOENT ? NULL : strerror(errno);
    }
    if (!S_ISSOCK(status.st_mode)) {
        return "the path exists and is not a socket";
    }
    fd = socket(AF_UNIX, SOCKET_TYPE, 0);
    if (fd < 0) {
        return strerror(errno);
    }
    if (connect(fd, (const struct sockaddr *)name, sizeof *name) == 0 || errno != ECONNREFUSED) {
        problem = "another process listens there";
    } else if (unlink(name->sun_path) != 0 && errno != ENOENT) {
        problem = strerror(errno);
    }
    close(fd);
    return problem;
}

static char *bind_unix(struct socket_listening *listening, const char *where,
                       const struct net_settings *settings, char **text)
{
    struct sockaddr_un name;
    struct stat status;
    const char *path = name.sun_path, *problem;
    char *error = parse_unix(where, &name);
    if (error) {
        return error;
    }
    problem = remove_stale(&name);
    if (problem) {
        return mem_format("cannot listen on %s: %s", where, problem);
    }
    listening->fd = socket(AF_UNIX, SOCKET_TYPE, 0);
    if (listening->fd < 0) {
        return listen_failure(where, "socket", errno);
    }
    socket_apply_settings(listening, settings);
    if (bind(listening->fd, (struct sockaddr *)&name, sizeof name) != 0) {
        return listen_failure(where, "bind", errno);
    }
    if (lstat(path, &status) == 0) {
        listening->path = mem_strdup(path);
        listening->device = status.st_dev;
        listening->inode = status.st_ino;
    }
    *text = mem_strdup(where);
    return NULL;
}

char *socket_bind(struct socket_listening *listening, const char *where,
                  const struct net_settings *settings, char **text)
{
    char *error;
    memset(listening, 0, sizeof *listening);
    listening->fd = -1;
    if (is_unix(where)) {
        error = bind_unix(listening, where, settings, text);
    } else {
        error = bind_tcp(listening, where, settings, text);
    }
    if (error) {
        socket_close(listening);
    }
    return error;
}

static char *start_listening(struct socket_listening *listening, const char *where,
                             const struct net_settings *settings)
{
    if (listen(listening->fd, (int)settings->backlog) == 0) {
        return NULL;
    }
    char *error = listen_failure(where, "listen", errno);
    socket_close(listening);
    return error;
}

char *socket_open(struct socket_listening *listening, const char *where,
                  const struct net_settings *settings, char **text)
{
    char *bound = NULL;
    char *error = socket_bind(listening, where, settings, &bound);
    if (!error) {
        error = start_listening(listening, where, settings);
    }
    if (error) {
        free(bound);
    } else {
        *text = bound;
    }
    return error;
}

char *socket_inherit(struct socket_listening *listening, int fd, const char *where,
                     const struct net_settings *settings, char **text)
{
    struct address address;
    bool any = false;
    char *error = NULL;
    *listening = (struct socket_listening){.fd = fd, .is_tcp = !is_unix(where)};
    if (listening->is_tcp) {
        error = parse_tcp_address(where, &address, &any);
    }
    if (error) {
        socket_close(listening);
        return error;
    }
    error = start_listening(listening, where, settings);
    if (error) {
        return error;
    }
    *text = listening->is_tcp ? describe_bound_socket(fd, any) : mem_strdup(where);
    return NULL;
}

void socket_close(struct socket_listening *listening)
{
    struct stat status;
    if (listening->fd >= 0) {
        close(listening->fd);
    }
    listening->fd = -1;
    if (listening->path && lstat(listening->path, &status) == 0 &&
        status.st_dev == listening->device && status.st_ino == listening->inode) {
        (void)unlink(listening->path);
    }
    free(listening->path);
    listening->path = NULL;
}
