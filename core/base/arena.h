/* A bump allocator for one owner: memory is taken once and carved, and given back as a whole. */
#ifndef CORE_BASE_ARENA_H
#define CORE_BASE_ARENA_H

#include <stddef.h>

struct arena {
    unsigned char *base; /* [capacity] owned, aligned to MEM_ALIGN */
    size_t capacity;     /* bytes */
    size_t used;         /* bytes, a multiple of MEM_ALIGN */
};

/* 0 or ERR_NOMEM. */
int arena_init(struct arena *arena, size_t capacity);
void arena_release(struct arena *arena);
/* Zeroed, aligned to MEM_ALIGN, valid until arena_release; asking for more than is left is a
   programming error (sizes are computed first). */
void *arena_take(struct arena *arena, size_t count, size_t size);
/* The bytes that arena_take(count, size) uses up. */
size_t arena_bytes(size_t count, size_t size);

#endif
