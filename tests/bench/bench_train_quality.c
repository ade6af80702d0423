/* How well a short training reproduces small data, for choosing the defaults of core/train/spec.c.

     bench_train_quality [name=value ...]

   Names: steps, batch, lr, decay, ema, warmup, depth, width, fourier (frequencies 1 .. n), seed,
   every (validation). For each data set and each kind of weights (last parameters, EMA, best
   validation) it prints the largest error of a mean, in standard deviations, and of a standard
   deviation, in per cent, of the numeric columns; the largest error of a level's proportion, in
   points; the sliced 1-Wasserstein distance of 4,000 samples to 4,000 fresh rows of the same
   distribution (that of the training rows to them stands beside it); and how near samples come to
   training rows, as a ratio to how near fresh rows come (well below 1: the rows are learnt by
   heart). */
#include "core/base/check.h"
#include "core/base/mem.h"
#include "core/flow/model.h"
#include "core/linalg/mat.h"
#include "core/linalg/rng.h"
#include "core/train/trainer.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { FRESH = 4000, PROJECTIONS = 32, LANES = 128, MAX_DIM = 16, LEVELS = 3 };

/* A table's rows as floats: numeric columns first, then blocks of LEVELS one-hot columns. */
struct data_set {
    const char *name;
    size_t count;
    size_t numeric;
    size_t categories;
    void (*draw)(float *row, uint64_t seed, uint64_t index);
};

static size_t width_of(const struct data_set *set)
{
    return set->numeric + set->categories * LEVELS;
}

struct noise {
    float uniform[8];
    float normal[8];
};

static struct noise noise_of(uint64_t seed, uint64_t index)
{
    struct noise noise;
    rng_uniform((struct rng_key){seed, RNG_PROBE, 0}, index, 0, noise.uniform, 8);
    rng_normal((struct rng_key){seed, RNG_PROBE, 1}, index, 0, noise.normal, 8);
    return noise;
}

/* Like the penguins: three species of unlike size, two kinds of three levels that depend on it,
   four measures that depend on species and kind and on each other, and a year of three values. */
static void draw_table(float *row, uint64_t seed, uint64_t index)
{
    static const float mean[3][4] = {
        {38.8f, 18.3f, 190, 3700}, {48.8f, 18.4f, 196, 3730}, {47.5f, 15.0f, 217, 5080}};
    static const float kind[4] = {1.8f, 0.7f, 3.5f, 330};
    static const float spread[4] = {2.2f, 0.9f, 5.5f, 310};
    struct noise noise = noise_of(seed, index);
    const float *u = noise.uniform, *z = noise.normal;
    size_t species = u[0] < 0.44f ? 0 : u[0] < 0.64f ? 1 : 2;
    size_t sex = u[1] < 0.49f ? 0 : u[1] < 0.98f ? 1 : 2;
    size_t island = species == 1 ? 1 : species == 2 ? 2 : u[2] < 0.34f ? 0 : u[2] < 0.7f ? 1 : 2;
    memset(row, 0, (5 + 3 * LEVELS) * sizeof *row);
    for (size_t i = 0; i < 4; i++) {
        float common = 0.6f * z[4] + 0.8f * z[i];
        row[i] = mean[species][i] + kind[i] * (sex == 0 ? -1.0f : 1.0f) + spread[i] * common;
    }
    row[4] = 2007.0f + floorf(3.0f * u[3]);
    row[5 + species] = 1.0f;
    row[5 + LEVELS + island] = 1.0f;
    row[5 + 2 * LEVELS + sex] = 1.0f;
}

static void draw_moons(float *row, uint64_t seed, uint64_t index)
{
    struct noise noise = noise_of(seed, index);
    double sine, cosine;
    rng_sincos_turns(0.5 * (double)noise.uniform[0], &sine, &cosine);
    bool upper = noise.uniform[1] < 0.5f;
    row[0] = (float)(upper ? cosine : 1.0 - cosine) + 0.05f * noise.normal[0];
    row[1] = (float)(upper ? sine : 0.5 - sine) + 0.05f * noise.normal[1];
}

static void draw_eight(float *row, uint64_t seed, uint64_t index)
{
    struct noise noise = noise_of(seed, index);
    double sine, cosine;
    rng_sincos_turns(floor(8.0 * (double)noise.uniform[0]) / 8.0, &sine, &cosine);
    row[0] = 4.0f * (float)cosine + 0.3f * noise.normal[0];
    row[1] = 4.0f * (float)sine + 0.3f * noise.normal[1];
}

static const struct data_set data_sets[] = {
    {"table of 344 rows", 344, 5, 3, draw_table},
    {"table of 4000 rows", 4000, 5, 3, draw_table},
    {"moons of 1000 rows", 1000, 2, 0, draw_moons},
    {"eight Gaussians of 4000 rows", 4000, 2, 0, draw_eight},
};

static float *new_floats(size_t count)
{
    float *floats = mem_aligned(count, sizeof *floats);
    check(floats);
    return floats;
}

static float *draw_rows(const struct data_set *set, size_t count, uint64_t seed)
{
    size_t width = width_of(set);
    float *rows = new_floats(count * width);
    for (size_t i = 0; i < count; i++)
        set->draw(rows + i * width, seed, i);
    return rows;
}

struct moments {
    double mean[MAX_DIM];
    double std[MAX_DIM];
};

static struct moments moments_of(const float *rows, size_t count, size_t width)
{
    struct moments moments = {0};
    for (size_t i = 0; i < width; i++) {
        double square = 0.0;
        for (size_t r = 0; r < count; r++)
            moments.mean[i] += (double)rows[r * width + i] / (double)count;
        for (size_t r = 0; r < count; r++) {
            double away = (double)rows[r * width + i] - moments.mean[i];
            square += away * away / (double)count;
        }
        moments.std[i] = sqrt(square);
    }
    return moments;
}

static void standardise(float *rows, size_t count, const struct data_set *set,
                        const struct moments *moments)
{
    size_t width = width_of(set);
    for (size_t r = 0; r < count; r++)
        for (size_t i = 0; i < set->numeric; i++)
            rows[r * width + i] =
                (float)(((double)rows[r * width + i] - moments->mean[i]) / moments->std[i]);
}

/* Each categorical block becomes the one-hot row of its largest entry. */
static void decode(float *rows, size_t count, const struct data_set *set)
{
    size_t width = width_of(set);
    for (size_t r = 0; r < count; r++) {
        for (size_t c = 0; c < set->categories; c++) {
            float *block = rows + r * width + set->numeric + c * LEVELS;
            size_t best = 0;
            for (size_t i = 1; i < LEVELS; i++)
                best = block[i] > block[best] ? i : best;
            for (size_t i = 0; i < LEVELS; i++)
                block[i] = i == best ? 1.0f : 0.0f;
        }
    }
}

static float *sample(const struct net_spec *spec, const float *weights, size_t count)
{
    const struct grid_spec uniform = {.t1 = 1.0, .steps = 100};
    struct model model = {.spec = {.net = *spec}};
    struct tile tile;
    struct grid grid;
    float *rows = new_floats(count * spec->dim);
    check(!net_init(&model.net, spec, NULL) && !grid_init(&grid, &uniform, NULL));
    memcpy(model.net.params, weights, model.net.param_count * sizeof *weights);
    check(!net_pack(&model.net));
    check(!tile_init(&tile, model_field(&model), tableau_find("euler"), simd_select(NULL), LANES));
    for (size_t done = 0; done < count; done += LANES) {
        size_t lanes = count - done < LANES ? count - done : LANES;
        for (size_t r = 0; r < lanes; r++) {
            float x[MAX_DIM];
            rng_normal((struct rng_key){1, RNG_SOURCE, 0}, done + r, 0, x, spec->dim);
            tile_add(&tile, x, &grid, 0, NULL, r);
        }
        for (size_t i = 0; i < grid.steps; i++)
            tile_step(&tile);
        for (size_t r = 0; r < lanes; r++) {
            tile_get(&tile, r, rows + (done + r) * spec->dim);
            tile_drop(&tile, r);
        }
    }
    tile_release(&tile);
    grid_release(&grid);
    model_release(&model);
    return rows;
}

static int compare_floats(const void *a, const void *b)
{
    float x = *(const float *)a, y = *(const float *)b;
    return (x > y) - (x < y);
}

static void project(float *out, const float *rows, size_t count, size_t width, const float *axis)
{
    for (size_t r = 0; r < count; r++) {
        out[r] = 0.0f;
        for (size_t i = 0; i < width; i++)
            out[r] += axis[i] * rows[r * width + i];
    }
    qsort(out, count, sizeof *out, compare_floats);
}

/* Mean over random directions of the distance between quantile functions. */
static double sliced(const float *a, size_t a_count, const float *b, size_t b_count, size_t width)
{
    float *x = new_floats(a_count), *y = new_floats(b_count);
    double sum = 0.0;
    for (size_t p = 0; p < PROJECTIONS; p++) {
        float axis[MAX_DIM], norm = 0.0f;
        rng_normal((struct rng_key){7, RNG_PROBE, 2}, p, 0, axis, width);
        for (size_t i = 0; i < width; i++)
            norm += axis[i] * axis[i];
        project(x, a, a_count, width, axis);
        project(y, b, b_count, width, axis);
        for (size_t q = 0; q < 1000; q++)
            sum += fabs((double)x[q * a_count / 1000] - (double)y[q * b_count / 1000]) /
                   sqrt((double)norm);
    }
    mem_free(x);
    mem_free(y);
    return sum / (1000.0 * PROJECTIONS);
}

/* Median distance from up to 1,000 rows to the nearest training row. */
static double nearness(const float *rows, const float *train, size_t count, size_t width)
{
    float nearest[1000];
    for (size_t r = 0; r < 1000; r++) {
        nearest[r] = INFINITY;
        for (size_t s = 0; s < count; s++) {
            float square = 0.0f;
            for (size_t i = 0; i < width; i++) {
                float away = rows[r * width + i] - train[s * width + i];
                square += away * away;
            }
            nearest[r] = square < nearest[r] ? square : nearest[r];
        }
    }
    qsort(nearest, 1000, sizeof *nearest, compare_floats);
    return sqrt((double)nearest[500]);
}

static void report(const char *kind, const struct data_set *set, const float *train,
                   const float *fresh, float *samples)
{
    size_t width = width_of(set);
    decode(samples, FRESH, set);
    struct moments have = moments_of(samples, FRESH, width);
    struct moments want = moments_of(train, set->count, width);
    double mean = 0.0, std = 0.0, share = 0.0;
    for (size_t i = 0; i < width; i++) {
        double away = fabs(have.mean[i] - want.mean[i]);
        if (i < set->numeric) {
            mean = fmax(mean, away / want.std[i]);
            std = fmax(std, 100.0 * fabs(have.std[i] / want.std[i] - 1.0));
        } else {
            share = fmax(share, 100.0 * away);
        }
    }
    printf("  %-5s mean %.3f  std %4.1f %%  share %4.1f  sliced %.4f (%.4f)  near %.2f\n", kind,
           mean, std, share, sliced(samples, FRESH, fresh, FRESH, width),
           sliced(train, set->count, fresh, FRESH, width),
           nearness(samples, train, set->count, width) / nearness(fresh, train, set->count, width));
    mem_free(samples);
}

static double seconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

static void run(const struct data_set *set, struct train_spec spec)
{
    float *train = draw_rows(set, set->count, 1000);
    float *fresh = draw_rows(set, FRESH, 2000);
    struct moments moments = moments_of(train, set->count, width_of(set));
    struct trainer trainer;
    struct err err = {0};
    double loss = 0.0, held_out = (double)NAN;
    standardise(train, set->count, set, &moments);
    standardise(fresh, FRESH, set, &moments);
    spec.net.dim = width_of(set);
    if (trainer_init(&trainer, &spec, train, set->count, &err)) {
        printf("%s %s\n", err.where, err.message);
        exit(1);
    }
    double start = seconds();
    while (trainer.step < spec.steps) {
        check(!trainer_step(&trainer, &loss));
        if (trainer.step % spec.validation_every == 0)
            held_out = trainer_validate(&trainer);
    }
    double took = seconds() - start;
    printf("%s: %.1f s, %.0f steps/s, loss %.4f, held-out %.4f, best %.4f at %llu\n", set->name,
           took, (double)spec.steps / took, loss, held_out, trainer.best_loss,
           (unsigned long long)trainer.best_step);
    report("last", set, train, fresh, sample(&spec.net, trainer.params, FRESH));
    report("ema", set, train, fresh, sample(&spec.net, trainer_weights(&trainer), FRESH));
    report("best", set, train, fresh, sample(&spec.net, trainer.best, FRESH));
    trainer_release(&trainer);
    mem_free(train);
    mem_free(fresh);
}

static bool set_option(struct train_spec *spec, const char *name, double value)
{
    size_t count = (size_t)value;
    if (strcmp(name, "steps") == 0)
        spec->steps = count;
    else if (strcmp(name, "batch") == 0)
        spec->batch_size = count;
    else if (strcmp(name, "lr") == 0)
        spec->optimizer.learning_rate = value;
    else if (strcmp(name, "decay") == 0)
        spec->optimizer.weight_decay = value;
    else if (strcmp(name, "ema") == 0)
        spec->ema_decay = value;
    else if (strcmp(name, "warmup") == 0)
        spec->optimizer.warmup = count;
    else if (strcmp(name, "every") == 0)
        spec->validation_every = count;
    else if (strcmp(name, "seed") == 0)
        spec->seed = count;
    else if (strcmp(name, "depth") == 0 && count <= LIMIT_LAYERS)
        spec->net.hidden_count = count;
    else if (strcmp(name, "width") == 0)
        for (size_t i = 0; i < LIMIT_LAYERS; i++)
            spec->net.hidden[i] = count;
    else if (strcmp(name, "fourier") == 0 && count <= LIMIT_TIME_FREQUENCIES) {
        spec->net.time.input = count ? TIME_FOURIER : TIME_LAST;
        spec->net.time.frequency_count = count;
        for (size_t i = 0; i < count; i++)
            spec->net.time.frequencies[i] = 0.5 * (double)(i + 1);
    } else
        return false;
    return true;
}

int main(int argc, char **argv)
{
    struct train_spec spec;
    train_spec_init(&spec);
    check(mat_start() == 0);
    for (int i = 1; i < argc; i++) {
        char *equals = strchr(argv[i], '=');
        if (equals)
            *equals = '\0';
        if (!equals || !set_option(&spec, argv[i], strtod(equals + 1, NULL))) {
            fprintf(stderr, "%s: not a known name=value\n", argv[i]);
            return 2;
        }
    }
    for (size_t i = 0; i < sizeof data_sets / sizeof data_sets[0]; i++)
        run(&data_sets[i], spec);
    return 0;
}
