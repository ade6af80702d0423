#include "core/base/mem.h"
#include "core/flow/model.h"
#include "core/linalg/rng.h"
#include "tests/unit/flow/paths.h"
#include "tests/unit/unit.h"

#include <math.h>
#include <string.h>

enum { LANES = 16, DIM = 3 };

static struct paths paths;

static void set_up(void)
{
    paths_init(&paths);
}

static void tear_down(void)
{
    paths_release(&paths);
}

static bool near(double value, double expected, double tolerance)
{
    return fabs(value - expected) <= tolerance * (1 + fabs(expected));
}

/* What x1 and x0 make of each prediction, by its definition. */
static double truth(enum prediction prediction, const struct path_point *at, double x1, double x0)
{
    switch (prediction) {
    case PREDICTION_VELOCITY:
        return at->dalpha * x1 + at->dbeta * x0;
    case PREDICTION_DATA:
        return x1;
    case PREDICTION_NOISE:
        return x0;
    case PREDICTION_SCORE:
    case PREDICTION_COUNT:
        break;
    }
    return -x0 / at->beta;
}

static double apply(enum prediction from, enum prediction to, const struct path_point *at, double x,
                    double value)
{
    struct prediction_mix mix = prediction_convert(from, to, at);
    return mix.x * x + mix.from * value;
}

START_TEST(every_pair_converts_both_ways_on_every_path)
{
    for (int p = 0; p < PATHS; p++) {
        for (int i = 1; i < 50; i++) {
            struct path_point at = path_at(&paths.all[p], i / 50.0);
            double x1 = 0.8 - 0.1 * i, x0 = sin(i);
            double x = at.alpha * x1 + at.beta * x0;
            for (int pair = 0; pair < PREDICTION_COUNT * PREDICTION_COUNT; pair++) {
                enum prediction from = (enum prediction)(pair / PREDICTION_COUNT);
                enum prediction to = (enum prediction)(pair % PREDICTION_COUNT);
                double value = truth(from, &at, x1, x0);
                double there = apply(from, to, &at, x, value);
                double back = apply(to, from, &at, x, there);
                const char *names[] = {prediction_name(from), prediction_name(to)};
                ck_assert_msg(near(there, truth(to, &at, x1, x0), 1e-6), "%s: %s to %s at %g: %g",
                              paths.names[p], names[0], names[1], i / 50.0, there);
                ck_assert_msg(near(back, value, 1e-6), "%s: %s to %s and back at %g: %g not %g",
                              paths.names[p], names[0], names[1], i / 50.0, back, value);
            }
        }
    }
}
END_TEST

/* Lipman et al. 2024, and what is well known of the linear path. */
START_TEST(conversions_follow_their_formulas)
{
    struct path_point linear = path_at(&paths.all[0], 0.3), vp = path_at(&paths.all[6], 0.6);
    const double x = 0.7, p = -1.3;
    double d = vp.dalpha * vp.beta - vp.dbeta * vp.alpha;
    ck_assert(near(apply(PREDICTION_VELOCITY, PREDICTION_DATA, &linear, x, p), x + 0.7 * p, 1e-14));
    ck_assert(near(apply(PREDICTION_VELOCITY, PREDICTION_NOISE, &linear, x, p), x - 0.3 * p,
                   1e-14));
    ck_assert(near(apply(PREDICTION_VELOCITY, PREDICTION_SCORE, &linear, x, p),
                   -(x - 0.3 * p) / 0.7, 1e-14));
    ck_assert(near(apply(PREDICTION_DATA, PREDICTION_VELOCITY, &linear, x, p), (p - x) / 0.7,
                   1e-14));
    ck_assert(near(apply(PREDICTION_DATA, PREDICTION_VELOCITY, &vp, x, p),
                   vp.dbeta / vp.beta * x + d / vp.beta * p, 1e-13));
    ck_assert(near(apply(PREDICTION_NOISE, PREDICTION_VELOCITY, &vp, x, p),
                   vp.dalpha / vp.alpha * x - d / vp.alpha * p, 1e-13));
    /* The probability flow ODE of the variance preserving diffusion, run in our time: dx/dt =
       b (x + score) / 2 (Song et al. 2021). */
    double b = 0.1 + 0.4 * 19.9;
    ck_assert(near(apply(PREDICTION_SCORE, PREDICTION_VELOCITY, &vp, x, p), 0.5 * b * (x + p),
                   1e-12));
    /* And of the variance exploding one: dx/dt = (d sigma^2 / ds) score / 2. */
    struct path_point ve = path_at(&paths.all[7], 0.6);
    double rate = 2 * ve.beta * ve.beta * log(500);
    ck_assert(near(apply(PREDICTION_SCORE, PREDICTION_VELOCITY, &ve, x, p), 0.5 * rate * p, 1e-12));
}
END_TEST

START_TEST(predictions_have_names)
{
    enum prediction prediction;
    for (int i = 0; i < PREDICTION_COUNT; i++) {
        ck_assert(prediction_find(prediction_name((enum prediction)i), &prediction));
        ck_assert_int_eq((int)prediction, i);
    }
    ck_assert(!prediction_find("epsilon", &prediction));
    ck_assert_ptr_null(prediction_name(PREDICTION_COUNT));
}
END_TEST

START_TEST(only_singular_ends_are_clamped)
{
    enum { V = PREDICTION_VELOCITY, D = PREDICTION_DATA, N = PREDICTION_NOISE };
    enum { S = PREDICTION_SCORE };
    static const struct {
        int path, from, to;
        bool low, high; /* clamped */
    } expected[] = {
        {0, V, V, false, false}, {0, D, V, false, true},  {0, N, V, true, false},
        {0, S, V, true, false},  {0, V, D, false, false}, {0, V, S, false, true},
        {0, N, S, false, true},  {0, D, N, false, true},  {0, N, D, true, false},
        {1, D, V, false, false}, {1, N, V, true, false},  {1, V, S, false, false},
        {3, V, D, true, false},  {4, V, N, true, false},  {4, V, V, false, false},
        {5, V, V, false, false}, {5, D, V, false, true},  {5, N, V, true, true},
        {6, N, V, false, true},  {6, S, V, false, true},  {6, V, D, false, true},
        {6, N, D, false, false}, {7, N, V, false, false}, {7, S, V, false, false},
        {7, D, V, false, false}, {8, N, V, false, false}, {10, N, V, true, false},
    };
    for (size_t i = 0; i < sizeof expected / sizeof expected[0]; i++) {
        struct prediction_map map =
            prediction_map_of(&paths.all[expected[i].path], (enum prediction)expected[i].from,
                              (enum prediction)expected[i].to, 0.01);
        ck_assert_msg((map.low == 0.01f) == expected[i].low, "start of case %zu", i);
        ck_assert_msg((map.high == 0.99f) == expected[i].high, "end of case %zu", i);
        ck_assert(map.low == 0.01f || map.low == 0);
        ck_assert(map.high == 0.99f || map.high == 1);
        ck_assert(prediction_map_time(&map, 0) == map.low);
        ck_assert(prediction_map_time(&map, 0.5f) == 0.5f);
        ck_assert(prediction_map_time(&map, 1) == map.high);
    }
}
END_TEST

/* Alone, in a run of equal times, or between others: the coefficients of a time are the same, and
   finite, on every path for every pair, at the ends too. */
START_TEST(coefficients_are_finite_and_depend_on_the_time_alone)
{
    static const float times[] = {0, 0, 0.5f, 0.25f, 0.25f, 0.999999f, 1, 0, 1, 1};
    enum { TIMES = sizeof times / sizeof times[0] };
    for (int p = 0; p < PATHS; p++) {
        for (int pair = 0; pair < PREDICTION_COUNT * PREDICTION_COUNT; pair++) {
            struct prediction_map map = prediction_map_of(
                &paths.all[p], (enum prediction)(pair / PREDICTION_COUNT),
                (enum prediction)(pair % PREDICTION_COUNT), 1e-6);
            float t[TIMES], x[TIMES], from[TIMES];
            for (size_t i = 0; i < TIMES; i++)
                t[i] = prediction_map_time(&map, times[i]);
            prediction_map_mixes(&map, x, from, t, TIMES);
            for (size_t i = 0; i < TIMES; i++) {
                float alone[2];
                prediction_map_mixes(&map, &alone[0], &alone[1], &t[i], 1);
                ck_assert(isfinite(x[i]) && isfinite(from[i]));
                ck_assert_mem_eq(&alone[0], &x[i], sizeof *x);
                ck_assert_mem_eq(&alone[1], &from[i], sizeof *from);
            }
        }
    }
}
END_TEST

struct lanes {
    float *x, *v, *expected, *t, *scratch;
};

static struct lanes lanes_new(struct field field)
{
    struct lanes lanes = {
        .x = mem_aligned(DIM * LANES, sizeof(float)),
        .v = mem_aligned(simd_whole_outputs(DIM) * LANES, sizeof(float)),
        .expected = mem_aligned(simd_whole_outputs(DIM) * LANES, sizeof(float)),
        .t = mem_aligned(LANES, sizeof(float)),
        .scratch = mem_aligned(field.scratch(field.self, LANES), sizeof(float)),
    };
    for (size_t i = 0; i < DIM * LANES; i++)
        lanes.x[i] = (float)i / 20.0f - 1.0f;
    for (size_t r = 0; r < LANES; r++)
        lanes.t[r] = (float)r / (LANES - 1);
    return lanes;
}

static void lanes_free(struct lanes *lanes)
{
    mem_free(lanes->x);
    mem_free(lanes->v);
    mem_free(lanes->expected);
    mem_free(lanes->t);
    mem_free(lanes->scratch);
}

static void model_make(struct model *model, const struct path *path, enum prediction prediction,
                       int noise_at)
{
    struct net_spec spec = {
        .dim = DIM,
        .activation = ACTIVATION_SILU,
        .time = {.input = TIME_LAST, .scale = 1.0},
        .hidden_count = 1,
        .hidden = {16},
    };
    *model = (struct model){0};
    ck_assert_int_eq(net_init(&model->net, &spec, NULL), 0);
    net_randomize(model->net.params, &spec, 11);
    ck_assert_int_eq(net_pack(&model->net), 0);
    model_spec_init(&model->spec);
    ck_assert_int_eq(path_copy(&model->spec.path, path), 0);
    model->spec.net = spec;
    model->spec.prediction = prediction;
    model->spec.noise_at = noise_at;
    model->spec.clamp = 0.01;
}

/* Each lane by the definition: the network at its own, clamped time, converted in double. */
static void check_output(const struct model *model, enum prediction output, const char *name)
{
    const struct simd_shape shape = {.stride = LANES, .lanes = LANES};
    const struct model_spec *spec = &model->spec;
    struct field field = model_output(model, output);
    struct prediction_map map = prediction_map_of(&spec->path, spec->prediction, output, 0.01);
    struct lanes lanes = lanes_new(field);
    float t[LANES];
    field.velocity(field.self, simd_select(NULL), lanes.v, lanes.x, lanes.t, lanes.scratch, shape);
    for (size_t r = 0; r < LANES; r++) {
        t[r] = fminf(fmaxf(lanes.t[r], map.low), map.high);
        lanes.t[r] = spec->noise_at ? 1.0f - t[r] : t[r];
    }
    net_velocity(&model->net, simd_select(NULL), lanes.expected, lanes.x, lanes.t, lanes.scratch,
                 shape);
    for (size_t i = 0; i < DIM * LANES; i++) {
        struct path_point at = path_at(&spec->path, (double)t[i % LANES]);
        bool turned = spec->noise_at == 1 && spec->prediction == PREDICTION_VELOCITY;
        double net = (double)lanes.expected[i] * (turned ? -1 : 1);
        double value = apply(spec->prediction, output, &at, (double)lanes.x[i], net);
        struct prediction_mix mix = prediction_convert(spec->prediction, output, &at);
        double size = fabs(mix.x * (double)lanes.x[i]) + fabs(mix.from * net);
        ck_assert_msg(fabs((double)lanes.v[i] - value) <= 3e-7 * size, "%s, %s as %s: %g not %g",
                      name, prediction_name(spec->prediction), prediction_name(output),
                      (double)lanes.v[i], value);
    }
    lanes_free(&lanes);
}

START_TEST(a_network_gives_every_output_from_every_prediction)
{
    for (int p = 0; p < PATHS; p++) {
        for (int kind = 0; kind < 2 * PREDICTION_COUNT; kind++) {
            struct model model;
            model_make(&model, &paths.all[p], (enum prediction)(kind / 2), kind % 2);
            for (int output = 0; output < PREDICTION_COUNT; output++)
                check_output(&model, (enum prediction)output, paths.names[p]);
            model_release(&model);
        }
    }
}
END_TEST

static void integrate(struct field field, const char *method, size_t steps, float *x, size_t rows)
{
    const struct grid_spec spec = {.t0 = 0, .t1 = 1, .steps = steps};
    struct grid grid;
    struct tile tile;
    ck_assert_int_eq(grid_init(&grid, &spec, NULL), 0);
    ck_assert_int_eq(tile_init(&tile, field, tableau_find(method), simd_select(NULL), 64), 0);
    for (size_t r = 0; r < rows; r++)
        tile_add(&tile, x + r * field.dim, &grid, 0, NULL, r);
    for (size_t i = 0; i < steps; i++)
        tile_step(&tile);
    for (size_t r = 0; r < rows; r++)
        tile_get(&tile, r, x + r * field.dim);
    tile_release(&tile);
    grid_release(&grid);
}

/* Hidden units are max(0, +-x_i), so that the network is W x + w t + b: known in both forms. */
static const double linear_form[3] = {0.6, -0.2, 0.1};

static void make_linear(struct model *model)
{
    const struct net_spec *spec = &model->net.spec;
    float *first = model->net.params + net_spec_weight_offset(spec, 0);
    float *second = model->net.params + net_spec_weight_offset(spec, 1);
    memset(model->net.params, 0, model->net.param_count * sizeof(float));
    for (size_t i = 0; i < DIM; i++) {
        for (size_t j = 0; j < DIM; j++)
            first[2 * i * (DIM + 1) + j] = i == j ? 1 : 0;
        first[(2 * i + 1) * (DIM + 1) + i] = -1;
        second[i * 16 + 2 * i] = (float)linear_form[0];
        second[i * 16 + 2 * i + 1] = (float)-linear_form[0];
        second[i * 16 + 2 * DIM] = (float)linear_form[1];
        model->net.params[net_spec_bias_offset(spec, 1) + i] = (float)linear_form[2];
    }
    first[2 * DIM * (DIM + 1) + DIM] = 1;
    ck_assert_int_eq(net_pack(&model->net), 0);
}

/* The same samples as dx/dt = (da / a) x - (da b - db a) / a eps(x, t), integrated by hand with
   libm's exp and in double. */
START_TEST(noise_prediction_on_vp_samples_like_its_velocity_form)
{
    enum { STEPS = 200, ROWS = 8 };
    struct model model;
    float x[ROWS * DIM];
    double expected[ROWS * DIM];
    model_make(&model, &paths.all[6], PREDICTION_NOISE, 0);
    model.spec.clamp = MODEL_CLAMP;
    model.net.spec.activation = model.spec.net.activation = ACTIVATION_RELU;
    make_linear(&model);
    for (size_t r = 0; r < ROWS; r++)
        rng_normal((struct rng_key){.seed = 3}, r, 0, x + r * DIM, DIM);
    for (size_t i = 0; i < ROWS * DIM; i++) {
        double value = (double)x[i];
        for (int step = 0; step < STEPS; step++) {
            double t = (double)step / STEPS, s = 1 - t;
            double big = 0.5 * s * s * 19.9 + s * 0.1, rate = -(s * 19.9 + 0.1);
            double a = exp(-big / 2), b = sqrt(1 - exp(-big));
            double da = -0.5 * rate * a, db = 0.5 * rate * exp(-big) / b;
            double eps = linear_form[0] * value + linear_form[1] * t + linear_form[2];
            value += (da / a * value - (da * b - db * a) / a * eps) / STEPS;
        }
        expected[i] = value;
    }
    integrate(model_field(&model), "euler", STEPS, x, ROWS);
    for (size_t i = 0; i < ROWS * DIM; i++)
        ck_assert_msg(near((double)x[i], expected[i], 1e-4), "%g not %g", (double)x[i],
                      expected[i]);
    model_release(&model);
}
END_TEST

START_TEST(a_copy_of_a_description_is_deep)
{
    struct model_spec spec, copy;
    model_spec_init(&spec);
    ck_assert_int_eq(path_copy(&spec.path, &paths.all[8]), 0);
    mem_fail_after(1);
    ck_assert_int_eq(model_spec_copy(&copy, &spec), ERR_NOMEM);
    mem_fail_after(SIZE_MAX);
    ck_assert_int_eq(model_spec_copy(&copy, &spec), 0);
    model_spec_release(&spec);
    ck_assert(near(path_at(&copy.path, 1).beta, 0.01, 1e-9));
    model_spec_release(&copy);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("prediction");
    TCase *tests = tcase_create("prediction");
    tcase_add_unchecked_fixture(tests, set_up, tear_down);
    tcase_add_test(tests, every_pair_converts_both_ways_on_every_path);
    tcase_add_test(tests, conversions_follow_their_formulas);
    tcase_add_test(tests, predictions_have_names);
    tcase_add_test(tests, only_singular_ends_are_clamped);
    tcase_add_test(tests, coefficients_are_finite_and_depend_on_the_time_alone);
    tcase_add_test(tests, a_network_gives_every_output_from_every_prediction);
    tcase_add_test(tests, noise_prediction_on_vp_samples_like_its_velocity_form);
    tcase_add_test(tests, a_copy_of_a_description_is_deep);
    suite_add_tcase(suite, tests);
    return unit_run(suite);
}
