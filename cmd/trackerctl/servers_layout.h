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

/* Chooses columns that have something to show, as many as a line of `width` has room for; one of
 * them takes what is left, and gives way to the least needed when there is too little. */
void layout_choose(struct screen_layout *layout, struct servers_row *const *rows, size_t count,
                   int width);
/* Puts a cell of `width` columns onto curses's screen: text that is cut, or filled up. */
void screen_put_cell(int line, int column, int width, bool right, struct bytes text);

#endif
