/* AdamW with a clipped gradient, a learning rate that warms up and decays, and the moving average
   of the weights. Loshchilov and Hutter 2019, "Decoupled weight decay regularization"; the update
   and the clipping are PyTorch's. Reproducible to the bit on one machine. */
#ifndef CORE_TRAIN_OPTIMIZER_H
#define CORE_TRAIN_OPTIMIZER_H

#include "core/train/spec.h"

/* What one update reads and writes; all arrays: [parameters of net], borrowed. */
struct optimizer_state {
    float *params;
    float *m;   /* first moment */
    float *v;   /* second moment */
    float *ema; /* NULL: none */
};

/* Global L2 norm, summed in double in a fixed order; not finite where a gradient is not. */
double optimizer_norm(const float *grad, size_t count);
/* Linear warm-up over spec->warmup steps, then half a cosine down to final_ratio at `steps`.
   step: 0 for the first update. */
double optimizer_learning_rate(const struct optimizer_spec *spec, uint64_t step, uint64_t steps);
/* min(decay, (1 + n) / (10 + n)) for the n-th update, n from 0. */
double optimizer_ema_decay(double decay, uint64_t step);

/* Update number `step` (from 0) with the gradient whose norm is given; decay works on weight
   matrices only. */
void optimizer_update(const struct optimizer_state *state, const float *grad,
                      const struct train_spec *spec, uint64_t step, double norm);

#endif
