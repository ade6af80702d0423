/* The memory of one parsed document: taken piece by piece, given back as a whole. */
#ifndef PROTO_JSON_REGION_H
#define PROTO_JSON_REGION_H

#include <stddef.h>

struct json_block;

/* Zero-initialise. */
struct json_region {
    struct json_block *blocks; /* newest first; owned */
    char *next;                /* free bytes of the newest block */
    size_t left;
    size_t last; /* bytes of the newest block */
};

/* Aligned for any type; NULL when memory ran out. */
void *json_region_take(struct json_region *region, size_t size);
void json_region_release(struct json_region *region);

#endif
