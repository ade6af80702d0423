#include "proto/request_codec.h"

#include "config/limits.h"
#include "proto/json.h"
#include "proto/net_codec.h"

#include <stdio.h>

enum { WORD_TEXT = 32, FRAMES_MIN = 2 };

/* Frames of a method that chooses its steps, where the request names none: tenths of the way. */
enum { FRAMES_ADAPTIVE = 11 };

static int read_method(struct sample_spec *spec, struct json value, struct err *err)
{
    const char *name;
    int code = json_read_string(value, WORD_TEXT, &name, err);
    if (code)
        return code;
    const struct tableau *tableau = tableau_find(name);
    if (tableau) {
        spec->tableau = tableau;
        return 0;
    }
    char names[128] = "";
    size_t length = 0;
    for (size_t i = 0; tableau_at(i) && length < sizeof names; i++)
        length += (size_t)snprintf(names + length, sizeof names - length, "%s%s", i ? ", " : "",
                                   tableau_at(i)->name);
    return err_set(err, ERR_INVALID, value.pointer, "must be one of %s", names);
}

static int refuse_adaptive_steps(struct json steps, const struct tableau *tableau, struct err *err)
{
    return err_set(err, ERR_INVALID, steps.pointer,
                   "%s chooses its own steps: give rtol and atol in place of steps, or a method "
                   "with fixed steps such as euler",
                   tableau->name);
}

static int refuse_fixed_tolerance(struct json value, const struct tableau *tableau, struct err *err)
{
    return err_set(err, ERR_INVALID, value.pointer,
                   "%s takes fixed steps: give steps in its place, or a method that chooses its "
                   "own such as dopri5",
                   tableau->name);
}

/* An optional number of whole evaluations or steps. */
static int read_whole(size_t *out, struct json value, int64_t min, int64_t max, struct err *err)
{
    int64_t count = 0;
    int code = json_present(value) ? json_read_integer(value, min, max, &count, err) : 0;
    if (!code && json_present(value))
        *out = (size_t)count;
    return code;
}

static int read_tolerance(double *out, struct json value, double min, struct err *err)
{
    return json_present(value) ? json_read_number(value, min, 1, out, err) : 0;
}

static int read_fixed(struct sample_spec *spec, struct json value, struct err *err)
{
    static const char *const foreign[] = {"rtol", "atol", "max_evaluations"};
    for (size_t i = 0; i < sizeof foreign / sizeof foreign[0]; i++) {
        struct json member = json_get(value, foreign[i]);
        if (json_present(member))
            return refuse_fixed_tolerance(member, spec->tableau, err);
    }
    return read_whole(&spec->steps, json_get(value, "steps"), 1, LIMIT_STEPS, err);
}

static int read_adaptive(struct sample_spec *spec, struct json value, struct err *err)
{
    struct json steps = json_get(value, "steps");
    if (json_present(steps))
        return refuse_adaptive_steps(steps, spec->tableau, err);
    int code = read_tolerance(&spec->rtol, json_get(value, "rtol"), LIMIT_RTOL_MIN, err);
    if (!code)
        code = read_tolerance(&spec->atol, json_get(value, "atol"), LIMIT_ATOL_MIN, err);
    if (!code)
        code = read_whole(&spec->max_evaluations, json_get(value, "max_evaluations"),
                          SPEC_EVALUATIONS_MIN, LIMIT_EVALUATIONS, err);
    return code;
}

static int read_solver(struct sample_spec *spec, struct json value, struct err *err)
{
    static const char *const known[] = {"method", "steps", "rtol", "atol", "max_evaluations", NULL};
    if (!json_present(value))
        return 0;
    if (json_is_string(value))
        return read_method(spec, value, err);
    if (!json_is_object(value))
        return err_set(err, ERR_INVALID, value.pointer,
                       "must be the name of a method or an object such as {\"method\": \"euler\", "
                       "\"steps\": 100} or {\"method\": \"dopri5\", \"rtol\": 1e-5}");
    struct json method = json_get(value, "method");
    int code = json_object_check(value, known, err);
    if (!code && json_present(method))
        code = read_method(spec, method, err);
    if (code)
        return code;
    return tableau_adaptive(spec->tableau) ? read_adaptive(spec, value, err)
                                           : read_fixed(spec, value, err);
}

/* One row where neither is given. */
static int read_rows(struct sample_spec *spec, struct json root, struct err *err)
{
    struct json count = json_get(root, "count"), x0 = json_get(root, "x0");
    int64_t asked = 1;
    size_t rows = 0;
    int code = 0;
    if (json_present(count))
        code = json_read_integer(count, 1, (int64_t)LIMIT_COUNT, &asked, err);
    if (!code && json_present(x0))
        code = json_read_matrix(x0, LIMIT_COUNT, LIMIT_DIM, &spec->x0, &rows, &spec->x0_dim, err);
    if (code)
        return code;
    if (rows && json_present(count) && (uint64_t)asked != rows)
        return err_set(err, ERR_INVALID, count.pointer,
                       "must be %zu, the number of rows of x0, or be left out; got %lld", rows,
                       (long long)asked);
    spec->count = rows ? rows : (uint64_t)asked;
    return 0;
}

static int read_time(double *out, struct json value, struct err *err)
{
    return json_present(value) ? json_read_number(value, 0, 1, out, err) : 0;
}

static int read_span(struct sample_spec *spec, struct json root, struct err *err)
{
    struct json t1 = json_get(root, "t1");
    int code = read_time(&spec->t0, json_get(root, "t0"), err);
    if (!code)
        code = read_time(&spec->t1, t1, err);
    if (!code && spec->t0 == spec->t1)
        code = err_set(err, ERR_INVALID, t1.pointer, "must differ from t0");
    return code;
}

static int read_frames(struct sample_spec *spec, struct json root, struct err *err)
{
    struct json times = json_get(root, "times"), frames = json_get(root, "frames");
    int64_t count = 0;
    if (json_present(times) && json_present(frames))
        return err_set(err, ERR_INVALID, frames.pointer, "must be left out where times are given");
    if (json_present(times))
        return json_read_vector(times, LIMIT_FRAMES, &spec->times, &spec->time_count, err);
    size_t every = tableau_adaptive(spec->tableau) ? FRAMES_ADAPTIVE : spec->steps + 1;
    spec->frames = every < LIMIT_FRAMES ? every : LIMIT_FRAMES;
    if (!json_present(frames))
        return 0;
    int code = json_read_integer(frames, FRAMES_MIN, LIMIT_FRAMES, &count, err);
    if (!code)
        spec->frames = (size_t)count;
    return code;
}

static int read_timeout(uint64_t *out, struct json value, struct err *err)
{
    int64_t ms = 0;
    if (!json_present(value))
        return 0;
    int code = json_read_integer(value, 1, LIMIT_TIMEOUT_MS, &ms, err);
    *out = (uint64_t)ms;
    return code;
}

static int read_request(struct sample_request *request, struct json root, bool trajectory,
                        struct err *err)
{
    static const char *const sample[] = {"model", "count", "seed", "solver",     "precision",
                                         "x0",    "t0",    "t1",   "timeout_ms", NULL};
    static const char *const frames[] = {"model", "count", "seed", "solver", "precision",  "x0",
                                         "t0",    "t1",    "times", "frames", "timeout_ms", NULL};
    struct sample_spec *spec = &request->spec;
    struct json seed = json_get(root, "seed");
    int code = json_object_check(root, trajectory ? frames : sample, err);
    if (!code)
        code = json_read_name(json_get(root, "model"), request->model, err);
    if (!code && json_present(seed)) {
        code = json_read_seed(seed, &spec->seed, err);
        spec->has_seed = true;
    }
    if (!code)
        code = read_solver(spec, json_get(root, "solver"), err);
    if (!code)
        code = net_codec_read_precision(&spec->precision, &spec->has_precision,
                                        json_get(root, "precision"), err);
    if (!code)
        code = read_rows(spec, root, err);
    if (!code)
        code = read_span(spec, root, err);
    if (!code && trajectory)
        code = read_frames(spec, root, err);
    if (!code)
        code = read_timeout(&request->timeout_ms, json_get(root, "timeout_ms"), err);
    return code;
}

int sample_request_decode(struct sample_request *out, const char *body, size_t size,
                          bool trajectory, struct err *err)
{
    struct sample_request request = {0};
    struct json_doc *doc;
    int code = json_parse(&doc, body, size, LIMIT_JSON_ROWS_BYTES, err);
    if (code)
        return code;
    sample_spec_init(&request.spec);
    code = read_request(&request, json_root(doc), trajectory, err);
    json_free(doc);
    if (code)
        sample_request_release(&request);
    else
        *out = request;
    return code;
}

void sample_request_release(struct sample_request *request)
{
    sample_spec_release(&request->spec);
}
