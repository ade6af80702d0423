#include "core/base/arena.h"

#include "core/base/check.h"
#include "core/base/err.h"
#include "core/base/mem.h"

int arena_init(struct arena *arena, size_t capacity)
{
    *arena = (struct arena){.base = mem_aligned(capacity, 1), .capacity = capacity};
    return arena->base ? 0 : ERR_NOMEM;
}

void arena_release(struct arena *arena)
{
    mem_free(arena->base);
    *arena = (struct arena){0};
}

size_t arena_bytes(size_t count, size_t size)
{
    size_t bytes;
    check(mem_size_mul(count, size, &bytes));
    return (bytes + MEM_ALIGN - 1) / MEM_ALIGN * MEM_ALIGN;
}

void *arena_take(struct arena *arena, size_t count, size_t size)
{
    size_t bytes = arena_bytes(count, size);
    check(bytes <= arena->capacity - arena->used);
    void *start = arena->base + arena->used;
    arena->used += bytes;
    return start;
}
