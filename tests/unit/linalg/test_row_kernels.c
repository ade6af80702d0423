#include "core/base/mem.h"
#include "core/linalg/rng.h"
#include "core/linalg/simd.h"
#include "tests/unit/unit.h"

#include <string.h>

/* A row must have the same bits in the row kernel and in any tile. */

enum { MAX_ROWS = 17, TILE = 48 };

static const struct {
    size_t in, out;
} sizes[] = {
    {1, 1}, {3, 64}, {64, 2}, {5, 7}, {65, 33}, {130, 129}, {31, 80}, {20, 300},
};

static float *random_array(size_t count, uint64_t row)
{
    float *array = mem_aligned(count, sizeof *array);
    ck_assert_ptr_nonnull(array);
    rng_normal((struct rng_key){.seed = 5}, row, 0, array, count);
    return array;
}

/* A layer, its input once as rows and once as a tile of the same numbers, and its outputs. */
struct both {
    struct simd_layer layer;
    size_t stride; /* of the rows */
    float *rows_in, *rows_out, *tile_in, *tile_out;
};

static struct both both_new(size_t in, size_t out)
{
    struct both both = {.stride = simd_whole_panels(in > out ? in : out)};
    float *weight = random_array(in * out, 1), *bias = random_array(out, 2);
    ck_assert_int_eq(simd_layer_init(&both.layer, weight, bias, in, out), 0);
    both.rows_in = random_array(MAX_ROWS * both.stride, 3);
    both.rows_out = random_array(MAX_ROWS * both.stride, 4);
    both.tile_in = random_array(in * TILE, 5);
    both.tile_out = random_array(simd_whole_outputs(out) * TILE, 6);
    for (size_t r = 0; r < MAX_ROWS; r++) {
        for (size_t i = 0; i < in; i++)
            both.tile_in[i * TILE + r] = both.rows_in[r * both.stride + i];
    }
    mem_free(weight);
    mem_free(bias);
    return both;
}

static void both_free(struct both *both)
{
    simd_layer_release(&both->layer);
    mem_free(both->rows_in);
    mem_free(both->rows_out);
    mem_free(both->tile_in);
    mem_free(both->tile_out);
}

/* One assertion for all numbers: Check writes to a pipe at each. */
static void assert_same(const struct both *both, size_t rows)
{
    size_t different = 0;
    for (size_t r = 0; r < rows; r++) {
        for (size_t o = 0; o < both->layer.out; o++)
            different += memcmp(both->rows_out + r * both->stride + o,
                                both->tile_out + o * TILE + r, sizeof(float)) != 0;
    }
    ck_assert_uint_eq(different, 0);
}

static void check_rows(struct both *both, const struct simd_kernels *kernels,
                       enum activation activation, struct simd_team *team)
{
    const struct simd_shape tile = {.stride = TILE, .lanes = MAX_ROWS};
    kernels->layer(both->tile_out, both->tile_in, &both->layer, activation, tile);
    for (size_t rows = 1; rows <= MAX_ROWS; rows++) {
        memset(both->rows_out, 0, MAX_ROWS * both->stride * sizeof(float));
        kernels->rows(both->rows_out, both->rows_in, &both->layer, activation,
                      (struct simd_shape){.stride = both->stride, .lanes = rows, .team = team});
        assert_same(both, rows);
        if (rows < MAX_ROWS)
            ck_assert_float_eq(both->rows_out[rows * both->stride], 0);
    }
}

START_TEST(a_row_has_the_bits_it_has_in_a_tile)
{
    for (size_t s = 0; s < sizeof sizes / sizeof sizes[0]; s++) {
        struct both both = both_new(sizes[s].in, sizes[s].out);
        for (size_t v = 0; simd_variant(v); v++) {
            const struct simd_kernels *kernels = simd_select(simd_variant(v));
            for (int a = 0; kernels && a < ACTIVATION_COUNT; a++)
                check_rows(&both, kernels, (enum activation)a, NULL);
        }
        both_free(&both);
    }
}
END_TEST

START_TEST(any_number_of_lanes_of_a_tile_can_be_asked_for)
{
    struct both both = both_new(33, 21);
    for (size_t v = 0; simd_variant(v); v++) {
        const struct simd_kernels *kernels = simd_select(simd_variant(v));
        for (size_t lanes = 1; kernels && lanes <= MAX_ROWS; lanes++) {
            kernels->rows(both.rows_out, both.rows_in, &both.layer, ACTIVATION_TANH,
                          (struct simd_shape){.stride = both.stride, .lanes = lanes});
            memset(both.tile_out, 0, simd_whole_outputs(21) * TILE * sizeof(float));
            kernels->layer(both.tile_out, both.tile_in, &both.layer, ACTIVATION_TANH,
                           (struct simd_shape){.stride = TILE, .lanes = lanes});
            assert_same(&both, lanes);
            ck_assert_float_eq(both.tile_out[simd_whole_lanes(lanes)], 0);
        }
    }
    both_free(&both);
}
END_TEST

/* Its members take their turns one after the other, the last one first. */
struct turns {
    struct simd_team team;
    size_t calls;
};

static void turns_share(struct simd_team *team, void (*part)(void *work, size_t i, size_t members),
                        void *work)
{
    struct turns *turns = (struct turns *)team;
    turns->calls++;
    for (size_t i = team->members; i-- > 0;)
        part(work, i, team->members);
}

START_TEST(a_team_computes_the_same_bits)
{
    for (size_t members = 1; members <= 5; members += 2) {
        struct turns turns = {.team = {.members = members, .share = turns_share}};
        struct both both = both_new(512, 600);
        check_rows(&both, simd_select(NULL), ACTIVATION_SILU, &turns.team);
        ck_assert_uint_eq(turns.calls, MAX_ROWS);
        both_free(&both);
    }
}
END_TEST

START_TEST(a_team_is_not_troubled_with_a_small_layer)
{
    struct turns turns = {.team = {.members = 2, .share = turns_share}};
    struct both both = both_new(64, 64);
    check_rows(&both, simd_select(NULL), ACTIVATION_SILU, &turns.team);
    ck_assert_uint_eq(turns.calls, 0);
    both_free(&both);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("row_kernels");
    TCase *tests = tcase_create("row_kernels");
    tcase_add_test(tests, a_row_has_the_bits_it_has_in_a_tile);
    tcase_add_test(tests, any_number_of_lanes_of_a_tile_can_be_asked_for);
    tcase_add_test(tests, a_team_computes_the_same_bits);
    tcase_add_test(tests, a_team_is_not_troubled_with_a_small_layer);
    suite_add_tcase(suite, tests);
    return unit_run(suite);
}
