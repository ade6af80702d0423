/* Prints a digest of all that must have the same bits on every processor, a line each: VARIANT WHAT
   DIGEST. test_neon.py builds it for two processors and compares. */
#include "core/base/check.h"
#include "core/base/mem.h"
#include "core/flow/analytic.h"
#include "core/flow/evaluate.h"
#include "core/flow/model.h"
#include "core/flow/schedule.h"
#include "core/linalg/rng.h"
#include "core/linalg/self_test.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum { LANES = 112, ROWS = 40, DIM = 5, COUNT = 4096 };

static void say(const char *variant, const char *what, const char *detail, uint64_t digest)
{
    printf("%s %s%s%s %016" PRIx64 "\n", variant, what, detail[0] ? ":" : "", detail, digest);
}

static uint64_t doubles(uint64_t digest, const double *values, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        float halves[2];
        memcpy(halves, values + i, sizeof halves);
        digest = self_test_digest(digest, halves, 2);
    }
    return digest;
}

static float *noise(size_t count, uint64_t seed)
{
    float *array = mem_aligned(count, sizeof *array);
    check(array);
    rng_normal((struct rng_key){.seed = seed}, 0, 0, array, count);
    return array;
}

static void say_noise(void)
{
    static float values[COUNT];
    struct rng_key key = {.seed = UINT64_C(1) << 63 | 7, .stream = RNG_WIENER, .step = 9};
    uint64_t normal = SELF_TEST_BEGIN, uniform = SELF_TEST_BEGIN, below = SELF_TEST_BEGIN;
    for (uint64_t row = 0; row < 16; row++) {
        rng_normal(key, row << 30, 0, values, COUNT);
        normal = self_test_digest(normal, values, COUNT);
        rng_uniform(key, row, 8, values, COUNT);
        uniform = self_test_digest(uniform, values, COUNT);
        values[0] = (float)rng_below(key, row, 1000003);
        below = self_test_digest(below, values, 1);
    }
    say("any", "noise", "normal", normal);
    say("any", "noise", "uniform", uniform);
    say("any", "noise", "below", below);
}

static void say_functions(void)
{
    uint64_t digests[3] = {SELF_TEST_BEGIN, SELF_TEST_BEGIN, SELF_TEST_BEGIN};
    for (int i = -20000; i < 20000; i++) {
        double sincos[2], logarithm = rng_log(i * 0.37 + 8000.0), power = rng_exp(i * 0.0347);
        rng_sincos_turns(i * 1.0371, sincos, sincos + 1);
        digests[0] = doubles(digests[0], sincos, 2);
        digests[1] = doubles(digests[1], &logarithm, 1);
        digests[2] = doubles(digests[2], &power, 1);
    }
    say("any", "function", "sincos", digests[0]);
    say("any", "function", "log", digests[1]);
    say("any", "function", "exp", digests[2]);
}

/* A path with what every kind but a table reads. */
static void path_make(struct path *path, enum path_kind kind)
{
    *path = (struct path){.kind = kind,
                          .sigma_min = 0.01,
                          .sigma_max = 50,
                          .n = 2.5,
                          .beta_min = 0.1,
                          .beta_max = 20};
    if (kind == PATH_DDPM)
        check(schedule_rule(path, &(struct schedule_rule){PATH_SCHEDULE_COSINE, 1000, 1e-4, 0.02},
                            NULL) == 0);
}

static void say_paths(void)
{
    static const double means[2 * DIM] = {1, -2, 0.5, 3, 0, -1, 2, 0.25, -3, 1};
    static const double deviations[2 * DIM] = {0.5, 1, 0.1, 2, 1, 0.3, 0.2, 1, 1, 0.7};
    for (int kind = 0; kind < PATH_TABLE; kind++) {
        struct path path;
        uint64_t points = SELF_TEST_BEGIN, fields = SELF_TEST_BEGIN;
        path_make(&path, (enum path_kind)kind);
        struct analytic mixture = {&path, DIM, 2, NULL, means, deviations, 1e-3};
        for (int i = 0; i <= 200; i++) {
            double t = i / 200.0, v[DIM];
            struct path_point at = path_at(&path, t);
            points = doubles(points, (const double *)&at, sizeof at / sizeof(double));
            analytic_predict(&mixture, PREDICTION_VELOCITY, t, means + i % DIM, v);
            fields = doubles(fields, v, DIM);
        }
        say("any", "path", path_name((enum path_kind)kind), points);
        say("any", "analytic", path_name((enum path_kind)kind), fields);
        path_release(&path);
    }
}

static void say_activation(const struct simd_kernels *kernels, enum activation activation)
{
    float *value = noise(COUNT, 1), *slope = noise(COUNT, 1);
    for (int i = 0; i < COUNT; i++)
        slope[i] = (float)(i - COUNT / 2) * 0.0173f;
    kernels->activate(value, slope, activation, COUNT);
    uint64_t digest = self_test_digest(SELF_TEST_BEGIN, value, COUNT);
    say(kernels->name, "activation", activation_name(activation),
        self_test_digest(digest, slope, COUNT));
    mem_free(value);
    mem_free(slope);
}

static void say_layers(const struct simd_kernels *kernels, enum activation activation)
{
    static const size_t shapes[][2] = {{1, 1}, {3, 64}, {64, 2}, {65, 33}, {130, 129}, {17, 20}};
    uint64_t tile = SELF_TEST_BEGIN, rows = SELF_TEST_BEGIN;
    for (size_t s = 0; s < sizeof shapes / sizeof *shapes; s++) {
        enum { STRIDE = 144 };
        size_t in = shapes[s][0], out = shapes[s][1];
        float *weight = noise(in * out, 2), *bias = noise(out, 3), *x = noise(in * STRIDE, 4);
        float *y = noise(simd_whole_panels(out) * STRIDE, 5);
        struct simd_layer layer;
        check(simd_layer_init(&layer, weight, bias, in, out) == 0);
        kernels->layer(y, x, &layer, activation, (struct simd_shape){STRIDE, LANES, NULL});
        tile = self_test_digest(tile, y, out * STRIDE);
        mem_free(x);
        x = noise(7 * STRIDE, 6);
        kernels->rows(y, x, &layer, activation, (struct simd_shape){STRIDE, 7, NULL});
        for (size_t row = 0; row < 7; row++)
            rows = self_test_digest(rows, y + row * STRIDE, out);
        simd_layer_release(&layer);
        float *arrays[] = {weight, bias, x, y};
        for (size_t i = 0; i < 4; i++)
            mem_free(arrays[i]);
    }
    say(kernels->name, "layer", activation_name(activation), tile);
    say(kernels->name, "rows", activation_name(activation), rows);
}

static void model_make(struct model *model, enum time_input input, enum prediction prediction)
{
    struct net_spec spec = {
        .dim = DIM,
        .activation = ACTIVATION_GELU,
        .time = {.input = input, .scale = 1, .max_period = 10000},
        .hidden_count = 2,
        .hidden = {35, 40},
    };
    if (input == TIME_FOURIER || input == TIME_SINUSOIDAL) {
        spec.time.frequency_count = 3;
        memcpy(spec.time.frequencies, (double[]){0.5, 1, 2.25}, 3 * sizeof(double));
    }
    *model = (struct model){.spec = {.net = spec, .prediction = prediction, .clamp = MODEL_CLAMP}};
    path_make(&model->spec.path, PATH_VP);
    check(net_init(&model->net, &spec, NULL) == 0);
    net_randomize(model->net.params, &spec, 11);
    check(net_pack(&model->net) == 0);
}

/* The field of each time input and prediction, at many times. */
static void say_fields(const struct simd_kernels *kernels)
{
    float *x = noise(ROWS * DIM, 7), *v = noise(ROWS * DIM, 8), *t = noise(ROWS, 9);
    for (size_t i = 0; i < ROWS; i++)
        t[i] = (float)i / (ROWS - 1);
    for (int input = TIME_FIRST; input <= TIME_SINUSOIDAL; input++) {
        uint64_t digest = SELF_TEST_BEGIN;
        for (int prediction = 0; prediction < PREDICTION_COUNT; prediction++) {
            struct model model;
            model_make(&model, (enum time_input)input, (enum prediction)prediction);
            check(evaluate_field(v, model_field(&model), kernels, x, t, ROWS) == 0);
            digest = self_test_digest(digest, v, ROWS * DIM);
            model_release(&model);
        }
        say(kernels->name, "field", time_input_name((enum time_input)input), digest);
    }
    float *arrays[] = {x, v, t};
    for (size_t i = 0; i < 3; i++)
        mem_free(arrays[i]);
}

/* Rows from noise to data, and the state of each at its end. */
static void say_solve(const struct simd_kernels *kernels, const struct model *model,
                      const struct tableau *tableau)
{
    const struct grid_spec spec = {.t0 = 0, .t1 = 1, .steps = 12};
    struct grid grid;
    struct tile tile;
    uint64_t digest = SELF_TEST_BEGIN;
    check(grid_init(&grid, &spec, NULL) == 0);
    grid.rtol = grid.atol = 1e-4f;
    grid.max_evaluations = 10000;
    check(tile_init(&tile, model_field(model), tableau, kernels, 48) == 0);
    for (uint64_t row = 0; row < ROWS; row++) {
        float x[DIM];
        rng_normal((struct rng_key){.seed = 3}, row, 0, x, DIM);
        tile_add(&tile, x, &grid, 0, NULL, row);
    }
    for (size_t lane = 0; lane < ROWS; lane++) {
        float x[DIM];
        while (tile.lanes[lane].step < grid.steps && tile.lanes[lane].status == ROW_OK)
            tile_step(&tile);
        tile_get(&tile, lane, x);
        digest = self_test_digest(digest, x, DIM);
    }
    say(kernels->name, "solve", tableau->name, digest);
    tile_release(&tile);
    grid_release(&grid);
}

static void say_variant(const struct simd_kernels *kernels)
{
    struct err err = {0};
    struct model model;
    if (self_test_run(kernels, &err))
        printf("%s\n", err.message);
    for (int i = 0; i < ACTIVATION_COUNT; i++) {
        say_activation(kernels, (enum activation)i);
        say_layers(kernels, (enum activation)i);
    }
    say_fields(kernels);
    model_make(&model, TIME_FOURIER, PREDICTION_VELOCITY);
    for (size_t i = 0; tableau_at(i); i++)
        say_solve(kernels, &model, tableau_at(i));
    model_release(&model);
}

int main(void)
{
    say_noise();
    say_functions();
    say_paths();
    for (size_t i = 0; simd_variant(i); i++) {
        if (simd_select(simd_variant(i)))
            say_variant(simd_select(simd_variant(i)));
    }
    return 0;
}
