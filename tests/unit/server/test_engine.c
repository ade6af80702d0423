/* The engine on a small random network: the same bytes whatever is beside a request. */
#include "server/engine/engine.h"

#include "config/limits.h"
#include "core/base/check.h"
#include "core/base/mem.h"
#include "core/flow/grid.h"
#include "core/flow/tile.h"
#include "core/linalg/rng.h"
#include "server/engine/account.h"
#include "tests/unit/unit.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { DIM = 3, STEPS = 20 };

static uv_loop_t loop;

static struct model_ref *model_with(uint64_t seed, size_t first, size_t second)
{
    struct model_ref *ref = model_ref_new();
    struct err err = {0};
    struct net_spec spec = {.dim = DIM,
                            .activation = ACTIVATION_SILU,
                            .time = {.input = TIME_LAST, .scale = 1},
                            .hidden_count = 2,
                            .hidden = {first, second}};
    snprintf(ref->name, sizeof ref->name, "random");
    ref->version = 1;
    ref->model.spec.net = spec;
    ck_assert_int_eq(net_init(&ref->model.net, &spec, &err), 0);
    net_randomize(ref->model.net.params, &spec, seed);
    ck_assert_int_eq(net_pack(&ref->model.net), 0);
    ck_assert_int_eq(schema_plain(&ref->config.schema, DIM), 0);
    return ref;
}

static struct model_ref *model_new(uint64_t seed)
{
    return model_with(seed, 24, 17);
}

/* With all that it does for speed. */
static struct engine_options options_of(size_t workers)
{
    return (struct engine_options){.workers = workers,
                                   .pin = true,
                                   .linger = true,
                                   .kernels = {simd_select(NULL)},
                                   .loop = &loop,
                                   .cost_limit = 1e12,
                                   .bytes_limit = UINT64_MAX};
}

static struct engine *engine_new(size_t workers)
{
    struct engine *engine;
    struct err err = {0};
    struct engine_options options = options_of(workers);
    ck_assert_int_eq(engine_start(&engine, &options, &err), 0);
    return engine;
}

static void engine_delete(struct engine *engine)
{
    engine_stop(engine);
    uv_run(&loop, UV_RUN_DEFAULT);
}

/* A client that reads everything at once as it comes. */
struct reader {
    struct run *run;
    struct buf bytes;
    enum run_state state;
    size_t wakes;
};

static void reader_wake(void *context, struct run *run)
{
    struct reader *reader = context;
    char piece[1000];
    size_t size;
    reader->wakes++;
    while ((size = run_read(run, piece, sizeof piece, &reader->state)) > 0)
        ck_assert_int_eq(buf_append(&reader->bytes, piece, size), 0);
}

static struct sample_spec spec_of(uint64_t count, const char *method)
{
    struct sample_spec spec;
    sample_spec_init(&spec);
    spec.count = count;
    spec.seed = 7;
    spec.has_seed = true;
    spec.steps = STEPS;
    spec.tableau = tableau_find(method);
    return spec;
}

static void reader_start(struct reader *reader, struct engine *engine, struct model_ref *model,
                         struct sample_spec spec, bool frames)
{
    struct err err = {0};
    struct run_options options = {.model = model,
                                  .spec = &spec,
                                  .format = ROWS_NPY,
                                  .frames = frames,
                                  .wake = reader_wake,
                                  .context = reader};
    *reader = (struct reader){.state = RUN_MORE};
    buf_init(&reader->bytes, 1 << 28);
    ck_assert_int_eq(engine_submit(engine, &options, &reader->run, &err), 0);
}

static void reader_finish(struct reader *reader)
{
    while (reader->state == RUN_MORE)
        uv_run(&loop, UV_RUN_ONCE);
    ck_assert_int_eq(reader->state, RUN_END);
}

static void reader_end(struct reader *reader)
{
    run_free(reader->run);
    buf_release(&reader->bytes);
}

/* The numbers behind the NPY header. */
static const float *reader_floats(const struct reader *reader, size_t count)
{
    ck_assert_uint_ge(reader->bytes.size, count * sizeof(float));
    return (const float *)(const void *)(reader->bytes.data + reader->bytes.size -
                                         count * sizeof(float));
}

/* One row alone in a tile of its own. */
static void integrate_alone(const struct model_ref *model, const char *method, uint64_t row,
                            float *x)
{
    struct tile tile;
    struct grid grid;
    struct err err = {0};
    struct grid_spec spec = {.t0 = 0, .t1 = 1, .steps = STEPS};
    ck_assert_int_eq(grid_init(&grid, &spec, &err), 0);
    ck_assert_int_eq(tile_init(&tile, model_field(&model->model), tableau_find(method),
                               simd_select(NULL), SIMD_LANES),
                     0);
    rng_normal((struct rng_key){.seed = 7, .stream = RNG_SOURCE}, row, 0, x, DIM);
    size_t lane = tile_add(&tile, x, &grid, 0, NULL, 0);
    for (int i = 0; i < STEPS; i++)
        tile_step(&tile);
    tile_get(&tile, lane, x);
    tile_release(&tile);
    grid_release(&grid);
}

START_TEST(rows_are_those_of_a_row_that_is_alone)
{
    const char *methods[] = {"euler", "midpoint", "heun", "rk4"};
    struct engine *engine = engine_new(2);
    struct model_ref *model = model_new(1);
    for (size_t m = 0; m < 4; m++) {
        struct reader reader;
        reader_start(&reader, engine, model, spec_of(1000, methods[m]), false);
        reader_finish(&reader);
        const float *rows = reader_floats(&reader, 1000 * DIM);
        for (uint64_t row = 0; row < 1000; row += 37) {
            float x[DIM];
            integrate_alone(model, methods[m], row, x);
            ck_assert_mem_eq(x, rows + row * DIM, sizeof x);
        }
        ck_assert_uint_eq(run_evaluations(reader.run),
                          1000u * STEPS * tableau_find(methods[m])->stages);
        reader_end(&reader);
    }
    model_ref_drop(model);
    engine_delete(engine);
}
END_TEST

START_TEST(an_engine_without_memory_does_not_start_and_can_be_started_again)
{
    struct engine_options options = options_of(2);
    struct engine *engine;
    int code = ERR_NOMEM;
    size_t after = 0;
    for (; code && after < 20; after++) {
        struct err err = {0};
        mem_fail_after(after);
        code = engine_start(&engine, &options, &err);
        mem_fail_after(SIZE_MAX);
        ck_assert(code == 0 || code == ERR_NOMEM);
        uv_run(&loop, UV_RUN_NOWAIT);
    }
    ck_assert_int_eq(code, 0);
    ck_assert_uint_gt(after, 3);
    engine_delete(engine);
}
END_TEST

START_TEST(two_models_are_solved_side_by_side)
{
    struct model_ref *models[] = {model_new(1), model_with(5, 400, 400)};
    struct engine *engine = engine_new(2);
    for (int i = 0; i < 10; i++) {
        struct reader wide, narrow;
        reader_start(&wide, engine, models[1], spec_of(1, "euler"), false);
        reader_start(&narrow, engine, models[0], spec_of(1, "euler"), false);
        reader_finish(&wide);
        reader_finish(&narrow);
        reader_end(&wide);
        reader_end(&narrow);
    }
    engine_delete(engine);
    model_ref_drop(models[0]);
    model_ref_drop(models[1]);
}
END_TEST

START_TEST(idle_workers_help_with_a_wide_network_and_change_no_bit)
{
    struct model_ref *model = model_with(5, 400, 400);
    for (size_t workers = 1; workers <= 3; workers++) {
        struct engine *engine = engine_new(workers);
        for (uint64_t count = 1; count <= 9; count += 4) {
            struct reader reader, other;
            float x[DIM];
            reader_start(&reader, engine, model, spec_of(count, "heun"), false);
            reader_start(&other, engine, model, spec_of(1, "euler"), false);
            reader_finish(&reader);
            reader_finish(&other);
            for (uint64_t row = 0; row < count; row++) {
                integrate_alone(model, "heun", row, x);
                ck_assert_mem_eq(x, reader_floats(&reader, count * DIM) + row * DIM, sizeof x);
            }
            integrate_alone(model, "euler", 0, x);
            ck_assert_mem_eq(x, reader_floats(&other, DIM), sizeof x);
            reader_end(&reader);
            reader_end(&other);
        }
        engine_delete(engine);
    }
    model_ref_drop(model);
}
END_TEST

START_TEST(the_same_seed_gives_the_same_bytes_for_any_count_workers_and_load)
{
    struct model_ref *model = model_new(2);
    struct buf expected;
    buf_init(&expected, 1 << 20);
    for (size_t workers = 1; workers <= 3; workers++) {
        struct engine *engine = engine_new(workers);
        struct reader beside[4], whole, prefix;
        for (size_t i = 0; i < 4; i++)
            reader_start(&beside[i], engine, model, spec_of(500 + 77 * i, "euler"), i % 2);
        reader_start(&whole, engine, model, spec_of(300, "euler"), false);
        reader_start(&prefix, engine, model, spec_of(1, "euler"), false);
        reader_finish(&whole);
        reader_finish(&prefix);
        const float *rows = reader_floats(&whole, 300 * DIM);
        ck_assert_mem_eq(rows, reader_floats(&prefix, DIM), DIM * sizeof *rows);
        if (workers == 1)
            buf_append(&expected, rows, 300 * DIM * sizeof *rows);
        ck_assert_mem_eq(rows, expected.data, 300 * DIM * sizeof *rows);
        for (size_t i = 0; i < 4; i++) {
            reader_finish(&beside[i]);
            reader_end(&beside[i]);
        }
        reader_end(&whole);
        reader_end(&prefix);
        engine_delete(engine);
    }
    buf_release(&expected);
    model_ref_drop(model);
}
END_TEST

START_TEST(the_last_frame_is_the_sample_and_the_first_is_the_noise)
{
    struct engine *engine = engine_new(2);
    struct model_ref *model = model_new(3);
    struct reader sample, frames;
    struct sample_spec spec = spec_of(200, "heun");
    spec.frames = 6;
    reader_start(&frames, engine, model, spec, true);
    reader_start(&sample, engine, model, spec_of(200, "heun"), false);
    reader_finish(&frames);
    reader_finish(&sample);
    const float *states = reader_floats(&frames, 6 * 200 * DIM);
    ck_assert_mem_eq(states + 5 * 200 * DIM, reader_floats(&sample, 200 * DIM),
                     200 * DIM * sizeof *states);
    for (uint64_t row = 0; row < 200; row++) {
        float x[DIM];
        rng_normal((struct rng_key){.seed = 7, .stream = RNG_SOURCE}, row, 0, x, DIM);
        ck_assert_mem_eq(x, states + row * DIM, sizeof x);
    }
    reader_end(&sample);
    reader_end(&frames);
    model_ref_drop(model);
    engine_delete(engine);
}
END_TEST

/* Takes one piece of the answer and then stops reading. */
static void lazy_wake(void *context, struct run *run)
{
    struct reader *reader = context;
    char piece[200];
    reader->wakes++;
    if (reader->wakes == 1)
        run_read(run, piece, sizeof piece, &reader->state);
}

START_TEST(a_reader_that_stops_holds_a_bounded_window_and_no_one_else_up)
{
    struct engine *engine = engine_new(2);
    struct model_ref *model = model_new(4);
    struct err err = {0};
    struct reader lazy = {.state = RUN_MORE}, quick;
    struct sample_spec spec = spec_of(10000000, "euler");
    struct run_options options = {.model = model, .spec = &spec, .format = ROWS_NPY,
                                  .wake = lazy_wake, .context = &lazy};
    ck_assert_int_eq(engine_submit(engine, &options, &lazy.run, &err), 0);
    for (int i = 0; i < 20; i++) {
        reader_start(&quick, engine, model, spec_of(640, "euler"), false);
        reader_finish(&quick);
        reader_end(&quick);
    }
    struct engine_stats stats = engine_stats(engine);
    ck_assert_uint_le(stats.rows, 20 * 640 + 64 * 64);
    run_free(lazy.run);
    model_ref_drop(model);
    engine_delete(engine);
}
END_TEST

START_TEST(a_run_that_is_let_go_leaves_the_engine_to_others)
{
    struct engine *engine = engine_new(1);
    struct model_ref *model = model_new(5);
    for (int i = 0; i < 50; i++) {
        struct reader gone, kept;
        reader_start(&gone, engine, model, spec_of(100000, "rk4"), i % 2);
        reader_start(&kept, engine, model, spec_of(64, "rk4"), false);
        if (i % 3)
            uv_run(&loop, UV_RUN_NOWAIT);
        reader_end(&gone);
        reader_finish(&kept);
        reader_end(&kept);
    }
    struct engine_stats stats = engine_stats(engine);
    ck_assert_uint_eq(stats.runs_active, 0);
    ck_assert_uint_eq(stats.runs, 100);
    ck_assert(fabs(stats.cost_queued) < 1);
    engine_delete(engine);
    ck_assert_uint_eq(atomic_load(&model->references), 1);
    model_ref_drop(model);
}
END_TEST

START_TEST(models_share_the_workers)
{
    struct engine *engine = engine_new(1);
    struct model_ref *models[2] = {model_new(6), model_new(7)};
    struct reader large, small;
    reader_start(&large, engine, models[0], spec_of(300000, "rk4"), false);
    reader_start(&small, engine, models[1], spec_of(10, "rk4"), false);
    reader_finish(&small);
    ck_assert_int_eq(large.state, RUN_MORE);
    reader_end(&large);
    reader_end(&small);
    model_ref_drop(models[0]);
    model_ref_drop(models[1]);
    engine_delete(engine);
}
END_TEST

/* The answer is whole, or says that it came too late; never rows that stopped on their way. */
START_TEST(a_run_with_a_deadline_is_whole_or_fails)
{
    struct engine *engine = engine_new(2);
    struct model_ref *model = model_new(10);
    struct reader plain;
    size_t late = 0, whole = 0;
    reader_start(&plain, engine, model, spec_of(2000, "rk4"), false);
    reader_finish(&plain);
    for (uint64_t timeout_ms = 1; timeout_ms <= 100 && (whole < 5 || late < 5); timeout_ms++) {
        struct sample_spec spec = spec_of(2000, "rk4");
        struct reader reader = {.state = RUN_MORE};
        struct err err = {0};
        struct run_options options = {.model = model,
                                      .spec = &spec,
                                      .format = ROWS_NPY,
                                      .timeout_ms = 1 + timeout_ms / 3,
                                      .wake = reader_wake,
                                      .context = &reader};
        buf_init(&reader.bytes, 1 << 28);
        ck_assert_int_eq(engine_submit(engine, &options, &reader.run, &err), 0);
        while (reader.state == RUN_MORE)
            uv_run(&loop, UV_RUN_ONCE);
        if (reader.state == RUN_END) {
            whole++;
            ck_assert_int_eq(run_error(reader.run, &err), 0);
            ck_assert_uint_eq(reader.bytes.size, plain.bytes.size);
        } else {
            late++;
            ck_assert_int_eq(run_error(reader.run, &err), ERR_DEADLINE);
            ck_assert_str_eq(err.where, "/timeout_ms");
            ck_assert_uint_lt(reader.bytes.size, plain.bytes.size);
        }
        ck_assert_mem_eq(reader.bytes.data, plain.bytes.data, reader.bytes.size);
        reader_end(&reader);
    }
    ck_assert_uint_gt(whole + late, 0);
    ck_assert_uint_eq(engine_stats(engine).runs_active, 1);
    reader_end(&plain);
    model_ref_drop(model);
    engine_delete(engine);
}
END_TEST

START_TEST(a_row_that_is_not_finite_fails_alone)
{
    struct engine *engine = engine_new(1);
    struct model_ref *model = model_new(8);
    struct sample_spec spec = spec_of(3, "euler");
    struct reader reader;
    float x0[3 * DIM] = {0.1f, 0.2f, 0.3f, 3e38f, 3e38f, -3e38f, 0.1f, 0.2f, 0.3f};
    for (size_t i = 0; i < model->model.net.param_count; i++)
        model->model.net.params[i] *= 5; /* so that the second row overflows */
    for (size_t i = 0; i < net_spec_layers(&model->model.spec.net); i++)
        simd_layer_release(&model->model.net.layers[i]);
    ck_assert_int_eq(net_pack(&model->model.net), 0);
    spec.x0 = mem_alloc(3 * DIM, sizeof *spec.x0);
    memcpy(spec.x0, x0, sizeof x0);
    spec.x0_dim = DIM;
    reader_start(&reader, engine, model, spec, false);
    reader_finish(&reader);
    const float *rows = reader_floats(&reader, 3 * DIM);
    ck_assert(isnan(rows[DIM]));
    ck_assert(isfinite(rows[0]));
    ck_assert_mem_eq(rows, rows + 2 * DIM, DIM * sizeof *rows);
    reader_end(&reader);
    model_ref_drop(model);
    engine_delete(engine);
}
END_TEST

START_TEST(readers_that_do_not_read_keep_nobody_out)
{
    struct engine *engine;
    struct model_ref *model = model_new(10);
    struct reader many[ACCOUNT_SHARE], small;
    struct err err = {0};
    const struct engine_options options = {.workers = 2,
                                           .kernels = {simd_select(NULL)},
                                           .loop = &loop,
                                           .cost_limit = 1000,
                                           .bytes_limit = UINT64_MAX};
    ck_assert_int_eq(engine_start(&engine, &options, &err), 0);
    for (size_t i = 0; i < ACCOUNT_SHARE; i++)
        reader_start(&many[i], engine, model, spec_of(100000, "euler"), false);
    /* Nobody reads while the loop stands. */
    for (int i = 0; engine_stats(engine).cost_queued > 0 && i < 3000; i++)
        uv_sleep(1);
    ck_assert_double_eq(engine_stats(engine).cost_queued, 0);
    reader_start(&small, engine, model, spec_of(10, "euler"), false);
    reader_finish(&small);
    /* Whoever reads again gets all. */
    for (size_t i = 0; i < ACCOUNT_SHARE; i++) {
        reader_finish(&many[i]);
        reader_end(&many[i]);
    }
    reader_end(&small);
    ck_assert_double_eq(engine_stats(engine).cost_queued, 0);
    model_ref_drop(model);
    engine_delete(engine);
}
END_TEST

START_TEST(bad_specs_and_overload_are_refused_and_keep_the_spec)
{
    struct engine *engine = engine_new(1);
    struct model_ref *model = model_new(9);
    struct reader first;
    struct err err = {0};
    struct run *run = NULL;
    struct sample_spec spec = spec_of(100, "euler");
    spec.x0 = mem_zalloc(100 * 2, sizeof *spec.x0);
    spec.x0_dim = 2;
    struct run_options options = {.model = model, .spec = &spec, .format = ROWS_NPY,
                                  .wake = reader_wake, .context = &first};
    ck_assert_int_eq(engine_submit(engine, &options, &run, &err), ERR_INVALID);
    ck_assert_str_eq(err.where, "/x0");
    ck_assert_ptr_nonnull(spec.x0);
    sample_spec_release(&spec);
    engine_delete(engine);

    struct engine_options small = {.workers = 1,
                                   .kernels = {simd_select(NULL)},
                                   .loop = &loop,
                                   .cost_limit = 1000,
                                   .bytes_limit = UINT64_MAX};
    ck_assert_int_eq(engine_start(&engine, &small, &err), 0);
    struct reader many[ACCOUNT_SHARE];
    spec = spec_of(100000, "euler");
    spec.steps = LIMIT_STEPS; /* no window is computed before the end of this test */
    for (size_t i = 0; i < ACCOUNT_SHARE; i++)
        reader_start(&many[i], engine, model, spec, false);
    spec = spec_of(10, "euler");
    err = (struct err){0};
    ck_assert_int_eq(engine_submit(engine, &options, &run, &err), ERR_OVERLOADED);
    ck_assert_uint_ge(engine_retry_seconds(engine), 1);
    for (size_t i = 0; i < ACCOUNT_SHARE; i++)
        reader_end(&many[i]);
    engine_delete(engine);

    small.cost_limit = 1e12;
    small.bytes_limit = 100000;
    ck_assert_int_eq(engine_start(&engine, &small, &err), 0);
    reader_start(&first, engine, model, spec_of(100000, "euler"), true);
    err = (struct err){0};
    ck_assert_int_eq(engine_submit(engine, &options, &run, &err), ERR_OVERLOADED);
    reader_end(&first);
    ck_assert_uint_eq(engine_stats(engine).bytes_held, 0);
    sample_spec_release(&spec);
    model_ref_drop(model);
    engine_delete(engine);
}
END_TEST

START_TEST(the_registry_keeps_the_newest_version_of_a_name)
{
    struct registry *registry = registry_new();
    struct model_ref *old = model_new(1), *new = model_new(1), *other = model_new(1);
    new->version = 2;
    snprintf(other->name, sizeof other->name, "a");
    model_ref_take(old);
    ck_assert_int_eq(registry_publish(registry, new), 0);
    ck_assert_int_eq(registry_publish(registry, old), 0); /* late: dropped */
    ck_assert_int_eq(registry_publish(registry, other), 0);
    ck_assert_ptr_eq(registry_find(registry, "random"), new);
    ck_assert_uint_eq(registry_count(registry), 2);
    ck_assert_str_eq(registry_at(registry, 0)->name, "a");
    ck_assert(registry_remove(registry, "random"));
    ck_assert(!registry_remove(registry, "random"));
    ck_assert_uint_eq(atomic_load(&old->references), 1);
    model_ref_drop(old);
    registry_free(registry);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("engine");
    TCase *tests = tcase_create("engine");
    uv_loop_init(&loop);
    tcase_set_timeout(tests, 120);
    tcase_add_test(tests, rows_are_those_of_a_row_that_is_alone);
    tcase_add_test(tests, an_engine_without_memory_does_not_start_and_can_be_started_again);
    tcase_add_test(tests, two_models_are_solved_side_by_side);
    tcase_add_test(tests, idle_workers_help_with_a_wide_network_and_change_no_bit);
    tcase_add_test(tests, the_same_seed_gives_the_same_bytes_for_any_count_workers_and_load);
    tcase_add_test(tests, the_last_frame_is_the_sample_and_the_first_is_the_noise);
    tcase_add_test(tests, a_reader_that_stops_holds_a_bounded_window_and_no_one_else_up);
    tcase_add_test(tests, a_run_that_is_let_go_leaves_the_engine_to_others);
    tcase_add_test(tests, models_share_the_workers);
    tcase_add_test(tests, a_run_with_a_deadline_is_whole_or_fails);
    tcase_add_test(tests, a_row_that_is_not_finite_fails_alone);
    tcase_add_test(tests, readers_that_do_not_read_keep_nobody_out);
    tcase_add_test(tests, bad_specs_and_overload_are_refused_and_keep_the_spec);
    tcase_add_test(tests, the_registry_keeps_the_newest_version_of_a_name);
    suite_add_tcase(suite, tests);
    int code = unit_run(suite);
    uv_loop_close(&loop);
    return code;
}
