/* The distinct texts of one column and how often each occurs, up to LIMIT_LEVELS of them. */
#ifndef CORE_TABLE_LEVEL_SET_H
#define CORE_TABLE_LEVEL_SET_H

#include "config/limits.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A power of two, twice the levels, so that a free slot is always near. */
enum { LEVEL_SLOTS = 1024 };

/* Zero-initialise. */
struct level_set {
    char **texts;    /* [count] owned, in order of first appearance */
    uint64_t *rows;  /* [count] owned */
    uint16_t *slots; /* [LEVEL_SLOTS] owned: index + 1 by hash, 0 = free */
    size_t count, capacity;
    bool full; /* there were more than LIMIT_LEVELS: nothing is held any more */
};

/* 0 or ERR_NOMEM. Past LIMIT_LEVELS the set empties itself and only says that it is full. */
int level_set_add(struct level_set *set, const char *text, size_t length);
void level_set_release(struct level_set *set);

#endif
