/* unique: short lists are compared pairwise; long ones are sorted, as peers choose the length. */
#include "codec/unique_private.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

#define PAIRWISE 16 /* up to here comparing all pairs is cheaper than sorting */

struct ranked {
    struct bytes text;
    size_t index;
};

static int compare_ranked(const void *left, const void *right)
{
    const struct ranked *a = left, *b = right;
    const int order = bytes_compare(a->text, b->text);

    return order != 0 ? order : (a->index > b->index) - (a->index < b->index);
}

static void mark_pairwise(const struct bytes *texts, size_t count, bool *repeated)
{
    for (size_t i = 0; i < count; i++) {
        for (size_t j = 0; j < i && !repeated[i]; j++) {
            repeated[i] = bytes_equal(texts[i], texts[j]);
        }
    }
}

static void mark_sorted(const struct bytes *texts, size_t count, bool *repeated)
{
    struct ranked *ranked = mem_zalloc(count, sizeof *ranked);

    for (size_t i = 0; i < count; i++) {
        ranked[i] = (struct ranked){texts[i], i};
    }
    qsort(ranked, count, sizeof *ranked, compare_ranked);
    for (size_t i = 1; i < count; i++) {
        repeated[ranked[i].index] = bytes_equal(ranked[i].text, ranked[i - 1].text);
    }
    free(ranked);
}

static void mark_repeated(const struct bytes *texts, size_t count, bool *repeated)
{
    if (count <= PAIRWISE) {
        mark_pairwise(texts, count, repeated);
    } else {
        mark_sorted(texts, count, repeated);
    }
}

size_t unique_first_repeat(const struct bytes *texts, size_t count)
{
    bool few[PAIRWISE] = {false};
    bool *repeated = count <= PAIRWISE ? few : mem_zalloc(count, sizeof *repeated);
    size_t first = 0;

    mark_repeated(texts, count, repeated);
    while (first < count && !repeated[first]) {
        first++;
    }
    if (repeated != few) {
        free(repeated);
    }
    return first;
}

size_t unique_keep_first(struct bytes *texts, size_t count)
{
    bool few[PAIRWISE] = {false};
    bool *repeated = count <= PAIRWISE ? few : mem_zalloc(count, sizeof *repeated);
    size_t kept = 0;

    mark_repeated(texts, count, repeated);
    for (size_t i = 0; i < count; i++) {
        if (!repeated[i]) {
            texts[kept++] = texts[i];
        }
    }
    if (repeated != few) {
        free(repeated);
    }
    return kept;
}
