#include "proto/path_codec.h"

#include "config/limits.h"
#include "core/base/mem.h"
#include "core/flow/schedule.h"

#include <stdio.h>
#include <string.h>

enum { WORD_TEXT = 32, NAMES_TEXT = 128 };

static void path_codec_list(char *names, const char *(*name)(int i), int first)
{
    size_t length = 0;
    names[0] = '\0';
    for (int i = first; name(i) && length < NAMES_TEXT; i++)
        length += (size_t)snprintf(names + length, NAMES_TEXT - length, "%s%s",
                                   i > first ? ", " : "", name(i));
}

static const char *kind_name(int i)
{
    return path_name((enum path_kind)i);
}

static const char *schedule_name(int i)
{
    return path_schedule_name((enum path_schedule)i);
}

static int read_kind(enum path_kind *out, struct json value, struct err *err)
{
    char names[NAMES_TEXT];
    const char *text;
    int code = json_read_string(value, WORD_TEXT, &text, err);
    if (code || path_find(text, out))
        return code;
    path_codec_list(names, kind_name, 0);
    return err_set(err, ERR_INVALID, value.pointer, "must be one of %s", names);
}

/* The kinds that a few numbers describe. */
static int read_plain(struct path *out, enum path_kind kind, struct json value, struct err *err)
{
    const char *known[4] = {"kind", NULL};
    struct path path = {.kind = kind};
    size_t count = 1;
    for (const struct path_parameter *at = path_parameters(kind); at->name; at++)
        known[count++] = at->name;
    int code = json_object_check(value, known, err);
    for (const struct path_parameter *at = path_parameters(kind); at->name && !code; at++)
        code = json_read_number(json_get(value, at->name), at->low, at->high,
                                (double *)((char *)&path + at->offset), err);
    if (!code)
        code = path_check(&path, err);
    if (!code)
        *out = path;
    return code;
}

static int read_points(double **out, size_t *count, struct json value, struct err *err)
{
    int code = json_read_vector(value, LIMIT_PATH_POINTS, out, count, err);
    if (!code && *count < 2)
        code = err_set(err, ERR_INVALID, value.pointer, "must have at least 2 numbers");
    return code;
}

struct table_points {
    double *t, *alpha, *beta;
};

/* alpha or beta: as many numbers as t has. */
static int read_column(double **out, size_t expected, struct json value, struct err *err)
{
    size_t count;
    int code = read_points(out, &count, value, err);
    if (!code && count != expected)
        code = err_set(err, ERR_INVALID, value.pointer, "must have %zu numbers, as t has; got %zu",
                       expected, count);
    return code;
}

static int read_table_points(struct path *out, struct table_points *points, struct json value,
                             struct err *err)
{
    size_t count;
    int code = read_points(&points->t, &count, json_get(value, "t"), err);
    if (!code)
        code = read_column(&points->alpha, count, json_get(value, "alpha"), err);
    if (!code)
        code = read_column(&points->beta, count, json_get(value, "beta"), err);
    if (code)
        return code;
    const struct schedule_table table = {points->t, points->alpha, points->beta, count};
    return schedule_table(out, &table, err);
}

static int read_table(struct path *out, struct json value, struct err *err)
{
    static const char *const known[] = {"kind", "t", "alpha", "beta", NULL};
    struct table_points points = {0};
    int code = json_object_check(value, known, err);
    if (!code)
        code = read_table_points(out, &points, value, err);
    mem_free(points.t);
    mem_free(points.alpha);
    mem_free(points.beta);
    return code;
}

static int read_betas(struct path *out, struct json value, struct err *err)
{
    static const char *const known[] = {"kind", "betas", NULL};
    double *betas = NULL;
    size_t count;
    int code = json_object_check(value, known, err);
    if (!code)
        code = read_points(&betas, &count, json_get(value, "betas"), err);
    if (!code)
        code = schedule_betas(out, betas, count, err);
    mem_free(betas);
    return code;
}

static int read_schedule(enum path_schedule *out, struct json value, struct err *err)
{
    char names[NAMES_TEXT];
    const char *text;
    if (!json_present(value))
        return err_set(err, ERR_INVALID, value.pointer, "is required, or betas");
    int code = json_read_string(value, WORD_TEXT, &text, err);
    if (code || (path_schedule_find(text, out) && *out != PATH_SCHEDULE_LISTED))
        return code;
    path_codec_list(names, schedule_name, PATH_SCHEDULE_LISTED + 1);
    return err_set(err, ERR_INVALID, value.pointer, "must be one of %s", names);
}

static int read_rule(struct path *out, struct json value, struct err *err)
{
    static const char *const cosine[] = {"kind", "schedule", "steps", NULL};
    static const char *const straight[] = {"kind",     "schedule", "steps",
                                           "beta_min", "beta_max", NULL};
    struct schedule_rule rule = {0};
    int64_t steps = 0;
    int code = read_schedule(&rule.schedule, json_get(value, "schedule"), err);
    if (code)
        return code;
    bool ends = rule.schedule != PATH_SCHEDULE_COSINE;
    code = json_object_check(value, ends ? straight : cosine, err);
    if (!code)
        code = json_read_integer(json_get(value, "steps"), 2, LIMIT_PATH_POINTS, &steps, err);
    if (!code && ends)
        code = json_read_number(json_get(value, "beta_min"), 0, 1, &rule.beta_min, err);
    if (!code && ends)
        code = json_read_number(json_get(value, "beta_max"), 0, 1, &rule.beta_max, err);
    rule.steps = (size_t)steps;
    return code ? code : schedule_rule(out, &rule, err);
}

int path_codec_read(struct path *out, struct json value, struct err *err)
{
    static const char *const any[] = {"kind", NULL};
    enum path_kind kind;
    if (!json_is_object(value))
        return json_object_check(value, any, err);
    int code = read_kind(&kind, json_get(value, "kind"), err);
    if (code)
        return code;
    if (kind == PATH_TABLE)
        return read_table(out, value, err);
    if (kind != PATH_DDPM)
        return read_plain(out, kind, value, err);
    bool listed = json_present(json_get(value, "betas"));
    return listed ? read_betas(out, value, err) : read_rule(out, value, err);
}

static void write_numbers(struct json_writer *w, const char *key, const double *values,
                          size_t count)
{
    json_open_array(w, key);
    for (size_t i = 0; i < count; i++)
        json_write_number(w, NULL, values[i]);
    json_close_array(w);
}

static void write_ddpm(struct json_writer *w, const struct path *path)
{
    if (path->schedule == PATH_SCHEDULE_LISTED) {
        write_numbers(w, "betas", path->betas, path->log_kept.count);
        return;
    }
    json_write_string(w, "schedule", path_schedule_name(path->schedule));
    json_write_unsigned(w, "steps", path->log_kept.count);
    if (path->schedule == PATH_SCHEDULE_COSINE)
        return;
    json_write_number(w, "beta_min", path->beta_min);
    json_write_number(w, "beta_max", path->beta_max);
}

void path_codec_write(struct json_writer *w, const char *key, const struct path *path)
{
    json_open_object(w, key);
    json_write_string(w, "kind", path_name(path->kind));
    for (const struct path_parameter *at = path_parameters(path->kind); at->name; at++)
        json_write_number(w, at->name, *(const double *)((const char *)path + at->offset));
    if (path->kind == PATH_DDPM)
        write_ddpm(w, path);
    if (path->kind == PATH_TABLE) {
        write_numbers(w, "t", path->alpha.x, path->alpha.count);
        write_numbers(w, "alpha", path->alpha.y, path->alpha.count);
        write_numbers(w, "beta", path->beta.y, path->beta.count);
    }
    json_close_object(w);
}
