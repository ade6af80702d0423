/* The one seam through which core, proto and server allocate, so that tests can make it fail. */
#ifndef CORE_BASE_MEM_H
#define CORE_BASE_MEM_H

#include <stdbool.h>
#include <stddef.h>

enum { MEM_ALIGN = 64 }; /* a cache line, and the widest vector */

/* All return NULL when memory runs out or count * size overflows. Zero bytes give a valid pointer.
   Memory is owned by the caller and released with mem_free, which accepts NULL. Thread: any. */
void *mem_alloc(size_t count, size_t size);
void *mem_zalloc(size_t count, size_t size);
void *mem_realloc(void *old, size_t count, size_t size);
void mem_free(void *pointer);
char *mem_strdup(const char *text);
char *mem_strndup(const char *text, size_t length);

/* Aligned to MEM_ALIGN and zeroed; also released with mem_free. */
void *mem_aligned(size_t count, size_t size);

/* product = a * b; false (product untouched) on overflow. */
bool mem_size_mul(size_t a, size_t b, size_t *product);

/* For tests: fail the allocation after `after` more have succeeded (once); SIZE_MAX turns it off.
   Thread: call it while no other thread allocates. */
void mem_fail_after(size_t after);

#endif
