/* Row-major float32 matrices over OpenBLAS: the products of training, and the oracle of the tile
   kernels. mat.c is the only file that calls BLAS. */
#ifndef CORE_LINALG_MAT_H
#define CORE_LINALG_MAT_H

#include <stdbool.h>
#include <stddef.h>

/* A borrowed view: element (r, c) is data[r * stride + c]. */
struct mat {
    float *data;
    size_t rows;
    size_t cols;
    size_t stride; /* floats from one row to the next, >= cols */
};

struct mat mat_view(float *data, size_t rows, size_t cols);

/* Sets one BLAS thread and checks a known product. 0, or ERR_INTERNAL when BLAS computes wrong
   results on this machine. Call once before any other thread starts. */
int mat_start(void);

/* c = a b + (accumulate ? c : 0), where a is transposed if ta and b if tb. Shapes are checked.
   Single-threaded; the result depends on the BLAS kernel of this machine. Thread: any. */
void mat_multiply(struct mat c, struct mat a, bool ta, struct mat b, bool tb, bool accumulate);

/* The BLAS build and kernel type, for training records. Static. */
const char *mat_backend(void);

#endif
