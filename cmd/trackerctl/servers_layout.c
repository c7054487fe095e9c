/* servers_layout: see servers_layout.h. */
#define NCURSES_WIDECHAR 1
#include "servers_layout.h"

#include <curses.h>
#include <wchar.h>

void screen_put_cell(int line, int column, int width, bool right, struct bytes text)
{
    mbstate_t state = {0};
    int used = servers_text_width(text), at = column;
    if (width <= 0) {
        return;
    }
    if (right && used < width) {
        at += width - used;
    }
    move(line, at);
    for (int left = width; text.len > 0;) {
        wchar_t character;
        size_t n = mbrtowc(&character, (const char *)text.data, text.len, &state);
        if (n == 0 || n > text.len) {
            return;
        }
        int columns = wcwidth(character) > 0 ? wcwidth(character) : 0;
        if (columns > left) {
            return;
        }
        addnwstr(&character, 1);
        left -= columns;
        text.data += n;
        text.len -= n;
    }
}

/* The width of the widest cell of a column, including its heading. */
static int natural_width(const struct column *column, struct servers_row *const *rows, size_t count,
                         bool *empty)
{
    int width = column->layout.width, most = column->layout.most;
    struct writer cell = {0};
    *empty = true;
    for (size_t i = 0; i < count; i++) {
        writer_reset(&cell);
        column_write_plain(column, rows[i], &cell);
        int here = servers_text_width(writer_bytes_written(&cell));
        *empty &= here == 0 || bytes_equal(writer_bytes_written(&cell), BYTES_LITERAL("-"));
        if (here > width) {
            width = here;
        }
    }
    writer_free(&cell);
    return most && width > most ? most : width;
}

static int layout_width(const struct screen_layout *layout)
{
    int width = 0;
    for (size_t i = 0; i < layout->count; i++) {
        width += layout->widths[i] + 1;
    }
    return width - 1;
}

/* The column to drop first; layout->count when none may be dropped. */
static size_t least_needed(const struct screen_layout *layout)
{
    size_t least = layout->count;
    int rank = 0;
    for (size_t i = 0; i < layout->count; i++) {
        if (layout->columns[i]->layout.rank > rank) {
            rank = layout->columns[i]->layout.rank;
            least = i;
        }
    }
    return least;
}

static void remove_column(struct screen_layout *layout, size_t index)
{
    layout->count--;
    for (size_t i = index; i < layout->count; i++) {
        layout->columns[i] = layout->columns[i + 1];
        layout->widths[i] = layout->widths[i + 1];
    }
}

void layout_choose(struct screen_layout *layout, struct servers_row *const *rows, size_t count,
                   int width)
{
    int *open = NULL;
    layout->count = 0;
    for (size_t i = 0; i < servers_columns.count; i++) {
        const struct column *column = &servers_columns.list[i];
        bool empty;
        if (!column->heading) {
            continue;
        }
        int natural = natural_width(column, rows, count, &empty);
        if (empty && (column->layout.shown == COLUMN_IF_ANY ||
                      (column->layout.shown == COLUMN_UNLESS_EMPTY && count > 0))) {
            continue;
        }
        layout->columns[layout->count] = column;
        layout->widths[layout->count++] = column->layout.most ? natural : column->layout.width;
    }
    while (layout_width(layout) > width && least_needed(layout) < layout->count) {
        remove_column(layout, least_needed(layout));
    }
    for (size_t i = 0; i < layout->count; i++) {
        if (!layout->columns[i]->layout.most) {
            open = &layout->widths[i];
        }
    }
    if (open) {
        *open += width - layout_width(layout);
    }
}
