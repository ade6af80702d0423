#include "core/linalg/rng.h"
#include "core/train/batch.h"
#include "tests/unit/unit.h"

#include <math.h>
#include <stdbool.h>
#include <string.h>

enum { DIM = 2, ROWS = 23, SIZE = 10 };

START_TEST(shuffle_is_a_bijection)
{
    static bool seen[5000];
    static const uint32_t counts[] = {1, 2, 3, 4, 5, 16, 17, 310, 1024, 4097};
    for (size_t i = 0; i < sizeof counts / sizeof counts[0]; i++) {
        struct shuffle shuffle = shuffle_of(7, i, counts[i]);
        memset(seen, 0, sizeof seen);
        for (uint32_t index = 0; index < counts[i]; index++) {
            uint32_t at = shuffle_at(&shuffle, index);
            ck_assert_uint_lt(at, counts[i]);
            ck_assert(!seen[at]);
            seen[at] = true;
        }
    }
}
END_TEST

START_TEST(shuffles_of_epochs_and_seeds_are_unlike)
{
    const struct shuffle a = shuffle_of(7, 0, 1000);
    const struct shuffle b = shuffle_of(7, 1, 1000);
    const struct shuffle c = shuffle_of(8, 0, 1000);
    size_t fixed = 0, same_epoch = 0, same_seed = 0;
    for (uint32_t i = 0; i < 1000; i++) {
        fixed += shuffle_at(&a, i) == i;
        same_epoch += shuffle_at(&a, i) == shuffle_at(&b, i);
        same_seed += shuffle_at(&a, i) == shuffle_at(&c, i);
    }
    ck_assert_uint_lt(fixed, 10);
    ck_assert_uint_lt(same_epoch, 10);
    ck_assert_uint_lt(same_seed, 10);
}
END_TEST

/* Where an element goes must be uniform: chi-squared over 5 places in 5,000 epochs. */
START_TEST(shuffle_sends_rows_everywhere)
{
    enum { PLACES = 5, EPOCHS = 5000 };
    for (uint32_t row = 0; row < PLACES; row++) {
        double hits[PLACES] = {0}, chi = 0;
        for (uint64_t epoch = 0; epoch < EPOCHS; epoch++) {
            struct shuffle shuffle = shuffle_of(1, epoch, PLACES);
            hits[shuffle_at(&shuffle, row)]++;
        }
        for (size_t i = 0; i < PLACES; i++)
            chi += (hits[i] - 1000) * (hits[i] - 1000) / 1000;
        ck_assert_double_lt(chi, 25); /* 4 degrees of freedom: 5e-5 of all seeds */
    }
}
END_TEST

struct fixture {
    float rows[(ROWS + 1) * DIM];
    uint32_t order[ROWS];
    float x[SIZE * DIM], v[SIZE * DIM], t[SIZE];
    struct batch batch;
    struct batch_source source;
};

static const struct path linear = {.kind = PATH_LINEAR};

/* Row r of the data is (100 r, -100 r), out of reach of the noise; row 0 is not in the order. */
static void fixture_init(struct fixture *fixture)
{
    memset(fixture, 0, sizeof *fixture);
    for (size_t r = 0; r <= ROWS; r++) {
        fixture->rows[r * DIM] = 100.0f * (float)r;
        fixture->rows[r * DIM + 1] = -100.0f * (float)r;
    }
    for (uint32_t i = 0; i < ROWS; i++)
        fixture->order[i] = i + 1;
    fixture->batch = (struct batch){fixture->x, fixture->v, fixture->t, SIZE};
    fixture->source =
        (struct batch_source){5, &linear, DIM, fixture->rows, fixture->order, ROWS};
}

/* The row of the data that batch row r came from: x1 = x + (1 - t) v. */
static size_t row_of(const struct fixture *fixture, size_t r)
{
    float left = 1.0f - fixture->t[r];
    float a = fixture->x[r * DIM] + left * fixture->v[r * DIM];
    float b = fixture->x[r * DIM + 1] + left * fixture->v[r * DIM + 1];
    ck_assert_float_eq_tol(a, -b, 1e-3f);
    return (size_t)lroundf(a / 100.0f);
}

START_TEST(every_row_is_drawn_equally_often)
{
    struct fixture fixture;
    size_t hits[ROWS + 1] = {0};
    fixture_init(&fixture);
    for (uint64_t step = 0; step < ROWS; step++) {
        batch_draw(&fixture.batch, &fixture.source, step);
        for (size_t r = 0; r < SIZE; r++)
            hits[row_of(&fixture, r)]++;
    }
    ck_assert_uint_eq(hits[0], 0);
    for (size_t row = 1; row <= ROWS; row++)
        ck_assert_uint_eq(hits[row], SIZE);
}
END_TEST

START_TEST(each_stratum_of_time_has_one_row)
{
    struct fixture fixture;
    double sum = 0;
    fixture_init(&fixture);
    for (uint64_t step = 0; step < 1000; step++) {
        batch_draw(&fixture.batch, &fixture.source, step);
        for (size_t r = 0; r < SIZE; r++) {
            ck_assert(fixture.t[r] >= (float)r / SIZE && fixture.t[r] <= (float)(r + 1) / SIZE);
            ck_assert(fixture.t[r] > 0 && fixture.t[r] < 1);
            sum += (double)fixture.t[r];
        }
    }
    ck_assert_double_eq_tol(sum / (1000 * SIZE), 0.5, 0.002);
}
END_TEST

START_TEST(noise_is_standard_normal_and_new_in_each_step)
{
    struct fixture fixture;
    double sum = 0, square = 0, before = 0;
    fixture_init(&fixture);
    for (uint64_t step = 0; step < 2000; step++) {
        batch_draw(&fixture.batch, &fixture.source, step);
        double first = 0;
        for (size_t r = 0; r < SIZE; r++) {
            double x1 = 100.0 * (double)row_of(&fixture, r);
            double x0 = x1 - (double)fixture.v[r * DIM];
            first = r ? first : x0;
            sum += x0;
            square += x0 * x0;
        }
        ck_assert(first != before);
        before = first;
    }
    ck_assert_double_eq_tol(sum / (2000 * SIZE), 0, 0.03);
    ck_assert_double_eq_tol(square / (2000 * SIZE), 1, 0.04);
}
END_TEST

START_TEST(batch_is_a_function_of_seed_and_step)
{
    struct fixture a, b;
    fixture_init(&a);
    fixture_init(&b);
    batch_draw(&a.batch, &a.source, 41);
    batch_draw(&b.batch, &b.source, 3);
    batch_draw(&b.batch, &b.source, 41);
    ck_assert_mem_eq(a.x, b.x, sizeof a.x);
    ck_assert_mem_eq(a.v, b.v, sizeof a.v);
    ck_assert_mem_eq(a.t, b.t, sizeof a.t);
    b.source.seed++;
    batch_draw(&b.batch, &b.source, 41);
    ck_assert(memcmp(a.x, b.x, sizeof a.x) != 0);
}
END_TEST

START_TEST(validation_pairs_every_row_with_the_same_times)
{
    struct fixture fixture;
    size_t hits[ROWS + 1] = {0};
    fixture_init(&fixture);
    for (uint64_t first = 0; first < ROWS * VALIDATION_TIMES; first += SIZE) {
        batch_fixed(&fixture.batch, &fixture.source, first);
        for (size_t r = 0; r < SIZE; r++) {
            ck_assert_float_eq_tol(fixture.t[r], ((float)r + 0.5f) / VALIDATION_TIMES, 1e-6f);
            hits[row_of(&fixture, r)]++;
        }
    }
    for (size_t row = 1; row <= ROWS; row++)
        ck_assert_uint_eq(hits[row], VALIDATION_TIMES);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("batch");
    TCase *tests = tcase_create("batch");
    tcase_add_test(tests, shuffle_is_a_bijection);
    tcase_add_test(tests, shuffles_of_epochs_and_seeds_are_unlike);
    tcase_add_test(tests, shuffle_sends_rows_everywhere);
    tcase_add_test(tests, every_row_is_drawn_equally_often);
    tcase_add_test(tests, each_stratum_of_time_has_one_row);
    tcase_add_test(tests, noise_is_standard_normal_and_new_in_each_step);
    tcase_add_test(tests, batch_is_a_function_of_seed_and_step);
    tcase_add_test(tests, validation_pairs_every_row_with_the_same_times);
    suite_add_tcase(suite, tests);
    return unit_run(suite);
}
