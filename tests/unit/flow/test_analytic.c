#include "core/flow/analytic.h"
#include "core/linalg/rng.h"
#include "tests/unit/flow/paths.h"
#include "tests/unit/unit.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { DIM = 2, COMPONENTS = 3, ROWS = 1000, LANES = 64 };

static const double weights[COMPONENTS] = {2, 1, 1};
static const double means[COMPONENTS * DIM] = {-1, 0, 1, 0.8, 1.2, -0.7};
static const double deviations[COMPONENTS * DIM] = {0.3, 0.5, 0.2, 0.2, 0.4, 0.1};

static struct paths paths;

static void set_up(void)
{
    paths_init(&paths);
}

static void tear_down(void)
{
    paths_release(&paths);
}

static struct analytic mixture(const struct path *path)
{
    return (struct analytic){path, DIM, COMPONENTS, weights, means, deviations, 1e-3};
}

static struct analytic gaussian(const struct path *path)
{
    return (struct analytic){path, DIM, 1, NULL, means, deviations, 1e-3};
}

static struct analytic dataset(const struct path *path)
{
    return (struct analytic){path, DIM, COMPONENTS, NULL, means, NULL, 1e-3};
}

static bool near(double value, double expected, double tolerance)
{
    return fabs(value - expected) <= tolerance * (1 + fabs(expected));
}

/* Rows from their states at t = 0 to t, in place. */
static void integrate(struct field field, const char *method, size_t steps, double t, float *x,
                      size_t rows)
{
    const struct grid_spec spec = {.t0 = 0, .t1 = t, .steps = steps};
    struct grid grid;
    struct tile tile;
    ck_assert_int_eq(grid_init(&grid, &spec, NULL), 0);
    ck_assert_int_eq(tile_init(&tile, field, tableau_find(method), simd_select(NULL), LANES), 0);
    for (size_t first = 0; first < rows; first += LANES) {
        size_t count = rows - first < LANES ? rows - first : LANES;
        for (size_t r = 0; r < count; r++)
            tile_add(&tile, x + (first + r) * field.dim, &grid, 0, NULL, r);
        for (size_t i = 0; i < steps; i++)
            tile_step(&tile);
        for (size_t r = 0; r < count; r++) {
            tile_get(&tile, r, x + (first + r) * field.dim);
            tile_drop(&tile, r);
        }
    }
    tile_release(&tile);
    grid_release(&grid);
}

/* Exact draws at t: alpha x1 + beta x0. */
static void draw(const struct analytic *analytic, uint64_t seed, double t, float *out, size_t rows)
{
    const struct path_point at = path_at(analytic->path, t);
    for (size_t r = 0; r < rows; r++) {
        float u[4], data[DIM], noise[DIM];
        rng_uniform((struct rng_key){seed, RNG_SPLIT, 0}, r, 0, u, 4);
        rng_normal((struct rng_key){seed, RNG_TABLE, 0}, r, 0, data, DIM);
        rng_normal((struct rng_key){seed, RNG_SOURCE, 0}, r, 0, noise, DIM);
        size_t k = u[0] < 0.5f ? 0 : u[0] < 0.75f ? 1 : 2;
        for (size_t i = 0; i < DIM; i++) {
            double x1 = means[k * DIM + i] + deviations[k * DIM + i] * (double)data[i];
            out[r * DIM + i] = (float)(at.alpha * x1 + at.beta * (double)noise[i]);
        }
    }
}

static double mean_distance(const float *a, const float *b, size_t rows)
{
    double sum = 0;
    for (size_t i = 0; i < rows; i++) {
        for (size_t j = 0; j < rows; j++) {
            float x = a[i * DIM] - b[j * DIM], y = a[i * DIM + 1] - b[j * DIM + 1];
            sum += (double)sqrtf(x * x + y * y);
        }
    }
    return sum / (double)(rows * rows);
}

/* The energy statistic of two samples over what it is on average where both come from one
   distribution (Szekely and Rizzo 2013): around 1 there. */
static double energy(const float *a, const float *b, size_t rows)
{
    double between = mean_distance(a, b, rows);
    double within = mean_distance(a, a, rows) + mean_distance(b, b, rows);
    return (double)rows / 2 * (2 * between - within) / between;
}

/* Of 300 pairs of exact samples, with other seeds, 19 passed it. */
static const double energy_bound = 2;

START_TEST(samples_on_every_path_are_distributed_as_they_should_be)
{
    static const double times[] = {0.25, 0.5, 1};
    static float x[ROWS * DIM], exact[ROWS * DIM];
    for (int p = 0; p < PATHS; p++) {
        struct analytic analytic = mixture(&paths.all[p]);
        for (size_t i = 0; i < 3; i++) {
            draw(&analytic, 1, 0, x, ROWS);
            draw(&analytic, 2, times[i], exact, ROWS);
            integrate(analytic_field(&analytic), "rk4", 40, times[i], x, ROWS);
            double ratio = energy(x, exact, ROWS);
            ck_assert_msg(ratio < energy_bound, "%s at %g: %g", paths.names[p], times[i], ratio);
        }
    }
}
END_TEST

START_TEST(the_energy_test_can_fail)
{
    static float x[ROWS * DIM], exact[ROWS * DIM];
    struct analytic analytic = mixture(&paths.all[0]);
    draw(&analytic, 1, 0.5, x, ROWS);
    draw(&analytic, 2, 0.75, exact, ROWS);
    ck_assert(energy(x, exact, ROWS) > 2 * energy_bound);
}
END_TEST

/* x(t) = alpha m + s(t) / s(0) (x(0) - alpha(0) m), s^2 = alpha^2 S^2 + beta^2. */
START_TEST(a_gaussian_flows_as_its_map_says)
{
    static const double times[] = {0.4, 1};
    for (int p = 0; p < PATHS; p++) {
        struct analytic analytic = gaussian(&paths.all[p]);
        for (size_t j = 0; j < 2; j++) {
            struct path_point from = path_at(analytic.path, 0);
            struct path_point to = path_at(analytic.path, times[j]);
            float x[DIM] = {0.7f, -1.1f};
            integrate(analytic_field(&analytic), "rk4", 400, times[j], x, 1);
            for (size_t i = 0; i < DIM; i++) {
                double s = deviations[i] * deviations[i];
                double begin = sqrt(from.alpha * from.alpha * s + from.beta * from.beta);
                double end = sqrt(to.alpha * to.alpha * s + to.beta * to.beta);
                double start = i == 0 ? 0.7 : -1.1;
                double expected =
                    to.alpha * means[i] + end / begin * (start - from.alpha * means[i]);
                ck_assert_msg(near((double)x[i], expected, 1e-3), "%s at %g: %g not %g",
                              paths.names[p], times[j], (double)x[i], expected);
            }
        }
    }
}
END_TEST

/* The three predictions and the velocity are expectations given x, so they convert like those of a
   single pair. */
START_TEST(expectations_convert_into_each_other)
{
    const double x[DIM] = {0.3, -0.6};
    for (int p = 0; p < PATHS; p++) {
        struct analytic analytic = mixture(&paths.all[p]);
        for (int i = 1; i < 20; i++) {
            double t = i / 20.0, values[PREDICTION_COUNT][DIM];
            struct path_point at = path_at(analytic.path, t);
            for (int kind = 0; kind < PREDICTION_COUNT; kind++)
                analytic_predict(&analytic, (enum prediction)kind, t, x, values[kind]);
            for (int pair = 0; pair < PREDICTION_COUNT * PREDICTION_COUNT; pair++) {
                int from = pair / PREDICTION_COUNT, to = pair % PREDICTION_COUNT;
                struct prediction_mix mix =
                    prediction_convert((enum prediction)from, (enum prediction)to, &at);
                for (size_t d = 0; d < DIM; d++)
                    ck_assert(near(mix.x * x[d] + mix.from * values[from][d], values[to][d], 1e-6));
            }
        }
    }
}
END_TEST

/* Central differences of order four. */
static double slope_along(const struct analytic *analytic, double t, const double *x, size_t axis)
{
    const double h = 1e-3;
    static const double at[] = {-2, -1, 1, 2}, factor[] = {1, -8, 8, -1};
    double sum = 0;
    for (size_t i = 0; i < 4; i++) {
        double moved[DIM] = {x[0], x[1]};
        if (axis < DIM)
            moved[axis] += at[i] * h;
        sum += factor[i] *
               analytic_log_density(analytic, axis < DIM ? t : t + at[i] * h, moved);
    }
    return sum / (12 * h);
}

START_TEST(the_score_is_the_slope_of_the_density)
{
    const double x[DIM] = {0.3, -0.6};
    for (int p = 0; p < PATHS; p++) {
        struct analytic analytic = mixture(&paths.all[p]);
        for (int i = 1; i < 10; i++) {
            double score[DIM];
            analytic_predict(&analytic, PREDICTION_SCORE, i / 10.0, x, score);
            for (size_t d = 0; d < DIM; d++)
                ck_assert(near(score[d], slope_along(&analytic, i / 10.0, x, d), 1e-4));
        }
    }
}
END_TEST

/* d log p / dt + v . grad log p + div v = 0, at every point of a grid. */
START_TEST(mass_is_conserved)
{
    const double h = 1e-4;
    double worst = 0;
    for (int p = 0; p < PATHS; p++) {
        struct analytic analytic = mixture(&paths.all[p]);
        for (int i = 0; i < 9 * 7 * 7; i++) {
            double t = 0.08 + 0.1 * (i % 9) + 0.0123, residual, scale;
            double x[DIM] = {-1.5 + 0.5 * (i / 9 % 7), -1.5 + 0.5 * (i / 63)};
            double v[DIM], score[DIM], divergence = 0;
            analytic_predict(&analytic, PREDICTION_VELOCITY, t, x, v);
            analytic_predict(&analytic, PREDICTION_SCORE, t, x, score);
            for (size_t d = 0; d < DIM; d++) {
                double there[DIM], back[DIM], moved[DIM] = {x[0], x[1]};
                moved[d] += h;
                analytic_predict(&analytic, PREDICTION_VELOCITY, t, moved, there);
                moved[d] -= 2 * h;
                analytic_predict(&analytic, PREDICTION_VELOCITY, t, moved, back);
                divergence += (there[d] - back[d]) / (2 * h);
            }
            residual = slope_along(&analytic, t, x, DIM) + v[0] * score[0] + v[1] * score[1] +
                       divergence;
            scale = 1 + fabs(divergence) + fabs(v[0] * score[0]) + fabs(v[1] * score[1]);
            worst = fmax(worst, fabs(residual) / scale);
        }
    }
    printf("continuity equation: largest relative residual %.1e\n", worst);
    ck_assert_msg(worst < 1e-3, "%g", worst);
}
END_TEST

START_TEST(a_dataset_has_the_field_of_its_posterior_mean)
{
    struct analytic analytic = dataset(&paths.all[0]);
    const double x[DIM] = {0.2, 0.1}, t = 0.7;
    double v[DIM], expected[DIM] = {0}, total = 0;
    for (size_t k = 0; k < COMPONENTS; k++) {
        double a = x[0] - t * means[k * DIM], b = x[1] - t * means[k * DIM + 1];
        double share = exp(-(a * a + b * b) / (2 * 0.3 * 0.3));
        total += share;
        for (size_t i = 0; i < DIM; i++)
            expected[i] += share * (means[k * DIM + i] - x[i]) / 0.3;
    }
    analytic_predict(&analytic, PREDICTION_VELOCITY, t, x, v);
    for (size_t i = 0; i < DIM; i++)
        ck_assert(near(v[i], expected[i] / total, 1e-12));
}
END_TEST

START_TEST(every_sample_of_a_dataset_is_one_of_its_rows)
{
    enum { SAMPLES = 200 };
    static const struct {
        int path;
        const char *method;
    } cases[] = {{0, "euler"}, {2, "euler"}, {4, "euler"}, {0, "rk4"}};
    for (size_t c = 0; c < sizeof cases / sizeof cases[0]; c++) {
        struct analytic analytic = dataset(&paths.all[cases[c].path]);
        float x[SAMPLES * DIM];
        size_t hits[COMPONENTS] = {0};
        for (size_t r = 0; r < SAMPLES; r++)
            rng_normal((struct rng_key){.seed = 5}, r, 0, x + r * DIM, DIM);
        integrate(analytic_field(&analytic), cases[c].method, 200, 1, x, SAMPLES);
        for (size_t r = 0; r < SAMPLES; r++) {
            for (size_t k = 0; k < COMPONENTS; k++) {
                if (hypot((double)x[r * DIM] - means[k * DIM],
                          (double)x[r * DIM + 1] - means[k * DIM + 1]) < 0.02)
                    hits[k]++;
            }
        }
        ck_assert_uint_eq(hits[0] + hits[1] + hits[2], SAMPLES);
        for (size_t k = 0; k < COMPONENTS; k++)
            ck_assert_uint_gt(hits[k], SAMPLES / 6);
    }
}
END_TEST

START_TEST(fields_are_finite_far_away_and_at_the_ends)
{
    static const double places[][DIM] = {{0, 0}, {1e4, -1e4}, {-1e10, 1e10}};
    for (int p = 0; p < 3 * PATHS; p++) {
        const struct path *path = &paths.all[p / 3];
        struct analytic analytic = p % 3 == 0   ? mixture(path)
                                   : p % 3 == 1 ? gaussian(path)
                                                : dataset(path);
        for (size_t i = 0; i < 9; i++) {
            double v[DIM];
            analytic_predict(&analytic, PREDICTION_VELOCITY, 0.5 * (double)(i / 3), places[i % 3],
                             v);
            ck_assert_msg(isfinite(v[0]) && isfinite(v[1]), "%s", paths.names[p / 3]);
        }
    }
}
END_TEST

START_TEST(the_density_of_a_gaussian_is_known)
{
    struct analytic analytic = gaussian(&paths.all[0]);
    const double x[DIM] = {-0.5, 0.25};
    double expected = -log(2 * acos(-1));
    for (size_t i = 0; i < DIM; i++) {
        double s = 0.25 * deviations[i] * deviations[i] + 0.25, away = x[i] - 0.5 * means[i];
        expected -= 0.5 * (log(s) + away * away / s);
    }
    ck_assert(near(analytic_log_density(&analytic, 0.5, x), expected, 1e-13));
}
END_TEST

START_TEST(a_constant_velocity_moves_everything_alike)
{
    const float velocity[3] = {1, -2, 0.5f};
    const struct analytic_constant constant = {3, velocity};
    float x[6] = {0, 0, 0, 1, 2, 3};
    integrate(analytic_constant_field(&constant), "midpoint", 8, 0.5, x, 2);
    ck_assert(x[0] == 0.5f && x[1] == -1 && x[2] == 0.25f);
    ck_assert(x[3] == 1.5f && x[4] == 1 && x[5] == 3.25f);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("analytic");
    TCase *tests = tcase_create("analytic");
    tcase_set_timeout(tests, 60);
    tcase_add_unchecked_fixture(tests, set_up, tear_down);
    tcase_add_test(tests, samples_on_every_path_are_distributed_as_they_should_be);
    tcase_add_test(tests, the_energy_test_can_fail);
    tcase_add_test(tests, a_gaussian_flows_as_its_map_says);
    tcase_add_test(tests, expectations_convert_into_each_other);
    tcase_add_test(tests, the_score_is_the_slope_of_the_density);
    tcase_add_test(tests, mass_is_conserved);
    tcase_add_test(tests, a_dataset_has_the_field_of_its_posterior_mean);
    tcase_add_test(tests, every_sample_of_a_dataset_is_one_of_its_rows);
    tcase_add_test(tests, fields_are_finite_far_away_and_at_the_ends);
    tcase_add_test(tests, the_density_of_a_gaussian_is_known);
    tcase_add_test(tests, a_constant_velocity_moves_everything_alike);
    suite_add_tcase(suite, tests);
    return unit_run(suite);
}
