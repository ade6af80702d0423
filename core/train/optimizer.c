#include "core/train/optimizer.h"

#include "core/linalg/rng.h"

#include <math.h>

enum { NORM_LANES = 8 };

double optimizer_norm(const float *grad, size_t count)
{
    double sums[NORM_LANES] = {0};
    double sum = 0.0;
    size_t whole = count - count % NORM_LANES;
    for (size_t i = 0; i < whole; i += NORM_LANES)
        for (size_t j = 0; j < NORM_LANES; j++)
            sums[j] += (double)grad[i + j] * (double)grad[i + j];
    for (size_t i = whole; i < count; i++)
        sum += (double)grad[i] * (double)grad[i];
    for (size_t j = 0; j < NORM_LANES; j++)
        sum += sums[j];
    return sqrt(sum);
}

double optimizer_learning_rate(const struct optimizer_spec *spec, uint64_t step, uint64_t steps)
{
    double sine, cosine;
    if (step < spec->warmup)
        return spec->learning_rate * (double)(step + 1) / (double)spec->warmup;
    if (step >= steps)
        return spec->learning_rate * spec->final_ratio;
    double done = (double)(step - spec->warmup) / (double)(steps - spec->warmup);
    rng_sincos_turns(0.5 * done, &sine, &cosine);
    double ratio = spec->final_ratio + (1.0 - spec->final_ratio) * 0.5 * (1.0 + cosine);
    return spec->learning_rate * ratio;
}

double optimizer_ema_decay(double decay, uint64_t step)
{
    double warm = (1.0 + (double)step) / (10.0 + (double)step);
    return decay < warm ? decay : warm;
}

/* The numbers of one AdamW update, rounded once. */
struct adamw {
    float scale; /* of the gradient: clipping */
    float beta1, beta2;
    float keep1, keep2; /* 1 - beta */
    float step_size;    /* learning rate / (1 - beta1^n) */
    float root_bias;    /* sqrt(1 - beta2^n) */
    float epsilon;
    float keep_weight; /* 1 - learning rate * weight decay */
};

static struct adamw adamw_of(const struct optimizer_spec *spec, double learning_rate, uint64_t step,
                             double norm)
{
    double n = (double)step + 1.0;
    double clip = spec->clip > 0.0 ? spec->clip / (norm + 1e-6) : 1.0;
    return (struct adamw){
        .scale = (float)(clip < 1.0 ? clip : 1.0),
        .beta1 = (float)spec->beta1,
        .beta2 = (float)spec->beta2,
        .keep1 = (float)(1.0 - spec->beta1),
        .keep2 = (float)(1.0 - spec->beta2),
        .step_size = (float)(learning_rate / (1.0 - pow(spec->beta1, n))),
        .root_bias = (float)sqrt(1.0 - pow(spec->beta2, n)),
        .epsilon = (float)spec->epsilon,
        .keep_weight = (float)(1.0 - learning_rate * spec->weight_decay),
    };
}

static void adamw_apply(float *restrict params, float *restrict m, float *restrict v,
                        const float *restrict grad, size_t count, struct adamw step)
{
    for (size_t i = 0; i < count; i++) {
        float g = grad[i] * step.scale;
        m[i] = m[i] * step.beta1 + g * step.keep1;
        v[i] = v[i] * step.beta2 + g * g * step.keep2;
        float size = sqrtf(v[i]) / step.root_bias + step.epsilon;
        params[i] = params[i] * step.keep_weight - step.step_size * m[i] / size;
    }
}

static void ema_apply(float *restrict ema, const float *restrict params, size_t count, float keep)
{
    float take = 1.0f - keep;
    for (size_t i = 0; i < count; i++)
        ema[i] = ema[i] * keep + params[i] * take;
}

void optimizer_update(const struct optimizer_state *state, const float *grad,
                      const struct train_spec *spec, uint64_t step, double norm)
{
    double rate = optimizer_learning_rate(&spec->optimizer, step, spec->steps);
    const struct adamw weights = adamw_of(&spec->optimizer, rate, step, norm);
    struct adamw biases = weights;
    biases.keep_weight = 1.0f;
    for (size_t layer = 0; layer < net_spec_layers(&spec->net); layer++) {
        size_t at = net_spec_weight_offset(&spec->net, layer);
        size_t bias = net_spec_bias_offset(&spec->net, layer);
        adamw_apply(state->params + at, state->m + at, state->v + at, grad + at, bias - at,
                    weights);
        adamw_apply(state->params + bias, state->m + bias, state->v + bias, grad + bias,
                    net_spec_out(&spec->net, layer), biases);
    }
    if (state->ema)
        ema_apply(state->ema, state->params, net_spec_parameters(&spec->net),
                  (float)optimizer_ema_decay(spec->ema_decay, step));
}
