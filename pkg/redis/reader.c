/*
 * reader: hiredis's redisReader with callbacks that build struct redis_reply in an arena.
 *
 * The arena is a list of blocks. The first one has a fixed size and is kept; a larger reply adds
 * blocks, which are freed before the next reply. So an idle link keeps one small block.
 */
#include "redis/reader_private.h"

#include <stdlib.h>
#include <string.h>

#include <hiredis/read.h>

#include "base/mem.h"

#define BLOCK_SIZE      8192
#define FIRST_ELEMENTS  8
#define ARENA_ALIGNMENT 8

struct block {
    struct block *next;
    size_t used;
    size_t size;
    uint8_t data[] __attribute__((aligned(ARENA_ALIGNMENT)));
};

/* A reply in the arena: an array's elements are added as they arrive. */
struct reply_node {
    struct redis_reply reply;
    size_t capacity;
};

struct redis_reader {
    redisReader *parser;
    struct block *blocks; /* the newest first; the last one is kept */
    size_t used;          /* bytes of all blocks that the current reply uses */
    size_t limit;
    bool finished; /* the reply in the arena has been returned */
    struct loop_task retire_task;
};

static struct block *block_create(size_t size)
{
    struct block *block = mem_alloc(sizeof *block + size);

    block->next = NULL;
    block->used = 0;
    block->size = size;
    return block;
}

static void *arena_alloc(struct redis_reader *reader, size_t size)
{
    struct block *block = reader->blocks;
    void *memory;

    size = (size + ARENA_ALIGNMENT - 1) & ~(size_t)(ARENA_ALIGNMENT - 1);
    if (block->size - block->used < size) {
        size_t wanted = block->size * 2 < BLOCK_SIZE * 32 ? block->size * 2 : BLOCK_SIZE * 32;

        block = block_create(size > wanted ? size : wanted);
        block->next = reader->blocks;
        reader->blocks = block;
    }
    memory = block->data + block->used;
    block->used += size;
    reader->used += size;
    return memory;
}

static void arena_reset(struct redis_reader *reader)
{
    struct block *block;

    while (reader->blocks->next) {
        block = reader->blocks;
        reader->blocks = block->next;
        free(block);
    }
    reader->blocks->used = 0;
    reader->used = 0;
}

/* Makes room for one more element, by doubling: never allocates what the server announced. */
static void array_grow(struct redis_reader *reader, struct reply_node *array)
{
    size_t capacity = array->capacity > 0 ? array->capacity * 2 : FIRST_ELEMENTS;
    struct redis_reply **elements = arena_alloc(reader, capacity * sizeof(struct redis_reply *));

    if (array->reply.count > 0) {
        memcpy(elements, array->reply.elements, array->reply.count * sizeof *elements);
    }
    array->reply.elements = elements;
    array->capacity = capacity;
}

static struct reply_node *create_reply_node(const redisReadTask *task, enum redis_type type)
{
    struct redis_reader *reader = task->privdata;
    struct reply_node *node = arena_alloc(reader, sizeof *node);

    *node = (struct reply_node){.reply = {.type = type}};
    if (task->parent) {
        struct reply_node *array = task->parent->obj;

        if (array->reply.count == array->capacity) {
            array_grow(reader, array);
        }
        array->reply.elements[array->reply.count++] = &node->reply;
    }
    return node;
}

static void *create_string(const redisReadTask *task, char *text, size_t len)
{
    enum redis_type type = task->type == REDIS_REPLY_ERROR    ? REDIS_ERROR
                           : task->type == REDIS_REPLY_STATUS ? REDIS_STATUS
                                                              : REDIS_STRING;
    struct reply_node *node = create_reply_node(task, type);
    uint8_t *copy = arena_alloc(task->privdata, len + 1);

    memcpy(copy, text, len);
    copy[len] = '\0';
    node->reply.text = (struct bytes){copy, len};
    return node;
}

static void *create_array(const redisReadTask *task, int count)
{
    return create_reply_node(task, REDIS_ARRAY);
}

static void *create_integer(const redisReadTask *task, long long value)
{
    struct reply_node *node = create_reply_node(task, REDIS_INTEGER);

    node->reply.integer = value;
    return node;
}

static void *create_nil(const redisReadTask *task)
{
    return create_reply_node(task, REDIS_NIL);
}

/* The arena owns the memory. */
static void free_object(void *object)
{
}

static redisReplyObjectFunctions functions = {create_string, create_array, create_integer,
                                              create_nil, free_object};

struct redis_reader *redis_reader_create(size_t limit)
{
    struct redis_reader *reader = mem_zalloc(1, sizeof *reader);

    reader->parser = redisReaderCreateWithFunctions(&functions);
    if (!reader->parser) {
        abort(); /* out of memory, as mem_alloc does */
    }
    reader->parser->privdata = reader;
    reader->blocks = block_create(BLOCK_SIZE);
    reader->limit = limit;
    return reader;
}

void redis_reader_destroy(struct redis_reader **pointer)
{
    struct redis_reader *reader = *pointer;

    *pointer = NULL;
    if (!reader) {
        return;
    }
    redisReaderFree(reader->parser);
    arena_reset(reader);
    free(reader->blocks);
    free(reader);
}

static void destroy_retired(void *arg)
{
    struct redis_reader *reader = arg;

    redis_reader_destroy(&reader);
}

void redis_reader_retire(struct redis_reader **pointer, struct loop *loop)
{
    struct redis_reader *reader = *pointer;

    *pointer = NULL;
    if (reader) {
        reader->retire_task.callback = destroy_retired;
        reader->retire_task.arg = reader;
        loop_defer(loop, LOOP_PHASE_FREE, &reader->retire_task);
    }
}

void redis_reader_feed(struct redis_reader *reader, const void *data, size_t len)
{
    /* It fails only after an error, or out of memory, which redis_reader_next reports too. */
    (void)redisReaderFeed(reader->parser, data, len);
}

const struct redis_reply *redis_reader_next(struct redis_reader *reader, const char **error)
{
    void *reply = NULL;

    *error = NULL;
    if (reader->finished) {
        arena_reset(reader);
        reader->finished = false;
    }
    if (redisReaderGetReply(reader->parser, &reply) != 0) {
        *error = reader->parser->errstr;
        return NULL;
    }
    if (!reply && reader->limit > 0 && reader->used + reader->parser->len > reader->limit) {
        *error = "the reply is larger than redis.max_reply";
        return NULL;
    }
    reader->finished = reply != NULL;
    return reply;
}
