/* The models that can be sampled now, by name. The registry belongs to the loop thread; an entry is
   immutable and counted, so that running rows finish on the weights they began with. */
#ifndef SERVER_ENGINE_REGISTRY_H
#define SERVER_ENGINE_REGISTRY_H

#include "proto/model_codec.h"

#include <stdatomic.h>
#include <stdint.h>

struct model_ref {
    atomic_uint references;
    char name[LIMIT_NAME + 1];
    uint64_t version;   /* 1, 2, ... of that name; never reused */
    uint64_t bytes;     /* of the checkpoint file */
    int64_t created_ms; /* Unix time */
    char sha256[65];    /* of the file, hex */
    struct model model;
    struct model_config config; /* schema always filled in; spec as in model */
};

/* One reference, everything zero. NULL: out of memory. Thread: any. */
struct model_ref *model_ref_new(void);
struct model_ref *model_ref_take(struct model_ref *ref);
/* Frees with the last reference. NULL is fine. Thread: any. */
void model_ref_drop(struct model_ref *ref);

struct registry;

struct registry *registry_new(void);
void registry_free(struct registry *registry);
/* Takes over the caller's reference and replaces an entry of that name, unless its version is newer
   (then the reference is dropped). 0 or ERR_NOMEM (the reference stays the caller's). */
int registry_publish(struct registry *registry, struct model_ref *ref);
/* Removes an entry; false when there is none. */
bool registry_remove(struct registry *registry, const char *name);
/* Borrowed until the loop goes on; take a reference to keep it. NULL when there is none. */
struct model_ref *registry_find(const struct registry *registry, const char *name);
/* In order of names. */
size_t registry_count(const struct registry *registry);
struct model_ref *registry_at(const struct registry *registry, size_t i);

#endif
