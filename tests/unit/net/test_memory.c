/* What connections hold, in total and per address, and who is closed when it is too much. */
#include "fixture.h"

#include "base/frame.h"
#include "base/memory_limit.h"

#define PEERS 12
#define BLOCK 200000

static size_t receive_nothing(struct session *session, struct bytes input)
{
    return 0;
}

/* Peers whose kernel takes little, with an answer that they do not read. The first and the last one
 * are operators. */
static void open_readers(struct fixture *f, int fds[PEERS], struct session *sessions[PEERS],
                         struct frame *shared)
{
    uint8_t *block = mem_zalloc(1, BLOCK);
    fixture_receive_buffer = 4096;
    fixture_set(f, "net.send_buffer=4KiB");
    fixture_listen(f, "127.0.0.1:0");
    for (int i = 0; i < PEERS; i++) {
        sessions[i] = fixture_open(f, &fds[i]);
        conn_set_operator(sessions[i]->conn, i % (PEERS - 1) == 0);
        if (shared) {
            conn_send_frame(sessions[i]->conn, shared);
        } else {
            conn_send(sessions[i]->conn, (struct bytes){block, BLOCK});
        }
    }
    free(block);
    fixture_receive_buffer = 0;
}

static int count_closed(struct session *sessions[PEERS])
{
    int closed = 0;
    for (int i = 0; i < PEERS; i++) {
        closed += sessions[i]->closed > 0;
    }
    return closed;
}

static void close_all(int fds[PEERS])
{
    for (int i = 0; i < PEERS; i++) {
        close(fds[i]);
    }
}

static void test_output_total(void **state)
{
    struct fixture *f = *state;
    struct session *sessions[PEERS];
    int fds[PEERS];
    int64_t before = metrics_get(METRIC_CLOSED_MEMORY);
    fixture_set(f, "net.max_output_total=1MiB");
    open_readers(f, fds, sessions, NULL);
    WAIT_FOR(f, count_closed(sessions) > 0 && net_output_size(f->net) <= net_output_limit(f->net));
    loop_iterate(f->loop, 10);
    assert_in_range(count_closed(sessions), PEERS - 6, PEERS - 3);
    assert_int_equal(metrics_get(METRIC_CLOSED_MEMORY) - before, count_closed(sessions));
    assert_true(fixture_logged(f, "msg=memory_limit_reached of=total kind=output"));
    close_all(fds);
}

/* What many share counts once. */
static void test_output_shared(void **state)
{
    struct fixture *f = *state;
    struct session *sessions[PEERS];
    int fds[PEERS];
    struct frame *shared = frame_create_sized(BLOCK);
    memset(shared->data, 'x', BLOCK);
    fixture_set(f, "net.max_output_total=1MiB");
    fixture_set(f, "net.max_output_per_address=1MiB");
    open_readers(f, fds, sessions, shared);
    frame_unref(&shared);
    WAIT_FOR(f, metrics_get(METRIC_OUTPUT_QUEUED) > 2000000);
    for (int i = 0; i < 20; i++) {
        loop_iterate(f->loop, 10);
    }
    assert_int_equal(count_closed(sessions), 0);
    assert_in_range(net_output_size(f->net), BLOCK, 2 * BLOCK);
    close_all(fds);
}

static void test_output_per_address(void **state)
{
    struct fixture *f = *state;
    struct session *sessions[PEERS];
    int fds[PEERS];
    fixture_set(f, "net.max_output_per_address=1MiB");
    open_readers(f, fds, sessions, NULL);
    WAIT_FOR(f, count_closed(sessions) > 0 && net_output_size(f->net) <= 1 << 20);
    loop_iterate(f->loop, 10);
    assert_in_range(count_closed(sessions), PEERS - 6, PEERS - 2);
    assert_true(fixture_logged(f, "msg=memory_limit_reached of=address kind=output"));
    close_all(fds);
}

/* Small answers to operators are left alone; the others go. */
static void test_operators_go_last(void **state)
{
    struct fixture *f = *state;
    struct session *sessions[PEERS];
    int fds[PEERS];
    fixture_set(f, "net.max_output_total=1MiB");
    open_readers(f, fds, sessions, NULL);
    WAIT_FOR(f, count_closed(sessions) > 0 && net_output_size(f->net) <= net_output_limit(f->net));
    assert_int_equal(sessions[0]->closed + sessions[PEERS - 1]->closed, 0);
    close_all(fds);
}

/* The largest goes first. */
static void test_input_total(void **state)
{
    struct fixture *f = *state;
    struct session *sessions[PEERS];
    int fds[PEERS];
    static uint8_t block[BLOCK];
    f->received = receive_nothing;
    fixture_set(f, "net.max_input_total=1MiB");
    fixture_listen(f, "127.0.0.1:0");
    for (int i = 0; i < PEERS; i++) {
        sessions[i] = fixture_open(f, &fds[i]);
    }
    fixture_write(fds[1], block, 1000);
    for (size_t sent = 0; sent < 3 * BLOCK;) {
        sent += (size_t)send(fds[0], block, BLOCK / 4, MSG_NOSIGNAL);
        loop_iterate(f->loop, 10);
    }
    for (int i = 2; i < PEERS - 4; i++) {
        fixture_write(fds[i], block, BLOCK / 2);
        loop_iterate(f->loop, 10);
    }
    WAIT_FOR(f, sessions[0]->closed == 1);
    assert_int_equal(sessions[0]->reason, CONN_CLOSE_MEMORY);
    assert_int_equal(count_closed(sessions), 1);
    close_all(fds);
    WAIT_FOR(f, count_closed(sessions) == PEERS);
    assert_int_equal(net_input_size(f->net), 0);
}

static void write_limit(const char *root, const char *path, const char *text)
{
    char name[512];
    FILE *file;
    snprintf(name, sizeof name, "%s/%s", root, path);
    for (char *slash = strchr(name + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
        *slash = 0;
        (void)mkdir(name, 0700);
        *slash = '/';
    }
    file = fopen(name, "w");
    assert_non_null(file);
    (void)fputs(text, file);
    (void)fclose(file);
}

static void remove_root(const char *root)
{
    char command[512];
    snprintf(command, sizeof command, "rm -r '%s'", root);
    assert_int_equal(system(command), 0);
}

static void test_limits_of_groups(void **state)
{
    char root[] = "/tmp/test-memory-XXXXXX";
    uint64_t machine;
    assert_non_null(mkdtemp(root));
    machine = memory_limit_read(root);
    assert_true(machine > 1 << 20);
    write_limit(root, "proc/self/cgroup", "0::/a/b\n");
    assert_int_equal(memory_limit_read(root), machine);
    write_limit(root, "sys/fs/cgroup/a/b/memory.max", "max\n");
    assert_int_equal(memory_limit_read(root), machine);
    write_limit(root, "sys/fs/cgroup/a/memory.max", "1048576\n");
    assert_int_equal(memory_limit_read(root), 1048576);
    write_limit(root, "sys/fs/cgroup/a/b/memory.max", "524288\n");
    assert_int_equal(memory_limit_read(root), 524288);
    write_limit(root, "proc/self/cgroup", "5:cpu,memory:/c\n1:cpu:/a\n");
    write_limit(root, "sys/fs/cgroup/memory/c/memory.limit_in_bytes", "9223372036854771712\n");
    assert_int_equal(memory_limit_read(root), machine);
    write_limit(root, "sys/fs/cgroup/memory/memory.limit_in_bytes", "65536\n");
    assert_int_equal(memory_limit_read(root), 65536);
    remove_root(root);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_output_total),       TEST(test_output_shared),
        TEST(test_output_per_address), TEST(test_operators_go_last),
        TEST(test_input_total),        cmocka_unit_test(test_limits_of_groups),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
