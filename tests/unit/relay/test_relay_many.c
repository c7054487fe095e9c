/* One packet to many receivers: they share its frames, and the unknown ones are looked up together.
 */
#include "relay/relay_fixture.h"

#include "relay/relay_private.h"

static int setup_two(void **state)
{
    *state = world_with_fronts(2);
    return 0;
}

static int teardown(void **state)
{
    world_destroy(*state);
    return 0;
}

static unsigned encoded;

static struct frame *encode_counted(void *arg, struct bytes text)
{
    encoded++;
    return frame_create(text);
}

static bool relayed_as_frame(void *arg, struct map_packet *packet)
{
    struct frame *frame = map_packet_frame(packet, encode_counted, NULL);
    struct taker *taker = arg;
    taker->count++;
    assert_true(bytes_equal((struct bytes){frame->data, frame->len}, map_packet_text(packet)));
    return taker_relayed(taker, packet);
}

/* Each receiver has its result; those at one front-end share one frame. */
static void test_one_packet_to_many(void **state)
{
    enum { HERE = 3, FAR = 3, NOBODY = 300 };
    struct world *world = *state;
    struct taker sender, takers[HERE + FAR];
    struct map_sink sink = taker_sink;
    struct outcome outcomes[HERE + FAR + NOBODY] = {0};
    struct relay_receiver receivers[HERE + FAR + NOBODY];
    char ids[NOBODY][8];
    size_t count = 0;
    sink.relayed = relayed_as_frame;
    taker_open(world, &sender, &world->fronts[0]);
    for (; count < HERE + FAR; count++) {
        taker_open(world, &takers[count], &world->fronts[count < HERE ? 0 : 1]);
        takers[count].session->sink = &sink;
        receivers[count] = (struct relay_receiver){taker_id(&takers[count]), &outcomes[count]};
    }
    for (size_t i = 0; i < NOBODY; i++, count++) {
        snprintf(ids[i], sizeof ids[i], "no%zu", i);
        receivers[count] = (struct relay_receiver){bytes_from_string(ids[i]), &outcomes[count]};
    }
    struct map_packet *packet = map_packet_create(BYTES_LITERAL("me"), BYTES_LITERAL("hi"));
    encoded = 0;
    relay_send_to_many(sender.session, packet, receivers, count, outcome_done);
    map_packet_unref(&packet);
    for (size_t i = 0; i < count; i++) {
        WAIT_UNTIL(world, outcomes[i].answers == 1);
        assert_int_equal(outcomes[i].last, i < HERE + FAR ? MAP_OK : MAP_MISSING);
    }
    assert_int_equal(encoded, 2);
    assert_null(relays_of(world->fronts[0].map)->lookups);
    assert_true(list_is_empty(&relays_of(world->fronts[0].map)->batches));
    for (size_t i = 0; i < HERE + FAR; i++) {
        assert_true(taker_got(&takers[i], "me:hi;"));
        taker_close(&takers[i]);
    }
    taker_close(&sender);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_one_packet_to_many, setup_two, teardown)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
