#include "core/train/loss.h"

#include "core/net/backprop.h"

#include <string.h>

double loss_value(const struct net_spec *spec, const float *params, const struct batch *batch,
                  const struct loss_scratch *scratch)
{
    size_t count = batch->size * spec->dim;
    double sum = 0.0;
    backprop_forward(scratch->out, scratch->cache, spec, params, batch->x, batch->t, batch->size);
    for (size_t i = 0; i < count; i++) {
        double away = (double)scratch->out[i] - (double)batch->v[i];
        sum += away * away;
    }
    return sum / (double)count;
}

double loss_gradient(float *grad, const struct net_spec *spec, const float *params,
                     const struct batch *batch, const struct loss_scratch *scratch)
{
    size_t count = batch->size * spec->dim;
    double loss = loss_value(spec, params, batch, scratch);
    float factor = 2.0f / (float)count;
    for (size_t i = 0; i < count; i++)
        scratch->out[i] = factor * (scratch->out[i] - batch->v[i]);
    memset(grad, 0, net_spec_parameters(spec) * sizeof *grad);
    backprop_backward(grad, NULL, scratch->cache, spec, params, scratch->out, batch->size);
    return loss;
}
