/* The flow matching loss of a batch (Lipman et al. 2023, "Flow matching for generative modeling",
   equation 9) and its gradient. */
#ifndef CORE_TRAIN_LOSS_H
#define CORE_TRAIN_LOSS_H

#include "core/net/spec.h"
#include "core/train/batch.h"

/* Scratch; out: [batch size, dim], cache: [backprop_cache(spec, batch size)]. */
struct loss_scratch {
    float *out;
    float *cache;
};

/* mean over rows and dimensions of (u(x, t) - v)^2. */
double loss_value(const struct net_spec *spec, const float *params, const struct batch *batch,
                  const struct loss_scratch *scratch);
/* The same; grad: [parameters] is overwritten with its gradient. */
double loss_gradient(float *grad, const struct net_spec *spec, const float *params,
                     const struct batch *batch, const struct loss_scratch *scratch);

#endif
