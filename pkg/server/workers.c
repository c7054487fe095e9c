/* workers: see the header. */
#include "server/workers.h"

#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <systemd/sd-daemon.h>
#include <unistd.h>

#include "base/log.h"
#include "base/mem.h"
#include "metrics/board.h"
#include "metrics/metrics.h"
#include "server/own_redis.h"
#include "server/shared_sockets.h"
#include "supervisor/supervisor.h"

#include "version.h"

struct worker_host {
    struct configuration *configuration;
    struct loop *loop;
    struct loop_signal *signals[4];
    struct redis_embedded *embedded;
    struct shared_sockets *sockets;
    struct supervisor *supervisor;
    char *redis;   /* URL of the embedded one */
    char *program; /* path of this program, links and all */
    char *name;
    unsigned count;
    bool ended;
    int exit_code;
};

/* ---- the supervisor ---- */

static unsigned count_processors(void)
{
    cpu_set_t set;
    const int count = sched_getaffinity(0, sizeof set, &set) == 0 ? CPU_COUNT(&set) : 1;
    return count < SUPERVISOR_WORKERS_MAX ? (unsigned)count : SUPERVISOR_WORKERS_MAX;
}

unsigned workers_count(const struct configuration *configuration)
{
    const char *text = configuration->server.workers;
    return strcmp(text, "auto") == 0 ? count_processors() : (unsigned)strtoul(text, NULL, 10);
}

static void on_workers_ready(void *arg)
{
    const struct worker_host *host = arg;
    struct writer where = {0};
    shared_sockets_describe(host->sockets, &where);
    log_info("ready", LOG_BYTES("listen", writer_bytes_written(&where)),
             LOG_INT("workers", host->count), LOG_STRING("version", TRACKER_VERSION));
    writer_free(&where);
    sd_notify(0, "READY=1");
}

static void on_workers_stopping(void *arg)
{
    const struct worker_host *host = arg;
    sd_notify(0, "STOPPING=1");
    shared_sockets_stop(host->sockets);
}

static void on_workers_ended(void *arg, int exit_code)
{
    struct worker_host *host = arg;
    host->ended = true;
    host->exit_code = exit_code;
    loop_stop(host->loop);
}

static void on_own_redis_died(void *arg, int status)
{
    struct worker_host *host = arg;
    /* redis_crashed has been logged */
    supervisor_stop(host->supervisor, 1);
}

static void on_stop_signal(void *arg)
{
    struct worker_host *host = arg;
    supervisor_stop(host->supervisor, 0);
}

static void on_reload_signal(void *arg)
{
    struct worker_host *host = arg;
    supervisor_reload(host->supervisor);
}

/* The configuration as new processes will read it: the sockets of listeners that it has now. */
static bool refresh_sockets(void *arg)
{
    struct worker_host *host = arg;
    struct configuration next;
    size_t count;
    configuration_init(&next);
    char *error = server_read_configuration(&next, host->configuration->cmdline);
    if (!error) {
        error = shared_sockets_open(&next, host->count, &host->sockets);
    }
    configuration_free(&next);
    if (error) {
        log_error("upgrade_failed", LOG_STRING("err", error));
        free(error);
        return false;
    }
    const struct supervisor_socket *sockets = shared_sockets_list(host->sockets, &count);
    supervisor_set_sockets(host->supervisor, sockets, count);
    return true;
}

static void on_upgraded(void *arg)
{
    struct worker_host *host = arg;
    struct writer where = {0};
    shared_sockets_trim(host->sockets);
    shared_sockets_describe(host->sockets, &where);
    log_info("upgraded", LOG_BYTES("listen", writer_bytes_written(&where)));
    writer_free(&where);
}

static void on_upgrade_signal(void *arg)
{
    struct worker_host *host = arg;
    supervisor_upgrade(host->supervisor);
}

static char *open_workers(struct worker_host *host, char *const *argv)
{
    const struct configuration *configuration = host->configuration;
    struct redis_target target = {.host = NULL};
    char *error = redis_target_parse(configuration->redis.url, &target);
    const bool is_embedded = !error && target.scheme == REDIS_EMBEDDED;
    redis_target_free(&target);
    if (!error && is_embedded) {
        error = own_redis_start(host->loop, &configuration->redis, on_own_redis_died, host,
                                &host->embedded, &host->redis);
    }
    if (error) {
        return error;
    }
    size_t socket_count;
    const struct supervisor_socket *sockets = shared_sockets_list(host->sockets, &socket_count);
    host->supervisor = supervisor_create(host->loop,
                                         &(struct supervisor_options){
                                             .count = host->count,
                                             .name = host->name,
                                             .redis = host->redis ? host->redis : "",
                                             .program = host->program,
                                             .arguments = argv + 1,
                                             .sockets = sockets,
                                             .socket_count = socket_count,
                                             .ready = on_workers_ready,
                                             .refresh = refresh_sockets,
                                             .upgraded = on_upgraded,
                                             .stopping = on_workers_stopping,
                                             .ended = on_workers_ended,
                                             .arg = host,
                                         },
                                         &error);
    return error;
}

static void run_workers(struct worker_host *host)
{
    host->signals[0] = loop_signal_create(host->loop, SIGTERM, on_stop_signal, host);
    host->signals[1] = loop_signal_create(host->loop, SIGINT, on_stop_signal, host);
    host->signals[2] = loop_signal_create(host->loop, SIGHUP, on_reload_signal, host);
    host->signals[3] = loop_signal_create(host->loop, SIGUSR2, on_upgrade_signal, host);
    supervisor_start(host->supervisor);
    if (!host->ended) {
        loop_run(host->loop);
    }
}

static void close_workers(struct worker_host *host)
{
    for (size_t i = 0; i < sizeof host->signals / sizeof *host->signals; i++) {
        if (host->signals[i]) {
            loop_signal_destroy(&host->signals[i]);
        }
    }
    supervisor_destroy(&host->supervisor);
    redis_embedded_stop(&host->embedded);
    shared_sockets_close(&host->sockets);
    loop_destroy(&host->loop);
    free(host->redis);
    free(host->program);
    free(host->name);
}

/* As it was called, so that a link may lead to another release later; the file itself where it was
 * found by PATH. */
static char *find_program(const char *called)
{
    char path[4096];
    if (called[0] == '/') {
        return mem_strdup(called);
    }
    if (strchr(called, '/') && getcwd(path, sizeof path)) {
        return mem_format("%s/%s", path, called);
    }
    const ssize_t len = readlink("/proc/self/exe", path, sizeof path - 1);
    return len < 0 ? mem_strdup(called) : mem_format("%.*s", (int)len, path);
}

int workers_supervise(struct configuration *configuration, unsigned count, char *const *argv)
{
    struct worker_host host = {
        .configuration = configuration, .loop = loop_create(), .count = count};
    host.name = server_make_name(&configuration->server);
    log_set_node(host.name);
    host.program = find_program(argv[0]);
    char *error = shared_sockets_open(configuration, count, &host.sockets);
    if (error) {
        log_error("listen_failed", LOG_STRING("err", error));
    } else if ((error = open_workers(&host, argv))) {
        log_error("start_failed", LOG_STRING("err", error));
    } else {
        run_workers(&host);
    }
    if (error) {
        host.exit_code = 1;
        free(error);
    }
    close_workers(&host);
    return host.exit_code;
}

/* ---- a worker ---- */

char *workers_join(struct supervised **supervised, struct cmdline *cmdline)
{
    char *error = NULL;
    *supervised = supervised_join(&error);
    if (!*supervised) {
        return error;
    }
    cmdline_add(cmdline, "node", supervised_name(*supervised));
    if (*supervised_redis(*supervised)) {
        cmdline_add(cmdline, "redis.url", supervised_redis(*supervised));
    }
    return NULL;
}

static void adopt_socket(void *arg, const char *listener, unsigned nth, int fd, unsigned from)
{
    struct server *server = arg;
    listeners_adopt(server->listeners, listener, nth, fd, from);
}

static void release_sockets(void *arg, unsigned from)
{
    struct server *server = arg;
    listeners_release(server->listeners, from);
}

static void retire_worker(void *arg, bool orphaned)
{
    struct server *server = arg;
    if (orphaned) {
        log_error("supervisor_ended", LOG_INT("worker", supervised_index(server->supervised)));
    }
    if (server->state == SERVER_STARTING || server->state == SERVER_SERVING) {
        server_retire(server);
    }
}

/* How often the other workers learn whether this one is ready. */
#define READINESS_MS 250

static void show_readiness(void *arg)
{
    struct server *server = arg;
    const char *why = NULL;
    const bool ready = health_is_ready(server->health, &why);
    board_set_ready(ready, why);
    metrics_set(METRIC_READY, ready);
    loop_timer_start(server->readiness, READINESS_MS);
}

void workers_watch(struct server *server)
{
    static const struct supervised_callbacks callbacks = {
        .adopt = adopt_socket, .release = release_sockets, .retire = retire_worker};
    if (server->supervised) {
        supervised_watch(server->supervised, server->loop, &callbacks, server);
        server->readiness = loop_timer_create(server->loop, show_readiness, server);
        loop_timer_start(server->readiness, READINESS_MS);
    }
}

void workers_report_ready(struct server *server)
{
    log_info("worker_ready", LOG_STRING("id", map_node_id(server->map)),
             LOG_STRING("version", TRACKER_VERSION));
    show_readiness(server);
    supervised_report_ready(server->supervised);
}
