/* loop_case: what the loop's tests share: a loop, a pair of sockets, and a journal of letters. */
#ifndef TESTS_LOOP_CASE_H
#define TESTS_LOOP_CASE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "loop/loop.h"

static struct loop *loop;
static int ends[2];
static char journal[256]; /* what happened, a letter each */

static inline void note(char letter)
{
    size_t len = strlen(journal);

    assert_true(len + 1 < sizeof journal);
    journal[len] = letter;
    journal[len + 1] = '\0';
}

static inline int set_up(void **state)
{
    journal[0] = '\0';
    loop = loop_create();
    return socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, ends);
}

static inline int tear_down(void **state)
{
    close(ends[0]);
    close(ends[1]);
    loop_destroy(&loop);
    assert_null(loop);
    return 0;
}

static inline void put(const char *bytes)
{
    assert_int_equal(write(ends[1], bytes, strlen(bytes)), strlen(bytes));
}

static inline void drain(int fd)
{
    char bytes[65536];

    while (read(fd, bytes, sizeof bytes) > 0) {
        continue;
    }
}

/* Turns until the journal has this many letters. */
static inline void turn_until(size_t letters)
{
    while (strlen(journal) < letters) {
        loop_iterate(loop, 3600000);
    }
}

static inline void note_letter(void *arg)
{
    note(*(const char *)arg);
}

static inline struct loop_timer *timer_of(char *letter)
{
    return loop_timer_create(loop, note_letter, letter);
}

#define with_loop(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

#endif
