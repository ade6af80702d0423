/* The opcodes of Python's pickle protocol that torch.save emits; the table at the end names them.
   What one takes off the stack, and what it refers to, is checked to be there and of the right kind
   before it is used. */
#include "config/limits.h"
#include "proto/pickle_machine.h"

#include <string.h>

enum {
    PROTOCOL_MIN = 2,
    PROTOCOL_MAX = 5,
    OP_PROTOCOL = 0x80,
    OP_STOP = '.',
    NUMBER_MAX = 8, /* bytes of an integer whose value is kept */
};

/* m->argument tells the opcodes of one family apart: mostly the bytes of the number that follows.
 */

static int op_protocol(struct machine *m)
{
    uint64_t protocol;
    int code = machine_number(m, m->argument, &protocol);
    if (!code && (protocol < PROTOCOL_MIN || protocol > PROTOCOL_MAX))
        code = machine_malformed(m, "the pickle's protocol is not read; 2 to 5 are");
    return code;
}

static int op_frame(struct machine *m)
{
    uint64_t size;
    int code = machine_number(m, m->argument, &size);
    if (!code && size > (size_t)(m->end - m->at))
        code = machine_malformed(m, "a frame reaches past the end of the pickle");
    return code;
}

static int op_mark(struct machine *m)
{
    return machine_push(m, MACHINE_MARK);
}

static int op_pop(struct machine *m)
{
    if (m->stack.count == 0)
        return machine_malformed(m, "an opcode finds no value on the stack");
    m->stack.count--;
    return 0;
}

static int op_pop_mark(struct machine *m)
{
    size_t first;
    int code = machine_find_mark(m, &first);
    if (!code)
        m->stack.count = first - 1;
    return code;
}

static int op_none(struct machine *m)
{
    return machine_push(m, 0);
}

static int push_integer(struct machine *m, int64_t integer)
{
    return machine_push_new(m, (struct pickle_value){.kind = PICKLE_INTEGER, .integer = integer});
}

static int op_boolean(struct machine *m)
{
    return push_integer(m, m->argument);
}

/* Of four bytes it is signed, of fewer not. */
static int op_integer(struct machine *m)
{
    uint64_t number;
    int code = machine_number(m, m->argument, &number);
    return code ? code : push_integer(m, m->argument == 4 ? (int32_t)number : (int64_t)number);
}

static int push_plain(struct machine *m, uint64_t size)
{
    const unsigned char *bytes;
    int code = machine_take(m, size, &bytes);
    return code ? code : machine_push_new(m, (struct pickle_value){.kind = PICKLE_PLAIN});
}

/* Two's complement of any length. */
static int op_long(struct machine *m)
{
    uint64_t size, number;
    int code = machine_number(m, m->argument, &size);
    if (!code && size > NUMBER_MAX)
        return push_plain(m, size);
    if (!code)
        code = machine_number(m, (unsigned)size, &number);
    if (code)
        return code;
    if (size > 0 && size < NUMBER_MAX && number >> (8 * size - 1) & 1)
        number |= UINT64_MAX << (8 * size);
    return push_integer(m, (int64_t)number);
}

static int op_float(struct machine *m)
{
    return push_plain(m, m->argument);
}

static int op_bytes(struct machine *m)
{
    uint64_t size;
    int code = machine_number(m, m->argument, &size);
    return code ? code : push_plain(m, size);
}

static int op_text(struct machine *m)
{
    uint64_t size;
    const unsigned char *bytes;
    int code = machine_number(m, m->argument, &size);
    if (!code)
        code = machine_take(m, size, &bytes);
    if (code)
        return code;
    return machine_push_new(m, (struct pickle_value){.kind = PICKLE_TEXT,
                                                     .size = (uint32_t)size,
                                                     .text = (const char *)bytes});
}

static int make_tuple(struct machine *m, size_t first, pickle_ref *tuple)
{
    int code = machine_add(m, (struct pickle_value){.kind = PICKLE_TUPLE}, tuple);
    return code ? code : machine_move_members(m, first, *tuple);
}

static int op_tuple_of_marked(struct machine *m)
{
    size_t first;
    pickle_ref tuple;
    int code = machine_find_mark(m, &first);
    if (!code)
        code = make_tuple(m, first, &tuple);
    if (code)
        return code;
    m->stack.items[m->stack.count - 1] = tuple;
    return 0;
}

static int op_tuple(struct machine *m)
{
    pickle_ref value, tuple;
    int code = 0;
    for (size_t i = 0; i < m->argument && !code; i++)
        code = machine_below(m, m->stack.count - i, &value);
    if (!code)
        code = make_tuple(m, m->stack.count - m->argument, &tuple);
    return code ? code : machine_push(m, tuple);
}

static int op_empty(struct machine *m)
{
    return machine_push_new(m, (struct pickle_value){.kind = (enum pickle_kind)m->argument});
}

static int op_append(struct machine *m)
{
    pickle_ref value, list;
    int code = machine_pop(m, &value);
    if (!code)
        code = machine_container_below(m, m->stack.count, PICKLE_LIST, &list);
    return code ? code : machine_add_member(m, list, 0, value);
}

static int op_appends(struct machine *m)
{
    size_t first;
    pickle_ref list;
    int code = machine_find_mark(m, &first);
    if (!code)
        code = machine_container_below(m, first - 1, PICKLE_LIST, &list);
    if (!code)
        code = machine_move_members(m, first, list);
    if (!code)
        m->stack.count--;
    return code;
}

static int op_set_item(struct machine *m)
{
    pickle_ref key, value, dict;
    int code = machine_pop(m, &value);
    if (!code)
        code = machine_pop(m, &key);
    if (!code)
        code = machine_container_below(m, m->stack.count, PICKLE_DICT, &dict);
    return code ? code : machine_add_member(m, dict, key, value);
}

static int op_set_items(struct machine *m)
{
    size_t first;
    pickle_ref dict;
    int code = machine_find_mark(m, &first);
    if (!code && (m->stack.count - first) % 2 != 0)
        code = machine_malformed(m, "a dict gets a key without a value");
    if (!code)
        code = machine_container_below(m, first - 1, PICKLE_DICT, &dict);
    for (size_t i = first; !code && i < m->stack.count; i += 2)
        code = machine_add_member(m, dict, m->stack.items[i], m->stack.items[i + 1]);
    if (!code)
        m->stack.count = first - 1;
    return code;
}

/* Numbers rise one by one in what Python writes, so that there is no hole to fill. */
static int memo_put(struct machine *m, uint64_t number)
{
    pickle_ref value;
    int code = machine_below(m, m->stack.count, &value);
    if (code)
        return code;
    if (number > m->memo.count)
        return machine_malformed(m, "the memo is not filled in order");
    if (number == m->memo.count)
        return machine_list_push(m, &m->memo, value);
    m->memo.items[number] = value;
    return 0;
}

static int op_put(struct machine *m)
{
    uint64_t number;
    int code = machine_number(m, m->argument, &number);
    return code ? code : memo_put(m, number);
}

static int op_memoize(struct machine *m)
{
    return memo_put(m, m->memo.count);
}

static int op_get(struct machine *m)
{
    uint64_t number;
    int code = machine_number(m, m->argument, &number);
    if (!code && number >= m->memo.count)
        code = machine_malformed(m, "the memo has no value of that number");
    return code ? code : machine_push(m, m->memo.items[number]);
}

static bool is_identifier(struct pickle_text text)
{
    for (size_t i = 0; i < text.size; i++) {
        char c = text.data[i];
        if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
              c == '_' || c == '.'))
            return false;
    }
    return text.size > 0;
}

static int push_global(struct machine *m, pickle_ref module, pickle_ref name)
{
    struct pickle_text module_text = pickle_text(m->pickle, module);
    struct pickle_text name_text = pickle_text(m->pickle, name);
    if (!is_identifier(module_text) || !is_identifier(name_text))
        return machine_malformed(m, "a global's name has other characters than A-Z a-z 0-9 _ .");
    return machine_push_new(m, (struct pickle_value){
                                   .kind = PICKLE_GLOBAL,
                                   .first = module,
                                   .last = name,
                                   .global = pickle_global_find(module_text, name_text),
                               });
}

/* A text up to the end of the line. */
static int add_line(struct machine *m, pickle_ref *ref)
{
    const unsigned char *end = memchr(m->at, '\n', (size_t)(m->end - m->at));
    if (!end)
        return machine_malformed(m, "the pickle ends in the middle of a name");
    struct pickle_value line = {
        .kind = PICKLE_TEXT, .size = (uint32_t)(end - m->at), .text = (const char *)m->at};
    m->at = end + 1;
    return machine_add(m, line, ref);
}

static int op_global(struct machine *m)
{
    pickle_ref module, name;
    int code = add_line(m, &module);
    if (!code)
        code = add_line(m, &name);
    return code ? code : push_global(m, module, name);
}

static int op_stack_global(struct machine *m)
{
    pickle_ref module, name;
    int code = machine_pop(m, &name);
    if (!code)
        code = machine_pop(m, &module);
    return code ? code : push_global(m, module, name);
}

/* A name and the tuple of its arguments. */
static int pop_call(struct machine *m, pickle_ref *global, pickle_ref *arguments)
{
    int code = machine_pop(m, arguments);
    if (!code)
        code = machine_pop(m, global);
    if (!code && (pickle_kind_of(m->pickle, *global) != PICKLE_GLOBAL ||
                  pickle_kind_of(m->pickle, *arguments) != PICKLE_TUPLE))
        code = machine_malformed(m, "a call is not one of a name with a tuple of arguments");
    return code;
}

/* What would give a dict members is not expected: torch.save fills it afterwards. */
static int call_dict(struct machine *m, pickle_ref arguments)
{
    pickle_ref first = pickle_item(m->pickle, arguments, 0);
    if (first && pickle_kind_of(m->pickle, first) != PICKLE_GLOBAL)
        return machine_malformed(m, "a dict is made with members, not filled with them");
    return machine_push_new(m, (struct pickle_value){.kind = PICKLE_DICT});
}

static int op_reduce(struct machine *m)
{
    pickle_ref global, arguments;
    int code = pop_call(m, &global, &arguments);
    if (code)
        return code;
    switch (pickle_at(m->pickle, global)->global->role) {
    case PICKLE_ROLE_TENSOR:
        return machine_push_new(m,
                                (struct pickle_value){.kind = PICKLE_TENSOR, .first = arguments});
    case PICKLE_ROLE_FIRST:
        return machine_push(m, pickle_item(m->pickle, arguments, 0));
    case PICKLE_ROLE_DICT:
        return call_dict(m, arguments);
    case PICKLE_ROLE_PLAIN:
        return machine_push(m, 0);
    case PICKLE_ROLE_UNLISTED:
    case PICKLE_ROLE_NAME:
    case PICKLE_ROLE_RECORD:
    case PICKLE_ROLE_STORAGE:
        break;
    }
    return machine_refuse(m, global);
}

static int op_new_object(struct machine *m)
{
    pickle_ref class, arguments;
    int code = pop_call(m, &class, &arguments);
    if (code)
        return code;
    enum pickle_role role = pickle_at(m->pickle, class)->global->role;
    if (role != PICKLE_ROLE_UNLISTED && role != PICKLE_ROLE_RECORD)
        return machine_refuse(m, class);
    if (pickle_at(m->pickle, arguments)->size > 0)
        return machine_refuse(m, class);
    return machine_push_new(m, (struct pickle_value){.kind = PICKLE_OBJECT, .last = class});
}

/* A class that is not listed is known by the state of its instance. */
static int build_object(struct machine *m, pickle_ref object, pickle_ref state)
{
    struct pickle_value *value = &m->pickle->values[object];
    struct pickle_value *class = &m->pickle->values[value->last];
    if (value->first || pickle_kind_of(m->pickle, state) != PICKLE_DICT)
        return machine_refuse(m, value->last);
    if (class->global->role == PICKLE_ROLE_UNLISTED) {
        bool is_module = pickle_is_module_state(m->pickle, state);
        if (pickle_exhausted(m->pickle))
            return machine_malformed(m, "the pickle refers to its own parts too often");
        if (!is_module)
            return machine_refuse(m, value->last);
        class->size = 1;
    }
    value->first = state;
    return 0;
}

/* The attributes of a dict, as state_dict() has them, are not asked for. */
static int op_build(struct machine *m)
{
    pickle_ref state, target;
    int code = machine_pop(m, &state);
    if (!code)
        code = machine_below(m, m->stack.count, &target);
    if (code)
        return code;
    enum pickle_kind kind = pickle_kind_of(m->pickle, target);
    if (kind == PICKLE_OBJECT)
        return build_object(m, target, state);
    return kind == PICKLE_DICT ? 0 : machine_malformed(m, "a value gets a state that has none");
}

static int op_persistent(struct machine *m)
{
    pickle_ref id;
    int code = machine_pop(m, &id);
    if (!code && pickle_kind_of(m->pickle, id) != PICKLE_TUPLE)
        code = machine_malformed(m, "the persistent id of a storage is no tuple");
    if (code)
        return code;
    return machine_push_new(m, (struct pickle_value){.kind = PICKLE_STORAGE, .first = id});
}

static const struct {
    int (*run)(struct machine *m);
    unsigned argument;
} ops[256] = {
    [OP_PROTOCOL] = {op_protocol, 1},
    [0x95] = {op_frame, 8},
    ['('] = {op_mark, 0},
    ['0'] = {op_pop, 0},
    ['1'] = {op_pop_mark, 0},
    ['N'] = {op_none, 0},
    [0x88] = {op_boolean, 1},
    [0x89] = {op_boolean, 0},
    ['K'] = {op_integer, 1},
    ['M'] = {op_integer, 2},
    ['J'] = {op_integer, 4},
    [0x8a] = {op_long, 1},
    [0x8b] = {op_long, 4},
    ['G'] = {op_float, 8},
    ['C'] = {op_bytes, 1},
    ['B'] = {op_bytes, 4},
    [0x8e] = {op_bytes, 8},
    [0x8c] = {op_text, 1},
    ['X'] = {op_text, 4},
    [0x8d] = {op_text, 8},
    ['U'] = {op_text, 1}, /* Python 2 */
    ['T'] = {op_text, 4},
    ['t'] = {op_tuple_of_marked, 0},
    [')'] = {op_tuple, 0},
    [0x85] = {op_tuple, 1},
    [0x86] = {op_tuple, 2},
    [0x87] = {op_tuple, 3},
    [']'] = {op_empty, PICKLE_LIST},
    [0x8f] = {op_empty, PICKLE_LIST}, /* a set */
    ['}'] = {op_empty, PICKLE_DICT},
    ['a'] = {op_append, 0},
    ['e'] = {op_appends, 0},
    [0x90] = {op_appends, 0},         /* to a set */
    [0x91] = {op_tuple_of_marked, 0}, /* a frozenset */
    ['s'] = {op_set_item, 0},
    ['u'] = {op_set_items, 0},
    ['q'] = {op_put, 1},
    ['r'] = {op_put, 4},
    [0x94] = {op_memoize, 0},
    ['h'] = {op_get, 1},
    ['j'] = {op_get, 4},
    ['c'] = {op_global, 0},
    [0x93] = {op_stack_global, 0},
    ['R'] = {op_reduce, 0},
    [0x81] = {op_new_object, 0},
    ['b'] = {op_build, 0},
    ['Q'] = {op_persistent, 0},
};

static int run(struct machine *m)
{
    int code = 0;
    while (!code) {
        if (m->at == m->end)
            return machine_malformed(m, "the pickle ends without its last opcode");
        unsigned char op = *m->at++;
        if (op == OP_STOP)
            return 0;
        if (!ops[op].run)
            return machine_malformed(m, "this opcode is none that torch.save writes");
        m->argument = ops[op].argument;
        code = ops[op].run(m);
    }
    return code;
}

static int check_end(struct machine *m)
{
    if (m->at != m->end)
        return machine_malformed(m, "bytes follow the last opcode of the pickle");
    int code = machine_pop(m, &m->pickle->root);
    if (!code && m->stack.count > 0)
        code = machine_malformed(m, "the pickle holds more than one value");
    for (pickle_ref i = 0; i < m->pickle->count && !code; i++) {
        const struct pickle_value *value = pickle_at(m->pickle, i);
        if (value->kind == PICKLE_GLOBAL && value->global->role == PICKLE_ROLE_UNLISTED &&
            value->size == 0)
            code = machine_refuse(m, i);
    }
    return code;
}

int pickle_read(struct pickle *out, const unsigned char *bytes, size_t size, struct err *err)
{
    struct pickle pickle = {.steps = LIMIT_PICKLE_STEPS};
    struct err found = {0};
    struct machine m = {
        .pickle = &pickle, .start = bytes, .at = bytes, .end = bytes + size, .err = &found};
    if (size > LIMIT_PICKLE_BYTES)
        return err_set(err, ERR_TOO_LARGE, "data.pkl", "may have at most %u bytes, got %zu",
                       LIMIT_PICKLE_BYTES, size);
    int code = machine_start(&m);
    if (!code && (size == 0 || bytes[0] != OP_PROTOCOL))
        code = machine_malformed(&m, "this is no pickle of protocol 2 to 5");
    if (!code)
        code = run(&m);
    if (!code)
        code = check_end(&m);
    machine_end(&m);
    if (code) {
        pickle_release(&pickle);
        return err_set(err, found.code, found.where, "%s", found.message);
    }
    *out = pickle;
    return 0;
}
