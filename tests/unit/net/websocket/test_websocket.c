/* Frames after RFC 6455, section by section: each conversation whole, and byte by byte, over a real
 * connection. The server echoes messages. */
#include "websocket_case.h"

#define PARTS 8

struct part {
    uint8_t first;
    struct bytes payload;
    unsigned form;
};

struct conversation {
    const char *name;
    struct part frames[PARTS];
    struct part answers[PARTS]; /* echoes and pongs */
    enum websocket_error error; /* how it ends; NONE: the client says Close */
};

#define TEXT   WEBSOCKET_FRAME_TEXT
#define BINARY WEBSOCKET_FRAME_BINARY
#define CONT   WEBSOCKET_FRAME_CONTINUATION
#define CLOSE  (FIN | WEBSOCKET_FRAME_CLOSE)
#define PING   (FIN | WEBSOCKET_FRAME_PING)
#define PONG   (FIN | WEBSOCKET_FRAME_PONG)
#define P(first, s)                                                                                \
    {                                                                                              \
        first, {(const uint8_t *)("" s), sizeof(s) - 1}, SHORTEST                                  \
    }
#define AS(f, b, s)                                                                                \
    {                                                                                              \
        b, {(const uint8_t *)("" s), sizeof(s) - 1}, f                                             \
    }
#define ERROR(kind) WEBSOCKET_ERROR_##kind
#define C25         "abcdefghijklmnopqrstuvwxy"
#define C125        C25 C25 C25 C25 C25
#define NO_PART                                                                                    \
    {                                                                                              \
        0, {NULL, 0}, 0                                                                            \
    }

static const struct conversation conversations[] = {
    /* 5.6, 5.7: unfragmented messages. */
    {"text", {P(FIN | TEXT, "Hello")}, {P(FIN | TEXT, "Hello")}, ERROR(NONE)},
    {"empty text", {P(FIN | TEXT, "")}, {P(FIN | TEXT, "")}, ERROR(NONE)},
    {"empty binary", {P(FIN | BINARY, "")}, {P(FIN | BINARY, "")}, ERROR(NONE)},
    {"binary of any bytes",
     {P(FIN | BINARY, "\0\x80\xff\xc0\n")},
     {P(FIN | BINARY, "\0\x80\xff\xc0\n")},
     ERROR(NONE)},
    {"text with NUL", {P(FIN | TEXT, "a\0b")}, {P(FIN | TEXT, "a\0b")}, ERROR(NONE)},
    {"several messages",
     {P(FIN | TEXT, "1"), P(FIN | BINARY, "2"), P(FIN | TEXT, "3")},
     {P(FIN | TEXT, "1"), P(FIN | BINARY, "2"), P(FIN | TEXT, "3")},
     ERROR(NONE)},
    /* 5.1: masks. */
    {"unmasked text", {AS(UNMASKED, FIN | TEXT, "Hello")}, {NO_PART}, ERROR(UNMASKED)},
    {"unmasked ping", {AS(UNMASKED, PING, "")}, {NO_PART}, ERROR(UNMASKED)},
    {"unmasked Close", {AS(UNMASKED, CLOSE, "\x03\xe8")}, {NO_PART}, ERROR(UNMASKED)},
    {"unmasked continuation",
     {P(TEXT, "a"), AS(UNMASKED, FIN | CONT, "b")},
     {NO_PART},
     ERROR(UNMASKED)},
    /* 5.2: reserved bits. */
    {"reserved bit 1", {P(FIN | 0x40 | TEXT, "a")}, {NO_PART}, ERROR(RESERVED)},
    {"reserved bit 2", {P(FIN | 0x20 | TEXT, "a")}, {NO_PART}, ERROR(RESERVED)},
    {"reserved bit 3", {P(FIN | 0x10 | BINARY, "a")}, {NO_PART}, ERROR(RESERVED)},
    {"reserved bits of a ping", {P(PING | 0x70, "a")}, {NO_PART}, ERROR(RESERVED)},
    {"reserved bit of a continuation",
     {P(TEXT, "a"), P(FIN | 0x40 | CONT, "b")},
     {NO_PART},
     ERROR(RESERVED)},
    {"reserved bit behind a message",
     {P(FIN | TEXT, "good"), P(FIN | 0x40 | TEXT, "bad"), P(FIN | TEXT, "late")},
     {P(FIN | TEXT, "good")},
     ERROR(RESERVED)},
    /* 5.2: opcodes. */
    {"opcode 3", {P(FIN | 3, "")}, {NO_PART}, ERROR(OPCODE)},
    {"opcode 7", {P(FIN | 7, "a")}, {NO_PART}, ERROR(OPCODE)},
    {"opcode 11", {P(FIN | 11, "")}, {NO_PART}, ERROR(OPCODE)},
    {"opcode 15", {P(FIN | 15, "a")}, {NO_PART}, ERROR(OPCODE)},
    {"opcode 5 in a message", {P(TEXT, "a"), P(FIN | 5, "")}, {NO_PART}, ERROR(OPCODE)},
    /* 5.2: lengths in their shortest form. */
    {"5 as 16 bits", {AS(AS_16, FIN | TEXT, "Hello")}, {NO_PART}, ERROR(LENGTH)},
    {"0 as 16 bits", {AS(AS_16, FIN | TEXT, "")}, {NO_PART}, ERROR(LENGTH)},
    {"125 as 16 bits", {AS(AS_16, FIN | TEXT, C125)}, {NO_PART}, ERROR(LENGTH)},
    {"5 as 64 bits", {AS(AS_64, FIN | TEXT, "Hello")}, {NO_PART}, ERROR(LENGTH)},
    {"126 as 64 bits", {AS(AS_64, FIN | TEXT, C125 "x")}, {NO_PART}, ERROR(LENGTH)},
    {"125", {P(FIN | TEXT, C125)}, {P(FIN | TEXT, C125)}, ERROR(NONE)},
    {"126", {P(FIN | TEXT, C125 "x")}, {P(FIN | TEXT, C125 "x")}, ERROR(NONE)},
    /* 5.4: fragments. */
    {"two fragments", {P(TEXT, "Hel"), P(FIN | CONT, "lo")}, {P(FIN | TEXT, "Hello")}, ERROR(NONE)},
    {"empty fragments",
     {P(BINARY, ""), P(CONT, ""), P(CONT, "a"), P(CONT, ""), P(FIN | CONT, "")},
     {P(FIN | BINARY, "a")},
     ERROR(NONE)},
    {"all fragments empty", {P(TEXT, ""), P(FIN | CONT, "")}, {P(FIN | TEXT, "")}, ERROR(NONE)},
    {"fragments, then a message",
     {P(TEXT, "a"), P(FIN | CONT, "b"), P(FIN | BINARY, "c")},
     {P(FIN | TEXT, "ab"), P(FIN | BINARY, "c")},
     ERROR(NONE)},
    {"continuation of nothing", {P(FIN | CONT, "a")}, {NO_PART}, ERROR(CONTINUATION)},
    {"beginning of a continuation of nothing", {P(CONT, "a")}, {NO_PART}, ERROR(CONTINUATION)},
    {"continuation of a whole message",
     {P(FIN | TEXT, "a"), P(FIN | CONT, "b")},
     {P(FIN | TEXT, "a")},
     ERROR(CONTINUATION)},
    {"continuation after the last fragment",
     {P(TEXT, "a"), P(FIN | CONT, "b"), P(FIN | CONT, "c")},
     {P(FIN | TEXT, "ab")},
     ERROR(CONTINUATION)},
    {"text within a message", {P(TEXT, "a"), P(FIN | TEXT, "b")}, {NO_PART}, ERROR(INTERLEAVED)},
    {"binary within a message", {P(TEXT, "a"), P(BINARY, "b")}, {NO_PART}, ERROR(INTERLEAVED)},
    {"text after an empty fragment",
     {P(TEXT, ""), P(FIN | TEXT, "b")},
     {NO_PART},
     ERROR(INTERLEAVED)},
    /* 5.5: control frames. */
    {"ping", {P(PING, "")}, {P(PONG, "")}, ERROR(NONE)},
    {"ping with bytes", {P(PING, "Hello")}, {P(PONG, "Hello")}, ERROR(NONE)},
    {"ping with any bytes", {P(PING, "\0\xff\xfe")}, {P(PONG, "\0\xff\xfe")}, ERROR(NONE)},
    {"ping of 125 bytes", {P(PING, C125)}, {P(PONG, C125)}, ERROR(NONE)},
    {"ping of 126 bytes", {P(PING, C125 "x")}, {NO_PART}, ERROR(CONTROL_LENGTH)},
    {"ping of 64 bits", {AS(AS_64, PING, "x")}, {NO_PART}, ERROR(CONTROL_LENGTH)},
    {"pings are answered in order",
     {P(PING, "1"), P(PING, "2"), P(FIN | TEXT, "3"), P(PING, "4")},
     {P(PONG, "1"), P(PONG, "2"), P(FIN | TEXT, "3"), P(PONG, "4")},
     ERROR(NONE)},
    {"pong that nobody asked for", {P(PONG, "a"), P(PONG, "")}, {NO_PART}, ERROR(NONE)},
    {"pong of 126 bytes", {P(PONG, C125 "x")}, {NO_PART}, ERROR(CONTROL_LENGTH)},
    {"ping in fragments",
     {P(WEBSOCKET_FRAME_PING, "a"), P(FIN | CONT, "b")},
     {NO_PART},
     ERROR(CONTROL_FRAGMENT)},
    {"pong in fragments", {P(WEBSOCKET_FRAME_PONG, "a")}, {NO_PART}, ERROR(CONTROL_FRAGMENT)},
    {"Close in fragments",
     {P(WEBSOCKET_FRAME_CLOSE, "\x03\xe8")},
     {NO_PART},
     ERROR(CONTROL_FRAGMENT)},
    {"Close of 126 bytes", {P(CLOSE, "\x03\xe8" C125)}, {NO_PART}, ERROR(CONTROL_LENGTH)},
    /* 5.4, 5.5: control frames between fragments. */
    {"ping between fragments",
     {P(TEXT, "a"), P(PING, "p"), P(FIN | CONT, "b")},
     {P(PONG, "p"), P(FIN | TEXT, "ab")},
     ERROR(NONE)},
    {"pings and pongs between fragments",
     {P(BINARY, "a"), P(PING, "1"), P(PONG, "2"), P(CONT, "b"), P(PING, "3"), P(FIN | CONT, "c")},
     {P(PONG, "1"), P(PONG, "3"), P(FIN | BINARY, "abc")},
     ERROR(NONE)},
    {"ping within a character",
     {P(TEXT, "\xe2\x82"), P(PING, "\xff"), P(FIN | CONT, "\xac")},
     {P(PONG, "\xff"), P(FIN | TEXT, "\xe2\x82\xac")},
     ERROR(NONE)},
    {"bad ping between fragments",
     {P(TEXT, "a"), AS(AS_16, PING, "p"), P(FIN | CONT, "b")},
     {NO_PART},
     ERROR(CONTROL_LENGTH)},
    {"continuation behind a ping and no message",
     {P(PING, "p"), P(FIN | CONT, "b")},
     {P(PONG, "p")},
     ERROR(CONTINUATION)},
    /* 5.5.1, 7: Close of a wrong form. */
    {"Close of one byte", {P(CLOSE, "\x03")}, {NO_PART}, ERROR(CLOSE)},
    {"Close with a bad code", {P(CLOSE, "\x03\xed")}, {NO_PART}, ERROR(CLOSE)},
    {"Close with text that is not UTF-8", {P(CLOSE, "\x03\xe8\xff")}, {NO_PART}, ERROR(UTF8)},
    {"Close with half a character", {P(CLOSE, "\x03\xe8\xe2\x82")}, {NO_PART}, ERROR(UTF8)},
    {"bad Close in a message", {P(TEXT, "a"), P(CLOSE, "\x03\xed")}, {NO_PART}, ERROR(CLOSE)},
    /* 8.1: found before the message is whole. */
    {"bad UTF-8 in the first fragment", {P(TEXT, "a\xff")}, {NO_PART}, ERROR(UTF8)},
    {"text that ends in a character", {P(FIN | TEXT, "a\xe2\x82")}, {NO_PART}, ERROR(UTF8)},
    {"fragments that end in a character",
     {P(TEXT, "a\xe2"), P(FIN | CONT, "\x82")},
     {NO_PART},
     ERROR(UTF8)},
    {"bad UTF-8 behind a good message",
     {P(FIN | TEXT, "a"), P(FIN | TEXT, "\x80")},
     {P(FIN | TEXT, "a")},
     ERROR(UTF8)},
    {"half a character is forgotten with its message",
     {P(FIN | BINARY, "\xe2\x82"), P(FIN | TEXT, "a")},
     {P(FIN | BINARY, "\xe2\x82"), P(FIN | TEXT, "a")},
     ERROR(NONE)},
};

static void write_conversation(const struct conversation *c, struct writer *frames,
                               struct writer *answers)
{
    for (int i = 0; i < PARTS && c->frames[i].payload.data; i++) {
        frame_put_as(frames, c->frames[i].first, c->frames[i].payload, c->frames[i].form);
    }
    for (int i = 0; i < PARTS && c->answers[i].payload.data; i++) {
        answer_put(answers, c->answers[i].first, c->answers[i].payload);
    }
    if (c->error == WEBSOCKET_ERROR_NONE) {
        frame_put_close(frames, 1000, "bye");
        answer_put_close(answers, 1000, "bye");
    } else {
        answer_put_error(answers, c->error);
    }
}

static void test_conversations(void **state)
{
    for (size_t i = 0; i < sizeof conversations / sizeof *conversations; i++) {
        const struct conversation *c = &conversations[i];
        struct writer frames = {0}, answers = {0};
        int64_t before = metrics_get(websocket_error_kinds[c->error].metric);
        write_conversation(c, &frames, &answers);
        expect_conversation(c->name, &frames, &answers, SIZE_MAX);
        expect_conversation(c->name, &frames, &answers, 1);
        if (c->error != WEBSOCKET_ERROR_NONE) {
            assert_int_equal(metrics_get(websocket_error_kinds[c->error].metric) - before, 2);
        }
        writer_free(&frames);
        writer_free(&answers);
    }
}

/* Each in two parts, with every place between them. */
static void test_every_split(void **state)
{
    for (size_t i = 0; i < sizeof conversations / sizeof *conversations; i++) {
        const struct conversation *c = &conversations[i];
        struct writer frames = {0}, answers = {0};
        write_conversation(c, &frames, &answers);
        for (size_t at = 1; at < frames.len && at < 40; at++) {
            struct writer got = {0};
            int fd;
            place_open(&fd);
            place_write(fd, (struct bytes){frames.data, at}, SIZE_MAX);
            loop_iterate(place.f->loop, 0);
            place_write(fd, (struct bytes){frames.data + at, frames.len - at}, SIZE_MAX);
            fixture_read_end(place.f, fd, &got);
            expect_bytes(c->name, &got, &answers);
            writer_free(&got);
            close(fd);
            WAIT_FOR(place.f, websocket_port_count(place.port) == 0);
        }
        writer_free(&frames);
        writer_free(&answers);
    }
}

/* 7.4: which codes a peer may send. */
static void test_close_codes(void **state)
{
    static const unsigned good[] = {1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010,
                                    1011, 1012, 1013, 1014, 3000, 3999, 4000, 4999};
    static const unsigned bad[] = {0,    1,    999,  1004, 1005, 1006, 1015,
                                   1016, 1100, 2000, 2999, 5000, 65535};
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        struct writer frames = {0}, answers = {0};
        frame_put_close(&frames, good[i], "r\xc3\xa9");
        answer_put_close(&answers, good[i], "r\xc3\xa9");
        expect_conversation("good code", &frames, &answers, SIZE_MAX);
        expect_conversation("good code", &frames, &answers, 1);
        assert_int_equal(place.talks[0].code, good[i]);
        assert_int_equal(place.talks[0].reason, CONN_CLOSE_PEER);
        writer_free(&frames);
        writer_free(&answers);
        place.accepted = 0;
    }
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct writer frames = {0}, answers = {0};
        frame_put_close(&frames, bad[i], "");
        answer_put_error(&answers, WEBSOCKET_ERROR_CLOSE);
        expect_conversation("bad code", &frames, &answers, SIZE_MAX);
        expect_conversation("bad code", &frames, &answers, 1);
        assert_int_equal(place.talks[0].code, 1002);
        assert_int_equal(place.talks[0].reason, CONN_CLOSE_PROTOCOL);
        writer_free(&frames);
        writer_free(&answers);
        place.accepted = 0;
    }
}

/* 5.5.1: a Close without a code is answered by one. What follows it is not read. */
static void test_empty_close(void **state)
{
    struct writer frames = {0}, answers = {0};
    int64_t before = metrics_get(METRIC_WEBSOCKET_CLOSED_NO_CODE);
    frame_put(&frames, CLOSE, (struct bytes){NULL, 0});
    frame_put_text(&frames, "late");
    answer_put(&answers, CLOSE, (struct bytes){NULL, 0});
    expect_conversation("empty", &frames, &answers, SIZE_MAX);
    assert_int_equal(place.talks[0].code, WEBSOCKET_NO_CODE);
    assert_int_equal(place.talks[0].messages, 0);
    assert_int_equal(metrics_get(METRIC_WEBSOCKET_CLOSED_NO_CODE) - before, 1);
    writer_free(&frames);
    writer_free(&answers);
}

/* Lengths around the forms' bounds, and sizes at which buffers end. */
static void test_lengths(void **state)
{
    static const size_t lengths[] = {0,    1,    124,   125,   126,   127,   128,    4095,
                                     4096, 4097, 16384, 65535, 65536, 65537, 131072, 1048576};
    uint8_t *bytes = mem_alloc(1048576);
    for (size_t i = 0; i < 1048576; i++) {
        bytes[i] = (uint8_t)(i * 7 + (i >> 8));
    }
    place_set("ws.rate=0");
    for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++) {
        struct writer frames = {0}, answers = {0};
        struct bytes payload = {bytes, lengths[i]};
        frame_put(&frames, FIN | BINARY, payload);
        /* The same in fragments of a third. */
        frame_put(&frames, BINARY, (struct bytes){bytes, lengths[i] / 3});
        frame_put(&frames, FIN | CONT,
                  (struct bytes){bytes + lengths[i] / 3, lengths[i] - lengths[i] / 3});
        frame_put_close(&frames, 1000, "");
        answer_put(&answers, FIN | BINARY, payload);
        answer_put(&answers, FIN | BINARY, payload);
        answer_put_close(&answers, 1000, "");
        struct writer got = {0};
        int fd;
        size_t sent = 0;
        place_open(&fd);
        WAIT_FOR(place.f, ({
                     ssize_t n = sent < frames.len
                                     ? send(fd, frames.data + sent, frames.len - sent, MSG_NOSIGNAL)
                                     : 0;
                     sent += n > 0 ? (size_t)n : 0;
                     !fixture_read(fd, &got);
                 }));
        expect_bytes("length", &got, &answers);
        close(fd);
        WAIT_FOR(place.f, websocket_port_count(place.port) == 0);
        writer_free(&got);
        writer_free(&frames);
        writer_free(&answers);
    }
    free(bytes);
}

/* 5.2: the highest bit of a length in 64 bits is 0; and nothing is allocated for what is only
 * announced. */
static void test_huge_lengths(void **state)
{
    static const uint64_t lengths[] = {1ULL << 63, UINT64_MAX, (1ULL << 63) - 1, 1ULL << 32,
                                       1048577};
    for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++) {
        struct writer frames = {0}, answers = {0};
        writer_u8(&frames, FIN | BINARY);
        writer_u8(&frames, 0x80 | 127);
        writer_u64(&frames, lengths[i]);
        writer_u32(&frames, 0);
        answer_put_error(&answers,
                         lengths[i] >> 63 ? WEBSOCKET_ERROR_LENGTH : WEBSOCKET_ERROR_TOO_BIG);
        expect_conversation("huge", &frames, &answers, SIZE_MAX);
        expect_conversation("huge", &frames, &answers, 1);
        writer_free(&frames);
        writer_free(&answers);
    }
}

static void test_limits(void **state)
{
    struct writer frames = {0}, answers = {0};
    place_set("ws.max_message=125");
    place_set("ws.max_fragments=3");
    frame_put(&frames, FIN | TEXT, BYTES_LITERAL(C125));
    answer_put(&answers, FIN | TEXT, BYTES_LITERAL(C125));
    frame_put(&frames, TEXT, BYTES_LITERAL(C25));
    frame_put(&frames, CONT, BYTES_LITERAL(C25));
    frame_put(&frames, FIN | CONT, BYTES_LITERAL(C25 C25 C25));
    answer_put(&answers, FIN | TEXT, BYTES_LITERAL(C125));
    size_t good = frames.len, answered = answers.len;

    /* One byte more, in one frame and in fragments; control frames between do not count. */
    frame_put(&frames, FIN | TEXT, BYTES_LITERAL(C125 "x"));
    answer_put_error(&answers, WEBSOCKET_ERROR_TOO_BIG);
    expect_conversation("max_message", &frames, &answers, SIZE_MAX);
    expect_conversation("max_message", &frames, &answers, 1);
    frames.len = good;
    answers.len = answered;
    frame_put(&frames, TEXT, BYTES_LITERAL(C125));
    frame_put(&frames, PING, BYTES_LITERAL(C125));
    frame_put(&frames, FIN | CONT, BYTES_LITERAL("x"));
    answer_put(&answers, PONG, BYTES_LITERAL(C125));
    answer_put_error(&answers, WEBSOCKET_ERROR_TOO_BIG);
    expect_conversation("max_message", &frames, &answers, SIZE_MAX);
    expect_conversation("max_message", &frames, &answers, 1);

    frames.len = good;
    answers.len = answered;
    for (int i = 0; i < 4; i++) {
        frame_put(&frames, i == 0 ? TEXT : CONT, BYTES_LITERAL(""));
    }
    answer_put_error(&answers, WEBSOCKET_ERROR_FRAGMENTS);
    expect_conversation("max_fragments", &frames, &answers, SIZE_MAX);
    expect_conversation("max_fragments", &frames, &answers, 1);
    writer_free(&frames);
    writer_free(&answers);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        PLACE_TEST(test_conversations), PLACE_TEST(test_every_split), PLACE_TEST(test_close_codes),
        PLACE_TEST(test_empty_close),   PLACE_TEST(test_lengths),     PLACE_TEST(test_huge_lengths),
        PLACE_TEST(test_limits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
