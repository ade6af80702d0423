#include "core/flow/model.h"

#include "core/base/check.h"

void model_spec_init(struct model_spec *spec)
{
    *spec = (struct model_spec){.prediction = PREDICTION_VELOCITY, .clamp = MODEL_CLAMP};
}

int model_spec_copy(struct model_spec *to, const struct model_spec *from)
{
    struct model_spec copy = *from;
    int code = path_copy(&copy.path, &from->path);
    if (!code)
        *to = copy;
    return code;
}

void model_spec_release(struct model_spec *spec)
{
    path_release(&spec->path);
}

void model_release(struct model *model)
{
    net_release(&model->net);
    model_spec_release(&model->spec);
    *model = (struct model){0};
}

static void model_own_velocity(const void *self, const struct simd_kernels *kernels, float *v,
                         const float *x, const float *t, float *scratch, struct simd_shape shape)
{
    const struct model *model = self;
    net_velocity(&model->net, kernels, v, x, t, scratch, shape);
}

static size_t model_own_scratch(const void *self, size_t stride)
{
    const struct model *model = self;
    return net_scratch(&model->net.spec, stride);
}

/* Where the conversions stand in scratch, each [stride], before what the network needs. */
struct model_lanes {
    float *times; /* the network's own */
    float *of_x, *of_net;
    float *net;
};

static struct model_lanes model_lanes(float *scratch, size_t stride)
{
    return (struct model_lanes){scratch, scratch + stride, scratch + 2 * stride,
                                scratch + 3 * stride};
}

static size_t model_converted_scratch(const void *self, size_t stride)
{
    return 3 * stride + model_own_scratch(self, stride);
}

/* A velocity that was learnt against our time changes its sign. */
static void model_prepare(const struct model *model, enum prediction output,
                          struct model_lanes to, const float *t, size_t lanes)
{
    const struct model_spec *spec = &model->spec;
    struct prediction_map map =
        prediction_map_of(&spec->path, spec->prediction, output, spec->clamp);
    for (size_t r = 0; r < lanes; r++)
        to.times[r] = prediction_map_time(&map, t[r]);
    prediction_map_mixes(&map, to.of_x, to.of_net, to.times, lanes);
    if (spec->noise_at == 0)
        return;
    for (size_t r = 0; r < lanes; r++) {
        to.times[r] = 1.0f - to.times[r];
        if (spec->prediction == PREDICTION_VELOCITY)
            to.of_net[r] = -to.of_net[r];
    }
}

/* The network's prediction as NAME. */
#define MODEL_OUTPUT(NAME, OUTPUT)                                                                 \
    static void NAME(const void *self, const struct simd_kernels *kernels, float *v,               \
                     const float *x, const float *t, float *scratch, struct simd_shape shape)      \
    {                                                                                              \
        const struct model *model = self;                                                          \
        struct model_lanes lanes = model_lanes(scratch, shape.stride);                             \
        model_prepare(model, OUTPUT, lanes, t, shape.lanes);                                       \
        net_velocity(&model->net, kernels, v, x, lanes.times, lanes.net, shape);                   \
        prediction_apply(v, x, (struct prediction_mixes){lanes.of_x, lanes.of_net},                \
                         model->net.spec.dim, shape);                                              \
    }

MODEL_OUTPUT(model_velocity, PREDICTION_VELOCITY)
MODEL_OUTPUT(model_data, PREDICTION_DATA)
MODEL_OUTPUT(model_noise, PREDICTION_NOISE)
MODEL_OUTPUT(model_score, PREDICTION_SCORE)
#undef MODEL_OUTPUT

static void (*const model_outputs[PREDICTION_COUNT])(const void *, const struct simd_kernels *,
                                                     float *, const float *, const float *,
                                                     float *, struct simd_shape) = {
    [PREDICTION_VELOCITY] = model_velocity,
    [PREDICTION_DATA] = model_data,
    [PREDICTION_NOISE] = model_noise,
    [PREDICTION_SCORE] = model_score,
};

struct field model_output(const struct model *model, enum prediction output)
{
    bool direct = model->spec.prediction == output && model->spec.noise_at == 0;
    check((unsigned)output < PREDICTION_COUNT);
    return (struct field){
        .dim = model->net.spec.dim,
        .velocity = direct ? model_own_velocity : model_outputs[output],
        .scratch = direct ? model_own_scratch : model_converted_scratch,
        .self = model,
    };
}

struct field model_field(const struct model *model)
{
    return model_output(model, PREDICTION_VELOCITY);
}
