/* auth/verifier: which keys fit which algorithm, two keys at a time, reloads. */
#include "auth/signer.h"

#define NOW_MS 1700000000000ull
#define HS256  "{\"alg\":\"HS256\"}"
#define GOOD   "{\"sub\":\"u\",\"exp\":1700000060}"
#define OTHER  "fedcba9876543210fedcba9876543210"

static int write_private(BIO *bio, const EVP_PKEY *key)
{
    return PEM_write_bio_PrivateKey(bio, key, NULL, NULL, 0, NULL, NULL);
}

static int write_encrypted(BIO *bio, const EVP_PKEY *key)
{
    return PEM_write_bio_PrivateKey(bio, key, EVP_aes_128_cbc(), (const unsigned char *)"secret", 6,
                                    NULL, NULL);
}

static int write_rsa_alone(BIO *bio, const EVP_PKEY *key)
{
    return i2d_PublicKey(key, NULL) > 0 &&
           BIO_puts(bio, "-----BEGIN RSA PUBLIC KEY-----\nMA==\n-----END RSA PUBLIC KEY-----\n") >
               0;
}

/* Part of what is said; NULL: it is taken. Frees the key. */
static void expect_key(enum auth_algorithm algorithm, char *key, const char *part)
{
    struct auth_settings settings = settings_of(algorithm, key);
    char *error = NULL;
    struct auth_verifier *verifier = auth_verifier_create(&settings, &error);
    if (!part && !verifier) {
        fail_msg("refused: %s", error);
    }
    if (part && (verifier || !strstr(error, part))) {
        fail_msg("%s is not in %s", part, error ? error : "(taken)");
    }
    if (error && strlen(key) > 20) {
        assert_null(strstr(error, key)); /* no secret is shown */
    }
    free(error);
    auth_verifier_destroy(&verifier);
    free(key);
}

static void secrets_are_judged(void **state)
{
    EVP_PKEY *rsa = EVP_RSA_gen(2048);
    assert_int_equal(strlen(SECRET), 32); /* just long enough */
    expect_key(AUTH_HS256, mem_strdup(SECRET), NULL);
    expect_key(AUTH_HS256, mem_strdup("0123456789abcdef0123456789abcde"), "has 31 bytes");
    expect_key(AUTH_HS256, mem_strdup(""), "auth.mode = on needs auth.key");
    expect_key(AUTH_HS256, public_pem(rsa), "PEM form");
    expect_key(AUTH_HS256, pem_of(rsa, write_private), "PEM form");
    EVP_PKEY_free(rsa);
}

static void rsa_keys_are_judged(void **state)
{
    EVP_PKEY *rsa = EVP_RSA_gen(2048), *small = EVP_RSA_gen(1024), *curve = EVP_EC_gen("P-256");
    EVP_PKEY *edwards = EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
    char *both = pem_of(rsa, write_private), *public = public_pem(rsa);
    expect_key(AUTH_RS256, mem_strdup(public), NULL);
    expect_key(AUTH_RS256, mem_dup(public, strlen(public) - 1), NULL); /* no end of line */
    expect_key(AUTH_RS256, mem_format("a comment\n%s", public), NULL);
    expect_key(AUTH_RS256, public_pem(small), "has 1024 bits");
    expect_key(AUTH_RS256, public_pem(curve), "requires an RSA key");
    expect_key(AUTH_RS256, public_pem(edwards), "requires an RSA key");
    expect_key(AUTH_RS256, mem_strdup(both), "private key");
    expect_key(AUTH_RS256, mem_format("%s%s", public, both), "private key");
    expect_key(AUTH_RS256, pem_of(rsa, write_encrypted), "private key");
    expect_key(AUTH_RS256, pem_of(rsa, write_rsa_alone), "cannot be read as one");
    expect_key(AUTH_RS256, mem_strdup(SECRET), "cannot be read as one");
    expect_key(AUTH_RS256, mem_dup(public, strlen(public) / 2), "cannot be read as one");
    expect_key(AUTH_RS256,
               mem_strdup("-----BEGIN CERTIFICATE-----\nMA==\n-----END CERTIFICATE-----\n"),
               "certificate");
    free(both);
    free(public);
    EVP_PKEY_free(rsa);
    EVP_PKEY_free(small);
    EVP_PKEY_free(curve);
    EVP_PKEY_free(edwards);
}

static void curves_are_judged(void **state)
{
    EVP_PKEY *p256 = EVP_EC_gen("P-256"), *p384 = EVP_EC_gen("P-384"), *rsa = EVP_RSA_gen(2048);
    expect_key(AUTH_ES256, public_pem(p256), NULL);
    expect_key(AUTH_ES256, public_pem(p384), "secp384r1");
    expect_key(AUTH_ES256, public_pem(rsa), "another kind of key");
    expect_key(AUTH_ES256, pem_of(p256, write_private), "private key");
    EVP_PKEY_free(p256);
    EVP_PKEY_free(p384);
    EVP_PKEY_free(rsa);
}

static const char *judge(const struct auth_verifier *verifier, const char *key)
{
    char *token = sign((struct signer){.secret = key}, HS256, GOOD);
    struct auth_claims claims;
    const char *why = NULL;
    (void)!auth_token_check(verifier, bytes_from_string(token), NOW_MS, &claims, &why);
    auth_claims_free(&claims);
    free(token);
    return why;
}

static void without_a_key_nothing_is_good(void **state)
{
    struct auth_settings settings = settings_of(AUTH_HS256, "");
    struct auth_verifier *verifier;
    settings.mode = AUTH_OFF;
    verifier = verifier_of(settings);
    assert_false(auth_verifier_is_on(verifier));
    assert_false(auth_verifier_has_key(verifier));
    assert_string_equal(judge(verifier, ""), "no key for tokens configured");
    auth_verifier_destroy(&verifier);
}

/* Off says that protocols need no token; what is given a token still can look at it. */
static void a_key_counts_without_the_mode(void **state)
{
    struct auth_settings settings = settings_of(AUTH_HS256, SECRET);
    struct auth_verifier *verifier;
    settings.mode = AUTH_OFF;
    verifier = verifier_of(settings);
    assert_false(auth_verifier_is_on(verifier));
    assert_true(auth_verifier_has_key(verifier));
    assert_null(judge(verifier, SECRET));
    auth_verifier_destroy(&verifier);
}

static void two_keys_while_they_change(void **state)
{
    struct auth_settings settings = settings_of(AUTH_HS256, OTHER);
    struct auth_verifier *verifier;
    char *error;
    settings.previous_key = (char *)SECRET;
    verifier = verifier_of(settings);
    assert_null(judge(verifier, SECRET));
    assert_null(judge(verifier, OTHER));
    assert_string_equal(judge(verifier, OTHER "x"), "bad signature");
    auth_verifier_destroy(&verifier);
    settings.previous_key = (char *)"short";
    assert_null(auth_verifier_create(&settings, &error));
    assert_non_null(strstr(error, "auth.previous_key: the secret has 5 bytes"));
    free(error);
    settings.mode = AUTH_OFF;
    settings.key = (char *)"";
    settings.previous_key = (char *)SECRET;
    assert_null(auth_verifier_create(&settings, &error));
    assert_non_null(strstr(error, "auth.key is not"));
    free(error);
}

static void a_reload_is_whole_or_nothing(void **state)
{
    struct auth_settings settings = settings_of(AUTH_HS256, SECRET);
    struct auth_verifier *verifier = verifier_of(settings);
    char *error;
    settings.key = (char *)"too short";
    settings.deadline = 77;
    error = auth_verifier_reload(verifier, &settings);
    assert_non_null(error);
    free(error);
    assert_null(judge(verifier, SECRET));
    assert_int_equal(auth_verifier_deadline_ms(verifier), 10000);
    settings.key = (char *)OTHER;
    assert_null(auth_verifier_reload(verifier, &settings));
    assert_string_equal(judge(verifier, SECRET), "bad signature");
    assert_null(judge(verifier, OTHER));
    assert_int_equal(auth_verifier_deadline_ms(verifier), 77);
    auth_verifier_destroy(&verifier);
}

static int begin(void **state)
{
    return sodium_init() < 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(secrets_are_judged),
        cmocka_unit_test(rsa_keys_are_judged),
        cmocka_unit_test(curves_are_judged),
        cmocka_unit_test(without_a_key_nothing_is_good),
        cmocka_unit_test(a_key_counts_without_the_mode),
        cmocka_unit_test(two_keys_while_they_change),
        cmocka_unit_test(a_reload_is_whole_or_nothing),
    };
    return cmocka_run_group_tests(tests, begin, NULL);
}
