/* The embedded server: start, use, persistence, end, and death in both directions. */
#include "redis/redis_fixture.h"

#include <sys/syscall.h>

#include "redis/embedded.h"

struct witness {
    unsigned deaths;
    int status;
    struct redis_embedded **to_stop;
};

static void on_died(void *arg, int status)
{
    struct witness *witness = arg;

    witness->deaths++;
    witness->status = status;
    if (witness->to_stop) {
        redis_embedded_stop(witness->to_stop);
    }
}

static struct redis_embedded *start(struct loop *loop, const char *data, struct witness *witness)
{
    char *error = NULL;
    struct redis_embedded *embedded =
        redis_embedded_start(loop, "redis-server", data, on_died, witness, &error);

    if (!embedded) {
        fail_msg("%s", error);
    }
    assert_null(error);
    return embedded;
}

/* One command, as fixture servers are asked. */
#define expect(embedded, expected, ...)                                                            \
    do {                                                                                           \
        struct server asked_ = {.pid = redis_embedded_pid(embedded)};                              \
        (void)snprintf(asked_.socket, sizeof asked_.socket, "%s",                                  \
                       redis_embedded_socket(embedded));                                           \
        server_expect(&asked_, expected, __VA_ARGS__);                                             \
    } while (0)

static char *directory_of(const struct redis_embedded *embedded)
{
    char *directory = mem_strdup(redis_embedded_socket(embedded));

    *strrchr(directory, '/') = '\0';
    return directory;
}

static bool exists(const char *path)
{
    struct stat status;

    return lstat(path, &status) == 0;
}

static void test_start_and_stop(void **state)
{
    struct loop *loop = loop_create();
    struct witness witness = {0};
    struct redis_embedded *embedded = start(loop, NULL, &witness);
    pid_t pid = redis_embedded_pid(embedded);
    char *directory = directory_of(embedded);
    struct stat status;
    struct world world;
    char *url = mem_format("unix:%s", redis_embedded_socket(embedded));

    assert_int_equal(stat(directory, &status), 0);
    assert_int_equal(status.st_mode & 0777, 0700);
    assert_int_equal(getpgid(pid), pid); /* not the terminal's signals */
    expect(embedded, "OK", "SET a 1");
    expect(embedded, "0", "CONFIG GET port");
    expect(embedded, "noeviction", "CONFIG GET maxmemory-policy");
    expect(embedded, "no", "CONFIG GET appendonly");
    expect(embedded, "", "CONFIG GET save");
    world_create(&world, url);
    world_link_up(&world);
    world_destroy(&world);
    expect(embedded, "OK", "SAVE"); /* leaves a file in the directory */
    redis_embedded_stop(&embedded);
    assert_null(embedded);
    assert_int_equal(kill(pid, 0), -1);
    assert_false(exists(directory));
    assert_int_equal(witness.deaths, 0);
    redis_embedded_stop(&embedded); /* none: harmless */
    free(url);
    free(directory);
    loop_destroy(&loop);
}

static void test_persists(void **state)
{
    struct loop *loop = loop_create();
    struct witness witness = {0};
    struct redis_embedded *embedded;
    char data[64] = "/tmp/test-redis-XXXXXX", inner[80];
    char *error;

    assert_non_null(mkdtemp(data));
    (void)snprintf(inner, sizeof inner, "%s/inner", data); /* made when it is missing */
    embedded = start(loop, inner, &witness);
    expect(embedded, "OK", "SET a kept");
    expect(embedded, "yes", "CONFIG GET appendonly");

    /* A second one in the same place is refused, after it has waited for the first to end. */
    assert_null(redis_embedded_start(loop, "redis-server", inner, NULL, NULL, &error));
    assert_non_null(strstr(error, inner));
    assert_non_null(strstr(error, "already"));
    free(error);

    redis_embedded_stop(&embedded);
    embedded = start(loop, inner, &witness);
    expect(embedded, "kept", "GET a");
    redis_embedded_stop(&embedded);
    assert_true(exists(inner));
    loop_destroy(&loop);
    (void)nftw(data, fixture_remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

/* Its exit is reported once, with its status, and it can be stopped in that callback. */
static void test_dies(void **state)
{
    for (unsigned stop_inside = 0; stop_inside < 2; stop_inside++) {
        struct loop *loop = loop_create();
        struct witness witness = {0};
        struct redis_embedded *embedded = start(loop, "", &witness);
        char *directory = directory_of(embedded);

        witness.to_stop = stop_inside ? &embedded : NULL;
        assert_int_equal(kill(redis_embedded_pid(embedded), SIGKILL), 0);
        WAIT_FOR(loop, witness.deaths > 0);
        assert_true(WIFSIGNALED(witness.status));
        assert_int_equal(WTERMSIG(witness.status), SIGKILL);
        for (unsigned i = 0; i < 5; i++) {
            loop_iterate(loop, 1);
        }
        assert_int_equal(witness.deaths, 1);
        redis_embedded_stop(&embedded);
        assert_false(exists(directory));
        free(directory);
        loop_destroy(&loop);
    }
}

/* A server that does not react to SIGTERM, as it is stopped: it is killed in the end. */
static void test_stops_a_frozen_one(void **state)
{
    struct loop *loop = loop_create();
    struct witness witness = {0};
    struct redis_embedded *embedded = start(loop, "", &witness);
    pid_t pid = redis_embedded_pid(embedded);

    assert_int_equal(kill(pid, SIGSTOP), 0);
    redis_embedded_stop(&embedded);
    assert_int_equal(kill(pid, 0), -1);
    loop_destroy(&loop);
}

struct started {
    pid_t pid;
    char directory[128];
};

/* The front-end's part: starts a server, says which, and does nothing more. */
static void be_parent(int fd, const char *data)
{
    struct loop *loop = loop_create();
    struct witness witness = {0};
    struct redis_embedded *embedded = start(loop, data, &witness);
    char *directory = directory_of(embedded);
    struct started started = {.pid = redis_embedded_pid(embedded)};

    expect(embedded, "OK", "SET a from-the-dead");
    (void)snprintf(started.directory, sizeof started.directory, "%s", directory);
    if (write(fd, &started, sizeof started) != (ssize_t)sizeof started) {
        _exit(1);
    }
    for (;;) {
        pause();
    }
}

/* kill -9 of the process that started it: the server ends, what it had is kept, and the next one
 * can use the data directory. All in a place of its own: whoever starts a server elsewhere at the
 * same time sweeps the directories of those that ended there. */
static void test_parent_killed(void **state)
{
    struct loop *loop;
    struct witness witness = {0};
    struct redis_embedded *embedded, *other;
    struct started started;
    struct pollfd gone = {.events = POLLIN};
    char data[64] = "/tmp/test-redis-XXXXXX", runtime[64] = "/tmp/test-redis-XXXXXX";
    int ends[2];
    pid_t parent;

    assert_non_null(mkdtemp(data));
    assert_non_null(mkdtemp(runtime));
    setenv("XDG_RUNTIME_DIR", runtime, 1);
    assert_int_equal(pipe(ends), 0);
    parent = fork();
    assert_true(parent >= 0);
    if (parent == 0) {
        (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
        be_parent(ends[1], data);
    }
    close(ends[1]);
    assert_int_equal(read(ends[0], &started, sizeof started), sizeof started);
    close(ends[0]);
    gone.fd = (int)syscall(SYS_pidfd_open, started.pid, 0);
    assert_true(gone.fd >= 0);
    assert_int_equal(poll(&gone, 1, 0), 0);
    assert_int_equal(kill(parent, SIGKILL), 0);
    assert_int_equal(waitpid(parent, NULL, 0), parent);
    assert_int_equal(poll(&gone, 1, PATIENCE_MS), 1);
    close(gone.fd);

    loop = loop_create();
    assert_true(exists(started.directory));
    embedded = start(loop, data, &witness);
    assert_false(exists(started.directory)); /* swept, as its server has exited */
    other = start(loop, "", &witness);
    expect(embedded, "from-the-dead", "GET a"); /* not swept, as it lives */
    redis_embedded_stop(&other);
    redis_embedded_stop(&embedded);
    loop_destroy(&loop);
    unsetenv("XDG_RUNTIME_DIR");
    assert_int_equal(rmdir(runtime), 0); /* it is empty: nothing was left */
    (void)nftw(data, fixture_remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

static void write_file(const char *path, const char *text, mode_t mode)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, mode);

    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, strlen(text)), strlen(text));
    close(fd);
}

/* What cannot be started says why, and leaves nothing behind. */
static void test_failures(void **state)
{
    struct loop *loop = loop_create();
    char root[64] = "/tmp/test-redis-XXXXXX", broken[96], missing[96], runtime[96], deep[256];
    char aof[160];
    const struct {
        const char *program;
        const char *data;
        const char *runtime;
        const char *reasons[2];
    } cases[] = {
        {"no-such-program", NULL, runtime, {"no-such-program", "No such file"}},
        {"/dev/null", NULL, runtime, {"/dev/null", "Permission denied"}},
        {"/bin/false", NULL, runtime, {"status 1", "log"}},
        {"redis-server", broken, runtime, {"log", "aof"}},
        {"redis-server", missing, runtime, {missing, "No such file"}},
        {"redis-server", NULL, deep, {"107 bytes", "TMPDIR"}},
    };

    assert_non_null(mkdtemp(root));
    (void)snprintf(broken, sizeof broken, "%s/broken", root);
    (void)snprintf(missing, sizeof missing, "%s/not/there", root);
    (void)snprintf(runtime, sizeof runtime, "%s/run", root);
    (void)snprintf(deep, sizeof deep, "%s/run/%090d", root, 0);
    (void)snprintf(aof, sizeof aof, "%s/appendonlydir", broken);
    assert_int_equal(mkdir(broken, 0700) | mkdir(aof, 0700), 0);
    assert_int_equal(mkdir(runtime, 0700) | mkdir(deep, 0700), 0);
    (void)snprintf(aof, sizeof aof, "%s/appendonlydir/appendonly.aof.manifest", broken);
    write_file(aof, "not a manifest\n", 0600);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char *error = NULL;

        setenv("XDG_RUNTIME_DIR", cases[i].runtime, 1);
        assert_null(
            redis_embedded_start(loop, cases[i].program, cases[i].data, on_died, NULL, &error));
        assert_non_null(error);
        for (unsigned r = 0; r < 2; r++) {
            if (!strcasestr(error, cases[i].reasons[r])) {
                fail_msg("%s: %s", cases[i].reasons[r], error);
            }
        }
        free(error);
    }
    unsetenv("XDG_RUNTIME_DIR");
    assert_int_equal(rmdir(deep), 0); /* they are empty: nothing was left */
    assert_int_equal(rmdir(runtime), 0);
    (void)nftw(root, fixture_remove_one, 8, FTW_DEPTH | FTW_PHYS);
    loop_destroy(&loop);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_start_and_stop), cmocka_unit_test(test_persists),
        cmocka_unit_test(test_dies),           cmocka_unit_test(test_parent_killed),
        cmocka_unit_test(test_failures),       cmocka_unit_test(test_stops_a_frozen_one),
    };

    return cmocka_run_group_tests(tests, fixture_init, NULL);
}
