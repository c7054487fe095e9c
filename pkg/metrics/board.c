/*
 * board: see the header. The shared memory: a head with the supervisor's view of each worker, then
 * the areas. A worker maps its area over metrics_area, so that counting costs what it costs without
 * workers. What is read while it changes may be torn between two values, never within one.
 */
#include "metrics/board.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/mem.h"
#include "metrics/metrics_private.h"

#define BOARD_FORMAT 1

struct board_head {
    union {
        struct {
            uint32_t format;
            uint32_t area_size;
            uint32_t workers;
            struct board_worker list[BOARD_WORKERS_MAX];
        };
        uint8_t pages[METRICS_PAGE];
    };
};
_Static_assert(sizeof(struct board_head) == METRICS_PAGE, "the areas begin with a page");

struct board {
    struct board_head *head;
    size_t size;
    int fd;
};

/* This process as a worker. */
static struct board_head *joined;
static unsigned joined_as;

static size_t board_size(unsigned workers)
{
    return sizeof(struct board_head) + 2 * (size_t)workers * sizeof(struct metrics_area);
}

static struct metrics_area *find_area(struct board_head *head, unsigned area)
{
    return (struct metrics_area *)(void *)(head + 1) + area;
}

struct board *board_create(unsigned workers, int *fd)
{
    const size_t size = board_size(workers);
    *fd = memfd_create("trackerd-workers", MFD_CLOEXEC);
    if (*fd < 0 || ftruncate(*fd, (off_t)size) != 0) {
        return NULL;
    }
    struct board_head *head = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, *fd, 0);
    if (head == MAP_FAILED) {
        close(*fd);
        return NULL;
    }
    head->format = BOARD_FORMAT;
    head->area_size = sizeof(struct metrics_area);
    head->workers = workers;
    struct board *board = mem_zalloc(1, sizeof *board);
    *board = (struct board){.head = head, .size = size, .fd = *fd};
    return board;
}

void board_destroy(struct board **pointer)
{
    struct board *board = *pointer;
    *pointer = NULL;
    if (!board) {
        return;
    }
    (void)munmap(board->head, board->size);
    close(board->fd);
    free(board);
}

void board_publish(struct board *board, unsigned worker, const struct board_worker *state)
{
    board->head->list[worker - 1] = *state;
}

void board_clear(struct board *board, unsigned area)
{
    memset(find_area(board->head, area), 0, sizeof(struct metrics_area));
}

static struct board_head *map_board(int fd)
{
    struct board_head *head = mmap(NULL, sizeof *head, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (head == MAP_FAILED) {
        return NULL;
    }
    const unsigned workers = head->workers;
    const bool known = head->format == BOARD_FORMAT && workers <= BOARD_WORKERS_MAX &&
                       head->area_size == sizeof(struct metrics_area);
    (void)munmap(head, sizeof *head);
    if (!known) {
        errno = EPROTO;
        return NULL;
    }
    head = mmap(NULL, board_size(workers), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    return head == MAP_FAILED ? NULL : head;
}

bool board_join(int fd, unsigned worker, unsigned area)
{
    struct board_head *head = map_board(fd);
    if (!head || worker < 1 || worker > head->workers || area >= 2 * head->workers) {
        return false;
    }
    metrics_area.layout = metrics_layout();
    *find_area(head, area) = metrics_area;
    const off_t offset = (off_t)((char *)find_area(head, area) - (char *)head);
    if (mmap(&metrics_area, sizeof metrics_area, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, fd,
             offset) == MAP_FAILED) {
        return false;
    }
    joined = head;
    joined_as = worker;
    return true;
}

unsigned board_workers(void)
{
    return joined ? joined->workers : 0;
}

unsigned board_own(void)
{
    return joined_as;
}

const struct metrics_area *board_area(unsigned worker)
{
    const unsigned area = joined->list[worker - 1].area;
    const struct metrics_area *found = area < 2 * joined->workers ? find_area(joined, area) : NULL;
    return found && found->layout == metrics_area.layout ? found : NULL;
}

void board_read(unsigned worker, struct board_worker *state, bool *ready, char why[BOARD_WHY_SIZE])
{
    *state = joined->list[worker - 1];
    const struct metrics_area *area = board_area(worker);
    *ready = area && area->ready;
    snprintf(why, BOARD_WHY_SIZE, "%s", area ? area->why : "another release");
}

void board_set_ready(bool ready, const char *why)
{
    snprintf(metrics_area.why, sizeof metrics_area.why, "%s", why ? why : "");
    metrics_area.ready = ready;
}
