#include "core/base/mem.h"
#include "core/net/net.h"
#include "tests/unit/unit.h"

#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

enum { DIM = 3, ROWS = 4, LANES = 48 };

/* The same numbers as in tests/reference/make_net_reference.py. */
static float rule(size_t i, size_t factor, size_t offset, size_t modulus, float unit)
{
    return ((float)((i * factor + offset) % modulus) - (float)(modulus / 2)) / unit;
}

static const float times[ROWS] = {0, 0.25f, 0.625f, 1};

/* A network with room for a tile around it. */
struct bench {
    struct net net;
    const struct simd_kernels *kernels;
    float *x, *t, *v, *scratch;
};

static void bench_init(struct bench *bench, const struct net_spec *spec)
{
    struct err err = {0};
    ck_assert_int_eq(net_init(&bench->net, spec, &err), 0);
    for (size_t i = 0; i < bench->net.param_count; i++)
        bench->net.params[i] = rule(i, 37, 11, 101, 64);
    ck_assert_int_eq(net_pack(&bench->net), 0);
    bench->kernels = simd_select(NULL);
    bench->x = mem_aligned(spec->dim * LANES, sizeof(float));
    bench->t = mem_aligned(LANES, sizeof(float));
    bench->v = mem_aligned(simd_whole_outputs(spec->dim) * LANES, sizeof(float));
    bench->scratch = mem_aligned(net_scratch(spec, LANES), sizeof(float));
    ck_assert(bench->x && bench->t && bench->v && bench->scratch);
    for (size_t lane = 0; lane < LANES; lane++) {
        bench->t[lane] = times[lane % ROWS];
        for (size_t i = 0; i < spec->dim; i++)
            bench->x[i * LANES + lane] = rule(lane % ROWS * spec->dim + i, 29, 5, 41, 8);
    }
}

static void bench_release(struct bench *bench)
{
    net_release(&bench->net);
    mem_free(bench->x);
    mem_free(bench->t);
    mem_free(bench->v);
    mem_free(bench->scratch);
}

static void bench_run(struct bench *bench, size_t lanes)
{
    net_velocity(&bench->net, bench->kernels, bench->v, bench->x, bench->t, bench->scratch,
                 (struct simd_shape){.stride = LANES, .lanes = lanes});
}

static void read_case(FILE *file, struct net_spec *spec, float expected[ROWS * DIM])
{
    char activation[16], input[16];
    int cos_first, before_x;
    *spec = (struct net_spec){.dim = DIM, .hidden_count = 2, .hidden = {8, 5}};
    struct time_spec *time = &spec->time;
    ck_assert_int_eq(
        fscanf(file, "%15s %15s %lf %d %d", activation, input, &time->scale, &cos_first, &before_x),
        5);
    ck_assert(activation_find(activation, &spec->activation));
    ck_assert(time_input_find(input, &time->input));
    time->cos_first = cos_first;
    time->before_x = before_x;
    time->max_period = 10000;
    memcpy(time->frequencies, (double[]){0.5, 1, 2.25}, 3 * sizeof(double));
    time->frequency_count = time->input == TIME_FOURIER || time->input == TIME_SINUSOIDAL ? 3 : 0;
    for (size_t i = 0; i < ROWS * DIM; i++)
        ck_assert_int_eq(fscanf(file, "%f", &expected[i]), 1);
}

START_TEST(the_velocity_is_that_of_pytorch)
{
    FILE *file = fopen(GOLDEN_DIR "/net_reference.txt", "r");
    int cases;
    ck_assert_ptr_nonnull(file);
    ck_assert_int_eq(fscanf(file, "%d", &cases), 1);
    ck_assert_int_ge(cases, 19);
    for (int i = 0; i < cases; i++) {
        struct net_spec spec;
        struct bench bench;
        float expected[ROWS * DIM];
        read_case(file, &spec, expected);
        bench_init(&bench, &spec);
        bench_run(&bench, LANES);
        for (size_t lane = 0; lane < LANES; lane++) {
            for (size_t d = 0; d < DIM; d++) {
                float value = bench.v[d * LANES + lane], wanted = expected[lane % ROWS * DIM + d];
                ck_assert_msg(fabsf(value - wanted) <= 1e-5f * fmaxf(fabsf(wanted), 1),
                              "case %d, row %zu: %.9g, not %.9g", i, lane % ROWS, (double)value,
                              (double)wanted);
            }
        }
        bench_release(&bench);
    }
    fclose(file);
}
END_TEST

static struct net_spec fourier_spec(size_t dim)
{
    return (struct net_spec){
        .dim = dim,
        .activation = ACTIVATION_SILU,
        .time = {.input = TIME_FOURIER, .scale = 1, .frequency_count = 2, .frequencies = {1, 3}},
        .hidden_count = 2,
        .hidden = {20, 7},
    };
}

/* Neighbours change, the number of lanes changes, the lane moves: its bits do not. */
START_TEST(a_row_depends_on_itself_alone)
{
    struct net_spec spec = fourier_spec(5);
    struct bench bench;
    float alone[5];
    bench_init(&bench, &spec);
    bench_run(&bench, 16);
    for (size_t i = 0; i < 5; i++)
        alone[i] = bench.v[i * LANES + 2];
    for (size_t i = 0; i < 5; i++) {
        float own = bench.x[i * LANES + 2];
        for (size_t lane = 0; lane < LANES; lane++)
            bench.x[i * LANES + lane] = lane == 41 ? own : 1e30f * (float)lane;
    }
    for (size_t lane = 0; lane < LANES; lane++)
        bench.t[lane] = lane == 41 ? times[2] : NAN;
    bench_run(&bench, LANES);
    for (size_t i = 0; i < 5; i++)
        ck_assert_mem_eq(&alone[i], &bench.v[i * LANES + 41], sizeof alone[i]);
    bench_release(&bench);
}
END_TEST

START_TEST(variants_give_the_same_bits)
{
    struct net_spec spec = fourier_spec(6);
    struct bench bench;
    float first[6 * LANES];
    bench_init(&bench, &spec);
    bench_run(&bench, LANES);
    memcpy(first, bench.v, sizeof first);
    for (size_t i = 0; simd_variant(i); i++) {
        bench.kernels = simd_select(simd_variant(i));
        if (!bench.kernels)
            continue;
        bench_run(&bench, LANES);
        ck_assert_mem_eq(first, bench.v, sizeof first);
    }
    bench_release(&bench);
}
END_TEST

/* v and scratch are allocated to the float, so that the sanitizer sees a step too far. */
START_TEST(any_dimension_stays_inside_its_memory)
{
    for (size_t dim = 1; dim <= 9; dim++) {
        struct net_spec spec = fourier_spec(dim);
        struct bench bench;
        bench_init(&bench, &spec);
        bench.v[dim * LANES - 1] = 42;
        bench_run(&bench, 32);
        ck_assert_float_eq(bench.v[dim * LANES - 1], 42);
        bench_release(&bench);
    }
}
END_TEST

START_TEST(random_weights_are_uniform_and_follow_the_seed)
{
    struct net_spec spec = fourier_spec(4);
    enum { MOST = 1024 };
    float params[MOST], again[MOST], other[MOST];
    size_t count = net_spec_parameters(&spec);
    ck_assert_uint_le(count, MOST);
    net_randomize(params, &spec, 1);
    net_randomize(again, &spec, 1);
    net_randomize(other, &spec, 2);
    ck_assert_mem_eq(params, again, count * sizeof *params);
    ck_assert_mem_ne(params, other, count * sizeof *params);
    for (size_t layer = 0; layer < net_spec_layers(&spec); layer++) {
        size_t in = net_spec_in(&spec, layer), n = (in + 1) * net_spec_out(&spec, layer);
        double bound = 1 / sqrt((double)in), largest = 0, sum = 0;
        for (size_t i = 0; i < n; i++) {
            double value = (double)params[net_spec_weight_offset(&spec, layer) + i];
            largest = fmax(largest, fabs(value));
            sum += value;
        }
        ck_assert(largest <= bound && largest > 0.8 * bound);
        ck_assert_double_le(fabs(sum / (double)n), 4 * bound / sqrt(3 * (double)n));
    }
}
END_TEST

START_TEST(memory_that_runs_out_is_reported)
{
    struct net_spec spec = fourier_spec(4);
    struct net net;
    struct err err = {0};
    mem_fail_after(0);
    ck_assert_int_eq(net_init(&net, &spec, &err), ERR_NOMEM);
    mem_fail_after(SIZE_MAX);
    ck_assert_int_eq(err.code, ERR_NOMEM);
    ck_assert_int_eq(net_init(&net, &spec, NULL), 0);
    for (size_t after = 0; after < 6; after++) {
        mem_fail_after(after);
        ck_assert_int_eq(net_pack(&net), ERR_NOMEM);
    }
    mem_fail_after(SIZE_MAX);
    ck_assert_int_eq(net_pack(&net), 0);
    net_release(&net);
    net_release(&net);
}
END_TEST

START_TEST(an_impossible_spec_gives_no_network)
{
    struct net_spec spec = fourier_spec(0);
    struct net net;
    struct err err = {0};
    ck_assert_int_eq(net_init(&net, &spec, &err), ERR_INVALID);
    ck_assert_str_eq(err.where, "/network/dim");
    net_release(&net);
}
END_TEST

START_TEST(a_tile_is_lower_where_the_layers_outgrow_the_cache)
{
    struct net_spec spec = fourier_spec(4);
    size_t cache = net_scratch(&spec, 64) * sizeof(float) / 2;
    ck_assert_uint_eq(net_tile_lanes(&spec, cache), 64);
    ck_assert_uint_eq(net_tile_lanes(&spec, cache - 1), 32);
    spec.hidden[1] = 1024;
    ck_assert_uint_eq(net_tile_lanes(&spec, 1 << 20), 64);
    spec.hidden[1] = LIMIT_LAYER_WIDTH;
    ck_assert_uint_eq(net_tile_lanes(&spec, 1 << 20), 32);
}
END_TEST

/* Few lanes take another kernel. */
START_TEST(any_number_of_lanes_gives_the_same_bits)
{
    for (int input = TIME_FIRST; input <= TIME_SINUSOIDAL; input++) {
        struct net_spec spec = fourier_spec(5);
        struct bench bench;
        float all[5 * LANES];
        spec.time.input = (enum time_input)input;
        spec.time.max_period = 100;
        spec.time.before_x = true;
        if (input == TIME_FIRST || input == TIME_LAST)
            spec.time.frequency_count = 0;
        bench_init(&bench, &spec);
        bench_run(&bench, LANES);
        memcpy(all, bench.v, sizeof all);
        for (size_t i = 0; simd_variant(i); i++) {
            bench.kernels = simd_select(simd_variant(i));
            for (size_t lanes = 1; bench.kernels && lanes <= 17; lanes++) {
                memset(bench.v, 0, sizeof all);
                bench_run(&bench, lanes);
                for (size_t d = 0; d < 5; d++)
                    ck_assert_mem_eq(bench.v + d * LANES, all + d * LANES, lanes * sizeof *all);
            }
        }
        bench_release(&bench);
    }
}
END_TEST

START_TEST(cost_counts_multiply_adds)
{
    struct net_spec spec = fourier_spec(4);
    ck_assert_double_eq(net_cost(&spec), 8 * 20 + 20 * 7 + 7 * 4);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("net");
    TCase *tests = tcase_create("net");
    tcase_add_test(tests, the_velocity_is_that_of_pytorch);
    tcase_add_test(tests, a_row_depends_on_itself_alone);
    tcase_add_test(tests, variants_give_the_same_bits);
    tcase_add_test(tests, any_dimension_stays_inside_its_memory);
    tcase_add_test(tests, random_weights_are_uniform_and_follow_the_seed);
    tcase_add_test(tests, memory_that_runs_out_is_reported);
    tcase_add_test(tests, an_impossible_spec_gives_no_network);
    tcase_add_test(tests, a_tile_is_lower_where_the_layers_outgrow_the_cache);
    tcase_add_test(tests, any_number_of_lanes_gives_the_same_bits);
    tcase_add_test(tests, cost_counts_multiply_adds);
    suite_add_tcase(suite, tests);
    return unit_run(suite);
}
