/* PyTorch files as torch.save writes them since version 1.6: a zip archive with a pickle that
   describes, and the raw storages beside it. A state_dict, dicts of them, or whole modules. */
#ifndef PROTO_TORCH_FILE_H
#define PROTO_TORCH_FILE_H

#include "core/net/tensor.h"

#include <stdbool.h>

struct torch_block;

struct torch_file {
    struct tensor_table table;  /* data in the blocks */
    struct torch_block *blocks; /* [block_count] owned: storages, and copies in row-major order */
    size_t block_count;
};

/* A zip archive, by its first bytes: what torch_file_read is for. */
bool torch_file_is(const unsigned char *bytes, size_t size);
/* weights: which set of weights, as torch_names_choose takes it; may be NULL. The bytes are not
   needed afterwards. 0; ERR_FORMAT naming the tensor, the byte or the name that is not allowed;
   ERR_INVALID for `weights`; ERR_TOO_LARGE, ERR_NOMEM. */
int torch_file_read(struct torch_file *out, const unsigned char *bytes, size_t size,
                    const char *weights, struct err *err);
void torch_file_release(struct torch_file *file);

#endif
