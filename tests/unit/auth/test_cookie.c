/* auth/cookie: whose cookies are good, for whom, as what and how long. */
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "auth/cookie.h"
#include "base/random.h"
#include "codec/q3master.h"

#define SLOT 5000

static const char *const contexts[] = {"", "Quake3Arena", "wolfmp", "et", "Warsow"};
#define CONTEXTS (sizeof contexts / sizeof *contexts)

static struct address address_of(const char *text)
{
    struct address address;

    assert_true(address_parse(text, &address));
    return address;
}

static struct cookie_keys keys_of(const char *secret)
{
    struct cookie_keys keys = {.slot_ms = SLOT};
    uint8_t bytes[COOKIE_SECRET_SIZE];

    cookie_secret_from_text(bytes_from_string(secret), bytes);
    cookie_set_secret(&keys, bytes, 0);
    return keys;
}

static int check(const struct cookie_keys *keys, const struct address *peer, uint64_t now,
                 const char *text)
{
    return cookie_check(keys, peer, contexts, CONTEXTS, now, bytes_from_string(text));
}

/* Another front-end with the same secret takes them too; each is of the masters' form. */
static void good_ones(void **state)
{
    static const char *const peers[] = {"192.0.2.1:27960", "192.0.2.1:1", "[2001:db8::1]:27960",
                                        "255.255.255.255:65535"};
    const struct cookie_keys ours = keys_of("secret"), other = keys_of("secret");

    for (size_t i = 0; i < sizeof peers / sizeof *peers; i++) {
        const struct address peer = address_of(peers[i]);

        for (size_t j = 0; j < CONTEXTS; j++) {
            char text[COOKIE_LENGTH + 1];

            cookie_make(&ours, &peer, contexts[j], 1000000, text);
            assert_int_equal(strlen(text), COOKIE_LENGTH);
            assert_true(q3master_is_challenge(bytes_from_string(text)));
            assert_int_equal(check(&other, &peer, 1000000, text), (int)j);
        }
    }
}

/* The present slot and the one before; neither later nor earlier ones. */
static void they_age(void **state)
{
    const struct cookie_keys keys = keys_of("secret");
    const struct address peer = address_of("192.0.2.1:27960");
    char text[COOKIE_LENGTH + 1];

    for (uint64_t slot = 0; slot < 4; slot++) {
        for (uint64_t made = slot * SLOT; made < (slot + 1) * SLOT; made += SLOT - 1) {
            cookie_make(&keys, &peer, "et", made, text);
            for (uint64_t now = 0; now < 8 * SLOT; now += SLOT / 4) {
                const bool good = now / SLOT == slot || now / SLOT == slot + 1;

                assert_int_equal(check(&keys, &peer, now, text), good ? 3 : -1);
            }
        }
    }
}

static void others_are_refused(void **state)
{
    const struct cookie_keys keys = keys_of("secret"), strange = keys_of("Secret");
    const struct cookie_keys none = {.slot_ms = SLOT};
    const struct address peer = address_of("192.0.2.1:27960");
    const struct address others[] = {
        address_of("192.0.2.2:27960"), address_of("192.0.2.1:27961"),
        address_of("[c000:201::]:27960"), /* the same bytes, another family */
    };
    const char *const fewer[] = {"", "wolfmp"};
    char text[COOKIE_LENGTH + 2];

    cookie_make(&keys, &peer, "et", 1000, text);
    assert_int_equal(check(&keys, &peer, 1000, text), 3);
    assert_int_equal(check(&strange, &peer, 1000, text), -1);
    assert_int_equal(check(&none, &peer, 1000, text), -1);
    for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
        assert_int_equal(check(&keys, &others[i], 1000, text), -1);
    }
    assert_int_equal(cookie_check(&keys, &peer, fewer, 2, 1000, bytes_from_string(text)), -1);
    assert_int_equal(cookie_check(&keys, &peer, contexts, 0, 1000, bytes_from_string(text)), -1);
    /* Any character changed, one less, one more. */
    for (size_t i = 0; i < COOKIE_LENGTH; i++) {
        const char was = text[i];

        for (unsigned c = 1; c < 256; c++) {
            text[i] = (char)c;
            assert_int_equal(check(&keys, &peer, 1000, text), (char)c == was ? 3 : -1);
        }
        text[i] = was;
    }
    assert_int_equal(cookie_check(&keys, &peer, contexts, CONTEXTS, 1000,
                                  (struct bytes){(const uint8_t *)text, COOKIE_LENGTH - 1}),
                     -1);
    text[COOKIE_LENGTH] = 'A';
    text[COOKIE_LENGTH + 1] = '\0';
    assert_int_equal(check(&keys, &peer, 1000, text), -1);
    assert_int_equal(check(&keys, &peer, 1000, ""), -1);
}

/* After a change those of the secret before are good for two slots; then never. */
static void secrets_change(void **state)
{
    struct cookie_keys keys = keys_of("first");
    const struct cookie_keys old = keys_of("first"), second = keys_of("second");
    const struct address peer = address_of("192.0.2.1:27960");
    const uint64_t change = 10 * SLOT + 100;
    char text[COOKIE_LENGTH + 1];

    cookie_set_secret(&keys, second.secret, change);
    cookie_set_secret(&keys, second.secret, change + SLOT); /* no change */
    for (uint64_t now = change; now < change + 4 * SLOT; now += SLOT / 4) {
        cookie_make(&old, &peer, "et", now, text);
        assert_int_equal(check(&keys, &peer, now, text), now < change + 2 * SLOT ? 3 : -1);
        cookie_make(&second, &peer, "et", now, text);
        assert_int_equal(check(&keys, &peer, now, text), 3);
        cookie_make(&keys, &peer, "et", now, text);
        assert_int_equal(check(&second, &peer, now, text), 3);
        assert_int_equal(check(&old, &peer, now, text), -1);
    }
    cookie_set_secret(&keys, old.secret, change + 4 * SLOT); /* and back */
    cookie_make(&second, &peer, "et", change + 4 * SLOT, text);
    assert_int_equal(check(&keys, &peer, change + 4 * SLOT, text), 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(good_ones),
        cmocka_unit_test(they_age),
        cmocka_unit_test(others_are_refused),
        cmocka_unit_test(secrets_change),
    };

    random_init();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
