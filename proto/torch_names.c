#include "proto/torch_names.h"

#include "core/base/mem.h"

#include <stdio.h>
#include <string.h>

enum { NUMBER_TEXT = 24, CHOICES_TEXT = 160 };

#define NO_GROUP SIZE_MAX

struct walk {
    struct pickle *pickle;
    struct torch_names *names;
    char path[LIMIT_TENSOR_NAME + 1];
    size_t length; /* of the path */
    size_t depth;
    struct err *err;
};

static int walk_value(struct walk *walk, pickle_ref ref, size_t group);

/* Whatever could not stand in a tensor's name becomes a question mark, which is refused if the
   tensor is wanted. */
static char plain(char c)
{
    bool alphanumeric = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
    return alphanumeric || (c && strchr("._/-", c)) ? c : '?';
}

static int path_append(struct walk *walk, struct pickle_text key)
{
    size_t dot = walk->length > 0 ? 1 : 0;
    if (key.size > LIMIT_TENSOR_NAME - walk->length - dot)
        return err_set(walk->err, ERR_FORMAT, "data.pkl",
                       "the name of a tensor would have more than %d characters",
                       LIMIT_TENSOR_NAME);
    if (dot)
        walk->path[walk->length++] = '.';
    for (size_t i = 0; i < key.size; i++)
        walk->path[walk->length++] = plain(key.data[i]);
    walk->path[walk->length] = '\0';
    return 0;
}

static int add_name(struct walk *walk, pickle_ref tensor, size_t group)
{
    struct torch_names *names = walk->names;
    size_t count = names->count;
    if (count >= LIMIT_ARCHIVE_ENTRIES)
        return err_set(walk->err, ERR_TOO_LARGE, "data.pkl", "the file may name at most %d tensors",
                       LIMIT_ARCHIVE_ENTRIES);
    if ((count & (count - 1)) == 0) {
        size_t room = count ? 2 * count : 1;
        struct torch_name *grown = mem_realloc(names->names, room, sizeof *grown);
        if (!grown)
            return err_set(walk->err, ERR_NOMEM, "data.pkl", "memory ran out for its names");
        names->names = grown;
    }
    struct torch_name *name = &names->names[names->count++];
    *name = (struct torch_name){.tensor = tensor, .group = group};
    memcpy(name->name, walk->path, walk->length + 1);
    return 0;
}

static int walk_member(struct walk *walk, struct pickle_text key, pickle_ref value, size_t group)
{
    size_t length = walk->length;
    enum pickle_kind kind = pickle_kind_of(walk->pickle, value);
    bool wanted = kind == PICKLE_TENSOR || kind == PICKLE_DICT || kind == PICKLE_LIST ||
                  kind == PICKLE_TUPLE || kind == PICKLE_OBJECT;
    if (!wanted)
        return 0;
    int code = path_append(walk, key);
    if (!code)
        code =
            kind == PICKLE_TENSOR ? add_name(walk, value, group) : walk_value(walk, value, group);
    walk->length = length;
    walk->path[length] = '\0';
    return code;
}

static struct pickle_text number_text(char *out, long long number)
{
    int length = snprintf(out, NUMBER_TEXT, "%lld", number);
    return (struct pickle_text){.data = out, .size = (size_t)length};
}

/* The members of a dict by their keys, those of a list by their place. */
static int walk_members(struct walk *walk, pickle_ref container, size_t group)
{
    struct pickle *pickle = walk->pickle;
    bool is_dict = pickle_kind_of(pickle, container) == PICKLE_DICT;
    struct pickle_link member;
    char number[NUMBER_TEXT];
    long long place = 0;
    int code = 0;
    for (uint32_t link = pickle_begin(pickle, container);
         !code && pickle_next(pickle, &link, &member);) {
        struct pickle_text key = pickle_text(pickle, member.key);
        if (!is_dict)
            key = number_text(number, place++);
        else if (pickle_kind_of(pickle, member.key) == PICKLE_INTEGER)
            key = number_text(number, pickle_at(pickle, member.key)->integer);
        code = walk_member(walk, key, member.value, group);
    }
    return code;
}

static bool holds_tensors(struct pickle *pickle, pickle_ref container)
{
    struct pickle_link member;
    for (uint32_t link = pickle_begin(pickle, container); pickle_next(pickle, &link, &member);)
        if (pickle_kind_of(pickle, member.value) == PICKLE_TENSOR)
            return true;
    return false;
}

/* Where the names of a set of weights begin that starts here. */
static size_t group_here(const struct walk *walk)
{
    return walk->length > 0 ? walk->length + 1 : 0;
}

static bool is_among(struct pickle *pickle, pickle_ref list, pickle_ref text)
{
    struct pickle_link member;
    struct pickle_text wanted = pickle_text(pickle, text);
    for (uint32_t link = pickle_begin(pickle, list); pickle_next(pickle, &link, &member);) {
        struct pickle_text name = pickle_text(pickle, member.value);
        if (name.size == wanted.size && memcmp(name.data, wanted.data, name.size) == 0)
            return true;
    }
    return false;
}

/* Buffers that state_dict() leaves out are left out here. */
static int walk_buffers(struct walk *walk, pickle_ref state, size_t group)
{
    struct pickle *pickle = walk->pickle;
    pickle_ref buffers = pickle_get(pickle, state, "_buffers");
    pickle_ref left_out = pickle_get(pickle, state, "_non_persistent_buffers_set");
    struct pickle_link member;
    int code = 0;
    for (uint32_t link = pickle_begin(pickle, buffers);
         !code && pickle_next(pickle, &link, &member);)
        if (!is_among(pickle, left_out, member.key))
            code = walk_member(walk, pickle_text(pickle, member.key), member.value, group);
    return code;
}

static int walk_module(struct walk *walk, pickle_ref object, size_t group)
{
    struct pickle *pickle = walk->pickle;
    pickle_ref state = pickle_at(pickle, object)->first;
    if (!pickle_is_module_state(pickle, state))
        return 0;
    if (group == NO_GROUP)
        group = group_here(walk);
    int code = walk_members(walk, pickle_get(pickle, state, "_parameters"), group);
    if (!code)
        code = walk_buffers(walk, state, group);
    if (!code)
        code = walk_members(walk, pickle_get(pickle, state, "_modules"), group);
    return code;
}

static int walk_container(struct walk *walk, pickle_ref container, size_t group)
{
    /* An optimizer's state has its moments under numbers: nobody's weights. */
    if (pickle_get(walk->pickle, container, "param_groups"))
        return 0;
    if (group == NO_GROUP && holds_tensors(walk->pickle, container))
        group = group_here(walk);
    return walk_members(walk, container, group);
}

static int walk_value(struct walk *walk, pickle_ref ref, size_t group)
{
    if (walk->depth == LIMIT_PICKLE_DEPTH)
        return err_set(walk->err, ERR_FORMAT, "data.pkl",
                       "its modules and dicts nest deeper than %d levels", LIMIT_PICKLE_DEPTH);
    walk->depth++;
    int code = pickle_kind_of(walk->pickle, ref) == PICKLE_OBJECT
                   ? walk_module(walk, ref, group)
                   : walk_container(walk, ref, group);
    walk->depth--;
    return code;
}

int torch_names_find(struct torch_names *out, struct pickle *pickle, struct err *err)
{
    struct torch_names names = {0};
    struct walk walk = {.pickle = pickle, .names = &names, .err = err};
    int code = walk_value(&walk, pickle->root, NO_GROUP);
    if (!code && pickle_exhausted(pickle))
        code = err_set(err, ERR_FORMAT, "data.pkl", "the pickle refers to its own parts too often");
    if (code)
        torch_names_release(&names);
    else
        *out = names;
    return code;
}

void torch_names_release(struct torch_names *names)
{
    mem_free(names->names);
    *names = (struct torch_names){0};
}

static bool same_group(const struct torch_name *a, const struct torch_name *b)
{
    return a->group == b->group && memcmp(a->name, b->name, a->group) == 0;
}

static bool is_weight(struct pickle *pickle, const struct torch_name *name)
{
    pickle_ref arguments = pickle_at(pickle, name->tensor)->first;
    return pickle_at(pickle, pickle_item(pickle, arguments, 2))->size >= 2;
}

/* The next set of weights from *end on; false past the last. */
static bool next_group(const struct torch_names *names, struct pickle *pickle, size_t *first,
                       size_t *end)
{
    bool weighs = false;
    while (!weighs && *end < names->count) {
        *first = *end;
        do
            weighs = is_weight(pickle, &names->names[*end]) || weighs;
        while (++*end < names->count && same_group(&names->names[*first], &names->names[*end]));
    }
    return weighs;
}

/* "ema, model" grows by one name, or by dots where there is no room. */
static void add_choice(char *choices, const char *name, size_t length)
{
    size_t used = strlen(choices);
    const char *comma = used ? ", " : "";
    if (used + length + sizeof ", , .." <= CHOICES_TEXT)
        snprintf(choices + used, CHOICES_TEXT - used, "%s%.*s", comma, (int)length, name);
    else if (choices[used - 1] != '.')
        snprintf(choices + used, CHOICES_TEXT - used, ", ..");
}

/* What the names of the only set of weights begin with. */
static void list_beginnings(char *choices, const struct torch_names *names)
{
    size_t last = 0;
    for (size_t i = 0; i < names->count; i++) {
        const char *name = names->names[i].name;
        size_t length = strcspn(name, ".");
        if (i == 0 || length != last || memcmp(name, names->names[i - 1].name, length) != 0)
            add_choice(choices, name, length);
        last = length;
    }
}

/* out: [CHOICES_TEXT], the names that `weights` may be. */
static void list_choices(char *out, const struct torch_names *names, struct pickle *pickle)
{
    out[0] = '\0';
    for (size_t first = 0, end = 0; next_group(names, pickle, &first, &end);) {
        const struct torch_name *name = &names->names[first];
        if (name->group > 0)
            add_choice(out, name->name, name->group - 1);
    }
    if (!out[0])
        list_beginnings(out, names);
}

static int choose_named(struct torch_names *names, struct pickle *pickle, const char *weights,
                        struct err *err)
{
    char choices[CHOICES_TEXT];
    size_t length = strlen(weights), kept = 0;
    list_choices(choices, names, pickle);
    for (size_t i = 0; i < names->count; i++) {
        const struct torch_name *name = &names->names[i];
        if (strncmp(name->name, weights, length) == 0 && name->name[length] == '.')
            names->names[kept++] = *name;
    }
    names->count = kept;
    if (kept > 0)
        return 0;
    return err_set(err, ERR_INVALID, "/weights",
                   "the file has no tensors of that name; it has those of %s", choices);
}

/* Keeps the names from first up to end, without what leads to their group. */
static void keep(struct torch_names *names, size_t first, size_t end)
{
    for (size_t i = first; i < end; i++) {
        struct torch_name *name = &names->names[i - first];
        *name = names->names[i];
        memmove(name->name, name->name + name->group, strlen(name->name + name->group) + 1);
        name->group = 0;
    }
    names->count = end - first;
}

static int choose_only(struct torch_names *names, struct pickle *pickle, struct err *err)
{
    char choices[CHOICES_TEXT];
    size_t first = 0, end = 0;
    if (!next_group(names, pickle, &first, &end))
        return err_set(err, ERR_FORMAT, "data.pkl",
                       "the file holds no weights: no dict or module in it has a tensor of two "
                       "dimensions");
    size_t other = end, other_end = end;
    if (!next_group(names, pickle, &other, &other_end)) {
        keep(names, first, end);
        return 0;
    }
    list_choices(choices, names, pickle);
    return err_set(err, ERR_INVALID, "/weights",
                   "the file holds several sets of weights; say which in the config, as "
                   "{\"weights\": NAME}, with a name out of %s",
                   choices);
}

int torch_names_choose(struct torch_names *names, struct pickle *pickle, const char *weights,
                       struct err *err)
{
    if (weights && weights[0])
        return choose_named(names, pickle, weights, err);
    return choose_only(names, pickle, err);
}
