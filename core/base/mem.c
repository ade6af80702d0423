#include "core/base/mem.h"

#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

static atomic_size_t mem_countdown = SIZE_MAX;

void mem_fail_after(size_t after)
{
    atomic_store(&mem_countdown, after);
}

/* True once, when the countdown of mem_fail_after reaches its end. */
static bool mem_must_fail(void)
{
    if (atomic_load_explicit(&mem_countdown, memory_order_relaxed) == SIZE_MAX)
        return false;
    return atomic_fetch_sub(&mem_countdown, 1) == 0;
}

bool mem_size_mul(size_t a, size_t b, size_t *product)
{
    size_t result;
    if (__builtin_mul_overflow(a, b, &result))
        return false;
    *product = result;
    return true;
}

void *mem_alloc(size_t count, size_t size)
{
    return mem_realloc(NULL, count, size);
}

void *mem_zalloc(size_t count, size_t size)
{
    if (mem_must_fail())
        return NULL;
    return calloc(count ? count : 1, size ? size : 1);
}

void *mem_realloc(void *old, size_t count, size_t size)
{
    size_t bytes;
    if (mem_must_fail() || !mem_size_mul(count, size, &bytes))
        return NULL;
    return realloc(old, bytes ? bytes : 1);
}

void mem_free(void *pointer)
{
    free(pointer);
}

char *mem_strndup(const char *text, size_t length)
{
    char *copy = mem_alloc(length + 1, 1);
    if (copy) {
        memcpy(copy, text, length);
        copy[length] = '\0';
    }
    return copy;
}

char *mem_strdup(const char *text)
{
    return mem_strndup(text, strlen(text));
}

void *mem_aligned(size_t count, size_t size)
{
    size_t bytes;
    if (mem_must_fail() || !mem_size_mul(count, size, &bytes) || bytes > SIZE_MAX - MEM_ALIGN)
        return NULL;
    bytes = (bytes + MEM_ALIGN) / MEM_ALIGN * MEM_ALIGN;
    void *pointer = aligned_alloc(MEM_ALIGN, bytes);
    if (pointer)
        memset(pointer, 0, bytes);
    return pointer;
}
