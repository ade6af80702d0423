#include "core/net/net.h"

#include "core/base/check.h"
#include "core/base/mem.h"
#include "core/linalg/rng.h"

#include <math.h>
#include <string.h>

int net_init(struct net *net, const struct net_spec *spec, struct err *err)
{
    *net = (struct net){0};
    int code = net_spec_check(spec, err);
    if (code)
        return code;
    float *params = mem_aligned(net_spec_parameters(spec), sizeof *params);
    if (!params)
        return err_set(err, ERR_NOMEM, "", "Memory ran out for the weights of the network.");
    net->spec = *spec;
    net->params = params;
    net->param_count = net_spec_parameters(spec);
    time_spec_turns(&spec->time, net->turns);
    return 0;
}

static void net_release_layers(struct net *net)
{
    for (size_t i = 0; i <= LIMIT_LAYERS; i++)
        simd_layer_release(&net->layers[i]);
}

void net_release(struct net *net)
{
    net_release_layers(net);
    mem_free(net->params);
    *net = (struct net){0};
}

void net_randomize(float *params, const struct net_spec *spec, uint64_t seed)
{
    const struct rng_key key = {.seed = seed, .stream = RNG_INIT};
    for (size_t layer = 0; layer < net_spec_layers(spec); layer++) {
        size_t in = net_spec_in(spec, layer);
        size_t count = (in + 1) * net_spec_out(spec, layer);
        float *values = params + net_spec_weight_offset(spec, layer);
        float bound = 1 / sqrtf((float)in);
        rng_uniform(key, layer, 0, values, count);
        for (size_t i = 0; i < count; i++)
            values[i] = (2 * values[i] - 1) * bound;
    }
}

int net_pack(struct net *net)
{
    const struct net_spec *spec = &net->spec;
    net_release_layers(net);
    for (size_t i = 0; i < net_spec_layers(spec); i++) {
        int code = simd_layer_init(&net->layers[i], net->params + net_spec_weight_offset(spec, i),
                                   net->params + net_spec_bias_offset(spec, i),
                                   net_spec_in(spec, i), net_spec_out(spec, i));
        if (code) {
            net_release_layers(net);
            return code;
        }
    }
    return 0;
}

/* Rows of each of the two buffers between which the layers go to and fro. */
static size_t net_rows(const struct net_spec *spec)
{
    size_t rows = net_spec_in(spec, 0);
    for (size_t i = 0; i < net_spec_layers(spec); i++) {
        size_t out = net_spec_out(spec, i);
        rows = out > rows ? out : rows;
    }
    return simd_whole_outputs(rows);
}

size_t net_scratch(const struct net_spec *spec, size_t stride)
{
    size_t floats;
    check(mem_size_mul(2 * net_rows(spec), stride, &floats));
    return floats;
}

static void copy_rows(float *to, const float *from, size_t rows, struct simd_shape shape)
{
    for (size_t i = 0; i < rows; i++)
        memcpy(to + i * shape.stride, from + i * shape.stride, shape.lanes * sizeof *to);
}

/* Lanes of the same t stand side by side more often than not: an embedding is computed once for
   each run of them. */
static void write_time(float *to, const struct net *net, const float *t, struct simd_shape shape)
{
    float features[2 * LIMIT_TIME_FREQUENCIES];
    size_t count = time_spec_features(&net->spec.time);
    for (size_t lane = 0, end; lane < shape.lanes; lane = end) {
        end = lane + 1;
        while (end < shape.lanes && memcmp(t + end, t + lane, sizeof *t) == 0)
            end++;
        time_spec_embed(features, &net->spec.time, net->turns, (double)t[lane]);
        for (size_t i = 0; i < count; i++) {
            for (size_t r = lane; r < end; r++)
                to[i * shape.stride + r] = features[i];
        }
    }
}

static void write_input(float *to, const struct net *net, const float *x, const float *t,
                        struct simd_shape shape)
{
    const struct net_spec *spec = &net->spec;
    bool before_x = time_spec_before_x(&spec->time);
    size_t x_row = before_x ? time_spec_features(&spec->time) : 0;
    size_t time_row = before_x ? 0 : spec->dim;
    copy_rows(to + x_row * shape.stride, x, spec->dim, shape);
    write_time(to + time_row * shape.stride, net, t, shape);
}

void net_velocity(const struct net *net, const struct simd_kernels *kernels, float *v,
                  const float *x, const float *t, float *scratch, struct simd_shape shape)
{
    const struct net_spec *spec = &net->spec;
    size_t last = spec->hidden_count;
    float *from = scratch;
    float *to = scratch + net_rows(spec) * shape.stride;
    write_input(from, net, x, t, shape);
    for (size_t i = 0; i < last; i++) {
        kernels->layer(to, from, &net->layers[i], spec->activation, shape);
        float *swap = from;
        from = to;
        to = swap;
    }
    /* The kernel writes whole blocks of outputs, and v has room for dim rows only. */
    bool direct = spec->dim % SIMD_OUTPUTS == 0;
    kernels->layer(direct ? v : to, from, &net->layers[last], ACTIVATION_NONE, shape);
    if (!direct)
        copy_rows(v, to, spec->dim, shape);
}

double net_cost(const struct net_spec *spec)
{
    double cost = 0;
    for (size_t i = 0; i < net_spec_layers(spec); i++)
        cost += (double)net_spec_in(spec, i) * (double)net_spec_out(spec, i);
    return cost;
}
