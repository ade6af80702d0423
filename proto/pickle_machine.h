/* The stack machine of proto/pickle_read.c: its stack and memo, and the values that it makes. Every
   function that can fail returns 0 or the code that it has put into m->err with the place. */
#ifndef PROTO_PICKLE_MACHINE_H
#define PROTO_PICKLE_MACHINE_H

#include "proto/pickle.h"

#define MACHINE_MARK UINT32_MAX /* on the stack, between references */

struct machine_list {
    uint32_t *items; /* [count] owned */
    size_t count, capacity;
};

/* Starts zeroed but for pickle, start, at, end and err. */
struct machine {
    struct pickle *pickle;                 /* borrowed, grows */
    const unsigned char *start, *at, *end; /* of the bytes that are read */
    unsigned argument;                     /* of the opcode that runs */
    struct machine_list stack, memo;
    size_t value_capacity, link_capacity;
    struct err *err;
};

/* Makes None and no link, which are number 0. */
int machine_start(struct machine *m);
/* Frees stack and memo; the pickle stays. */
void machine_end(struct machine *m);

int machine_malformed(struct machine *m, const char *message);
/* "os.system is not allowed .." */
int machine_refuse(struct machine *m, pickle_ref global);

/* The next bytes, borrowed. */
int machine_take(struct machine *m, uint64_t size, const unsigned char **out);
/* An unsigned number of up to eight bytes, little-endian. */
int machine_number(struct machine *m, unsigned size, uint64_t *out);

int machine_add(struct machine *m, struct pickle_value value, pickle_ref *ref);
int machine_list_push(struct machine *m, struct machine_list *list, uint32_t item);
int machine_push(struct machine *m, pickle_ref value);
int machine_push_new(struct machine *m, struct pickle_value value);
int machine_pop(struct machine *m, pickle_ref *out);
/* The value just below that position of the stack, which stays. */
int machine_below(struct machine *m, size_t position, pickle_ref *out);
/* The same of a list or dict that is to be filled. */
int machine_container_below(struct machine *m, size_t position, enum pickle_kind kind,
                            pickle_ref *out);
/* The position above the last mark. */
int machine_find_mark(struct machine *m, size_t *first);
/* key: 0 but in dicts. */
int machine_add_member(struct machine *m, pickle_ref container, pickle_ref key, pickle_ref value);
/* All values from that position of the stack on into a tuple or a list. */
int machine_move_members(struct machine *m, size_t first, pickle_ref container);

#endif
