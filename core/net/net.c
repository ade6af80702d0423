#include "core/net/net.h"

#include "core/base/check.h"
#include "core/base/mem.h"
#include "core/linalg/rng.h"
#include "core/net/time_lanes.h"

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

/* Up to this many rows are computed as rows, more as a tile (measured, tests/bench). */
enum { NET_FEW_ROWS = 8 };

/* Numbers of one row in each of the two buffers between which the layers go to and fro. */
static size_t net_width(const struct net_spec *spec)
{
    size_t width = net_spec_in(spec, 0);
    for (size_t i = 0; i < net_spec_layers(spec); i++) {
        size_t out = net_spec_out(spec, i);
        width = out > width ? out : width;
    }
    return simd_whole_panels(width);
}

size_t net_scratch(const struct net_spec *spec, size_t stride)
{
    size_t floats;
    check(mem_size_mul(2 * net_width(spec), stride, &floats));
    return floats;
}

static size_t net_x_row(const struct net_spec *spec)
{
    return time_spec_before_x(&spec->time) ? time_spec_features(&spec->time) : 0;
}

static size_t net_time_row(const struct net_spec *spec)
{
    return time_spec_before_x(&spec->time) ? 0 : spec->dim;
}

/* One call of net_velocity, with the two buffers it works in. */
struct net_call {
    const struct net *net;
    const float *x, *t;
    float *v;
    float *from, *to;
    struct simd_shape shape;
};

/* The hidden layers; their result stands in call->from. */
static void net_hidden(struct net_call *call, simd_layer_fn *layer, struct simd_shape shape)
{
    const struct net *net = call->net;
    for (size_t i = 0; i < net->spec.hidden_count; i++) {
        layer(call->to, call->from, &net->layers[i], net->spec.activation, shape);
        float *swap = call->from;
        call->from = call->to;
        call->to = swap;
    }
}

static void net_velocity_tile(struct net_call *call, const struct simd_kernels *kernels)
{
    const struct net *net = call->net;
    const struct net_spec *spec = &net->spec;
    struct simd_shape shape = call->shape;
    shape.lanes = simd_whole_lanes(shape.lanes);
    float *x = call->from + net_x_row(spec) * shape.stride;
    for (size_t i = 0; i < spec->dim; i++)
        memcpy(x + i * shape.stride, call->x + i * shape.stride, shape.lanes * sizeof *x);
    time_lanes_embed(call->from + net_time_row(spec) * shape.stride, &spec->time, net->turns,
                     call->t, shape);
    net_hidden(call, kernels->layer, shape);
    kernels->layer(call->v, call->from, &net->layers[spec->hidden_count], ACTIVATION_NONE, shape);
}

/* The time input of row r, from an earlier row that has the same time if there is one. */
static void net_row_time(const struct net_call *call, size_t r, struct simd_shape rows)
{
    const struct time_spec *time = &call->net->spec.time;
    float *features = call->from + net_time_row(&call->net->spec);
    size_t same = 0;
    while (same < r && memcmp(call->t + same, call->t + r, sizeof *call->t) != 0)
        same++;
    if (same < r)
        memcpy(features + r * rows.stride, features + same * rows.stride,
               time_spec_features(time) * sizeof *features);
    else
        time_spec_embed(features + r * rows.stride, time, call->net->turns, (double)call->t[r]);
}

static void net_velocity_rows(struct net_call *call, const struct simd_kernels *kernels)
{
    const struct net_spec *spec = &call->net->spec;
    const size_t stride = call->shape.stride;
    struct simd_shape rows = call->shape;
    rows.stride = net_width(spec);
    for (size_t r = 0; r < rows.lanes; r++) {
        float *x = call->from + r * rows.stride + net_x_row(spec);
        for (size_t i = 0; i < spec->dim; i++)
            x[i] = call->x[i * stride + r];
        net_row_time(call, r, rows);
    }
    net_hidden(call, kernels->rows, rows);
    kernels->rows(call->to, call->from, &call->net->layers[spec->hidden_count], ACTIVATION_NONE,
                  rows);
    for (size_t r = 0; r < rows.lanes; r++) {
        for (size_t i = 0; i < spec->dim; i++)
            call->v[i * stride + r] = call->to[r * rows.stride + i];
    }
}

void net_velocity(const struct net *net, const struct simd_kernels *kernels, float *v,
                  const float *x, const float *t, float *scratch, struct simd_shape shape)
{
    float *other = scratch + net_width(&net->spec) * shape.stride;
    struct net_call call = {net, x, t, v, scratch, other, shape};
    if (shape.lanes <= NET_FEW_ROWS && kernels->rows)
        net_velocity_rows(&call, kernels);
    else
        net_velocity_tile(&call, kernels);
}

/* Fewer lanes share the weights that come from memory, more drive the two buffers out of the cache.
   Between 32 and 256 lanes the speed differs by a few percent as long as they fit (measured), and
   up to twice the cache the kernel's prefetches hide it: a low tile is easier to fill. */
size_t net_tile_lanes(const struct net_spec *spec, size_t cache_bytes)
{
    enum { USUAL = 64, LOW = 32 };
    return net_scratch(spec, USUAL) * sizeof(float) / 2 <= cache_bytes ? USUAL : LOW;
}

bool net_shares(const struct net_spec *spec, size_t lanes)
{
    bool wide = false;
    for (size_t i = 0; i < net_spec_layers(spec); i++)
        wide = wide || net_spec_in(spec, i) * net_spec_out(spec, i) >= SIMD_SHARE;
    return wide && lanes <= NET_FEW_ROWS;
}

double net_cost(const struct net_spec *spec)
{
    double cost = 0;
    for (size_t i = 0; i < net_spec_layers(spec); i++)
        cost += (double)net_spec_in(spec, i) * (double)net_spec_out(spec, i);
    return cost;
}
