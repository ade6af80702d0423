/* safetensors: bytes <-> named tensors. Every byte of the file is accounted for before a tensor is
   trusted; the checks and their order are in the .c. */
#ifndef PROTO_SAFETENSORS_H
#define PROTO_SAFETENSORS_H

#include "core/base/buf.h"
#include "core/net/tensor.h"

struct safetensors {
    struct tensor_table table; /* data borrowed from the bytes read */
    char *advect;              /* __metadata__["advect"], NUL-terminated, or NULL; owned */
};

/* bytes: the whole file, borrowed as long as the table is used. 0, or ERR_FORMAT naming the
   tensor or the header's place; ERR_NOMEM. */
int safetensors_read(struct safetensors *out, const unsigned char *bytes, size_t size,
                     struct err *err);
void safetensors_release(struct safetensors *file);

/* Appends a complete file; advect may be NULL. Tensors are written in the order of the table.
   The header is padded with spaces so that data starts at a multiple of 8. 0, ERR_NOMEM,
   ERR_TOO_LARGE. */
int safetensors_write(struct buf *out, const struct tensor_table *table, const char *advect);

#endif
