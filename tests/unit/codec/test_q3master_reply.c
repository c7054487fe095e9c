/* Lists of servers: which match, how they are packed, and how players read them. */
#include "codec/json_case.h"

#include "codec/q3master_client.h"
#include "codec/q3master_reply.h"

#define OOB "\xff\xff\xff\xff"

static struct address address_of(const char *text)
{
    struct address address;

    assert_true(address_parse(text, &address));
    return address;
}

static struct q3master_query query_of(const char *text, struct writer *memory)
{
    struct q3master_message message;

    writer_reset(memory);
    writer_string(memory, OOB);
    writer_string(memory, text);
    assert_int_equal(q3master_read(writer_bytes_written(memory), &message), Q3MASTER_OK);
    return message.query;
}

static void test_matches(void **state)
{
    static const struct {
        const char *query, *address, *game, *gametype;
        int32_t protocol;
        uint32_t clients, max_clients;
        bool matches;
    } cases[] = {
        {"getservers X 3", "192.0.2.1:1", "X", "0", 3, 2, 8, true},
        {"getservers X 3", "192.0.2.1:1", "X", "0", 4, 2, 8, false},
        {"getservers X 3", "192.0.2.1:1", "x", "0", 3, 2, 8, false},
        {"getservers X 3", "192.0.2.1:1", "XY", "0", 3, 2, 8, false},
        {"getservers X 3", "[2001:db8::1]:1", "X", "0", 3, 2, 8, false},
        {"getservers 3", "192.0.2.1:1", "X", "0", 3, 2, 8, false}, /* game not settled */
        {"getservers X 3", "192.0.2.1:1", "X", "0", 3, 0, 8, false},
        {"getservers X 3 empty", "192.0.2.1:1", "X", "0", 3, 0, 8, true},
        {"getservers X 3 empty", "192.0.2.1:1", "X", "0", 3, 2, 8, true},
        {"getservers X 3 full", "192.0.2.1:1", "X", "0", 3, 0, 8, false},
        {"getservers X 3", "192.0.2.1:1", "X", "0", 3, 8, 8, false},
        {"getservers X 3 empty", "192.0.2.1:1", "X", "0", 3, 8, 8, false},
        {"getservers X 3 full", "192.0.2.1:1", "X", "0", 3, 8, 8, true},
        {"getservers X 3", "192.0.2.1:1", "X", "0", 3, 9, 8, true}, /* over-full is not full */
        {"getservers X 3 ffa", "192.0.2.1:1", "X", "0", 3, 2, 8, true},
        {"getservers X 3 ctf", "192.0.2.1:1", "X", "0", 3, 2, 8, false},
        {"getservers X 3 ctf", "192.0.2.1:1", "X", "4", 3, 2, 8, true},
        {"getservers X 3 gametype=tdm", "192.0.2.1:1", "X", "tdm", 3, 2, 8, true},
        {"getservers X 3 gametype=tdm", "192.0.2.1:1", "X", "TDM", 3, 2, 8, false},
        {"getservers X 3 gametype=", "192.0.2.1:1", "X", "", 3, 2, 8, true},
        {"getservers X 3 gametype=", "192.0.2.1:1", "X", "0", 3, 2, 8, false},
        {"getserversExt X 3", "192.0.2.1:1", "X", "0", 3, 2, 8, true},
        {"getserversExt X 3", "[2001:db8::1]:1", "X", "0", 3, 2, 8, true},
        {"getserversExt X 3 ipv4", "[2001:db8::1]:1", "X", "0", 3, 2, 8, false},
        {"getserversExt X 3 ipv6", "192.0.2.1:1", "X", "0", 3, 2, 8, false},
        {"getserversExt X 3 ipv6", "[2001:db8::1]:1", "X", "0", 3, 2, 8, true},
        {"getserversExt X 3 ipv4 ipv6", "192.0.2.1:1", "X", "0", 3, 2, 8, true},
    };
    struct writer memory = {0};

    for (size_t i = 0; i < COUNT(cases); i++) {
        const struct q3master_query query = query_of(cases[i].query, &memory);
        const struct q3master_server server = {address_of(cases[i].address),
                                               S(cases[i].game),
                                               S(cases[i].gametype),
                                               cases[i].protocol,
                                               cases[i].clients,
                                               cases[i].max_clients};

        if (q3master_matches(&query, &server) != cases[i].matches) {
            fail_msg("%zu: %s", i, cases[i].query);
        }
    }
    writer_free(&memory);
}

static void test_keys(void **state)
{
    static const char *const same[][2] = {
        {"getservers X 3 empty full", "getservers X 0x3 full  empty nonsense"},
        {"getservers X 3 ctf", "getservers X 3 ffa gametype=4"},
        {"getserversExt X 3", "getserversExt X 3 ipv6 ipv4"},
    };
    static const char *const different[] = {
        "getservers X 3",
        "getservers 3",
        "getservers X 4",
        "getservers X 259",
        "getservers X 3 empty",
        "getservers X 3 full",
        "getservers X 3 gametype=",
        "getservers X 3 ctf",
        "getservers X4 3",
        "getserversExt X 3",
        "getserversExt X 3 ipv4",
        "getserversExt X 3 ipv6",
        "getservers X 3 gametype=41",
        "getservers X 3 empty full",
        "getservers X -3",
    };
    uint8_t keys[COUNT(different)][Q3MASTER_KEY_MAX], other[Q3MASTER_KEY_MAX];
    size_t lengths[COUNT(different)];
    struct writer memory = {0};

    for (size_t i = 0; i < COUNT(same); i++) {
        struct q3master_query query = query_of(same[i][0], &memory);
        const size_t len = q3master_query_key(&query, keys[0]);

        query = query_of(same[i][1], &memory);
        assert_int_equal(q3master_query_key(&query, other), len);
        assert_memory_equal(keys[0], other, len);
    }
    for (size_t i = 0; i < COUNT(different); i++) {
        const struct q3master_query query = query_of(different[i], &memory);

        lengths[i] = q3master_query_key(&query, keys[i]);
        for (size_t j = 0; j < i; j++) {
            assert_false(lengths[i] == lengths[j] && memcmp(keys[i], keys[j], lengths[i]) == 0);
        }
    }
    writer_free(&memory);
}

/* i-th server of a list: of one family, or in turns. */
static struct address numbered(size_t i, unsigned families)
{
    struct address address = {.family = ADDRESS_IPV4, .port = (uint16_t)(1000 + i % 60000)};

    address.ip[0] = 10;
    address.ip[2] = (uint8_t)(i >> 8);
    address.ip[3] = (uint8_t)i;
    if (families == 6 || (families == 46 && i % 3 != 0)) {
        address.family = ADDRESS_IPV6;
        address.ip[0] = 0x20;
        address.ip[15] = 1;
    }
    return address;
}

static void join(const struct q3master_reply *reply, const struct frame_slice *slices, size_t count,
                 struct writer *to)
{
    const struct frame *frame = q3master_reply_frame(reply);

    for (size_t i = 0; i < count; i++) {
        assert_true(slices[i].offset + slices[i].len <= frame->len);
        writer_bytes(to, (struct bytes){frame->data + slices[i].offset, slices[i].len});
    }
}

struct expected {
    const struct address *servers;
    size_t count, first;
    bool extended, separated;
};

/* Reads one packet as a player does: how many servers there were, which must be the next ones. */
static size_t read_packet(const struct expected *expected, const struct writer *packet, size_t at,
                          bool *last)
{
    struct q3client_packet read = q3client_read(writer_bytes_written(packet));
    struct address server;
    size_t found = 0;

    assert_int_equal(read.type, Q3CLIENT_LIST);
    assert_int_equal(read.extended, expected->extended);
    while (q3client_next_server(&read, &server, last)) {
        const struct address *wanted =
            &expected->servers[(expected->first + at + found) % expected->count];

        assert_memory_equal(&server, wanted, sizeof server);
        found++;
    }
    return found;
}

static void check_walk(const struct q3master_reply *reply, const struct expected *expected)
{
    struct q3master_walk walk = q3master_reply_walk(reply, expected->first);
    struct frame_slice slices[Q3MASTER_SLICES];
    struct writer packet = {0};
    size_t count, at = 0, size = 0, packets = 0;
    bool last = false;

    while ((count = q3master_reply_next(reply, &walk, slices)) > 0) {
        static const uint8_t mark[] = {'\\', 'E', 'O', 'T', 0, 0, 0};

        assert_false(last);
        writer_reset(&packet);
        join(reply, slices, count, &packet);
        assert_true(packet.len <= Q3MASTER_REPLY_MAX);
        at += read_packet(expected, &packet, at, &last);
        if (last) {
            assert_memory_equal(packet.data + packet.len - sizeof mark, mark, sizeof mark);
        } else {
            assert_int_equal(packet.data[packet.len - 1] == '\\' &&
                                 packet.data[packet.len - 2] != '\\',
                             expected->separated);
        }
        size += packet.len;
        packets++;
    }
    assert_true(last);
    assert_int_equal(at, expected->count);
    if (expected->first == 0) {
        assert_int_equal(size, q3master_reply_size(reply));
    }
    assert_true(packets <= expected->count / 70 + 1);
    writer_free(&packet);
}

static void check_list(size_t count, unsigned families, bool separated)
{
    const struct q3master_reply_options options = {families != 4, separated};
    struct address *servers = mem_zalloc(count + 1, sizeof *servers);
    struct q3master_reply *reply;
    const size_t starts[] = {0, 1, count / 2, count > 0 ? count - 1 : 0};

    for (size_t i = 0; i < count; i++) {
        servers[i] = numbered(i, families);
    }
    reply = q3master_reply_create(&options, servers, count);
    assert_int_equal(q3master_reply_count(reply), count);
    for (size_t i = 0; i < COUNT(starts); i++) {
        const struct expected expected = {servers, count, starts[i], options.extended, separated};

        check_walk(reply, &expected);
    }
    q3master_reply_destroy(&reply);
    assert_null(reply);
    free(servers);
}

static void test_lists(void **state)
{
    static const size_t counts[] = {0,   1,   2,   69,  70,  71,  72,  73,
                                    194, 195, 196, 197, 390, 391, 1000};

    for (size_t i = 0; i < COUNT(counts); i++) {
        check_list(counts[i], 4, false);
        check_list(counts[i], 6, false);
        check_list(counts[i], 46, false);
        check_list(counts[i], 4, true);
        check_list(counts[i], 46, true);
    }
}

/* The first byte to the last, as dpmaster writes it. */
static void test_bytes(void **state)
{
    const struct address servers[] = {address_of("1.2.3.4:2048"),
                                      address_of("[2001:db8::1]:27960"),
                                      address_of("5.6.7.8:0"), /* would read as the end mark */
                                      {.family = ADDRESS_NONE, .port = 5}};
    const struct bytes plain = B(OOB "getserversResponse\\\x01\x02\x03\x04\x08\x00\\EOT\0\0\0");
    const struct bytes extended =
        B(OOB "getserversExtResponse\\\x01\x02\x03\x04\x08\x00/\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0"
              "\0\0\x01\x6d\x38\\EOT\0\0\0");
    const struct bytes empty = B(OOB "getserversResponse\\EOT\0\0\0");
    const struct bytes wanted[] = {plain, extended, empty};

    for (size_t i = 0; i < COUNT(wanted); i++) {
        const struct q3master_reply_options options = {.extended = i == 1};
        struct q3master_reply *reply =
            q3master_reply_create(&options, servers, i < 2 ? COUNT(servers) : 0);
        struct q3master_walk walk = q3master_reply_walk(reply, 0);
        struct frame_slice slices[Q3MASTER_SLICES];
        struct writer packet = {0};

        join(reply, slices, q3master_reply_next(reply, &walk, slices), &packet);
        assert_true(bytes_equal(writer_bytes_written(&packet), wanted[i]));
        assert_int_equal(q3master_reply_next(reply, &walk, slices), 0);
        writer_free(&packet);
        q3master_reply_destroy(&reply);
    }
}

/* What it sends outlives the reply. */
static void test_frame(void **state)
{
    const struct q3master_reply_options options = {0};
    const struct address server = address_of("1.2.3.4:2048");
    struct q3master_reply *reply = q3master_reply_create(&options, &server, 1);
    struct frame *frame = frame_ref(q3master_reply_frame(reply));

    q3master_reply_destroy(&reply);
    q3master_reply_destroy(&reply);
    assert_memory_equal(frame->data, OOB "getserversResponse", 22);
    frame_unref(&frame);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_matches), cmocka_unit_test(test_keys),  cmocka_unit_test(test_lists),
        cmocka_unit_test(test_bytes),   cmocka_unit_test(test_frame),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
