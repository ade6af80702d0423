#include "core/base/mem.h"
#include "core/flow/model.h"
#include "core/linalg/half.h"
#include "core/linalg/rng.h"
#include "tests/unit/unit.h"

#include <math.h>
#include <string.h>

/* What a row asks for must alone decide its bits: not its neighbours, its lane, the stride of the
   tile, or the vector width. */

enum { ROWS = 37, DIM = 5 };

struct fixture {
    struct model model;
    struct grid grids[4];
    float x0[ROWS][DIM];
    float alone[ROWS][DIM];
};

static void fixture_init(struct fixture *fixture, enum prediction prediction, int noise_at)
{
    static const struct grid_spec grids[] = {
        {.t0 = 0.0, .t1 = 1.0, .steps = 7},
        {.t0 = 1.0, .t1 = 0.25, .steps = 11},
        {.t0 = 0.1, .t1 = 0.9, .steps = 3},
        {.t0 = 0.0, .t1 = 1.0, .steps = 1},
    };
    struct net_spec spec = {
        .dim = DIM,
        .activation = ACTIVATION_SILU,
        .time = {.input = TIME_LAST, .scale = 1.0},
        .hidden_count = 2,
        .hidden = {35, 40},
    };
    memset(fixture, 0, sizeof *fixture);
    ck_assert_int_eq(net_init(&fixture->model.net, &spec, NULL), 0);
    net_randomize(fixture->model.net.params, &spec, 11);
    ck_assert_int_eq(net_pack(&fixture->model.net), 0);
    fixture->model.spec = (struct model_spec){
        .net = spec,
        .path = {.kind = PATH_VP, .beta_min = 0.1, .beta_max = 20},
        .prediction = prediction,
        .noise_at = noise_at,
        .clamp = MODEL_CLAMP,
    };
    for (size_t g = 0; g < 4; g++) {
        ck_assert_int_eq(grid_init(&fixture->grids[g], &grids[g], NULL), 0);
        fixture->grids[g].rtol = 1e-3f;
        fixture->grids[g].atol = g % 2 ? 1e-3f : 1e-6f;
        fixture->grids[g].max_evaluations = 10000;
    }
    for (size_t row = 0; row < ROWS; row++)
        rng_normal((struct rng_key){.seed = 3}, row, 0, fixture->x0[row], DIM);
}

static void fixture_release(struct fixture *fixture)
{
    for (size_t g = 0; g < 4; g++)
        grid_release(&fixture->grids[g]);
    model_release(&fixture->model);
}

static const struct grid *grid_of(const struct fixture *fixture, size_t row)
{
    return &fixture->grids[row % 4];
}

static void run_alone(struct fixture *fixture, const struct tableau *tableau,
                      const struct simd_kernels *kernels)
{
    struct tile tile;
    ck_assert_int_eq(tile_init(&tile, model_field(&fixture->model), tableau, kernels, 16), 0);
    for (size_t row = 0; row < ROWS; row++) {
        const struct grid *grid = grid_of(fixture, row);
        ck_assert_uint_eq(tile_add(&tile, fixture->x0[row], grid, 0, NULL, row), 0);
        while (tile.lanes[0].step < grid->steps)
            tile_step(&tile);
        tile_get(&tile, 0, fixture->alone[row]);
        tile_drop(&tile, 0);
    }
    tile_release(&tile);
}

/* Rows of all grids enter a tile as lanes come free, from the `first` one on, beside a lane of NaN;
   each must end with the bits it has alone. */
static void check_together(struct fixture *fixture, const struct tableau *tableau,
                           const struct simd_kernels *kernels, size_t stride, size_t first)
{
    struct tile tile;
    size_t next = 0, done = 0;
    float nan[DIM] = {NAN, 1.0f, INFINITY, 0.0f, 1e30f};
    ck_assert_int_eq(tile_init(&tile, model_field(&fixture->model), tableau, kernels, stride), 0);
    for (size_t r = 0; r < first; r++)
        tile_add(&tile, nan, &fixture->grids[0], 0, NULL, ROWS);
    while (done < ROWS) {
        for (size_t burst = 0; burst < 9 && next < ROWS && tile.active < stride; burst++) {
            size_t row = (next++ * 5 + first) % ROWS;
            tile_add(&tile, fixture->x0[row], grid_of(fixture, row), 0, NULL, row);
        }
        tile_step(&tile);
        for (size_t lane = 0; lane < stride; lane++) {
            const struct lane *at = &tile.lanes[lane];
            float x[DIM];
            if (!at->grid || at->row == ROWS || at->step < at->grid->steps)
                continue;
            tile_get(&tile, lane, x);
            ck_assert_mem_eq(x, fixture->alone[at->row], sizeof x);
            tile_drop(&tile, lane);
            done++;
        }
    }
    tile_release(&tile);
}

static void check_tiles(struct fixture *fixture, const struct tableau *tableau,
                        const struct simd_kernels *kernels)
{
    check_together(fixture, tableau, kernels, 16, 1);
    check_together(fixture, tableau, kernels, 48, 0);
    check_together(fixture, tableau, kernels, 64, 21);
}

static void check_all(enum prediction prediction, int noise_at)
{
    struct fixture fixture;
    fixture_init(&fixture, prediction, noise_at);
    for (size_t m = 0; tableau_at(m); m++) {
        run_alone(&fixture, tableau_at(m), simd_select(NULL));
        for (size_t i = 0; simd_variant(i); i++) {
            const struct simd_kernels *kernels = simd_select(simd_variant(i));
            if (kernels)
                check_tiles(&fixture, tableau_at(m), kernels);
        }
    }
    fixture_release(&fixture);
}

START_TEST(rows_have_the_same_bits_alone_and_together)
{
    check_all(PREDICTION_VELOCITY, 0);
}
END_TEST

START_TEST(rows_of_a_reversed_network_too)
{
    check_all(PREDICTION_VELOCITY, 1);
}
END_TEST

START_TEST(rows_of_a_network_that_predicts_noise_too)
{
    check_all(PREDICTION_NOISE, 1);
}
END_TEST

START_TEST(rows_in_bfloat16_too)
{
    struct fixture fixture;
    fixture_init(&fixture, PREDICTION_VELOCITY, 0);
    for (int i = PRECISION_F32 + 1; i < PRECISION_COUNT; i++) {
        struct simd_kernels half;
        if (!half_kernels(&half, simd_select(NULL), (enum precision)i, false)) {
            printf("skipped: %s is not on this machine\n", precision_name((enum precision)i));
            continue;
        }
        for (size_t m = 0; tableau_at(m); m++) {
            run_alone(&fixture, tableau_at(m), &half);
            check_tiles(&fixture, tableau_at(m), &half);
        }
    }
    fixture_release(&fixture);
}
END_TEST

/* noise_at = 1: dx/dt = -net(x, 1 - t). */
START_TEST(reversed_network_is_the_mirrored_field)
{
    enum { STRIDE = 16 };
    struct fixture fixture;
    fixture_init(&fixture, PREDICTION_VELOCITY, 1);
    struct field field = model_field(&fixture.model);
    const struct simd_kernels *kernels = simd_select(NULL);
    const struct simd_shape shape = {.stride = STRIDE, .lanes = STRIDE};
    float *x = mem_aligned(DIM * STRIDE, sizeof(float));
    float *v = mem_aligned(8 * STRIDE, sizeof(float));
    float *expected = mem_aligned(8 * STRIDE, sizeof(float));
    float *t = mem_aligned(STRIDE, sizeof(float));
    float *scratch = mem_aligned(field.scratch(field.self, STRIDE), sizeof(float));
    for (size_t i = 0; i < DIM * STRIDE; i++)
        x[i] = (float)i / 40.0f - 1.0f;
    for (size_t r = 0; r < STRIDE; r++)
        t[r] = (float)r / 16.0f;
    field.velocity(field.self, kernels, v, x, t, scratch, shape);
    for (size_t r = 0; r < STRIDE; r++)
        t[r] = 1.0f - t[r];
    net_velocity(&fixture.model.net, kernels, expected, x, t, scratch, shape);
    for (size_t i = 0; i < DIM * STRIDE; i++)
        ck_assert(v[i] == -expected[i]);
    mem_free(x);
    mem_free(v);
    mem_free(expected);
    mem_free(t);
    mem_free(scratch);
    fixture_release(&fixture);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("batching");
    TCase *tests = tcase_create("batching");
    tcase_set_timeout(tests, 60);
    tcase_add_test(tests, rows_have_the_same_bits_alone_and_together);
    tcase_add_test(tests, rows_of_a_reversed_network_too);
    tcase_add_test(tests, rows_of_a_network_that_predicts_noise_too);
    tcase_add_test(tests, rows_in_bfloat16_too);
    tcase_add_test(tests, reversed_network_is_the_mirrored_field);
    suite_add_tcase(suite, tests);
    return unit_run(suite);
}
