/* base/mem and base/frame: contents, sizes of zero, and the end when there is no memory left, for
 * hash tables too. */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/frame.h"
#include "base/hash.h"
#include "base/mem.h"

/* The address sanitizer would end the program by itself. */
const char *__asan_default_options(void);
const char *__asan_default_options(void)
{
    return "allocator_may_return_null=1";
}

static void memory_is_given(void **state)
{
    uint8_t *memory = mem_zalloc(16, 4);
    char *text;

    for (size_t i = 0; i < 64; i++) {
        assert_int_equal(memory[i], 0);
    }
    memset(memory, 7, 64);
    memory = mem_realloc(memory, 4096);
    for (size_t i = 0; i < 64; i++) {
        assert_int_equal(memory[i], 7);
    }
    free(memory);

    text = mem_dup("a\0b", 3);
    assert_memory_equal(text, "a\0b", 4);
    free(text);
    text = mem_dup(NULL, 0);
    assert_string_equal(text, "");
    free(text);
    text = mem_strdup("text");
    assert_string_equal(text, "text");
    free(text);
    text = mem_format("%s-%d", "n", 42);
    assert_string_equal(text, "n-42");
    free(text);
}

static void nothing_is_something(void **state)
{
    void *memory = mem_alloc(0);

    memory = mem_realloc(memory, 0);
    memory = mem_realloc(memory, 10);
    free(memory);
    free(mem_zalloc(0, 10));
    free(mem_zalloc(10, 0));
}

static volatile size_t huge = SIZE_MAX / 2;

static void alloc_huge(void)
{
    free(mem_alloc(huge));
}

static void zalloc_overflow(void)
{
    free(mem_zalloc(huge, 4));
}

static void realloc_huge(void)
{
    free(mem_realloc(NULL, huge));
}

static void dup_overflow(void)
{
    free(mem_dup("", SIZE_MAX));
}

/* What a hash table asks for when it is created and when it grows. */
static void hash_huge(void)
{
    uthash_free(uthash_malloc(huge), huge);
}

/* In a child: it must say so on standard error and abort. */
static void assert_dies(void (*act)(void))
{
    const struct rlimit no_core = {0, 0};
    char text[4096];
    size_t len = 0;
    ssize_t count;
    int ends[2], status;
    pid_t pid;

    assert_int_equal(pipe(ends), 0);
    pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        (void)setrlimit(RLIMIT_CORE, &no_core);
        signal(SIGABRT, SIG_DFL);
        dup2(ends[1], STDERR_FILENO);
        act();
        _exit(0);
    }
    close(ends[1]);
    while ((count = read(ends[0], text + len, sizeof text - 1 - len)) > 0) {
        len += (size_t)count;
    }
    text[len] = '\0';
    close(ends[0]);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFSIGNALED(status));
    assert_int_equal(WTERMSIG(status), SIGABRT);
    assert_non_null(strstr(text, "level=error msg=out_of_memory\n"));
}

static void running_out_aborts(void **state)
{
    assert_dies(alloc_huge);
    assert_dies(zalloc_overflow);
    assert_dies(realloc_huge);
    assert_dies(dup_overflow);
    assert_dies(hash_huge);
}

static void frames_live_as_long_as_their_references(void **state)
{
    struct frame *frame = frame_create(BYTES_LITERAL("shared"));
    struct frame *second = frame_ref(frame);

    assert_ptr_equal(frame, second);
    assert_int_equal(frame->len, 6);
    frame_unref(&frame);
    assert_null(frame);
    assert_memory_equal(second->data, "shared", 6);
    assert_int_equal(second->references, 1);
    frame_unref(&second);
    assert_null(second);
    frame_unref(&second);
}

static void frames_copy(void **state)
{
    uint8_t bytes[3] = {1, 2, 3};
    struct frame *frame = frame_create((struct bytes){bytes, sizeof bytes});
    struct frame *empty = frame_create((struct bytes){NULL, 0});

    bytes[0] = 9;
    assert_int_equal(frame->data[0], 1);
    assert_int_equal(empty->len, 0);
    frame_unref(&frame);
    frame_unref(&empty);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(memory_is_given),
        cmocka_unit_test(nothing_is_something),
        cmocka_unit_test(running_out_aborts),
        cmocka_unit_test(frames_live_as_long_as_their_references),
        cmocka_unit_test(frames_copy),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
