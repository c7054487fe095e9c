/* servers_layout: which columns of the list of servers a screen has room for, and how wide each is.
 */
#ifndef TRACKERCTL_SERVERS_LAYOUT_H
#define TRACKERCTL_SERVERS_LAYOUT_H

#include "servers.h"

#define LAYOUT_COLUMNS 16

struct screen_layout {
    const struct column *columns[LAYOUT_COLUMNS];
    int widths[LAYOUT_COLUMNS];
    size_t count;
};

/* Chooses the columns with values that fit into a line of `width`. One of them takes the remaining
 * width; if that is too little, the least important column is dropped. */
void layout_choose(struct screen_layout *layout, struct servers_row *const *rows, size_t count,
                   int width);
/* Draws a cell of `width` columns on the curses screen: the text is cut or padded. */
void screen_put_cell(int line, int column, int width, bool right, struct bytes text);

#endif
