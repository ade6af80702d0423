#include "core/base/mem.h"
#include "core/linalg/mat.h"
#include "core/linalg/rng.h"
#include "core/net/backprop.h"
#include "core/train/trainer.h"
#include "tests/unit/unit.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { DIM = 2, ROWS = 200 };

static float rows[4 * ROWS * DIM];

/* Normal data of mean (1, -2) and standard deviation (0.5, 1). */
static void make_rows(void)
{
    for (size_t r = 0; r < 4 * ROWS; r++) {
        float z[DIM];
        rng_normal((struct rng_key){.seed = 1, .stream = RNG_PROBE}, r, 0, z, DIM);
        rows[r * DIM] = 1.0f + 0.5f * z[0];
        rows[r * DIM + 1] = -2.0f + z[1];
    }
}

static struct train_spec small_spec(void)
{
    struct train_spec spec;
    train_spec_init(&spec);
    spec.net.dim = DIM;
    spec.net.hidden_count = 2;
    spec.net.hidden[0] = spec.net.hidden[1] = 16;
    spec.batch_size = 32;
    spec.steps = 60;
    spec.optimizer.warmup = 5;
    spec.seed = 77;
    return spec;
}

static void start(struct trainer *trainer, const struct train_spec *spec)
{
    struct err err = {0};
    ck_assert_msg(trainer_init(trainer, spec, rows, ROWS, &err) == 0, "%s %s", err.where,
                  err.message);
}

/* Trains up to `until`, validating every 10 steps as a job would. */
static void train(struct trainer *trainer, uint64_t until)
{
    while (trainer->step < until) {
        double loss;
        ck_assert_int_eq(trainer_step(trainer, &loss), 0);
        ck_assert(loss > 0.0 && isfinite(loss));
        if (trainer->step % 10 == 0)
            ck_assert(trainer_validate(trainer) > 0.0);
    }
}

static void check_same(const struct trainer *a, const struct trainer *b)
{
    size_t bytes = a->param_count * sizeof(float);
    ck_assert_uint_eq(a->step, b->step);
    ck_assert_uint_eq(a->param_count, b->param_count);
    ck_assert_mem_eq(a->params, b->params, bytes);
    ck_assert_mem_eq(a->ema, b->ema, bytes);
    ck_assert_mem_eq(a->m, b->m, bytes);
    ck_assert_mem_eq(a->v, b->v, bytes);
    ck_assert_mem_eq(a->best, b->best, bytes);
    ck_assert_mem_eq(&a->best_loss, &b->best_loss, sizeof a->best_loss);
    ck_assert_uint_eq(a->best_step, b->best_step);
}

START_TEST(two_runs_give_the_same_bits)
{
    struct trainer a, b;
    struct train_spec spec = small_spec();
    start(&a, &spec);
    start(&b, &spec);
    train(&a, 60);
    train(&b, 60);
    check_same(&a, &b);
    trainer_release(&b);
    spec.seed++;
    start(&b, &spec);
    train(&b, 60);
    ck_assert(memcmp(a.params, b.params, a.param_count * sizeof *a.params) != 0);
    trainer_release(&a);
    trainer_release(&b);
}
END_TEST

/* What the server does: tensors by name, numbers beside them, through a copy of the bytes. */
static void resume(struct trainer *to, const struct trainer *from, const struct train_spec *spec)
{
    struct tensor_table table;
    unsigned char *bytes[64];
    struct err err = {0};
    ck_assert_int_eq(trainer_export(from, &table), 0);
    ck_assert_uint_le(table.count, 64);
    for (size_t i = 0; i < table.count; i++) {
        bytes[i] = mem_alloc(table.tensors[i].count + 1, sizeof(float));
        memcpy(bytes[i] + 1, table.tensors[i].data, table.tensors[i].count * sizeof(float));
        table.tensors[i].data = bytes[i] + 1; /* as unaligned as in a file */
    }
    start(to, spec);
    ck_assert_int_eq(trainer_import(to, &table, &err), 0);
    to->step = from->step;
    to->best_loss = from->best_loss;
    to->best_step = from->best_step;
    for (size_t i = 0; i < table.count; i++)
        mem_free(bytes[i]);
    tensor_table_release(&table);
}

START_TEST(resumed_run_ends_with_the_bits_of_one_that_never_stopped)
{
    static const uint64_t stops[] = {0, 1, 7, 10, 35, 59, 60};
    struct trainer straight;
    struct train_spec spec = small_spec();
    start(&straight, &spec);
    train(&straight, 60);
    ck_assert(isfinite(straight.best_loss));
    for (size_t i = 0; i < sizeof stops / sizeof stops[0]; i++) {
        struct trainer before, after;
        start(&before, &spec);
        train(&before, stops[i]);
        resume(&after, &before, &spec);
        trainer_release(&before);
        train(&after, 60);
        check_same(&straight, &after);
        trainer_release(&after);
    }
    trainer_release(&straight);
}
END_TEST

START_TEST(state_has_the_names_of_a_state_dict)
{
    struct trainer trainer;
    struct tensor_table table;
    struct train_spec spec = small_spec();
    start(&trainer, &spec);
    ck_assert_int_eq(trainer_export(&trainer, &table), 0);
    ck_assert_uint_eq(table.count, 5 * 3 * 2);
    ck_assert_ptr_nonnull(tensor_table_find(&table, "model.net.0.weight"));
    ck_assert_ptr_nonnull(tensor_table_find(&table, "ema.net.2.bias"));
    ck_assert_ptr_nonnull(tensor_table_find(&table, "optimizer.m.net.4.weight"));
    ck_assert_ptr_nonnull(tensor_table_find(&table, "optimizer.v.net.4.bias"));
    ck_assert_ptr_nonnull(tensor_table_find(&table, "best.net.0.bias"));
    tensor_table_release(&table);
    trainer_release(&trainer);
}
END_TEST

START_TEST(broken_state_is_refused_by_tensor_and_changes_nothing)
{
    struct trainer trainer, fresh;
    struct tensor_table table;
    struct train_spec spec = small_spec();
    float nan[16] = {0.0f, NAN};
    start(&trainer, &spec);
    start(&fresh, &spec);
    train(&trainer, 10);
    ck_assert_int_eq(trainer_export(&trainer, &table), 0);
    for (size_t i = 0; i < table.count; i++) {
        struct tensor kept = table.tensors[i];
        for (int fault = 0; fault < 5; fault++) {
            struct err err = {0};
            struct tensor *tensor = &table.tensors[i];
            if (fault == 0)
                tensor->name[0] = 'X';
            else if (fault == 1)
                tensor->shape[0]++;
            else if (fault == 2)
                tensor->dtype = DTYPE_BF16;
            else if (fault == 3)
                tensor->rank = 3 - tensor->rank;
            else
                tensor->data = (const unsigned char *)nan, tensor->count = 2;
            ck_assert_int_eq(trainer_import(&fresh, &table, &err), ERR_FORMAT);
            ck_assert_str_eq(err.where, kept.name);
            *tensor = kept;
        }
    }
    tensor_table_release(&table);
    trainer_release(&trainer);
    start(&trainer, &spec);
    check_same(&trainer, &fresh);
    trainer_release(&trainer);
    trainer_release(&fresh);
}
END_TEST

START_TEST(loss_that_is_not_finite_changes_nothing)
{
    struct trainer trainer, before;
    struct train_spec spec = small_spec();
    double loss;
    start(&trainer, &spec);
    train(&trainer, 20);
    trainer.params[3] = 1e38f;
    resume(&before, &trainer, &spec);
    ck_assert_int_eq(trainer_step(&trainer, &loss), ERR_NON_FINITE);
    check_same(&trainer, &before);
    ck_assert_int_eq(trainer_step(&trainer, &loss), ERR_NON_FINITE);
    check_same(&trainer, &before);
    trainer_release(&trainer);
    trainer_release(&before);
}
END_TEST

/* A loss in range whose gradient is not: the weights must not take it. */
START_TEST(gradient_that_is_not_finite_changes_nothing)
{
    struct trainer trainer, before;
    struct train_spec spec = small_spec();
    double loss;
    spec.net.activation = ACTIVATION_RELU;
    start(&trainer, &spec);
    for (size_t i = 0; i < trainer.param_count; i++)
        trainer.params[i] *= 1e15f;
    resume(&before, &trainer, &spec);
    ck_assert_int_eq(trainer_step(&trainer, &loss), ERR_NON_FINITE);
    check_same(&trainer, &before);
    trainer_release(&trainer);
    trainer_release(&before);
}
END_TEST

static size_t held_out(size_t row_count, double fraction)
{
    struct trainer trainer;
    struct train_spec spec = small_spec();
    spec.validation_fraction = fraction;
    ck_assert_int_eq(trainer_init(&trainer, &spec, rows, row_count, NULL), 0);
    unsigned char *seen = mem_zalloc(row_count, 1);
    for (size_t i = 0; i < row_count; i++)
        seen[trainer.order[i]]++;
    for (size_t i = 0; i < row_count; i++)
        ck_assert_uint_eq(seen[i], 1);
    size_t held = row_count - trainer.train_count;
    if (held == 0)
        ck_assert(isnan(trainer_validate(&trainer)));
    mem_free(seen);
    trainer_release(&trainer);
    return held;
}

START_TEST(rows_are_held_out_where_there_are_enough)
{
    for (size_t count = 1; count < 10; count++)
        ck_assert_uint_eq(held_out(count, 0.5), 0);
    ck_assert_uint_eq(held_out(10, 0.1), 1);
    ck_assert_uint_eq(held_out(ROWS, 0.1), 20);
    ck_assert_uint_eq(held_out(ROWS, 0.5), 100);
    ck_assert_uint_eq(held_out(ROWS, 0.0), 0);
}
END_TEST

START_TEST(large_tables_hold_out_a_bounded_number)
{
    enum { MANY = 30000 };
    struct trainer trainer;
    struct train_spec spec = small_spec();
    float *many = mem_zalloc(MANY * DIM, sizeof *many);
    ck_assert_int_eq(trainer_init(&trainer, &spec, many, MANY, NULL), 0);
    ck_assert_uint_eq(trainer.train_count, MANY - TRAINER_HELD_OUT_MAX);
    trainer_release(&trainer);
    mem_free(many);
}
END_TEST

START_TEST(training_goes_on_without_rows_held_out)
{
    struct trainer trainer;
    struct train_spec spec = small_spec();
    double loss;
    ck_assert_int_eq(trainer_init(&trainer, &spec, rows, 1, NULL), 0);
    while (trainer.step < 20)
        ck_assert_int_eq(trainer_step(&trainer, &loss), 0);
    ck_assert(isinf(trainer.best_loss));
    trainer_release(&trainer);
}
END_TEST

START_TEST(best_weights_are_those_of_the_lowest_validation_loss)
{
    struct trainer trainer;
    struct train_spec spec = small_spec();
    start(&trainer, &spec);
    train(&trainer, 40);
    size_t bytes = trainer.param_count * sizeof(float);
    double first = trainer_validate(&trainer);
    ck_assert(first == trainer.best_loss);
    ck_assert_uint_eq(trainer.best_step, 40);
    ck_assert_mem_eq(trainer.best, trainer_weights(&trainer), bytes);
    ck_assert_ptr_eq(trainer_weights(&trainer), trainer.ema);
    float *best = mem_alloc(1, bytes);
    memcpy(best, trainer.best, bytes);
    for (size_t i = 0; i < trainer.param_count; i++)
        trainer.ema[i] += 0.5f;
    ck_assert(trainer_validate(&trainer) > first);
    ck_assert_mem_eq(trainer.best, best, bytes);
    ck_assert(trainer.best_loss == first);
    mem_free(best);
    trainer_release(&trainer);
}
END_TEST

START_TEST(validation_does_not_depend_on_the_batch_size)
{
    struct trainer small, large;
    struct train_spec spec = small_spec();
    spec.ema_decay = 0.0;
    start(&small, &spec);
    spec.batch_size = 999;
    start(&large, &spec);
    ck_assert_ptr_eq(trainer_weights(&small), small.params);
    ck_assert_double_eq_tol(trainer_validate(&small), trainer_validate(&large), 1e-6);
    trainer_release(&small);
    trainer_release(&large);
}
END_TEST

/* The velocity that carries N(0, 1) to N(m, s^2) on the linear path. */
static double exact_velocity(size_t i, double x, double t)
{
    double m = i ? -2.0 : 1.0, s = i ? 1.0 : 0.5;
    double variance = t * t * s * s + (1 - t) * (1 - t);
    return m + (t * s * s - (1 - t)) / variance * (x - t * m);
}

START_TEST(training_finds_the_velocity_of_gaussian_data)
{
    enum { POINTS = 512 };
    static float x[POINTS * DIM], t[POINTS], out[POINTS * DIM];
    struct trainer trainer;
    struct train_spec spec = small_spec();
    double error = 0, size = 0;
    spec.steps = 1500;
    spec.batch_size = 128;
    spec.net.hidden[0] = spec.net.hidden[1] = 32;
    ck_assert_int_eq(trainer_init(&trainer, &spec, rows, 4 * ROWS, NULL), 0);
    train(&trainer, spec.steps);
    rng_uniform((struct rng_key){.seed = 8, .stream = RNG_PROBE}, 0, 0, t, POINTS);
    rng_normal((struct rng_key){.seed = 9, .stream = RNG_PROBE}, 0, 0, x, POINTS * DIM);
    for (size_t i = 0; i < POINTS * DIM; i++) {
        float m = i % DIM ? -2.0f : 1.0f, s = i % DIM ? 1.0f : 0.5f, at = t[i / DIM];
        x[i] = at * m + sqrtf(at * at * s * s + (1 - at) * (1 - at)) * x[i];
    }
    float *cache = mem_aligned(backprop_cache(&spec.net, POINTS), sizeof *cache);
    backprop_forward(out, cache, &spec.net, trainer.best, x, t, POINTS);
    for (size_t i = 0; i < POINTS * DIM; i++) {
        double exact = exact_velocity(i % DIM, (double)x[i], (double)t[i / DIM]);
        error += ((double)out[i] - exact) * ((double)out[i] - exact);
        size += exact * exact;
    }
    ck_assert_msg(sqrt(error / size) < 0.12, "relative error %g", sqrt(error / size));
    mem_free(cache);
    trainer_release(&trainer);
}
END_TEST

START_TEST(memory_that_runs_out_is_an_error)
{
    struct trainer trainer;
    struct tensor_table table;
    struct train_spec spec = small_spec();
    struct err err = {0};
    mem_fail_after(0);
    ck_assert_int_eq(trainer_init(&trainer, &spec, rows, ROWS, &err), ERR_NOMEM);
    mem_fail_after(SIZE_MAX);
    ck_assert_ptr_null(trainer.params);
    start(&trainer, &spec);
    mem_fail_after(0);
    ck_assert_int_eq(trainer_export(&trainer, &table), ERR_NOMEM);
    mem_fail_after(SIZE_MAX);
    ck_assert_ptr_null(table.tensors);
    ck_assert_int_eq(trainer_export(&trainer, &table), 0);
    mem_fail_after(0);
    ck_assert_int_eq(trainer_import(&trainer, &table, NULL), ERR_NOMEM);
    mem_fail_after(SIZE_MAX);
    tensor_table_release(&table);
    trainer_release(&trainer);
}
END_TEST

START_TEST(rows_that_are_not_finite_are_refused)
{
    struct trainer trainer;
    struct train_spec spec = small_spec();
    struct err err = {0};
    float bad[4] = {1, 2, 3, INFINITY};
    ck_assert_int_eq(trainer_init(&trainer, &spec, bad, 2, &err), ERR_INVALID);
    ck_assert_ptr_nonnull(strstr(err.message, "row 1"));
    err = (struct err){0};
    ck_assert_int_eq(trainer_init(&trainer, &spec, bad, 0, &err), ERR_INVALID);
}
END_TEST

static void check_refused(const struct train_spec *spec, const char *where)
{
    struct trainer trainer;
    struct err err = {0};
    ck_assert_int_eq(train_spec_check(spec, &err), ERR_INVALID);
    ck_assert_str_eq(err.where, where);
    ck_assert_int_eq(trainer_init(&trainer, spec, rows, ROWS, NULL), ERR_INVALID);
}

#define CHECK_REFUSED(field, value, where)                                                         \
    do {                                                                                           \
        struct train_spec spec = small_spec();                                                     \
        spec.field = value;                                                                        \
        check_refused(&spec, where);                                                               \
    } while (0)

START_TEST(bad_specs_are_refused_by_field)
{
    const double nan = (double)NAN;
    CHECK_REFUSED(steps, 0, "/steps");
    CHECK_REFUSED(steps, LIMIT_TRAIN_STEPS + 1, "/steps");
    CHECK_REFUSED(batch_size, 0, "/batch_size");
    CHECK_REFUSED(batch_size, LIMIT_BATCH + 1, "/batch_size");
    CHECK_REFUSED(optimizer.learning_rate, 0, "/optimizer/learning_rate");
    CHECK_REFUSED(optimizer.learning_rate, nan, "/optimizer/learning_rate");
    CHECK_REFUSED(optimizer.beta1, 1, "/optimizer/beta1");
    CHECK_REFUSED(optimizer.beta2, -0.1, "/optimizer/beta2");
    CHECK_REFUSED(optimizer.epsilon, 0, "/optimizer/epsilon");
    CHECK_REFUSED(optimizer.weight_decay, -1, "/optimizer/weight_decay");
    CHECK_REFUSED(optimizer.clip, nan, "/optimizer/clip");
    CHECK_REFUSED(optimizer.warmup, LIMIT_TRAIN_STEPS + 1, "/optimizer/warmup");
    CHECK_REFUSED(optimizer.final_ratio, 1.5, "/optimizer/final_ratio");
    CHECK_REFUSED(ema_decay, 1, "/ema");
    CHECK_REFUSED(validation_fraction, 0.6, "/validation/fraction");
    CHECK_REFUSED(validation_every, 0, "/validation/every");
    CHECK_REFUSED(net.hidden_count, 0, "/network/hidden");
}
END_TEST

START_TEST(default_spec_is_accepted_before_its_data_are_known)
{
    struct train_spec spec;
    struct trainer trainer;
    train_spec_init(&spec);
    ck_assert_int_eq(train_spec_check(&spec, NULL), 0);
    ck_assert_int_eq(trainer_init(&trainer, &spec, rows, ROWS, NULL), ERR_INVALID);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("trainer");
    TCase *tests = tcase_create("trainer");
    tcase_set_timeout(tests, 120);
    if (mat_start())
        return 1;
    make_rows();
    tcase_add_test(tests, two_runs_give_the_same_bits);
    tcase_add_test(tests, resumed_run_ends_with_the_bits_of_one_that_never_stopped);
    tcase_add_test(tests, state_has_the_names_of_a_state_dict);
    tcase_add_test(tests, broken_state_is_refused_by_tensor_and_changes_nothing);
    tcase_add_test(tests, loss_that_is_not_finite_changes_nothing);
    tcase_add_test(tests, gradient_that_is_not_finite_changes_nothing);
    tcase_add_test(tests, rows_are_held_out_where_there_are_enough);
    tcase_add_test(tests, large_tables_hold_out_a_bounded_number);
    tcase_add_test(tests, training_goes_on_without_rows_held_out);
    tcase_add_test(tests, best_weights_are_those_of_the_lowest_validation_loss);
    tcase_add_test(tests, validation_does_not_depend_on_the_batch_size);
    tcase_add_test(tests, training_finds_the_velocity_of_gaussian_data);
    tcase_add_test(tests, memory_that_runs_out_is_an_error);
    tcase_add_test(tests, rows_that_are_not_finite_are_refused);
    tcase_add_test(tests, bad_specs_are_refused_by_field);
    tcase_add_test(tests, default_spec_is_accepted_before_its_data_are_known);
    suite_add_tcase(suite, tests);
    return unit_run(suite);
}
