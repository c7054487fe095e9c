/* The lobby's lines: which form a peer speaks, and framing at every split. */
#include "codec/json_case.h"

#include "codec/lobby.h"

static void test_detect(void **state)
{
    for (unsigned byte = 0; byte < 256; byte++) {
        assert_int_equal(lobby_detect((uint8_t)byte), byte == '{' ? LOBBY_ENCODING_JSON
                                                      : byte == 0 ? LOBBY_ENCODING_ORIGINAL
                                                                  : LOBBY_ENCODING_NONE);
    }
}

/* Reads all lines of the input, fed with step more bytes at a time; joins them by '|'. */
static enum lobby_line_outcome feed(struct bytes input, size_t step, size_t limit,
                                    struct writer *lines)
{
    size_t at = 0;

    for (size_t len = 0; len <= input.len;
         len = len + step > input.len && len < input.len ? input.len : len + step) {
        struct lobby_line line;

        do {
            const struct bytes part =
                exact_copy((struct bytes){input.data + at, len > at ? len - at : 0});

            line = lobby_read_line(part, limit);
            assert_true(line.consumed <= part.len);
            at += line.consumed;
            if (line.outcome == LOBBY_LINE_WHOLE) {
                writer_bytes(lines, line.text);
                writer_u8(lines, '|');
            }
            free((void *)part.data);
        } while (line.outcome == LOBBY_LINE_WHOLE);
        if (line.outcome == LOBBY_LINE_TOO_LONG) {
            return line.outcome;
        }
    }
    return LOBBY_LINE_MORE;
}

static void test_lines(void **state)
{
    static const struct {
        struct bytes input;
        const char *lines;
        enum lobby_line_outcome last;
    } inputs[] = {
        {B(""), "", LOBBY_LINE_MORE},
        {B("{}"), "", LOBBY_LINE_MORE},
        {B("{}\n"), "{}|", LOBBY_LINE_MORE},
        {B("{}\r\n"), "{}|", LOBBY_LINE_MORE},
        {B("{}\n{1}\n{2"), "{}|{1}|", LOBBY_LINE_MORE},
        {B("\n\r\n \t \n{}\n\n"), "{}|", LOBBY_LINE_MORE},
        {B(" {} \n"), " {} |", LOBBY_LINE_MORE},
        {B("a\rb\n"), "a\rb|", LOBBY_LINE_MORE},
        {B("\r\r\n"), "\r|", LOBBY_LINE_MORE},
        {B("12345678\n"), "12345678|", LOBBY_LINE_MORE},
        {B("1234567\r\n"), "1234567|", LOBBY_LINE_MORE},
        {B("12345678"), "", LOBBY_LINE_MORE},
        {B("123456789"), "", LOBBY_LINE_TOO_LONG},
        {B("123456789\n"), "", LOBBY_LINE_TOO_LONG},
        {B("12345678\r\n"), "", LOBBY_LINE_TOO_LONG},
        {B("{}\n123456789\n{}\n"), "{}|", LOBBY_LINE_TOO_LONG},
        {B("         \n"), "", LOBBY_LINE_TOO_LONG},
    };

    for (size_t i = 0; i < COUNT(inputs); i++) {
        for (size_t step = 1; step <= inputs[i].input.len + 1; step++) {
            struct writer lines = {0};

            assert_int_equal(feed(inputs[i].input, step, 8, &lines), inputs[i].last);
            assert_composed(&lines, inputs[i].lines);
            writer_free(&lines);
        }
    }
}

/* Blank lines may be dropped at once, so that they never fill a buffer. */
static void test_blank_lines(void **state)
{
    const struct lobby_line line = lobby_read_line(B("\n\n \r\n{\"a"), 4096);

    assert_int_equal(line.outcome, LOBBY_LINE_MORE);
    assert_int_equal(line.consumed, 5);
    assert_null(line.text.data);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_detect),
        cmocka_unit_test(test_lines),
        cmocka_unit_test(test_blank_lines),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
