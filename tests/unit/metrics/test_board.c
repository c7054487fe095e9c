/* The metrics of several workers in shared memory: whoever writes the text shows all of them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "metrics/board.h"
#include "metrics/metrics.h"

static char *write_all(void)
{
    struct writer writer = {0};
    metrics_write_text(&writer);
    writer_u8(&writer, 0);
    assert_false(writer.failed);
    return (char *)writer.data;
}

static void expect_line(const char *text, const char *line)
{
    if (!strstr(text, line)) {
        fail_msg("%s is not in:\n%.2000s", line, text);
    }
}

/* Another worker, in a process of its own; 0: all went well. */
static int be_worker(int fd, unsigned worker, unsigned area)
{
    metrics_add(METRIC_ACCEPTED, worker);
    if (!board_join(fd, worker, area)) {
        return 1;
    }
    metrics_add(METRIC_ACCEPTED, 10 * worker);
    metrics_observe(HISTOGRAM_BATCH, 3);
    board_set_ready(worker == 1, "not yet");
    return 0;
}

static void run_worker(int fd, unsigned worker, unsigned area)
{
    int status;
    const pid_t pid = fork();
    if (pid == 0) {
        _exit(be_worker(fd, worker, area));
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
}

/* A worker's process ends with it, so this joins last, and for good. */
static void test_all_workers_are_shown(void **state)
{
    struct board_worker worker;
    char why[BOARD_WHY_SIZE];
    bool ready;
    int fd;
    struct board *board = board_create(3, &fd);

    assert_non_null(board);
    assert_int_equal(board_workers(), 0);
    board_publish(board, 1, &(struct board_worker){.state = BOARD_SERVING, .area = 0, .starts = 1});
    board_publish(board, 2, &(struct board_worker){.state = BOARD_SERVING, .area = 3, .starts = 2});
    board_publish(board, 3,
                  &(struct board_worker){.area = 4, .starts = 3, .failures = 3, .helper = 1});
    run_worker(fd, 1, 0);
    run_worker(fd, 2, 3);
    run_worker(fd, 2, 2); /* its predecessor, whose area is not shown */
    assert_false(board_join(fd, 4, 0));
    assert_false(board_join(fd, 1, 6));
    assert_false(board_join(STDERR_FILENO, 1, 0));
    assert_int_equal(board_workers(), 0);

    metrics_add(METRIC_ACCEPTED, 7);
    assert_true(board_join(fd, 3, 4));
    metrics_add(METRIC_ACCEPTED, 1);
    assert_int_equal(board_workers(), 3);
    assert_int_equal(board_own(), 3);
    char *text = write_all();
    expect_line(text, "\ntracker_connections_accepted_total{worker=\"1\"} 11\n"
                      "tracker_connections_accepted_total{worker=\"2\"} 22\n"
                      "tracker_connections_accepted_total{worker=\"3\"} 8\n");
    expect_line(text, "\ntracker_connections_refused_total{reason=\"limit\",worker=\"2\"} 0\n");
    expect_line(text, "\ntracker_batch_operations_bucket{le=\"4\",worker=\"2\"} 1\n");
    expect_line(text, "\ntracker_batch_operations_sum{worker=\"1\"} 3\n");
    expect_line(text, "\ntracker_worker_up{worker=\"1\"} 1\ntracker_worker_up{worker=\"2\"} 0\n");
    expect_line(text, "\ntracker_worker_starts_total{worker=\"3\"} 3\n");
    expect_line(text, "\nprocess_max_fds{worker=\"3\"} ");
    free(text);
    board_read(2, &worker, &ready, why);
    assert_false(ready);
    assert_string_equal(why, "not yet");
    assert_int_equal(worker.starts, 2);
    board_read(1, &worker, &ready, why);
    assert_true(ready);

    board_clear(board, 0);
    text = write_all();
    expect_line(text, "Connections accepted.\n# TYPE tracker_connections_accepted_total counter\n"
                      "tracker_connections_accepted_total{worker=\"2\"} 22\n");
    free(text);
    board_destroy(&board);
    metrics_add(METRIC_ACCEPTED, 1); /* it goes on */
    assert_int_equal(metrics_get(METRIC_ACCEPTED), 9);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_all_workers_are_shown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
