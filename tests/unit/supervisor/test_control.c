/* The messages between a supervisor and its workers: whole, with their descriptor, or refused. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "supervisor/control.h"

struct pair {
    int fds[2];
    struct control_message message;
};

static struct pair pair;

static int open_pair(void **state)
{
    assert_true(control_open(pair.fds));
    return 0;
}

static int close_pair(void **state)
{
    close(pair.fds[0]);
    close(pair.fds[1]);
    return 0;
}

static void test_words_and_a_descriptor_arrive(void **state)
{
    const char *const words[] = {"adopt", "tracker=*:0", "", "2", NULL};
    int pipe_fds[2];
    char byte = 0;

    assert_int_equal(pipe(pipe_fds), 0);
    assert_true(control_send(pair.fds[0], pipe_fds[1], words));
    close(pipe_fds[1]);
    assert_int_equal(control_receive(pair.fds[1], true, &pair.message), CONTROL_RECEIVED);
    assert_true(control_is(&pair.message, "adopt", 3));
    assert_false(control_is(&pair.message, "adopt", 2));
    assert_false(control_is(&pair.message, "release", 3));
    assert_string_equal(pair.message.words[1], "tracker=*:0");
    assert_string_equal(pair.message.words[2], "");
    assert_string_equal(pair.message.words[3], "2");
    assert_true(pair.message.fd >= 0);
    assert_int_equal(write(pair.message.fd, "x", 1), 1);
    assert_int_equal(read(pipe_fds[0], &byte, 1), 1);
    assert_int_equal(byte, 'x');
    close(pair.message.fd);
    close(pipe_fds[0]);
}

static void test_messages_stay_apart(void **state)
{
    const char *const run[] = {"run", NULL}, *const retire[] = {"retire", NULL};

    assert_int_equal(control_receive(pair.fds[1], false, &pair.message), CONTROL_NOTHING);
    assert_true(control_send(pair.fds[0], -1, run));
    assert_true(control_send(pair.fds[0], -1, retire));
    assert_int_equal(control_receive(pair.fds[1], false, &pair.message), CONTROL_RECEIVED);
    assert_true(control_is(&pair.message, "run", 0));
    assert_int_equal(pair.message.fd, -1);
    assert_int_equal(control_receive(pair.fds[1], false, &pair.message), CONTROL_RECEIVED);
    assert_true(control_is(&pair.message, "retire", 0));
    assert_int_equal(control_receive(pair.fds[1], false, &pair.message), CONTROL_NOTHING);
}

static void test_what_is_too_long_is_not_sent(void **state)
{
    char text[CONTROL_SIZE_MAX];
    const char *const words[] = {"start", text, NULL};

    memset(text, 'x', sizeof text);
    text[sizeof text - 1] = 0;
    assert_false(control_send(pair.fds[0], -1, words));
    assert_int_equal(errno, EMSGSIZE);
    text[sizeof text - 7] = 0; /* with both NULs and "start" it just fits */
    assert_true(control_send(pair.fds[0], -1, words));
    assert_int_equal(control_receive(pair.fds[1], false, &pair.message), CONTROL_RECEIVED);
    assert_int_equal(strlen(pair.message.words[1]), sizeof text - 7);
}

static void test_what_is_malformed_is_invalid(void **state)
{
    char long_text[CONTROL_SIZE_MAX + 1] = {0};

    assert_int_equal(send(pair.fds[0], "run", 3, 0), 3); /* no NUL */
    assert_int_equal(control_receive(pair.fds[1], false, &pair.message), CONTROL_INVALID);
    assert_int_equal(send(pair.fds[0], "a\0b\0c\0d\0e\0f\0g\0h", 16, 0), 16);
    assert_int_equal(control_receive(pair.fds[1], false, &pair.message), CONTROL_INVALID);
    assert_int_equal(send(pair.fds[0], long_text, sizeof long_text, 0), sizeof long_text);
    assert_int_equal(control_receive(pair.fds[1], false, &pair.message), CONTROL_INVALID);
}

static void test_the_end_of_the_other_process(void **state)
{
    const char *const run[] = {"run", NULL};

    assert_true(control_send(pair.fds[0], -1, run));
    close(pair.fds[0]);
    pair.fds[0] = -1;
    assert_int_equal(control_receive(pair.fds[1], true, &pair.message), CONTROL_RECEIVED);
    assert_int_equal(control_receive(pair.fds[1], true, &pair.message), CONTROL_CLOSED);
    assert_false(control_send(pair.fds[1], -1, run));
}

static void test_no_socket(void **state)
{
    int fds[2];

    assert_int_equal(pipe(fds), 0);
    assert_int_equal(control_receive(fds[0], true, &pair.message), CONTROL_CLOSED);
    close(fds[0]);
    close(fds[1]);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, open_pair, close_pair)
    const struct CMUnitTest tests[] = {
        TEST(test_words_and_a_descriptor_arrive), TEST(test_messages_stay_apart),
        TEST(test_what_is_too_long_is_not_sent),  TEST(test_what_is_malformed_is_invalid),
        TEST(test_the_end_of_the_other_process),  TEST(test_no_socket),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
