/* Python pickles as torch.save writes them, read as data: a small stack machine that builds values
   and never runs, imports or looks up anything. Names outside the list of proto/pickle_global.c are
   refused by name. */
#ifndef PROTO_PICKLE_H
#define PROTO_PICKLE_H

#include "core/base/err.h"
#include "proto/pickle_global.h"

#include <stdint.h>

enum pickle_kind {
    PICKLE_PLAIN,   /* None, floats, bytes, numbers over 64 bits: nothing that is asked for */
    PICKLE_INTEGER, /* booleans, too */
    PICKLE_TEXT,
    PICKLE_TUPLE,
    PICKLE_LIST, /* sets, too */
    PICKLE_DICT,
    PICKLE_GLOBAL,  /* first, last: the texts of module and name; size: 1 if a module's class */
    PICKLE_OBJECT,  /* first: its state, 0 before it has one; last: its class */
    PICKLE_STORAGE, /* first: its persistent id, a tuple */
    PICKLE_TENSOR,  /* first: the arguments that rebuild it, a tuple */
};

/* Values refer to one another by their index; 0 is None. */
typedef uint32_t pickle_ref;

struct pickle_value {
    enum pickle_kind kind;
    uint32_t size;        /* text: bytes; tuple, list, dict: members */
    uint32_t first, last; /* tuple, list, dict: links, 0 for none */
    union {
        int64_t integer;
        const char *text; /* in the pickle */
        const struct pickle_global *global;
    };
};

struct pickle_link {
    pickle_ref key; /* in dicts */
    pickle_ref value;
    uint32_t next; /* 0: the last */
};

struct pickle {
    struct pickle_value *values; /* [count] owned */
    struct pickle_link *links;   /* [link_count] owned; number 0 is none */
    size_t count, link_count;
    pickle_ref root;
    size_t steps; /* links that may still be followed */
};

/* bytes: one whole pickle of protocol 2 to 5, borrowed as long as *out is used. 0; ERR_FORMAT with
   the byte at fault; ERR_TOO_LARGE past LIMIT_PICKLE_BYTES or LIMIT_PICKLE_VALUES; ERR_NOMEM. */
int pickle_read(struct pickle *out, const unsigned char *bytes, size_t size, struct err *err);
void pickle_release(struct pickle *pickle);

const struct pickle_value *pickle_at(const struct pickle *pickle, pickle_ref ref);
enum pickle_kind pickle_kind_of(const struct pickle *pickle, pickle_ref ref);
/* Empty for anything but text. */
struct pickle_text pickle_text(const struct pickle *pickle, pickle_ref ref);

/* Walks the members of a tuple, list or dict (anything else has none): *link starts as
   pickle_begin(..); false past the end, and once the pickle is exhausted. */
uint32_t pickle_begin(const struct pickle *pickle, pickle_ref container);
bool pickle_next(struct pickle *pickle, uint32_t *link, struct pickle_link *member);
/* LIMIT_PICKLE_STEPS links were followed: what was found last is incomplete. */
bool pickle_exhausted(const struct pickle *pickle);
/* A dict's value of that key, a tuple's or list's member i; 0 when there is none. */
pickle_ref pickle_get(struct pickle *pickle, pickle_ref dict, const char *key);
pickle_ref pickle_item(struct pickle *pickle, pickle_ref list, size_t i);
/* A dict with what every torch.nn.Module has. */
bool pickle_is_module_state(struct pickle *pickle, pickle_ref state);

#endif
