#include "core/net/backprop.h"

#include "core/base/check.h"
#include "core/linalg/mat.h"
#include "core/linalg/simd.h"

#include <string.h>

/* Where things stand in the cache, in floats; each piece begins at a vector's boundary. */
struct cache_map {
    size_t in[LIMIT_LAYERS + 1];    /* [rows, in] of each layer */
    size_t slope[LIMIT_LAYERS + 1]; /* [rows, out] of each hidden layer: f'(z) */
    size_t delta[2];                /* [rows, widest]: gradients of two neighbouring layers */
    size_t total;
};

static size_t cache_take(struct cache_map *map, size_t rows, size_t cols)
{
    size_t at = map->total;
    map->total += simd_whole_lanes(rows * cols);
    return at;
}

static struct cache_map cache_layout(const struct net_spec *spec, size_t rows)
{
    struct cache_map map = {.total = 0};
    size_t layers = net_spec_layers(spec);
    size_t widest = 0;
    check(rows > 0 && rows <= LIMIT_BATCH);
    for (size_t i = 0; i < layers; i++) {
        size_t in = net_spec_in(spec, i);
        widest = in > widest ? in : widest;
        map.in[i] = cache_take(&map, rows, in);
        if (i + 1 < layers)
            map.slope[i] = cache_take(&map, rows, net_spec_out(spec, i));
    }
    for (size_t i = 0; i < 2; i++)
        map.delta[i] = cache_take(&map, rows, widest);
    return map;
}

size_t backprop_cache(const struct net_spec *spec, size_t rows)
{
    return cache_layout(spec, rows).total;
}

/* mat views carry no const; what is passed here is only read. */
static struct mat mat_of(const float *data, size_t rows, size_t cols)
{
    return mat_view((float *)data, rows, cols);
}

static struct mat weight_of(const struct net_spec *spec, const float *params, size_t layer)
{
    return mat_of(params + net_spec_weight_offset(spec, layer), net_spec_out(spec, layer),
                  net_spec_in(spec, layer));
}

/* Each row: time features and x, in the order that the network wants. */
static void write_input(float *in, const struct net_spec *spec, const float *x, const float *t,
                        size_t rows)
{
    double turns[LIMIT_TIME_FREQUENCIES];
    size_t features = time_spec_features(&spec->time);
    bool before_x = time_spec_before_x(&spec->time);
    size_t time_at = before_x ? 0 : spec->dim;
    size_t x_at = before_x ? features : 0;
    time_spec_turns(&spec->time, turns);
    for (size_t r = 0; r < rows; r++) {
        time_spec_embed(in + time_at, &spec->time, turns, (double)t[r]);
        memcpy(in + x_at, x + r * spec->dim, spec->dim * sizeof *x);
        in += features + spec->dim;
    }
}

/* z = in W^T + b. */
static void layer_forward(float *z, const float *in, const struct net_spec *spec,
                          const float *params, size_t layer, size_t rows)
{
    struct mat weight = weight_of(spec, params, layer);
    const float *bias = params + net_spec_bias_offset(spec, layer);
    for (size_t r = 0; r < rows; r++)
        memcpy(z + r * weight.rows, bias, weight.rows * sizeof *z);
    mat_multiply(mat_view(z, rows, weight.rows), mat_of(in, rows, weight.cols), false, weight, true,
                 true);
}

void backprop_forward(float *out, float *cache, const struct net_spec *spec, const float *params,
                      const float *x, const float *t, size_t rows)
{
    const struct simd_kernels *kernels = simd_select(NULL);
    const struct cache_map map = cache_layout(spec, rows);
    size_t last = net_spec_layers(spec) - 1;
    write_input(cache + map.in[0], spec, x, t, rows);
    for (size_t i = 0; i < last; i++) {
        float *z = cache + map.slope[i];
        layer_forward(z, cache + map.in[i], spec, params, i, rows);
        kernels->activate(cache + map.in[i + 1], z, spec->activation,
                          simd_whole_lanes(rows * net_spec_out(spec, i)));
    }
    layer_forward(out, cache + map.in[last], spec, params, last, rows);
}

static void add(float *restrict sums, const float *restrict values, size_t count)
{
    for (size_t i = 0; i < count; i++)
        sums[i] += values[i];
}

/* Adds the gradients of a layer's weight and bias. delta: [rows, out], the gradient at z. */
static void layer_gradient(float *dparams, const float *delta, const float *in,
                           const struct net_spec *spec, size_t layer, size_t rows)
{
    size_t cols = net_spec_out(spec, layer);
    struct mat dweight = weight_of(spec, dparams, layer);
    float *dbias = dparams + net_spec_bias_offset(spec, layer);
    mat_multiply(dweight, mat_of(delta, rows, cols), true, mat_of(in, rows, dweight.cols), false,
                 true);
    for (size_t r = 0; r < rows; r++)
        add(dbias, delta + r * cols, cols);
}

/* The gradient at a layer's input: [rows, in] = delta W. */
static void layer_backward(float *din, const float *delta, const struct net_spec *spec,
                           const float *params, size_t layer, size_t rows)
{
    struct mat weight = weight_of(spec, params, layer);
    mat_multiply(mat_view(din, rows, weight.cols), mat_of(delta, rows, weight.rows), false, weight,
                 false, false);
}

static void multiply(float *restrict values, const float *restrict by, size_t count)
{
    for (size_t i = 0; i < count; i++)
        values[i] *= by[i];
}

static void take_dx(float *dx, const float *din, const struct net_spec *spec, size_t rows)
{
    size_t features = time_spec_features(&spec->time);
    size_t x_at = time_spec_before_x(&spec->time) ? features : 0;
    for (size_t r = 0; r < rows; r++)
        memcpy(dx + r * spec->dim, din + r * (features + spec->dim) + x_at, spec->dim * sizeof *dx);
}

void backprop_backward(float *dparams, float *dx, float *cache, const struct net_spec *spec,
                       const float *params, const float *dout, size_t rows)
{
    const struct cache_map map = cache_layout(spec, rows);
    const float *delta = dout;
    for (size_t i = net_spec_layers(spec); i-- > 0;) {
        float *din = cache + map.delta[i % 2];
        layer_gradient(dparams, delta, cache + map.in[i], spec, i, rows);
        if (i == 0 && !dx)
            return;
        layer_backward(din, delta, spec, params, i, rows);
        if (i > 0)
            multiply(din, cache + map.slope[i - 1], rows * net_spec_in(spec, i));
        delta = din;
    }
    take_dx(dx, delta, spec, rows);
}
