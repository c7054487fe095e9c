/* auth/password: whose password it is, and lists that are none. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "auth/password.h"
#include "base/random.h"

#define B(s) BYTES_LITERAL(s)

static const struct bytes anybody = {0};

static struct password_list *must_create(const char *text)
{
    char *error;
    struct password_list *list = password_list_create(text, &error);

    if (!list) {
        fail_msg("%s", error);
    }
    assert_null(password_list_check(text));
    return list;
}

static void one_password(void **state)
{
    assert_true(password_is("secret", B("secret")));
    assert_true(password_is("", B("")));
    assert_false(password_is("secret", B("Secret")));
    assert_false(password_is("secret", B("secre")));
    assert_false(password_is("secret", B("secrets")));
    assert_false(password_is("secret", B("secret\0")));
    assert_false(password_is("secret", B("")));
    assert_false(password_is("secret", anybody));
    assert_false(password_is("", B("x")));
}

static void lines_are_made_and_found(void **state)
{
    struct writer text = {0};
    struct password_list *list;

    writer_string(&text, "# servers\n\n");
    password_write_line(&text, B("ann"), B("first"));
    password_write_line(&text, B("bob"), B("second"));
    writer_string(&text, "  \r\n#bob:x\n");
    password_write_line(&text, B("c.y_-9"), B("fir\0st"));
    assert_false(text.failed);
    writer_u8(&text, 0);
    list = must_create((const char *)text.data);
    assert_int_equal(password_list_count(list), 3);
    assert_string_equal(password_list_find(list, anybody, B("first")), "ann");
    assert_string_equal(password_list_find(list, anybody, B("second")), "bob");
    assert_string_equal(password_list_find(list, anybody, B("fir\0st")), "c.y_-9");
    assert_string_equal(password_list_find(list, B("bob"), B("second")), "bob");
    assert_null(password_list_find(list, B("ann"), B("second")));
    assert_null(password_list_find(list, B("Bob"), B("second")));
    assert_null(password_list_find(list, B(""), B("second")));
    assert_null(password_list_find(list, anybody, B("third")));
    assert_null(password_list_find(list, anybody, B("")));
    assert_null(password_list_find(list, anybody, anybody));
    password_list_destroy(&list);
    assert_null(list);
    password_list_destroy(&list);
    writer_free(&text);
}

/* The salt is another each time; the form stays readable by others (the header has how). */
static void a_known_line(void **state)
{
    static const char line[] =
        "ann:000102030405060708090a0b0c0d0e0f:"
        "388ef5849b511ff12cee7c0d8a5a28d63dbcb0233a7232ccb0a9f4d3e10bbf8a\r\n";
    struct password_list *list = must_create(line);
    struct writer a = {0}, b = {0};

    assert_string_equal(password_list_find(list, anybody, B("secret")), "ann");
    assert_null(password_list_find(list, anybody, B("Secret")));
    password_list_destroy(&list);
    password_write_line(&a, B("ann"), B("secret"));
    password_write_line(&b, B("ann"), B("secret"));
    assert_int_equal(a.len, sizeof line - 2); /* no carriage return */
    assert_false(bytes_equal(writer_bytes_written(&a), writer_bytes_written(&b)));
    assert_memory_equal(a.data, "ann:", 4);
    writer_free(&a);
    writer_free(&b);
}

#define SALT "000102030405060708090a0b0c0d0e0f"
#define HASH SALT SALT

static void bad_lists(void **state)
{
    static const struct {
        const char *text, *error;
    } lists[] = {
        {"ann", "line 1: a salt"},
        {"ann:", "line 1: a salt"},
        {"ann:" SALT, "line 1: a hash"},
        {"ann:" SALT ":", "line 1: a hash"},
        {"ann:" SALT ":" SALT, "line 1: a hash"},
        {"ann:" SALT ":" HASH "0", "line 1: a hash"},
        {"ann:" SALT ":" HASH ":", "line 1: a hash"},
        {"ann:" SALT ":g" HASH, "line 1: a hash"},
        {"ann:" SALT "0:" HASH, "line 1: a salt"},
        {"ann::" HASH, "line 1: a salt"},
        {":" SALT ":" HASH, "line 1: a name"},
        {" ann:" SALT ":" HASH, "line 1: a name"},
        {"an n:" SALT ":" HASH, "line 1: a name"},
        {"\xc3\xa9:" SALT ":" HASH, "line 1: a name"},
        {"plain-password", "line 1: a salt"},
        {"a:" SALT ":" HASH "\n#\n\nb:" SALT "\n", "line 4: a hash"},
        {"a:" SALT ":" HASH "\nb:" SALT ":" HASH "\na:" SALT ":" HASH,
         "line 3: the name is already"},
        {"12345678901234567890123456789012345678901234567890123456789012345:" SALT ":" HASH,
         "line 1: a name"},
    };

    for (size_t i = 0; i < sizeof lists / sizeof *lists; i++) {
        char *error = NULL;

        assert_null(password_list_create(lists[i].text, &error));
        assert_non_null(error);
        if (strncmp(error, lists[i].error, strlen(lists[i].error)) != 0) {
            fail_msg("%s: %s", lists[i].text, error);
        }
        assert_non_null(password_list_check(lists[i].text));
        free(error);
    }
}

static void empty_lists(void **state)
{
    static const char *const texts[] = {"", "\n", "# nobody", "\r\n \t\n#\n"};

    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        struct password_list *list = must_create(texts[i]);

        assert_int_equal(password_list_count(list), 0);
        assert_null(password_list_find(list, anybody, B("")));
        password_list_destroy(&list);
    }
}

static void names(void **state)
{
    struct writer to = {0};

    assert_true(password_is_name(B("A-z.0_9")));
    assert_false(password_is_name(B("")));
    assert_false(password_is_name(B("a:b")));
    assert_false(password_is_name(B("a\n")));
    password_write_line(&to, B("a:b"), B("x"));
    assert_true(to.failed);
    writer_free(&to);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_password), cmocka_unit_test(lines_are_made_and_found),
        cmocka_unit_test(a_known_line), cmocka_unit_test(bad_lists),
        cmocka_unit_test(empty_lists),  cmocka_unit_test(names),
    };

    random_init();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
