/* Named tensors: what a checkpoint file holds, between bytes (proto/safetensors) and networks. */
#ifndef CORE_NET_TENSOR_H
#define CORE_NET_TENSOR_H

#include "config/limits.h"
#include "core/base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum dtype { DTYPE_F32, DTYPE_F64, DTYPE_F16, DTYPE_BF16 };

/* "F32" and so on, as safetensors spells them; bytes of one element. */
const char *dtype_name(enum dtype dtype);
size_t dtype_size(enum dtype dtype);

struct tensor {
    char name[LIMIT_TENSOR_NAME + 1];
    enum dtype dtype;
    size_t rank;
    size_t shape[LIMIT_TENSOR_RANK];
    size_t count;              /* product of the shape */
    const unsigned char *data; /* [count * dtype_size], borrowed, little-endian, maybe unaligned */
};

/* Released by its owner; the tensors' data is borrowed from whoever filled it. */
struct tensor_table {
    struct tensor *tensors; /* [count] owned */
    size_t count;
};

void tensor_table_release(struct tensor_table *table);
/* NULL when there is none of that name. */
const struct tensor *tensor_table_find(const struct tensor_table *table, const char *name);
/* Appends one. 0 or ERR_NOMEM, ERR_TOO_LARGE past LIMIT_TENSORS. */
int tensor_table_add(struct tensor_table *table, const struct tensor *tensor);

/* Keeps the tensors named PREFIX.REST, under the name REST; false when there is none. */
bool tensor_table_narrow(struct tensor_table *table, const char *prefix);

/* Converts to float32. 0, ERR_FORMAT naming the tensor when a value is not finite or |w| exceeds
   LIMIT_WEIGHT. out: [tensor->count]. */
int tensor_read(const struct tensor *tensor, float *out, struct err *err);

#endif
