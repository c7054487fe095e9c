/* auth/token: which tokens are good, and why the others are not. */
#include "auth/signer.h"

#define NOW    1700000000ull
#define NOW_MS (NOW * 1000)

#define HS256  "{\"alg\":\"HS256\",\"typ\":\"JWT\"}"
#define RS256  "{\"alg\":\"RS256\",\"typ\":\"JWT\"}"
#define ES256  "{\"alg\":\"ES256\",\"typ\":\"JWT\"}"
#define GOOD   "{\"sub\":\"1:12345\",\"exp\":1700000060}"

static const struct signer secret = {.secret = SECRET};
static EVP_PKEY *rsa, *other_rsa, *curve, *other_curve, *p384;
static char *rsa_pem, *curve_pem;

static int make_keys(void **state)
{
    rsa = EVP_RSA_gen(2048);
    other_rsa = EVP_RSA_gen(2048);
    curve = EVP_EC_gen("P-256");
    other_curve = EVP_EC_gen("P-256");
    p384 = EVP_EC_gen("P-384");
    rsa_pem = public_pem(rsa);
    curve_pem = public_pem(curve);
    return sodium_init() < 0;
}

static int free_keys(void **state)
{
    EVP_PKEY *const keys[] = {rsa, other_rsa, curve, other_curve, p384};
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
        EVP_PKEY_free(keys[i]);
    }
    free(rsa_pem);
    free(curve_pem);
    return 0;
}

/* NULL: it is good; else why it is not. */
static const char *judge(const struct auth_verifier *verifier, const char *token, size_t len)
{
    struct auth_claims claims;
    const char *why = "nothing said";
    bool good = auth_token_check(verifier, (struct bytes){(const uint8_t *)token, len}, NOW_MS,
                                 &claims, &why);
    if (good) {
        assert_null(why);
        assert_non_null(claims.user);
        assert_true(claims.expires_ms > NOW_MS);
    } else {
        assert_non_null(why);
        assert_null(claims.user);
        assert_null(claims.spaces);
    }
    auth_claims_free(&claims);
    auth_claims_free(&claims); /* may be called again */
    return why;
}

static void expect_text(const struct auth_verifier *verifier, const char *token, const char *why)
{
    const char *said = judge(verifier, token, strlen(token));
    if ((!said) != (!why) || (said && strcmp(said, why) != 0)) {
        fail_msg("%s: %s", token, said ? said : "good");
    }
}

/* Frees the token. */
static void expect(const struct auth_verifier *verifier, char *token, const char *why)
{
    expect_text(verifier, token, why);
    free(token);
}

static void each_algorithm_accepts_its_own_alone(void **state)
{
    const struct {
        enum auth_algorithm algorithm;
        const char *key;
        struct signer good, other;
        const char *header;
    } cases[] = {
        {AUTH_HS256, SECRET, secret, {.secret = SECRET "x"}, HS256},
        {AUTH_RS256, rsa_pem, {.key = rsa}, {.key = other_rsa}, RS256},
        {AUTH_ES256, curve_pem, {.key = curve}, {.key = other_curve}, ES256},
    };
    const size_t count = sizeof cases / sizeof *cases;
    for (size_t i = 0; i < count; i++) {
        struct auth_verifier *verifier = verifier_of(settings_of(cases[i].algorithm, cases[i].key));
        expect(verifier, sign(cases[i].good, cases[i].header, GOOD), NULL);
        expect(verifier, sign(cases[i].other, cases[i].header, GOOD), "bad signature");
        for (size_t k = 0; k < count; k++) {
            if (k == i) {
                continue;
            }
            expect(verifier, sign(cases[k].good, cases[k].header, GOOD), "wrong algorithm");
            /* The right name over a signature of another kind. */
            expect(verifier, sign(cases[k].good, cases[i].header, GOOD), "bad signature");
        }
        auth_verifier_destroy(&verifier);
        assert_null(verifier);
    }
}

/* The public key, which anybody may have, as the secret of an HMAC. */
static void a_public_key_is_no_secret(void **state)
{
    struct auth_verifier *verifier = verifier_of(settings_of(AUTH_RS256, rsa_pem));
    const struct signer confused = {.secret = rsa_pem};
    expect(verifier, sign(confused, HS256, GOOD), "wrong algorithm");
    expect(verifier, sign(confused, RS256, GOOD), "bad signature");
    auth_verifier_destroy(&verifier);
    verifier = verifier_of(settings_of(AUTH_ES256, curve_pem));
    expect(verifier, sign((struct signer){.secret = curve_pem}, HS256, GOOD), "wrong algorithm");
    expect(verifier, sign((struct signer){.secret = curve_pem}, ES256, GOOD), "bad signature");
    expect(verifier, sign((struct signer){.key = p384}, ES256, GOOD), "bad signature");
    auth_verifier_destroy(&verifier);
}

static void headers_are_judged(void **state)
{
    static const struct {
        const char *header, *why;
    } cases[] = {
        {HS256, NULL},
        {"{\"alg\":\"HS256\"}", NULL},
        {"{\"typ\":\"jwt\",\"kid\":\"7\",\"alg\":\"HS256\"}", NULL},
        {"{\"alg\":\"none\"}", "wrong algorithm"},
        {"{\"alg\":\"None\"}", "wrong algorithm"},
        {"{\"alg\":\"\"}", "wrong algorithm"},
        {"{\"alg\":\"hs256\"}", "wrong algorithm"},
        {"{\"alg\":\"HS256 \"}", "wrong algorithm"},
        {"{\"alg\":\"HS512\"}", "wrong algorithm"},
        {"{\"alg\":\"HS384\"}", "wrong algorithm"},
        {"{\"alg\":[\"HS256\"]}", "wrong algorithm"},
        {"{\"alg\":null}", "wrong algorithm"},
        {"{\"ALG\":\"HS256\"}", "wrong algorithm"},
        {"{}", "wrong algorithm"},
        {"{\"alg\":\"none\",\"alg\":\"HS256\"}", "malformed token"},
        {"{\"alg\":\"HS256\",\"alg\":\"none\"}", "malformed token"},
        {"{\"alg\":\"HS256\\u0000\"}", "malformed token"},
        {"{\"alg\":\"HS256\",\"crit\":[\"exp\"]}", "malformed token"},
        {"{\"alg\":\"HS256\",\"typ\":\"at+jwt\"}", "wrong type of token"},
        {"{\"alg\":\"HS256\",\"typ\":7}", "wrong type of token"},
        {"[\"HS256\"]", "malformed token"},
        {"\"HS256\"", "malformed token"},
        {"{\"alg\":\"HS256\"", "malformed token"},
        {"{\"alg\":\"HS256\"}}", "malformed token"},
        {"{\"alg\":\"HS256\",\"x\":\"\xff\"}", "malformed token"},
        {"not JSON", "malformed token"},
    };
    struct auth_verifier *verifier = verifier_of(settings_of(AUTH_HS256, SECRET));
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        expect(verifier, sign(secret, cases[i].header, GOOD), cases[i].why);
        /* Without any signature none of them is good. */
        char *token = sign((struct signer){.secret = NULL}, cases[i].header, GOOD);
        assert_non_null(judge(verifier, token, strlen(token)));
        free(token);
    }
    auth_verifier_destroy(&verifier);
}

static void claims_are_judged(void **state)
{
    static const struct {
        const char *claims, *why;
    } cases[] = {
        {GOOD, NULL},
        {"{\"sub\":\"u\",\"exp\":1700000001}", NULL},
        {"{\"sub\":\"u\",\"exp\":1699999996}", NULL}, /* the leeway */
        {"{\"sub\":\"u\",\"exp\":1699999995}", "token expired"},
        {"{\"sub\":\"u\",\"exp\":1699999000}", "token expired"},
        {"{\"sub\":\"u\",\"exp\":0}", "token expired"},
        {"{\"sub\":\"u\",\"exp\":-1}", "token expired"},
        {"{\"sub\":\"u\",\"exp\":-9223372036854775808}", "token expired"},
        {"{\"sub\":\"u\",\"exp\":9223372036854775807}", NULL},
        {"{\"sub\":\"u\"}", "token has no expiry"},
        {"{\"sub\":\"u\",\"exp\":null}", "malformed claims"},
        {"{\"sub\":\"u\",\"exp\":\"1700000060\"}", "malformed claims"},
        {"{\"sub\":\"u\",\"exp\":1700000060.5}", NULL},
        {"{\"sub\":\"u\",\"exp\":1.7e10}", NULL},
        {"{\"sub\":\"u\",\"exp\":1.7e300}", NULL},
        {"{\"sub\":\"u\",\"exp\":1699999995.5}", NULL},
        {"{\"sub\":\"u\",\"exp\":1699999994.99}", "token expired"},
        {"{\"sub\":\"u\",\"exp\":-0.5}", "token expired"},
        {"{\"sub\":\"u\",\"exp\":1700000060,\"nbf\":1700000005.0}", NULL},
        {"{\"sub\":\"u\",\"exp\":1700000060,\"nbf\":1700000005.1}", "token not yet valid"},
        {"{\"sub\":\"u\",\"exp\":true}", "malformed claims"},
        {"{\"sub\":\"u\",\"exp\":[1700000060]}", "malformed claims"},
        {"{\"sub\":\"u\",\"exp\":1700000060,\"exp\":1}", "malformed claims"},
        {"{\"sub\":\"u\",\"sub\":\"v\",\"exp\":1700000060}", "malformed claims"},
        {"{\"sub\":\"u\",\"exp\":1700000060,\"nbf\":1700000005}", NULL},
        {"{\"sub\":\"u\",\"exp\":1700000060,\"nbf\":-5}", NULL},
        {"{\"sub\":\"u\",\"exp\":1700000060,\"nbf\":1700000006}", "token not yet valid"},
        {"{\"sub\":\"u\",\"exp\":1700000060,\"nbf\":9223372036854775807}", "token not yet valid"},
        {"{\"sub\":\"u\",\"exp\":1700000060,\"nbf\":\"0\"}", "malformed claims"},
        {"{\"exp\":1700000060}", "token names no user"},
        {"{\"sub\":\"\",\"exp\":1700000060}", "token names no user"},
        {"{\"sub\":7,\"exp\":1700000060}", "token names no user"},
        {"{\"sub\":null,\"exp\":1700000060}", "token names no user"},
        {"{\"sub\":\"u\\u0000admin\",\"exp\":1700000060}", "malformed claims"},
        {"{\"sub\":\"u\xff\",\"exp\":1700000060}", "malformed claims"},
        {"[]", "malformed claims"},
        {"\"u\"", "malformed claims"},
        {"{\"sub\":\"u\",\"exp\":1700000060}{}", "malformed claims"},
        {"{\"sub\":\"u\",\"exp\":1700000060,\"spaces\":[]}", NULL},
        {"{\"sub\":\"u\",\"exp\":1700000060,\"spaces\":[\"main\",\"*\"]}", NULL},
        {"{\"sub\":\"u\",\"exp\":1700000060,\"spaces\":\"main\"}", "malformed spaces in token"},
        {"{\"sub\":\"u\",\"exp\":1700000060,\"spaces\":null}", "malformed spaces in token"},
        {"{\"sub\":\"u\",\"exp\":1700000060,\"spaces\":[7]}", "malformed spaces in token"},
        {"{\"sub\":\"u\",\"exp\":1700000060,\"spaces\":[\"Main\"]}", "malformed spaces in token"},
        {"{\"sub\":\"u\",\"exp\":1700000060,\"spaces\":[\"main\",\"\"]}",
         "malformed spaces in token"},
    };
    struct auth_verifier *verifier = verifier_of(settings_of(AUTH_HS256, SECRET));
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        expect(verifier, sign(secret, HS256, cases[i].claims), cases[i].why);
    }
    auth_verifier_destroy(&verifier);
}

static void users_have_a_length(void **state)
{
    struct auth_verifier *verifier = verifier_of(settings_of(AUTH_HS256, SECRET));
    for (int len = AUTH_USER_MAX; len <= AUTH_USER_MAX + 1; len++) {
        char *claims = mem_format("{\"sub\":\"%0*d\",\"exp\":1700000060}", len, 0);
        expect(verifier, sign(secret, HS256, claims),
               len > AUTH_USER_MAX ? "token names no user" : NULL);
        free(claims);
    }
    auth_verifier_destroy(&verifier);
}

static void what_is_no_token_is_refused(void **state)
{
    static const struct {
        const char *token, *why;
    } cases[] = {
        {"", "no token"},
        {".", "malformed token"},
        {"..", "malformed token"},
        {"...", "malformed token"},
        {"a.b.c", "malformed token"},
        {"hello", "malformed token"},
        {"e30.e30.e30", "wrong algorithm"},
        {"e30.e30", "malformed token"},
        {"e30.e30.", "malformed token"},
        {".e30.e30", "malformed token"},
        {"e30..e30", "malformed token"},
        {"e30.e30.e30.e30", "malformed token"},
        {"e30=.e30.e30", "malformed token"},
        {" e30.e30.e30", "malformed token"},
        {"e30.e30.e30\n", "malformed token"},
        {"e3+.e30.e30", "malformed token"},
        {"e30.e30.e31", "malformed token"}, /* bits left over */
    };
    struct auth_verifier *verifier = verifier_of(settings_of(AUTH_HS256, SECRET));
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        expect_text(verifier, cases[i].token, cases[i].why);
    }
    assert_string_equal(judge(verifier, NULL, 0), "no token");
    assert_string_equal(judge(verifier, "e30\0.e30.e30", 12), "malformed token");
    auth_verifier_destroy(&verifier);
}

/* No byte of a good token can be another one, be missing, or be there twice; and nothing can stand
 * behind it. */
static void every_change_breaks_a_token(void **state)
{
    static const char others[] = "Aa09-_.=+ \n\xff";
    struct auth_verifier *verifier = verifier_of(settings_of(AUTH_HS256, SECRET));
    char *good = sign(secret, HS256, GOOD);
    size_t len = strlen(good);
    assert_null(judge(verifier, good, len));
    for (size_t i = 0; i < len; i++) {
        char was = good[i];
        assert_non_null(judge(verifier, good, i));
        for (const char *other = others; *other != 0; other++) {
            good[i] = *other;
            if (*other != was) {
                assert_non_null(judge(verifier, good, len));
            }
        }
        good[i] = 0;
        assert_non_null(judge(verifier, good, len));
        good[i] = was;
        char *twice = mem_format("%.*s%s", (int)i + 1, good, good + i);
        assert_non_null(judge(verifier, twice, len + 1));
        free(twice);
    }
    assert_non_null(judge(verifier, good, len + 1));
    assert_null(judge(verifier, good, len));
    free(good);
    auth_verifier_destroy(&verifier);
}

/* Claims of one good token over the signature of another. */
static void parts_cannot_be_exchanged(void **state)
{
    struct auth_verifier *verifier = verifier_of(settings_of(AUTH_RS256, rsa_pem));
    char *mine = sign((struct signer){.key = rsa}, RS256, GOOD);
    char *theirs =
        sign((struct signer){.key = rsa}, RS256, "{\"sub\":\"admin\",\"exp\":1700000060}");
    char *mixed =
        mem_format("%.*s%s", (int)(strrchr(theirs, '.') - theirs), theirs, strrchr(mine, '.'));
    expect_text(verifier, mine, NULL);
    expect_text(verifier, theirs, NULL);
    expect_text(verifier, mixed, "bad signature");
    free(mine);
    free(theirs);
    free(mixed);
    auth_verifier_destroy(&verifier);
}

static void sizes_are_limited(void **state)
{
    struct auth_settings settings = settings_of(AUTH_HS256, SECRET);
    char *token = sign(secret, HS256, GOOD);
    struct auth_verifier *verifier;
    settings.max_token = (int64_t)strlen(token);
    verifier = verifier_of(settings);
    expect_text(verifier, token, NULL);
    auth_verifier_destroy(&verifier);
    settings.max_token--;
    verifier = verifier_of(settings);
    expect(verifier, token, "token too long");
    auth_verifier_destroy(&verifier);
}

static void parties_are_judged(void **state)
{
    static const struct {
        const char *more, *why;
    } cases[] = {
        {"\"iss\":\"us\",\"aud\":\"maps\"", NULL},
        {"\"iss\":\"us\",\"aud\":[\"mail\",\"maps\"]", NULL},
        {"\"iss\":\"us\",\"aud\":[7,\"maps\"]", NULL},
        {"\"iss\":\"us\",\"aud\":[]", "wrong audience"},
        {"\"iss\":\"us\",\"aud\":[\"maps2\",\"map\"]", "wrong audience"},
        {"\"iss\":\"us\",\"aud\":\"mail\"", "wrong audience"},
        {"\"iss\":\"us\",\"aud\":{\"maps\":\"maps\"}", "wrong audience"},
        {"\"iss\":\"us\"", "wrong audience"},
        {"\"iss\":\"them\",\"aud\":\"maps\"", "wrong issuer"},
        {"\"iss\":[\"us\"],\"aud\":\"maps\"", "wrong issuer"},
        {"\"iss\":null,\"aud\":\"maps\"", "wrong issuer"},
        {"\"aud\":\"maps\"", "wrong issuer"},
    };
    struct auth_settings settings = settings_of(AUTH_HS256, SECRET);
    struct auth_verifier *verifier, *any = verifier_of(settings);
    settings.issuer = (char *)"us";
    settings.audience = (char *)"maps";
    verifier = verifier_of(settings);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char *claims = mem_format("{\"sub\":\"u\",\"exp\":1700000060,%s}", cases[i].more);
        char *token = sign(secret, HS256, claims);
        expect_text(any, token, NULL);
        expect(verifier, token, cases[i].why);
        free(claims);
    }
    auth_verifier_destroy(&any);
    auth_verifier_destroy(&verifier);
}

static struct auth_claims claims_of(const char *text)
{
    struct auth_verifier *verifier = verifier_of(settings_of(AUTH_HS256, SECRET));
    char *token = sign(secret, HS256, text);
    struct auth_claims claims;
    const char *why;
    if (!auth_token_check(verifier, bytes_from_string(token), NOW_MS, &claims, &why)) {
        fail_msg("%s: %s", text, why);
    }
    free(token);
    auth_verifier_destroy(&verifier);
    return claims;
}

static void spaces_are_allowed(void **state)
{
    static const struct {
        const char *spaces;
        bool of_main, of_lobby;
    } cases[] = {
        {"", true, true},
        {",\"spaces\":[]", false, false},
        {",\"spaces\":[\"main\"]", true, false},
        {",\"spaces\":[\"mai\",\"main2\"]", false, false},
        {",\"spaces\":[\"lobby\",\"main\"]", true, true},
        {",\"spaces\":[\"*\"]", true, true},
        {",\"spaces\":[\"elsewhere\",\"*\"]", true, true},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char *text = mem_format("{\"sub\":\"u\",\"exp\":1700000060%s}", cases[i].spaces);
        struct auth_claims claims = claims_of(text);
        assert_int_equal(auth_claims_allow(&claims, "main"), cases[i].of_main);
        assert_int_equal(auth_claims_allow(&claims, "lobby"), cases[i].of_lobby);
        auth_claims_free(&claims);
        assert_false(auth_claims_allow(&claims, "main"));
        free(text);
    }
}

static void claims_say_who_and_how_long(void **state)
{
    struct auth_claims claims = claims_of(GOOD);
    assert_string_equal(claims.user, "1:12345");
    assert_true(auth_claims_name(&claims, BYTES_LITERAL("1:12345")));
    assert_false(auth_claims_name(&claims, BYTES_LITERAL("1:1234")));
    assert_false(auth_claims_name(&claims, BYTES_LITERAL("1:123456")));
    assert_int_equal(claims.expires_ms, NOW_MS + 65000);
    assert_int_equal(auth_claims_left_ms(&claims, NOW_MS), 65000);
    assert_int_equal(auth_claims_left_ms(&claims, NOW_MS + 65000), 0);
    assert_int_equal(auth_claims_left_ms(&claims, UINT64_MAX), 0);
    auth_claims_free(&claims);
    assert_false(auth_claims_name(&claims, BYTES_LITERAL("")));
}

static void requests_hold_tokens(void **state)
{
    static const struct {
        const char *header, *parameter, *token;
    } cases[] = {
        {NULL, NULL, ""},
        {"Bearer a.b.c", NULL, "a.b.c"},
        {"bearer  a.b.c", "x.y.z", "a.b.c"},
        {"Bearer", "x.y.z", ""},
        {"Bearer ", "x.y.z", ""},
        {"Basic dTpw", "x.y.z", "x.y.z"},
        {"Bearera.b.c", "x.y.z", "x.y.z"},
        {"Bear", NULL, ""},
        {NULL, "x.y.z", "x.y.z"},
        {NULL, "", ""},
        {"", "x.y.z", "x.y.z"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct bytes none = {NULL, 0};
        struct bytes header = cases[i].header ? bytes_from_string(cases[i].header) : none;
        struct bytes parameter = cases[i].parameter ? bytes_from_string(cases[i].parameter) : none;
        struct bytes token = auth_request_token(header, parameter);
        assert_true(bytes_equal(token, bytes_from_string(cases[i].token)));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_algorithm_accepts_its_own_alone),
        cmocka_unit_test(a_public_key_is_no_secret),
        cmocka_unit_test(headers_are_judged),
        cmocka_unit_test(claims_are_judged),
        cmocka_unit_test(users_have_a_length),
        cmocka_unit_test(what_is_no_token_is_refused),
        cmocka_unit_test(every_change_breaks_a_token),
        cmocka_unit_test(parts_cannot_be_exchanged),
        cmocka_unit_test(sizes_are_limited),
        cmocka_unit_test(parties_are_judged),
        cmocka_unit_test(spaces_are_allowed),
        cmocka_unit_test(claims_say_who_and_how_long),
        cmocka_unit_test(requests_hold_tokens),
    };
    return cmocka_run_group_tests(tests, make_keys, free_keys);
}
