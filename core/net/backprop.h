/* Forward and backward passes for training: row-major batches over BLAS. Free functions on raw
   pointers, outputs first; backward accumulates. */
#ifndef CORE_NET_BACKPROP_H
#define CORE_NET_BACKPROP_H

#include "core/net/spec.h"

/* Floats of `cache` for that many rows (1..LIMIT_BATCH), aligned to MEM_ALIGN by its owner; the
   same cache goes from forward to backward. */
size_t backprop_cache(const struct net_spec *spec, size_t rows);

/* out: [rows, dim]; params: flat; x: [rows, dim]; t: [rows] unscaled. Thread: any, own cache. */
void backprop_forward(float *out, float *cache, const struct net_spec *spec, const float *params,
                      const float *x, const float *t, size_t rows);

/* dparams: [parameters], accumulated; dx: [rows, dim] overwritten, or NULL; dout: [rows, dim]. Uses
   and destroys the cache of the forward pass over the same rows. */
void backprop_backward(float *dparams, float *dx, float *cache, const struct net_spec *spec,
                       const float *params, const float *dout, size_t rows);

#endif
