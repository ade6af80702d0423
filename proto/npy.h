/* NPY (NEP 1) versions 1 to 3: headers of one- or two-dimensional little-endian numeric arrays. */
#ifndef PROTO_NPY_H
#define PROTO_NPY_H

#include "core/base/buf.h"
#include "core/base/err.h"

#include <stddef.h>
#include <stdint.h>

enum npy_type { NPY_F4, NPY_F8, NPY_I1, NPY_I2, NPY_I4, NPY_I8, NPY_U1, NPY_U2, NPY_U4, NPY_U8 };

struct npy_header {
    enum npy_type type;
    size_t rank; /* 1 to 3 */
    uint64_t shape[3];
    size_t header_size; /* bytes before the data */
    size_t item_size;
};

/* bytes: at least the header (size may be less than the file's). 0, ERR_FORMAT (what is wrong
   and, for object or structured arrays, that only numbers are read; Fortran order is refused by
   name). */
int npy_read_header(struct npy_header *out, const unsigned char *bytes, size_t size,
                    uint64_t file_size, struct err *err);
/* Item i of `data` as a double. */
double npy_item(const unsigned char *data, enum npy_type type, size_t i);
/* Appends a version 1 header for float32 in C order, padded to 64 bytes. */
void npy_write_header(struct buf *out, const uint64_t *shape, size_t rank);

#endif
