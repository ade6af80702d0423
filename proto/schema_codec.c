#include "proto/model_codec.h"

#include "core/base/mem.h"
#include "proto/json_write.h"

#include <float.h>
#include <math.h>
#include <string.h>

enum { KIND_TEXT = 32 };
#define COUNT_MAX (INT64_C(1) << 53)

/* Writing. */

static void write_known(struct json_writer *w, const char *key, double value)
{
    if (isfinite(value))
        json_write_number(w, key, value);
}

static void write_numbers(struct json_writer *w, const struct column *column)
{
    json_write_number(w, "mean", column->mean);
    json_write_number(w, "std", column->std);
    write_known(w, "min", column->min);
    write_known(w, "max", column->max);
    if (column->decimals <= DECIMALS_MAX)
        json_write_unsigned(w, "decimals", column->decimals);
}

static void write_levels(struct json_writer *w, const struct column *column)
{
    json_open_array(w, "levels");
    for (size_t i = 0; i < column->level_count; i++) {
        json_open_object(w, NULL);
        json_write_string(w, "value", column->levels[i]);
        json_write_unsigned(w, "rows", column->level_rows[i]);
        json_close_object(w);
    }
    json_close_array(w);
}

static void write_column(struct json_writer *w, const struct column *column)
{
    json_open_object(w, NULL);
    json_write_string(w, "name", column->name);
    json_write_string(w, "kind", column_kind_name(column->kind));
    json_write_unsigned(w, "present", column->present);
    json_write_unsigned(w, "missing", column->missing);
    if (column->kind == COLUMN_CATEGORICAL)
        write_levels(w, column);
    else
        write_numbers(w, column);
    json_close_object(w);
}

void schema_write(struct buf *out, const struct schema *schema)
{
    struct json_writer w = json_writer(out);
    json_open_array(&w, NULL);
    for (size_t i = 0; i < schema->count; i++)
        write_column(&w, &schema->columns[i]);
    json_close_array(&w);
}

/* Reading. */

static int read_count(struct json value, uint64_t *out, struct err *err)
{
    int64_t count = 0;
    if (!json_present(value))
        return 0;
    int code = json_read_integer(value, 0, COUNT_MAX, &count, err);
    if (!code)
        *out = (uint64_t)count;
    return code;
}

/* NaN where nothing is said. */
static int read_optional_number(struct json value, double *out, struct err *err)
{
    *out = (double)NAN;
    return json_present(value) ? json_read_number(value, -DBL_MAX, DBL_MAX, out, err) : 0;
}

static int read_std(double *out, struct json value, struct err *err)
{
    int code = json_read_number(value, -DBL_MAX, DBL_MAX, out, err);
    if (!code && !(*out > 0))
        code = err_set(err, ERR_INVALID, value.pointer, "must be greater than 0");
    return code;
}

static int read_numbers(struct column *column, struct json value, struct err *err)
{
    struct json decimals = json_get(value, "decimals");
    int64_t digits = DECIMALS_FREE;
    int code = json_read_number(json_get(value, "mean"), -DBL_MAX, DBL_MAX, &column->mean, err);
    if (!code)
        code = read_std(&column->std, json_get(value, "std"), err);
    if (!code)
        code = read_optional_number(json_get(value, "min"), &column->min, err);
    if (!code)
        code = read_optional_number(json_get(value, "max"), &column->max, err);
    if (!code && json_present(decimals))
        code = json_read_integer(decimals, 0, DECIMALS_MAX, &digits, err);
    column->decimals = (unsigned)digits;
    return code;
}

static bool has_level(const struct column *column, const char *text)
{
    for (size_t i = 0; i < column->level_count; i++)
        if (strcmp(column->levels[i], text) == 0)
            return true;
    return false;
}

static int read_level(struct column *column, struct json value, struct err *err)
{
    static const char *const known[] = {"value", "rows", NULL};
    struct json name = json_get(value, "value");
    const char *text;
    int code = json_object_check(value, known, err);
    if (!code)
        code = json_read_text(name, LIMIT_LEVEL, &text, err);
    if (!code)
        code = read_count(json_get(value, "rows"), &column->level_rows[column->level_count], err);
    if (code)
        return code;
    if (has_level(column, text))
        return err_set(err, ERR_INVALID, name.pointer, "is a level that stands here already");
    char *copy = mem_strdup(text);
    if (!copy)
        return err_set(err, ERR_NOMEM, name.pointer, "not enough memory for the level");
    column->levels[column->level_count++] = copy;
    return 0;
}

static int read_levels(struct column *column, struct json levels, struct err *err)
{
    size_t count = json_length(levels);
    if (!json_is_array(levels) || count < 1 || count > LIMIT_LEVELS)
        return err_set(err, ERR_INVALID, levels.pointer,
                       "must be an array of 1 to %d levels such as {\"value\": \"Adelie\"}",
                       LIMIT_LEVELS);
    column->levels = mem_zalloc(count, sizeof *column->levels);
    column->level_rows = mem_zalloc(count, sizeof *column->level_rows);
    if (!column->levels || !column->level_rows)
        return err_set(err, ERR_NOMEM, levels.pointer, "not enough memory for the levels");
    int code = 0;
    for (size_t i = 0; i < count && !code; i++)
        code = read_level(column, json_at(levels, i), err);
    return code;
}

static int read_kind(enum column_kind *out, struct json value, struct err *err)
{
    const char *text;
    int code = json_read_string(value, KIND_TEXT, &text, err);
    if (!code && !column_kind_find(text, out))
        code = err_set(err, ERR_INVALID, value.pointer, "must be numeric, integer or categorical");
    return code;
}

static int read_column(struct schema *schema, struct json value, struct err *err)
{
    static const char *const numeric[] = {"name", "kind", "present", "missing",  "mean",
                                          "std",  "min",  "max",     "decimals", NULL};
    static const char *const categorical[] = {"name", "kind", "present", "missing", "levels", NULL};
    struct column *column = &schema->columns[schema->count];
    struct json name = json_get(value, "name");
    const char *text;
    if (!json_is_object(value))
        return json_object_check(value, numeric, err);
    int code = read_kind(&column->kind, json_get(value, "kind"), err);
    bool levels = column->kind == COLUMN_CATEGORICAL;
    if (!code)
        code = json_object_check(value, levels ? categorical : numeric, err);
    if (!code)
        code = json_read_text(name, LIMIT_COLUMN_NAME, &text, err);
    if (code)
        return code;
    if (schema_find(schema, text) < schema->count)
        return err_set(err, ERR_INVALID, name.pointer, "is the name of another column, too");
    column->name = mem_strdup(text);
    if (!column->name)
        return err_set(err, ERR_NOMEM, name.pointer, "not enough memory for the name");
    schema->count++;
    code = read_count(json_get(value, "present"), &column->present, err);
    if (!code)
        code = read_count(json_get(value, "missing"), &column->missing, err);
    if (code)
        return code;
    return levels ? read_levels(column, json_get(value, "levels"), err)
                  : read_numbers(column, value, err);
}

static int read_columns(struct schema *schema, struct json value, struct err *err)
{
    size_t count = json_length(value);
    if (!json_is_array(value) || count < 1 || count > LIMIT_CSV_COLUMNS)
        return err_set(err, ERR_INVALID, value.pointer, "must be an array of 1 to %d columns",
                       LIMIT_CSV_COLUMNS);
    schema->columns = mem_zalloc(count, sizeof *schema->columns);
    if (!schema->columns)
        return err_set(err, ERR_NOMEM, value.pointer, "not enough memory for the columns");
    for (size_t i = 0; i < count; i++) {
        int code = read_column(schema, json_at(value, i), err);
        if (code)
            return code;
        const struct column *column = &schema->columns[i];
        uint64_t rows = column->present + column->missing;
        schema->rows = rows > schema->rows ? rows : schema->rows;
    }
    return 0;
}

int schema_read(struct schema *out, struct json value, struct err *err)
{
    struct schema schema = {0};
    int code = read_columns(&schema, value, err);
    if (code)
        schema_release(&schema);
    else
        *out = schema;
    return code;
}
