/* The names that a checkpoint's pickle may mention, and what each is taken for. Nothing is ever
   looked up or run: a name is text, and a call to it makes plain data. */
#ifndef PROTO_PICKLE_GLOBAL_H
#define PROTO_PICKLE_GLOBAL_H

#include "core/net/tensor.h"

#include <stdbool.h>

/* Bytes of the pickle, not terminated. */
struct pickle_text {
    const char *data;
    size_t size;
};

enum pickle_role {
    PICKLE_ROLE_UNLISTED, /* a class, if its instance is seen to be a torch.nn module; else refused
                           */
    PICKLE_ROLE_NAME,     /* stands as a value, is never called: torch.float32 */
    PICKLE_ROLE_RECORD,   /* a class whose instances are names and values */
    PICKLE_ROLE_STORAGE,
    PICKLE_ROLE_TENSOR, /* called with storage, offset, shape and strides */
    PICKLE_ROLE_FIRST,  /* called; what it gives is its first argument: Parameter(tensor, ..) */
    PICKLE_ROLE_DICT,   /* called; gives an empty dict */
    PICKLE_ROLE_PLAIN,  /* called; gives something without tensors: torch.device("cpu") */
};

struct pickle_global {
    const char *module, *name; /* name NULL: every name of the modules that begin so */
    enum pickle_role role;
    enum dtype dtype; /* of a storage, unless other_dtype */
    bool other_dtype; /* integers and such, which no network here has */
};

bool pickle_text_is(struct pickle_text text, const char *word);
/* Never NULL: an entry of its own stands for everything that is not listed. Static. */
const struct pickle_global *pickle_global_find(struct pickle_text module, struct pickle_text name);

#endif
