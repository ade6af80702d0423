/* Runs the golden cases: tests/golden/KIND/{valid,invalid}/CASE holds what comes in (request.json,
   file.safetensors or file.pt) and what must come out (expected.txt, or error.json: the problem
   document).
 */
#include "core/base/check.h"
#include "core/base/mem.h"
#include "proto/json.h"
#include "proto/model_codec.h"
#include "proto/problem.h"
#include "proto/request_codec.h"
#include "proto/safetensors.h"
#include "proto/torch_file.h"
#include "tests/unit/unit.h"

#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

enum {
    TEXT_MAX = 1 << 18,
    PATH_TEXT = 1024,
    FAILURES_MAX = 1000,
    CASES_MAX = 1000,
    TORCH_VALUES = 64
};

/* Decodes one input; `out` gets its description. Returns the error code. */
typedef int (*describe_fn)(struct buf *out, const struct buf *in, struct err *err);

static void describe_sample_spec(struct buf *out, const struct sample_request *request)
{
    const struct sample_spec *spec = &request->spec;
    buf_printf(out, "model %s\ncount %llu\n", request->model, (unsigned long long)spec->count);
    if (spec->has_seed)
        buf_printf(out, "seed %llu\n", (unsigned long long)spec->seed);
    if (tableau_adaptive(spec->tableau))
        buf_printf(out, "solver %s, rtol %g, atol %g, %zu evaluations\n", spec->tableau->name,
                   spec->rtol, spec->atol, spec->max_evaluations);
    else
        buf_printf(out, "solver %s, %zu steps\n", spec->tableau->name, spec->steps);
    if (spec->has_precision)
        buf_printf(out, "precision %s\n", precision_name(spec->precision));
    buf_printf(out, "from %g to %g\n", spec->t0, spec->t1);
    if (spec->x0) {
        buf_printf(out, "x0 of %zu numbers a row:", spec->x0_dim);
        for (size_t i = 0; i < spec->count * spec->x0_dim; i++)
            buf_printf(out, " %g", (double)spec->x0[i]);
        buf_text(out, "\n");
    }
    if (spec->times) {
        buf_text(out, "times");
        for (size_t i = 0; i < spec->time_count; i++)
            buf_printf(out, " %g", spec->times[i]);
        buf_text(out, "\n");
    }
    buf_printf(out, "frames %zu\n", spec->frames);
    if (request->timeout_ms)
        buf_printf(out, "timeout %llu ms\n", (unsigned long long)request->timeout_ms);
}

static int describe_request(struct buf *out, const struct buf *in, bool trajectory, struct err *err)
{
    struct sample_request request;
    int code = sample_request_decode(&request, in->data, in->size, trajectory, err);
    if (code)
        return code;
    describe_sample_spec(out, &request);
    sample_request_release(&request);
    return 0;
}

static int describe_sample(struct buf *out, const struct buf *in, struct err *err)
{
    return describe_request(out, in, false, err);
}

static int describe_trajectory(struct buf *out, const struct buf *in, struct err *err)
{
    return describe_request(out, in, true, err);
}

static int describe_velocity(struct buf *out, const struct buf *in, struct err *err)
{
    struct velocity_request request;
    int code = velocity_request_decode(&request, in->data, in->size, err);
    if (code)
        return code;
    buf_printf(out, "model %s\n", request.model);
    for (int i = 0; i < PREDICTION_COUNT; i++) {
        if (request.outputs[i])
            buf_printf(out, "%s ", prediction_name((enum prediction)i));
    }
    if (request.has_precision)
        buf_printf(out, "in %s ", precision_name(request.precision));
    buf_text(out, "at\n");
    for (size_t i = 0; i < request.count; i++) {
        buf_printf(out, "t %g, x", (double)request.t[i]);
        for (size_t j = 0; j < request.dim; j++)
            buf_printf(out, " %g", (double)request.points[i * request.dim + j]);
        buf_text(out, "\n");
    }
    velocity_request_release(&request);
    return 0;
}

static int describe_train(struct buf *out, const struct buf *in, struct err *err)
{
    struct train_request request;
    int code = train_request_decode(&request, in->data, in->size, err);
    if (code)
        return code;
    train_request_encode(out, &request);
    buf_text(out, "\n");
    train_request_release(&request);
    return 0;
}

static int describe_model_config(struct buf *out, const struct buf *in, struct err *err)
{
    struct model_config config;
    int code = model_config_decode(&config, in->data, in->size, err);
    if (code)
        return code;
    model_config_encode(out, &config);
    buf_text(out, "\n");
    model_config_release(&config);
    return 0;
}

static int describe_safetensors(struct buf *out, const struct buf *in, struct err *err)
{
    struct safetensors file;
    int code = safetensors_read(&file, (const unsigned char *)in->data, in->size, err);
    if (code)
        return code;
    for (size_t i = 0; i < file.table.count; i++) {
        const struct tensor *tensor = &file.table.tensors[i];
        buf_printf(out, "%s %s [", tensor->name, dtype_name(tensor->dtype));
        for (size_t j = 0; j < tensor->rank; j++)
            buf_printf(out, "%s%zu", j ? ", " : "", tensor->shape[j]);
        buf_printf(out, "] at byte %zu\n", (size_t)(tensor->data - (unsigned char *)in->data));
    }
    if (file.advect)
        buf_printf(out, "advect %s\n", file.advect);
    safetensors_release(&file);
    return 0;
}

static int describe_torch(struct buf *out, const struct buf *in, struct err *err)
{
    struct torch_file file;
    float values[TORCH_VALUES];
    int code = torch_file_read(&file, (const unsigned char *)in->data, in->size, NULL, err);
    if (code)
        return code;
    for (size_t i = 0; i < file.table.count; i++) {
        const struct tensor *tensor = &file.table.tensors[i];
        buf_printf(out, "%s %s [", tensor->name, dtype_name(tensor->dtype));
        for (size_t j = 0; j < tensor->rank; j++)
            buf_printf(out, "%s%zu", j ? ", " : "", tensor->shape[j]);
        buf_text(out, "]:");
        check(tensor->count <= TORCH_VALUES && tensor_read(tensor, values, err) == 0);
        for (size_t j = 0; j < tensor->count; j++)
            buf_printf(out, " %.9g", (double)values[j]);
        buf_text(out, "\n");
    }
    torch_file_release(&file);
    return 0;
}

static const struct {
    const char *name;
    const char *input;
    describe_fn describe;
    bool round_trip; /* the description is input of the same kind, and describes itself */
} kinds[] = {
    {"sample", "request.json", describe_sample, false},
    {"trajectory", "request.json", describe_trajectory, false},
    {"velocity", "request.json", describe_velocity, false},
    {"train", "request.json", describe_train, true},
    {"model_config", "request.json", describe_model_config, true},
    {"safetensors", "file.safetensors", describe_safetensors, false},
    {"torch", "file.pt", describe_torch, false},
};

static bool equal(const struct buf *a, const struct buf *b)
{
    return a->size == b->size && (a->size == 0 || memcmp(a->data, b->data, a->size) == 0);
}

/* Every allocation fails in its turn: the error says so, until one run is as if nothing happened.
 */
static bool survives_failures(size_t kind, const struct buf *in, int expected)
{
    struct buf out;
    buf_init(&out, TEXT_MAX);
    int code = ERR_NOMEM;
    for (size_t after = 0; code == ERR_NOMEM && after < FAILURES_MAX; after++) {
        struct err err = {0};
        buf_clear(&out);
        buf_reserve(&out, TEXT_MAX / 2); /* what describes may not fail */
        mem_fail_after(after);
        code = kinds[kind].describe(&out, in, &err);
        mem_fail_after(SIZE_MAX);
        if (code != (int)err.code)
            break;
        code = code ? code : out.failed;
    }
    buf_release(&out);
    return code == expected;
}

static bool describes_itself(size_t kind, const struct buf *text)
{
    struct buf again;
    struct err err = {0};
    buf_init(&again, TEXT_MAX);
    bool same = kinds[kind].describe(&again, text, &err) == 0 && equal(&again, text);
    buf_release(&again);
    return same;
}

static bool check_case(size_t kind, const struct buf *in, const struct buf *expected, bool valid)
{
    struct buf out;
    struct err err = {0};
    buf_init(&out, TEXT_MAX);
    int code = kinds[kind].describe(&out, in, &err);
    if (code) {
        problem_write(&out, &err);
        buf_text(&out, "\n");
    }
    bool passed = (code == 0) == valid && equal(&out, expected);
    if (!passed)
        printf("gives\n%.*s", (int)out.size, out.data ? out.data : "");
    if (passed && valid && kinds[kind].round_trip && !describes_itself(kind, &out)) {
        printf("reads back as something else\n");
        passed = false;
    }
    if (passed && !survives_failures(kind, in, code)) {
        printf("does not report a failed allocation\n");
        passed = false;
    }
    buf_release(&out);
    return passed;
}

static bool read_file(struct buf *out, const char *folder, const char *name)
{
    char path[PATH_TEXT];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    FILE *file = fopen(path, "rb");
    if (!file) {
        printf("%s: cannot be read\n", path);
        return false;
    }
    char *room = buf_reserve(out, TEXT_MAX / 2);
    out->size += room ? fread(room, 1, TEXT_MAX / 2, file) : 0;
    fclose(file);
    return room != NULL;
}

static bool run_case(size_t kind, const char *folder, bool valid)
{
    struct buf in, expected;
    buf_init(&in, TEXT_MAX);
    buf_init(&expected, TEXT_MAX);
    bool passed = read_file(&in, folder, kinds[kind].input) &&
                  read_file(&expected, folder, valid ? "expected.txt" : "error.json") &&
                  check_case(kind, &in, &expected, valid);
    buf_release(&in);
    buf_release(&expected);
    return passed;
}

static struct golden {
    size_t kind;
    bool valid;
    char folder[PATH_TEXT];
} cases[CASES_MAX];
static int case_count;

static void collect(size_t kind, bool valid)
{
    char folder[PATH_TEXT / 2];
    snprintf(folder, sizeof folder, "%s/tests/golden/%s/%s", SOURCE_ROOT, kinds[kind].name,
             valid ? "valid" : "invalid");
    DIR *dir = opendir(folder);
    check(dir);
    for (struct dirent *entry; (entry = readdir(dir));) {
        if (entry->d_name[0] == '.')
            continue;
        check(case_count < CASES_MAX);
        struct golden *golden = &cases[case_count++];
        golden->kind = kind;
        golden->valid = valid;
        snprintf(golden->folder, sizeof golden->folder, "%s/%s", folder, entry->d_name);
    }
    closedir(dir);
}

START_TEST(a_golden_case_gives_what_it_says)
{
    const struct golden *golden = &cases[_i];
    ck_assert_msg(run_case(golden->kind, golden->folder, golden->valid), "%s", golden->folder);
}
END_TEST

int main(void)
{
    json_start();
    for (size_t kind = 0; kind < sizeof kinds / sizeof kinds[0]; kind++) {
        collect(kind, true);
        collect(kind, false);
    }
    Suite *suite = suite_create("golden");
    TCase *tests = tcase_create("golden");
    tcase_add_loop_test(tests, a_golden_case_gives_what_it_says, 0, case_count);
    suite_add_tcase(suite, tests);
    return unit_run(suite);
}
