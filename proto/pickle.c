#include "proto/pickle.h"

#include "core/base/check.h"
#include "core/base/mem.h"

void pickle_release(struct pickle *pickle)
{
    mem_free(pickle->values);
    mem_free(pickle->links);
    *pickle = (struct pickle){0};
}

const struct pickle_value *pickle_at(const struct pickle *pickle, pickle_ref ref)
{
    check(ref < pickle->count);
    return &pickle->values[ref];
}

enum pickle_kind pickle_kind_of(const struct pickle *pickle, pickle_ref ref)
{
    return pickle_at(pickle, ref)->kind;
}

struct pickle_text pickle_text(const struct pickle *pickle, pickle_ref ref)
{
    const struct pickle_value *value = pickle_at(pickle, ref);
    if (value->kind != PICKLE_TEXT)
        return (struct pickle_text){.data = ""};
    return (struct pickle_text){.data = value->text, .size = value->size};
}

uint32_t pickle_begin(const struct pickle *pickle, pickle_ref container)
{
    const struct pickle_value *value = pickle_at(pickle, container);
    bool holds =
        value->kind == PICKLE_TUPLE || value->kind == PICKLE_LIST || value->kind == PICKLE_DICT;
    return holds ? value->first : 0;
}

bool pickle_next(struct pickle *pickle, uint32_t *link, struct pickle_link *member)
{
    if (*link == 0 || pickle->steps == 0)
        return false;
    check(*link < pickle->link_count);
    pickle->steps--;
    *member = pickle->links[*link];
    *link = member->next;
    return true;
}

pickle_ref pickle_get(struct pickle *pickle, pickle_ref dict, const char *key)
{
    struct pickle_link member;
    pickle_ref found = 0;
    if (pickle_kind_of(pickle, dict) != PICKLE_DICT)
        return 0;
    /* The last one holds, as in Python. */
    for (uint32_t link = pickle_begin(pickle, dict); pickle_next(pickle, &link, &member);) {
        if (pickle_text_is(pickle_text(pickle, member.key), key))
            found = member.value;
    }
    return found;
}

pickle_ref pickle_item(struct pickle *pickle, pickle_ref list, size_t i)
{
    struct pickle_link member;
    for (uint32_t link = pickle_begin(pickle, list); pickle_next(pickle, &link, &member);) {
        if (i-- == 0)
            return member.value;
    }
    return 0;
}

bool pickle_is_module_state(struct pickle *pickle, pickle_ref state)
{
    static const char *const parts[] = {"_parameters", "_buffers", "_modules"};
    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++) {
        if (pickle_kind_of(pickle, pickle_get(pickle, state, parts[i])) != PICKLE_DICT)
            return false;
    }
    return true;
}

bool pickle_exhausted(const struct pickle *pickle)
{
    return pickle->steps == 0;
}
