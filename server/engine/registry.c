#include "server/engine/registry.h"

#include "core/base/check.h"
#include "core/base/mem.h"

#include <string.h>

struct registry {
    struct model_ref **entries; /* sorted by name; each holds one reference */
    size_t count;
    size_t capacity;
};

struct model_ref *model_ref_new(void)
{
    struct model_ref *ref = mem_zalloc(1, sizeof *ref);
    if (ref)
        atomic_init(&ref->references, 1);
    return ref;
}

struct model_ref *model_ref_take(struct model_ref *ref)
{
    atomic_fetch_add_explicit(&ref->references, 1, memory_order_relaxed);
    return ref;
}

void model_ref_drop(struct model_ref *ref)
{
    if (!ref || atomic_fetch_sub_explicit(&ref->references, 1, memory_order_acq_rel) != 1)
        return;
    model_release(&ref->model);
    model_config_release(&ref->config);
    mem_free(ref);
}

struct registry *registry_new(void)
{
    return mem_zalloc(1, sizeof(struct registry));
}

void registry_free(struct registry *registry)
{
    if (!registry)
        return;
    for (size_t i = 0; i < registry->count; i++)
        model_ref_drop(registry->entries[i]);
    mem_free(registry->entries);
    mem_free(registry);
}

/* The index of `name`, or of the entry before which it belongs. */
static size_t registry_place(const struct registry *registry, const char *name, bool *found)
{
    size_t low = 0, high = registry->count;
    *found = false;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        int order = strcmp(registry->entries[middle]->name, name);
        if (order == 0) {
            *found = true;
            return middle;
        }
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

int registry_publish(struct registry *registry, struct model_ref *ref)
{
    bool found;
    size_t place = registry_place(registry, ref->name, &found);
    if (found) {
        struct model_ref *old = registry->entries[place];
        bool newer = ref->version >= old->version;
        registry->entries[place] = newer ? ref : old;
        model_ref_drop(newer ? old : ref);
        return 0;
    }
    if (registry->count == registry->capacity) {
        size_t capacity = registry->capacity ? 2 * registry->capacity : 16;
        void *grown = mem_realloc(registry->entries, capacity, sizeof *registry->entries);
        if (!grown)
            return ERR_NOMEM;
        registry->entries = grown;
        registry->capacity = capacity;
    }
    memmove(registry->entries + place + 1, registry->entries + place,
            (registry->count - place) * sizeof *registry->entries);
    registry->entries[place] = ref;
    registry->count++;
    return 0;
}

bool registry_remove(struct registry *registry, const char *name)
{
    bool found;
    size_t place = registry_place(registry, name, &found);
    if (!found)
        return false;
    model_ref_drop(registry->entries[place]);
    registry->count--;
    memmove(registry->entries + place, registry->entries + place + 1,
            (registry->count - place) * sizeof *registry->entries);
    return true;
}

struct model_ref *registry_find(const struct registry *registry, const char *name)
{
    bool found;
    size_t place = registry_place(registry, name, &found);
    return found ? registry->entries[place] : NULL;
}

size_t registry_count(const struct registry *registry)
{
    return registry->count;
}

struct model_ref *registry_at(const struct registry *registry, size_t i)
{
    check(i < registry->count);
    return registry->entries[i];
}
