#include "core/base/mem.h"
#include "core/linalg/mat.h"
#include "core/linalg/rng.h"
#include "core/net/backprop.h"
#include "core/net/net.h"
#include "tests/unit/unit.h"

#include <math.h>
#include <string.h>

enum { ROWS = 13, MAX_PARAMS = 2048, MAX_WIDTH = 32 };

/* The network once more, one row at a time, in double and without a thought for speed. */
static double double_activation(enum activation activation, double z)
{
    static const double scale = 1.0507009873554804934, alpha = 1.6732632423543772848;
    static const double root = 0.79788456080286535588;
    switch (activation) {
    case ACTIVATION_SILU:
        return z / (1 + exp(-z));
    case ACTIVATION_RELU:
        return z > 0 ? z : 0;
    case ACTIVATION_ELU:
        return z > 0 ? z : expm1(z);
    case ACTIVATION_SELU:
        return scale * (z > 0 ? z : alpha * expm1(z));
    case ACTIVATION_GELU:
        return 0.5 * z * (1 + erf(z / sqrt(2)));
    case ACTIVATION_GELU_TANH:
        return 0.5 * z * (1 + tanh(root * (z + 0.044715 * z * z * z)));
    case ACTIVATION_TANH:
        return tanh(z);
    case ACTIVATION_NONE:
    case ACTIVATION_COUNT:
        break;
    }
    return z;
}

static void double_time(double *features, const struct time_spec *time, double t)
{
    size_t n = time->frequency_count;
    size_t sines = time->cos_first ? n : 0;
    size_t cosines = time->cos_first ? 0 : n;
    if (n == 0)
        features[0] = time->scale * t;
    for (size_t k = 0; k < n; k++) {
        double angle = time->input == TIME_FOURIER
                           ? 2 * acos(-1) * time->frequencies[k] * time->scale * t
                           : time->scale * t / pow(time->max_period, (double)k / (double)n);
        features[sines + k] = sin(angle);
        features[cosines + k] = cos(angle);
    }
}

static void double_net(double *out, const struct net_spec *spec, const double *params,
                       const double *x, double t)
{
    double a[MAX_WIDTH], z[MAX_WIDTH];
    size_t features = time_spec_features(&spec->time);
    bool before =
        spec->time.input == TIME_FIRST || (spec->time.input != TIME_LAST && spec->time.before_x);
    double_time(a + (before ? 0 : spec->dim), &spec->time, t);
    memcpy(a + (before ? features : 0), x, spec->dim * sizeof *x);
    for (size_t layer = 0; layer <= spec->hidden_count; layer++) {
        size_t in = net_spec_in(spec, layer);
        for (size_t o = 0; o < net_spec_out(spec, layer); o++) {
            z[o] = params[net_spec_bias_offset(spec, layer) + o];
            for (size_t i = 0; i < in; i++)
                z[o] += params[net_spec_weight_offset(spec, layer) + o * in + i] * a[i];
        }
        for (size_t o = 0; o < net_spec_out(spec, layer); o++)
            a[o] = layer < spec->hidden_count ? double_activation(spec->activation, z[o]) : z[o];
    }
    memcpy(out, a, spec->dim * sizeof *out);
}

struct batch {
    struct net_spec spec;
    size_t params_count;
    float *cache;
    float params[MAX_PARAMS];
    float dparams[MAX_PARAMS];
    float x[ROWS * MAX_WIDTH];
    float dx[ROWS * MAX_WIDTH];
    float t[ROWS];
    float out[ROWS * MAX_WIDTH];
    float dout[ROWS * MAX_WIDTH]; /* the loss is the sum of dout * out */
};

static double double_loss(const struct batch *batch, const double *params, const double *x)
{
    double sum = 0;
    size_t dim = batch->spec.dim;
    for (size_t r = 0; r < ROWS; r++) {
        double out[MAX_WIDTH];
        double_net(out, &batch->spec, params, x + r * dim, (double)batch->t[r]);
        for (size_t i = 0; i < dim; i++)
            sum += (double)batch->dout[r * dim + i] * out[i];
    }
    return sum;
}

static void batch_init(struct batch *batch, const struct net_spec *spec)
{
    const struct rng_key key = {.seed = 9, .stream = RNG_PROBE};
    memset(batch, 0, sizeof *batch);
    batch->spec = *spec;
    batch->params_count = net_spec_parameters(spec);
    ck_assert_uint_le(batch->params_count, MAX_PARAMS);
    ck_assert_int_eq(net_spec_check(spec, NULL), 0);
    net_randomize(batch->params, spec, 4);
    rng_normal(key, 0, 0, batch->x, ROWS * spec->dim);
    rng_uniform(key, 1, 0, batch->t, ROWS);
    rng_normal(key, 2, 0, batch->dout, ROWS * spec->dim);
    batch->cache = mem_aligned(backprop_cache(spec, ROWS), sizeof(float));
    ck_assert_ptr_nonnull(batch->cache);
}

static void batch_run(struct batch *batch)
{
    backprop_forward(batch->out, batch->cache, &batch->spec, batch->params, batch->x, batch->t,
                     ROWS);
    backprop_backward(batch->dparams, batch->dx, batch->cache, &batch->spec, batch->params,
                      batch->dout, ROWS);
}

/* Norm of the difference over the norm of the reference. */
static double distance(const float *value, const double *reference, size_t n)
{
    double difference = 0, norm = 0;
    for (size_t i = 0; i < n; i++) {
        difference += ((double)value[i] - reference[i]) * ((double)value[i] - reference[i]);
        norm += reference[i] * reference[i];
    }
    return sqrt(difference / norm);
}

/* Central differences; with steps of 2^-17 their own error is some 1e-10. */
static void differentiate(double *gradient, const struct batch *batch, double *params, double *x,
                          double *place, size_t n)
{
    const double step = 0x1p-17;
    for (size_t i = 0; i < n; i++) {
        double kept = place[i];
        place[i] = kept + step;
        double above = double_loss(batch, params, x);
        place[i] = kept - step;
        double below = double_loss(batch, params, x);
        place[i] = kept;
        gradient[i] = (above - below) / (2 * step);
    }
}

static void check_gradient(const struct net_spec *spec)
{
    static double params[MAX_PARAMS], gradient[MAX_PARAMS], x[ROWS * MAX_WIDTH];
    static struct batch batch;
    batch_init(&batch, spec);
    batch_run(&batch);
    for (size_t i = 0; i < batch.params_count; i++)
        params[i] = (double)batch.params[i];
    for (size_t i = 0; i < ROWS * spec->dim; i++)
        x[i] = (double)batch.x[i];
    for (size_t r = 0; r < ROWS; r++) {
        double out[MAX_WIDTH];
        double_net(out, spec, params, x + r * spec->dim, (double)batch.t[r]);
        ck_assert_double_le(distance(batch.out + r * spec->dim, out, spec->dim), 2e-6);
    }
    differentiate(gradient, &batch, params, x, params, batch.params_count);
    ck_assert_double_le(distance(batch.dparams, gradient, batch.params_count), 1e-6);
    for (size_t layer = 0; layer <= spec->hidden_count; layer++) {
        size_t weight = net_spec_weight_offset(spec, layer);
        size_t bias = net_spec_bias_offset(spec, layer);
        size_t out = net_spec_out(spec, layer);
        ck_assert_double_le(distance(batch.dparams + weight, gradient + weight, bias - weight),
                            1e-6);
        ck_assert_double_le(distance(batch.dparams + bias, gradient + bias, out), 1e-6);
    }
    differentiate(gradient, &batch, params, x, x, ROWS * spec->dim);
    ck_assert_double_le(distance(batch.dx, gradient, ROWS * spec->dim), 1e-6);
    mem_free(batch.cache);
}

static struct net_spec small_net(enum activation activation)
{
    return (struct net_spec){
        .dim = 3,
        .activation = activation,
        .time = {.input = TIME_LAST, .scale = 1},
        .hidden_count = 3,
        .hidden = {17, 12, 7},
    };
}

START_TEST(gradient_of_every_activation_is_that_of_finite_differences)
{
    for (int a = 1; a < ACTIVATION_COUNT; a++) {
        struct net_spec spec = small_net((enum activation)a);
        check_gradient(&spec);
    }
}
END_TEST

START_TEST(gradient_of_every_time_input_is_that_of_finite_differences)
{
    static const struct time_spec times[] = {
        {.input = TIME_FIRST, .scale = 1},
        {.input = TIME_LAST, .scale = 3},
        {.input = TIME_FOURIER, .scale = 1, .frequency_count = 3, .frequencies = {0.5, 1, 2}},
        {.input = TIME_FOURIER,
         .scale = 1,
         .frequency_count = 2,
         .frequencies = {0.3, 1.5},
         .cos_first = true,
         .before_x = true},
        {.input = TIME_SINUSOIDAL, .scale = 999, .frequency_count = 4, .max_period = 10000},
        {.input = TIME_SINUSOIDAL,
         .scale = 1,
         .frequency_count = 1,
         .max_period = 100,
         .cos_first = true,
         .before_x = true},
    };
    for (size_t i = 0; i < sizeof times / sizeof times[0]; i++) {
        struct net_spec spec = small_net(ACTIVATION_SILU);
        spec.time = times[i];
        check_gradient(&spec);
    }
}
END_TEST

START_TEST(backward_adds_to_the_gradient)
{
    static struct batch batch;
    static float once[MAX_PARAMS];
    struct net_spec spec = small_net(ACTIVATION_SILU);
    batch_init(&batch, &spec);
    batch_run(&batch);
    memcpy(once, batch.dparams, sizeof once);
    batch_run(&batch);
    for (size_t i = 0; i < batch.params_count; i++)
        ck_assert_float_eq_tol(batch.dparams[i], 2 * once[i], 1e-5f);
    mem_free(batch.cache);
}
END_TEST

START_TEST(two_runs_give_the_same_bits_with_and_without_dx)
{
    static struct batch first, second;
    struct net_spec spec = small_net(ACTIVATION_GELU);
    batch_init(&first, &spec);
    batch_init(&second, &spec);
    batch_run(&first);
    backprop_forward(second.out, second.cache, &spec, second.params, second.x, second.t, ROWS);
    backprop_backward(second.dparams, NULL, second.cache, &spec, second.params, second.dout, ROWS);
    ck_assert_mem_eq(first.out, second.out, sizeof first.out);
    ck_assert_mem_eq(first.dparams, second.dparams, sizeof first.dparams);
    mem_free(first.cache);
    mem_free(second.cache);
}
END_TEST

/* Training and serving are two pieces of code: they must mean the same network. */
START_TEST(forward_pass_equals_the_network_that_is_served)
{
    enum { STRIDE = 16 };
    static struct batch batch;
    for (int a = 1; a < ACTIVATION_COUNT; a++) {
        struct net_spec spec = small_net((enum activation)a);
        struct net net;
        spec.time = (struct time_spec){
            .input = TIME_FOURIER, .scale = 1, .frequency_count = 2, .frequencies = {0.5, 1}};
        batch_init(&batch, &spec);
        batch_run(&batch);
        ck_assert_int_eq(net_init(&net, &spec, NULL), 0);
        memcpy(net.params, batch.params, batch.params_count * sizeof *net.params);
        ck_assert_int_eq(net_pack(&net), 0);
        float *x = mem_aligned(4 * STRIDE, sizeof *x);
        float *v = mem_aligned(4 * STRIDE, sizeof *v);
        float *t = mem_aligned(STRIDE, sizeof *t);
        float *scratch = mem_aligned(net_scratch(&spec, STRIDE), sizeof *scratch);
        for (size_t r = 0; r < ROWS; r++) {
            t[r] = batch.t[r];
            for (size_t i = 0; i < spec.dim; i++)
                x[i * STRIDE + r] = batch.x[r * spec.dim + i];
        }
        net_velocity(&net, simd_select(NULL), v, x, t, scratch,
                     (struct simd_shape){.stride = STRIDE, .lanes = STRIDE});
        for (size_t r = 0; r < ROWS; r++)
            for (size_t i = 0; i < spec.dim; i++)
                ck_assert_float_eq_tol(v[i * STRIDE + r], batch.out[r * spec.dim + i], 1e-6f);
        mem_free(x);
        mem_free(v);
        mem_free(t);
        mem_free(scratch);
        mem_free(batch.cache);
        net_release(&net);
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("backprop");
    TCase *tests = tcase_create("backprop");
    tcase_set_timeout(tests, 60);
    if (mat_start())
        return 1;
    tcase_add_test(tests, gradient_of_every_activation_is_that_of_finite_differences);
    tcase_add_test(tests, gradient_of_every_time_input_is_that_of_finite_differences);
    tcase_add_test(tests, backward_adds_to_the_gradient);
    tcase_add_test(tests, two_runs_give_the_same_bits_with_and_without_dx);
    tcase_add_test(tests, forward_pass_equals_the_network_that_is_served);
    suite_add_tcase(suite, tests);
    return unit_run(suite);
}
