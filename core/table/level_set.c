#include "core/table/level_set.h"

#include "core/base/err.h"
#include "core/base/mem.h"

#include <string.h>

_Static_assert(LEVEL_SLOTS >= 2 * LIMIT_LEVELS, "a probe must find a free slot soon");

/* FNV-1a. A file made of collisions costs LIMIT_LEVELS comparisons a cell, no more. */
static size_t level_hash(const char *text, size_t length)
{
    uint32_t hash = 2166136261u;
    for (size_t i = 0; i < length; i++)
        hash = (hash ^ (unsigned char)text[i]) * 16777619u;
    return hash;
}

/* The slot that holds the text, or the free one where it belongs. */
static uint16_t *level_slot(const struct level_set *set, const char *text, size_t length)
{
    size_t at = level_hash(text, length) % LEVEL_SLOTS;
    while (set->slots[at]) {
        const char *seen = set->texts[set->slots[at] - 1];
        if (strlen(seen) == length && memcmp(seen, text, length) == 0)
            break;
        at = (at + 1) % LEVEL_SLOTS;
    }
    return &set->slots[at];
}

static int level_set_grow(struct level_set *set)
{
    if (set->count < set->capacity)
        return 0;
    size_t capacity = set->capacity ? set->capacity * 2 : 8;
    char **texts = mem_realloc(set->texts, capacity, sizeof *texts);
    if (!texts)
        return ERR_NOMEM;
    set->texts = texts;
    uint64_t *rows = mem_realloc(set->rows, capacity, sizeof *rows);
    if (!rows)
        return ERR_NOMEM;
    set->rows = rows;
    set->capacity = capacity;
    return 0;
}

static int level_set_insert(struct level_set *set, uint16_t *slot, const char *text, size_t length)
{
    if (level_set_grow(set))
        return ERR_NOMEM;
    char *copy = mem_strndup(text, length);
    if (!copy)
        return ERR_NOMEM;
    set->texts[set->count] = copy;
    set->rows[set->count] = 1;
    *slot = (uint16_t)++set->count;
    return 0;
}

int level_set_add(struct level_set *set, const char *text, size_t length)
{
    if (set->full)
        return 0;
    if (!set->slots) {
        set->slots = mem_zalloc(LEVEL_SLOTS, sizeof *set->slots);
        if (!set->slots)
            return ERR_NOMEM;
    }
    uint16_t *slot = level_slot(set, text, length);
    if (*slot) {
        set->rows[*slot - 1]++;
        return 0;
    }
    if (set->count == LIMIT_LEVELS) {
        level_set_release(set);
        set->full = true;
        return 0;
    }
    return level_set_insert(set, slot, text, length);
}

void level_set_release(struct level_set *set)
{
    for (size_t i = 0; i < set->count; i++)
        mem_free(set->texts[i]);
    mem_free(set->texts);
    mem_free(set->rows);
    mem_free(set->slots);
    *set = (struct level_set){0};
}
