/* A contender (contenders.py): the daemon's engine, from the request's text to the answer's bytes.

     field_engine FOLDER ROWS PRECISION WORKERS

   WORKERS 0: the solve alone, f32, on this thread and called as a function, for a few rows. */
#include "core/base/check.h"
#include "core/linalg/rng.h"
#include "proto/json.h"
#include "proto/request_codec.h"
#include "server/engine/engine.h"
#include "server/kernels.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { PIECE = 1 << 20, SEED = 1, LANES = 64 };

struct bench {
    const char *folder, *precision;
    uint64_t rows;
    struct model_ref *model;
    struct simd_kernels halves[PRECISION_COUNT];
    struct app app; /* its kernels */
    struct engine *engine; /* NULL: the solve alone, in this tile */
    struct tile tile;
    uv_loop_t loop;
    struct buf answer;
    enum run_state state;
};

static double seconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

static void read_file(struct buf *out, const char *folder, const char *name)
{
    char path[512], *room;
    size_t size;
    check((size_t)snprintf(path, sizeof path, "%s/%s", folder, name) < sizeof path);
    FILE *file = fopen(path, "rb");
    check(file);
    while (check((room = buf_reserve(out, PIECE))), (size = fread(room, 1, PIECE, file)) > 0)
        out->size += size;
    fclose(file);
}

static void load_model(struct bench *bench)
{
    struct err err = {0};
    struct buf file;
    buf_init(&file, SIZE_MAX);
    read_file(&file, bench->folder, "model.safetensors");
    bench->model = model_ref_new();
    check(bench->model);
    check(model_load(&bench->model->model, &bench->model->config,
                     (const unsigned char *)file.data, file.size, NULL, &err) == 0);
    snprintf(bench->model->name, sizeof bench->model->name, "bench");
    bench->model->version = 1;
    buf_release(&file);
}

/* Takes what there is, as a connection does. */
static void take(void *context, struct run *run)
{
    struct bench *bench = context;
    size_t size;
    do {
        char *room = buf_reserve(&bench->answer, PIECE);
        check(room);
        size = run_read(run, room, PIECE, &bench->state);
        bench->answer.size += size;
    } while (size > 0);
}

/* f32 is the default, and known to a daemon that knows no other. */
static int decode(const struct bench *bench, const char *steps, struct sample_request *request,
                  struct err *err)
{
    char body[256];
    bool plain = strcmp(bench->precision, "f32") == 0;
    int size = snprintf(body, sizeof body,
                        "{\"model\":\"bench\",\"count\":%" PRIu64 ",\"seed\":%d,"
                        "\"solver\":{\"method\":\"euler\",\"steps\":%s}%s%s%s}",
                        bench->rows, SEED, steps, plain ? "" : ",\"precision\":\"",
                        plain ? "" : bench->precision, plain ? "" : "\"");
    return sample_request_decode(request, body, (size_t)size, false, err);
}

static int sample(struct bench *bench, const char *steps, struct err *err)
{
    struct sample_request request;
    struct run *run;
    int code = decode(bench, steps, &request, err);
    if (code)
        return code;
    if (!bench->app.kernels[request.spec.precision]) {
        sample_request_release(&request);
        return err_set(err, ERR_INVALID, "/precision", "not on this machine");
    }
    const struct run_options options = {.model = bench->model,
                                        .spec = &request.spec,
                                        .format = ROWS_NPY,
                                        .wake = take,
                                        .context = bench};
    buf_clear(&bench->answer);
    bench->state = RUN_MORE;
    code = engine_submit(bench->engine, &options, &run, err);
    sample_request_release(&request);
    if (code)
        return code;
    while (bench->state == RUN_MORE)
        uv_run(&bench->loop, UV_RUN_ONCE);
    run_free(run);
    return bench->state == RUN_END ? 0 : ERR_NOMEM;
}

/* What a worker does for a request whose rows fit into its tile. */
static void solve(struct bench *bench, const char *steps)
{
    const struct rng_key key = {.seed = SEED, .stream = RNG_SOURCE};
    const struct grid_spec spec = {.t1 = 1, .steps = (size_t)strtoul(steps, NULL, 10)};
    struct tile *tile = &bench->tile;
    struct grid grid;
    size_t dim = tile->field.dim;
    buf_clear(&bench->answer);
    float *out = (float *)(void *)buf_reserve(&bench->answer, bench->rows * dim * sizeof(float));
    check(out && grid_init(&grid, &spec, NULL) == 0);
    for (size_t row = 0; row < bench->rows; row++) {
        rng_normal(key, row, 0, out, dim);
        check(tile_add(tile, out, &grid, 0, NULL, row) == row);
    }
    for (size_t step = 0; step < grid.steps; step++)
        tile_step(tile);
    for (size_t row = 0; row < bench->rows; row++) {
        tile_get(tile, row, out + row * dim);
        tile_drop(tile, row);
    }
    bench->answer.size = bench->rows * dim * sizeof(float);
    grid_release(&grid);
}

static void write_file(const char *path, const void *bytes, size_t size)
{
    FILE *file = fopen(path, "wb");
    check(file && fwrite(bytes, 1, size, file) == size && fclose(file) == 0);
}

/* The start points of the seed, for the other contenders. */
static void save_noise(const struct bench *bench, const char *path)
{
    const struct rng_key key = {.seed = SEED, .stream = RNG_SOURCE};
    size_t dim = bench->model->model.spec.net.dim;
    struct buf noise;
    buf_init(&noise, SIZE_MAX);
    for (uint64_t row = 0; row < bench->rows; row++) {
        char *room = buf_reserve(&noise, dim * sizeof(float));
        check(room);
        rng_normal(key, row, 0, (float *)(void *)room, dim);
        noise.size += dim * sizeof(float);
    }
    write_file(path, noise.data, noise.size);
    buf_release(&noise);
}

static void save_answer(const struct bench *bench, const char *path)
{
    size_t size = (size_t)bench->rows * bench->model->model.spec.net.dim * sizeof(float);
    check(bench->answer.size >= size);
    write_file(path, bench->answer.data + bench->answer.size - size, size);
}

static void serve(struct bench *bench)
{
    char line[512];
    struct err err = {0};
    while (fgets(line, sizeof line, stdin)) {
        line[strcspn(line, "\n")] = '\0';
        if (strncmp(line, "run ", 4) == 0) {
            double start = seconds();
            if (bench->engine)
                check(sample(bench, line + 4, &err) == 0);
            else
                solve(bench, line + 4);
            printf("%.9f\n", seconds() - start);
        } else if (strncmp(line, "save ", 5) == 0) {
            save_answer(bench, line + 5);
            puts("saved");
        } else if (strncmp(line, "noise ", 6) == 0) {
            save_noise(bench, line + 6);
            puts("saved");
        }
        fflush(stdout);
    }
}

static int start(struct bench *bench, size_t workers, struct err *err)
{
    struct engine_options options = {.workers = workers,
                                     .pin = true,
                                     .linger = true,
                                     .loop = &bench->loop,
                                     .cost_limit = 1e18,
                                     .bytes_limit = UINT64_MAX};
    json_start();
    check(kernels_start(&bench->app, bench->halves, simd_select(NULL), err) == 0 &&
          !bench->app.fault.code && uv_loop_init(&bench->loop) == 0);
    memcpy(options.kernels, bench->app.kernels, sizeof options.kernels);
    load_model(bench);
    buf_init(&bench->answer, SIZE_MAX);
    check(tile_init(&bench->tile, model_field(&bench->model->model), tableau_find("euler"),
                    bench->app.kernels[PRECISION_F32], LANES) == 0);
    if (workers == 0)
        return bench->rows <= LANES ? 0 : err_set(err, ERR_INVALID, "ROWS", "at most %d", LANES);
    check(engine_start(&bench->engine, &options, err) == 0);
    return sample(bench, "1", err);
}

static void stop(struct bench *bench)
{
    engine_stop(bench->engine);
    uv_run(&bench->loop, UV_RUN_DEFAULT);
    check(uv_loop_close(&bench->loop) == 0);
    tile_release(&bench->tile);
    model_ref_drop(bench->model);
    buf_release(&bench->answer);
}

int main(int argc, char **argv)
{
    static struct bench bench;
    struct err err = {0};
    if (argc != 5) {
        fprintf(stderr, "usage: field_engine FOLDER ROWS PRECISION WORKERS\n");
        return 2;
    }
    bench.folder = argv[1];
    bench.rows = strtoull(argv[2], NULL, 10);
    bench.precision = argv[3];
    if (start(&bench, (size_t)strtoul(argv[4], NULL, 10), &err) == 0) {
        puts("ready");
        fflush(stdout);
        serve(&bench);
    } else {
        printf("absent: %s: %s\n", err.where, err.message);
    }
    stop(&bench);
    return 0;
}
