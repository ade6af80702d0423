/* A contender (contenders.py): ONNX Runtime, called from C.

     field_ort FOLDER ROWS step|loop THREADS PIN LIBRARY

   PIN 1: each thread on a processor of its own. step: the field is called once a step, on buffers
   that stay where they are; loop: one call of the graph that holds the loop. The library is that of
   npm's onnxruntime-node, which comes without a header: its table of functions is a stable
   interface, of which the few that are called here are named by their place. */
#include "core/base/check.h"
#include "core/base/mem.h"

#include <dirent.h>
#include <dlfcn.h>
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { API_VERSION = 14, LEVEL_ERROR = 3, OPTIMIZE_ALL = 99, SEQUENTIAL = 0 };
enum { FLOAT = 1, INT64 = 7, DEVICE_ALLOCATOR = 0, MEMORY_DEFAULT = 0 };

typedef void *status; /* NULL: success */

/* The places of the functions in OrtApi. */
enum {
    AT_ERROR_MESSAGE = 2,
    AT_CREATE_ENV = 3,
    AT_CREATE_SESSION = 7,
    AT_RUN = 9,
    AT_CREATE_OPTIONS = 10,
    AT_EXECUTION_MODE = 13,
    AT_OPTIMIZATION = 23,
    AT_THREADS = 24,
    AT_CREATE_TENSOR = 49,
    AT_CPU_MEMORY = 69,
};
union function {
    const char *(*error_message)(const void *status);
    status (*create_env)(int level, const char *id, void **out);
    status (*create_session)(void *env, const char *path, const void *options, void **out);
    status (*run)(void *session, const void *options, const char *const *inputs,
                  void *const *values, size_t count, const char *const *outputs,
                  size_t output_count, void **results);
    status (*create_options)(void **out);
    status (*set)(void *options, int value);
    status (*create_tensor)(const void *memory, void *data, size_t size, const int64_t *shape,
                            size_t rank, int type, void **out);
    status (*cpu_memory)(int allocator, int type, void **out);
};
struct api_base {
    const union function *(*get)(uint32_t version);
    const char *(*version)(void);
};

struct bench {
    const union function *api;
    void *session, *memory;
    const char *folder;
    size_t rows, dim;
    int64_t steps;
    bool loop;
    float *x0, *x[2], *t, h;
    void *x0_tensor, *x_tensor[2], *t_tensor, *h_tensor, *steps_tensor;
    const float *last;
};

static double seconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

static void expect(const struct bench *bench, status failed)
{
    if (failed) {
        fprintf(stderr, "ONNX Runtime: %s\n", bench->api[AT_ERROR_MESSAGE].error_message(failed));
        exit(1);
    }
}

static void open_library(struct bench *bench, const char *path)
{
    const struct api_base *(*base)(void);
    void *library = dlopen(path, RTLD_NOW);
    if (!library) {
        fprintf(stderr, "%s\n", dlerror());
        exit(1);
    }
    *(void **)&base = dlsym(library, "OrtGetApiBase");
    check(base);
    bench->api = base()->get(API_VERSION);
    check(bench->api);
}

static void open_session(struct bench *bench, int threads)
{
    void *env, *options;
    char path[512];
    expect(bench, bench->api[AT_CREATE_ENV].create_env(LEVEL_ERROR, "bench", &env));
    expect(bench, bench->api[AT_CREATE_OPTIONS].create_options(&options));
    expect(bench, bench->api[AT_EXECUTION_MODE].set(options, SEQUENTIAL));
    expect(bench, bench->api[AT_OPTIMIZATION].set(options, OPTIMIZE_ALL));
    expect(bench, bench->api[AT_THREADS].set(options, threads));
    check((size_t)snprintf(path, sizeof path, "%s/%s.onnx", bench->folder,
                           bench->loop ? "loop" : "step") < sizeof path);
    expect(bench, bench->api[AT_CREATE_SESSION].create_session(env, path, options,
                                                               &bench->session));
    expect(bench, bench->api[AT_CPU_MEMORY].cpu_memory(DEVICE_ALLOCATOR, MEMORY_DEFAULT,
                                                       &bench->memory));
}

static void pin_threads(void)
{
    DIR *tasks = opendir("/proc/self/task");
    const struct dirent *task;
    long count = sysconf(_SC_NPROCESSORS_ONLN), next = 0;
    check(tasks);
    while ((task = readdir(tasks))) {
        pid_t thread = (pid_t)strtol(task->d_name, NULL, 10);
        cpu_set_t one;
        if (thread == 0)
            continue;
        CPU_ZERO(&one);
        CPU_SET((size_t)(next++ % count), &one);
        sched_setaffinity(thread, sizeof one, &one);
    }
    closedir(tasks);
}

/* An array of rows x columns and the tensor that stands for it. */
static float *new_tensor(const struct bench *bench, size_t columns, void **tensor)
{
    const int64_t shape[] = {(int64_t)bench->rows, (int64_t)columns};
    float *data = mem_aligned(bench->rows * columns, sizeof *data);
    check(data);
    expect(bench, bench->api[AT_CREATE_TENSOR].create_tensor(
                      bench->memory, data, bench->rows * columns * sizeof *data, shape, 2, FLOAT,
                      tensor));
    return data;
}

static void make_buffers(struct bench *bench)
{
    const int64_t one = 1;
    char path[512];
    check((size_t)snprintf(path, sizeof path, "%s/x0.f32", bench->folder) < sizeof path);
    FILE *file = fopen(path, "rb");
    check(file && fseek(file, 0, SEEK_END) == 0);
    bench->dim = (size_t)ftell(file) / sizeof(float) / bench->rows;
    rewind(file);
    bench->x0 = new_tensor(bench, bench->dim, &bench->x0_tensor);
    for (size_t i = 0; i < 2; i++)
        bench->x[i] = new_tensor(bench, bench->dim, &bench->x_tensor[i]);
    bench->t = new_tensor(bench, 1, &bench->t_tensor);
    size_t count = bench->rows * bench->dim;
    check(fread(bench->x0, sizeof(float), count, file) == count);
    fclose(file);
    expect(bench, bench->api[AT_CREATE_TENSOR].create_tensor(bench->memory, &bench->h,
                                                             sizeof bench->h, &one, 1, FLOAT,
                                                             &bench->h_tensor));
    expect(bench, bench->api[AT_CREATE_TENSOR].create_tensor(bench->memory, &bench->steps,
                                                             sizeof bench->steps, NULL, 0, INT64,
                                                             &bench->steps_tensor));
}

static void fill(float *array, size_t count, float value)
{
    for (size_t i = 0; i < count; i++)
        array[i] = value;
}

static void run_steps(struct bench *bench)
{
    static const char *const inputs[] = {"x", "t", "h"};
    static const char *const outputs[] = {"y"};
    for (int64_t i = 0; i < bench->steps; i++) {
        void *values[] = {i ? bench->x_tensor[i % 2] : bench->x0_tensor, bench->t_tensor,
                          bench->h_tensor};
        void *results[] = {bench->x_tensor[(i + 1) % 2]};
        fill(bench->t, bench->rows, (float)i / (float)bench->steps);
        expect(bench, bench->api[AT_RUN].run(bench->session, NULL, inputs, values, 3, outputs, 1,
                                             results));
    }
    bench->last = bench->x[bench->steps % 2];
}

static void run_loop(struct bench *bench)
{
    static const char *const inputs[] = {"x0", "ones", "h", "steps"};
    static const char *const outputs[] = {"x1"};
    void *values[] = {bench->x0_tensor, bench->t_tensor, bench->h_tensor, bench->steps_tensor};
    fill(bench->t, bench->rows, 1.0f);
    expect(bench, bench->api[AT_RUN].run(bench->session, NULL, inputs, values, 4, outputs, 1,
                                         bench->x_tensor));
    bench->last = bench->x[0];
}

static void serve(struct bench *bench)
{
    char line[512];
    while (fgets(line, sizeof line, stdin)) {
        line[strcspn(line, "\n")] = '\0';
        if (strncmp(line, "run ", 4) == 0) {
            bench->steps = strtoll(line + 4, NULL, 10);
            bench->h = 1.0f / (float)bench->steps;
            double start = seconds();
            (bench->loop ? run_loop : run_steps)(bench);
            printf("%.9f\n", seconds() - start);
        } else if (strncmp(line, "save ", 5) == 0) {
            size_t count = bench->rows * bench->dim;
            FILE *file = fopen(line + 5, "wb");
            check(file && fwrite(bench->last, sizeof(float), count, file) == count);
            check(fclose(file) == 0);
            puts("saved");
        }
        fflush(stdout);
    }
}

int main(int argc, char **argv)
{
    static struct bench bench;
    if (argc != 7) {
        fprintf(stderr, "usage: field_ort FOLDER ROWS step|loop THREADS PIN LIBRARY\n");
        return 2;
    }
    bench.folder = argv[1];
    bench.rows = (size_t)strtoul(argv[2], NULL, 10);
    bench.loop = strcmp(argv[3], "loop") == 0;
    open_library(&bench, argv[6]);
    open_session(&bench, (int)strtol(argv[4], NULL, 10));
    if (strcmp(argv[5], "1") == 0)
        pin_threads();
    make_buffers(&bench);
    puts("ready");
    fflush(stdout);
    serve(&bench);
    return 0;
}
