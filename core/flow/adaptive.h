/* The steps of a tile under an embedded pair: tile.c calls these. Every row has its own error norm,
   the root mean square over the dimensions of error / (atol + rtol max(|x|, |next x|)), and from it
   its own step; torchdiffeq, torchdyn and zuko take one norm over the batch, so that there a sample
   depends on its neighbours. */
#ifndef CORE_FLOW_ADAPTIVE_H
#define CORE_FLOW_ADAPTIVE_H

#include "core/flow/tile.h"

/* A lane that was just added, at grid->times[0]. */
void adaptive_begin(struct tile *tile, size_t lane);
/* lanes: as in struct simd_shape. */
void adaptive_step(struct tile *tile, struct simd_shape shape);
/* See tile.h. */
void adaptive_get(const struct tile *tile, size_t lane, size_t step, float *out);
size_t adaptive_state_floats(size_t dim, const struct tableau *tableau);
void adaptive_save(const struct tile *tile, size_t lane, float *state);
void adaptive_restore(struct tile *tile, size_t lane, const float *state);

#endif
