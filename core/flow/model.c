#include "core/flow/model.h"

#include "core/base/check.h"

#include <string.h>

static const char *const prediction_names[] = {
    [PREDICTION_VELOCITY] = "velocity",
};

enum { PREDICTION_COUNT = sizeof prediction_names / sizeof prediction_names[0] };

const char *prediction_name(enum prediction prediction)
{
    check((size_t)prediction < PREDICTION_COUNT);
    return prediction_names[prediction];
}

bool prediction_find(const char *name, enum prediction *out)
{
    for (size_t i = 0; i < PREDICTION_COUNT; i++) {
        if (strcmp(prediction_names[i], name) == 0) {
            *out = (enum prediction)i;
            return true;
        }
    }
    return false;
}

void model_release(struct model *model)
{
    net_release(&model->net);
    *model = (struct model){0};
}

static void model_velocity(const void *self, const struct simd_kernels *kernels, float *v,
                           const float *x, const float *t, float *scratch, struct simd_shape shape)
{
    const struct model *model = self;
    net_velocity(&model->net, kernels, v, x, t, scratch, shape);
}

static size_t model_scratch(const void *self, size_t stride)
{
    const struct model *model = self;
    return net_scratch(&model->net.spec, stride);
}

static void model_velocity_reversed(const void *self, const struct simd_kernels *kernels, float *v,
                                    const float *x, const float *t, float *scratch,
                                    struct simd_shape shape)
{
    const struct model *model = self;
    float *reversed = scratch; /* [stride] */
    for (size_t r = 0; r < shape.lanes; r++)
        reversed[r] = 1.0f - t[r];
    net_velocity(&model->net, kernels, v, x, reversed, scratch + shape.stride, shape);
    for (size_t i = 0; i < model->net.spec.dim; i++)
        for (size_t r = 0; r < shape.lanes; r++)
            v[i * shape.stride + r] = -v[i * shape.stride + r];
}

static size_t model_scratch_reversed(const void *self, size_t stride)
{
    return stride + model_scratch(self, stride);
}

struct field model_field(const struct model *model)
{
    bool reversed = model->spec.noise_at == 1;
    return (struct field){
        .dim = model->net.spec.dim,
        .velocity = reversed ? model_velocity_reversed : model_velocity,
        .scratch = reversed ? model_scratch_reversed : model_scratch,
        .self = model,
    };
}
