/* base/hash: every table's hash is keyed, and the key is another one in each process. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/hash.h"

struct item {
    UT_hash_handle hh;
    unsigned number;
};

static unsigned hash_of(const char *key)
{
    unsigned hash;

    HASH_VALUE(key, strlen(key), hash);
    return hash;
}

/* What a process that starts now hashes the key to. */
static unsigned hash_in_a_child(const char *key)
{
    unsigned hash = 0;
    int ends[2], status;
    pid_t pid;

    assert_int_equal(pipe(ends), 0);
    pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        random_init();
        hash = hash_of(key);
        _exit(write(ends[1], &hash, sizeof hash) == sizeof hash ? 0 : 1);
    }
    assert_int_equal(read(ends[0], &hash, sizeof hash), sizeof hash);
    close(ends[0]);
    close(ends[1]);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
    return hash;
}

/* Of three processes two may have one hash by chance, once in 2^31 runs; not all three. */
static void each_process_has_a_key_of_its_own(void **state)
{
    unsigned first = hash_in_a_child("id"), second = hash_in_a_child("id");

    assert_true(first != second || first != hash_in_a_child("id"));
}

static void the_hash_is_the_keyed_one(void **state)
{
    unsigned plain, hash;

    random_init();
    hash = hash_of("an id");
    assert_int_equal(hash, (unsigned)random_keyed_hash("an id", 5));
    assert_int_equal(hash, hash_of("an id"));
    HASH_JEN("an id", 5, plain);
    assert_int_not_equal(hash, plain);
    random_init(); /* keeps the key that tables are filled with */
    assert_int_equal(hash, hash_of("an id"));
}

static void tables_hold_what_is_added(void **state)
{
    static struct item items[5000];
    struct item *table = NULL, *found;
    unsigned number;

    for (unsigned i = 0; i < 5000; i++) {
        items[i].number = i;
        HASH_ADD(hh, table, number, sizeof items[i].number, &items[i]);
    }
    assert_int_equal(HASH_COUNT(table), 5000);
    for (number = 0; number < 5000; number += 2) {
        HASH_FIND(hh, table, &number, sizeof number, found);
        assert_ptr_equal(found, &items[number]);
        HASH_DEL(table, found);
    }
    for (number = 0; number < 5000; number++) {
        HASH_FIND(hh, table, &number, sizeof number, found);
        assert_ptr_equal(found, number % 2 ? &items[number] : NULL);
    }
    HASH_CLEAR(hh, table);
    assert_null(table);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_process_has_a_key_of_its_own), /* before the key is chosen */
        cmocka_unit_test(the_hash_is_the_keyed_one),
        cmocka_unit_test(tables_hold_what_is_added),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
