#include "proto/pickle_machine.h"

#include "config/limits.h"
#include "core/base/mem.h"

#include <stdio.h>
#include <string.h>

enum {
    ROOM_MIN = 64, /* items of an array at first */
    PLACE_TEXT = 48,
    NAME_SHOWN = 96, /* bytes of a module or a name in a message */
};

static int fail(struct machine *m, enum err_code code, const char *message)
{
    char place[PLACE_TEXT];
    snprintf(place, sizeof place, "data.pkl, byte %zu", (size_t)(m->at - m->start));
    return err_set(m->err, code, place, "%s", message);
}

int machine_malformed(struct machine *m, const char *message)
{
    return fail(m, ERR_FORMAT, message);
}

static int shown(struct pickle_text text)
{
    return text.size > NAME_SHOWN ? NAME_SHOWN : (int)text.size;
}

int machine_refuse(struct machine *m, pickle_ref global)
{
    const struct pickle_value *value = pickle_at(m->pickle, global);
    struct pickle_text module = pickle_text(m->pickle, value->first);
    struct pickle_text name = pickle_text(m->pickle, value->last);
    return err_set(m->err, ERR_FORMAT, "data.pkl",
                   "%.*s.%.*s is not allowed in a checkpoint; save model.state_dict(), which needs "
                   "no such name",
                   shown(module), module.data, shown(name), name.data);
}

/* The array with room for one more, or NULL after an error. */
static void *grow(struct machine *m, void *array, size_t count, size_t *capacity, size_t size)
{
    if (count < *capacity)
        return array;
    if (count >= LIMIT_PICKLE_VALUES) {
        fail(m, ERR_TOO_LARGE, "the pickle holds more values than are read");
        return NULL;
    }
    size_t room = *capacity ? 2 * *capacity : ROOM_MIN;
    void *grown = mem_realloc(array, room, size);
    if (grown)
        *capacity = room;
    else
        fail(m, ERR_NOMEM, "memory ran out for the pickle");
    return grown;
}

int machine_list_push(struct machine *m, struct machine_list *list, uint32_t item)
{
    uint32_t *items = grow(m, list->items, list->count, &list->capacity, sizeof *items);
    if (!items)
        return (int)m->err->code;
    list->items = items;
    items[list->count++] = item;
    return 0;
}

int machine_push(struct machine *m, pickle_ref value)
{
    return machine_list_push(m, &m->stack, value);
}

int machine_add(struct machine *m, struct pickle_value value, pickle_ref *ref)
{
    struct pickle *pickle = m->pickle;
    struct pickle_value *values =
        grow(m, pickle->values, pickle->count, &m->value_capacity, sizeof *values);
    if (!values)
        return (int)m->err->code;
    pickle->values = values;
    *ref = (pickle_ref)pickle->count;
    values[pickle->count++] = value;
    return 0;
}

int machine_push_new(struct machine *m, struct pickle_value value)
{
    pickle_ref ref;
    int code = machine_add(m, value, &ref);
    return code ? code : machine_push(m, ref);
}

static int add_link(struct machine *m, struct pickle_link link, uint32_t *number)
{
    struct pickle *pickle = m->pickle;
    struct pickle_link *links =
        grow(m, pickle->links, pickle->link_count, &m->link_capacity, sizeof *links);
    if (!links)
        return (int)m->err->code;
    pickle->links = links;
    *number = (uint32_t)pickle->link_count;
    links[pickle->link_count++] = link;
    return 0;
}

int machine_add_member(struct machine *m, pickle_ref container, pickle_ref key, pickle_ref value)
{
    uint32_t link = 0;
    int code = add_link(m, (struct pickle_link){.key = key, .value = value}, &link);
    if (code)
        return code;
    struct pickle_value *owner = &m->pickle->values[container];
    if (owner->size++ == 0)
        owner->first = link;
    else
        m->pickle->links[owner->last].next = link;
    owner->last = link;
    return 0;
}

int machine_take(struct machine *m, uint64_t size, const unsigned char **out)
{
    if (size > (size_t)(m->end - m->at))
        return machine_malformed(m, "the pickle ends in the middle of a value");
    *out = m->at;
    m->at += size;
    return 0;
}

/* An unsigned number of up to eight bytes, little-endian. */
int machine_number(struct machine *m, unsigned size, uint64_t *out)
{
    const unsigned char *bytes;
    int code = machine_take(m, size, &bytes);
    *out = 0;
    for (unsigned i = size; i > 0 && !code; i--)
        *out = *out << 8 | bytes[i - 1];
    return code;
}

/* The value just below that position of the stack. */
int machine_below(struct machine *m, size_t position, pickle_ref *out)
{
    if (position == 0 || m->stack.items[position - 1] == MACHINE_MARK)
        return machine_malformed(m, "an opcode finds no value on the stack");
    *out = m->stack.items[position - 1];
    return 0;
}

/* Which must be a list or a dict. */
int machine_container_below(struct machine *m, size_t position, enum pickle_kind kind,
                            pickle_ref *out)
{
    int code = machine_below(m, position, out);
    if (code)
        return code;
    const struct pickle_value *value = pickle_at(m->pickle, *out);
    if (value->kind == PICKLE_OBJECT)
        return machine_refuse(m, value->last);
    return value->kind == kind
               ? 0
               : machine_malformed(m, "an opcode finds neither list nor dict to fill");
}

int machine_pop(struct machine *m, pickle_ref *out)
{
    int code = machine_below(m, m->stack.count, out);
    if (!code)
        m->stack.count--;
    return code;
}

/* The position above the last MACHINE_MARK. */
int machine_find_mark(struct machine *m, size_t *first)
{
    size_t at = m->stack.count;
    while (at > 0 && m->stack.items[at - 1] != MACHINE_MARK)
        at--;
    *first = at;
    return at > 0 ? 0 : machine_malformed(m, "an opcode finds no mark on the stack");
}

/* Moves all values from that position on into a tuple or a list. */
int machine_move_members(struct machine *m, size_t first, pickle_ref container)
{
    int code = 0;
    for (size_t i = first; i < m->stack.count && !code; i++)
        code = machine_add_member(m, container, 0, m->stack.items[i]);
    m->stack.count = first;
    return code;
}

int machine_start(struct machine *m)
{
    pickle_ref none;
    uint32_t no_link;
    int code = machine_add(m, (struct pickle_value){.kind = PICKLE_PLAIN}, &none);
    return code ? code : add_link(m, (struct pickle_link){0}, &no_link);
}

void machine_end(struct machine *m)
{
    mem_free(m->stack.items);
    mem_free(m->memo.items);
}
