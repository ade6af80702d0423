/* The tensors of an unpickled checkpoint under the names that state_dict() gives them, and the
   choice of one set of weights among several. */
#ifndef PROTO_TORCH_NAMES_H
#define PROTO_TORCH_NAMES_H

#include "config/limits.h"
#include "proto/pickle.h"

struct torch_name {
    pickle_ref tensor;
    size_t group; /* bytes of the name that lead to its set of weights: "state_dict." */
    char name[LIMIT_TENSOR_NAME + 1];
};

struct torch_names {
    struct torch_name *names; /* [count] owned; a set of weights is contiguous */
    size_t count;
};

/* All tensors below dicts, lists and modules, but for the state of optimizers. A set of weights is
   the outermost module, dict or list with tensors of its own. 0; ERR_FORMAT, ERR_TOO_LARGE,
   ERR_NOMEM. */
int torch_names_find(struct torch_names *out, struct pickle *pickle, struct err *err);
void torch_names_release(struct torch_names *names);

/* Leaves one set: with `weights`, what stands below that name, under its whole names; without
   (NULL or ""), the only set with a tensor of two dimensions, under the names within it.
   ERR_INVALID names the choices when there are several or `weights` is none; ERR_FORMAT when there
   is none. */
int torch_names_choose(struct torch_names *names, struct pickle *pickle, const char *weights,
                       struct err *err);

#endif
