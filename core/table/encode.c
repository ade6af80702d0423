#include "core/table/encode.h"

#include "core/table/cell.h"

#include <float.h>
#include <math.h>
#include <string.h>

static const char *const policy_names[] = {
    [MISSING_DROP] = "drop",
    [MISSING_IMPUTE] = "impute",
};

enum { POLICY_COUNT = sizeof policy_names / sizeof policy_names[0] };

const char *missing_policy_name(enum missing_policy policy)
{
    return policy_names[policy];
}

bool missing_policy_find(const char *name, enum missing_policy *out)
{
    for (size_t i = 0; i < POLICY_COUNT; i++) {
        if (strcmp(policy_names[i], name) == 0) {
            *out = (enum missing_policy)i;
            return true;
        }
    }
    return false;
}

static void encode_level(float *out, const struct column *column, size_t level)
{
    for (size_t i = 0; i < column->level_count; i++)
        out[i] = i == level ? 1 : -1;
}

static size_t most_frequent(const struct column *column)
{
    size_t best = 0;
    for (size_t i = 1; i < column->level_count; i++)
        if (column->level_rows[i] > column->level_rows[best])
            best = i;
    return best;
}

static void encode_missing(float *out, const struct column *column)
{
    if (column->kind == COLUMN_CATEGORICAL)
        encode_level(out, column, most_frequent(column));
    else
        out[0] = 0;
}

static int encode_number(float *out, const struct column *column, const char *cell, size_t length)
{
    double value;
    unsigned decimals;
    bool integer;
    if (!cell_number(cell, length, &value, &decimals, &integer) ||
        (column->kind == COLUMN_INTEGER && !integer))
        return ERR_FORMAT;
    double scaled = (value - column->mean) / column->std;
    if (fabs(scaled) > (double)FLT_MAX)
        return ERR_FORMAT;
    out[0] = (float)scaled;
    return 0;
}

static int encode_category(float *out, const struct column *column, const char *cell, size_t length)
{
    size_t level = column_level(column, cell, length);
    if (level == column->level_count)
        return ERR_FORMAT;
    encode_level(out, column, level);
    return 0;
}

static int unknown_cell(const struct column *column, uint64_t line, struct err *err)
{
    static const char *const messages[] = {
        [COLUMN_NUMERIC] = "not a number of float32's range, and the column is numeric",
        [COLUMN_INTEGER] = "not a whole number of float32's range, and the column is integer",
        [COLUMN_CATEGORICAL] = "not one of the column's levels",
    };
    return cell_error(err, column->name, line, "%s", messages[column->kind]);
}

int encode_row(float *out, bool *complete, const struct schema *schema, const char *const *cells,
               const size_t *lengths, uint64_t line, struct err *err)
{
    *complete = true;
    for (size_t i = 0; i < schema->count; i++) {
        const struct column *column = &schema->columns[i];
        int code = 0;
        if (cell_missing(cells[i], lengths[i])) {
            *complete = false;
            encode_missing(out, column);
        } else if (column->kind == COLUMN_CATEGORICAL) {
            code = encode_category(out, column, cells[i], lengths[i]);
        } else {
            code = encode_number(out, column, cells[i], lengths[i]);
        }
        if (code)
            return unknown_cell(column, line, err);
        out += column_width(column);
    }
    return 0;
}

static double clamp(double value, double limit)
{
    return fmax(-limit, fmin(value, limit));
}

/* The double nearest to a decimal number of that many digits: exact quotients round correctly. Past
   2^53 units a double has no digits left to cut. */
static double round_decimals(double value, unsigned decimals)
{
    static const double powers[DECIMALS_MAX + 1] = {1e0, 1e1, 1e2,  1e3,  1e4,  1e5,  1e6,  1e7,
                                                    1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15};
    double units = value * powers[decimals];
    return fabs(units) < 0x1p53 ? round(units) / powers[decimals] : value;
}

/* A column that never varied in the data. */
static bool is_constant(const struct column *column)
{
    return column->present > 0 && column->min == column->max && column->mean == column->min;
}

static double decode_number(const struct column *column, float in)
{
    if (is_constant(column))
        return column->mean;
    double value = clamp(column->mean + column->std * (double)in, (double)FLT_MAX);
    if (column->kind == COLUMN_INTEGER)
        value = round(value);
    else if (column->decimals == DECIMALS_FREE)
        value = (double)(float)value;
    else
        value = round_decimals(value, column->decimals);
    return value + 0.0; /* no -0 */
}

static size_t decode_level(const struct column *column, const float *in)
{
    size_t best = 0;
    for (size_t i = 1; i < column->level_count; i++)
        if (in[i] > in[best])
            best = i;
    return best;
}

void decode_row(struct cell *out, const struct schema *schema, const float *in)
{
    for (size_t i = 0; i < schema->count; i++) {
        const struct column *column = &schema->columns[i];
        out[i] = (struct cell){.kind = column->kind};
        if (column->kind == COLUMN_CATEGORICAL)
            out[i].level = decode_level(column, in);
        else
            out[i].number = decode_number(column, in[0]);
        in += column_width(column);
    }
}
