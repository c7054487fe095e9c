/*
 * servers: the list on a whole screen.
 *
 * Changes are drawn ten times a second at most, the effect of a key at once. The same server stays
 * selected while lines are added, removed and moved.
 */
#define NCURSES_WIDECHAR 1
#include <curses.h>
#include <limits.h>
#include <locale.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>
#include <wchar.h>

#include "base/mem.h"

#include "servers.h"
#include "servers_layout.h"

#define DRAW_MS      100
#define ESCAPE       27
#define FILTER_MAX   64
#define HEADER_LINES 2 /* the title and the headings */
#define CONTROL(c)   ((c)&0x1f)

struct screen {
    struct ctl *ctl;
    struct servers *servers;
    const char *target;
    const char *exec;
    struct loop_io *keys;
    struct loop_signal *resized;
    struct loop_timer *draw;
    struct writer selected; /* the id; empty: the first line */
    size_t place;           /* its line, and where another takes its place */
    size_t top;             /* the first line that is shown */
    wchar_t filter[FILTER_MAX + 1];
    size_t filter_len;
    const char *note; /* the error of the last key */
    bool searching;   /* after `/`: all typed characters belong to the filter */
    bool help;        /* shown instead of the list */
    bool play;        /* Enter was hit */
    bool quit;
};

static void draw_row(const struct screen *screen, const struct screen_layout *layout, int line,
                     const struct servers_row *row, bool selected)
{
    struct writer cell = {0};
    int column = 0;
    if (selected) {
        attron(A_REVERSE);
    }
    mvhline(line, 0, ' ', COLS);
    for (size_t i = 0; i < layout->count; i++) {
        writer_reset(&cell);
        column_write_plain(layout->columns[i], row, &cell);
        screen_put_cell(line, column, layout->widths[i], layout->columns[i]->layout.right,
                        writer_bytes_written(&cell));
        column += layout->widths[i] + 1;
    }
    if (selected) {
        attroff(A_REVERSE);
    }
    writer_free(&cell);
}

/* The current line of the selected server. */
static void find_place(struct screen *screen, struct servers_row *const *rows, size_t count)
{
    struct bytes id = writer_bytes_written(&screen->selected);
    for (size_t i = 0; i < count && id.len > 0; i++) {
        if (bytes_equal(rows[i]->server->id, id)) {
            screen->place = i;
            return;
        }
    }
    if (screen->place >= count) {
        screen->place = count > 0 ? count - 1 : 0;
    }
}

static void select_place(struct screen *screen, size_t place)
{
    size_t count;
    struct servers_row *const *rows = servers_rows(screen->servers, &count);
    if (count == 0) {
        return;
    }
    screen->place = place < count ? place : count - 1;
    writer_reset(&screen->selected);
    writer_bytes(&screen->selected, rows[screen->place]->server->id);
}

static size_t lines_of_page(void)
{
    return LINES > HEADER_LINES + 2 ? (size_t)(LINES - HEADER_LINES - 1) : 1;
}

static void draw_title(const struct screen *screen, size_t shown)
{
    const char *problem = servers_problem(screen->servers);
    struct writer title = {0};
    size_t all = servers_count(screen->servers);
    writer_format(&title, "%zu %s", all, all == 1 ? "server" : "servers");
    if (screen->filter_len > 0) {
        writer_format(&title, ", %zu shown", shown);
    }
    writer_format(&title, "  %s", screen->target);
    if (problem) {
        writer_format(&title, "  [%s]", problem);
    }
    attron(A_BOLD);
    screen_put_cell(0, 0, COLS, false, writer_bytes_written(&title));
    attroff(A_BOLD);
    writer_free(&title);
}

static void draw_bottom(const struct screen *screen)
{
    struct writer text = {0};
    if (screen->note) {
        writer_string(&text, screen->note);
    } else if (screen->help) {
        writer_string(&text, "press any key to return to the list");
    } else if (screen->searching) {
        writer_format(&text, "/%ls_  Enter keeps, Esc forgets", screen->filter);
    } else if (screen->filter_len > 0) {
        writer_format(&text, "filter: %ls_", screen->filter);
    } else {
        writer_string(&text, "? help  / search  ");
        writer_string(&text, screen->exec ? "Enter plays  " : "");
        writer_string(&text, "F5 pings again  Esc leaves");
    }
    screen_put_cell(LINES - 1, 0, COLS, false, writer_bytes_written(&text));
    writer_free(&text);
}

static void draw_help(void)
{
    static const char *const lines[] = {
        "Up, Down, PgUp, PgDn, Home, End   select a server",
        "/                                 filter by the typed text, in any column; Enter keeps it",
        "any letter or digit               the same, at once",
        "Backspace, Esc                    remove the last character, or all, of the filter",
        "Enter                             play on the selected server (--exec)",
        "F5, Ctrl-R                        measure all pings again",
        "Esc, Ctrl-C                       quit",
        "?                                 this help",
    };
    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++) {
        screen_put_cell(HEADER_LINES + (int)i, 2, COLS - 2, false, bytes_from_string(lines[i]));
    }
}

static void draw_list(const struct screen *screen, struct servers_row *const *rows, size_t count)
{
    struct screen_layout layout;
    int column = 0;
    size_t lines = lines_of_page();
    layout_choose(&layout, rows, count, COLS);
    attron(A_UNDERLINE);
    mvhline(1, 0, ' ', COLS);
    for (size_t i = 0; i < layout.count; i++) {
        screen_put_cell(1, column, layout.widths[i], layout.columns[i]->layout.right,
                        bytes_from_string(layout.columns[i]->heading));
        column += layout.widths[i] + 1;
    }
    attroff(A_UNDERLINE);
    for (size_t i = screen->top; i < count && i < screen->top + lines; i++) {
        draw_row(screen, &layout, HEADER_LINES + (int)(i - screen->top), rows[i],
                 i == screen->place);
    }
    if (count == 0 && servers_are_whole(screen->servers)) {
        screen_put_cell(HEADER_LINES + 1, 2, COLS - 2, false,
                        screen->filter_len
                            ? BYTES_LITERAL("no server matches")
                            : BYTES_LITERAL("no server is listed; new ones are shown "
                                            "here at once"));
    }
}

static void draw_screen(void *arg)
{
    struct screen *screen = arg;
    size_t count, lines = lines_of_page();
    struct servers_row *const *rows = servers_rows(screen->servers, &count);
    loop_timer_stop(screen->draw);
    find_place(screen, rows, count);
    if (screen->place < screen->top) {
        screen->top = screen->place;
    }
    if (screen->place >= screen->top + lines) {
        screen->top = screen->place - lines + 1;
    }
    if (screen->top + lines > count) {
        screen->top = count > lines ? count - lines : 0;
    }
    erase();
    draw_title(screen, count);
    if (screen->help) {
        draw_help();
    } else {
        draw_list(screen, rows, count);
    }
    draw_bottom(screen);
    refresh();
}

static void on_screen_changed(void *arg)
{
    struct screen *screen = arg;
    if (screen->draw && !loop_timer_is_running(screen->draw)) {
        loop_timer_start(screen->draw, DRAW_MS);
    }
}

static const struct servers_events events = {.changed = on_screen_changed};

static void apply_filter(struct screen *screen)
{
    char text[FILTER_MAX * MB_LEN_MAX + 1];
    screen->filter[screen->filter_len] = 0;
    size_t len = wcstombs(text, screen->filter, sizeof text);
    servers_set_filter(screen->servers,
                       (struct bytes){(uint8_t *)text, len == (size_t)-1 ? 0 : len});
}

static void type_into_filter(struct screen *screen, wchar_t character)
{
    if (screen->filter_len < FILTER_MAX) {
        screen->filter[screen->filter_len++] = character;
    }
    apply_filter(screen);
}

static void erase_one(struct screen *screen)
{
    if (screen->filter_len > 0) {
        screen->filter_len--;
    }
    apply_filter(screen);
}

/* Escape removes the filter first. */
static void press_escape(struct screen *screen)
{
    screen->quit = screen->filter_len == 0 && !screen->searching;
    screen->searching = false;
    screen->filter_len = 0;
    apply_filter(screen);
}

static void press_enter(struct screen *screen)
{
    if (screen->searching) {
        screen->searching = false;
    } else if (screen->exec) {
        screen->play = true;
    } else {
        screen->note = "start with --exec 'game +connect %a' to play from here";
    }
}

static void take_function_key(struct screen *screen, wint_t key)
{
    size_t place = screen->place, lines = lines_of_page();
    switch (key) {
    case KEY_UP:
        select_place(screen, place > 0 ? place - 1 : 0);
        break;
    case KEY_DOWN:
        select_place(screen, place + 1);
        break;
    case KEY_PPAGE:
        select_place(screen, place > lines ? place - lines : 0);
        break;
    case KEY_NPAGE:
        select_place(screen, place + lines);
        break;
    case KEY_HOME:
        select_place(screen, 0);
        break;
    case KEY_END:
        select_place(screen, SIZE_MAX);
        break;
    case KEY_F(5):
        servers_ping_all(screen->servers);
        break;
    case KEY_ENTER:
        press_enter(screen);
        break;
    case KEY_BACKSPACE:
        erase_one(screen);
        break;
    default:
        break;
    }
}

static void take_character(struct screen *screen, wint_t key)
{
    if (key == ESCAPE) {
        press_escape(screen);
    } else if (key == '\n' || key == '\r') {
        press_enter(screen);
    } else if (key == 127 || key == '\b') {
        erase_one(screen);
    } else if (key == CONTROL('r')) {
        servers_ping_all(screen->servers);
    } else if (key == CONTROL('c')) {
        screen->quit = true;
    } else if (key == '?' && !screen->searching) {
        screen->help = true;
    } else if (key == '/' && !screen->searching) {
        screen->searching = true;
    } else if (key >= ' ') {
        type_into_filter(screen, (wchar_t)key);
    }
}

static void on_keys(void *arg, unsigned ready)
{
    struct screen *screen = arg;
    wint_t key;
    int kind;
    while ((kind = get_wch(&key)) != ERR) {
        screen->note = NULL;
        if (screen->help && key != CONTROL('c') && key != KEY_RESIZE) {
            screen->help = false;
        } else if (kind == KEY_CODE_YES) {
            take_function_key(screen, key);
        } else {
            take_character(screen, key);
        }
    }
    draw_screen(screen);
}

static void on_resized(void *arg)
{
    struct winsize size;
    if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_row > 0 && size.ws_col > 0) {
        resizeterm(size.ws_row, size.ws_col);
    }
    draw_screen(arg);
}

static void show_screen(struct screen *screen)
{
    raw(); /* Ctrl-C is a key */
    noecho();
    nonl();
    keypad(stdscr, TRUE);
    nodelay(stdscr, TRUE);
    curs_set(0);
    draw_screen(screen);
}

static void play_selected(struct screen *screen)
{
    size_t count;
    struct servers_row *const *rows = servers_rows(screen->servers, &count);
    screen->play = false;
    find_place(screen, rows, count);
    if (count == 0) {
        return;
    }
    struct servers_row row = *rows[screen->place];
    servers_leave(screen->servers);
    loop_io_set(screen->keys, 0);
    endwin();
    if (servers_run(screen->exec, &row) < 0) {
        screen->note = "the command could not be run";
    }
    loop_io_set(screen->keys, LOOP_READ);
    servers_return(screen->servers);
    servers_ping_all(screen->servers);
    show_screen(screen);
}

static void run_screen(struct screen *screen)
{
    show_screen(screen);
    while (!screen->quit && !screen->ctl->stopped) {
        servers_poll(screen->servers);
        loop_iterate(screen->ctl->loop,
                     servers_are_polled(screen->servers) ? SERVERS_ITERATION_MS : 60000);
        if (screen->play) {
            play_selected(screen);
        }
    }
}

enum ctl_exit servers_screen(struct ctl *ctl, const char *target, enum pinger_method method,
                             const char *exec)
{
    struct screen screen = {.ctl = ctl, .target = target ? target : "Redis", .exec = exec};
    char *error = NULL;
    (void)setlocale(LC_CTYPE, "");
    if (MB_CUR_MAX == 1) {
        (void)setlocale(LC_CTYPE, "C.UTF-8");
    }
    screen.servers = servers_create(ctl, target, method, &events, &screen, &error);
    if (!screen.servers) {
        ctl_complain("%s", error);
        free(error);
        return CTL_USAGE;
    }
    set_escdelay(25);
    if (!newterm(NULL, stdout, stdin)) {
        ctl_complain("this terminal (TERM=%s) cannot show a screen; use --plain or --json",
                     getenv("TERM") ? getenv("TERM") : "");
        servers_destroy(&screen.servers);
        return CTL_NO;
    }
    screen.draw = loop_timer_create(ctl->loop, draw_screen, &screen);
    screen.keys = loop_io_create(ctl->loop, STDIN_FILENO, on_keys, &screen);
    loop_io_set(screen.keys, LOOP_READ);
    screen.resized = loop_signal_create(ctl->loop, SIGWINCH, on_resized, &screen);
    ctl_listen_for_signals(ctl);
    run_screen(&screen);
    endwin();
    loop_signal_destroy(&screen.resized);
    loop_io_destroy(&screen.keys);
    loop_timer_destroy(&screen.draw);
    servers_destroy(&screen.servers);
    writer_free(&screen.selected);
    return CTL_OK;
}
