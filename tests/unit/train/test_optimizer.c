#include "core/base/mem.h"
#include "core/linalg/mat.h"
#include "core/net/backprop.h"
#include "core/train/loss.h"
#include "core/train/optimizer.h"
#include "tests/unit/unit.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { DIM = 3, ROWS = 16, STEPS = 10, PARAMS = 139 };

/* Ten steps of PyTorch, written by tests/reference/make_train_reference.py. */
struct reference {
    float weights[PARAMS], gradient[PARAMS], trained[PARAMS], ema[PARAMS];
    float x0[ROWS * DIM], x1[ROWS * DIM], t[ROWS];
    float losses[STEPS], norms[STEPS];
};

static void read_part(FILE *file, const char *name, float *out, size_t count)
{
    char found[32];
    size_t length;
    ck_assert_int_eq(fscanf(file, "%31s %zu", found, &length), 2);
    ck_assert_str_eq(found, name);
    ck_assert_uint_eq(length, count);
    for (size_t i = 0; i < count; i++)
        ck_assert_int_eq(fscanf(file, "%f", &out[i]), 1);
}

static void read_reference(struct reference *reference)
{
    FILE *file = fopen(GOLDEN_DIR "/train_reference.txt", "r");
    ck_assert_ptr_nonnull(file);
    read_part(file, "weights", reference->weights, PARAMS);
    read_part(file, "x0", reference->x0, ROWS * DIM);
    read_part(file, "x1", reference->x1, ROWS * DIM);
    read_part(file, "t", reference->t, ROWS);
    read_part(file, "gradient", reference->gradient, PARAMS);
    read_part(file, "losses", reference->losses, STEPS);
    read_part(file, "norms", reference->norms, STEPS);
    read_part(file, "trained", reference->trained, PARAMS);
    read_part(file, "ema", reference->ema, PARAMS);
    fclose(file);
}

static struct train_spec reference_spec(void)
{
    struct train_spec spec;
    train_spec_init(&spec);
    spec.net = (struct net_spec){
        .dim = DIM,
        .activation = ACTIVATION_SILU,
        .time = {.input = TIME_LAST, .scale = 1},
        .hidden_count = 2,
        .hidden = {8, 8},
    };
    spec.steps = STEPS;
    spec.batch_size = ROWS;
    spec.ema_decay = 0.7;
    spec.optimizer = (struct optimizer_spec){
        .learning_rate = 2e-2,
        .beta1 = 0.9,
        .beta2 = 0.99,
        .epsilon = 1e-8,
        .weight_decay = 0.1,
        .clip = 0.5,
        .warmup = 3,
        .final_ratio = 0.1,
    };
    return spec;
}

static void check_near(const float *value, const float *expected, size_t count, float tolerance)
{
    for (size_t i = 0; i < count; i++)
        ck_assert_float_eq_tol(value[i], expected[i], tolerance);
}

/* Both sides compute in float32 with sums in different orders: gradients agree to some 1e-7, and
   ten updates, each of at most the learning rate, to some 1e-6. */
START_TEST(ten_steps_are_those_of_pytorch)
{
    static struct reference reference;
    struct train_spec spec = reference_spec();
    float x[ROWS * DIM], velocity[ROWS * DIM], out[ROWS * DIM];
    float params[PARAMS], ema[PARAMS], m[PARAMS] = {0}, v[PARAMS] = {0}, grad[PARAMS];
    struct optimizer_state state = {params, m, v, ema};
    read_reference(&reference);
    ck_assert_uint_eq(net_spec_parameters(&spec.net), PARAMS);
    for (size_t i = 0; i < ROWS * DIM; i++) {
        float t = reference.t[i / DIM];
        x[i] = t * reference.x1[i] + (1 - t) * reference.x0[i];
        velocity[i] = reference.x1[i] - reference.x0[i];
    }
    const struct batch batch = {x, velocity, reference.t, ROWS};
    const struct loss_scratch scratch = {
        out, mem_aligned(backprop_cache(&spec.net, ROWS), sizeof(float))};
    memcpy(params, reference.weights, sizeof params);
    memcpy(ema, reference.weights, sizeof ema);
    for (uint64_t step = 0; step < STEPS; step++) {
        double loss = loss_gradient(grad, &spec.net, params, &batch, &scratch);
        double norm = optimizer_norm(grad, PARAMS);
        if (step == 0)
            check_near(grad, reference.gradient, PARAMS, 5e-7f);
        ck_assert_double_eq_tol(loss, (double)reference.losses[step], 2e-6);
        ck_assert_double_eq_tol(norm, (double)reference.norms[step], 2e-6);
        ck_assert(loss_value(&spec.net, params, &batch, &scratch) == loss);
        optimizer_update(&state, grad, &spec, step, norm);
    }
    check_near(params, reference.trained, PARAMS, 2e-6f);
    check_near(ema, reference.ema, PARAMS, 2e-6f);
    mem_free(scratch.cache);
}
END_TEST

START_TEST(learning_rate_warms_up_and_decays)
{
    const struct optimizer_spec spec = {.learning_rate = 2, .warmup = 10, .final_ratio = 0.1};
    ck_assert_double_eq_tol(optimizer_learning_rate(&spec, 0, 110), 0.2, 1e-12);
    ck_assert_double_eq_tol(optimizer_learning_rate(&spec, 9, 110), 2, 1e-12);
    ck_assert_double_eq_tol(optimizer_learning_rate(&spec, 10, 110), 2, 1e-12);
    ck_assert_double_eq_tol(optimizer_learning_rate(&spec, 60, 110), 1.1, 1e-12);
    ck_assert_double_eq_tol(optimizer_learning_rate(&spec, 110, 110), 0.2, 1e-12);
    for (uint64_t step = 10; step < 110; step++)
        ck_assert(optimizer_learning_rate(&spec, step, 110) >
                  optimizer_learning_rate(&spec, step + 1, 110));
}
END_TEST

START_TEST(warm_up_may_be_as_long_as_the_training)
{
    const struct optimizer_spec spec = {.learning_rate = 1, .warmup = 10, .final_ratio = 0.5};
    ck_assert_double_eq_tol(optimizer_learning_rate(&spec, 9, 10), 1, 1e-12);
    ck_assert_double_eq_tol(optimizer_learning_rate(&spec, 10, 10), 0.5, 1e-12);
    ck_assert_double_eq_tol(optimizer_learning_rate(&spec, 4, 5), 0.5, 1e-12);
}
END_TEST

START_TEST(moving_average_starts_fast)
{
    ck_assert_double_eq_tol(optimizer_ema_decay(0.999, 0), 0.1, 1e-12);
    ck_assert_double_eq_tol(optimizer_ema_decay(0.999, 90), 0.91, 1e-12);
    ck_assert_double_eq_tol(optimizer_ema_decay(0.999, 1000000), 0.999, 1e-12);
}
END_TEST

START_TEST(norm_is_that_of_the_whole_gradient)
{
    float grad[21];
    for (size_t i = 0; i < 21; i++)
        grad[i] = (float)i;
    ck_assert_double_eq_tol(optimizer_norm(grad, 21), sqrt(2870), 1e-12);
    ck_assert_double_eq_tol(optimizer_norm(grad, 3), sqrt(5), 1e-12);
    for (size_t i = 0; i < 21; i++) {
        float kept = grad[i];
        grad[i] = i % 2 ? INFINITY : NAN;
        ck_assert(!isfinite(optimizer_norm(grad, 21)));
        grad[i] = kept;
    }
}
END_TEST

/* With clipping the first Adam step does not change, as it is scale-free; the moments do. */
START_TEST(clipping_scales_the_moments)
{
    struct train_spec spec = reference_spec();
    float params[PARAMS] = {0}, m[PARAMS] = {0}, v[PARAMS] = {0}, grad[PARAMS];
    float clipped[PARAMS] = {0}, clipped_m[PARAMS] = {0}, clipped_v[PARAMS] = {0};
    const struct optimizer_state free_state = {params, m, v, NULL};
    const struct optimizer_state clipped_state = {clipped, clipped_m, clipped_v, NULL};
    for (size_t i = 0; i < PARAMS; i++)
        grad[i] = 1.0f;
    optimizer_update(&clipped_state, grad, &spec, 0, 1.0);
    spec.optimizer.clip = 0;
    optimizer_update(&free_state, grad, &spec, 0, 1.0);
    for (size_t i = 0; i < PARAMS; i++) {
        ck_assert_float_eq_tol(clipped_m[i], 0.5f * m[i], 1e-6f);
        ck_assert_float_eq_tol(clipped_v[i], 0.25f * v[i], 1e-6f);
        ck_assert_float_eq_tol(clipped[i], params[i], 1e-6f);
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("optimizer");
    TCase *tests = tcase_create("optimizer");
    if (mat_start())
        return 1;
    tcase_add_test(tests, ten_steps_are_those_of_pytorch);
    tcase_add_test(tests, learning_rate_warms_up_and_decays);
    tcase_add_test(tests, warm_up_may_be_as_long_as_the_training);
    tcase_add_test(tests, moving_average_starts_fast);
    tcase_add_test(tests, norm_is_that_of_the_whole_gradient);
    tcase_add_test(tests, clipping_scales_the_moments);
    suite_add_tcase(suite, tests);
    return unit_run(suite);
}
