/* Lookups of names while the resolver hangs: this program has a getaddrinfo of its own. */
#include "redis/redis_fixture.h"

#include <dirent.h>
#include <netdb.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdatomic.h>

#include "redis/probe.h"
#include "stream/resolve.h"

/* Names that begin with "hangs" are answered when this is false. */
static atomic_bool hangs;
static atomic_uint calls;

static int find_own(struct addrinfo **found)
{
    struct addrinfo *one = mem_zalloc(1, sizeof *one);
    struct sockaddr_in *address = mem_zalloc(1, sizeof *address);

    address->sin_family = AF_INET;
    address->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    one->ai_addr = (struct sockaddr *)address;
    one->ai_addrlen = sizeof *address;
    *found = one;
    return 0;
}

int getaddrinfo(const char *node, const char *service, const struct addrinfo *hints,
                struct addrinfo **found)
{
    assert_null(service);
    if ((hints->ai_flags & AI_NUMERICHOST) != 0) {
        return EAI_NONAME;
    }
    atomic_fetch_add(&calls, 1);
    while (strncmp(node, "hangs", 5) == 0 && atomic_load(&hangs)) {
        (void)poll(NULL, 0, 1);
    }
    return strcmp(node, "nowhere") == 0 ? EAI_NONAME : find_own(found);
}

void freeaddrinfo(struct addrinfo *found)
{
    free(found->ai_addr);
    free(found);
}

static unsigned count_threads(void)
{
    DIR *directory = opendir("/proc/self/task");
    unsigned count = 0;

    assert_non_null(directory);
    for (struct dirent *at; (at = readdir(directory));) {
        count += at->d_name[0] != '.';
    }
    (void)closedir(directory);
    return count;
}

/* What a lookup has found. */
struct finding {
    struct stream_lookup *lookup;
    struct stream_lookup **other; /* to be cancelled when this one is answered */
    unsigned answers;
    int error;
    unsigned port;
};

static void on_found(void *arg, const struct stream_addresses *addresses)
{
    struct finding *finding = arg;

    finding->answers++;
    finding->error = addresses->error;
    if (addresses->count > 0) {
        finding->port = ntohs(((const struct sockaddr_in *)&addresses->list[0].storage)->sin_port);
    }
    if (finding->other) {
        stream_lookup_cancel(finding->other);
    }
    stream_lookup_cancel(&finding->lookup);
}

static void look_up(struct loop *loop, struct finding *finding, const char *host, uint16_t port,
                    uint64_t timeout_ms)
{
    finding->answers = 0;
    finding->lookup = stream_lookup_start(loop, host, port, timeout_ms, on_found, finding);
    assert_non_null(finding->lookup);
}

struct place {
    struct loop *loop;
    unsigned threads;
};

static int setup(void **state)
{
    struct place *place = mem_zalloc(1, sizeof *place);

    place->loop = loop_create();
    place->threads = count_threads();
    atomic_store(&hangs, true);
    atomic_store(&calls, 0);
    *state = place;
    return 0;
}

static int teardown(void **state)
{
    struct place *place = *state;

    atomic_store(&hangs, false);
    WAIT_FOR(place->loop, count_threads() == place->threads);
    loop_destroy(&place->loop);
    free(place);
    return 0;
}

static void test_all_that_wait_for_a_name_share_a_thread(void **state)
{
    struct place *place = *state;
    struct finding findings[20] = {0};

    for (unsigned i = 0; i < 20; i++) {
        look_up(place->loop, &findings[i], "hangs", (uint16_t)(1000 + i), 0);
    }
    /* Cancelled before it is answered, and while others are. */
    stream_lookup_cancel(&findings[0].lookup);
    findings[1].other = &findings[2].lookup;
    WAIT_FOR(place->loop, atomic_load(&calls) == 1);
    assert_int_equal(count_threads(), place->threads + 1);
    atomic_store(&hangs, false);
    WAIT_FOR(place->loop, findings[19].answers == 1);
    assert_int_equal(findings[0].answers + findings[2].answers, 0);
    for (unsigned i = 3; i < 20; i++) {
        assert_int_equal(findings[i].answers, 1);
        assert_int_equal(findings[i].error, 0);
        assert_int_equal(findings[i].port, 1000 + i);
    }
    assert_int_equal(atomic_load(&calls), 1);
}

static void test_who_has_waited_long_enough_goes_on(void **state)
{
    struct place *place = *state;
    struct finding slow = {0}, other = {0};

    for (unsigned i = 0; i < 10; i++) {
        look_up(place->loop, &slow, "hangs", 1, 20);
        WAIT_FOR(place->loop, slow.answers == 1);
        assert_int_equal(slow.error, EAI_AGAIN);
        look_up(place->loop, &other, "nowhere", 1, 0);
        WAIT_FOR(place->loop, other.answers == 1);
        assert_int_equal(other.error, EAI_NONAME);
    }
    assert_int_equal(atomic_load(&calls), 11);
    look_up(place->loop, &slow, "hangs", 2, 0);
    atomic_store(&hangs, false);
    WAIT_FOR(place->loop, slow.answers == 1);
    assert_int_equal(slow.port, 2);
    assert_int_equal(atomic_load(&calls), 11);
    /* The next one asks anew. */
    look_up(place->loop, &slow, "hangs", 3, 0);
    WAIT_FOR(place->loop, slow.answers == 1);
    assert_int_equal(atomic_load(&calls), 12);
}

static void test_an_answer_that_came_between_two_attempts_serves_the_next(void **state)
{
    struct place *place = *state;
    struct finding finding = {0};

    look_up(place->loop, &finding, "hangs", 1, 10);
    WAIT_FOR(place->loop, finding.answers == 1 && atomic_load(&calls) == 1);
    assert_int_equal(finding.error, EAI_AGAIN);
    atomic_store(&hangs, false);
    WAIT_FOR(place->loop, count_threads() == place->threads);
    look_up(place->loop, &finding, "hangs", 2, 0);
    WAIT_FOR(place->loop, finding.answers == 1);
    assert_int_equal(finding.error, 0);
    assert_int_equal(finding.port, 2);
    assert_int_equal(stream_lookups_in_flight(), 0);
}

static void test_names_that_hang_are_limited(void **state)
{
    struct place *place = *state;
    unsigned started = 0;

    for (unsigned i = 0; i < 100; i++) {
        struct finding finding = {0};
        char name[16];

        (void)snprintf(name, sizeof name, "hangs-%u", i);
        finding.lookup = stream_lookup_start(place->loop, name, 1, 0, on_found, &finding);
        if (!finding.lookup) {
            assert_int_equal(errno, EAGAIN);
            continue;
        }
        started++;
        stream_lookup_cancel(&finding.lookup);
    }
    assert_int_equal(started, 32);
    assert_int_equal(stream_lookups_in_flight(), 32);
    assert_true(count_threads() <= place->threads + 32);
    atomic_store(&hangs, false);
    WAIT_FOR(place->loop, stream_lookups_in_flight() == 0);
    /* Answers that nobody has fetched are in nobody's way. */
    for (unsigned i = 0; i < 3; i++) {
        struct finding finding = {0};

        look_up(place->loop, &finding, "another", 1, 0);
        WAIT_FOR(place->loop, finding.answers == 1);
    }
}

/* What a thread of the process does, with a loop of its own. */
static void *look_up_in_a_thread(void *arg)
{
    struct loop *loop = loop_create();
    unsigned *answers = arg;

    for (unsigned i = 0; i < 300; i++) {
        struct finding findings[2] = {0};
        char own[32];

        /* A name that the others look up too, and is given up half of the time, and one's own. */
        (void)snprintf(own, sizeof own, "own-%p-%u", arg, i);
        findings[0].lookup =
            stream_lookup_start(loop, "shared", 1, i % 2 == 0 ? 1 : 0, on_found, &findings[0]);
        findings[1].lookup = stream_lookup_start(loop, own, 2, 0, on_found, &findings[1]);
        if (i % 2 == 1) {
            stream_lookup_cancel(&findings[0].lookup);
        }
        while (findings[0].lookup || findings[1].lookup) {
            loop_iterate(loop, 10);
        }
        *answers += findings[1].answers == 1 && findings[1].error == 0 && findings[1].port == 2;
    }
    loop_destroy(&loop);
    return NULL;
}

static void test_loops_in_several_threads(void **state)
{
    struct place *place = *state;
    pthread_t threads[4];
    unsigned answers[4] = {0};

    for (unsigned i = 0; i < 4; i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, look_up_in_a_thread, &answers[i]), 0);
    }
    for (unsigned i = 0; i < 4; i++) {
        assert_int_equal(pthread_join(threads[i], NULL), 0);
        assert_int_equal(answers[i], 300);
    }
    WAIT_FOR(place->loop, stream_lookups_in_flight() == 0);
}

/* Each fails with its reason, and backs off. */
static void test_a_link_that_tries_again_and_again(void **state)
{
    struct place *place = *state;
    struct world world;

    world_create(&world, "redis://hangs-for-a-link:1");
    world_set(&world, "redis.connect_timeout=10ms");
    world_set(&world, "redis.backoff=10ms");
    world_link(&world);
    WAIT_FOR(world.loop, world.fails >= 6);
    assert_int_equal(atomic_load(&calls), 1);
    assert_int_equal(count_threads(), place->threads + 1);
    world_destroy(&world);
}

static void test_a_probe_that_is_refreshed_again_and_again(void **state)
{
    struct place *place = *state;
    struct redis_target target;
    struct redis_probe *probe;

    assert_null(redis_target_parse("redis://hangs-for-a-probe:1", &target));
    for (unsigned i = 0; i < 10; i++) {
        probe = redis_probe_create(place->loop, &target);
        redis_probe_refresh(probe);
        loop_iterate(place->loop, 5);
        redis_probe_destroy(&probe);
    }
    WAIT_FOR(place->loop, atomic_load(&calls) == 1);
    assert_int_equal(count_threads(), place->threads + 1);
    redis_target_free(&target);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_all_that_wait_for_a_name_share_a_thread, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_who_has_waited_long_enough_goes_on, setup, teardown),
        cmocka_unit_test_setup_teardown(
            test_an_answer_that_came_between_two_attempts_serves_the_next, setup, teardown),
        cmocka_unit_test_setup_teardown(test_names_that_hang_are_limited, setup, teardown),
        cmocka_unit_test_setup_teardown(test_loops_in_several_threads, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_link_that_tries_again_and_again, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_probe_that_is_refreshed_again_and_again, setup,
                                        teardown),
    };

    return cmocka_run_group_tests(tests, fixture_init, NULL);
}
