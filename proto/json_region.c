#include "proto/json_region.h"

#include "core/base/mem.h"

#include <stdint.h>

enum { BLOCK_MIN = 2048, BLOCK_MAX = 256 * 1024, PIECE_ALIGN = 16 };

struct json_block {
    struct json_block *older;
    size_t unused; /* keeps what follows aligned */
    char bytes[];
};

static int add_block(struct json_region *region, size_t size)
{
    size_t bytes = region->last ? region->last * 2 : BLOCK_MIN;
    if (bytes > BLOCK_MAX)
        bytes = BLOCK_MAX;
    if (bytes < size)
        bytes = size;
    struct json_block *block = mem_alloc(sizeof *block + bytes, 1);
    if (!block)
        return -1;
    block->older = region->blocks;
    region->blocks = block;
    region->next = block->bytes;
    region->left = bytes;
    region->last = bytes;
    return 0;
}

void *json_region_take(struct json_region *region, size_t size)
{
    if (size > SIZE_MAX / 2)
        return NULL;
    size = (size + PIECE_ALIGN - 1) / PIECE_ALIGN * PIECE_ALIGN;
    if (size > region->left && add_block(region, size))
        return NULL;
    void *piece = region->next;
    region->next += size;
    region->left -= size;
    return piece;
}

void json_region_release(struct json_region *region)
{
    for (struct json_block *block = region->blocks; block;) {
        struct json_block *older = block->older;
        mem_free(block);
        block = older;
    }
    *region = (struct json_region){0};
}
