/* A velocity field at given points, outside any solve. */
#ifndef CORE_FLOW_EVALUATE_H
#define CORE_FLOW_EVALUATE_H

#include "core/flow/tile.h"

/* v[i] = u(x[i], t[i]). v, x: [count, dim] row-major; t: [count]. Tiles are allocated and freed
   here. 0 or ERR_NOMEM. Thread: any. */
int evaluate_field(float *v, struct field field, const struct simd_kernels *kernels, const float *x,
                   const float *t, size_t count);

#endif
